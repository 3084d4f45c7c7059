"""Mean level of every gene, by which the counts of other cells are put on the same scale."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .._core.counts import MAX_LOG, units_of_cells
from .._errors import DataError
from .matrix_forms import InMemory
from .on_disk import OnDisk, blocks_of


def mean_levels(
    matrix: InMemory | OnDisk, unit: NDArray[np.float64], cells: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """(genes,) mean linear level over some ``cells``, a mask.

    ``matrix`` holds log1p of normalised counts, and ``unit`` (cells,) the value that one molecule
    is to have in each cell.
    """
    total = np.zeros(matrix.shape[1])
    start = 0
    for block in blocks_of(matrix):
        rows = slice(start, start + block.shape[0])
        start += block.shape[0]
        units = units_of_cells(block)
        if units is None:
            raise DataError("the matrix does not hold log1p of normalised counts.")
        weight = np.where(cells[rows] & np.isfinite(units[0]), unit[rows] / units[0], 0.0)
        linear = sparse.csr_matrix(block, dtype=np.float64, copy=True)
        linear.data = np.expm1(np.minimum(linear.data, MAX_LOG))
        total += linear.T @ weight
    return total / max(1, int(cells.sum()))


def on_scale(matrix: InMemory, factor: float) -> InMemory:
    """Return log1p of the linear values of a matrix times a factor."""
    if isinstance(matrix, np.ndarray):
        return _times(matrix, factor)
    values = _times(matrix.data, factor)
    return sparse.csr_matrix((values, matrix.indices, matrix.indptr), shape=matrix.shape)


def _times(logged: NDArray[np.floating], factor: float) -> NDArray[np.floating]:
    linear = np.expm1(np.minimum(logged.astype(np.float64), MAX_LOG))
    return np.log1p(factor * linear).astype(logged.dtype)
