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
from .._errors import DataError, MissingKeyError, warn
from .on_disk import OnDisk, in_memory, is_on_disk, is_stored_by_gene, stored_values

logger = logging.getLogger("spatrace_sc")

#: Largest value that log-normalised expression plausibly has.
MAX_LOG_VALUE = 20
#: Number of values that are tested for being whole numbers.
N_PROBED_VALUES = 100_000


def expression(
    adata: AnnData, layer: str | None, *, refuse_raw: bool = False
) -> sparse.csr_matrix | NDArray[np.floating] | OnDisk:
    """Return ``X`` or a layer, checked to be finite, with unique genes.

    Values that look like raw counts draw a warning, or an error with ``refuse_raw``. A matrix on
    disk stays there: a few of its cells are judged now, the others are checked as they are read.
    """
    if not adata.var_names.is_unique:
        repeated = adata.var_names[adata.var_names.duplicated()].unique()
        raise DataError(
            f"`adata.var_names` has {len(repeated)} repeated names ({shorten(repeated, 5)}); call "
            "`adata.var_names_make_unique()` or merge them."
        )
    matrix, name = matrix_of(adata, layer)
    if isinstance(matrix, OnDisk):
        values = matrix.probe()
        check_values(values, name, "at least ")
        _check_not_raw(values, name, refuse_raw)
        return matrix
    matrix = sparse.csr_matrix(matrix) if sparse.issparse(matrix) else np.asarray(matrix)
    values = stored_values(matrix)
    check_values(values, name)
    _check_not_raw(values, name, refuse_raw)
    return matrix


def matrix_of(adata: AnnData, layer: str | None) -> tuple[Any, str]:
    """Return ``X`` or a layer, unchecked, and its name in messages.

    A matrix on disk stays there, unless it is stored by gene.
    """
    if layer is not None and layer not in adata.layers:
        available = [k for k in adata.layers if k is not None]
        raise MissingKeyError(
            f"`layer={layer!r}` is not in `adata.layers`; it has {shorten(available)}."
            f"{closest(layer, available)}"
        )
    matrix = adata.X if layer is None else adata.layers[layer]
    name = "`adata.X`" if layer is None else f"`adata.layers[{layer!r}]`"
    if matrix is None:
        raise DataError(
            f"{name} is empty; store log-normalised expression there or name a `layer`."
        )
    if not is_on_disk(matrix):
        return matrix, name
    if is_stored_by_gene(matrix):
        logger.info(
            "%s is stored by gene (CSC), so all of it is read; stored by cell (CSR) it could "
            "stay on disk.",
            name,
        )
        return in_memory(matrix), name
    return OnDisk(matrix, partial(check_values, name=name, at_least="at least ")), name


def columns(
    matrix: sparse.csr_matrix | NDArray[np.floating] | OnDisk, index: NDArray[np.integer]
) -> NDArray[np.float32]:
    """Return some columns as a dense float32 array."""
    if isinstance(matrix, OnDisk):
        return matrix.columns(index)
    chosen = matrix[:, index]
    return np.asarray(
        chosen.toarray() if isinstance(chosen, sparse.csr_matrix) else chosen, dtype=np.float32
    )


def check_values(values: NDArray[Any], name: str, at_least: str = "") -> None:
    """Require finite values, none of them negative. ``at_least`` qualifies the count of NaN."""
    if not np.isfinite(values).all():
        raise DataError(
            f"{name} has {at_least}{int((~np.isfinite(values)).sum())} NaN or inf values; fill or "
            "drop them, e.g. with `np.nan_to_num`."
        )
    if values.size and values.min() < 0:
        raise DataError(
            f"{name} has negative values (smallest {values.min():.3g}); log-normalised expression "
            "is needed, not scaled. Name the `layer` that holds it."
        )


def _check_not_raw(values: NDArray[Any], name: str, refuse: bool) -> None:
    """Warn, or raise with ``refuse``, if values look like raw counts."""
    if not values.size or values.max() <= 0:
        return
    flat = values.ravel()
    probe = flat[:: max(1, flat.size // N_PROBED_VALUES)]
    largest = float(values.max())
    if largest > 1.5 and np.array_equal(probe, np.round(probe)):
        finding = "holds whole numbers and looks like raw counts"
    elif largest > MAX_LOG_VALUE:
        finding = f"has values up to {largest:.3g} and does not look log-normalised"
    else:
        return
    message = (
        f"{name} {finding}; log-normalised expression is expected: "
        "`sc.pp.normalize_total(adata, target_sum=1e4); sc.pp.log1p(adata)`, or name the `layer` "
        "that holds it."
    )
    if refuse:
        raise DataError(
            f"{message} Pseudotime of raw counts follows sequencing depth, so it is not computed."
        )
    warn(message)
