"""Positions of the elements of a SpatialData."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys
from .._check import closest, shorten
from .._data.cells import stored_positions
from .._errors import DataError, InvalidArgumentError, MissingKeyError

if TYPE_CHECKING:
    from spatialdata import SpatialData

logger = logging.getLogger("spatrace_sc")

AXES = ["x", "y", "z"]


def element_of(sdata: SpatialData, name: str, tables: list[str]) -> Any:
    """Return the shapes, points or labels with that name."""
    elements = {**sdata.shapes, **sdata.points, **sdata.labels}
    if name in elements:
        return elements[name]
    problem = (
        "an image, which has no instances" if name in sdata.images else "not in the SpatialData"
    )
    raise MissingKeyError(
        f"`elements`: {name!r}, which {shorten(tables)} annotates, is {problem}; it has shapes, "
        f"points and labels {shorten(elements, 15)}.{closest(name, elements)} Name those to take "
        "in `elements`, or pass `coordinate_system=None` to use the coordinates of the tables."
    )


def centroids(element: Any, name: str, system: str) -> pd.DataFrame:
    """Return the centroids of an element's instances in a coordinate system.

    The index is the instance, the columns are x, y[, z]. Missing and empty geometries are left
    out.
    """
    from spatialdata import get_centroids
    from spatialdata.transformations import get_transformation

    systems = get_transformation(element, get_all=True)
    if system not in systems:
        raise InvalidArgumentError(
            f"`coordinate_system={system!r}`: {name!r} has no transformation to it; it has "
            f"{shorten(systems)}.{closest(system, systems)} For elements in different coordinate "
            "systems pass a dictionary, element → coordinate system."
        )
    _check_unique(element, name)
    if hasattr(element, "geometry"):
        has_geometry = ~(element.geometry.isna() | element.geometry.is_empty)
        if not has_geometry.any():
            raise DataError(f"all geometries of {name!r} are missing or empty.")
        element = element if has_geometry.all() else element[has_geometry]
    frame = get_centroids(element, coordinate_system=system)
    frame = frame.compute() if hasattr(frame, "compute") else frame
    return pd.DataFrame(frame[[axis for axis in AXES if axis in frame.columns]])


def _check_unique(element: Any, name: str) -> None:
    """Require that shapes or points have a unique index; that of labels is."""
    if not hasattr(element, "index"):
        return
    index = element.index.compute() if hasattr(element.index, "compute") else element.index
    if index.is_unique:
        return
    repeated = index[index.duplicated()].unique()
    raise DataError(
        f"{name!r} has {len(repeated)} instances more than once ({shorten(repeated, 3)}), so its "
        "table is ambiguous; give its elements a unique index."
    )


def positions_of(
    frame: pd.DataFrame, instances: pd.Series, name: str, table: str
) -> NDArray[np.float64]:
    """Return (cells, 2 or 3) the position of each instance; NaN where the element lacks it."""
    positions = frame.reindex(pd.Index(instances)).to_numpy(dtype=np.float64)
    if len(instances) and not np.isfinite(positions).all(axis=1).any():
        raise DataError(
            f"none of the {len(instances)} cells that table {table!r} places in {name!r} is among "
            f"its {len(frame)} instances: the table has {shorten(instances, 3)} "
            f"({instances.dtype}) in `obs[{instances.name!r}]`, {name!r} has "
            f"{shorten(frame.index, 3)} ({frame.index.dtype}).{_hint_at_dtype(frame, instances)}"
        )
    n_without_cell = len(frame) - int(frame.index.isin(instances).sum())
    if n_without_cell:
        logger.info(
            "%d of %d instances of %r have no row in table %r and are left out.",
            *(n_without_cell, len(frame), name, table),
        )
    return positions


def _hint_at_dtype(frame: pd.DataFrame, instances: pd.Series) -> str:
    """Return a remedy if instances are equal as text but of another dtype, else ``""``."""
    if not set(instances.astype(str)) & set(frame.index.astype(str)):
        return ""
    dtype = "int" if pd.api.types.is_integer_dtype(frame.index) else "str"
    column = f"obs[{instances.name!r}]"
    return (
        " They are equal as text: bring them to one dtype, "
        f"`table.{column} = table.{column}.astype({dtype})`."
    )


def system_of(system: str | Mapping[str, str] | None, region: str) -> str:
    """Return the coordinate system of a region; ``""`` for the coordinates of the table."""
    if not isinstance(system, Mapping):
        return system or ""
    if region not in system:
        raise InvalidArgumentError(
            f"`coordinate_system` names none for {region!r}; it has {shorten(system, 15)}."
        )
    return system[region]


def positions_in_elements(
    sdata: SpatialData,
    table: str,
    region: NDArray[np.object_],
    instance: pd.Series,
    system: str | Mapping[str, str],
) -> NDArray[np.float64]:
    """Return (cells, 2 or 3) the positions of a table's cells in their elements."""
    if instance.name is None:
        raise InvalidArgumentError(
            f"table {table!r} annotates no element (no `uns['{_keys.ATTRS}']`), so its cells have "
            "no position in a coordinate system. `coordinate_system=None` takes the positions of "
            "the tables; `tables` names those to take; "
            "`sdata.set_table_annotates_spatialelement` makes a table annotate an element."
        )
    by_region = {}
    for name in pd.unique(region):
        frame = centroids(element_of(sdata, name, [table]), name, system_of(system, name))
        mask = region == name
        by_region[name] = (mask, positions_of(frame, instance[mask], name, table))
    dimensions = {name: positions.shape[1] for name, (_, positions) in by_region.items()}
    if len(set(dimensions.values())) > 1:
        detail = ", ".join(f"{name!r}: {n}" for name, n in dimensions.items())
        raise DataError(
            f"some elements of table {table!r} have 2 coordinates, others 3 ({detail}); gather "
            "them separately, by `elements`."
        )
    all_positions = np.empty((len(region), next(iter(dimensions.values()))))
    for mask, positions in by_region.values():
        all_positions[mask] = positions
    return all_positions


def positions_in_table(table: AnnData, name: str, key: str) -> NDArray[np.float64]:
    """Return the positions in ``obsm[key]`` of a table; NaN is allowed."""
    if key not in table.obsm:
        raise MissingKeyError(
            f"`spatial_key={key!r}` is not in `obsm` of table {name!r}, which has "
            f"{shorten(table.obsm.keys())}; pass a `coordinate_system` to use the positions of its "
            "elements."
        )
    return stored_positions(table, key, f"`obsm[{key!r}]` of table {name!r}")
