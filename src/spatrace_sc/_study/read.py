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
from .._data.on_disk import OnDisk, kept
from .._data.radius import resolve_radius
from .._errors import DataError, warn
from .ancestors import earlier_in_state, read_backward
from .records import Study

logger = logging.getLogger("spatrace_sc")

#: Levels of TFs are nearly linear up to so many molecules.
MOLECULES = 4.0


def read_study(
    adata: AnnData,
    roles: dict[str, Sequence[str] | None],
    *,
    cell_type_key: str,
    sample_key: str | None,
    stage_key: str | None,
    time_key: str,
    spatial_key: str,
    layer: str | None,
    senders: Sequence[str] | None,
    receivers: Sequence[str] | None,
    radius: float | None,
    transitions_key: str | None,
    gene_symbols: str | None = None,
) -> Study:
    """Validate everything, then read it. Nothing is written. Genes are called by their symbols where a column of them is named."""
    matrix = expression(adata, layer)
    coords = coordinates(adata, spatial_key)
    types = categories(adata, cell_type_key, "cell_type_key").astype(str)
    slices = samples(adata, sample_key).astype(str)
    time = time_column(adata, time_key, cell_type_key=cell_type_key)
    sending = cell_mask(types, senders, "senders", adata.n_obs)
    receiving = receivers_with_time(time, types, receivers, time_key)
    stage_of = (
        categories(adata, stage_key, "stage_key").astype(str) if stage_key is not None else slices
    )
    symbols = symbols_of(adata, gene_symbols)
    genes = resolve_roles(adata, roles, matrix, symbols)
    if sample_key is None and len(set(stage_of)) > 1:
        text = f"`stage_key={stage_key!r}` has several stages but `sample_key` is None: all cells are taken as one slice, and cells of different stages as neighbours. Name the slices with `sample_key`."
        warn(text)
    sample = pd.factorize(slices)[0]
    radius = resolve_radius(radius, coords, sample)
    weights = neighbour_weights(coords, sample, receiving, sending, radius=radius)[receiving][
        :, sending
    ]
    if not weights.nnz:
        raise DataError(
            f"no receiver has a sender within `radius={radius:g}`; check the units of the coordinates, `senders`, `receivers` and `sample_key`."
        )
    log_neighbours(weights)
    place = {role: adata.var_names.get_indexer(names) for role, names in genes.items()}
    matrix, unit = kept(matrix, in_order := in_name_order(adata, place))
    here, there = np.flatnonzero(receiving), np.flatnonzero(sending)
    sender_ligand = columns(matrix[there], place["ligands"])
    stage, stages = order_stages(stage_of[receiving], time[receiving])
    if symbols is not None:
        labels = labels_of(adata, symbols)
        genes_shown = {
            role: np.array([labels[n] for n in names], dtype=str) for role, names in genes.items()
        }
    past, order = read_backward(
        adata, matrix[here], in_order, receiving, time[receiving], transitions_key
    )
    state = earlier_in_state(matrix[here], in_order, time[receiving], order)
    tf = columns(matrix[here], place["tfs"])
    tf_noise, level_noise, tf_scale = counting_noise(
        tf, None if unit is None else unit[receiving], state
    )
    return Study(
        genes=genes if symbols is None else genes_shown,
        receivers=receiving,
        senders=sending,
        types=types,
        sample=sample,
        stage=stage,
        stages=stages,
        time=time[receiving],
        coords=coords[receiving],
        sender_coords=coords[sending],
        radius=radius,
        weights=weights,
        sender_ligand=linear(sender_ligand),
        exposure=ligand_exposure(weights, sender_ligand),
        receptor=linear(columns(matrix[here], place["receptors"])),
        tf=tf,
        tf_noise=tf_noise,
        level_noise=level_noise,
        tf_scale=tf_scale,
        unit=unit,
        target=columns(matrix[here], place["targets"]),
        backward=past,
        state=state,
    )


def log_neighbours(weights: sparse.csr_matrix) -> None:
    """How many senders receivers have."""
    number = np.diff(weights.indptr)
    logger.info(
        "Neighbours within the radius: median %d senders per receiver; %.0f %% of receivers have none.",
        int(np.median(number)),
        100 * float((number == 0).mean()),
    )


def in_name_order(adata: AnnData, place: dict[str, NDArray[np.intp]]) -> NDArray[np.intp]:
    """Columns of all genes with a role, by name, so that the order of the genes in the file does not matter."""
    genes = np.unique(np.concatenate(list(place.values())))
    return genes[np.argsort(adata.var_names[genes].to_numpy(dtype=str), kind="stable")]


def counting_noise(
    logged: NDArray[np.float32], unit: NDArray[np.float64] | None, state: sparse.csr_matrix
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """(genes,) what of the variance of log-normalised values and of :func:`levels` is counting, with means from earlier cells of the same state, and the scale of the levels.

    0, 0 and 1 where the data are not counts.
    """
    if unit is None:
        logger.warning(
            "The matrix is not log1p of normalised counts, so the noise of counting is not known: TFs are taken as measured without noise, and TFs that follow a true one may be called beside it. "
            "Use log1p of normalised counts (sc.pp.normalize_total, sc.pp.log1p), in X or `layer`."
        )
        return np.zeros(logged.shape[1]), np.zeros(logged.shape[1]), 1.0
    scale = MOLECULES * float(np.median(unit))
    mean = (state @ linear(logged)) / unit[:, None]
    return counting_variance(mean, unit), counting_variance(mean, unit / scale), scale


def levels(logged: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
    """``log1p(x / scale)`` of linear values *x*: nearly linear below the scale, so that the noise of counting a few molecules has mean 0, and a logarithm above. Scale 1 changes nothing."""
    return logged if scale == 1.0 else np.log1p(linear(logged) / np.float32(scale))


def resolve_roles(
    adata: AnnData,
    roles: dict[str, Sequence[str] | None],
    matrix: sparse.csr_matrix | NDArray[np.floating] | OnDisk,
    symbols: NDArray[np.object_] | None = None,
) -> dict[str, NDArray[np.str_]]:
    """Genes of every role, in alphabetical order, from the arguments or the flags in ``var``."""
    chosen: dict[str, NDArray[np.str_]] = {}
    for name in ("ligands", "receptors", "tfs", "targets"):
        given = roles[name]
        if given is None and name == "targets" and _keys.ROLES["targets"] not in adata.var:
            given = default_targets(adata, {g for genes in chosen.values() for g in genes}, matrix)
        by_symbol = symbols if roles[name] is not None else None
        found = match(adata, given if given is not None else flagged(adata, name), name, by_symbol)
        chosen[name] = np.sort(adata.var_names[found].to_numpy(dtype=str))
    return chosen


def order_stages(
    stage_of: NDArray[np.str_], time: NDArray[np.float64]
) -> tuple[NDArray[np.integer], list[str]]:
    """Stage code of every receiver and the names, ordered by the mean time of their receivers (never alphabetically)."""
    frame = pd.DataFrame({"stage": stage_of, "time": time})
    names = list(frame.groupby("stage")["time"].mean().sort_values(kind="stable").index)
    return frame["stage"].map({s: k for k, s in enumerate(names)}).to_numpy(dtype=np.intp), [
        str(s) for s in names
    ]
