"""The package with its defaults, and with random histories."""

from __future__ import annotations

import numpy as np
import torch  # noqa: F401  so that its import is not counted as the method's time
from benchmarks._scores import KEYS
from benchmarks.recovery.tables import Tables
from benchmarks.recovery.tissue import Tissue
from scipy import sparse

import spatrace_sc as st

#: Number of random ancestors: the number of neighbours in st.pp.transitions.
N_ANCESTORS = 30


def ours(tissue: Tissue, seed: int) -> Tables:
    """Return the tables of one call with default settings."""
    st.tl.infer_ccc(tissue.adata, **tissue.arguments, rng=seed, device="cpu")
    return {task: getattr(st.get, task)(tissue.adata) for task in KEYS}


def random_paths(tissue: Tissue, seed: int) -> Tables:
    """Return the same with random earlier cells as ancestors, so that only time is left."""
    time = tissue.adata.obs[tissue.arguments.get("time_key", "dpt_pseudotime")].to_numpy(
        dtype=float
    )
    tissue.adata.obsp["random"] = random_transitions(time, np.random.default_rng(seed))
    arguments = tissue.arguments | {"transitions_key": "random"}
    st.tl.infer_ccc(tissue.adata, **arguments, rng=seed, device="cpu")
    return {task: getattr(st.get, task)(tissue.adata) for task in KEYS}


def random_transitions(time: np.ndarray, rng: np.random.Generator) -> sparse.csr_matrix:
    """Return (cells, cells) transitions from 30 random earlier cells, row = earlier cell.

    All have the same weight; the first cell and cells without a time have none.
    """
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
