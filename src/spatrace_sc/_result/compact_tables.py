"""Tables of names in the form in which they are stored: small in memory and in files."""

from __future__ import annotations

from typing import Any

import pandas as pd

from .. import _keys

#: Columns with names.
NAMES = ("stage", *_keys.COMMUNICATION[:4])
#: Numbers are stored as categories if each occurs this often on average.
MIN_REPEATS = 4


def compact(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with names as categories and whole numbers in 32 bits.

    A name then takes one or two bytes in each row. In a file it would take at least 16 as text. So
    do numbers that are repeated, as p-values of a few permutations are; no digit is lost.
    """
    types: dict[str, str] = {}
    for column in table.columns:
        values = table[column]
        if pd.api.types.is_object_dtype(values) or pd.api.types.is_string_dtype(values):
            types[str(column)] = "category"
        elif pd.api.types.is_integer_dtype(values):
            types[str(column)] = "int32"
        elif pd.api.types.is_float_dtype(values) and MIN_REPEATS * values.nunique() <= len(values):
            types[str(column)] = "category"
    return table.astype(types)


def expand(table: pd.DataFrame) -> pd.DataFrame:
    """Return a stored table with names as text and whole numbers in 64 bits.

    Names have the type of their categories, which is the text type of the installed pandas.
    """
    types: dict[str, Any] = {}
    for column in table.columns:
        dtype = table[column].dtype
        if isinstance(dtype, pd.CategoricalDtype):
            types[str(column)] = dtype.categories.dtype if column in NAMES else float
        elif pd.api.types.is_integer_dtype(table[column]):
            types[str(column)] = int
    return table.astype(types)
