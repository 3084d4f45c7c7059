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
from .._check import closest, labels, shorten
from .._data.cells import label_text
from .._data.table import as_table
from .._errors import DataError, InvalidArgumentError, MissingKeyError, warn
from ._element_positions import positions_in_elements, positions_in_table
from ._overwrite_checks import check_table

if TYPE_CHECKING:
    from spatialdata import SpatialData

logger = logging.getLogger("spatrace_sc")


@dataclass(frozen=True)
class TableCells:
    """The selected cells of one table.

    ``rows`` (all cells of the table,) is the mask of the selected cells; ``region``, ``instance``
    and ``position`` have one row per selected cell. ``instance_key`` is None where the table
    annotates no element.
    """

    name: str
    table: AnnData
    rows: NDArray[np.bool_]
    region: NDArray[np.object_]
    instance: NDArray[Any]
    instance_key: str | None
    position: NDArray[np.float64]


def tables_of(
    sdata: SpatialData, names: str | Sequence[str] | None, key_added: str, copy: bool
) -> dict[str, AnnData]:
    """Return the tables to join, by name."""
    if isinstance(sdata, AnnData) or getattr(sdata, "tables", None) is None:
        raise InvalidArgumentError(f"`sdata` must be SpatialData, found {type(sdata).__name__}.")
    available = sdata.tables
    if not copy:
        check_name(key_added, "key_added")
        check_table(sdata, key_added)
    wanted = (
        labels(names, "tables")
        if names is not None
        else [n for n, t in available.items() if _keys.GATHERED not in t.uns]
    )
    unknown = [n for n in wanted if n not in available]
    if unknown:
        problem = f"has unknown tables {shorten(unknown)}"
    elif not wanted:
        problem = "is empty" if names is not None else "has nothing to take"
    else:
        return {n: as_table(sdata, n) for n in dict.fromkeys(wanted)}
    raise MissingKeyError(
        f"`tables` {problem}; the SpatialData has {shorten(available)}."
        f"{closest(unknown[0], available) if unknown else ''}"
    )


def check_name(name: object, argument: str) -> None:
    """Require a name that every format takes."""
    if not isinstance(name, str) or not name or _keys.plain(name) != name:
        raise InvalidArgumentError(
            f"`{argument}` must be a name of letters, digits, '_', '.' and '-', found {name!r}."
        )


def cells_by_table(
    sdata: SpatialData,
    tables: dict[str, AnnData],
    elements: str | Sequence[str] | None,
    system: str | Mapping[str, str] | None,
    spatial_key: str,
) -> list[TableCells]:
    """Return the cells of every table in the chosen elements, with their positions."""
    regions = {name: _regions(table, name) for name, table in tables.items()}
    wanted = _wanted_regions(regions, elements)
    selected = []
    for name, table in tables.items():
        rows = np.isin(regions[name].astype(str), wanted)
        if not rows.any():
            logger.info("table %r annotates none of `elements` and is left out.", name)
            continue
        region, key = regions[name][rows], _annotation(table).get("instance_key")
        instance = table.obs[key].to_numpy()[rows] if key else np.flatnonzero(rows)
        position = (
            positions_in_table(table, name, spatial_key)[rows]
            if system is None
            else positions_in_elements(sdata, name, region, pd.Series(instance, name=key), system)
        )
        selected.append(TableCells(name, table, rows, region, instance, key, position))
    return selected


def _wanted_regions(
    regions: dict[str, NDArray[np.object_]], elements: str | Sequence[str] | None
) -> list[str]:
    """Return the regions to take; each must belong to one table."""
    owner: dict[str, str] = {}
    for name, column in regions.items():
        for region in pd.unique(column):
            if elements is not None and region not in labels(elements, "elements"):
                continue
            if owner.setdefault(region, name) != name:
                raise InvalidArgumentError(
                    f"{region!r} is annotated by the tables {owner[region]!r} and {name!r}, so "
                    "its cells would be taken twice; name one of them in `tables`."
                )
    wanted = list(owner) if elements is None else labels(elements, "elements")
    unknown = [w for w in wanted if w not in owner]
    if unknown or not wanted:
        available = sorted({r for column in regions.values() for r in column})
        problem = f"no table annotates {shorten(unknown)}" if unknown else "nothing is left"
        raise MissingKeyError(
            f"`elements`: {problem}; the tables {shorten(regions)} annotate "
            f"{shorten(available, 15)}.{closest(unknown[0], available) if unknown else ''}"
        )
    return wanted


def _regions(table: AnnData, name: str) -> NDArray[np.object_]:
    """Return the element of each cell, or the table's name where it annotates no element."""
    key = _annotation(table).get("region_key")
    if not key:
        return np.full(table.n_obs, name, dtype=object)
    return label_text(table, str(key), "region_key")


def _annotation(table: AnnData) -> dict[str, Any]:
    """Return the entry that links a table to elements; empty if it annotates none."""
    return dict(table.uns.get(_keys.ATTRS, {}))


def with_position(selected: list[TableCells]) -> list[TableCells]:
    """Drop cells without a position, and warn of their number."""
    positioned, n_dropped = [], {}
    for cells in selected:
        known: NDArray[np.bool_] = np.asarray(np.isfinite(cells.position).all(axis=1))
        for region in pd.unique(cells.region[~known]):
            mask = cells.region == region
            if not known[mask].any():
                raise DataError(
                    f"none of the {int(mask.sum())} cells of {region!r} has a position; leave it "
                    "out by `elements`."
                )
            n_dropped[str(region)] = int((mask & ~known).sum())
        rows = cells.rows.copy()
        rows[np.flatnonzero(rows)[~known]] = False
        positioned.append(
            replace(
                cells,
                rows=rows,
                region=cells.region[known],
                instance=cells.instance[known],
                position=cells.position[known],
            )
        )
    if n_dropped:
        detail = ", ".join(f"{name!r}: {number}" for name, number in list(n_dropped.items())[:8])
        warn(
            f"{sum(n_dropped.values())} cells have no position and are left out ({detail}): their "
            "instance is not in the element, or its position is empty or NaN."
        )
    return positioned
