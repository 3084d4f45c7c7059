"""What the package raises and warns."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

_PACKAGE = str(Path(__file__).parent)


class SpatraceError(Exception):
    """Base of every error raised by this package."""


class InvalidArgumentError(SpatraceError, ValueError):
    """An argument has a value that cannot be used. The message names the argument, what was found and what to pass."""


class MissingKeyError(SpatraceError, KeyError):
    """A slot or column is not in the data. The message lists those that are and says what to call."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class UnknownSettingError(SpatraceError, AttributeError):
    """``st.settings`` has no such setting. The message lists those that it has."""


class DataError(SpatraceError, ValueError):
    """The data cannot be used as they are."""


class DeviceError(SpatraceError, RuntimeError):
    """A device was asked for that this machine does not have."""


class MissingPackageError(SpatraceError, ImportError):
    """An optional package is not installed. The message says which one and how to install it."""


class DownloadError(SpatraceError, RuntimeError):
    """A file could not be fetched. The message names the address, the cache and how to place the file by hand."""


class ChecksumError(DownloadError):
    """A file is not the one that was expected. It is not used."""


class SpatraceWarning(UserWarning):
    """Something of the user's data deserves a second look; the computation goes on."""


def warn(message: str, category: type[Warning] = SpatraceWarning) -> None:
    """Warn at the line of the user's code that called the package, however deep this call is."""
    frame, level = sys._getframe(), 1
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
