"""Known interactions from a table, or from other packages, which are imported lazily."""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib import import_module
from types import ModuleType

import numpy as np
import pandas as pd

from .._check import closest, shorten
from .._data.gene_names import NO_NAME, name_of
from .._errors import DataError, DownloadError, InvalidArgumentError, MissingPackageError

logger = logging.getLogger("spatrace_sc")

#: Columns of a resource → columns of the prior. The third pair is decoupler's.
COLUMNS = {
    ("ligand", "receptor"): ["ligand", "receptor"],
    ("tf", "target"): ["tf", "target"],
    ("source", "target"): ["tf", "target"],
}
#: Networks of decoupler that can be named.
DECOUPLER_NETWORKS = ("collectri", "dorothea")
#: Length up to which the message of a failed download is quoted.
MAX_QUOTED = 150


def read_resource(resource: str | pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Return a table of two columns of genes and ``weight``, and its name in messages."""
    if isinstance(resource, pd.DataFrame):
        return _tidy(resource), "the table"
    package, _, name = str(resource).partition(":")
    if not isinstance(resource, str) or package not in READERS:
        finding = resource if isinstance(resource, str) else type(resource).__name__
        raise InvalidArgumentError(
            "`resource` must be a table or a name such as 'liana:consensus', "
            f"'liana:mouseconsensus' or 'decoupler:collectri', found {finding!r}."
        )
    return _tidy(READERS[package](name)), resource


def read_liana(name: str, argument: str = "resource") -> pd.DataFrame:
    """Return a resource of the installed liana; ``argument`` is named in messages."""
    liana = _package("liana", "liana", argument)
    available = [str(n) for n in liana.rs.show_resources()]
    if name not in available:
        raise InvalidArgumentError(
            f"`{argument}`: liana has no resource {name!r}; it has {shorten(available, 30)}."
            f"{closest(name, available)}"
        )
    table: pd.DataFrame = liana.rs.select_resource(name)
    return table


def _read_decoupler(name: str) -> pd.DataFrame:
    decoupler = _package("decoupler", "decoupler>=2")
    if name not in DECOUPLER_NETWORKS:
        raise InvalidArgumentError(
            f"`resource`: the known networks of decoupler are {shorten(DECOUPLER_NETWORKS)}, found "
            f"{name!r}.{closest(name, DECOUPLER_NETWORKS)} Pass the table of any other, e.g. "
            "`resource=decoupler.op.collectri(organism='mouse')`."
        )
    if not hasattr(decoupler, "op"):
        version = getattr(decoupler, "__version__", "an older one")
        raise MissingPackageError(
            f"`resource='decoupler:{name}'` needs decoupler 2 or newer, found {version}: "
            "`pip install 'spatrace-sc[prior]'` or `pip install 'decoupler>=2'`."
        )
    try:
        table: pd.DataFrame = getattr(decoupler.op, name)()
    except (OSError, ValueError) as error:
        raise DownloadError(
            f"`resource='decoupler:{name}'`: decoupler downloads this network and could not "
            f"({type(error).__name__}: {str(error)[:MAX_QUOTED]}). On a machine with internet, "
            f"save `decoupler.op.{name}()` to a file, and pass the table as `resource`."
        ) from error
    return table


READERS: dict[str, Callable[[str], pd.DataFrame]] = {
    "liana": read_liana,
    "decoupler": _read_decoupler,
}


def _package(name: str, requirement: str, argument: str = "resource") -> ModuleType:
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingPackageError(
            f"`{argument}` needs {name}, which cannot be imported ({error}): "
            "`pip install 'spatrace-sc[prior]'` installs liana and decoupler (or only this one: "
            f"`pip install '{requirement}'`)."
        ) from error


def _tidy(table: pd.DataFrame) -> pd.DataFrame:
    """Return two columns of genes, named as in the prior, and weights of at least 0.

    Rows without a name are left out, and blanks around names removed; both are logged.
    """
    columns = next((columns for columns in COLUMNS if set(columns) <= set(table)), None)
    if columns is None:
        raise InvalidArgumentError(
            "`resource` must have columns ligand, receptor[, weight]; tf, target[, weight]; or "
            f"source, target[, weight]; found {list(table.columns)}."
        )
    weight = (
        pd.to_numeric(table["weight"], errors="coerce")
        if "weight" in table
        else pd.Series(1.0, index=table.index)
    )
    value = weight.to_numpy(dtype=float, na_value=np.nan)
    value = np.abs(value) if columns[0] == "source" else value
    if not np.isfinite(value).all() or (value < 0).any():
        raise InvalidArgumentError(
            "`resource['weight']` must be numbers of at least 0 (of source, target: any sign)."
        )
    genes = pd.DataFrame(
        {
            new: [name_of(name) for name in table[old]]
            for old, new in zip(columns, COLUMNS[columns], strict=True)
        },
        dtype=object,
    )
    stripped = genes.map(str.strip)
    named = ~stripped.isin(NO_NAME).any(axis=1)
    if not named.any():
        finding = f"{len(table)} rows, all without a name" if len(table) else "no rows"
        raise DataError(f"`resource` has {finding}; it must list at least one edge.")
    n_blank, n_unnamed = int((stripped != genes).any(axis=1).sum()), int((~named).sum())
    if n_blank or n_unnamed:
        logger.info(
            "resource: blanks around names removed in %d rows, %d rows without a name left out.",
            *(n_blank, n_unnamed),
        )
    return stripped.assign(weight=value)[named].reset_index(drop=True)
