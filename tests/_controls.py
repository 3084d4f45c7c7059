"""Small studies without an inference, and made-up outcomes of control tissues."""

from __future__ import annotations

import warnings
from functools import lru_cache
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
from _helpers import FEW_GENES, NO_ROLES, TWO_OF_EACH, infer_quietly, source, tiny_config
from anndata import AnnData

import spatrace_sc as st
from spatrace_sc._data import known_signaling
from spatrace_sc._edges import TESTED_KINDS
from spatrace_sc._inference.controls import execute as execution
from spatrace_sc._inference.controls.draws import SHAM, ControlTissue
from spatrace_sc._inference.controls.outcomes import Outcome
from spatrace_sc._study.read import read_study
from spatrace_sc._study.records import Study

#: Radii in whose units the slices of 125 are wide, and too small for misplaced senders.
SMALL_RADIUS, LARGE_RADIUS = 12.0, 60.0


@lru_cache(maxsize=4)
def study_of(radius: float = SMALL_RADIUS, n_slices: int = 1) -> Study:
    """Study of 450 cells with 20 targets: one or more slices at each of three stages."""
    adata = st.datasets.simulated(
        5, n_cells=450, n_targets=20, n_background=20, n_slices=n_slices, depth=3000, **FEW_GENES
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`radius=60` is", st.SpatraceWarning)
        return read_study(adata, NO_ROLES, source(radius=radius))


def molecules(study: Study) -> np.ndarray:
    """(receivers, targets) molecules, before rounding."""
    unit = study.unit[study.receivers]
    return np.expm1(study.target.astype(np.float64)) / unit[:, None]


def result_with(**tables: pd.DataFrame) -> Any:
    """Stand-in for a result with some compact tables, and no rows in the others."""
    empty = {
        kind.name: pd.DataFrame({c: np.empty(0, dtype=np.int64) for c in kind.columns}).assign(
            q_value=np.empty(0)
        )
        for kind in TESTED_KINDS
    }
    return SimpleNamespace(table=lambda kind: (empty | tables)[kind.name])


def edges(columns: list[str], *rows: tuple[Any, ...]) -> pd.DataFrame:
    """Edges as an outcome has them: names, q, effect."""
    table = pd.DataFrame(list(rows), columns=[*columns, "q_value", "effect"])
    return table.astype(dict.fromkeys(columns, object) | {"q_value": float, "effect": float})


def tables(
    tf: list[tuple[Any, ...]] = (), lr: list[tuple[Any, ...]] = (), pairs: list[Any] = ()
) -> dict[str, pd.DataFrame]:
    """Edges of all tested kinds, from rows of names, q and effect."""
    rows = {"tf_targets": tf, "lr_targets": lr, "lr_pairs": pairs}
    return {kind.name: edges(kind.columns, *rows[kind.name]) for kind in TESTED_KINDS}


def outcome(name: str = "one", kind: str = SHAM, **changes: Any) -> Outcome:
    """Outcome of a control tissue of two genes of each role, in which nothing is called."""
    values: dict[str, Any] = {
        "setting": "",
        "n_receivers": 100,
        "r2": 0.5,
        "seconds": 1.0,
        "n_genes": {"ligands": 2, "receptors": 2, "tfs": 2, "targets": 4},
        "edges": tables(),
    }
    return Outcome(name=name, kind=kind, **values | changes)


@lru_cache(maxsize=1)
def _inferred() -> AnnData:
    genes = {role: names for role, names in TWO_OF_EACH.items() if role != "targets"}
    adata = st.datasets.simulated(
        5, n_cells=330, n_targets=8, n_background=30, depth=3000, **FEW_GENES
    )
    keys = {"sample_key": "sample", "stage_key": "stage", "radius": 20.0, "device": "cpu"}
    infer_quietly(adata, **genes, **keys, config=tiny_config())
    return adata


def inferred() -> AnnData:
    """Copy of a tissue with a result of two ligands, receptors and TFs on eight targets."""
    return _inferred().copy()


def pretend(tissue: ControlTissue, *_: Any) -> Outcome:
    """Outcome of a control tissue without an inference: a few edges that its seed decides."""
    rng = np.random.default_rng(tissue.seed)
    genes = tissue.study.genes

    def drawn(n: int, *names: np.ndarray) -> list[tuple[Any, ...]]:
        rows = {tuple(str(rng.choice(of)) for of in names) for _ in range(n)}
        return [(*row, float(rng.uniform(0, 0.3)), float(rng.normal())) for row in sorted(rows)]

    return outcome(
        tissue.name,
        tissue.kind,
        setting=tissue.setting,
        n_receivers=len(tissue.study.time),
        n_genes={role: len(names) for role, names in genes.to_mapping().items()},
        edges=tables(
            drawn(6, genes.tfs, genes.targets),
            drawn(6, genes.ligands, genes.receptors, genes.targets),
            drawn(3, genes.ligands, genes.receptors),
        ),
        implants=tissue.implants,
        sham=tissue.sham,
        balance=tissue.balance,
        method=tissue.method,
    )


def measured(tissue: ControlTissue, *_: Any) -> Outcome:
    """Outcome of a control tissue without an inference: covariances of regulators and targets."""
    study = tissue.study
    genes, target = study.genes, study.target - study.target.mean(axis=0)

    def effects(levels: np.ndarray, names: list[tuple[str, ...]]) -> list[tuple[Any, ...]]:
        values = levels.T.astype(float) @ target / len(target)
        return [
            (*name, str(gene), 0.05, value)
            for name, row in zip(names, values, strict=True)
            for gene, value in zip(genes.targets, row, strict=True)
        ]

    pairs = [(str(ligand), str(r)) for ligand in genes.ligands for r in genes.receptors]
    signal = study.exposure[:, :, None] * study.receptor[:, None, :]
    return outcome(
        tissue.name,
        tissue.kind,
        n_receivers=len(study.time),
        r2=float(study.exposure.mean()),
        n_genes={role: len(names) for role, names in genes.to_mapping().items()},
        edges=tables(
            effects(study.tf, [(str(tf),) for tf in genes.tfs]),
            effects(signal.reshape(len(target), -1), pairs),
            [(*pair, 0.05, 0.0) for pair in pairs],
        ),
        implants=tissue.implants,
        sham=tissue.sham,
        balance=tissue.balance,
        method=tissue.method,
    )


def run_measured(data: Any, **arguments: Any) -> None:
    """Run one draw of every kind, with :func:`measured` in place of the inference."""
    with (
        patch.object(execution, "outcome_of", measured),
        patch.object(known_signaling, "listed_by_liana", frozenset),
    ):
        st.tl.controls(data, **{"n_sham": 1, "n_misplaced": 1, "n_implants": 1} | arguments)
