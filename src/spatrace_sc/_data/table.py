"""The table of an AnnData or a SpatialData, and where results may be written."""

from __future__ import annotations

import logging
from collections.abc import Mapping
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
    """Return the AnnData itself, or the named table of a SpatialData; not a copy.

    Of a table opened with :func:`anndata.experimental.read_lazy`, ``obs``, ``var`` and
    ``uns`` are read into memory; expression stays on disk.
    """
    if isinstance(data, AnnData):
        return with_annotations_in_memory(data)
    tables = getattr(data, "tables", None)
    if tables is None:
        raise InvalidArgumentError(
            f"`data` must be AnnData or SpatialData, found {type(data).__name__}."
        )
    if table_key not in tables:
        raise MissingKeyError(
            f"`table_key={table_key!r}` is not a table of the SpatialData; it has "
            f"{shorten(tables.keys())}.{closest(table_key, tables.keys())}"
        )
    return with_annotations_in_memory(tables[table_key])


def with_annotations_in_memory(table: AnnData) -> AnnData:
    """Read ``obs``, ``var`` and ``uns`` of a lazily opened table in place, and return it."""
    for slot in ("obs", "var"):
        frame = getattr(table, slot)
        if not isinstance(frame, pd.DataFrame):
            setattr(table, slot, frame.to_memory())
    lazy = {key: value for key, value in table.uns.items() if _is_lazy(value)}
    if lazy:
        table.uns = dict(table.uns) | dict(AnnData(uns=lazy).to_memory().uns)
    return table


def _is_lazy(value: object) -> bool:
    """Whether an entry of ``uns``, or any in it, has still to be read from a file."""
    if isinstance(value, Mapping):
        return any(_is_lazy(entry) for entry in value.values())
    return hasattr(value, "compute") or hasattr(value, "to_memory")


def detach_view(adata: AnnData) -> None:
    """Turn a view into data of its own, in place, before results are written to it.

    The object keeps its identity, anndata raises no warning, and the viewed data stay unchanged.
    """
    if not adata.is_view:
        return
    if adata.isbacked:
        raise InvalidArgumentError(
            f"the AnnData is a view of one in backed mode ({adata.filename}), to which nothing "
            "can be written: call `adata.to_memory()` first, or `adata.copy(filename=...)` for a "
            "file of its own."
        )
    logger.info("The AnnData is a view: it becomes a copy, and only the copy gets the results.")
    adata._init_as_actual(adata.copy())


def check_copy(adata: AnnData, copy: bool) -> None:
    """Require that results can be written to the data or, with ``copy``, to a copy.

    A copy of data that are open on disk would need all of them in memory.
    """
    if not copy:
        detach_view(adata)
    elif adata.isbacked:
        raise InvalidArgumentError(
            f"`copy=True`: the AnnData is open in backed mode ({adata.filename}) and cannot be "
            "copied. Use `copy=False`, which adds results to the object and not to the file, or "
            "`adata.to_memory()` first."
        )


def annotation(table: AnnData) -> dict[str, Any]:
    """Return the entries of ``uns`` that link cells to elements of a SpatialData."""
    return {key: dict(table.uns[key]) for key in (_keys.ATTRS, _keys.GATHERED) if key in table.uns}
