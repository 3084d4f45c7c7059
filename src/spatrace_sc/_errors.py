"""Errors and warnings of the package."""

from __future__ import annotations

import functools
import sys
import warnings
from pathlib import Path

#: Files that are not the user's: the package, and cached properties that it computes when read.
_NOT_THE_USERS = (str(Path(__file__).parent), functools.__file__)


class SpatraceError(Exception):
    """Base of every error raised by this package."""


class InvalidArgumentError(SpatraceError, ValueError):
    """An argument has an unusable value. The message names argument, value and remedy."""


class MissingKeyError(SpatraceError, KeyError):
    """A slot or column is missing. The message lists the available ones and says what to call."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class UnknownSettingError(SpatraceError, AttributeError):
    """``st.settings`` has no such setting. The message lists the available ones."""


class DataError(SpatraceError, ValueError):
    """The data cannot be used. The message says what is wrong and how to fix it."""


class DeviceError(SpatraceError, RuntimeError):
    """A device was requested that this machine does not have."""


class MissingPackageError(SpatraceError, ImportError):
    """An optional package is not installed. The message names it and says how to install it."""


class DownloadError(SpatraceError, RuntimeError):
    """A download failed. The message names the address, and how to place the file by hand."""


class ChecksumError(DownloadError):
    """The checksum of a file differs from the expected one, and the file is not used."""


class SpatraceWarning(UserWarning):
    """The data or arguments may be mistaken; the computation continues."""


def warn(message: str, category: type[Warning] = SpatraceWarning) -> None:
    """Warn at the line of the user's code that called the package, however deep this call is."""
    frame, level = sys._getframe(), 1
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_NOT_THE_USERS):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
