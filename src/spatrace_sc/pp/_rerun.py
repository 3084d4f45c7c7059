"""What a second call may replace: what this package wrote, never what is the user's."""

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
    """A pseudotime that is there may be computed anew only if it is one of ours, all its values as they were written; of fewer cells will do."""
    if time_key not in adata.obs:
        return
    column = adata.obs[time_key]
    if column.dtype.kind == "f":
        values = column.to_numpy(dtype=float)
        for name, found in adata.uns.items():
            if (
                _is_ours(found)
                and str(found["params"].get("time_key")) == time_key
                and _keys.PSEUDOTIME in found
            ):
                if np.isin(
                    values[np.isfinite(values)], np.asarray(found[_keys.PSEUDOTIME], dtype=float)
                ).all():
                    logger.info(
                        "obs[%r], computed for %r before, is computed anew.", time_key, str(name)
                    )
                    return
    raise InvalidArgumentError(
        f"`root={root!r}` asks for a new pseudotime but `adata.obs[{time_key!r}]` exists and was not computed by `st.pp.transitions`, or has changed since; drop it (`del adata.obs[...]`), choose another `time_key`, or leave `root` out to use it as it is."
    )


def check_transitions(adata: AnnData, key: str) -> None:
    """Slots of transitions are free, or hold transitions of ours."""
    if key in adata.uns and not _is_ours(adata.uns[key]):
        where = "uns"
    elif key in adata.obsp and key not in adata.uns:
        where = "obsp"
    else:
        return
    raise InvalidArgumentError(
        f"`key_added={key!r}`: `adata.{where}[{key!r}]` was not written by `st.pp.transitions` and would be lost; choose another name, or delete it first (`del adata.{where}[{key!r}]`)."
    )


def remembered(time: NDArray[np.float64]) -> NDArray[np.float64]:
    """What is kept of a pseudotime to know it by: its values, sorted, each once."""
    return np.unique(time[np.isfinite(time)])


def _is_ours(found: Any) -> bool:
    """Whether an entry of ``uns`` is of transitions."""
    return (
        isinstance(found, Mapping)
        and _keys.REACH in found
        and isinstance(found.get("params"), Mapping)
    )


def check_table(sdata: SpatialData, key: str) -> None:
    """The name of the gathered table is free, or that of a gathered table."""
    if key in sdata and not (key in sdata.tables and _keys.GATHERED in sdata.tables[key].uns):
        raise InvalidArgumentError(
            f"`key_added={key!r}`: the SpatialData has an element of that name, which `st.pp.gather` has not made; choose another, or delete it first (`del sdata[{key!r}]`)."
        )


def check_replaced(sdata: SpatialData, key: str, table: AnnData) -> None:
    """Nothing of the user's is in the gathered table that the new one replaces: no cells' columns, layers or embeddings of theirs, and none of another content."""
    if key not in sdata.tables:
        return
    old = sdata.tables[key]
    ours = _of_package(old)
    theirs = [
        f"{slot}[{str(name)!r}]"
        for slot in ("obs", "layers", "obsm", "obsp")
        for name in getattr(old, slot)
        if name is not None and name not in getattr(table, slot) and not str(name).startswith(ours)
    ]
    if old.obs_names.equals(table.obs_names):
        theirs += [
            f"obs[{str(name)!r}] (changed)"
            for name in old.obs
            if name in table.obs and not _same(old.obs[name], table.obs[name])
        ]
    if theirs:
        raise InvalidArgumentError(
            f"`key_added={key!r}` is a gathered table to which you have added {shorten(theirs, 5)}, which would be lost; choose another name, or delete the table first (`del sdata[{key!r}]`)."
        )
    lost = [
        str(name)
        for name, found in old.uns.items()
        if isinstance(found, Mapping) and "lr_targets" in found
    ]
    logger.info(
        "The table %r, gathered before, is replaced%s.",
        *(key, f", and with it its results {shorten(lost)}" if lost else ""),
    )


def _same(old: pd.Series, new: pd.Series) -> bool:
    """Whether two columns of the same cells say the same, missing where the other is missing."""
    old, new = old.astype(object), new.astype(object)
    return bool(((old == new) | (old.isna() & new.isna())).all())


def _of_package(table: AnnData) -> tuple[str, ...]:
    """How the names begin that verbs of this package have given to slots of a table."""
    names = [_keys.EXPOSURE]
    for name, found in table.uns.items():
        if isinstance(found, Mapping) and "lr_targets" in found:
            names.append(f"{name}_")
        elif _is_ours(found):
            names += [
                str(name),
                *([str(found["params"]["time_key"])] if _keys.PSEUDOTIME in found else []),
            ]
    return tuple(names)
