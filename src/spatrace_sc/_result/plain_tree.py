"""Nested slots as JSON and arrays, and back: no other types can be read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .._data.tensor_file import unreadable

#: Key that marks what is no dictionary of slots.
KIND = "$"
#: Numbers that JSON does not have.
NOT_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
Arrays = dict[str, NDArray[Any]]


def encode(value: Any, path: str, arrays: Arrays) -> Any:
    """Return a value as JSON; numeric arrays are added to ``arrays`` under their path."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return {KIND: "number", "value": str(value)}
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, pd.DataFrame):
        columns = {str(c): _plain_column(value[c]) for c in value}
        return {
            KIND: "table",
            "columns": {c: encode(v, f"{path}/{c}", arrays) for c, v in columns.items()},
        }
    if isinstance(value, Mapping):
        return {str(k): encode(v, f"{path}/{k}", arrays) for k, v in value.items()}
    array = np.asarray(value)
    if array.dtype.kind in "OUS":
        return {KIND: "text", "values": [str(v) for v in array.ravel()]}
    arrays[path] = array
    return {KIND: "array", "name": path}


def _plain_column(column: pd.Series) -> NDArray[Any]:
    """Return a column of a table as an array of numbers or of text."""
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "bif":
        return column.to_numpy()
    return column.astype(str).to_numpy(dtype=object)


def decode(node: Any, arrays: Arrays, name: str) -> Any:
    """Return the value of :func:`encode`; every array may be used once.

    Raises
    ------
    DataError
        If the JSON does not have the form that :func:`encode` returns.
    """
    if not isinstance(node, dict):
        if node is None or isinstance(node, str | bool | int | float):
            return node
        raise unreadable(name, "it holds a list where none belongs")
    if KIND not in node:
        return {key: decode(value, arrays, name) for key, value in node.items()}
    kind = node[KIND]
    if kind == "number" and node.get("value") in NOT_FINITE:
        return NOT_FINITE[node["value"]]
    if kind == "text" and _is_text(node.get("values")):
        return np.array(node["values"], dtype=object)
    if kind == "array" and isinstance(node.get("name"), str):
        if node["name"] not in arrays:
            raise unreadable(name, f"the array {node['name'][:60]!r} is missing or used twice")
        return arrays.pop(node["name"])
    if kind == "table" and isinstance(node.get("columns"), dict):
        columns = {key: decode(value, arrays, name) for key, value in node["columns"].items()}
        sizes = {np.shape(values) for values in columns.values()}
        if len(sizes) > 1 or any(len(size) != 1 for size in sizes):
            raise unreadable(name, "the columns of a table have different lengths")
        return pd.DataFrame(columns)
    raise unreadable(name, "it holds a part of an unknown kind")


def _is_text(values: object) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) for value in values)
