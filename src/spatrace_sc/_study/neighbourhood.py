"""The state of a cell's neighbourhood, as covariates against spatial confounding."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree
from sklearn.decomposition import PCA

from .records import Study

#: Principal components of a state, and nearest receivers that neighbourhoods hold.
N_COMPONENTS, N_NEIGHBOURS = 15, (15, 60)
#: Nearest receivers with which a cell is compared when edges are tested among neighbours.
N_COMPARED = 15


class StateScales(NamedTuple):
    """How the state of a receiver follows from its targets, TFs and receptors.

    ``mean`` and ``sd`` (genes,), the latter infinite for constant genes; ``components``
    (n, genes) and ``centre`` (genes,) of the principal components of the varying genes, 0 for the
    others.
    """

    mean: NDArray[np.float64]
    sd: NDArray[np.float64]
    components: NDArray[np.float64]
    centre: NDArray[np.float64]


def state_scales(study: Study, n_components: int = N_COMPONENTS) -> StateScales:
    """Return the principal components of the standardised targets, TFs and receptors."""
    values = _levels(study)
    mean, sd = values.mean(axis=0), values.std(axis=0)
    varies = sd > 0
    standardised = (values - mean)[:, varies] / sd[varies]
    n = min(n_components, *standardised.shape)
    components, centre = np.zeros((n, len(sd))), np.zeros(len(sd))
    if n:
        pca = PCA(n, svd_solver="covariance_eigh").fit(standardised)
        components[:, varies], centre[varies] = pca.components_, pca.mean_
    return StateScales(mean, np.where(varies, sd, np.inf), components, centre)


def neighbourhood_state(study: Study, scales: StateScales | None = None) -> NDArray[np.float64]:
    """(receivers, up to 30) mean states of the 15 and of the 60 nearest other receivers.

    The state of a receiver is its scores on the first principal components of the standardised
    targets, TFs and receptors. Geography that no gene list names (anatomy, a morphogen) makes the
    expression of near cells alike, and so confounds a ligand with targets in its reach. What a
    cell's neighbours express shows that geography. A cell's own expression does not enter its
    neighbourhood. ``scales`` are those of other cells; None: those of the study.
    """
    mean, sd, components, centre = state_scales(study) if scales is None else scales
    values = _levels(study)
    if not len(components):
        return np.empty((len(values), 0))
    state = ((values - mean) / sd - centre) @ components.T
    result = np.zeros((len(state), len(N_NEIGHBOURS) * state.shape[1]))
    for sample in np.unique(study.receiver_sample):
        rows = np.flatnonzero(study.receiver_sample == sample)
        if len(rows) > 1:
            result[rows] = _mean_of_nearest(study.coords[rows], state[rows])
    return result


def _levels(study: Study) -> NDArray[np.float64]:
    """(receivers, genes) log levels of targets, TFs and receptors."""
    return np.hstack([study.target, study.tf, np.log1p(study.receptor)]).astype(np.float64)


def nearest_receivers(study: Study, usable: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(n, 15) nearest other usable receivers of the slice, of each usable receiver.

    They are rows among the usable receivers, −1 where a slice has fewer.
    """
    coords, sample = study.coords[usable], study.receiver_sample[usable]
    result = np.full((len(coords), N_COMPARED), -1, dtype=np.int64)
    for code in np.unique(sample):
        rows = np.flatnonzero(sample == code)
        k = min(N_COMPARED, len(rows) - 1)
        if k > 0:
            result[rows, :k] = rows[_nearest_others(coords[rows], k)]
    return result


def _nearest_others(coords: NDArray[np.float64], k: int) -> NDArray[np.int64]:
    """(n, k) nearest other cells of every cell of one slice, nearest first."""
    nearest = KDTree(coords).query(coords, k=k + 1)[1]
    # where cells share a position, the cell itself need not come first
    other = nearest != np.arange(len(coords))[:, None]
    other[other.all(axis=1), -1] = False
    return np.asarray(nearest[other].reshape(len(coords), k), dtype=np.int64)


def _mean_of_nearest(
    coords: NDArray[np.float64], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Means of the values over the nearest other cells of every cell of one slice, by size."""
    k = min(max(N_NEIGHBOURS), len(coords) - 1)
    chosen = _nearest_others(coords, k)
    total = np.zeros_like(values)
    means: dict[int, NDArray[np.float64]] = {}
    for n, neighbour in enumerate(chosen.T, start=1):
        total += values[neighbour]
        if n in N_NEIGHBOURS or n == k:
            means[n] = total / n
    return np.hstack([means[min(n, k)] for n in N_NEIGHBOURS])
