"""Expectation of a cell's level of a gene from other cells."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

#: Nearest other cells of the same type over which a level is averaged.
N_NEAREST = 15

Array = NDArray[np.float64]


def expected_levels(values: NDArray[np.floating], readings: list[Array]) -> Array:
    """(cells, genes) least-squares prediction of each gene from readings of it in other cells.

    ``readings`` are (cells, genes) means over other cells, so the counting noise of the cell itself
    enters none of them. Weights are fitted per gene over all cells; predictions are at least 0.
    """
    observed = np.asarray(values, dtype=np.float64)
    centred = [r - r.mean(axis=0) for r in readings]
    y = observed - observed.mean(axis=0)
    gram = np.array([[(a * b).sum(axis=0) for b in centred] for a in centred])
    moment = np.array([(a * y).sum(axis=0) for a in centred])
    ridge = 1e-6 * np.eye(len(readings))
    result = np.empty_like(observed)
    for gene in range(observed.shape[1]):
        scale = max(float(np.trace(gram[:, :, gene])), 1e-12)
        weights = np.linalg.solve(gram[:, :, gene] + scale * ridge, moment[:, gene])
        part = sum(w * r[:, gene] for w, r in zip(weights, centred, strict=True))
        result[:, gene] = observed[:, gene].mean() + part
    return np.maximum(result, 0.0)


def mean_of_nearest(
    values: NDArray[np.floating],
    coords: NDArray[np.floating],
    strata: list[NDArray[np.generic]],
) -> Array:
    """(cells, genes) means over the nearest other cells that have the same values of all strata.

    A cell that is alone in its strata gets the mean of all cells.
    """
    observed = np.asarray(values, dtype=np.float64)
    result = np.tile(observed.mean(axis=0), (len(observed), 1))
    codes = np.stack([np.unique(s, return_inverse=True)[1].ravel() for s in strata])
    for group in np.unique(codes, axis=1).T:
        rows = np.flatnonzero((codes == group[:, None]).all(axis=0))
        k = min(N_NEAREST, len(rows) - 1)
        if k < 1:
            continue
        nearest = KDTree(coords[rows]).query(coords[rows], k=k + 1)[1]
        other = nearest != np.arange(len(rows))[:, None]
        other[other.all(axis=1), -1] = False
        result[rows] = observed[rows[nearest[other].reshape(len(rows), k)]].mean(axis=1)
    return result
