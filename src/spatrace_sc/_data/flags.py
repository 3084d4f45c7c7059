"""Columns of ``var`` that flag genes, read by their values and never by truthiness."""

from __future__ import annotations

import logging
import numbers
from collections.abc import Mapping

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys
from .._check import shorten
from .._errors import DataError

logger = logging.getLogger("spatrace_sc")

#: Text of flags and of missing ones, in lower case.
FLAG_OF_TEXT = dict.fromkeys(("true", "yes", "1", "1.0"), True) | dict.fromkeys(
    ("false", "no", "0", "0.0", "", "nan", "na", "n/a", "<na>", "none", "null"), False
)
#: Number of values that a message shows.
N_SHOWN = 3


def is_flagged(adata: AnnData, column: str) -> NDArray[np.bool_]:
    """Return the (genes,) flags in a column of ``var``; a missing value counts as False.

    Flags are truth values, the numbers 0 and 1, or their text ("True", "yes", "1", ...).

    Raises
    ------
    DataError
        If the column holds anything else.
    """
    flags, others = _parsed(adata.var[column])
    if others:
        raise DataError(
            f"`adata.var[{column!r}]` must flag genes (True and False, 1 and 0, yes and no); "
            f"{len(others)} of {adata.n_vars} values are something else: "
            f"{_shown(others)}. {_remedy(column)}"
        )
    return flags


def flags_of_role(adata: AnnData, column: str) -> NDArray[np.bool_] | None:
    """Return the (genes,) flags of a role; None where ``var`` has none.

    A column of that name with other values, which :func:`spatrace_sc.pp.gene_roles` did not
    write, is something else; the log says that it is not read.
    """
    if column not in adata.var:
        return None
    if not written_by_gene_roles(adata):
        others = _parsed(adata.var[column])[1]
        if others:
            logger.warning(
                "adata.var[%r] is not read as the flags of a role: it holds %s.",
                *(column, _shown(others)),
            )
            return None
    return is_flagged(adata, column)


def any_role(adata: AnnData) -> NDArray[np.bool_] | None:
    """Return the (genes,) mask of the genes with a role; None where none is flagged."""
    columns = (flags_of_role(adata, column) for column in _keys.ROLES.values())
    flags = [mask for mask in columns if mask is not None]
    return np.any(flags, axis=0) if flags else None


def written_by_gene_roles(adata: AnnData) -> bool:
    """Return whether :func:`spatrace_sc.pp.gene_roles` has written the flags in ``var``."""
    stored = adata.uns.get(_keys.GENE_ROLES)
    return isinstance(stored, Mapping) and "gene_symbols" in stored


def is_replaceable(adata: AnnData, column: str) -> bool:
    """Return whether new flags may replace a column without losing anything but flags."""
    values = adata.var[column]
    if written_by_gene_roles(adata):
        return not _parsed(values)[1]
    return all(isinstance(v, bool | np.bool_) for v in values.astype(object)[values.notna()])


def _parsed(values: pd.Series) -> tuple[NDArray[np.bool_], list[object]]:
    """Return the flags, and the values that are none."""
    known = values.notna().to_numpy()
    flags, others = np.zeros(len(values), dtype=bool), []
    for index in np.flatnonzero(known):
        value = values.iloc[index]
        flag = _flag(value)
        if flag is None:
            others.append(value)
        else:
            flags[index] = flag
    return flags, others


def _flag(value: object) -> bool | None:
    """Return a single value as a flag; None if it is something else."""
    if isinstance(value, bool | np.bool_ | numbers.Real):
        return bool(value) if value in (0, 1) else None
    text = value.decode() if isinstance(value, bytes) else str(value)
    return FLAG_OF_TEXT.get(text.strip().lower())


def _shown(values: list[object]) -> str:
    """Return the first different values as text."""
    return shorten(dict.fromkeys(map(str, values)), N_SHOWN)


def _remedy(column: str) -> str:
    """Return what to do about a column without flags."""
    argument = {name: role for role, name in _keys.ROLES.items()}.get(column)
    if argument is None:
        return "Store truth values, or rename the column."
    return f"Rename the column if it is something else, or pass the genes as `{argument}`."
