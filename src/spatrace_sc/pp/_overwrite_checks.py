"""What a repeated call may overwrite: results of this package, never data of the user's."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys
from .._check import shorten
from .._errors import InvalidArgumentError

if TYPE_CHECKING:
    from spatialdata import SpatialData

logger = logging.getLogger("spatrace_sc")


def check_time(adata: AnnData, time_key: str, root: str) -> None:
    """Require that the column of time is free, or holds an unchanged pseudotime of this package.

    A pseudotime is unchanged if all its values are among the stored ones, also in a subset of the
    cells.
    """
    if time_key not in adata.obs:
        return
    column = adata.obs[time_key]
    if column.dtype.kind == "f":
        values = column.to_numpy(dtype=float, na_value=np.nan)
        finite = values[np.isfinite(values)]
        for name, entry in adata.uns.items():
            if (
                _is_transitions(entry)
                and str(entry["params"].get("time_key")) == time_key
                and _keys.PSEUDOTIME in entry
                and np.isin(finite, np.asarray(entry[_keys.PSEUDOTIME], dtype=float)).all()
            ):
                logger.info("obs[%r], computed for %r, is computed again.", time_key, str(name))
                return
    raise InvalidArgumentError(
        f"`root={root!r}` requests a new pseudotime, but `adata.obs[{time_key!r}]` exists and was "
        "not computed by `st.pp.transitions`, or has changed since; drop it (`del "
        "adata.obs[...]`), choose another `time_key`, or omit `root` to use it."
    )


def check_transitions(adata: AnnData, key: str) -> None:
    """Require that the slots of transitions are free, or hold transitions of this package."""
    if key in adata.uns and not _is_transitions(adata.uns[key]):
        slot = "uns"
    elif key in adata.obsp and key not in adata.uns:
        slot = "obsp"
    else:
        return
    raise InvalidArgumentError(
        f"`key_added={key!r}`: `adata.{slot}[{key!r}]` was not written by `st.pp.transitions` and "
        f"would be lost; choose another name, or delete it first (`del adata.{slot}[{key!r}]`)."
    )


def distinct_times(time: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sorted finite values of a pseudotime, by which a later call recognises it."""
    return np.unique(time[np.isfinite(time)])


def _is_transitions(entry: Any) -> bool:
    """Whether an entry of ``uns`` was written by ``pp.transitions``."""
    return (
        isinstance(entry, Mapping)
        and _keys.REACH in entry
        and isinstance(entry.get("params"), Mapping)
    )


def _is_result(entry: Any) -> bool:
    """Whether an entry of ``uns`` is a result of ``tl.infer_ccc``."""
    return isinstance(entry, Mapping) and "lr_targets" in entry


def check_table(sdata: SpatialData, key: str) -> None:
    """Require that the name of the gathered table is free, or that of a gathered table."""
    if key in sdata and not (key in sdata.tables and _keys.GATHERED in sdata.tables[key].uns):
        raise InvalidArgumentError(
            f"`key_added={key!r}`: the SpatialData has an element of that name, which "
            "`st.pp.gather` did not create; choose another, or delete it first (`del "
            f"sdata[{key!r}]`)."
        )


def check_replaced(sdata: SpatialData, key: str, table: AnnData) -> None:
    """Require that the gathered table to be replaced holds nothing that the user has added.

    Additions are columns of cells, layers and embeddings, and columns with changed values.
    """
    if key not in sdata.tables:
        return
    old = sdata.tables[key]
    prefixes = _package_prefixes(old)
    added = [
        f"{slot}[{str(name)!r}]"
        for slot in ("obs", "layers", "obsm", "obsp")
        for name in getattr(old, slot)
        if name is not None
        and name not in getattr(table, slot)
        and not str(name).startswith(prefixes)
    ]
    if old.obs_names.equals(table.obs_names):
        added += [
            f"obs[{str(name)!r}] (changed)"
            for name in old.obs
            if name in table.obs and not _equal(old.obs[name], table.obs[name])
        ]
    if added:
        raise InvalidArgumentError(
            f"`key_added={key!r}` is a gathered table to which you have added "
            f"{shorten(added, 5)}, which would be lost; choose another name, or delete the table "
            f"first (`del sdata[{key!r}]`)."
        )
    results = [str(name) for name, entry in old.uns.items() if _is_result(entry)]
    logger.info(
        "The table %r, gathered before, is replaced%s.",
        *(key, f", and with it its results {shorten(results)}" if results else ""),
    )


def _equal(old: pd.Series, new: pd.Series) -> bool:
    """Whether two columns of the same cells are equal, missing values included."""
    old, new = old.astype(object), new.astype(object)
    return bool(((old == new) | (old.isna() & new.isna())).all())


def _package_prefixes(table: AnnData) -> tuple[str, ...]:
    """Return the beginnings of the names that this package gives to slots of a table."""
    prefixes = [_keys.EXPOSURE]
    for name, entry in table.uns.items():
        if _is_result(entry):
            prefixes.append(f"{name}_")
        elif _is_transitions(entry):
            prefixes.append(str(name))
            if _keys.PSEUDOTIME in entry:
                prefixes.append(str(entry["params"]["time_key"]))
    return tuple(prefixes)
