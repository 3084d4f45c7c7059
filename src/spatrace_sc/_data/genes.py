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
from .._check import closest, name_of_column, shorten
from .._errors import DataError, MissingKeyError
from .flags import is_flagged
from .gene_names import NO_NAME, complex_hint, find_genes, hint_at_ensembl, listed_names, stable_id
from .missing_genes import hint_at_raw, report_missing
from .on_disk import OnDisk, blocks_of

logger = logging.getLogger("spatrace_sc")

#: Largest number of default targets.
MAX_DEFAULT_TARGETS = 300
#: Default targets are detected in at least this share of the cells.
MIN_DETECTED = 0.05


def flagged(adata: AnnData, argument: str) -> list[str]:
    """Return the genes whose role is flagged in ``var``."""
    column = _keys.ROLES[argument]
    if column not in adata.var:
        raise MissingKeyError(
            f"`{argument}` was not given and `adata.var[{column!r}]` does not exist. Call "
            "`st.pp.gene_roles(adata, ligands=..., receptors=..., tfs=...)` first or pass the "
            f"genes as `{argument}`."
        )
    mask = is_flagged(adata, column)
    if not mask.any():
        raise DataError(
            f"`{argument}` was not given and `adata.var[{column!r}]` flags no gene; call "
            f"`st.pp.gene_roles` again or pass the genes as `{argument}`."
        )
    return list(adata.var_names[mask])


def default_targets(
    adata: AnnData,
    regulators: set[str],
    matrix: sparse.csr_matrix | NDArray[np.floating] | OnDisk,
    n_measured: NDArray[np.integer] | None = None,
) -> list[str]:
    """Return the targets to take when none are named; never a regulator.

    They are the most variable genes among those detected in 5 % of the cells, at most 300; only
    highly variable genes where these are flagged. Up to 300 of those are taken as they are.
    ``n_measured`` (genes,) are the cells in which each gene was measured; in the others the
    matrix holds 0. None: all.
    """
    candidates, kind = ~np.isin(adata.var_names.astype(str), list(regulators)), "genes"
    if "highly_variable" in adata.var:
        variable = is_flagged(adata, "highly_variable")
        candidates, kind = candidates & variable, "highly variable genes"
        if not candidates.any():
            raise DataError(
                f"`targets` was not given, and none of the {int(variable.sum())} genes that "
                "`adata.var['highly_variable']` flags is without another role; name the genes to "
                "explain as `targets`."
            )
        if candidates.sum() <= MAX_DEFAULT_TARGETS:
            logger.info(
                "targets: %d highly variable genes without another role.", int(candidates.sum())
            )
            return list(adata.var_names[candidates])
    mean, square, share = _moments(matrix, n_measured)
    candidates &= share >= MIN_DETECTED
    variance = np.where(candidates, square - mean**2, -1.0)
    order = [k for k in np.argsort(-variance, kind="stable") if variance[k] > 0]
    chosen = order[:MAX_DEFAULT_TARGETS]
    logger.info(
        "targets: the %d most variable of %d %s without another role detected in at least 5 %% "
        "of cells.%s",
        *(len(chosen), int(candidates.sum()), kind),
        " Pass `targets` to choose others." if len(order) > len(chosen) else "",
    )
    return list(adata.var_names[np.array(chosen, dtype=np.intp)])


