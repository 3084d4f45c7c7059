"""A simulated tissue as AnnData."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from .. import _keys
from ._truth import truth_tables
from ._wiring import Wiring


def draw_names(rng: np.random.Generator, sizes: dict[str, int]) -> dict[str, np.ndarray]:
    """Names of the genes of every role, in random order, so that they do not tell the decoys."""
    prefix = {"ligand": "LIG", "receptor": "REC", "tf": "TF", "target": "TG", "background": "BG"}
    return {
        role: np.array([f"{prefix[role]}{k:03d}" for k in rng.permutation(size)], dtype=object)
        for role, size in sizes.items()
    }


def _assemble(
    rng: np.random.Generator,
    cells: pd.DataFrame,
    counts: sparse.csr_matrix,
    wiring: Wiring,
    sizes: dict[str, int],
    time: np.ndarray,
    signal: np.ndarray,
    parameters: dict[str, Any],
    names: dict[str, np.ndarray] | None = None,
) -> AnnData:
    names = draw_names(rng, sizes) if names is None else names
    role = np.repeat(list(sizes), list(sizes.values()))
    var = pd.DataFrame(
        {r: role == r for r in ("ligand", "receptor", "tf", "target")},
        index=np.concatenate(list(names.values())),
    )
    var["decoy"] = np.concatenate(
        [
            wiring.ligand_mimics >= 0,
            wiring.receptor_mimics >= 0,
            np.zeros(len(var) - len(wiring.ligand_mimics) - len(wiring.receptor_mimics), bool),
        ]
    )
    total = np.maximum(np.asarray(counts.sum(1)), 1.0)
    logged = sparse.csr_matrix(counts.multiply(1e4 / total)).astype(np.float32).log1p()
    stages = cells.drop_duplicates("stage").sort_values("stage_time")["stage"]
    estimate = time + 0.03 * rng.normal(size=len(time))
    obs = pd.DataFrame(
        {
            "cell_type": pd.Categorical(cells["cell_type"]),
            "sample": pd.Categorical(cells["sample"]),
            "stage": pd.Categorical(cells["stage"], categories=list(stages), ordered=True),
            "stage_time": cells["stage_time"].to_numpy(dtype=float),
            "latent_time": time,
            "dpt_pseudotime": (estimate - np.nanmin(estimate))
            / (np.nanmax(estimate) - np.nanmin(estimate)),
        },
    )
    obs.index = pd.Index([f"cell{k}" for k in range(len(obs))])
    order = rng.permutation(len(var))
    adata = AnnData(
        X=sparse.csr_matrix(logged[:, order]),
        obs=obs,
        var=var.iloc[order],
        layers={"counts": sparse.csr_matrix(counts[:, order])},
    )
    adata.obsm[_keys.SPATIAL] = cells[["x", "y"]].to_numpy(dtype=np.float64)
    pairs = [f"{names['ligand'][i]}^{names['receptor'][j]}" for i, j in wiring.pairs]
    adata.obsm["true_signal"] = pd.DataFrame(signal, index=adata.obs_names, columns=pairs)
    adata.uns["truth"] = truth_tables(wiring, names)
    adata.uns["simulation"] = dict(parameters)
    return adata
