"""Where the elements of a SpatialData stand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys
from .._check import closest, shorten
from .._errors import DataError, InvalidArgumentError, MissingKeyError

if TYPE_CHECKING:
    from spatialdata import SpatialData

AXES = ["x", "y", "z"]


def element_of(sdata: SpatialData, name: str, tables: list[str]) -> Any:
    """Shapes, points or labels of that name."""
    every = {**sdata.shapes, **sdata.points, **sdata.labels}
    if name in every:
        return every[name]
    what = "an image, which has no instances" if name in sdata.images else "not in the SpatialData"
    raise MissingKeyError(
        f"`elements`: {name!r}, which {shorten(tables)} annotates, is {what}; it has shapes, points and labels {shorten(every, 15)}.{closest(name, every)} "
        "Name those to take in `elements`, or pass `coordinate_system=None` to take the coordinates of the tables."
    )


def positions(element: Any, name: str, system: str) -> pd.DataFrame:
    """Centroids of an element's instances in a coordinate system; index = instance, columns x, y[, z]. Geometries that are missing or empty are left out."""
    from spatialdata import get_centroids
    from spatialdata.transformations import get_transformation

    known = get_transformation(element, get_all=True)
    if system not in known:
        raise InvalidArgumentError(
            f"`coordinate_system={system!r}`: {name!r} has no transformation to it; it has {shorten(known)}.{closest(system, known)} "
            "For elements in different coordinate systems pass a dictionary, element → coordinate system."
        )
    if hasattr(element, "geometry"):
        there = ~(element.geometry.isna() | element.geometry.is_empty)
        if not there.any():
            raise DataError(f"all geometries of {name!r} are missing or empty.")
        element = element if there.all() else element[there]
    found = get_centroids(element, coordinate_system=system)
    frame = found.compute() if hasattr(found, "compute") else found
    frame = pd.DataFrame(frame[[axis for axis in AXES if axis in frame.columns]])
    if not frame.index.is_unique:
        twice = frame.index[frame.index.duplicated()].unique()
        raise DataError(
            f"{name!r} has {len(twice)} instances more than once ({shorten(twice, 3)}), so its table cannot say which is meant; give its elements a unique index."
        )
    return frame


def placed(frame: pd.DataFrame, instances: pd.Series, name: str, table: str) -> NDArray[np.float64]:
    """(cells, 2 or 3) the position of each instance; NaN where it is not among the element's."""
    found = frame.reindex(pd.Index(instances)).to_numpy(dtype=np.float64)
    if len(instances) and not np.isfinite(found).all(axis=1).any():
        raise DataError(
            f"none of the {len(instances)} cells that table {table!r} places in {name!r} is among its {len(frame)} instances: the table has {shorten(instances, 3)} ({instances.dtype}) in "
            f"`obs[{instances.name!r}]`, {name!r} has {shorten(frame.index, 3)} ({frame.index.dtype})."
        )
    return found


def system_of(system: str | Mapping[str, str] | None, region: str) -> str:
    """The coordinate system in which a region is measured; empty for that of the table."""
    if not isinstance(system, Mapping):
        return system or ""
    if region not in system:
        raise InvalidArgumentError(
            f"`coordinate_system` names none for {region!r}; it has {shorten(system, 15)}."
        )
    return system[region]


def in_elements(
    sdata: SpatialData,
    table: str,
    region: NDArray[np.object_],
    instance: pd.Series,
    system: str | Mapping[str, str],
) -> NDArray[np.float64]:
    """(cells, 2 or 3) positions of a table's cells in their elements."""
    if instance.name is None:
        raise InvalidArgumentError(
            f"table {table!r} annotates no element (no `uns['{_keys.ATTRS}']`), so its cells have no place in a coordinate system. `coordinate_system=None` takes the positions of the tables; "
            "`tables` names those to take; `sdata.set_table_annotates_spatialelement` makes a table annotate an element."
        )
    found = {}
    for name in pd.unique(region):
        frame = positions(element_of(sdata, name, [table]), name, system_of(system, name))
        here = region == name
        found[name] = (here, placed(frame, instance[here], name, table))
    width = {place.shape[1] for _, place in found.values()}
    if len(width) > 1:
        raise DataError(
            f"some elements of table {table!r} have 2 coordinates, others 3 ({', '.join(f'{n!r}: {v.shape[1]}' for n, (_, v) in found.items())}); take them apart by `elements`."
        )
    place = np.empty((len(region), width.pop()))
    for here, values in found.values():
        place[here] = values
    return place


def stored(table: AnnData, name: str, key: str) -> NDArray[np.float64]:
    """Positions in ``obsm``; NaN is allowed here."""
    if key not in table.obsm:
        raise MissingKeyError(
            f"`spatial_key={key!r}` is not in `obsm` of table {name!r}, which has {shorten(table.obsm.keys())}; name a `coordinate_system` to take the positions of its elements."
        )
    place = np.asarray(table.obsm[key], dtype=np.float64)
    if place.ndim != 2 or place.shape[1] not in (2, 3):
        raise DataError(
            f"`obsm[{key!r}]` of table {name!r} must be cells × 2 or cells × 3, found shape {place.shape}."
        )
    return place
