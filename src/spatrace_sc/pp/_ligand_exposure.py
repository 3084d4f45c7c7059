"""Ligand exposure of every receiver."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys
from .._check import flag
from .._core.exposure import ligand_exposure as compute_exposure
from .._core.exposure import nearest_neighbour_distance
from .._data.cells import categories, cell_mask, coordinates, samples
from .._data.complexes import MINIMUM, Complexes, check_level, flagged_role, match_role
from .._data.empty_cells import empty_cells
from .._data.expression import columns, expression_by_slice
from .._data.genes import match
from .._data.imputation import IMPUTED, imputed
from .._data.platforms import read_radius, recorded_spacing
from .._data.radius import resolve_radius, weights_within
from .._data.repeated_cells import repeats, warn_of_repeated_cells
from .._data.stored_exposure import exposure_params
from .._data.table import as_table, detach_view
from .._data.unmeasured import warn_of_unmeasured
from .._errors import DataError

if TYPE_CHECKING:
    from spatialdata import SpatialData


def ligand_exposure(
    data: AnnData | SpatialData,
    *,
    radius: float | str | None = None,
    scale: float | None = None,
    ligands: Sequence[str] | None = None,
    cell_type_key: str = _keys.CELL_TYPE,
    sample_key: str | None = None,
    spatial_key: str = _keys.SPATIAL,
    layer: str | None = None,
    senders: Sequence[str] | None = None,
    receivers: Sequence[str] | None = None,
    own: bool = False,
    complex_level: str = MINIMUM,
    table_key: str = _keys.TABLE,
    key_added: str = _keys.EXPOSURE,
    copy: bool = False,
) -> pd.DataFrame | None:
    """Compute how much of each ligand reaches each cell from its neighbours.

    The exposure of cell i to ligand l is the sum over senders j of
    exp(-3 d_ij / radius) · (exp(X_jl) - 1), with X log-normalised expression and d the distance.
    Senders are other cells of the same slice within the radius, and with ``own`` the cell itself.
    Expression is converted to linear units before the sum, because molecules add up and their
    logarithms do not.

    Parameters
    ----------
    data
        AnnData, or SpatialData with ``table_key``.
    radius
        In the units of ``obsm[spatial_key]``. A sender at this distance counts 5 % of a sender at
        distance 0. None: 5 × the median distance between nearest cells, which is logged. Names of
        platforms and ``scale`` as in :func:`spatrace_sc.tl.infer_ccc`.
    scale
        µm per unit of the coordinates; ``radius`` is in µm then.
    ligands
        Genes. None: those flagged in ``var["ligand"]``, and the complexes that
        :func:`spatrace_sc.pp.gene_roles` stored. A name ``"A_B"`` that is not itself a gene is a
        complex.
    cell_type_key
        Column of ``obs`` that holds the types named by ``senders`` and ``receivers``. Genes that
        were not measured in a slice are replaced by the means of the type.
    sample_key
        Column of ``obs`` with the slice; neighbours never cross it. None: one slice.
    spatial_key
        Slot of ``obsm`` with coordinates.
    layer
        Layer of log-normalised expression. None: ``X``.
    senders, receivers
        Cell types. None: all.
    own
        Whether a cell also sends to itself, at distance 0: a spot of several cells does.
    complex_level
        ``"minimum"`` or ``"geometric mean"``, as in :func:`spatrace_sc.tl.infer_ccc`.
    table_key
        Table of a SpatialData.
    key_added
        Slot of ``obsm`` and ``uns``.
    copy
        Return the table instead of writing it.

    Returns
    -------
    None, or the cells × ligands table with ``copy=True``. Writes

    - ``obsm[key_added]``: the table (DataFrame, float32; NaN in cells that are not receivers);
    - ``uns[key_added]["params"]``: ``radius``, ``nearest_distance`` (median distance to the
      nearest cell), ``kernel``, ``spatial_key``, ``sample_key``, ``layer``, ``senders``,
      ``receivers``, ``own`` and the names of the ``ligands``.

    Notes
    -----
    :func:`spatrace_sc.tl.infer_ccc` without ``radius`` takes the radius of the exposure that is
    stored for the same ``spatial_key`` and ``sample_key``, and logs it. It computes the exposures
    themselves again, so edits of the stored table have no effect.

    Raises
    ------
    MissingKeyError, DataError, InvalidArgumentError
        If a slot is missing, a type is unknown, a role has no gene, positions or expression are
        not finite, ``radius`` is not positive, or no receiver has a sender within it.

    Warns
    -----
    SpatraceWarning
        If ``radius`` is below the distance between nearest cells, above 40 times it, or covers
        most of a slice; if expression looks like raw counts; if sample names seem to be reused at
        every stage; if cells are in the data twice; if a ligand is NaN in every cell of a slice.
        It counts as not measured there, and means of the other slices replace it.

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
        detach_view(adata)
    matrix, unmeasured = expression_by_slice(adata, layer, sample_key)
    coords = coordinates(adata, spatial_key, sample_key=sample_key)
    sample = pd.factorize(samples(adata, sample_key))[0]
    genes, complexes = _ligands(adata, ligands, check_level(complex_level))
    types = (
        categories(adata, cell_type_key, "cell_type_key")
        if senders is not None or receivers is not None or unmeasured is not None
        else None
    )
    sending = cell_mask(types, senders, "senders", adata.n_obs)
    receiving = cell_mask(types, receivers, "receivers", adata.n_obs)
    warn_of_repeated_cells(
        repeats(matrix, coords, sample),
        adata.obs_names.to_numpy(dtype=str),
        sending | receiving,
        spatial_key=spatial_key,
        sample_key=sample_key,
    )
    given = read_radius(radius, scale, coords, sample, recorded_spacing(adata, spatial_key))
    radius = resolve_radius(given.units, coords, sample)
    flag(own, "own")
    weights = weights_within(coords, sample, receiving, sending, radius, own=bool(own))
    if weights.nnz == np.count_nonzero(weights.diagonal()):
        raise DataError(
            f"no receiver has a sender within `radius={radius:g}`; check the units of the "
            "coordinates, `senders` and `sample_key`."
        )
    index = np.flatnonzero(genes | adata.var_names.isin(complexes.genes_of(complexes.subunits)))
    levels = columns(matrix, index)
    if unmeasured is not None and types is not None:
        levels = imputed(levels, unmeasured.missing(index), types, ~empty_cells(matrix))
    warn_of_unmeasured(unmeasured, index, IMPUTED)
    measured = adata.var_names[index]
    names = [*adata.var_names[genes], *complexes.subunits]
    levels = complexes.appended(levels, measured)[:, complexes.index(measured, names)]
    values = compute_exposure(weights, levels)
    values[~receiving] = np.nan
    table = pd.DataFrame(values, index=adata.obs_names, columns=pd.Index(names))
    if copy:
        return table
    adata.obsm[key_added] = table
    params = exposure_params(
        radius=radius,
        nearest=nearest_neighbour_distance(coords, sample),
        spatial_key=spatial_key,
        sample_key=sample_key,
        layer=layer,
        senders=senders,
        receivers=receivers,
        ligands=table.columns,
        own=bool(own),
    )
    adata.uns[key_added] = {"params": params}
    return None


def _ligands(
    adata: AnnData, ligands: Sequence[str] | None, level: str
) -> tuple[NDArray[np.bool_], Complexes]:
    """Return the (genes,) mask of single ligands, and the complexes."""
    if ligands is not None:
        mask, subunits = match_role(adata, ligands, "ligands")
        return mask, Complexes(subunits, level)
    names, subunits = flagged_role(adata, "ligands")
    mask = match(adata, names, "ligands") if names else np.zeros(adata.n_vars, dtype=bool)
    return mask, Complexes(subunits, level)
