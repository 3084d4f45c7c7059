"""Histories of cells: the expected state of their ancestors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse


def expected_history(
    backward: sparse.csr_matrix, values: NDArray[np.floating], *, n_lags: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Mean of ``values`` over all paths that lead to a cell, one step back, two steps back, ...

    It is the expectation over paths sampled backwards from cell i that are at least k steps long::

        H[i, k] = sum over j of B^k[i, j] * values[j] / sum over j of B^k[i, j]

    Averaging over paths, instead of sampling one, removes the sampling noise and denoises low
    counts. The number of lags is the same.

    Parameters
    ----------
    backward
        (cells, cells) CSR; row = later cell, column = earlier cell. Rows sum to 1; rows of first
        cells are empty. It must be free of cycles, so that no cell is its own ancestor.
    values
        (cells, features).
    n_lags
        Steps to go back.

    Returns
    -------
    (cells, n_lags + 1, features) float32 in temporal order, the cell's own values last; and
    (cells, n_lags + 1) whether the step exists. Steps before the first cell of all paths are 0.
    """
    n, width = values.shape
    history = np.zeros((n, n_lags + 1, width), dtype=np.float32)
    exists = np.zeros((n, n_lags + 1), dtype=bool)
    current = np.asarray(values, dtype=np.float32)
    mass = np.ones(n, dtype=np.float32)
    history[:, -1], exists[:, -1] = current, True
    for lag in range(1, n_lags + 1):
        current, mass = backward @ current, backward @ mass
        reached = mass > 1e-6
        history[reached, n_lags - lag] = current[reached] / mass[reached, None]
        exists[:, n_lags - lag] = reached
    return history, exists
