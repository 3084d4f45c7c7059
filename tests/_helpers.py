"""Helpers of several tests: small data, a small result, reading keys and snapshots."""

from __future__ import annotations

import json
import re
import warnings
from functools import lru_cache
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

import spatrace_sc as st
from spatrace_sc._study.source import Source

ROLES = ("ligand", "receptor", "tf", "target")
#: Genes of each role in the tissue of most tests; a third of the time that twelve of each take.
N_GENES = 6
#: Genes of that tissue for an inference in which the tables do not matter: half of its time.
TWO_OF_EACH = {
    f"{role}s": [f"{prefix}000", f"{prefix}001"]
    for role, prefix in zip(ROLES, ("LIG", "REC", "TF", "TG"), strict=True)
}
FEW_GENES = dict.fromkeys(("n_ligands", "n_receptors", "n_pairs", "n_tfs"), N_GENES)
#: What the inference says of small tissues; tests about something else ignore it.
NOTHING_SIGNIFICANT = "ignore:no edge has q:spatrace_sc.SpatraceWarning"
ONE_SLICE = "ignore:no `sample_key` was given:spatrace_sc.SpatraceWarning"
OTHER_CELLS = "ignore:the tables of .* are of other cells:spatrace_sc.SpatraceWarning"
MIXED_STAGES = "ignore:.* samples have cells of several values:spatrace_sc.SpatraceWarning"


def slow(*values: Any) -> Any:
    """Values of a parametrized test that run with ``-m slow`` only."""
    return pytest.param(*values, marks=pytest.mark.slow)


def small_config(**changes: Any) -> st.Config:
    """Configuration that takes seconds instead of minutes."""
    return st.Config(
        **{
            "evidence": st.EvidenceConfig(n_resamples=3, n_permutations=9),
            "training": st.TrainingConfig(max_epochs=3),
            "progress": False,
        }
        | changes
    )


def tiny_config(**changes: Any) -> st.Config:
    """Configuration that only runs through."""
    return small_config(
        **{
            "evidence": st.EvidenceConfig(n_resamples=2, n_permutations=1),
            "training": st.TrainingConfig(max_epochs=0, n_folds=2, n_penalties=4, tolerance=0.01),
        }
        | changes
    )


@lru_cache(maxsize=1)
def _tissue() -> AnnData:
    return st.datasets.simulated(n_cells=300, n_targets=5, n_background=48, **FEW_GENES)


def tissue() -> AnnData:
    """Copy of a small simulated tissue without a result: 300 cells in three slices."""
    return _tissue().copy()


@lru_cache(maxsize=1)
def small_result() -> AnnData:
    """Tissue with a result under the default key, computed once. Copy it before you change it."""
    adata = st.datasets.simulated(n_cells=700, n_targets=20)
    infer_quietly(adata, sample_key="sample", stage_key="stage", config=small_config())
    return adata


def infer_quietly(adata: AnnData, **arguments: Any) -> None:
    """Infer where it does not matter that nothing is significant, as in a fixture."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "no edge has q", st.SpatraceWarning)
        st.tl.infer_ccc(adata, **arguments)


def infer_again(adata: AnnData) -> None:
    """Replace the result by one of two genes a role, in a fraction of a second."""
    keys = {"sample_key": "sample", "stage_key": "stage"}
    infer_quietly(adata, **TWO_OF_EACH, **keys, config=tiny_config())


def snapshot(adata: AnnData) -> dict[str, Any]:
    """Everything that a failed call must leave as it was."""
    slots = ("obs", "var", "uns", "obsm", "varm", "obsp", "varp", "layers")
    taken: dict[str, Any] = {slot: sorted(map(str, getattr(adata, slot).keys())) for slot in slots}
    matrix = adata.X.toarray() if sparse.issparse(adata.X) else np.asarray(adata.X)
    taken["X"] = (matrix.dtype, matrix.tobytes())
    taken["obs_values"] = adata.obs.copy()
    taken["var_values"] = adata.var.copy()
    return taken


def assert_unchanged(adata: AnnData, before: dict[str, Any]) -> None:
    """The data are as they were at :func:`snapshot`."""
    now = snapshot(adata)
    for slot in before:
        if slot.endswith("_values"):
            pd.testing.assert_frame_equal(now[slot], before[slot])
        else:
            assert now[slot] == before[slot], f"{slot} has changed"


def dense(matrix: Any) -> np.ndarray:
    """A matrix as a float64 array."""
    return np.asarray(matrix.toarray() if sparse.issparse(matrix) else matrix, dtype=np.float64)


def predicted_targets(network: Any, weights: Any, problem: Any) -> Any:
    """(N, G) standardised targets as a fitted model predicts them, with gates."""
    from spatrace_sc._model.network.losses import gates_of
    from spatrace_sc._model.network.observe import observe

    design, attention, _ = observe(network, problem, problem.usable)
    gate = gates_of(network, attention.context, weights.rows, problem).detach()
    return (design[weights.rows] * (1.0 + gate)) @ weights.values


def written_and_read(adata: AnnData, form: str, folder: Path) -> AnnData:
    """The data after a round through a file of the form ``h5ad``, ``zarr`` or ``spatialdata``."""
    path = folder / f"data.{form}"
    if form == "spatialdata":
        import spatialdata

        spatialdata.SpatialData(tables={"table": adata}).write(path)
        return spatialdata.read_zarr(path).tables["table"]
    getattr(adata, f"write_{form}")(path)
    return getattr(ad, f"read_{form}")(path)


def page_data(text: str) -> dict[str, Any]:
    """Return the data in a page of ``st.pl.report``."""
    (found,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text)
    data: dict[str, Any] = json.loads(found)
    return data


def is_acyclic(support: np.ndarray) -> bool:
    """Return whether the directed graph of a (nodes, nodes) boolean matrix has no cycle.

    Nodes without an incoming edge are removed one after the other.
    """
    support = np.array(support, dtype=bool)
    left = np.ones(len(support), dtype=bool)
    while left.any():
        free = left & ~support[left].any(axis=0)
        if not free.any():
            return False
        left &= ~free
    return True


#: Roles by the flags in ``var``, as read_study takes them.
NO_ROLES = dict.fromkeys(("ligands", "receptors", "tfs", "targets"))


def source(**changes: Any) -> Source:
    """Return the reading keys of simulated data: every slice is a sample, every type takes part."""
    fields: dict[str, Any] = {
        "cell_type_key": "cell_type",
        "sample_key": "sample",
        "stage_key": "stage",
        "time_key": "dpt_pseudotime",
        "spatial_key": "spatial",
        "layer": None,
        "transitions_key": None,
        "gene_symbols": None,
        "senders": None,
        "receivers": None,
        "radius": 40.0,
    }
    return Source(**fields | changes)
