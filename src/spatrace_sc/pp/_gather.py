"""One table from the tables of a SpatialData, with regions as samples."""

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
from .._data.cells import label_text
from .._data.expression import keeps_matrix_on_disk
from .._data.reused_samples import warn_of_reused_samples
from .._errors import DataError, InvalidArgumentError
from ._element_positions import system_of
from ._overwrite_checks import check_replaced
from ._spatialdata_regions import (
    TableCells,
    cells_by_table,
    check_name,
    tables_of,
    with_position,
)

if TYPE_CHECKING:
    from spatialdata import SpatialData

logger = logging.getLogger("spatrace_sc")

#: Column of the instances where the tables name theirs differently.
INSTANCE_COLUMN = "gathered_instance"


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
    """Join the tables of a SpatialData into one table for the inference.

    A time series may be several elements that one table annotates, or several tables. Every
    element (region) becomes a sample. The position of a cell is the centroid of its shape, point
    or label after the transformation to the coordinate system. The tables stay unchanged.

    Parameters
    ----------
    sdata
        SpatialData.
    tables
        Tables to join. None: all tables that this function did not create. Genes, columns of
        ``obs`` and layers that the tables do not share are left out, and their number is logged. A
        cell name that occurs in several tables gets the name of its table appended.
    elements
        Shapes, points or labels whose cells are taken. None: all that the tables annotate.
    coordinate_system
        Coordinate system of the positions, which also fixes the unit of ``radius``. Pass a
        dictionary, element → coordinate system, if elements differ. None: positions are
        ``obsm[spatial_key]`` of the tables as they are; a table that annotates no element is then
        one sample, named like the table.
    sample_key
        Column of ``obs`` that names the region; pass it as ``sample_key`` to the other functions.
        If the tables have such a column already, it must hold the same names.
    spatial_key
        Slot of ``obsm`` with the positions.
    key_added
        Name of the new table. It must be unused, or the name of a table that this function created.
        That table is replaced, together with the results of this package in it, unless you have
        added or changed columns of ``obs``, layers or slots of ``obsm`` and ``obsp``.
    copy
        Return the table instead of adding it.

    Returns
    -------
    None, or the table with ``copy=True``. Adds ``sdata.tables[key_added]``, in memory, with

    - ``obs[sample_key]``: region (categorical);
    - ``obsm[spatial_key]``: (cells, 2 or 3) positions in units of the coordinate system;
    - ``uns["spatialdata_attrs"]``: the annotated regions and instances, by which spatialdata-plot
      finds the element of every cell;
    - ``uns["gathered"]``: the ``tables``, ``elements`` and ``coordinate_systems`` that were joined.

    Raises
    ------
    InvalidArgumentError, MissingKeyError
        If a table, element or coordinate system is unknown (the message lists the available
        ones), two tables annotate one element, or ``sample_key`` or ``key_added`` is taken.
    DataError
        If the tables share no gene, or no cell of a region has a position.

    Warns
    -----
    SpatraceWarning
        If cells are left out because they have no position: their instance is not in the element,
        its geometry is empty, or its position is NaN. If one element has cells of several stages,
        which would be taken as one slice.

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
    selected = cells_by_table(
        sdata, tables_of(sdata, tables, key_added, copy), elements, coordinate_system, spatial_key
    )
    _check_column(selected, sample_key)
    dimensions = {cells.name: cells.position.shape[1] for cells in selected}
    if len(set(dimensions.values())) > 1:
        detail = ", ".join(f"{name!r}: {n}" for name, n in dimensions.items())
        raise DataError(
            f"some positions have 2 coordinates, others 3 ({detail}); gather them separately, by "
            "`elements`."
        )
    selected = with_position(selected)
    table = _joined(selected)
    region = np.concatenate([cells.region for cells in selected])
    regions = list(dict.fromkeys(region))
    table.obs[sample_key] = pd.Categorical(region, categories=regions)
    table.obsm[spatial_key] = np.concatenate([cells.position for cells in selected])
    table.uns[_keys.GATHERED] = {
        "tables": np.array([cells.name for cells in selected], dtype=object),
        "elements": np.array(regions, dtype=object),
        "coordinate_systems": np.array(
            [system_of(coordinate_system, r) for r in regions], dtype=object
        ),
    }
    table = _annotating(table, selected, regions, sample_key)
    warn_of_reused_samples(table, sample_key)
    logger.info(
        "gathered %d cells of %d regions and %d genes from %s.",
        *(table.n_obs, len(regions), table.n_vars, shorten(cells.name for cells in selected)),
    )
    if copy:
        return table
    check_replaced(sdata, key_added, table)
    sdata.tables[key_added] = table
    return None


def _check_column(selected: list[TableCells], key: str) -> None:
    """Require that the column of regions is free, or holds the same names."""
    check_name(key, "sample_key")
    for cells in selected:
        if key not in cells.table.obs:
            continue
        stored = label_text(cells.table, key, "sample_key")[cells.rows]
        different = np.flatnonzero(stored != cells.region)
        if len(different):
            first = different[0]
            raise InvalidArgumentError(
                f"`sample_key={key!r}`: `obs[{key!r}]` of table {cells.name!r} says "
                f"{stored[first]!r} where the region is {cells.region[first]!r}; choose another "
                "name."
            )


def _joined(selected: list[TableCells]) -> AnnData:
    """Return the selected cells and the genes that their tables share, in memory."""
    if len(selected) == 1:
        return _in_memory(selected[0], None)
    shared = _shared_genes(selected)
    pieces = [_in_memory(cells, shared) for cells in selected]
    names = pd.Index(np.concatenate([piece.obs_names.astype(str) for piece in pieces]))
    if not names.is_unique:
        logger.info("cell names that occur more than once get the name of their table appended.")
        for cells, piece in zip(selected, pieces, strict=True):
            piece.obs_names = piece.obs_names.astype(str) + f"-{cells.name}"
    table = ad.concat(pieces, join="inner", merge="same")
    table.obs_names_make_unique()
    for cells, piece in zip(selected, pieces, strict=True):
        _log_left_out(cells, piece, table)
    return table


def _shared_genes(selected: list[TableCells]) -> pd.Index:
    """Return the genes of all tables, in the order of the first."""
    shared: pd.Index = selected[0].table.var_names
    for cells in selected:
        genes = cells.table.var_names
        if not genes.is_unique:
            repeated = genes[genes.duplicated()].unique()
            raise DataError(
                f"`var_names` of table {cells.name!r} has {len(repeated)} repeated names "
                f"({shorten(repeated, 5)}); call `sdata[{cells.name!r}].var_names_make_unique()` "
                "or merge them."
            )
        shared = shared[shared.isin(genes)]
    if not len(shared):
        first, second = (cells.table.var_names for cells in selected[:2])
        raise DataError(
            f"the tables {shorten(cells.name for cells in selected)} share no gene "
            f"({shorten(first, 3)} against {shorten(second, 3)}); convert them to one kind of name."
        )
    return shared


def _in_memory(cells: TableCells, genes: pd.Index | None) -> AnnData:
    """Return the selected cells and genes of a table; only these are read from disk."""
    table = cells.table
    chosen = table[cells.rows] if genes is None else table[cells.rows, genes]
    return chosen.to_memory() if keeps_matrix_on_disk(table) else chosen.copy()


def _log_left_out(cells: TableCells, piece: AnnData, table: AnnData) -> None:
    """Log the genes and slots of a table that the joined table does not have."""
    n_genes = cells.table.n_vars - table.n_vars
    slots = []
    for slot in ("obs", "var", "layers", "obsm", "obsp", "uns"):
        lost = set(getattr(piece, slot)) - set(getattr(table, slot)) - {None, _keys.ATTRS}
        if lost:
            slots.append(f"{slot} {shorten(sorted(map(str, lost)))}")
    if n_genes or slots:
        logger.info(
            "of table %r are left out: %d of %d genes%s.",
            *(cells.name, n_genes, cells.table.n_vars, "".join(f"; {text}" for text in slots)),
        )


def _annotating(
    table: AnnData, selected: list[TableCells], regions: list[str], sample_key: str
) -> AnnData:
    """Return the table with the entries by which SpatialData finds the element of every cell."""
    from spatialdata.models import TableModel

    table.uns.pop(_keys.ATTRS, None)
    keys = {cells.instance_key for cells in selected}
    if None in keys:
        if len(keys) > 1:
            logger.info(
                "%s annotates no element, so the gathered table does not either.",
                shorten(cells.name for cells in selected if cells.instance_key is None),
            )
        return table
    types = {cells.name: cells.instance.dtype for cells in selected}
    if len({dtype.kind in "iu" for dtype in types.values()}) > 1:
        detail = ", ".join(f"{name!r}: {dtype}" for name, dtype in types.items())
        raise DataError(
            f"instances are whole numbers in some tables and text in others ({detail}), which one "
            "column cannot hold; gather them separately, or convert the index of the elements to "
            "one kind."
        )
    key = str(keys.pop()) if len(keys) == 1 else INSTANCE_COLUMN
    table.obs[key] = np.concatenate([cells.instance for cells in selected])
    try:
        return TableModel.parse(
            table, region=regions, region_key=sample_key, instance_key=key, overwrite_metadata=True
        )
    except ValueError as error:
        raise DataError(f"SpatialData does not accept the joined table: {error}") from error
