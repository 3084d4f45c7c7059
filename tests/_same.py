"""Comparison of what verbs, readers and plots return, whatever the order of rows."""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
from _helpers import dense
from anndata import AnnData
from matplotlib.axes import Axes

#: Forms with the same values may differ by rounding, in the last digits of single precision.
EXACT = 1e-4


def plain(value: Any) -> Any:
    """A value as tables and text that can be compared."""
    if isinstance(value, list | tuple) and not all(isinstance(v, str) for v in value):
        return [plain(v) for v in value]
    if isinstance(value, np.ndarray) and value.dtype == object:
        return [drawn(ax) for ax in value.ravel()]
    if isinstance(value, Axes):
        return [drawn(ax) for ax in value.figure.axes]
    if isinstance(value, AnnData):
        frames = {"X": value.X} | dict(value.layers)
        return [value.var.copy()] + [
            pd.DataFrame(dense(matrix), value.obs_names, value.var_names)
            for matrix in frames.values()
        ]
    if isinstance(value, nx.Graph):
        return nx.to_pandas_edgelist(value)
    return value.copy() if isinstance(value, pd.DataFrame) else value


def drawn(ax: Axes) -> list[Any]:
    """Data of the artists of an axes."""
    offsets = [np.asarray(c.get_offsets(), dtype=float) for c in ax.collections]
    colours = [c.get_array() for c in ax.collections]
    points = [
        np.column_stack([xy, np.asarray(colour, dtype=float)])
        if colour is not None and len(colour) == len(xy)
        else xy
        for xy, colour in zip(offsets, colours, strict=True)
    ]
    shapes = [p.get_path().transformed(p.get_patch_transform()).vertices for p in ax.patches]
    arrays = [*points, *(np.asarray(line.get_xydata(), dtype=float) for line in ax.lines)]
    arrays += [np.asarray(image.get_array(), dtype=float) for image in ax.images]
    arrays += [np.concatenate(shapes)] if shapes else []
    ticks = [t.get_text() for axis in (ax.get_xticklabels(), ax.get_yticklabels()) for t in axis]
    return [pd.DataFrame(np.atleast_2d(a)) for a in arrays] + [repr((ax.get_title(), ticks))]


def difference(one: Any, other: Any, tolerance: float = EXACT) -> str:
    """How two outcomes differ; "" if they do not, but for the order of rows and columns."""
    if isinstance(one, list) and isinstance(other, list):
        if len(one) != len(other):
            return f"{len(one)} parts, {len(other)} in the other form"
        parts = (difference(a, b, tolerance) for a, b in zip(one, other, strict=True))
        return next((f"part {k}: {text}" for k, text in enumerate(parts) if text), "")
    if isinstance(one, pd.DataFrame) and isinstance(other, pd.DataFrame):
        return _difference_of_tables(_in_order(one), _in_order(other), tolerance)
    if type(one) is type(other):
        return "" if repr(one) == repr(other) else f"{one!r:.300} is {other!r:.300}"
    return f"a {type(one).__name__} is {other!r:.300}"


def _in_order(table: pd.DataFrame) -> pd.DataFrame:
    """Rows in the order of their names, text as text and numbers as float64."""
    if not isinstance(table.index, pd.RangeIndex):
        table = table.reset_index(names="row name")
    numeric = [c for c in table if pd.api.types.is_numeric_dtype(table[c])]
    table = table.astype(dict.fromkeys(set(table) - set(numeric), str))
    table = table.astype(dict.fromkeys(numeric, float)).rename(columns=str)
    named = [c for c in table if not pd.api.types.is_numeric_dtype(table[c])]
    first = named or list(table)
    return table[sorted(table.columns)].sort_values(first, ignore_index=True, kind="stable")


def _difference_of_tables(one: pd.DataFrame, other: pd.DataFrame, tolerance: float) -> str:
    if one.shape != other.shape or list(one) != list(other):
        return f"{one.shape} {list(one)[:5]} is {other.shape} {list(other)[:5]}"
    for name in one:
        a, b = one[name].to_numpy(), other[name].to_numpy()
        if a.dtype == float and b.dtype == float:
            wrong = ~np.isclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True)
        else:
            wrong = a != b
        if wrong.any():
            row = int(np.argmax(wrong))
            return f"{name}: {wrong.sum()} of {len(a)}, e.g. row {row}: {a[row]!r} is {b[row]!r}"
    return ""


def changes(expected: dict[str, Any], found: dict[str, Any], tolerance: float = EXACT) -> dict:
    """Differences by the name of the verb."""
    if "tl.infer_ccc" not in found:  # most warnings are its
        found = {name: value for name, value in found.items() if name != "warnings"}
    texts = {name: difference(expected[name], found[name], tolerance) for name in found}
    return {name: text for name, text in texts.items() if text}