def _moments(
    matrix: sparse.csr_matrix | NDArray[np.floating] | OnDisk,
    n_measured: NDArray[np.integer] | None,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return (genes,) mean, mean square and share of cells above 0, summed block by block."""
    sums = np.zeros((3, matrix.shape[1]))
    for block in blocks_of(matrix):
        values = block.astype(np.float64)
        square = (
            values.multiply(values) if isinstance(values, sparse.csr_matrix) else np.square(values)
        )
        for total, terms in zip(sums, (values, square, values > 0), strict=True):
            total += np.asarray(terms.sum(axis=0)).ravel()
    mean, square, detected = sums / np.maximum(
        1, matrix.shape[0] if n_measured is None else n_measured
    )
    return mean, square, detected


def match(
    adata: AnnData,
    names: Sequence[str],
    argument: str,
    symbols: NDArray[np.object_] | None = None,
    column: str | None = None,
    *,
    published: bool = False,
    needed: bool = True,
) -> NDArray[np.bool_]:
    """Return the (genes,) mask of the named genes, and log how many names matched.

    Fewer than half draw a warning, unless the list is ``published``; none at all is an error that
    names a likely reason, if any gene is ``needed``. ``symbols`` are the names to match, taken
    from ``column`` of ``var``.
    """
    wanted = listed_names(names, argument)
    available = np.asarray(adata.var_names if symbols is None else symbols, dtype=str)
    matched = find_genes(wanted, available, argument)
    if not matched and needed:
        raise DataError(
            f"none of the {len(wanted)} `{argument}` is in the data "
            f"({shorten(sorted(wanted), 3)} against {shorten(available, 3)})."
            f"{explain_no_match(adata, set(wanted), available)}"
        )
    missing = sorted(set(wanted) - set(matched))
    report_missing(
        *(adata, missing, len(wanted), argument, available), column=column, published=published
    )
    return np.isin(available, list(matched.values()))


def symbols_of(adata: AnnData, column: str | None) -> NDArray[np.object_] | None:
    """Return the names in a column of ``var`` to match genes by; None for ``var_names``."""
    if column is None:
        return None
    name_of_column(column, "gene_symbols")
    if column not in adata.var:
        columns = adata.var.columns
        raise MissingKeyError(
            f"`gene_symbols={column!r}` is not in `adata.var`; it has {shorten(columns, 15)}."
            f"{closest(column, columns)}"
        )
    names = adata.var[column].astype(object)
    symbols: NDArray[np.object_] = (
        names.where(names.notna(), "nan").astype(str).to_numpy(dtype=object)
    )
    return symbols


def gene_labels(adata: AnnData, symbols: NDArray[np.object_] | None) -> dict[str, str]:
    """Return the label in results of every gene, by its name in ``var_names``."""
    if symbols is None:
        return {name: name for name in adata.var_names.astype(str)}
    return labels_of(adata, symbols)


def full_names(adata: AnnData, symbols: NDArray[np.object_] | None) -> list[str]:
    """Return the names of all genes for messages, such as "COL1A1 (ENSG00000108821)"."""
    names = adata.var_names.astype(str)
    if symbols is None:
        return list(names)
    return [
        n if s in NO_NAME or s == n else f"{s} ({n})" for n, s in zip(names, symbols, strict=True)
    ]


def names_by_label(adata: AnnData, column: str | None) -> dict[str, str]:
    """Return the name in ``var_names`` of every gene, by its label in results."""
    labels = gene_labels(adata, symbols_of(adata, column))
    return {label: name for name, label in labels.items()}


def labels_of(adata: AnnData, symbols: NDArray[np.object_]) -> dict[str, str]:
    """Return the label in results of every gene, by its name in ``var_names``.

    The label is the symbol, followed by the name where several genes share the symbol; a gene
    without a symbol is labelled by its name.
    """
    shared = set(symbols[pd.Series(symbols).duplicated(keep=False).to_numpy()])
    names = adata.var_names.astype(str)
    return {
        n: n if s in NO_NAME else f"{s} ({n})" if s in shared else str(s)
        for n, s in zip(names, symbols, strict=True)
    }


def explain_no_match(
    adata: AnnData, wanted: set[str], available: NDArray[np.str_], verb: str = "st.pp.gene_roles"
) -> str:
    """Return a likely reason why no name given to ``verb`` is in the data, and the remedy."""
    upper = {stable_id(w).upper() for w in wanted}
    if upper & {stable_id(a).upper() for a in available}:
        return (
            " They match when upper and lower case are ignored: mouse genes are written 'Wnt5a', "
            "human ones 'WNT5A'."
        )
    for column in adata.var.columns:
        values = adata.var[column]
        if values.dtype == object or str(values.dtype) in {"category", "string", "str"}:
            shared = upper & {stable_id(str(v)).upper() for v in values}
            if shared:
                return (
                    f" {len(shared)} of them are in `adata.var[{column!r}]`: pass "
                    f"`gene_symbols={column!r}` to `{verb}` and `st.tl.infer_ccc`."
                )
    return (
        complex_hint(wanted, available)
        or hint_at_raw(adata, wanted)
        or hint_at_ensembl(wanted, available)
        or " Check species and identifiers."
    )
