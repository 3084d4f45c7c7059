"""Expression matrices, checked."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray
from scipy import sparse

from .._check import closest, shorten
from .._errors import DataError, MissingKeyError
from .on_disk import OnDisk, by_gene, check_values, in_memory, is_on_disk, judge_raw, values_of

logger = logging.getLogger("spatrace_sc")


def expression(
    adata: AnnData, layer: str | None, *, refuse_raw: bool = False
) -> sparse.csr_matrix | NDArray[np.floating] | OnDisk:
    """``X`` or a layer, finite and with unique genes. Warns, or refuses, when it looks like raw counts.

    What is on disk stays there: whether it is raw is judged from a few cells, the rest is checked as it is read.
    """
    if not adata.var_names.is_unique:
        repeated = adata.var_names[adata.var_names.duplicated()].unique()
        raise DataError(
            f"`adata.var_names` has {len(repeated)} repeated names ({shorten(repeated, 5)}); call `adata.var_names_make_unique()` or merge them."
        )
    matrix, where = matrix_of(adata, layer)
    if isinstance(matrix, OnDisk):
        values = matrix.probe()
        check_values(values, where, "at least ")
        judge_raw(values, where, refuse_raw)
        return matrix
    matrix = sparse.csr_matrix(matrix) if sparse.issparse(matrix) else np.asarray(matrix)
    values = values_of(matrix)
    check_values(values, where)
    judge_raw(values, where, refuse_raw)
    return matrix


def matrix_of(adata: AnnData, layer: str | None) -> tuple[Any, str]:
    """``X`` or a layer, unchecked, and what it is called in messages. What is on disk stays there, unless it is stored by gene."""
    if layer is not None and layer not in adata.layers:
        named = [k for k in adata.layers if k is not None]
        raise MissingKeyError(
            f"`layer={layer!r}` is not in `adata.layers`; it has {shorten(named)}.{closest(layer, named)}"
        )
    matrix = adata.X if layer is None else adata.layers[layer]
    where = "`adata.X`" if layer is None else f"`adata.layers[{layer!r}]`"
    if matrix is None:
        raise DataError(
            f"{where} is empty; store log-normalised expression there or name a `layer`."
        )
    if not is_on_disk(matrix):
        return matrix, where
    if by_gene(matrix):
        logger.info(
            "%s is stored by gene (CSC), so all of it is read; stored by cell (CSR) it could stay on disk.",
            where,
        )
        return in_memory(matrix), where
    return OnDisk(matrix, partial(check_values, where=where, least="at least ")), where


def columns(
    matrix: sparse.csr_matrix | NDArray[np.floating] | OnDisk, index: NDArray[np.integer]
) -> NDArray[np.float32]:
    """Dense float32 columns."""
    if isinstance(matrix, OnDisk):
        return matrix.columns(index)
    chosen = matrix[:, index]
    return np.asarray(
        chosen.toarray() if isinstance(chosen, sparse.csr_matrix) else chosen, dtype=np.float32
    )
