"""Genes of a list that are missing from the data, and genes that are rarely detected."""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Mapping

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from scipy import sparse

from .._check import shorten
from .._errors import warn
from .gene_names import complex_hint
from .log_base import name_of
from .on_disk import OnDisk, blocks_of, read_rows

logger = logging.getLogger("spatrace_sc")

#: A list of which a smaller share is in the data draws a warning.
MIN_MATCHED = 0.5
#: Genes detected in a smaller share of the cells are rare.
RARE = 0.01
#: Similarity, 0 to 1, from which on two names may differ by a typing error.
SIMILAR = 0.8
#: Number of missing names that are shown, each with a similar name of the data.
N_SHOWN = 5
#: A gene that others express in this share of cells, so that at least so many detections are
#: expected in a slice, and that is 0 in every cell there, may not have been measured there.
MIN_SHARE, MIN_EXPECTED = 0.05, 20
#: Number of slices, and of genes of each, that are shown.
N_SLICES_SHOWN, N_GENES_SHOWN = 3, 4
#: A line of code lists the genes up to this many.
N_GENES_IN_LINE = 10
#: On disk, detection is estimated from this many cells in this many runs.
N_PROBED_CELLS, N_RUNS = 2000, 8


def report_missing(
    adata: AnnData,
    missing: list[str],
    n_wanted: int,
    argument: str,
    available: NDArray[np.str_],
    *,
    column: str | None,
    published: bool = False,
) -> None:
    """Log how many names of a list are in the data; warn if less than half are.

    Missing names are shown beside similar ones of the data. A few missing names are logged as a
    warning, because they may be typing errors. Of a ``published`` list many names may be missing.
    """
    n_matched = n_wanted - len(missing)
    if published:
        logger.info("%s: %d of %d published names are in the data.", argument, n_matched, n_wanted)
        return
    complexes = complex_hint(missing, available)
    few = 0 < len(missing) <= N_SHOWN and n_matched >= MIN_MATCHED * n_wanted
    detail = f"; not in the data: {_with_similar(missing, available)}" if missing else ""
    logger.log(
        logging.WARNING if few else logging.INFO,
        "%s: %d of %d found%s.%s",
        *(argument, n_matched, n_wanted, detail, complexes),
    )
    if n_matched < MIN_MATCHED * n_wanted:
        warn(
            f"`{argument}`: {n_matched} of {n_wanted} names are in the data, the others are left "
            f"out ({shorten(missing, 3)}).{complexes}{hint_at_raw(adata, missing, column)}"
            " This is expected for a panel of few genes; otherwise check species, spelling and "
            "which genes were filtered out."
        )


def _with_similar(missing: list[str], available: NDArray[np.str_]) -> str:
    """Return the first missing names, each with a similar name of the data."""
    plain_names = {_plain(a): str(a) for a in available}
    shown = [f"{name!r}{_similar(name, plain_names)}" for name in missing[:N_SHOWN]]
    n_more = len(missing) - N_SHOWN
    return ", ".join(shown) + (f" and {n_more} more" if n_more > 0 else "")


def _plain(name: str) -> str:
    """Return a name in lower case, without punctuation and the version of an Ensembl id."""
    return re.sub(r"[^a-z0-9]", "", re.sub(r"(?<=\d{6})\.\d+$", "", str(name)).lower())


def _similar(name: str, plain_names: dict[str, str]) -> str:
    """Return ``" (did you mean 'x'?)"`` or ``""``.

    Names that differ in a digit or in the last letter, such as Fgf2 and Fgf3 or Pdgfra and
    Pdgfrb, are other genes of a family and are not suggested.
    """
    plain = _plain(name)
    if plain in plain_names:
        return f" (did you mean {plain_names[plain]!r}?)"
    digits = re.findall(r"\d+", plain)
    candidates = [
        k
        for k in plain_names
        if plain
        and k
        and (k[0], k[-1]) == (plain[0], plain[-1])
        and re.findall(r"\d+", k) == digits
    ]
    match = difflib.get_close_matches(plain, candidates, n=1, cutoff=SIMILAR)
    return f" (did you mean {plain_names[match[0]]!r}?)" if match else ""


def hint_at_raw(adata: AnnData, missing: list[str] | set[str], column: str | None = None) -> str:
    """Return ``" n of the missing are in `adata.raw`: ..."`` or ``""``."""
    raw = adata.raw
    if raw is None:
        return ""
    by_column = column is not None and column in raw.var
    names = raw.var[column].astype(str) if by_column else raw.var_names
    n_in_raw = len(set(missing) & {str(n) for n in names})
    if not n_in_raw:
        return ""
    return (
        f" {n_in_raw} of the missing are in `adata.raw`: `adata = adata.raw.to_adata()` takes all "
        "its genes."
    )


