"""From AnnData to plain arrays: what one inference works on."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from scipy import sparse

from .. import _keys
from .._backed import OnDisk, in_memory, kept
from .._core.counts import counting_variance
from .._core.exposure import ligand_exposure, linear, neighbour_weights
from .._core.transitions import backward, forward_knn, has_cycle, linear_extension, order_of_cells
from .._errors import DataError, InvalidArgumentError, MissingKeyError, warn
from .._prepare import (
    default_targets,
    flagged,
    labels_of,
    match,
    principal_components,
    reliable_components,
    resolve_radius,
    symbols_of,
)
from .._validate import (
    categories,
    cell_mask,
    columns,
    coordinates,
    expression,
    receivers_with_time,
    samples,
    shorten,
    time_column,
)
from ..get._transitions import written_transitions

logger = logging.getLogger("spatrace_sc")

#: Principal components and neighbours of the default transitions.
N_PCS, N_NEIGHBORS = 30, 30
#: Levels of TFs are nearly linear up to so many molecules.
MOLECULES = 4.0
#: Principal components looked at for those that describe a cell's state.
N_STATE_PCS = 50


@dataclass(frozen=True)
class Study:
    """One data set as arrays. Receivers and senders are rows of their own; genes of a role are in alphabetical order.

    ``weights`` (receivers, senders); ``sender_ligand`` (senders, L), ``exposure`` (receivers, L) and ``receptor`` (receivers, R) linear; ``tf`` (receivers, F) and ``target``
    (receivers, G) log-normalised; ``tf_noise`` (F,) what of a TF's variance is counting, ``level_noise`` (F,) the same of its level at ``tf_scale`` (:func:`levels`); ``unit`` (all cells,) linear value
    of one molecule, None if the data are not counts; ``backward`` (receivers, receivers) where a cell came from; ``state`` (receivers, receivers) earlier cells of nearly the same state, by which expression is denoised.
    """

    genes: dict[str, NDArray[np.str_]]
    receivers: NDArray[np.bool_]
    senders: NDArray[np.bool_]
    types: NDArray[np.str_]
    sample: NDArray[np.integer]
    stage: NDArray[np.integer]
    stages: list[str]
    time: NDArray[np.float64]
    coords: NDArray[np.float64]
    sender_coords: NDArray[np.float64]
    radius: float
    weights: sparse.csr_matrix
    sender_ligand: NDArray[np.float32]
    exposure: NDArray[np.float32]
    receptor: NDArray[np.float32]
    tf: NDArray[np.float32]
    tf_noise: NDArray[np.float64]
    level_noise: NDArray[np.float64]
    tf_scale: float
    unit: NDArray[np.float64] | None
    target: NDArray[np.float32]
    backward: sparse.csr_matrix
    state: sparse.csr_matrix


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
    stage_of = categories(adata, stage_key, "stage_key").astype(str) if stage_key is not None else slices
    symbols = symbols_of(adata, gene_symbols)
    genes = resolve_roles(adata, roles, matrix, symbols)
    if sample_key is None and len(set(stage_of)) > 1:
        text = f"`stage_key={stage_key!r}` has several stages but `sample_key` is None: all cells are taken as one slice, and cells of different stages as neighbours. Name the slices with `sample_key`."
        warn(text)
    sample = pd.factorize(slices)[0]
    radius = resolve_radius(radius, coords, sample)
    weights = neighbour_weights(coords, sample, receiving, sending, radius=radius)[receiving][:, sending]
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
        genes_shown = {role: np.array([labels[n] for n in names], dtype=str) for role, names in genes.items()}
    past, order = read_backward(adata, matrix[here], in_order, receiving, time[receiving], transitions_key)
    state = earlier_in_state(matrix[here], in_order, time[receiving], order)
    tf = columns(matrix[here], place["tfs"])
    tf_noise, level_noise, tf_scale = counting_noise(tf, None if unit is None else unit[receiving], state)
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


def earlier_in_state(
    matrix: sparse.csr_matrix | NDArray[np.floating],
    genes: NDArray[np.intp],
    time: NDArray[np.float64],
    order: NDArray[np.floating],
) -> sparse.csr_matrix:
    """Weights of the earlier cells that are nearest in the reliable principal components; cells that have none stand for themselves.

    Earlier in the order of the transitions, so that what is denoised with it holds nothing of cells that are yet to be predicted.
    """
    embedding = reliable_components(matrix, genes, N_STATE_PCS)
    earlier = backward(forward_knn(embedding, time, n_neighbors=N_NEIGHBORS, order=order))
    first = np.flatnonzero(np.diff(earlier.indptr) == 0)
    alone = sparse.coo_matrix((np.ones(len(first), dtype=np.float32), (first, first)), shape=earlier.shape)
    return (earlier + alone.tocsr()).tocsr()


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


def order_stages(stage_of: NDArray[np.str_], time: NDArray[np.float64]) -> tuple[NDArray[np.integer], list[str]]:
    """Stage code of every receiver and the names, ordered by the mean time of their receivers (never alphabetically)."""
    frame = pd.DataFrame({"stage": stage_of, "time": time})
    names = list(frame.groupby("stage")["time"].mean().sort_values(kind="stable").index)
    return frame["stage"].map({s: k for k, s in enumerate(names)}).to_numpy(dtype=np.intp), [str(s) for s in names]


def read_backward(
    adata: AnnData,
    matrix: sparse.csr_matrix | NDArray[np.floating],
    genes: NDArray[np.intp],
    receiving: NDArray[np.bool_],
    time: NDArray[np.float64],
    transitions_key: str | None,
) -> tuple[sparse.csr_matrix, NDArray[np.floating]]:
    """Backward transitions among receivers and an order of them in which nobody comes before its ancestors: from ``obsp`` or, by default, forward nearest neighbours along time.

    ``matrix`` holds the receivers.
    """
    if transitions_key is None:
        unused = [k for k in written_transitions(adata) if k in adata.obsp]
        hint = (
            f"obsp[{unused[-1]!r}], which st.pp.transitions wrote, is taken only if you name it, `transitions_key={unused[-1]!r}`"
            if unused
            else "name your own with `transitions_key`"
        )
        logger.info("transitions: %d forward nearest neighbours along time, computed here; %s.", N_NEIGHBORS, hint)
        embedding = principal_components(matrix, genes, N_PCS)
        order = order_of_cells(embedding, time)
        return backward(forward_knn(embedding, time, n_neighbors=N_NEIGHBORS, order=order)), order
    if transitions_key not in adata.obsp:
        raise MissingKeyError(
            f"`transitions_key={transitions_key!r}` is not in `adata.obsp`; it has {shorten(adata.obsp.keys())}. Call `st.pp.transitions(adata)` or leave it None."
        )
    here = np.flatnonzero(receiving)
    given = sparse.csr_matrix(in_memory(adata.obsp[transitions_key]))[here][:, here].tocoo()
    if not np.isfinite(given.data).all() or (given.data < 0).any():
        raise DataError(
            f"`adata.obsp[{transitions_key!r}]` has negative or non-finite entries; it must hold transition probabilities."
        )
    forward = (time[given.col] >= time[given.row]) & (given.row != given.col) & (given.data > 0)
    order = order_of_cells(principal_components(matrix, genes, N_PCS), time)
    agreeing = forward & (order[given.col] > order[given.row])
    if has_cycle(given.row[forward], given.col[forward], len(time)):
        forward = agreeing
    elif not (agreeing == forward).all():
        order = linear_extension(given.row[forward], given.col[forward], time)
    dropped = float(given.data[(given.row != given.col) & ~forward].sum() / max(given.data.sum(), 1e-12))
    if not forward.any():
        raise InvalidArgumentError(
            f"`adata.obsp[{transitions_key!r}]` has no transition between receivers that goes forward along `time_key`; is it transposed?"
        )
    if dropped > 0.01:
        logger.warning(
            "%.0f %% of the transitions in obsp[%r] do not go forward in time and were left out.",
            100 * dropped,
            transitions_key,
        )
    edges = (given.data[forward], (given.row[forward], given.col[forward]))
    return backward(sparse.csr_matrix(edges, shape=given.shape)), order
