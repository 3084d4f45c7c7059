"""Known interactions out of other packages, which are imported late, or out of a table."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from types import ModuleType

import numpy as np
import pandas as pd

from .._check import closest, shorten
from .._data.genes import NO_NAME
from .._errors import DownloadError, InvalidArgumentError, MissingPackageError

#: Columns of a resource → columns of the prior. The third is how decoupler calls TFs and targets.
KINDS = {
    ("ligand", "receptor"): ["ligand", "receptor"],
    ("tf", "target"): ["tf", "target"],
    ("source", "target"): ["tf", "target"],
}
#: Networks of decoupler that can be named.
DECOUPLER = ("collectri", "dorothea")


def read_resource(resource: str | pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Table of three columns, two of genes and ``weight``, and what to call it."""
    if isinstance(resource, pd.DataFrame):
        return _tidy(resource), "the table"
    package, _, name = str(resource).partition(":")
    if not isinstance(resource, str) or package not in PACKAGES:
        raise InvalidArgumentError(
            f"`resource` must be a table or a name such as 'liana:consensus', 'liana:mouseconsensus' or 'decoupler:collectri', found {resource if isinstance(resource, str) else type(resource).__name__!r}."
        )
    return _tidy(PACKAGES[package](name)), resource


def _liana(name: str) -> pd.DataFrame:
    liana = _package("liana", "liana")
    there = [str(n) for n in liana.rs.show_resources()]
    if name not in there:
        raise InvalidArgumentError(
            f"`resource`: liana has no resource {name!r}; it has {shorten(there, 30)}.{closest(name, there)}"
        )
    table: pd.DataFrame = liana.rs.select_resource(name)
    return table


def _decoupler(name: str) -> pd.DataFrame:
    decoupler = _package("decoupler", "decoupler>=2")
    if name not in DECOUPLER:
        raise InvalidArgumentError(
            f"`resource`: of decoupler's networks {shorten(DECOUPLER)} can be named, found {name!r}.{closest(name, DECOUPLER)} Of others pass the table, e.g. `resource=decoupler.op.collectri(organism='mouse')`."
        )
    if not hasattr(decoupler, "op"):
        raise MissingPackageError(
            f"`resource='decoupler:{name}'` needs decoupler 2 or newer, found {getattr(decoupler, '__version__', 'an older one')}: `pip install 'spatrace-sc[prior]'` or `pip install 'decoupler>=2'`."
        )
    try:
        table: pd.DataFrame = getattr(decoupler.op, name)()
    except (OSError, ValueError) as error:
        raise DownloadError(
            f"`resource='decoupler:{name}'`: decoupler downloads this network and could not ({type(error).__name__}: {str(error)[:150]}). "
            f"Where there is internet, save `decoupler.op.{name}()` to a file, and pass the table as `resource`."
        ) from error
    return table


PACKAGES: dict[str, Callable[[str], pd.DataFrame]] = {"liana": _liana, "decoupler": _decoupler}


def _package(name: str, wanted: str) -> ModuleType:
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingPackageError(
            f"`resource` needs {name}, which cannot be imported ({error}): `pip install 'spatrace-sc[prior]'` installs liana and decoupler (or only this one: `pip install '{wanted}'`)."
        ) from error


def _tidy(table: pd.DataFrame) -> pd.DataFrame:
    """The two columns of genes as strings, named as in the prior, and weights of at least 0. Rows without a name are left out."""
    kind = next((kind for kind in KINDS if set(kind) <= set(table)), None)
    if kind is None:
        raise InvalidArgumentError(
            f"`resource` must have columns ligand, receptor[, weight]; tf, target[, weight]; or source, target[, weight]; found {list(table.columns)}."
        )
    weight = (
        pd.to_numeric(table["weight"], errors="coerce")
        if "weight" in table
        else pd.Series(1.0, index=table.index)
    )
    value = weight.to_numpy(dtype=float, na_value=np.nan)
    value = np.abs(value) if kind[0] == "source" else value
    if not np.isfinite(value).all() or (value < 0).any():
        raise InvalidArgumentError(
            "`resource['weight']` must be numbers of at least 0 (of source, target: any sign)."
        )
    genes = {
        new: table[old].astype(object).where(table[old].notna(), "").astype(str).to_numpy()
        for old, new in zip(kind, KINDS[kind], strict=True)
    }
    tidy = pd.DataFrame(genes).assign(weight=value)
    return tidy[~tidy[KINDS[kind]].isin(NO_NAME).any(axis=1)].reset_index(drop=True)
