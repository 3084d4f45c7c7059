"""Histories of cells: what their likely ancestors looked like."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse


def expected_history(
    backward: sparse.csr_matrix, values: NDArray[np.floating], *, n_lags: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Mean of ``values`` over all paths that lead to a cell, one step back, two steps back, and so on.

    ``H[i, k] = Σ_j (B^k)[i, j] · values[j] / Σ_j (B^k)[i, j]``, the expectation over paths sampled backwards from *i* that are at least *k* steps long.
    Averaging over paths instead of sampling one removes the sampling noise and denoises low counts; the network sees the same number of lags.

    Parameters
    ----------
    backward
        (cells, cells) CSR; row = later cell, column = earlier cell; rows sum to 1, rows of first cells are empty. Must be free of cycles, so that no
        cell is its own ancestor.
    values
        (cells, features).
    n_lags
        Steps to go back.

    Returns
    -------
    (cells, n_lags + 1, features) float32 in temporal order, the cell's own values last; and (cells, n_lags + 1) whether the step exists. Steps before the
    first cell of all paths are 0.
    """
    n, width = values.shape
    history = np.zeros((n, n_lags + 1, width), dtype=np.float32)
    exists = np.zeros((n, n_lags + 1), dtype=bool)
    current = np.asarray(values, dtype=np.float32)
    mass = np.ones(n, dtype=np.float32)
    history[:, -1], exists[:, -1] = current, True
    for lag in range(1, n_lags + 1):
        current, mass = backward @ current, backward @ mass
        here = mass > 1e-6
        history[here, n_lags - lag] = current[here] / mass[here, None]
        exists[:, n_lags - lag] = here
    return history, exists
