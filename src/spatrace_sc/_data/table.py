"""AnnData or SpatialData in, the table to work on out."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pandas as pd
from anndata import AnnData

from .. import _keys
from .._check import closest, shorten
from .._errors import InvalidArgumentError, MissingKeyError

if TYPE_CHECKING:
    from spatialdata import SpatialData

logger = logging.getLogger("spatrace_sc")


def as_table(data: AnnData | SpatialData, table_key: str) -> AnnData:
    """The AnnData itself, or the named table of a SpatialData (not a copy).

    Of a table opened with :func:`anndata.experimental.read_lazy`, ``obs`` and ``var`` are read into it; expression stays on disk.
    """
    if isinstance(data, AnnData):
        return _with_columns(data)
    tables = getattr(data, "tables", None)
    if tables is None:
        raise InvalidArgumentError(
            f"`data` must be AnnData or SpatialData, found {type(data).__name__}."
        )
    if table_key not in tables:
        raise MissingKeyError(
            f"`table_key={table_key!r}` is not a table of the SpatialData; it has {shorten(tables.keys())}.{closest(table_key, tables.keys())}"
        )
    return _with_columns(tables[table_key])


def _with_columns(table: AnnData) -> AnnData:
    for slot in ("obs", "var"):
        found = getattr(table, slot)
        if not isinstance(found, pd.DataFrame):
            setattr(table, slot, found.to_memory())
    return table


def own(adata: AnnData) -> None:
    """A view becomes data of its own before anything is written to it, under the same name and without a warning from inside; what it is a view of stays as it is."""
    if not adata.is_view:
        return
    if adata.isbacked:
        raise InvalidArgumentError(
            f"the AnnData is a view of one in backed mode ({adata.filename}), to which nothing can be written: call `adata.to_memory()` first, or `adata.copy(filename=...)` for a file of its own."
        )
    logger.info("The AnnData is a view of another: it becomes a copy, results are in it alone.")
    adata._init_as_actual(adata.copy())


def check_copy(adata: AnnData, copy: bool) -> None:
    """Results can be written to the data or, with ``copy``, to a copy. A copy of what is open on disk would need all of it in memory."""
    if not copy:
        own(adata)
    if copy and adata.isbacked:
        raise InvalidArgumentError(
            f"`copy=True`: the AnnData is open in backed mode ({adata.filename}) and cannot be copied. Take `copy=False`, which adds results to the object and not to the file, or `adata.to_memory()` first."
        )


def annotation(table: AnnData) -> dict[str, Any]:
    """``uns`` that says which elements of a SpatialData the cells of a table are; empty if none."""
    return {key: dict(table.uns[key]) for key in (_keys.ATTRS, _keys.GATHERED) if key in table.uns}
