"""Settings of a session: cache of data sets, device, progress bars and messages."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from ._check import closest, one_of, shorten
from ._errors import DeviceError, InvalidArgumentError, UnknownSettingError

if TYPE_CHECKING:
    import torch

logger = logging.getLogger("spatrace_sc")

#: Environment variables of the cache folder, and of the address that replaces the publisher's.
DATA_DIR = "SPATRACE_SC_DATA_DIR"
MIRROR = "SPATRACE_SC_MIRROR"

#: All settings.
NAMES = ("data_dir", "device", "mirror", "progress", "verbosity")
#: Level of each value of ``verbosity``.
LEVELS = {"error": logging.ERROR, "warning": logging.WARNING, "info": logging.INFO}


class Settings:
    """Settings of a session. The only object is ``st.settings``; values are checked on assignment.

    A setting is a default, which an argument of a function overrides. No setting changes a
    result, except that its last digits depend on the ``device``.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> st.settings.progress = False
    >>> with st.settings.override(device="cpu", verbosity="info"):
    ...     st.settings.device
    'cpu'
    >>> st.settings.device
    'auto'
    >>> st.settings.reset("progress")
    >>> st.settings.progress
    True
    """

    _given: dict[str, Any]

    def __init__(self) -> None:
        object.__setattr__(self, "_given", {})

    if not TYPE_CHECKING:  # a type checker finds a misspelt name by itself

        def __setattr__(self, name: str, value: object) -> None:
            object.__setattr__(self, _known(name), value)

        def __getattr__(self, name: str) -> Any:
            raise _unknown(name)

    def __repr__(self) -> str:
        mirror = self.mirror
        shown = {name: getattr(self, name) for name in NAMES} | {
            "data_dir": str(self.data_dir),
            "mirror": None if mirror is None else without_login(mirror),
        }
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in shown.items())})"

    @property
    def data_dir(self) -> Path:
        """Folder in which downloaded data sets are cached.

        It is created by the first download. Initially the environment variable
        ``SPATRACE_SC_DATA_DIR``, else the operating system's cache folder.
        """
        folder = self._given.get("data_dir")
        if folder is None:
            import pooch

            folder = os.environ.get(DATA_DIR) or pooch.os_cache("spatrace_sc")
        return Path(folder).expanduser().absolute()

    @data_dir.setter
    def data_dir(self, value: str | os.PathLike[str]) -> None:
        if not isinstance(value, str | os.PathLike) or not os.fspath(value):
            raise InvalidArgumentError(f"`st.settings.data_dir` must be a folder, found {value!r}.")
        folder = Path(value).expanduser().absolute()
        if folder.exists() and not folder.is_dir():
            raise InvalidArgumentError(
                f"`st.settings.data_dir` must be a folder, and {folder} is a file."
            )
        self._given["data_dir"] = folder

    @property
    def device(self) -> str:
        """Device that ``device="auto"`` of :func:`spatrace_sc.tl.infer_ccc` stands for.

        ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ...; or, initially, ``"auto"``: a CUDA GPU if there is
        one, otherwise CPU. A device that the machine lacks is an error only when it is used.
        """
        return str(self._given.get("device", "auto"))

    @device.setter
    def device(self, value: str) -> None:
        if not isinstance(value, str) or not re.fullmatch(r"auto|cpu|cuda(:\d+)?", value):
            raise InvalidArgumentError(
                "`st.settings.device` must be 'auto', 'cpu', 'cuda' or 'cuda:' and a number, found "
                f"{value!r}."
            )
        self._given["device"] = value

    @property
    def mirror(self) -> str | None:
        """Address (http or https) of a folder from which data sets are downloaded.

        None: their publisher. Initially the environment variable ``SPATRACE_SC_MIRROR``, else
        None.
        """
        if "mirror" in self._given:
            value = self._given["mirror"]
            return None if value is None else str(value)
        return os.environ.get(MIRROR) or None

    @mirror.setter
    def mirror(self, value: str | None) -> None:
        self._given["mirror"] = (
            None if value is None else checked_address(value, "`st.settings.mirror`")
        )

    @property
    def progress(self) -> bool:
        """Whether long computations show progress bars. Initially True.

        If False, bars are shown only where a function is called with ``progress=True`` or
        ``progressbar=True``. A :class:`spatrace_sc.Config` can switch bars off, not on.
        """
        return bool(self._given.get("progress", True))

    @progress.setter
    def progress(self, value: bool) -> None:
        if not isinstance(value, bool):
            raise InvalidArgumentError(
                f"`st.settings.progress` must be True or False, found {value!r}."
            )
        self._given["progress"] = value

    @property
    def verbosity(self) -> str:
        """Lowest level of the messages that are shown.

        ``"error"``, ``"warning"``, or ``"info"``, which reports every default that was chosen.
        Initially the level of Python's ``logging``: ``"warning"`` unless you configured it.
        Messages go to the logger ``"spatrace_sc"`` of the standard library. Assigning sets its
        level. As long as neither that logger nor the root logger has a handler of yours, messages
        are shown on standard error. The root logger and other packages stay unchanged.
        """
        return logging.getLevelName(logger.getEffectiveLevel()).lower()

    @verbosity.setter
    def verbosity(self, value: str) -> None:
        one_of(value, "st.settings.verbosity", LEVELS)
        logger.setLevel(LEVELS[value])
        if _fallback not in logger.handlers:
            logger.addHandler(_fallback)

    @contextmanager
    def override(self, **values: Any) -> Iterator[Settings]:
        """Set values within a ``with`` block, for all threads; restore the old ones after it."""
        for name in values:
            _known(name)
        given, level, shown = dict(self._given), logger.level, _fallback in logger.handlers
        try:
            for name, value in values.items():
                setattr(self, name, value)
            yield self
        finally:
            self._given.clear()
            self._given.update(given)
            logger.setLevel(level)
            if not shown:
                logger.removeHandler(_fallback)

    def reset(self, *names: str) -> None:
        """Restore the initial values of the named settings, or of all without a name.

        Initial values come from environment variables, or are the defaults.
        """
        for name in [_known(n) for n in names] or NAMES:
            self._given.pop(name, None)
            if name == "verbosity":
                logger.setLevel(logging.NOTSET)
                logger.removeHandler(_fallback)


class _Fallback(logging.Handler):
    """Shows messages on standard error while the user has no handler."""

    def emit(self, record: logging.LogRecord) -> None:
        if any(
            handler is not self for handler in (*logger.handlers, *logging.getLogger().handlers)
        ):
            return
        try:
            sys.stderr.write(f"{self.format(record)}\n")
        except (OSError, ValueError):  # closed
            self.handleError(record)


_fallback = _Fallback()
settings = Settings()


def _unknown(name: str) -> UnknownSettingError:
    return UnknownSettingError(
        f"`st.settings` has no {name!r}; it has {shorten(NAMES)}.{closest(name, NAMES)}"
    )


def _known(name: str) -> str:
    if name not in NAMES:
        raise _unknown(name)
    return name


def without_login(url: str) -> str:
    """Return an address without user name and password, to be shown or stored."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def checked_address(value: object, argument: str) -> str:
    """Return an http(s) address; ``argument`` names it in messages."""
    parts = urlsplit(value) if isinstance(value, str) else None
    if (
        not isinstance(value, str)
        or parts is None
        or parts.scheme not in {"http", "https"}
        or not parts.netloc
    ):
        raise InvalidArgumentError(
            f"{argument} must be an address that begins with http:// or https://, found {value!r}. "
            "A file on this machine can be placed in the cache instead (`cache_dir`)."
        )
    return value


def resolve_device(device: str) -> torch.device:
    """Return the named device; ``"auto"`` stands for ``settings.device``.

    A GPU that was requested and is absent is an error; there is no silent fallback.
    """
    import torch

    argument = f"`device={device!r}`"
    if device == "auto":
        device = settings.device
        argument = f"`st.settings.device = {device!r}`"
    if device == "auto":
        chosen = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        logger.info(
            "device: %s%s.", chosen, "" if chosen.type == "cuda" else " (no CUDA GPU found)"
        )
        return chosen
    try:
        chosen = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise InvalidArgumentError(
            f"{argument} is not a device; use 'auto', 'cpu' or 'cuda'."
        ) from error
    if chosen.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (chosen.index or 0) >= count:
            raise DeviceError(
                f"{argument} was requested but this machine has {count} CUDA GPUs; use 'cpu' or "
                "'auto', or install a CUDA build of torch."
            )
    elif chosen.type != "cpu":
        raise InvalidArgumentError(f"{argument} is not supported; use 'auto', 'cpu' or 'cuda'.")
    return chosen
