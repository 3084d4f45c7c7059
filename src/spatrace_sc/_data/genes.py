"""Genes of every role, matched by name or symbol."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from scipy import sparse

from .. import _keys
from .._check import closest, shorten
from .._errors import DataError, MissingKeyError
from .missing_genes import in_raw, tell_missing
from .on_disk import OnDisk, blocks_of

logger = logging.getLogger("spatrace_sc")

#: What missing names look like as text.
NO_NAME = {"", "nan", "None", "<NA>"}


#: Targets taken when none are named and no highly variable genes are flagged.
MAX_DEFAULT_TARGETS = 1000


def flagged(adata: AnnData, argument: str) -> list[str]:
    """Genes whose role is flagged in ``var``."""
    column = _keys.ROLES[argument]
    if column not in adata.var:
        raise MissingKeyError(
            f"`{argument}` was not given and `adata.var[{column!r}]` does not exist. Call `st.pp.gene_roles(adata, ligands=..., receptors=..., tfs=...)` first or pass the genes as `{argument}`."
        )
    flags = adata.var[column]
    mask = flags.where(flags.notna(), False).astype(bool).to_numpy()
    if not mask.any():
        raise DataError(
            f"`{argument}` was not given and `adata.var[{column!r}]` flags no gene; call `st.pp.gene_roles` again or pass the genes as `{argument}`."
        )
    return list(adata.var_names[mask])


def default_targets(
    adata: AnnData, regulators: set[str], matrix: sparse.csr_matrix | NDArray[np.floating] | OnDisk
) -> list[str]:
    """Highly variable genes when they are flagged; otherwise the most variable of those seen in 5 % of cells. Never a regulator."""
    if "highly_variable" in adata.var:
        chosen = adata.var_names[adata.var["highly_variable"].to_numpy(dtype=bool)]
        kept = [g for g in chosen if g not in regulators]
        logger.info("targets: %d highly variable genes without another role.", len(kept))
        return kept
    mean, square, share = _moments(matrix)
    seen = share >= 0.05
    spread = np.where(seen, square - mean**2, -1.0)
    order = [
        k
        for k in np.argsort(-spread, kind="stable")
        if spread[k] > 0 and adata.var_names[k] not in regulators
    ]
    logger.info(
        "targets: the %d most variable of %d genes seen in at least 5 %% of cells.",
        min(len(order), MAX_DEFAULT_TARGETS),
        int(seen.sum()),
    )
    return list(adata.var_names[np.array(order[:MAX_DEFAULT_TARGETS], dtype=np.intp)])


def _moments(
    matrix: sparse.csr_matrix | NDArray[np.floating] | OnDisk,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """(genes,) mean, mean square and share of cells above 0, summed block by block."""
    sums = np.zeros((3, matrix.shape[1]))
    for block in blocks_of(matrix):
        values = block.astype(np.float64)
        square = (
            values.multiply(values) if isinstance(values, sparse.csr_matrix) else np.square(values)
        )
        for total, part in zip(sums, (values, square, values > 0), strict=True):
            total += np.asarray(part.sum(axis=0)).ravel()
    mean, square, seen = sums / max(1, matrix.shape[0])
    return mean, square, seen


def match(
    adata: AnnData,
    names: Sequence[str],
    argument: str,
    symbols: NDArray[np.object_] | None = None,
    column: str | None = None,
) -> NDArray[np.bool_]:
    """Mask over genes. Logs how many were found, and warns if it is less than half; none is an error that names a likely reason. ``column`` is where the symbols are from."""
    wanted = {str(n) for n in ([names] if isinstance(names, str) else names)} - NO_NAME
    have = np.asarray(adata.var_names if symbols is None else symbols, dtype=str)
    mask = np.isin(have, list(wanted))
    found = set(have[mask])
    if not found:
        raise DataError(
            f"none of the {len(wanted)} `{argument}` is in the data ({shorten(sorted(wanted), 3)} against {shorten(have, 3)}).{_reason(adata, wanted, have)}"
        )
    tell_missing(adata, sorted(wanted - found), len(wanted), argument, have, column)
    return mask


def symbols_of(adata: AnnData, column: str | None) -> NDArray[np.object_] | None:
    """Names to match genes by, from a column of ``var``; None for ``var_names``."""
    if column is None:
        return None
    if column not in adata.var:
        raise MissingKeyError(
            f"`gene_symbols={column!r}` is not in `adata.var`; it has {shorten(adata.var.columns, 15)}.{closest(column, adata.var.columns)}"
        )
    named = adata.var[column].astype(object)
    symbols: NDArray[np.object_] = (
        named.where(named.notna(), "nan").astype(str).to_numpy(dtype=object)
    )
    return symbols


def names_by_label(adata: AnnData, column: str | None) -> dict[str, str]:
    """What genes are called in results → their names in ``var_names``."""
    symbols = symbols_of(adata, column)
    if symbols is None:
        return {n: n for n in adata.var_names.astype(str)}
    return {label: name for name, label in labels_of(adata, symbols).items()}


def labels_of(adata: AnnData, symbols: NDArray[np.object_]) -> dict[str, str]:
    """What each gene is called in results: its symbol; with its name in ``var_names`` where several genes share the symbol; that name alone where it has none."""
    shared = set(symbols[pd.Series(symbols).duplicated(keep=False).to_numpy()])
    names = adata.var_names.astype(str)
    return {
        n: n if s in NO_NAME else f"{s} ({n})" if s in shared else str(s)
        for n, s in zip(names, symbols, strict=True)
    }


def _reason(
    adata: AnnData, wanted: set[str], have: NDArray[np.str_], verb: str = "st.pp.gene_roles"
) -> str:
    """Why none of the names given to ``verb`` may be in the data, and what to do."""
    upper = {w.upper() for w in wanted}
    if upper & {h.upper() for h in have}:
        return " They match when upper and lower case are ignored: mouse genes are written 'Wnt5a', human ones 'WNT5A'."
    for column in adata.var.columns:
        values = adata.var[column]
        if values.dtype == object or str(values.dtype) in {"category", "string", "str"}:
            share = upper & {str(v).upper() for v in values}
            if share:
                return f" {len(share)} of them are in `adata.var[{column!r}]`: pass `gene_symbols={column!r}` to `{verb}` and `st.tl.infer_ccc`."
    return in_raw(adata, wanted) or " Check species and identifiers."
