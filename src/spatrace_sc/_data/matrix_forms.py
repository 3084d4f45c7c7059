"""One form of every kind of matrix that an AnnData can hold."""

from __future__ import annotations

import numbers
from decimal import Decimal
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from .._check import shorten
from .._errors import DataError

#: A matrix in memory.
InMemory: TypeAlias = "sparse.csr_matrix | NDArray[np.floating]"
#: Formats of sparse matrices whose values and indices are read as they are.
DIRECT_FORMATS = ("csr", "csc", "coo")


def canonical(matrix: Any, name: str) -> InMemory:
    """Return a matrix in memory as CSR or as a C-ordered array, in float32 or float64.

    Entries of a sparse matrix are sorted, and duplicates are summed. The given matrix is never
    changed; memory is shared with it where it has this form already.

    Raises
    ------
    DataError
        If the matrix holds text, complex numbers, dates or masked values, or is of another kind.
    """
    if sparse.issparse(matrix):
        return _canonical_sparse(matrix, name)
    if isinstance(matrix, pd.DataFrame):
        matrix = matrix.to_numpy()
    if not isinstance(matrix, np.ndarray):
        raise DataError(
            f"{name} is a {type(matrix).__module__}.{type(matrix).__name__}; convert it to a "
            "numpy array or a scipy sparse matrix."
        )
    masked = matrix.mask if isinstance(matrix, np.ma.MaskedArray) else False
    n_masked = int(np.sum(masked))
    if n_masked:
        raise DataError(
            f"{name} is a masked array with {n_masked} masked values; fill them, e.g. with "
            "`.filled(0)`, or drop those cells or genes."
        )
    if matrix.ndim != 2:
        raise DataError(f"{name} must have two dimensions, found shape {matrix.shape}.")
    return np.ascontiguousarray(as_floats(np.asarray(matrix), name))


def as_array(matrix: Any, name: str) -> NDArray[np.float64]:
    """Return any small matrix in memory as a dense float64 array."""
    values = canonical(matrix, name)
    dense = values.toarray() if isinstance(values, sparse.csr_matrix) else values
    return dense.astype(np.float64)


def _canonical_sparse(matrix: Any, name: str) -> sparse.csr_matrix:
    """Return a sparse matrix of any format as CSR, sorted, with summed duplicates."""
    if matrix.ndim != 2:
        raise DataError(f"{name} must have two dimensions, found shape {matrix.shape}.")
    if matrix.format not in DIRECT_FORMATS:
        matrix = matrix.tocoo()
    # values first: scipy cannot convert formats of object or float16 matrices
    values = as_floats(matrix.data, name)
    if matrix.format == "coo":
        entries = sparse.coo_matrix((values, (matrix.row, matrix.col)), shape=matrix.shape)
        return entries.tocsr()
    if matrix.format == "csc":
        by_gene = sparse.csc_matrix((values, matrix.indices, matrix.indptr), shape=matrix.shape)
        result = by_gene.tocsr()
    else:
        result = sparse.csr_matrix((values, matrix.indices, matrix.indptr), shape=matrix.shape)
    if not result.has_canonical_format:
        result = result.copy()
        result.sum_duplicates()
    return result


def as_floats(values: NDArray[Any], name: str) -> NDArray[np.floating]:
    """Return values as float32 where that is exact, otherwise as float64."""
    kind = values.dtype.kind
    if kind == "O":
        return _floats_of_objects(values, name)
    if kind not in "fiub":
        raise DataError(f"{name} must hold numbers, found values of type {values.dtype}.")
    if values.dtype in (np.float32, np.float64) and values.dtype.isnative:
        return values
    # float32 holds every number of at most 2 bytes exactly
    exact = values.dtype.itemsize <= 2 or values.dtype.newbyteorder("=") == np.float32
    return values.astype(np.float32 if exact else np.float64)


def _floats_of_objects(values: NDArray[np.object_], name: str) -> NDArray[np.float64]:
    """Return Python numbers as float64; None and ``pd.NA`` become NaN."""
    flat = values.ravel()
    missing = pd.isna(flat)
    wrong = {type(v) for v in flat[~missing]} - {float, int}
    wrong = {t for t in wrong if not issubclass(t, numbers.Real | np.number | np.bool_ | Decimal)}
    if wrong:
        example = next(v for v in flat if type(v) in wrong)
        raise DataError(
            f"{name} must hold numbers, found {shorten(sorted(t.__name__ for t in wrong))} in an "
            f"array of objects, e.g. {str(example)[:40]!r}. Convert it: `.astype(float)`."
        )
    floats = np.full(flat.shape, np.nan)
    floats[~missing] = flat[~missing].astype(np.float64)
    return floats.reshape(values.shape)
