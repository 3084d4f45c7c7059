"""Versions of the software that computes a result, stored with it."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version

from .._version import __version__

#: Packages on which numbers depend.
PACKAGES = ("torch", "numpy", "scipy", "pandas", "anndata")
#: Packages that only some calls import; stated if they have been.
OPTIONAL = ("scanpy",)
#: Packages whose module names the build, such as 2.13.0+cu130, which their metadata may lack.
BUILDS = ("torch",)


def software_versions() -> dict[str, str]:
    """Return the versions of this package, of Python and of the packages it computes with."""
    names = [*PACKAGES, *(name for name in OPTIONAL if name in sys.modules)]
    own = {"spatrace_sc": __version__, "python": platform.python_version()}
    return own | {name: _version(name) for name in names}


def _version(name: str) -> str:
    if name in BUILDS and name in sys.modules:
        return str(sys.modules[name].__version__)
    try:
        return version(name)
    except PackageNotFoundError:  # as where a package is only on the path
        return "unknown"
