"""A simulated tissue as AnnData."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from .. import _keys
from ._truth import truth_tables
from ._wiring import Wiring

#: Start of the names of the genes of every role.
PREFIX = {"ligand": "LIG", "receptor": "REC", "tf": "TF", "target": "TG", "background": "BG"}


@dataclass(frozen=True)
class SimulatedTissue:
    """Arrays and tables of a simulated tissue.

    - ``cells``: one row per cell with ``x``, ``y``, ``cell_type``, ``sample``, ``stage`` and
      ``stage_time``.
    - ``counts`` (cells, genes in the order of their roles).
    - ``wiring``: the true network.
    - ``sizes``: number of genes of every role, in the order of the columns of ``counts``.
    - ``time`` (cells,): latent time, NaN in senders.
    - ``signal`` (cells, P): true signal of every acting pair, NaN in senders.
    """

    cells: pd.DataFrame
    counts: sparse.csr_matrix
    wiring: Wiring
    sizes: dict[str, int]
    time: np.ndarray
    signal: np.ndarray


def draw_names(rng: np.random.Generator, sizes: dict[str, int]) -> dict[str, np.ndarray]:
    """Names of the genes of every role, in random order, so that they do not reveal decoys."""
    return {
        role: np.array([f"{PREFIX[role]}{k:03d}" for k in rng.permutation(size)], dtype=object)
        for role, size in sizes.items()
    }


def assemble(
    rng: np.random.Generator,
    tissue: SimulatedTissue,
    parameters: dict[str, Any],
    names: dict[str, np.ndarray] | None = None,
) -> AnnData:
    """The tissue as AnnData, genes in random order; ``parameters`` go to ``uns``.

    ``names`` are drawn if not given.
    """
    names = draw_names(rng, tissue.sizes) if names is None else names
    logged = _log_normalised(tissue.counts)
    obs = _cell_table(rng, tissue)
    var = _gene_table(tissue, names)
    order = rng.permutation(len(var))
    adata = AnnData(
        X=sparse.csr_matrix(logged[:, order]),
        obs=obs,
        var=var.iloc[order],
        layers={_keys.COUNTS: sparse.csr_matrix(tissue.counts[:, order])},
    )
    adata.obsm[_keys.SPATIAL] = tissue.cells[["x", "y"]].to_numpy(dtype=np.float64)
    pairs = [f"{names['ligand'][i]}^{names['receptor'][j]}" for i, j in tissue.wiring.pairs]
    adata.obsm["true_signal"] = pd.DataFrame(tissue.signal, index=adata.obs_names, columns=pairs)
    adata.uns["truth"] = truth_tables(tissue.wiring, names)
    adata.uns["simulation"] = dict(parameters)
    return adata


def _log_normalised(counts: sparse.csr_matrix) -> sparse.csr_matrix:
    """log1p of counts per 10 000."""
    total = np.maximum(np.asarray(counts.sum(1)), 1.0)
    return sparse.csr_matrix(counts.multiply(1e4 / total)).astype(np.float32).log1p()


def _cell_table(rng: np.random.Generator, tissue: SimulatedTissue) -> pd.DataFrame:
    """``obs``: type, slice, stage, times."""
    cells = tissue.cells
    stages = list(cells.drop_duplicates("stage").sort_values("stage_time")["stage"])
    estimate = tissue.time + 0.03 * rng.normal(size=len(tissue.time))
    lowest, highest = np.nanmin(estimate), np.nanmax(estimate)
    obs = pd.DataFrame(
        {
            "cell_type": pd.Categorical(cells["cell_type"]),
            "sample": pd.Categorical(cells["sample"]),
            "stage": pd.Categorical(cells["stage"], categories=stages, ordered=True),
            "stage_time": cells["stage_time"].to_numpy(dtype=float),
            "latent_time": tissue.time,
            "dpt_pseudotime": (estimate - lowest) / (highest - lowest),
        },
    )
    obs.index = pd.Index([f"cell{k}" for k in range(len(obs))])
    return obs


def _gene_table(tissue: SimulatedTissue, names: dict[str, np.ndarray]) -> pd.DataFrame:
    """``var``: roles, and decoys; in the order of the columns of ``counts``."""
    role = np.repeat(list(tissue.sizes), list(tissue.sizes.values()))
    var = pd.DataFrame(
        {r: role == r for r in ("ligand", "receptor", "tf", "target")},
        index=np.concatenate(list(names.values())),
    )
    mimics = np.concatenate([tissue.wiring.ligand_mimics, tissue.wiring.receptor_mimics])
    var["decoy"] = np.append(mimics >= 0, np.zeros(len(var) - len(mimics), dtype=bool))
    return var
