"""Rows of a matrix that are identical."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Values that are multiplied at a time.
BLOCK_VALUES = 10_000_000


def identical_rows(
    values: NDArray[np.floating],
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the first of each set of identical rows, and the set of every row.

    Sets are numbered in the order of their first rows, so that distinct rows are numbered 0, 1, 2
    and so on. Rows are compared by their product with one random vector, each summed in the same
    order; -0.0 equals 0.0.
    """
    weights = np.random.default_rng(0).normal(size=values.shape[1])
    key = np.empty(len(values))
    step = max(1, BLOCK_VALUES // max(1, values.shape[1]))
    for start in range(0, len(values), step):
        block = np.ascontiguousarray(values[start : start + step], dtype=np.float64)
        key[start : start + step] = (block * weights).sum(axis=1)
    _, first, row_set = np.unique(key, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(order), dtype=np.intp)
    rank[order] = np.arange(len(order))
    return first[order].astype(np.intp), rank[row_set]
