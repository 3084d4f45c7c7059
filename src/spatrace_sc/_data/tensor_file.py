"""Files of arrays and text in the format safetensors, checked before anything is allocated."""

from __future__ import annotations

import json
import math
import os
import stat
import threading
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._errors import DataError, InvalidArgumentError

#: Largest header in bytes: names and shapes of the arrays, and the text.
MAX_HEADER = 32_000_000
#: Data types of arrays, by their names in the format.
DTYPES = {
    **{"F16": "<f2", "F32": "<f4", "F64": "<f8"},
    **{"I8": "|i1", "I32": "<i4", "I64": "<i8", "U8": "|u1", "BOOL": "|b1"},
}
#: Largest number of dimensions and of arrays.
MAX_DIMENSIONS, MAX_ARRAYS = 3, 10_000
#: Name of the text among the metadata of a file.
TEXT = "content"


class Tensor(NamedTuple):
    """Data type, shape, and first and last byte of an array in a file."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    begin: int
    end: int


class TensorFile(NamedTuple):
    """The header of an open file: its arrays by name, and its text."""

    name: str
    stream: BinaryIO
    start: int
    tensors: dict[str, Tensor]
    text: str

    @property
    def n_bytes(self) -> int:
        """Size of all arrays together."""
        return sum(t.end - t.begin for t in self.tensors.values())

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Read all arrays."""
        result = {}
        for name, tensor in self.tensors.items():
            self.stream.seek(self.start + tensor.begin)
            data = self.stream.read(tensor.end - tensor.begin)
            if len(data) != tensor.end - tensor.begin:
                raise unreadable(self.name, "it ends too early")
            result[name] = np.frombuffer(data, dtype=tensor.dtype).reshape(tensor.shape).copy()
        return result


def unreadable(name: str, finding: str) -> DataError:
    """Return the error about a file of another kind, or a damaged one."""
    return DataError(f"{name} cannot be read as a model: {finding}. Nothing was loaded.")


def path_of(path: object) -> Path:
    """Return the path of a file; InvalidArgumentError for other values."""
    if not isinstance(path, str | os.PathLike) or not os.fspath(path):
        raise InvalidArgumentError(f"`path` must be the path of a file, found {path!r}.")
    return Path(os.fspath(path))


def write_tensors(
    path: Path, arrays: Mapping[str, NDArray[Any]], text: str, *, overwrite: bool
) -> None:
    """Write arrays and text under a temporary name, and move the file into place."""
    from safetensors.numpy import save

    if os.path.lexists(path) and not overwrite:
        raise InvalidArgumentError(
            f"`path={str(path)!r}` exists; pass `overwrite=True` to replace it, or name another."
        )
    if path.is_dir():
        raise InvalidArgumentError(f"`path={str(path)!r}` is a folder; name a file.")
    if len(text.encode()) > MAX_HEADER // 2:
        raise DataError(
            f"the names and settings of this model take {len(text) / 1e6:.0f} MB, more than a "
            "model file may hold; leave out genes without a role."
        )
    plain = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        with temporary.open("xb") as stream:
            stream.write(save(plain, metadata={TEXT: text}))
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise InvalidArgumentError(
            f"`path={str(path)!r}` cannot be written ({error.strerror or error}). Make room or "
            "name another file."
        ) from error


@contextmanager
def opened(path: Path) -> Any:
    """Open a file and check its header: a :class:`TensorFile`.

    Raises
    ------
    InvalidArgumentError
        If there is no such file, or it is a folder, a symbolic link or a device.
    DataError
        If the header is damaged, or does not describe the file.
    """
    name = f"`path={str(path)!r}`"
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        if path.is_symlink():
            raise InvalidArgumentError(f"{name} is a symbolic link; name the file itself.")
        descriptor = os.open(path, flags | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        raise InvalidArgumentError(f"{name} does not exist.") from None
    except OSError as error:
        raise InvalidArgumentError(f"{name} cannot be opened: {error.strerror or error}.") from None
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise InvalidArgumentError(f"{name} is not a file; name one that save_model wrote.")
    with os.fdopen(descriptor, "rb") as stream:
        yield _checked_header(name, stream, status.st_size)


def _checked_header(name: str, stream: BinaryIO, size: int) -> TensorFile:
    """Read and check the header of a file of ``size`` bytes."""
    if size < 8:
        raise unreadable(name, "it is empty or ends too early")
    length = int.from_bytes(stream.read(8), "little")
    if length > MAX_HEADER or length > size - 8:
        raise unreadable(name, f"it declares a header of {length} bytes in a file of {size}")
    header = parse_json(stream.read(length), name)
    if not isinstance(header, dict) or len(header) > MAX_ARRAYS:
        raise unreadable(name, "its header is not a table of arrays")
    metadata = header.pop("__metadata__", None)
    text = metadata.get(TEXT) if isinstance(metadata, dict) else None
    if not isinstance(text, str):
        raise unreadable(name, "it holds no description of a model")
    tensors = {key: _tensor(name, key, entry) for key, entry in header.items()}
    end = 0
    for tensor in sorted(tensors.values(), key=lambda t: (t.begin, t.end)):
        if tensor.begin != end:
            raise unreadable(name, "its arrays overlap, or there are gaps between them")
        end = tensor.end
    if end != size - 8 - length:
        raise unreadable(
            name, f"its arrays take {end} bytes by its header, and the file has {size - 8 - length}"
        )
    return TensorFile(name, stream, 8 + length, tensors, text)


def _tensor(name: str, key: str, entry: object) -> Tensor:
    """Return a checked entry of the header."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise unreadable(name, f"the array {key[:60]!r} is not described")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise unreadable(name, f"the array {key[:60]!r} has the data type {str(dtype)[:20]!r}")
    if not (_whole(shape) and len(shape) <= MAX_DIMENSIONS and _whole(offsets)):
        raise unreadable(name, f"the array {key[:60]!r} has no valid shape")
    kind = np.dtype(DTYPES[dtype])
    if len(offsets) != 2 or math.prod(shape) * kind.itemsize != offsets[1] - offsets[0]:
        raise unreadable(name, f"the array {key[:60]!r} has another size than its shape")
    return Tensor(kind, tuple(shape), offsets[0], offsets[1])


def _whole(values: object) -> bool:
    """Whether a value is a list of numbers of at least 0."""
    return isinstance(values, list) and all(
        isinstance(v, int) and not isinstance(v, bool) and 0 <= v < 2**48 for v in values
    )


def parse_json(text: str | bytes, name: str) -> Any:
    """Return the content of JSON without repeated keys and numbers that are not finite."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        table = dict(pairs)
        if len(table) != len(pairs):
            raise ValueError("a key is repeated")
        return table

    def refuse(constant: str) -> Any:
        raise ValueError(f"it holds {constant}")

    try:
        return json.loads(text, object_pairs_hook=unique, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else "it is damaged"
        raise unreadable(name, f"its header is not JSON ({reason})") from None
