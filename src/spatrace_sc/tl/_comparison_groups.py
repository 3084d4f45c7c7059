"""Which receivers belong to which group, and what counts as a replicate."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .._check import closest, shorten, whole
from .._data.cells import obs_column, samples
from .._errors import DataError, InvalidArgumentError

logger = logging.getLogger("spatrace_sc")

#: Receivers with a past that a group, or a replicate, must have.
FEWEST_CELLS = 50
#: A numeric column with more values than this is cut into bins, and into so many.
MOST_VALUES, BINS = 10, 3


@dataclass(frozen=True)
class Groups:
    """``names`` in order and ``code`` (cells,) of each cell, -1 for those left out. ``ordered``: whether the order means something."""

    names: list[str]
    code: NDArray[np.intp]
    ordered: bool


def read_groups(
    adata: AnnData,
    column: str,
    categories: Sequence[str] | None,
    n_bins: int | None,
    stages: tuple[str, list[str]],
    cells: NDArray[np.bool_],
) -> Groups:
    """Groups among the given cells, from a column of categories or from bins of numbers with equally many cells. ``stages`` is the stage column of the inference and its order."""
    if not isinstance(column, str):
        raise InvalidArgumentError(
            f"`groups` must be the name of a column of `adata.obs`, found {column!r}; it has {shorten(adata.obs.columns, 15)}."
        )
    values = obs_column(adata, column, "groups")
    here = cells & values.notna().to_numpy()
    if (cells & ~here).any():
        logger.info(
            "%d receivers without a value in obs[%r] are left out.",
            int((cells & ~here).sum()),
            column,
        )
    numeric = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    if n_bins is not None:
        whole(n_bins, "n_bins", low=2)
        if not numeric:
            raise InvalidArgumentError(
                f"`n_bins` cuts numbers, but `adata.obs[{column!r}]` has dtype {values.dtype}; leave it out to compare its categories."
            )
    if numeric and (n_bins is not None or values[here].nunique() > MOST_VALUES):
        found = _bins(values, here, n_bins or BINS, column)
    else:
        found = _named(values, here, column, stages)
    found = _chosen(found, categories, column)
    if len(found.names) < 2:
        raise InvalidArgumentError(
            f"`groups={column!r}` has one group among the receivers ({shorten(found.names)}); a comparison needs two. {_candidates(adata, cells)}"
        )
    return found


def _bins(values: pd.Series, here: NDArray[np.bool_], n_bins: int, column: str) -> Groups:
    number = values.to_numpy(dtype=float, na_value=np.nan)
    edges = np.unique(np.quantile(number[here], np.linspace(0, 1, n_bins + 1)))
    if len(edges) < n_bins + 1:
        raise InvalidArgumentError(
            f"`n_bins={n_bins}`: `adata.obs[{column!r}]` has too few distinct values for so many bins with equally many cells; take fewer."
        )
    code = np.where(
        here, np.clip(np.searchsorted(edges, number, side="left") - 1, 0, n_bins - 1), -1
    )
    return Groups([f"{a:.3g} to {b:.3g}" for a, b in pairwise(edges)], code, True)


def _named(
    values: pd.Series, here: NDArray[np.bool_], column: str, stages: tuple[str, list[str]]
) -> Groups:
    text = values.astype(str).to_numpy(dtype=object)
    present = set(text[here])
    if column == stages[0]:
        order, ordered = stages[1], True
    elif isinstance(values.dtype, pd.CategoricalDtype) and values.cat.ordered:
        order, ordered = [str(c) for c in values.cat.categories], True
    elif pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        order, ordered = [str(v) for v in np.sort(values[here].unique())], True
    else:
        order, ordered = sorted(present), False
    names = [name for name in order if name in present]
    place = {name: k for k, name in enumerate(names)}
    code = np.array(
        [place.get(t, -1) if h else -1 for t, h in zip(text, here, strict=True)], dtype=np.intp
    )
    return Groups(names, code, ordered)


def _chosen(groups: Groups, categories: Sequence[str] | None, column: str) -> Groups:
    """Only the named groups, in the order in which they are named."""
    if categories is None:
        return groups
    wanted = [categories] if isinstance(categories, str) else [str(c) for c in categories]
    unknown = [c for c in wanted if c not in groups.names]
    if unknown or len(set(wanted)) < 2:
        what = (
            f"has unknown groups {shorten(unknown)}"
            if unknown
            else f"names {len(set(wanted))} group, two are needed"
        )
        hint = closest(unknown[0], groups.names) if unknown else ""
        raise InvalidArgumentError(
            f"`categories` {what}; the receivers have {shorten(groups.names, 20)} in `adata.obs[{column!r}]`.{hint}"
        )
    wanted = list(dict.fromkeys(wanted))
    new = np.full(len(groups.names) + 1, -1, dtype=np.intp)
    for k, name in enumerate(wanted):
        new[groups.names.index(name)] = k
    return Groups(wanted, new[groups.code], groups.ordered)


def _candidates(adata: AnnData, cells: NDArray[np.bool_]) -> str:
    likely = [str(c) for c in adata.obs if 2 <= adata.obs[c][cells].nunique() <= 20]
    return (
        f"Columns of `adata.obs` with 2 to 20 groups: {shorten(likely, 15)}. Or name a numeric column, such as the pseudotime, with `n_bins`."
        if likely
        else "Name a numeric column, such as the pseudotime, with `n_bins`."
    )


def enough_cells(groups: Groups, code: NDArray[np.intp], column: str) -> None:
    """Every group must have enough of the receivers that can be used (``code`` of those)."""
    number = np.bincount(code[code >= 0], minlength=len(groups.names))
    few = [f"{n} ({k})" for n, k in zip(groups.names, number, strict=True) if k < FEWEST_CELLS]
    if few:
        rest = [n for n, k in zip(groups.names, number, strict=True) if k >= FEWEST_CELLS]
        raise DataError(
            f"`groups={column!r}`: groups with fewer than {FEWEST_CELLS} receivers that have an earlier cell to look back on: {shorten(few)}. Leave them out with `categories=` "
            f"(large enough: {shorten(rest)}) or merge groups."
        )


def comparisons(groups: Groups, reference: str | None) -> list[tuple[int, int]]:
    """(group, reference) codes: every other group against the reference or, without one, each against the one before it, or the first where the order means nothing."""
    n = len(groups.names)
    if reference is not None:
        if str(reference) not in groups.names:
            raise InvalidArgumentError(
                f"`reference={reference!r}` is not one of the groups {shorten(groups.names, 20)}.{closest(str(reference), groups.names)}"
            )
        r = groups.names.index(str(reference))
        return [(g, r) for g in range(n) if g != r]
    if not groups.ordered and n > 2:
        logger.info(
            "The groups have no order: all are compared with %r. Name another with `reference`.",
            groups.names[0],
        )
        return [(g, 0) for g in range(1, n)]
    return [(g, g - 1) for g in range(1, n)]


def read_replicates(
    adata: AnnData, key: str | None, default: str | None, code: NDArray[np.intp], names: list[str]
) -> NDArray[np.intp] | None:
    """(N,) code of the replicate of every cell, all of them within ``code`` (cells,) ≥ 0; -1 in replicates with too few cells. None: there are no replicates.

    With ``key`` None those of ``default``, the samples of the inference, if every group has two; that they are independent is then assumed, and logged.
    """
    column = default if key is None else key
    if column is None:
        return None
    label = samples(adata, column, "replicate_key").astype(str)
    here = code >= 0
    number = pd.Series(label[here]).value_counts()
    spread = pd.Series(code[here]).groupby(label[here]).nunique()
    crossing = sorted(spread.index[spread > 1])
    kept = sorted(number.index[number >= FEWEST_CELLS])
    group_of = {r: int(code[here][label[here] == r][0]) for r in kept}
    per_group = (
        np.bincount(list(group_of.values()), minlength=len(names))
        if kept
        else np.zeros(len(names), dtype=int)
    )
    if key is None and (crossing or per_group.min() < 2):
        return None
    if crossing:
        raise InvalidArgumentError(
            f"`replicate_key={key!r}`: the replicates {shorten(crossing)} have cells in several groups; a replicate must lie in one. `replicate_key=None` counts blocks of space where slices do so too."
        )
    if key is None:
        logger.warning(
            "Slices (obs[%r]) are taken as independent replicates; serial sections of one animal are not: name the animal with `replicate_key`, or this column if the slices are independent.",
            column,
        )
    if per_group.min() < 2:
        few = [f"{n} ({k})" for n, k in zip(names, per_group, strict=True) if k < 2]
        raise DataError(
            f"`replicate_key={key!r}`: groups with fewer than 2 replicates of at least {FEWEST_CELLS} receivers: {shorten(few)}. Without two, nothing can be said about other such replicates; `replicate_key=None` counts slices or blocks of space, and p is then about these alone."
        )
    if len(kept) < len(number):
        logger.info(
            "Replicates with fewer than %d receivers are left out: %s.",
            FEWEST_CELLS,
            shorten(sorted(set(number.index) - set(kept))),
        )
    place = {r: k for k, r in enumerate(kept)}
    return np.array(
        [place.get(r, -1) if h else -1 for r, h in zip(label, here, strict=True)], dtype=np.intp
    )
