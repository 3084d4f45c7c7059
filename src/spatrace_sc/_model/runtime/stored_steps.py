"""Steps of a computation that are stored when they are done, and read instead of done again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

T = TypeVar("T")
#: Entry that holds the structure of what the other arrays are parts of.
STRUCTURE = "structure"


class ArrayStore(Protocol):
    """Where arrays are kept by name."""

    def read_arrays(self, name: str) -> dict[str, NDArray[Any]] | None:
        """Return stored arrays, None if there are none."""
        ...

    def write_arrays(self, name: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Store arrays."""
        ...


def stored_step(
    store: ArrayStore | None, name: str, compute: Callable[[], T], kinds: Mapping[str, type]
) -> T:
    """Return the result of a step: the stored one, or else a new one, which is stored.

    The result is made of tensors, arrays, numbers, text, lists, dictionaries and the records in
    ``kinds``, by name. Numbers are stored exactly. Nothing but these can be read from a store.
    """
    if store is None:
        return compute()
    stored = store.read_arrays(name)
    if stored is not None:
        result: T = _unpacked(json.loads(stored[STRUCTURE].tobytes()), stored, kinds)
        return result
    result = compute()
    arrays: dict[str, NDArray[Any]] = {}
    structure = json.dumps(_packed(result, arrays, kinds)).encode()
    store.write_arrays(name, arrays | {STRUCTURE: np.frombuffer(structure, dtype=np.uint8)})
    return result


def _packed(value: Any, arrays: dict[str, NDArray[Any]], kinds: Mapping[str, type]) -> Any:
    """Return the structure of a value, and put its arrays into ``arrays``."""
    if isinstance(value, torch.Tensor | np.ndarray):
        key = f"a{len(arrays)}"
        arrays[key] = value.cpu().numpy() if isinstance(value, torch.Tensor) else value
        return {"tensor" if isinstance(value, torch.Tensor) else "array": key}
    if value is None or isinstance(value, bool | int | float | str):
        return {"plain": value}
    if type(value).__name__ in kinds:
        names = [f.name for f in fields(value)] if is_dataclass(value) else list(value._fields)
        parts = {name: _packed(getattr(value, name), arrays, kinds) for name in names}
        return {"record": type(value).__name__, "parts": parts}
    if isinstance(value, dict):
        return {"dict": {str(key): _packed(part, arrays, kinds) for key, part in value.items()}}
    if isinstance(value, list):
        return {"list": [_packed(part, arrays, kinds) for part in value]}
    raise TypeError(f"a step cannot store a {type(value).__name__}")


def _unpacked(
    structure: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], kinds: Mapping[str, type]
) -> Any:
    """Return the value with this structure."""
    if "tensor" in structure:
        return torch.from_numpy(arrays[structure["tensor"]])
    if "array" in structure:
        return arrays[structure["array"]]
    if "plain" in structure:
        return structure["plain"]
    if "record" in structure:
        parts = {n: _unpacked(part, arrays, kinds) for n, part in structure["parts"].items()}
        return kinds[structure["record"]](**parts)
    if "dict" in structure:
        return {key: _unpacked(part, arrays, kinds) for key, part in structure["dict"].items()}
    return [_unpacked(part, arrays, kinds) for part in structure["list"]]
