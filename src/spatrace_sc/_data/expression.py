"""Expression matrices, checked: the one reader of ``X``, layers and ``raw``."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray
from scipy import sparse

from .._check import closest, name_of_column, shorten
from .._errors import DataError, MissingKeyError, warn
from .log_base import in_natural_logarithms, name_of
from .matrix_forms import InMemory, canonical
from .on_disk import OnDisk, in_memory, is_on_disk, is_stored_by_gene, probe_of, stored_values
from .remedies import MAX_LOG_VALUE, looks_raw, remedy
from .unmeasured import RULE, Unmeasured, find_unmeasured

logger = logging.getLogger("spatrace_sc")


def expression(adata: AnnData, layer: str | None, *, refuse_raw: bool = False) -> InMemory | OnDisk:
    """Return ``X`` or a layer in natural logarithms, checked to be finite, with unique genes.

    It has the form of :func:`matrix_of`. Values that look like raw counts draw a warning, or an
    error with ``refuse_raw``. A matrix on disk stays there: a few of its cells are judged now, the
    others are checked as they are read.
    """
    return expression_by_slice(adata, layer, None, refuse_raw=refuse_raw)[0]


def expression_by_slice(
    adata: AnnData, layer: str | None, slice_key: str | None, *, refuse_raw: bool = False
) -> tuple[InMemory | OnDisk, Unmeasured | None]:
    """Return :func:`expression`, and the genes that were not measured in some slices.

    These are NaN in every cell of a slice, given by a column of ``obs``. The matrix holds 0 in
    their place, which is not evidence of counts; None: every gene was measured.
    """
    if not adata.var_names.is_unique:
        repeated = adata.var_names[adata.var_names.duplicated()].unique()
        raise DataError(
            f"`adata.var_names` has {len(repeated)} repeated names ({shorten(repeated, 5)}); call "
            "`adata.var_names_make_unique()` or merge them."
        )
    matrix, name = matrix_of(adata, layer)
    unmeasured = find_unmeasured(adata, matrix, name, slice_key)
    if unmeasured is not None:
        zeroed = unmeasured.zeroed
        matrix = matrix.without_nan(zeroed) if isinstance(matrix, OnDisk) else zeroed(matrix)
    hint = partial(remedy, adata, layer)
    probe = probe_of(matrix, name)
    if isinstance(matrix, OnDisk):
        values = np.concatenate([stored_values(block).ravel() for block in probe])
        check_values(values, name, "at least ", hint)
    else:
        values = stored_values(matrix)
        check_values(values, name, "", hint)
        if not values.size or values.max() <= 0:
            raise DataError(f"{name} is 0 in all cells and genes. {hint()}")
    if looks_raw(values):
        _report_scale(f"{name} holds whole numbers and looks like raw counts", refuse_raw)
        return matrix, unmeasured
    matrix = in_natural_logarithms(matrix, probe, adata, layer)
    largest = float(values.max()) if values.size else 0.0
    if not isinstance(matrix, OnDisk):
        largest = float(stored_values(matrix).max())
    elif matrix.convert is not None:
        largest = max(float(stored_values(matrix.convert(block)).max()) for block in probe)
    if largest > MAX_LOG_VALUE:
        finding = f"{name} has values up to {largest:.3g} and does not look log-normalised"
        _report_scale(finding, refuse_raw)
    return matrix, unmeasured


def has_matrix(adata: AnnData, layer: str | None) -> bool:
    """Return whether there is a matrix: a layer that is named, or ``X``."""
    return layer is not None or adata.X is not None


def keeps_matrix_on_disk(adata: AnnData) -> bool:
    """Return whether ``X`` has to be read before it can be computed with."""
    return bool(adata.isbacked) or is_on_disk(adata.X)


def matrix_of(adata: AnnData, layer: str | None) -> tuple[InMemory | OnDisk, str]:
    """Return ``X`` or a layer, values unchecked, and its name in messages.

    It has the one form that :func:`spatrace_sc._data.matrix_forms.canonical` describes. A matrix
    on disk stays there, unless it is stored by gene.
    """
    name_of_column(layer, "layer")
    if layer is not None and layer not in adata.layers:
        available = [k for k in adata.layers if k is not None]
        raise MissingKeyError(
            f"`layer={layer!r}` is not in `adata.layers`; it has {shorten(available)}."
            f"{closest(layer, available)}"
        )
    matrix, name = adata.X if layer is None else adata.layers[layer], name_of(layer)
    if matrix is None:
        available = [k for k in adata.layers if k is not None]
        layers = f" (`adata.layers` has {shorten(available)})" if available else ""
        raise DataError(
            f"{name} is empty; store log-normalised expression there or name a `layer`{layers}."
        )
    if tuple(matrix.shape) != adata.shape or 0 in adata.shape:
        raise DataError(
            f"{name} has the shape {tuple(matrix.shape)}; {adata.n_obs} cells × {adata.n_vars} "
            "genes, at least one of each, are needed."
        )
    if not is_on_disk(matrix):
        return canonical(matrix, name), name
    if is_stored_by_gene(matrix):
        logger.info(
            "%s is stored by gene (CSC), so all of it is read; stored by cell (CSR) it could "
            "stay on disk.",
            name,
        )
        return canonical(in_memory(matrix), name), name
    check = partial(
        check_values, name=name, at_least="at least ", hint=partial(remedy, adata, layer)
    )
    return OnDisk(matrix, name, check), name


def columns(matrix: InMemory | OnDisk, index: NDArray[np.integer]) -> NDArray[np.float32]:
    """Return some columns as a dense float32 array."""
    if isinstance(matrix, OnDisk):
        return matrix.columns(index)
    chosen = matrix[:, index]
    return np.asarray(
        chosen.toarray() if isinstance(chosen, sparse.csr_matrix) else chosen, dtype=np.float32
    )


def check_values(
    values: NDArray[Any], name: str, at_least: str = "", hint: Callable[[], str] | None = None
) -> None:
    """Require finite values within float32, none of them negative.

    ``at_least`` qualifies the count of NaN; ``hint`` returns where better values are.
    """
    if not values.size:
        return
    finite = np.isfinite(values)
    if not finite.all():
        remedy_text = "" if hint is None else f" {hint()}"
        raise DataError(
            f"{name} has {at_least}{int((~finite).sum())} NaN or inf values; fill or "
            f"drop them, e.g. with `np.nan_to_num`.{_slice_rule(values)}{remedy_text}"
        )
    if values.min() < 0:
        remedy_text = "" if hint is None else f" {hint()}"
        raise DataError(
            f"{name} has negative values (smallest {values.min():.3g}); log-normalised expression "
            f"is needed, not scaled.{remedy_text}"
        )
    if values.max() > np.finfo(np.float32).max:
        raise DataError(
            f"{name} has values up to {values.max():.3g}, beyond the range of float32; "
            "log-normalised expression is needed."
        )


def _slice_rule(values: NDArray[Any]) -> str:
    """Return how NaN can state that a gene was not measured, "" where there are none."""
    if not np.isnan(values).any():
        return ""
    return f" {RULE}, if the call names the slices with `sample_key` or `stage_key`."


def _report_scale(finding: str, refuse: bool) -> None:
    """Warn, or raise with ``refuse``, of values that are not log-normalised."""
    message = (
        f"{finding}; log-normalised expression is expected: "
        "`sc.pp.normalize_total(adata, target_sum=1e4); sc.pp.log1p(adata)`, or name the `layer` "
        "that holds it."
    )
    if refuse:
        raise DataError(
            f"{message} Pseudotime of raw counts follows sequencing depth, so it is not computed."
        )
    warn(message)
