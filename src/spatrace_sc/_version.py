"""Version of the package."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("spatrace-sc")
except PackageNotFoundError:  # a checkout that is not installed
    __version__ = "0.0.0"
