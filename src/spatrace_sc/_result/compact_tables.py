"""Tables of names in the form in which they are stored: small in memory and in files."""

from __future__ import annotations

import pandas as pd


def compact(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with names as categories and whole numbers in 32 bits.

    A name then takes one or two bytes in each row. In a file it would take at least 16 as text.
    """
    types: dict[str, str] = {}
    for column in table.columns:
        if pd.api.types.is_object_dtype(table[column]) or pd.api.types.is_string_dtype(
            table[column]
        ):
            types[str(column)] = "category"
        elif pd.api.types.is_integer_dtype(table[column]):
            types[str(column)] = "int32"
    return table.astype(types)


def expand(table: pd.DataFrame) -> pd.DataFrame:
    """Return a stored table with names as text and whole numbers in 64 bits."""
    types: dict[str, type] = {}
    for column in table.columns:
        if isinstance(table[column].dtype, pd.CategoricalDtype):
            types[str(column)] = object
        elif pd.api.types.is_integer_dtype(table[column]):
            types[str(column)] = int
    return table.astype(types)
