"""Means in place of genes that were not measured in a slice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .expression import columns
from .matrix_forms import InMemory
from .unmeasured import Unmeasured

#: What the warning says.
IMPUTED = (
    "There, each of them has its mean over the cells of the same type in the slices that measured "
    "it. Effects of and on these genes rest on those slices."
)


def imputed(
    values: NDArray[np.float32],
    missing: NDArray[np.bool_],
    types: NDArray[np.generic],
    counted: NDArray[np.bool_],
) -> NDArray[np.float32]:
    """Return (cells, genes) values in which those that are missing are means of the gene.

    A mean is taken over the cells of the same type in which the gene was measured, or over all
    cells in which it was, where the type has none. Cells that are not ``counted`` enter no mean
    and keep their values.
    """
    result = values.copy()
    code = np.unique(np.asarray(types, dtype=str), return_inverse=True)[1]
    for gene in np.flatnonzero(missing.any(axis=0)):
        gap = missing[:, gene] & counted
        measured = ~missing[:, gene] & counted
        if not measured.any():
            continue
        level = values[measured, gene].astype(np.float64)
        total = np.bincount(code[measured], level, minlength=code.max() + 1)
        n = np.bincount(code[measured], minlength=code.max() + 1)
        mean = np.where(n > 0, total / np.maximum(n, 1), level.mean())
        result[gap, gene] = mean[code[gap]]
    return result


def imputed_matrix(
    matrix: InMemory,
    unmeasured: Unmeasured | None,
    genes: NDArray[np.integer],
    types: NDArray[np.generic],
    counted: NDArray[np.bool_],
) -> InMemory:
    """Return a matrix of all cells with :func:`imputed` values of some genes.

    The given matrix is not changed.
    """
    if unmeasured is None:
        return matrix
    chosen = np.asarray(genes)[unmeasured.mask[:, genes].any(axis=0)]
    missing = unmeasured.missing(chosen)
    filled = imputed(columns(matrix, chosen), missing, types, counted)
    cell, gene = np.nonzero(missing)
    if isinstance(matrix, np.ndarray):
        result = matrix.copy()
        result[cell, chosen[gene]] = filled[cell, gene]
        return result
    entries = sparse.csr_matrix(
        (filled[cell, gene], (cell, chosen[gene])), shape=matrix.shape, dtype=matrix.dtype
    )
    return sparse.csr_matrix(matrix + entries)
