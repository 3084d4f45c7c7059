"""The package itself, and the package without its history."""

from __future__ import annotations

import numpy as np
import torch  # noqa: F401  so that its import is not counted as the method's time
from benchmarks._scores import KEYS
from benchmarks.recovery.tables import Tables
from benchmarks.recovery.tissue import Tissue
from scipy import sparse

import spatrace_sc as st

#: As many ancestors as the neighbours that st.pp.transitions takes.
N_ANCESTORS = 30


def ours(tissue: Tissue, seed: int) -> Tables:
    """One call, defaults."""
    st.tl.infer_ccc(tissue.adata, **tissue.arguments, seed=seed, device="cpu")
    return {task: getattr(st.get, task)(tissue.adata) for task in KEYS}


def random_paths(tissue: Tissue, seed: int) -> Tables:
    """The same with every ancestor replaced by random earlier cells: what is left if history tells nothing but time."""
    time = tissue.adata.obs[tissue.arguments.get("time_key", "dpt_pseudotime")].to_numpy(
        dtype=float
    )
    tissue.adata.obsp["random"] = random_transitions(time, np.random.default_rng(seed))
    arguments = tissue.arguments | {"transitions_key": "random"}
    st.tl.infer_ccc(tissue.adata, **arguments, seed=seed, device="cpu")
    return {task: getattr(st.get, task)(tissue.adata) for task in KEYS}


def random_transitions(time: np.ndarray, rng: np.random.Generator) -> sparse.csr_matrix:
    """(cells, cells), row = earlier cell: each cell that has a time and is not the first has 30 random earlier ones, of equal weight."""
    order = np.flatnonzero(np.isfinite(time))
    order = order[np.argsort(time[order], kind="stable")]
    earlier = np.searchsorted(time[order], time[order], side="left")
    rows, cols = [], []
    for cell, n in zip(order, earlier, strict=True):
        chosen = order[rng.choice(n, min(n, N_ANCESTORS), replace=False)] if n else order[:0]
        rows.append(chosen)
        cols.append(np.full(len(chosen), cell))
    row, col = np.concatenate(rows), np.concatenate(cols)
    entries = np.full(len(row), 1.0 / max(1, np.bincount(row).max()))
    return sparse.csr_matrix((entries, (row, col)), shape=(len(time), len(time)))
