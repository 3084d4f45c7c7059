"""Matrices between cells: the one reader of ``obsp``."""

from __future__ import annotations

from typing import Any

import numpy as np
from anndata import AnnData
from scipy import sparse

from .._errors import DataError, InvalidArgumentError
from .on_disk import in_memory

#: Largest number of entries of a dense matrix (0.8 GB).
MAX_DENSE = 10_000**2


def stored_matrix(adata: AnnData, key: str) -> sparse.csr_matrix:
    """Return ``obsp[key]`` in any form as CSR, entries checked; the key must exist."""
    return as_sparse(adata.obsp[key], f"`adata.obsp[{key!r}]`", adata.n_obs)


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
