"""A folder in which the finished parts of a long computation are kept."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .._errors import InvalidArgumentError

logger = logging.getLogger("spatrace_sc")

#: File that says what a folder belongs to.
LABEL = "checkpoint.json"


class CheckpointFolder:
    """Files of finished parts, and a label that says which computation they belong to.

    Every file is written under a temporary name and then moved into place, so a process that is
    killed leaves whole files only. Arrays are stored without pickle.
    """

    def __init__(self, path: str | os.PathLike[str], label: Mapping[str, str]):
        check_folder(path)
        self.path = Path(path)
        self._name = f"`checkpoint={os.fspath(path)!r}`"
        if self.path.exists() and not self.path.is_dir():
            raise InvalidArgumentError(f"{self._name} is a file; name a folder.")
        if (self.path / LABEL).exists():
            self._check_label(dict(label))
        elif self.path.exists() and any(map(_is_foreign, self.path.iterdir())):
            raise InvalidArgumentError(
                f"{self._name} is a folder with other files; name a new or an empty one."
            )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._not_written(error) from error
        self.write_json(LABEL, dict(label))

    def _check_label(self, label: dict[str, str]) -> None:
        """Require that the folder belongs to this computation."""
        stored = self.read_json(LABEL)
        if stored == label:
            return
        known = stored if isinstance(stored, dict) else {}
        differing = [key for key, value in label.items() if known.get(key) != value]
        raise InvalidArgumentError(
            f"{self._name} belongs to another computation: it differs in "
            f"{', '.join(differing) or 'its form'}. Name another folder, or delete this one."
        )

    def names(self, ending: str) -> Iterator[str]:
        """Yield the names of the finished files with an ending, in alphabetical order."""
        yield from sorted(f.name for f in self.path.glob(f"*{ending}") if f.name[0] != ".")

    def read_json(self, name: str) -> Any:
        """Return the content of a file, None if it is missing or damaged."""
        try:
            return json.loads((self.path / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            logger.warning("%s: the file %s is damaged and is not used.", *(self._name, name))
            return None

    def write_json(self, name: str, content: Any) -> None:
        """Write plain values."""
        self._write(name, lambda file: file.write_text(json.dumps(content), encoding="utf-8"))

    def read_arrays(self, name: str) -> dict[str, NDArray[Any]] | None:
        """Return the arrays of a file, None if it is missing or damaged."""
        try:
            with np.load(self.path / f"{name}.npz", allow_pickle=False) as arrays:
                return {key: arrays[key] for key in arrays.files}
        except FileNotFoundError:
            return None
        except (OSError, ValueError, EOFError, zipfile.BadZipFile):
            logger.warning("%s: the file %s.npz is damaged and is not used.", *(self._name, name))
            return None

    def write_arrays(self, name: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Write arrays."""

        def save(file: Path) -> None:
            with file.open("wb") as stream:
                np.savez(stream, **arrays)  # type: ignore[arg-type]  # names are strings

        self._write(f"{name}.npz", save)

    def _write(self, name: str, save: Callable[[Path], object]) -> None:
        """Write a file under a temporary name and move it into place."""
        temporary = self.path / f".{name}.{os.getpid()}.{threading.get_ident()}"
        try:
            save(temporary)
            temporary.replace(self.path / name)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise self._not_written(error) from error

    def _not_written(self, error: OSError) -> InvalidArgumentError:
        return InvalidArgumentError(
            f"{self._name} cannot be written ({error.strerror or error}). Make room or name "
            "another folder. What is stored there stays valid, and the same call continues it."
        )


def check_folder(path: object) -> None:
    """Require the path of a folder, or None."""
    if path is not None and not isinstance(path, str | os.PathLike):
        raise InvalidArgumentError(
            f"`checkpoint` must be the path of a folder, or None, found {path!r}."
        )


def digest(*values: NDArray[Any] | str) -> str:
    """Return a digest of text and of arrays of numbers or names."""
    hashed = hashlib.sha256()
    for value in values:
        array = np.asarray(value)
        if array.dtype.kind in "OUS":
            hashed.update("\x1f".join(map(str, array.ravel())).encode())
        else:
            hashed.update(np.ascontiguousarray(array).tobytes())
        hashed.update(str(array.shape).encode())
    return hashed.hexdigest()[:24]


def digest_of_tables(tables: Iterable[pd.DataFrame]) -> str:
    """Return a digest of the content of tables."""
    return digest(
        *(np.asarray(pd.util.hash_pandas_object(t.astype(str), index=False)) for t in tables)
    )


def _is_foreign(file: Path) -> bool:
    """Whether a file is not the unfinished label of a process that was killed."""
    return not file.name.startswith(f".{LABEL}.")
