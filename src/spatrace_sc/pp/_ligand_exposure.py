"""Ligand exposure of every receiver."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from anndata import AnnData

from .. import _keys
from .._core.exposure import ligand_exposure as exposure_of
from .._core.exposure import neighbour_weights
from .._data.cells import categories, cell_mask, coordinates, samples
from .._data.expression import columns, expression
from .._data.genes import flagged, match
from .._data.radius import resolve_radius
from .._data.table import as_table, own
from .._errors import DataError

if TYPE_CHECKING:
    from spatialdata import SpatialData


def ligand_exposure(
    data: AnnData | SpatialData,
    *,
    radius: float | None = None,
    ligands: Sequence[str] | None = None,
    cell_type_key: str = _keys.CELL_TYPE,
    sample_key: str | None = None,
    spatial_key: str = _keys.SPATIAL,
    layer: str | None = None,
    senders: Sequence[str] | None = None,
    receivers: Sequence[str] | None = None,
    table_key: str = _keys.TABLE,
    key_added: str = _keys.EXPOSURE,
    copy: bool = False,
) -> pd.DataFrame | None:
    r"""How much of each ligand reaches each cell from its neighbours.

    .. math:: E_{il} = \sum_{j \in senders,\; j \neq i,\; sample_j = sample_i,\; d_{ij} \le radius} e^{-3 d_{ij} / radius} \,(e^{X_{jl}} - 1)

    Expression is returned to linear units before it is summed, because molecules add and their logarithms do not.

    Parameters
    ----------
    data
        AnnData, or SpatialData with ``table_key``.
    radius
        In the units of ``obsm[spatial_key]``. A sender at this distance counts 5 % of one at no distance. None: 5 × the median distance between nearest
        cells, logged.
    ligands
        Genes. None: those flagged in ``var["ligand"]``.
    cell_type_key
        Column of ``obs`` in which ``senders`` and ``receivers`` are found.
    sample_key
        Column of ``obs`` with the slice; neighbours never cross it. None: one slice.
    spatial_key
        Slot of ``obsm`` with coordinates.
    layer
        Layer of log-normalised expression. None: ``X``.
    senders, receivers
        Cell types. None: all.
    table_key
        Table of a SpatialData.
    key_added
        Slot of ``obsm``.
    copy
        Return the table instead of writing it.

    Returns
    -------
    None, or the cells × ligands table with ``copy=True``. Writes it to ``obsm[key_added]`` (DataFrame, float32; NaN in cells that are not receivers) and the parameters
    to ``uns[key_added]``.

    Raises
    ------
    MissingKeyError, DataError, InvalidArgumentError
        On missing slots, unknown types, empty roles, positions or expression that are not finite, ``radius <= 0``.

    Warns
    -----
    SpatraceWarning
        If ``radius`` is below the distance between nearest cells or above 40 times it; if expression looks like raw counts.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=300)
    >>> st.pp.ligand_exposure(adata, radius=40, sample_key="sample")
    >>> adata.obsm["ligand_exposure"].shape
    (300, 12)
    """
    adata = as_table(data, table_key)
    if not copy:
        own(adata)
    matrix = expression(adata, layer)
    coords = coordinates(adata, spatial_key)
    sample = pd.factorize(samples(adata, sample_key))[0]
    genes = match(adata, ligands if ligands is not None else flagged(adata, "ligands"), "ligands")
    types = (
        categories(adata, cell_type_key, "cell_type_key")
        if senders is not None or receivers is not None
        else None
    )
    sending = cell_mask(types, senders, "senders", adata.n_obs)
    receiving = cell_mask(types, receivers, "receivers", adata.n_obs)
    radius = resolve_radius(radius, coords, sample)
    weights = neighbour_weights(coords, sample, receiving, sending, radius=radius)
    if not weights.nnz:
        raise DataError(
            f"no receiver has a sender within `radius={radius:g}`; check the units of the coordinates, `senders` and `sample_key`."
        )
    values = exposure_of(weights, columns(matrix, np.flatnonzero(genes)))
    values[~receiving] = np.nan
    table = pd.DataFrame(values, index=adata.obs_names, columns=adata.var_names[genes])
    if copy:
        return table
    adata.obsm[key_added] = table
    adata.uns[key_added] = {
        "params": {
            "radius": radius,
            "kernel": "exp(-3 d / radius)",
            "spatial_key": spatial_key,
            "sample_key": sample_key or "",
        }
    }
    return None
