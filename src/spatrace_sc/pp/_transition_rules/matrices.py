"""Transitions from a cells × cells matrix of the user's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from ..._check import shorten
from ..._data.on_disk import in_memory
from ..._errors import DataError, InvalidArgumentError, MissingKeyError
from .cells import Cells, Notes

#: Largest number of entries of a dense matrix (0.8 GB).
MAX_DENSE = 10_000**2


@dataclass(frozen=True)
class Given:
    """A cells × cells matrix, row = earlier cell; ``name`` stands for it in messages."""

    matrix: Any
    name: str = "`method`"

    def __call__(self, cells: Cells) -> tuple[sparse.csr_matrix, Notes]:
        """Return the matrix among the cells, and notes."""
        return among(cells, as_sparse(self.matrix, self.name, cells.adata.n_obs))


@dataclass(frozen=True)
class Stored:
    """A slot of ``obsp``, row = earlier cell."""

    key: str

    def __call__(self, cells: Cells) -> tuple[sparse.csr_matrix, Notes]:
        """Return the matrix among the cells, and notes."""
        if self.key not in cells.adata.obsp:
            raise MissingKeyError(
                f"{self.key!r} is not in `adata.obsp`; it has {shorten(cells.adata.obsp.keys())}."
            )
        return Given(cells.adata.obsp[self.key], f"`adata.obsp[{self.key!r}]`")(cells)


def as_sparse(matrix: Any, name: str, n: int) -> sparse.csr_matrix:
    """Return a sparse or small dense (n, n) matrix as CSR, entries checked."""
    matrix = in_memory(matrix)
    if not sparse.issparse(matrix):
        values = np.asarray(matrix)
        if values.dtype.kind not in "fiub" or values.ndim != 2:
            raise InvalidArgumentError(
                f"{name} must be a matrix of numbers, found {type(matrix).__name__}."
            )
        if values.size > MAX_DENSE:
            raise InvalidArgumentError(
                f"{name} is dense with {values.shape[0]} × {values.shape[1]} entries; above "
                f"{MAX_DENSE:.0e} only sparse matrices are accepted. Retain the largest entries "
                "of each row as scipy.sparse.csr_matrix."
            )
        matrix = values
    if matrix.shape != (n, n):
        raise InvalidArgumentError(
            f"{name} has shape {matrix.shape}; cells × cells of the data is {(n, n)}."
        )
    result = sparse.csr_matrix(matrix, dtype=np.float64)
    if not np.isfinite(result.data).all() or (result.data < 0).any():
        raise DataError(
            f"{name} has negative or non-finite entries; it must hold transition probabilities."
        )
    return result


def among(cells: Cells, matrix: sparse.csr_matrix) -> tuple[sparse.csr_matrix, Notes]:
    """Return the block of the analysed cells, and the share of mass that led to other cells.

    Rows of the block are not rescaled.
    """
    index = np.flatnonzero(cells.mask)
    rows = matrix[index]
    block = rows[:, index]
    total = float(rows.sum())
    return block, {"outside": 1.0 - float(block.sum()) / total if total > 0 else 0.0}
