"""Slices in different units brought to one."""

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
from .._data.table import as_table, own
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
    r"""Positions of slices whose units differ, such as pixels of images of different size, in one unit: that in which neighbouring spots are ``spacing`` apart.

    .. math:: x_i \leftarrow x_i \cdot \frac{spacing}{\mathrm{median}_{j \in slice(i)}\, d_j}

    with :math:`d_j` the distance of cell *j* to the nearest other of its slice. It is right for spots on a grid, whose distance is known: 100 µm for Visium, 200 µm for first-generation Spatial Transcriptomics, from centre to centre.
    Cells of a segmented image have no such distance; slices of them should be scaled by the size of a pixel.

    Parameters
    ----------
    data
        AnnData, or SpatialData with ``table_key``.
    spacing
        Distance between neighbouring spots, in the unit that is wanted.
    sample_key
        Column of ``obs`` with the slice; each is scaled on its own. None: one slice.
    spatial_key
        Slot of ``obsm`` with coordinates, (cells, 2 or 3).
    table_key
        Table of a SpatialData. Only its ``obsm`` is changed, not the elements and their transformations.
    key_added
        Slot of ``obsm`` to write, to be named as ``spatial_key`` afterwards. ``spatial_key`` itself replaces the positions, which then no longer fit an image they were measured on.
    copy
        Return the positions instead of writing them.

    Returns
    -------
    None, or the (cells, 2 or 3) positions with ``copy=True``. Writes ``obsm[key_added]`` (float64) and ``uns[key_added + "_scale"]``: a table with index slice and columns ``factor``, what the coordinates were multiplied by,
    and ``distance``, the median distance before.

    Raises
    ------
    MissingKeyError, DataError, InvalidArgumentError
        On missing slots, positions that are not finite, ``spacing <= 0``, a slice whose cells share one position, or a ``key_added`` that is in use for something else.

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
    positive(float("nan") if spacing is None else spacing, "spacing", " in the unit that is wanted")
    coords = coordinates(adata, spatial_key)
    name = key_added
    if not copy:
        _check_free(adata, name, spatial_key)
    code, names = pd.factorize(samples(adata, sample_key), sort=True)
    scale = _scale(coords, code.astype(np.intp), [str(n) for n in names], float(spacing))
    scaled: NDArray[np.float64] = coords * scale["factor"].to_numpy(dtype=np.float64)[code][:, None]
    if copy:
        return scaled
    own(adata)
    adata.obsm[name], adata.uns[name + _keys.SCALE] = scaled, scale
    logger.info(
        "obsm[%r]: neighbours %g apart in all %d slices, before %s. Name it as `spatial_key=%r`.",
        *(
            name,
            spacing,
            len(names),
            shorten(f"{n}: {d:.4g}" for n, d in scale["distance"].items()),
            name,
        ),
    )
    return None


def _check_free(adata: AnnData, name: str, spatial_key: str) -> None:
    """What is written replaces nothing but what an earlier call wrote, and the positions where that was asked for."""
    scale = name + _keys.SCALE
    found = adata.uns.get(scale)
    ours = isinstance(found, pd.DataFrame) and list(found.columns) == _keys.SCALE_COLUMNS
    for slot, key, taken in (
        ("uns", scale, scale in adata.uns and not ours),
        ("obsm", name, name in adata.obsm and name != spatial_key and not ours),
    ):
        if taken:
            raise InvalidArgumentError(
                f"`key_added={name!r}`: `adata.{slot}[{key!r}]` was not written by `st.pp.scale_positions` and would be lost; choose another name, or delete it first (`del adata.{slot}[{key!r}]`)."
            )


def _scale(
    coords: NDArray[np.float64], code: NDArray[np.intp], names: list[str], spacing: float
) -> pd.DataFrame:
    """Factor and distance of every slice."""
    distance = []
    for number, name in enumerate(names):
        here = code == number
        nearest = nearest_neighbour_distances(
            coords[here], np.zeros(int(here.sum()), dtype=np.intp)
        )
        if not nearest:
            raise DataError(
                f"the cells of slice {name!r} share one position, so there is no distance to scale by; check `spatial_key` and `sample_key`."
            )
        distance.append(float(np.median(nearest[0])))
    found = np.array(distance)
    values = dict(zip(_keys.SCALE_COLUMNS, (spacing / found, found), strict=True))
    return pd.DataFrame(values, index=pd.Index(names, name="slice"))
