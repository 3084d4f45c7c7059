"""Features by which genes without a role are matched to genes with one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.spatial import cKDTree

#: Columns of :func:`gene_features`.
FEATURES = ("level", "type_share", "morans_i", "time_share")
#: Neighbours of a cell in Moran's I.
N_NEIGHBOURS = 10
#: Bins of time with equal numbers of cells.
N_TIME_BINS = 10
#: A gene is constant if its sum of squares around the mean is below this share of its total.
MIN_VARIATION = 1e-10

Array = NDArray[np.float64]


@dataclass(frozen=True)
class CellStructure:
    """Types, neighbours and time of n cells.

    - ``type_code`` (n,);
    - ``neighbours`` (n, n): equal weights of the nearest cells of the same slice, rows sum to 1,
      or to 0 for the only cell of a slice;
    - ``time_bin`` (n,): −1 for a cell without time.
    """

    type_code: NDArray[np.integer]
    neighbours: sparse.csr_matrix
    time_bin: NDArray[np.integer]


def cell_structure(
    coords: NDArray[np.floating],
    types: NDArray[np.generic],
    sample: NDArray[np.integer],
    time: NDArray[np.floating],
) -> CellStructure:
    """Return types, neighbours and time of cells; ``time`` may be NaN."""
    code = np.unique(types, return_inverse=True)[1]
    return CellStructure(code, nearest_weights(coords, sample), time_bins(time))


def gene_features(values: NDArray[np.floating], cells: CellStructure) -> Array:
    """Return (genes, 4) features of (cells, genes) log-normalised expression.

    The columns are :data:`FEATURES`: the mean, the share of the variance between cell types,
    Moran's I, and the share of the variance between bins of time. The last three are 0 for a gene
    that is constant.
    """
    level: Array = np.asarray(values, dtype=np.float64)
    return np.column_stack(
        [
            level.mean(axis=0),
            share_between(level, cells.type_code),
            morans_i(level, cells.neighbours),
            share_between(level, cells.time_bin),
        ]
    )


def nearest_weights(
    coords: NDArray[np.floating], sample: NDArray[np.integer], k: int = N_NEIGHBOURS
) -> sparse.csr_matrix:
    """Return (cells, cells) equal weights of the ``k`` nearest cells of the same slice.

    Rows sum to 1. A slice of fewer than ``k + 1`` cells has fewer neighbours.
    """
    rows, columns, weights = [], [], []
    for code in np.unique(sample):
        cells = np.flatnonzero(sample == code)
        n_near = min(k, len(cells) - 1)
        if n_near < 1:
            continue
        index = cKDTree(coords[cells]).query(coords[cells], k=n_near + 1)[1]
        others = index != np.arange(len(cells))[:, None]
        # among cells at one position, a search may miss the cell itself: drop its last neighbour
        others[others.all(axis=1), -1] = False
        rows.append(np.repeat(cells, n_near))
        columns.append(cells[index[others]])
        weights.append(np.full(len(cells) * n_near, 1.0 / n_near))
    if not rows:
        return sparse.csr_matrix((len(coords), len(coords)))
    entries = (np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns)))
    return sparse.csr_matrix(entries, shape=(len(coords), len(coords)))


def time_bins(time: NDArray[np.floating], n_bins: int = N_TIME_BINS) -> NDArray[np.intp]:
    """Return the bin of every cell, with about as many cells in each; −1 without time.

    Cells of one time are in one bin. Fewer cells than bins count as cells without time.
    """
    known = np.isfinite(time)
    bins = np.full(len(time), -1, dtype=np.intp)
    if known.sum() >= n_bins:
        edges = np.unique(np.quantile(time[known], np.arange(1, n_bins) / n_bins))
        bins[known] = np.searchsorted(edges, time[known], side="right")
    return bins


def share_between(values: Array, group: NDArray[np.integer]) -> Array:
    """Return the share of every gene's variance that lies between groups of cells, 0 to 1.

    Cells of a negative group are left out; without any cell the share is 0.
    """
    cells = np.flatnonzero(group >= 0)
    if not len(cells):
        return np.zeros(values.shape[1])
    members = values if len(cells) == len(values) else values[cells]
    code = np.unique(group[cells], return_inverse=True)[1]
    n_cells = np.bincount(code).astype(np.float64)
    membership = sparse.csr_matrix((np.ones(len(code)), (code, np.arange(len(code)))))
    centred = members - members.mean(axis=0)
    means = (membership @ centred) / n_cells[:, None]
    return _ratio((n_cells[:, None] * means**2).sum(axis=0), centred, members)


def morans_i(values: Array, weights: sparse.csr_matrix) -> Array:
    """Return Moran's I of every gene, about 0 without spatial structure.

    With z the deviations from the mean over all n cells::

        I = n / (sum of weights) · (sum over i, j of w_ij z_i z_j) / (sum over i of z_i²)
    """
    total = float(weights.sum())
    if total <= 0:
        return np.zeros(values.shape[1])
    centred = values - values.mean(axis=0)
    products = np.einsum("ij,ij->j", centred, weights @ centred)
    return _ratio(len(values) / total * products, centred, values)


def _ratio(part: Array, centred: Array, values: Array) -> Array:
    """Return a part of the sum of squares relative to all of it; 0 for a constant gene."""
    square = np.einsum("ij,ij->j", centred, centred)
    varies = square > MIN_VARIATION * np.einsum("ij,ij->j", values, values)
    return np.where(varies, part / np.where(varies, square, 1.0), 0.0)
