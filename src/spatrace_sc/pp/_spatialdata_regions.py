"""The cells of several tables of a SpatialData, by region."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys
from .._check import closest, shorten
from .._data.table import as_table
from .._errors import DataError, InvalidArgumentError, MissingKeyError, warn
from ._positions import in_elements, stored
from ._rerun import check_table

if TYPE_CHECKING:
    from spatialdata import SpatialData

logger = logging.getLogger("spatrace_sc")


@dataclass(frozen=True)
class Part:
    """Cells of one table: ``rows`` (table's cells,) bool; ``region``, ``instance`` and ``place`` of each of the rows. ``instance_key`` is None where the table annotates nothing."""

    name: str
    table: AnnData
    rows: NDArray[np.bool_]
    region: NDArray[np.object_]
    instance: NDArray[Any]
    instance_key: str | None
    place: NDArray[np.float64]


def tables_of(
    sdata: SpatialData, names: str | Sequence[str] | None, key_added: str, copy: bool
) -> dict[str, AnnData]:
    """The tables to join."""
    if isinstance(sdata, AnnData) or getattr(sdata, "tables", None) is None:
        raise InvalidArgumentError(f"`sdata` must be SpatialData, found {type(sdata).__name__}.")
    every = sdata.tables
    if not copy:
        if not isinstance(key_added, str) or _keys.plain(key_added) != key_added or not key_added:
            raise InvalidArgumentError(
                f"`key_added` must be a name of letters, digits, '_', '.' and '-', found {key_added!r}."
            )
        check_table(sdata, key_added)
    wanted = (
        _listed(names)
        if names is not None
        else [n for n, t in every.items() if _keys.GATHERED not in t.uns]
    )
    unknown = [n for n in wanted if n not in every]
    if unknown or not wanted:
        found = (
            f"has unknown tables {shorten(unknown)}"
            if unknown
            else "is empty"
            if names is not None
            else "has nothing to take"
        )
        raise MissingKeyError(
            f"`tables` {found}; the SpatialData has {shorten(every)}.{closest(unknown[0], every) if unknown else ''}"
        )
    return {n: as_table(sdata, n) for n in dict.fromkeys(wanted)}


def parts_of(
    sdata: SpatialData,
    tables: dict[str, AnnData],
    elements: str | Sequence[str] | None,
    system: str | Mapping[str, str] | None,
    spatial_key: str,
) -> list[Part]:
    """Cells of every table in the chosen elements, with their positions."""
    regions = {name: _regions(table, name) for name, table in tables.items()}
    owner: dict[str, str] = {}
    for name, column in regions.items():
        for region in pd.unique(column):
            if (elements is None or region in _listed(elements)) and owner.setdefault(
                region, name
            ) != name:
                raise InvalidArgumentError(
                    f"{region!r} is annotated by the tables {owner[region]!r} and {name!r}, so its cells would be taken twice; name one of them in `tables`."
                )
    wanted = list(owner) if elements is None else _listed(elements)
    unknown = [w for w in wanted if w not in owner]
    if unknown or not wanted:
        every = sorted({r for column in regions.values() for r in column})
        found = f"no table annotates {shorten(unknown)}" if unknown else "nothing is left"
        raise MissingKeyError(
            f"`elements`: {found}; the tables {shorten(tables)} annotate {shorten(every, 15)}.{closest(unknown[0], every) if unknown else ''}"
        )
    parts = []
    for name, table in tables.items():
        rows = np.isin(regions[name].astype(str), wanted)
        if not rows.any():
            logger.info("table %r annotates none of `elements` and is left out.", name)
            continue
        region, key = regions[name][rows], _attrs(table).get("instance_key")
        instance = table.obs[key].to_numpy()[rows] if key else np.flatnonzero(rows)
        place = (
            stored(table, name, spatial_key)[rows]
            if system is None
            else in_elements(sdata, name, region, pd.Series(instance, name=key), system)
        )
        parts.append(Part(name, table, rows, region, instance, key, place))
    return parts


def _regions(table: AnnData, name: str) -> NDArray[np.object_]:
    """What each cell is in: the element, or the table where it annotates none."""
    key = _attrs(table).get("region_key")
    if not key:
        return np.full(table.n_obs, name, dtype=object)
    return np.asarray(table.obs[key].astype(str), dtype=object)


def _attrs(table: AnnData) -> dict[str, Any]:
    """What a table says it annotates."""
    return dict(table.uns.get(_keys.ATTRS, {}))


def with_position(parts: list[Part]) -> list[Part]:
    """The parts without the cells that have no position; how many those are is warned of."""
    left, lost = [], {}
    for part in parts:
        known: NDArray[np.bool_] = np.asarray(np.isfinite(part.place).all(axis=1))
        for region in pd.unique(part.region[~known]):
            here = part.region == region
            if not known[here].any():
                raise DataError(
                    f"none of the {int(here.sum())} cells of {region!r} has a position; leave it out by `elements`."
                )
            lost[str(region)] = int((here & ~known).sum())
        rows = part.rows.copy()
        rows[np.flatnonzero(rows)[~known]] = False
        left.append(
            replace(
                part,
                rows=rows,
                region=part.region[known],
                instance=part.instance[known],
                place=part.place[known],
            )
        )
    if lost:
        detail = ", ".join(f"{name!r}: {number}" for name, number in list(lost.items())[:8])
        warn(
            f"{sum(lost.values())} cells have no position and are left out ({detail}): their instance is not in the element, or its position is empty or NaN."
        )
    return left


def _listed(names: str | Sequence[str]) -> list[str]:
    return [names] if isinstance(names, str) else [str(n) for n in names]