def rarely_detected(
    matrix: sparse.csr_matrix | NDArray[np.floating] | OnDisk, genes: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], int]:
    """Return which of the chosen genes are above 0 in fewer than 1 % of cells, and of how many.

    All cells are used, or some runs of cells of a matrix on disk.
    """
    index = np.flatnonzero(genes)
    if isinstance(matrix, OnDisk):
        n = matrix.shape[0]
        starts, length = np.array([0]), n
        if n > N_PROBED_CELLS:
            length = N_PROBED_CELLS // N_RUNS
            starts = np.unique(np.linspace(0, n - length, N_RUNS).astype(int))
        blocks = [
            read_rows(matrix.source, int(s), min(n, int(s) + length))[:, index] for s in starts
        ]
    else:
        blocks = [matrix[:, index]]
    n_detected = sum(np.asarray((block > 0).sum(axis=0)).ravel() for block in blocks)
    n_cells = sum(block.shape[0] for block in blocks)
    rare = np.zeros(len(genes), dtype=bool)
    rare[index] = n_detected < RARE * n_cells
    return rare, n_cells


def unmeasured_in_slices(
    matrix: sparse.csr_matrix | NDArray[np.floating] | OnDisk,
    genes: NDArray[np.integer],
    sample: NDArray[np.generic],
) -> pd.DataFrame:
    """Return the genes that are 0 in every cell of a slice although other slices express them.

    ``genes`` are columns of the matrix, ``sample`` (cells,) the slices. The share of cells that
    express a gene is taken over the slices in which any cell does.

    Returns
    -------
    Table with one row per gene and slice: ``gene`` (a column of the matrix), ``slice``,
    ``n_cells`` of the slice, and ``share`` of the cells of other slices that express the gene.
    """
    names, code = np.unique(np.asarray(sample, dtype=str), return_inverse=True)
    n_detected = np.zeros((len(names), len(genes)))
    start = 0
    for block in blocks_of(matrix):
        rows = np.arange(block.shape[0])
        in_slice = sparse.csr_matrix(
            (np.ones(len(rows)), (code[start + rows], rows)), shape=(len(names), len(rows))
        )
        detected = in_slice @ (block[:, genes] > 0).astype(np.float64)
        n_detected += detected.toarray() if sparse.issparse(detected) else detected
        start += len(rows)
    n_cells = np.bincount(code, minlength=len(names))[:, None]
    n_expressing = np.where(n_detected > 0, n_cells, 0).sum(axis=0)
    share = n_detected.sum(axis=0) / np.maximum(1, n_expressing)
    unmeasured = (n_detected == 0) & (share >= MIN_SHARE) & (share * n_cells >= MIN_EXPECTED)
    row, column = np.nonzero(unmeasured)
    return pd.DataFrame(
        {
            "gene": np.asarray(genes)[column],
            "slice": names[row],
            "n_cells": n_cells[row, 0],
            "share": share[column],
        }
    )


def warn_of_unmeasured_genes(
    adata: AnnData,
    matrix: sparse.csr_matrix | NDArray[np.floating] | OnDisk,
    names: Mapping[str, NDArray[np.str_]],
    key: str | None,
    labels: Mapping[str, str],
    layer: str | None = None,
) -> None:
    """Warn of genes that may not have been measured in a slice, as after an outer join.

    ``names`` are the ``var_names`` of every role, ``key`` the column of ``obs`` with the slices
    (None: nothing to compare), ``labels`` the names of genes that results show.
    """
    if key is None:
        return
    genes = np.unique(np.concatenate(list(names.values())))
    index = adata.var_names.get_indexer(genes)
    table = unmeasured_in_slices(matrix, index, adata.obs[key].astype(str).to_numpy())
    if not len(table):
        return
    label = {number: labels[name] for number, name in zip(index, genes, strict=True)}
    by_slice = [
        f"{name!r} ({rows['n_cells'].iloc[0]} cells): "
        f"{shorten((label[g] for g in rows['gene']), N_GENES_SHOWN)}"
        for name, rows in table.groupby("slice")
    ]
    n_more = len(by_slice) - N_SLICES_SHOWN
    low, high = (f"{100 * share:.2g}" for share in (table["share"].min(), table["share"].max()))
    warn(
        f"{table['gene'].nunique()} genes with a role are 0 in every cell of {len(by_slice)} of "
        f"{adata.obs[key].nunique()} slices, although {low} to {high} % of the cells of other "
        f"slices express them: {'; '.join(by_slice[:N_SLICES_SHOWN])}"
        f"{f' and {n_more} more slices' if n_more > 0 else ''}. "
        "Their zeros are read as measured values. If the genes were not measured there, join with "
        '`anndata.concat(..., join="outer", fill_value=np.nan)`, or set them to NaN, '
        f"`{_set_to_nan(adata, table, key, layer)}`. Or leave out these genes or these slices, or "
        'join only shared genes (`join="inner"`). If they are truly off there, nothing needs to '
        "change."
    )


def _set_to_nan(adata: AnnData, table: pd.DataFrame, key: str, layer: str | None) -> str:
    """Return the line that states that the genes of the first slice were not measured there."""
    name, rows = next(iter(table.groupby("slice")))
    genes = [str(gene) for gene in adata.var_names[rows["gene"]]]
    listed = str(genes) if len(genes) <= N_GENES_IN_LINE else "[...]"
    return (
        f"{name_of(layer).strip('`')}[np.ix_(adata.obs[{key!r}].astype(str) == {str(name)!r}, "
        f"adata.var_names.isin({listed}))] = np.nan"
    )
