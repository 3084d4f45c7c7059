"""AnnData or SpatialData in, the table to work on out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anndata import AnnData

from ._errors import InvalidArgumentError, MissingKeyError
from ._validate import closest, shorten

if TYPE_CHECKING:
    from spatialdata import SpatialData


def as_table(data: AnnData | SpatialData, table_key: str) -> AnnData:
    """The AnnData itself, or the named table of a SpatialData (not a copy)."""
    if isinstance(data, AnnData):
        return data
    tables = getattr(data, "tables", None)
    if tables is None:
        raise InvalidArgumentError(f"`data` must be AnnData or SpatialData, found {type(data).__name__}.")
    if table_key not in tables:
        raise MissingKeyError(
            f"`table_key={table_key!r}` is not a table of the SpatialData; it has {shorten(tables.keys())}.{closest(table_key, tables.keys())}"
        )
    return tables[table_key]
