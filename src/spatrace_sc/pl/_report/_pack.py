"""Arrays and tables as compact text that JavaScript unpacks: base64 of little-endian bytes."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

#: Name of a type in the page → the type.
TYPES = {"u8": "<u1", "u16": "<u2", "u32": "<u4", "f32": "<f4"}
#: Code of a missing activity, and of the end of the colour scale.
MISSING_CODE, LAST_CODE = 255, 254

Packed = dict[str, Any]


def pack(values: NDArray[Any], kind: str) -> Packed:
    """Return an array as its type and base64 text."""
    raw = np.ascontiguousarray(values, dtype=TYPES[kind]).tobytes()
    return {"type": kind, "data": base64.b64encode(raw).decode("ascii")}


def unpack(packed: Packed) -> NDArray[Any]:
    """Return the array that :func:`pack` was given."""
    return np.frombuffer(base64.b64decode(packed["data"]), dtype=TYPES[packed["type"]])


def pack_codes(codes: NDArray[Any], n: int) -> Packed:
    """Return indices below ``n`` in the smallest type that holds them."""
    return pack(codes, "u8" if n <= 1 << 8 else "u16" if n <= 1 << 16 else "u32")


def pack_table(table: pd.DataFrame) -> list[Packed]:
    """Return the columns of a table: text as names and indices, numbers as single precision."""
    return [_pack_column(str(name), table[name]) for name in table]


def unpack_table(columns: list[Packed]) -> pd.DataFrame:
    """Return the table that :func:`pack_table` was given."""
    values = {
        c["name"]: np.array(c["names"], dtype=object)[unpack(c["codes"])]
        if "names" in c
        else unpack(c["values"])
        for c in columns
    }
    return pd.DataFrame(values)


def _pack_column(name: str, column: pd.Series) -> Packed:
    """Return one column with its name."""
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        return {"name": name, "values": pack(column.to_numpy(dtype=np.float64), "f32")}
    codes, names = pd.factorize(column.astype(str).to_numpy(dtype=object))
    return {
        "name": name,
        "names": [str(n) for n in names],
        "codes": pack_codes(codes, len(names)),
    }


def quantised(values: NDArray[Any], top: float, *, signed: bool) -> NDArray[np.uint8]:
    """Return activities as codes 0 to 254, linear from 0, or from −``top``, to ``top``.

    Values beyond the ends have the code of the end. Missing values have code 255.
    """
    low = -top if signed else 0.0
    scale = LAST_CODE / (top - low)
    codes = np.rint(np.clip((values - low) * scale, 0, LAST_CODE))
    return np.where(np.isfinite(values), codes, MISSING_CODE).astype(np.uint8)


def dequantised(codes: NDArray[np.uint8], top: float, *, signed: bool) -> NDArray[np.float64]:
    """Return activities from their codes, to half a step."""
    low = -top if signed else 0.0
    values = low + codes * (top - low) / LAST_CODE
    return np.where(codes == MISSING_CODE, np.nan, values)
