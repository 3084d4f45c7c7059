"""One table from a SpatialData: regions as samples, positions in one coordinate system."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import anndata as ad
import numpy as np
import pandas as pd
from anndata import AnnData

from .. import _keys
from .._check import shorten
from .._data.on_disk import is_on_disk
from .._errors import DataError, InvalidArgumentError
from ._positions import system_of
from ._rerun import check_replaced
from ._spatialdata_regions import Part, parts_of, tables_of, with_position

if TYPE_CHECKING:
    from spatialdata import SpatialData

logger = logging.getLogger("spatrace_sc")

#: Column of the instances where the tables call theirs differently.
INSTANCE = "gathered_instance"


def gather(
    sdata: SpatialData,
    *,
    tables: str | Sequence[str] | None = None,
    elements: str | Sequence[str] | None = None,
    coordinate_system: str | Mapping[str, str] | None = "global",
    sample_key: str = _keys.REGION,
    spatial_key: str = _keys.SPATIAL,
    key_added: str = _keys.GATHERED,
    copy: bool = False,
) -> AnnData | None:
    """Join the tables of a SpatialData into one that inference can be run on.

    A time series may be several elements that one table annotates, or several tables. Every element (region) becomes a sample; cells stand where the centroid of their shape, point or label lies
    after its transformation to the coordinate system. The tables stay as they are.

    Parameters
    ----------
    sdata
        SpatialData.
    tables
        Tables to join. None: all but those that this function has made. Genes that they do not share are left out, and so are columns of ``obs`` and layers; their number is logged. Cells' names that occur
        in several tables get the name of the table appended.
    elements
        Shapes, points or labels whose cells are taken. None: all that the tables annotate.
    coordinate_system
        Where positions are measured, and so the unit of ``radius``. A dictionary, element → coordinate system, where they differ. None: positions are ``obsm[spatial_key]`` of the tables as they are;
        a table that annotates no element is one sample of its own name.
    sample_key
        Column of ``obs`` that names the region, to be passed as ``sample_key`` to the other functions. It may exist in the tables only if it says the same.
    spatial_key
        Slot of ``obsm`` with the positions.
    key_added
        Name of the new table. It must be free, or that of a table that this function has made, which is then replaced with the results of this package that are in it; not if you have added or
        changed columns of ``obs``, layers or slots of ``obsm`` and ``obsp`` there.
    copy
        Return the table instead of adding it.

    Returns
    -------
    None, or the table with ``copy=True``. Adds ``sdata.tables[key_added]``, in memory, with

    - ``obs[sample_key]``: region (categorical), ``obsm[spatial_key]``: (cells, 2 or 3) positions in units of the coordinate system;
    - ``uns["spatialdata_attrs"]``: the regions and instances that it annotates, so that spatialdata-plot finds the element of every cell;
    - ``uns["gathered"]``: ``tables``, ``elements`` and ``coordinate_systems`` they were measured in.

    Raises
    ------
    InvalidArgumentError, MissingKeyError
        If a table, element or coordinate system is unknown (those that exist are listed), if two tables annotate one element, if ``sample_key`` or ``key_added`` is taken.
    DataError
        If the tables share no gene, or no cell of a region has a position.

    Warns
    -----
    SpatraceWarning
        If cells without a position are left out: their instance is not in the element, its geometry is empty, or its position NaN.

    Examples
    --------
    >>> import numpy as np, spatialdata as sd, spatrace_sc as st
    >>> from spatialdata.models import ShapesModel, TableModel
    >>> from spatialdata.transformations import Scale
    >>> table = st.datasets.simulated(n_cells=300)
    >>> xy, table.obs["cell"] = table.obsm.pop("spatial"), np.arange(300)
    >>> um = {"global": Scale([0.5, 0.5], axes=("x", "y"))}  # 0.5 µm a pixel
    >>> names = table.obs["sample"].cat.categories
    >>> inside = {name: (table.obs["sample"] == name).to_numpy() for name in names}
    >>> shapes = {
    ...     n: ShapesModel.parse(
    ...         xy[k], geometry=0, radius=4, index=np.flatnonzero(k), transformations=um
    ...     )
    ...     for n, k in inside.items()
    ... }
    >>> table = TableModel.parse(
    ...     table, region=list(names), region_key="sample", instance_key="cell"
    ... )
    >>> sdata = sd.SpatialData(shapes=shapes, tables={"table": table})
    >>> st.pp.gather(sdata, sample_key="sample")
    >>> bool(np.allclose(sdata["gathered"].obsm["spatial"], 0.5 * xy))
    True
    """
    chosen = tables_of(sdata, tables, key_added, copy)
    parts = parts_of(sdata, chosen, elements, coordinate_system, spatial_key)
    _check_column(parts, sample_key)
    if len({p.place.shape[1] for p in parts}) > 1:
        raise DataError(
            f"some positions have 2 coordinates, others 3 ({', '.join(f'{p.name!r}: {p.place.shape[1]}' for p in parts)}); take them apart by `elements`."
        )
    parts = with_position(parts)
    table = _joined(parts)
    region = np.concatenate([p.region for p in parts])
    regions = list(dict.fromkeys(region))
    table.obs[sample_key] = pd.Categorical(region, categories=regions)
    table.obsm[spatial_key] = np.concatenate([p.place for p in parts])
    table.uns[_keys.GATHERED] = {
        "tables": np.array([p.name for p in parts], dtype=object),
        "elements": np.array(regions, dtype=object),
        "coordinate_systems": np.array(
            [system_of(coordinate_system, r) for r in regions], dtype=object
        ),
    }
    table = _annotating(table, parts, regions, sample_key)
    logger.info(
        "gathered %d cells of %d regions and %d genes from %s.",
        *table.shape[:1],
        len(regions),
        table.n_vars,
        shorten(p.name for p in parts),
    )
    if copy:
        return table
    check_replaced(sdata, key_added, table)
    sdata.tables[key_added] = table
    return None


def _check_column(parts: list[Part], key: str) -> None:
    """The column of regions is free, or says the same."""
    if not isinstance(key, str) or not key or _keys.plain(key) != key:
        raise InvalidArgumentError(
            f"`sample_key` must be a name of letters, digits, '_', '.' and '-', found {key!r}."
        )
    for part in parts:
        if key not in part.table.obs:
            continue
        there = part.table.obs[key].astype(str).to_numpy(dtype=object)[part.rows]
        other = np.flatnonzero(there != part.region)
        if len(other):
            raise InvalidArgumentError(
                f"`sample_key={key!r}`: `obs[{key!r}]` of table {part.name!r} says {there[other[0]]!r} where the region is {part.region[other[0]]!r}; choose another name."
            )


def _joined(parts: list[Part]) -> AnnData:
    """The cells of all parts and the genes that they share, in memory."""
    if len(parts) == 1:
        return _in_memory(parts[0].table, parts[0].rows, None)
    shared = parts[0].table.var_names
    for part in parts:
        if not part.table.var_names.is_unique:
            twice = part.table.var_names[part.table.var_names.duplicated()].unique()
            raise DataError(
                f"`var_names` of table {part.name!r} has {len(twice)} repeated names ({shorten(twice, 5)}); call `sdata[{part.name!r}].var_names_make_unique()` or merge them."
            )
        shared = shared[shared.isin(part.table.var_names)]
    if not len(shared):
        first, second = parts[0], parts[1]
        raise DataError(
            f"the tables {shorten(p.name for p in parts)} share no gene ({shorten(first.table.var_names, 3)} against {shorten(second.table.var_names, 3)}); bring them to one kind of name."
        )
    pieces = [_in_memory(p.table, p.rows, shared) for p in parts]
    names = pd.Index(np.concatenate([piece.obs_names.astype(str) for piece in pieces]))
    if not names.is_unique:
        logger.info("names of cells occur more than once and get the name of their table appended.")
        for part, piece in zip(parts, pieces, strict=True):
            piece.obs_names = piece.obs_names.astype(str) + f"-{part.name}"
    table = ad.concat(pieces, join="inner", merge="same")
    table.obs_names_make_unique()
    _log_lost(parts, pieces, table)
    return table


def _in_memory(table: AnnData, rows: np.ndarray, genes: pd.Index | None) -> AnnData:
    """Some cells and genes of a table; of one on disk no more than these is kept."""
    chosen = table[rows] if genes is None else table[rows, genes]
    return chosen.to_memory() if table.isbacked or is_on_disk(table.X) else chosen.copy()


def _log_lost(parts: list[Part], pieces: list[AnnData], table: AnnData) -> None:
    """What the tables do not share."""
    for part, piece in zip(parts, pieces, strict=True):
        genes = part.table.n_vars - table.n_vars
        other = {
            slot: sorted(
                str(k)
                for k in set(getattr(piece, slot)) - set(getattr(table, slot))
                if k is not None
            )
            for slot in ("obs", "var", "layers", "obsm", "obsp", "uns")
        }
        found = "; ".join(
            f"{slot} {shorten(names)}"
            for slot, names in other.items()
            if names and names != [_keys.ATTRS]
        )
        if genes or found:
            logger.info(
                "of table %r are left out: %d of %d genes%s.",
                *(part.name, genes, part.table.n_vars, f"; {found}" if found else ""),
            )


def _annotating(table: AnnData, parts: list[Part], regions: list[str], sample_key: str) -> AnnData:
    """The table with what SpatialData needs to find the element of every cell."""
    from spatialdata.models import TableModel

    table.uns.pop(_keys.ATTRS, None)
    keys = {p.instance_key for p in parts}
    if None in keys:
        if len(keys) > 1:
            logger.info(
                "%s annotates no element, so the gathered table does not either.",
                shorten(p.name for p in parts if p.instance_key is None),
            )
        return table
    if len({p.instance.dtype.kind in "iu" for p in parts}) > 1:
        raise DataError(
            f"instances are whole numbers in some tables and text in others ({', '.join(f'{p.name!r}: {p.instance.dtype}' for p in parts)}), which one column cannot hold; gather them apart, or bring the index of the "
            "elements to one kind."
        )
    key = str(keys.pop()) if len(keys) == 1 else INSTANCE
    table.obs[key] = np.concatenate([p.instance for p in parts])
    try:
        return TableModel.parse(
            table, region=regions, region_key=sample_key, instance_key=key, overwrite_metadata=True
        )
    except ValueError as error:
        raise DataError(f"SpatialData does not take the joined table: {error}") from error
