"""Coordinates of slices in different units, scaled to one unit."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys
from .._check import positive, shorten
from .._core.exposure import nearest_neighbour_distances
from .._data.cells import coordinates, samples
from .._data.table import as_table, detach_view
from .._errors import DataError, InvalidArgumentError

if TYPE_CHECKING:
    from spatialdata import SpatialData

logger = logging.getLogger("spatrace_sc")


def scale_positions(
    data: AnnData | SpatialData,
    spacing: float,
    *,
    sample_key: str | None = None,
    spatial_key: str = _keys.SPATIAL,
    table_key: str = _keys.TABLE,
    key_added: str = _keys.SCALED,
    copy: bool = False,
) -> NDArray[np.float64] | None:
    """Scale the coordinates of every slice so that neighbouring spots are ``spacing`` apart.

    Use it if slices have different units, such as pixels of images of different size. The
    coordinates of a slice are multiplied by spacing / (median distance to the nearest other cell of
    that slice). This is correct for spots on a grid with a known distance from centre to centre:
    100 µm for Visium, 200 µm for first-generation Spatial Transcriptomics. Cells of a segmented
    image have no such distance; scale their slices by the size of a pixel instead.

    Parameters
    ----------
    data
        AnnData, or SpatialData with ``table_key``.
    spacing
        Distance between neighbouring spots, in the desired unit. Give µm if ``radius`` will be the
        name of a platform: the coordinates are then taken to be in µm.
    sample_key
        Column of ``obs`` with the slice; each slice is scaled on its own. None: one slice.
    spatial_key
        Slot of ``obsm`` with coordinates, (cells, 2 or 3).
    table_key
        Table of a SpatialData. Only its ``obsm`` changes; elements and transformations do not.
    key_added
        Slot of ``obsm`` to write; pass it as ``spatial_key`` to the other functions.
        ``spatial_key`` itself overwrites the coordinates, which then no longer match their image.
    copy
        Return the coordinates instead of writing them.

    Returns
    -------
    None, or the (cells, 2 or 3) coordinates with ``copy=True``. Writes ``obsm[key_added]``
    (float64) and ``uns[key_added + "_scale"]``, a table with the slices as index and the columns
    ``factor``, by which coordinates were multiplied, and ``distance``, the median distance before.

    Raises
    ------
    MissingKeyError, DataError, InvalidArgumentError
        If a slot is missing, coordinates are not finite, ``spacing`` is not positive, the cells
        of a slice share one position, or ``key_added`` holds something else.

    Warns
    -----
    SpatraceWarning
        If no ``sample_key`` is given but ``obs`` seems to have one, or if sample names seem to be
        reused at every stage.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=300)
    >>> st.pp.scale_positions(adata, 100, sample_key="sample")
    >>> list(adata.uns["spatial_scaled_scale"].columns)
    ['factor', 'distance']
    >>> st.tl.infer_ccc(adata, spatial_key="spatial_scaled", radius=300, sample_key="sample")
    """
    adata = as_table(data, table_key)
    positive(spacing, "spacing", " in the desired unit")
    coords = coordinates(adata, spatial_key, sample_key=sample_key)
    if not copy:
        _check_free(adata, key_added, spatial_key)
    code, names = pd.factorize(samples(adata, sample_key), sort=True)
    scale = _scale(coords, code.astype(np.intp), [str(n) for n in names], float(spacing))
    scaled: NDArray[np.float64] = coords * scale["factor"].to_numpy(dtype=np.float64)[code][:, None]
    if copy:
        return scaled
    detach_view(adata)
    adata.obsm[key_added], adata.uns[key_added + _keys.SCALE] = scaled, scale
    before = shorten(f"{n}: {d:.4g}" for n, d in scale["distance"].items())
    logger.info(
        "obsm[%r]: neighbours %g apart in all %d slices, before %s. Name it as `spatial_key=%r`.",
        *(key_added, spacing, len(names), before, key_added),
    )
    return None


def _check_free(adata: AnnData, key_added: str, spatial_key: str) -> None:
    """Require that only results of an earlier call, or ``spatial_key`` itself, are overwritten."""
    scale_key = key_added + _keys.SCALE
    stored = adata.uns.get(scale_key)
    is_ours = isinstance(stored, pd.DataFrame) and list(stored.columns) == _keys.SCALE_COLUMNS
    in_obsm = key_added in adata.obsm and key_added != spatial_key
    for slot, key, is_present in (
        ("uns", scale_key, scale_key in adata.uns),
        ("obsm", key_added, in_obsm),
    ):
        if is_present and not is_ours:
            raise InvalidArgumentError(
                f"`key_added={key_added!r}`: `adata.{slot}[{key!r}]` was not written by "
                "`st.pp.scale_positions` and would be lost; choose another name, or delete it "
                f"first (`del adata.{slot}[{key!r}]`)."
            )


def _scale(
    coords: NDArray[np.float64], code: NDArray[np.intp], names: list[str], spacing: float
) -> pd.DataFrame:
    """Return the factor and the distance before of every slice."""
    medians = []
    for number, name in enumerate(names):
        positions = coords[code == number]
        nearest = nearest_neighbour_distances(positions, np.zeros(len(positions), dtype=np.intp))
        if not nearest:
            raise DataError(
                f"the cells of slice {name!r} share one position, so there is no distance to scale "
                "by; check `spatial_key` and `sample_key`."
            )
        medians.append(float(np.median(nearest[0])))
    distance = np.array(medians)
    values = dict(zip(_keys.SCALE_COLUMNS, (spacing / distance, distance), strict=True))
    return pd.DataFrame(values, index=pd.Index(names, name="slice"))
