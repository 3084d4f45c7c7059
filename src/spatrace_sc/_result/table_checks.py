"""Checks of one stored table: its rows, its columns, and the kind of their values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from .slot_checks import is_finite

#: Tables whose rows are counted when they are written.
COUNTED = {
    *("tf_targets", "lr_targets", "lr_pairs", "lr_tfs", "history"),
    *("communication", "communication_by_stage"),
}
#: Slot with these numbers.
CONTENTS = "contents"
#: Separates the names in a path; h5ad reads a slash as a group.
DOT = "."
#: Columns of names; those of truth values.
TEXT = {
    *("ligand", "receptor", "tf", "target", "sender", "receiver", "stage", "sample", "module"),
    *("group", "reference", "unit", "source", "method", "regulator", "against", "role"),
    *("phase", "kind", "name", "table", "control", "tissue"),
}
FLAGS = {"main", "determined", "chosen"}
#: Columns whose values lie from 0 to 1.
SHARES = {
    *("p_value", "q_value", "group_q_value", "stability", "type_p_value", "pair_q_value"),
    "agreement",
}


def is_list_of_names(value: Any) -> bool:
    """Whether a slot is a list of names."""
    return np.ndim(value) == 1 and (not len(value) or _holds_text(pd.Series(np.asarray(value))))


def _holds_text(values: pd.Series) -> bool:
    """Whether every value is text."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        if values.cat.codes.min() < 0:
            return False
        values = pd.Series(values.cat.categories)
    return pd.api.types.infer_dtype(values, skipna=False) in ("string", "empty")


def contents_of(slots: Mapping[str, Any]) -> dict[str, str]:
    """Return the number of rows of the tables of an inference, by name."""
    tables = {name: value for name, value in slots.items() if isinstance(value, pd.DataFrame)}
    return {name: _content(table) for name, table in tables.items() if name in COUNTED}


def _content(table: pd.DataFrame) -> str:
    return f"{len(table)} rows"


def wrong_columns(
    path: str, table: Any, columns: Sequence[str], slots: Mapping[str, Any]
) -> Iterator[str]:
    """Yield what is wrong with a stored table: rows, columns, and the kind of their values.

    ``columns`` are required. Rows are compared with those at the time of writing.
    """
    if not isinstance(table, pd.DataFrame):
        yield f"{path} is no table"
        return
    written = slots.get(CONTENTS, {}).get(path, _content(table))
    if written != _content(table):
        yield f"{path} has {_content(table)}; stored were {written}"
    missing = [column for column in columns if column not in table]
    if missing:
        yield f"{path} has no column {missing[0]!r}"
    text = TEXT | ({"change"} if path.startswith("comparison") else set())
    for column in columns:
        is_text = column in text
        if column in table and len(table) and not _is_of_kind(table[column], column, is_text):
            expected = "names" if is_text else "finite numbers"
            yield f"{path}: {column} holds other values than {expected}"
    if columns:
        yield from outside_range(path, table)


def _is_of_kind(values: pd.Series, column: str, is_text: bool) -> bool:
    """Whether a column holds names, truth values or numbers, as it must."""
    if is_text:
        return _holds_text(values)
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = pd.Series(values.cat.categories)
    if column in FLAGS:
        return bool(values.dtype.kind == "b")
    return values.dtype.kind in "iuf" and is_finite(values.to_numpy(), may_be_nan=True)


def outside_range(path: str, table: pd.DataFrame) -> Iterator[str]:
    """Yield columns with infinite values, and columns of shares outside 0 to 1."""
    for column in table:
        if table[column].dtype.kind == "f" and np.isinf(table[column].to_numpy()).any():
            yield f"{path}: {column} holds infinite values"
    for column in SHARES & set(table):
        values = np.asarray(table[column], dtype=np.float64)
        if ((values < 0) | (values > 1)).any():
            yield f"{path}: {column} is not from 0 to 1"
