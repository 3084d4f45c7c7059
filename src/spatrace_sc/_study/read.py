"""Read a data set from AnnData into arrays."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from scipy import sparse

from .. import _keys
from .._core.counts import counting_variance
from .._core.exposure import ligand_exposure, linear, neighbour_weights
from .._data.cells import (
    categories,
    cell_mask,
    coordinates,
    receivers_with_time,
    samples,
    time_column,
)
from .._data.expression import columns, expression
from .._data.genes import default_targets, flagged, labels_of, match, symbols_of
from .._data.on_disk import OnDisk, load_genes
from .._data.radius import resolve_radius
from .._data.stored_exposure import radius_or_stored
from .._errors import DataError, warn
from .._regulators import ROLES, Regulators
from .ancestors import Ancestors, find_ancestors
from .records import Cells, CountNoise, Study
from .source import Source

logger = logging.getLogger("spatrace_sc")

#: Levels of TFs are nearly linear up to this many molecules.
LINEAR_MOLECULES = 4.0
#: Genes of each role as the user gave them; None: the flags in ``var``.
GivenGenes = dict[str, Sequence[str] | None]


def read_study(
    adata: AnnData, roles: GivenGenes, source: Source, ancestors: Ancestors | None = None
) -> Study:
    """Check the data and read them; nothing is written.

    Genes are named by symbol where ``source`` names a column of symbols. Stored ``ancestors`` are
    used as they are. None: they are computed along time or read from ``obsp``.
    """
    matrix = expression(adata, source.layer)
    cells = read_cells(adata, source)
    symbols = symbols_of(adata, source.gene_symbols)
    names = resolve_roles(adata, roles, matrix, symbols)
    radius = radius_or_stored(
        adata,
        source.radius,
        cells.coords,
        cells.sample,
        spatial_key=source.spatial_key,
        sample_key=source.sample_key,
    )
    radius = resolve_radius(radius, cells.coords, cells.sample)
    weights = _weights(cells, radius)
    position = {role: adata.var_names.get_indexer(genes) for role, genes in names.items()}
    genes_in_order = _in_name_order(adata, position)
    matrix, unit = load_genes(matrix, genes_in_order)
    receiver_matrix = matrix[np.flatnonzero(cells.receivers)]
    sender_ligand = columns(matrix[np.flatnonzero(cells.senders)], position["ligands"])
    time = cells.time[cells.receivers]
    stage, stages = order_stages(cells.stage[cells.receivers], time)
    if ancestors is None:
        ancestors = find_ancestors(
            adata, receiver_matrix, genes_in_order, cells.receivers, time, source.transitions_key
        )
    tf = columns(receiver_matrix, position["tfs"])
    receiver_unit = None if unit is None else unit[cells.receivers]
    return Study(
        genes=_shown(adata, names, symbols),
        cells=cells,
        stage=stage,
        stages=stages,
        time=time,
        radius=radius,
        weights=weights,
        sender_ligand=linear(sender_ligand),
        exposure=ligand_exposure(weights, sender_ligand),
        receptor=linear(columns(receiver_matrix, position["receptors"])),
        tf=tf,
        noise=count_noise(tf, receiver_unit, ancestors.state),
        unit=unit,
        target=columns(receiver_matrix, position["targets"]),
        backward=ancestors.backward,
        state=ancestors.state,
    )


def read_cells(adata: AnnData, source: Source) -> Cells:
    """Read and check coordinates, types, samples, stages and time of every cell."""
    coords = coordinates(adata, source.spatial_key)
    types = categories(adata, source.cell_type_key, "cell_type_key").astype(str)
    slices = samples(adata, source.sample_key).astype(str)
    time = time_column(adata, source.time_key, cell_type_key=source.cell_type_key)
    senders = cell_mask(types, source.senders, "senders", adata.n_obs)
    receivers = receivers_with_time(time, types, source.receivers, source.time_key)
    stage = slices
    if source.stage_key is not None:
        stage = categories(adata, source.stage_key, "stage_key").astype(str)
    if source.sample_key is None and len(set(stage)) > 1:
        warn(
            f"`stage_key={source.stage_key!r}` has several stages but `sample_key` is None: all "
            "cells count as one slice, and cells of different stages as neighbours. "
            "Name the slices with `sample_key`."
        )
    return Cells(coords, types, pd.factorize(slices)[0], stage, time, senders, receivers)


def _weights(cells: Cells, radius: float) -> sparse.csr_matrix:
    """(receivers, senders) kernel over distance, with the number of neighbours logged."""
    everyone = neighbour_weights(
        cells.coords, cells.sample, cells.receivers, cells.senders, radius=radius
    )
    weights = everyone[cells.receivers][:, cells.senders]
    if not weights.nnz:
        raise DataError(
            f"no receiver has a sender within `radius={radius:g}`; check the units of the "
            "coordinates, `senders`, `receivers` and `sample_key`."
        )
    n_senders = np.diff(weights.indptr)
    logger.info(
        "Neighbours within the radius: median %d senders per receiver; "
        "%.0f %% of receivers have none.",
        int(np.median(n_senders)),
        100 * float((n_senders == 0).mean()),
    )
    return weights


def _in_name_order(adata: AnnData, position: dict[str, NDArray[np.intp]]) -> NDArray[np.intp]:
    """Return the columns of all genes with a role by name, whatever their order in the file."""
    genes = np.unique(np.concatenate(list(position.values())))
    return genes[np.argsort(adata.var_names[genes].to_numpy(dtype=str), kind="stable")]


def _shown(
    adata: AnnData, names: dict[str, NDArray[np.str_]], symbols: NDArray[np.object_] | None
) -> Regulators:
    """Return the genes under the names that results show."""
    if symbols is None:
        return Regulators.from_mapping(names)
    labels = labels_of(adata, symbols)
    return Regulators.from_mapping({role: [labels[n] for n in names[role]] for role in ROLES})


def count_noise(
    logged: NDArray[np.float32], unit: NDArray[np.float64] | None, state: sparse.csr_matrix
) -> CountNoise:
    """Return how much of the variance of each TF is count noise.

    Means come from earlier cells of the same state. Without counts (``unit`` is None) the noise is
    unknown and taken as 0.
    """
    if unit is None:
        logger.warning(
            "The matrix is not log1p of normalised counts, so the count noise is unknown: TFs are "
            "taken as measured without noise, and TFs that follow a true one may be called as "
            "well. Use log1p of normalised counts (sc.pp.normalize_total, sc.pp.log1p), in X or "
            "`layer`."
        )
        return CountNoise(np.zeros(logged.shape[1]), np.zeros(logged.shape[1]), 1.0)
    scale = LINEAR_MOLECULES * float(np.median(unit))
    mean = (state @ linear(logged)) / unit[:, None]
    return CountNoise(counting_variance(mean, unit), counting_variance(mean, unit / scale), scale)


def tf_levels(logged: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
    """Return ``log1p(x / scale)`` of linear values *x*.

    Nearly linear below the scale, so that the noise of a few molecules has mean 0, and logarithmic
    above. A scale of 1 changes nothing.
    """
    return logged if scale == 1.0 else np.log1p(linear(logged) / np.float32(scale))


def resolve_roles(
    adata: AnnData,
    roles: GivenGenes,
    matrix: sparse.csr_matrix | NDArray[np.floating] | OnDisk,
    symbols: NDArray[np.object_] | None = None,
) -> dict[str, NDArray[np.str_]]:
    """Return the genes of every role in alphabetical order, from arguments or flags in ``var``."""
    names: dict[str, NDArray[np.str_]] = {}
    for role in ROLES:
        genes = roles[role]
        by_symbol = symbols if genes is not None else None
        if genes is None and role == "targets" and _keys.ROLES["targets"] not in adata.var:
            genes = default_targets(adata, {g for used in names.values() for g in used}, matrix)
        if genes is None:
            genes = flagged(adata, role)
        names[role] = np.sort(
            adata.var_names[match(adata, genes, role, by_symbol)].to_numpy(dtype=str)
        )
    return names


def order_stages(
    stage: NDArray[np.str_], time: NDArray[np.float64]
) -> tuple[NDArray[np.integer], list[str]]:
    """Return the stage code of every receiver and the names, by mean time of their receivers."""
    mean_time = pd.Series(time).groupby(stage).mean().sort_values(kind="stable")
    names = [str(name) for name in mean_time.index]
    return pd.Index(names).get_indexer(pd.Index(stage.astype(str))), names
