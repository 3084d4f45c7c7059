"""Groups of receivers that are compared, and their replicates."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .._check import closest, find_labels, labels, shorten, whole
from .._data.cells import obs_column, samples
from .._errors import DataError, InvalidArgumentError

logger = logging.getLogger("spatrace_sc")

#: Fewest receivers with a past in a group, or in a replicate.
MIN_CELLS = 50
#: A numeric column with more values than this is cut into bins.
MAX_VALUES = 10
#: Default number of bins.
N_BINS = 3


@dataclass(frozen=True)
class Groups:
    """Groups of cells.

    ``names`` in order; ``code`` (cells,) index into ``names``, -1 for cells that are left out;
    ``ordered`` says whether the order is meaningful.
    """

    names: list[str]
    code: NDArray[np.intp]
    ordered: bool


def read_groups(
    adata: AnnData,
    column: str,
    categories: Sequence[str] | None,
    n_bins: int | None,
    *,
    stages: tuple[str, list[str]],
    cells: NDArray[np.bool_],
) -> Groups:
    """Return groups of cells: categories of a column, or bins with equal numbers of cells.

    Only cells of the mask ``cells`` (cells,) have a group. ``stages`` is the stage column of the
    inference and its stages in order.

    Raises
    ------
    InvalidArgumentError
        If there are fewer than two groups, or an argument does not fit the column.
    """
    if not isinstance(column, str):
        raise InvalidArgumentError(
            f"`groups` must be the name of a column of `adata.obs`, or a list of several, found "
            f"{column!r}; it has "
            f"{shorten(adata.obs.columns, 15)}."
        )
    values = obs_column(adata, column, "groups")
    usable = cells & values.notna().to_numpy()
    n_missing = int((cells & ~usable).sum())
    if n_missing:
        logger.info("%d receivers without a value in obs[%r] are left out.", n_missing, column)
    numeric = is_numeric(values)
    if n_bins is not None:
        whole(n_bins, "n_bins", low=2)
        if not numeric:
            raise InvalidArgumentError(
                f"`n_bins` cuts numbers, but `adata.obs[{column!r}]` has dtype {values.dtype}; "
                "leave it out to compare its categories."
            )
    if numeric and (n_bins is not None or values[usable].nunique() > MAX_VALUES):
        groups = _bins(values, usable, n_bins or N_BINS, column)
    else:
        groups = _categories(values, usable, column, stages)
    groups = select_groups(groups, categories, column)
    if len(groups.names) < 2:
        raise InvalidArgumentError(
            f"`groups={column!r}` has one group among the receivers ({shorten(groups.names)}); a "
            f"comparison needs two. {_suggested_columns(adata, cells)}"
        )
    return groups


def is_numeric(values: pd.Series) -> bool:
    """Return whether a column holds numbers; booleans are categories."""
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


def _bins(values: pd.Series, usable: NDArray[np.bool_], n_bins: int, column: str) -> Groups:
    """Return bins of a numeric column with equal numbers of usable cells."""
    number = values.to_numpy(dtype=float, na_value=np.nan)
    edges = np.unique(np.quantile(number[usable], np.linspace(0, 1, n_bins + 1)))
    if len(edges) < n_bins + 1:
        raise InvalidArgumentError(
            f"`n_bins={n_bins}`: `adata.obs[{column!r}]` has too few distinct values for {n_bins} "
            "bins with equal numbers of cells; choose fewer bins."
        )
    index = np.clip(np.searchsorted(edges, number, side="left") - 1, 0, n_bins - 1)
    names = [f"{low:.3g} to {high:.3g}" for low, high in pairwise(edges)]
    return Groups(names, np.where(usable, index, -1), True)


def _categories(
    values: pd.Series, usable: NDArray[np.bool_], column: str, stages: tuple[str, list[str]]
) -> Groups:
    """Return the values of a column as groups, ordered if the column has an order."""
    text = values.astype(str).to_numpy(dtype=object)
    present = set(text[usable])
    ordered = True
    if column == stages[0]:
        order = stages[1]
    elif isinstance(values.dtype, pd.CategoricalDtype) and values.cat.ordered:
        order = [str(category) for category in values.cat.categories]
    elif is_numeric(values):
        order = [str(value) for value in np.sort(values[usable].unique())]
    else:
        order, ordered = sorted(present), False
    names = [name for name in dict.fromkeys(order) if name in present]
    code = pd.Index(names, dtype=object).get_indexer(pd.Index(text, dtype=object))
    return Groups(names, np.where(usable, code, -1), ordered)


def select_groups(groups: Groups, categories: Sequence[str] | None, column: str) -> Groups:
    """Return only the selected groups, in the order of selection."""
    if categories is None:
        return groups
    names, unknown = find_labels(labels(categories, "categories"), groups.names)
    if unknown or len(names) < 2:
        problem, hint = f"names {len(names)} group, two are needed", ""
        if unknown:
            problem = f"has unknown groups {shorten(unknown)}"
            hint = closest(unknown[0], groups.names)
        raise InvalidArgumentError(
            f"`categories` {problem}; the receivers have {shorten(groups.names, 20)} in "
            f"`adata.obs[{column!r}]`.{hint}"
        )
    # The last entry stands for the code -1.
    new_code = np.full(len(groups.names) + 1, -1, dtype=np.intp)
    new_code[[groups.names.index(name) for name in names]] = np.arange(len(names))
    return Groups(names, new_code[groups.code], groups.ordered)


def _suggested_columns(adata: AnnData, cells: NDArray[np.bool_]) -> str:
    """Return a hint with the columns that have 2 to 20 groups among the cells."""
    suitable = [str(c) for c in adata.obs if 2 <= adata.obs[c][cells].nunique() <= 20]
    if not suitable:
        return "Name a numeric column, such as the pseudotime, with `n_bins`."
    return (
        f"Columns of `adata.obs` with 2 to 20 groups: {shorten(suitable, 15)}. Or name a numeric "
        "column, such as the pseudotime, with `n_bins`."
    )


def enough_cells(groups: Groups, code: NDArray[np.intp], column: str) -> None:
    """Require enough usable receivers in every group; ``code`` (cells,) has their groups.

    Raises
    ------
    DataError
        If a group has fewer than :data:`MIN_CELLS`.
    """
    n_cells = np.bincount(code[code >= 0], minlength=len(groups.names))
    counts = dict(zip(groups.names, n_cells.tolist(), strict=True))
    small = [f"{name} ({n})" for name, n in counts.items() if n < MIN_CELLS]
    if small:
        large = [name for name, n in counts.items() if n >= MIN_CELLS]
        raise DataError(
            f"`groups={column!r}`: groups with fewer than {MIN_CELLS} receivers that have an "
            f"earlier cell: {shorten(small)}. Merge groups, or leave these out with "
            f"`categories=` (large enough: {shorten(large)})."
        )


def comparisons(groups: Groups, reference: str | None) -> list[tuple[int, int]]:
    """Return the codes (group, reference) of every comparison.

    Without a ``reference``, ordered groups are compared with the preceding group, others with the
    first.

    Raises
    ------
    InvalidArgumentError
        If the reference is not one of the groups.
    """
    n = len(groups.names)
    if reference is not None:
        names, _ = find_labels(labels(reference, "reference"), groups.names)
        if len(names) != 1:
            raise InvalidArgumentError(
                f"`reference={reference!r}` is not one of the groups "
                f"{shorten(groups.names, 20)}.{closest(str(reference), groups.names)}"
            )
        code = groups.names.index(names[0])
        return [(group, code) for group in range(n) if group != code]
    if not groups.ordered and n > 2:
        logger.info(
            "The groups have no order: all are compared with %r. Choose another with `reference`.",
            groups.names[0],
        )
        return [(group, 0) for group in range(1, n)]
    return [(group, group - 1) for group in range(1, n)]


def read_replicates(
    adata: AnnData, key: str | None, default: str | None, code: NDArray[np.intp], names: list[str]
) -> NDArray[np.intp] | None:
    """(cells,) index of the replicate, -1 for cells without a group or in too small replicates.

    ``code`` (cells,) are indices into the ``names`` of the groups, -1 without a group. If ``key``
    is None, replicates are the samples in ``default``, provided every group has two; the log says
    that their independence is assumed. Otherwise the result is None: there are no replicates.

    Raises
    ------
    InvalidArgumentError
        If a replicate has cells in several groups.
    DataError
        If a group has fewer than two replicates.
    """
    column = default if key is None else key
    if column is None:
        return None
    label = samples(adata, column, "replicate_key").astype(str)
    grouped = code >= 0
    group_of_cell = pd.Series(code[grouped]).groupby(label[grouped])
    n_cells = group_of_cell.size()
    n_groups = group_of_cell.nunique()
    crossing = n_groups.index[n_groups > 1].tolist()
    large = n_cells.index[n_cells >= MIN_CELLS].tolist()
    groups_of_large = group_of_cell.first()[large].to_numpy(dtype=np.intp)
    n_replicates = np.bincount(groups_of_large, minlength=len(names))
    if key is None and (crossing or n_replicates.min() < 2):
        return None
    if crossing:
        raise InvalidArgumentError(
            f"`replicate_key={key!r}`: the replicates {shorten(crossing)} have cells in several "
            "groups; a replicate must lie in one. With `replicate_key=None` spatial blocks are "
            "the unit if slices cross groups, too."
        )
    if key is None:
        logger.warning(
            "Slices (obs[%r]) are taken as independent replicates; serial sections of one animal "
            "are not: name the animal with `replicate_key`, or this column if the slices are "
            "independent.",
            column,
        )
    if n_replicates.min() < 2:
        counts = zip(names, n_replicates, strict=True)
        few = [f"{name} ({n})" for name, n in counts if n < 2]
        raise DataError(
            f"`replicate_key={key!r}`: groups with fewer than 2 replicates of at least "
            f"{MIN_CELLS} receivers: {shorten(few)}. One replicate does not show how much "
            "replicates vary. With `replicate_key=None` slices or spatial blocks are the unit, and "
            "p refers to these alone."
        )
    small = n_cells.index[n_cells < MIN_CELLS].tolist()
    if small:
        logger.info(
            "Replicates with fewer than %d receivers are left out: %s.", MIN_CELLS, shorten(small)
        )
    return np.where(grouped, pd.Index(large, dtype=object).get_indexer(label), -1)
