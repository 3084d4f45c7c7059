"""Groups of receivers from several columns at once, such as stage and condition."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from .._check import closest, find_labels, labels, shorten
from .._data.cells import obs_column
from .._errors import InvalidArgumentError
from ._comparison_groups import Groups, comparisons, is_numeric, read_groups, select_groups

logger = logging.getLogger("spatrace_sc")

#: What separates the names of a group in each column.
SEPARATOR = ", "


@dataclass(frozen=True)
class CrossedGroups(Groups):
    """Groups of crossed columns.

    ``factors`` are the groups of each column; ``levels`` (groups, columns) indices into their
    names.
    """

    factors: tuple[Groups, ...]
    levels: NDArray[np.intp]


def read_any_groups(
    adata: AnnData,
    columns: str | Sequence[str],
    categories: Sequence[str] | None,
    n_bins: int | None,
    *,
    stages: tuple[str, list[str]],
    cells: NDArray[np.bool_],
) -> Groups:
    """Return the groups of one column, or of several columns crossed.

    See :func:`read_groups`. Crossed groups are those combinations that occur, called e.g.
    ``"E2, treated"``.

    Raises
    ------
    InvalidArgumentError
        If a column occurs twice, there are fewer than two groups, or an argument does not fit.
    """
    if isinstance(columns, str) or not isinstance(columns, Sequence):
        return read_groups(adata, columns, categories, n_bins, stages=stages, cells=cells)
    names = labels(columns, "groups")
    if len(names) != len(columns) or not names:
        raise InvalidArgumentError(
            f"`groups` must name different columns of `adata.obs`, found {list(columns)!r}."
        )
    numeric = [is_numeric(obs_column(adata, name, "groups")) for name in names]
    if n_bins is not None and not any(numeric):
        raise InvalidArgumentError(
            f"`n_bins` cuts numbers, and none of the columns {shorten(names)} is numeric; leave it "
            "out."
        )
    factors = [
        read_groups(adata, name, None, n_bins if cut else None, stages=stages, cells=cells)
        for name, cut in zip(names, numeric, strict=True)
    ]
    if len(factors) == 1:
        return select_groups(factors[0], categories, names[0])
    return _cross(factors, categories, SEPARATOR.join(names))


def _cross(factors: list[Groups], categories: Sequence[str] | None, title: str) -> CrossedGroups:
    """Return the combinations of the groups of several columns that occur."""
    codes = np.stack([factor.code for factor in factors], axis=1)
    present = (codes >= 0).all(axis=1)
    levels, index = np.unique(codes[present], axis=0, return_inverse=True)
    code = np.full(len(codes), -1, dtype=np.intp)
    code[present] = index.reshape(-1)
    names = [
        SEPARATOR.join(factor.names[level] for factor, level in zip(factors, row, strict=True))
        for row in levels
    ]
    selected = select_groups(Groups(names, code, False), categories, title)
    rows = [names.index(name) for name in selected.names]
    return CrossedGroups(selected.names, selected.code, False, tuple(factors), levels[rows])


def comparisons_of(groups: Groups, reference: str | None) -> list[tuple[int, int]]:
    """Return the codes (group, reference) of every comparison.

    Crossed groups are compared where they differ in one column only: in each column as
    :func:`comparisons` does for that column alone, within every combination of the others. A
    ``reference`` is a group of one of the columns.

    Raises
    ------
    InvalidArgumentError
        If the reference is unknown, or no two groups differ in one column only.
    """
    if not isinstance(groups, CrossedGroups):
        return comparisons(groups, reference)
    references = _references(groups, reference)
    pairs = [
        (code, other)
        for column in range(len(groups.factors))
        for code in range(len(groups.names))
        for other in _reference_of(groups, code, column, references[column])
    ]
    if not pairs:
        raise InvalidArgumentError(
            f"`groups`: no two of the groups {shorten(groups.names, 20)} differ in one column "
            "only, so there is nothing to compare."
        )
    logger.info("%d comparisons of groups that differ in one column.", len(pairs))
    return pairs


def _references(groups: CrossedGroups, reference: str | None) -> list[int | None]:
    """Return for each column the code of its reference; None: the preceding group."""
    defaults = [None if factor.ordered else 0 for factor in groups.factors]
    if reference is None:
        return defaults
    for column, factor in enumerate(groups.factors):
        names, _ = find_labels(labels(reference, "reference"), factor.names)
        if len(names) == 1:
            defaults[column] = factor.names.index(names[0])
            return defaults
    known = [name for factor in groups.factors for name in factor.names]
    raise InvalidArgumentError(
        f"`reference={reference!r}` is not a group of one of the columns "
        f"({shorten(known, 20)}).{closest(str(reference), known)}"
    )


def _reference_of(
    groups: CrossedGroups, code: int, column: int, reference: int | None
) -> list[int]:
    """Return the group, or none, that a group is compared with in one column."""
    levels = groups.levels
    same = np.delete(levels, column, axis=1) == np.delete(levels[code], column)
    alike = np.flatnonzero(same.all(axis=1))
    level = levels[alike, column]
    if reference is not None:
        chosen = alike[(level == reference) & (alike != code)]
    else:
        earlier = level < levels[code, column]
        chosen = alike[earlier][np.argsort(level[earlier])][-1:]
    return [int(other) for other in chosen]
