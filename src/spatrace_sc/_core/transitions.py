"""Forward transitions between cells: which cell could have become which."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .cell_order import is_discrete, order_of_cells
from .neighbour_edges import (
    edges_along_order,
    edges_between_stages,
    edges_of_orphans,
    local_scale,
    unique_edges,
)


def forward_knn(
    embedding: NDArray[np.floating],
    time: NDArray[np.floating],
    *,
    n_neighbors: int = 30,
    search_factor: int = 3,
    order: NDArray[np.floating] | None = None,
) -> sparse.csr_matrix:
    """Row-stochastic transitions to similar cells that are later in time.

    The weight of cell j after cell i decreases with their Euclidean distance d in ``embedding``::

        P[i, j] ∝ exp(-d(i, j)² / (2 σ_i σ_j))

    σ is the mean distance of a cell's candidates. These are, among its nearest neighbours, the
    ``n_neighbors`` nearest later cells and, in the other direction, the nearest earlier cells. A
    cell without an earlier one among its neighbours, as across a gap in time, is linked to the
    nearest earlier cells at any distance. So every cell but the first has a past.

    Where time is a series of stages (:func:`is_discrete`), the cells of a stage are ordered first
    (:func:`order_within_stages`). Half the candidates then come from the same stage, half from the
    next. With more than :data:`MAX_CANDIDATES` cells (of a stage), this many, evenly spaced, are
    the candidates of all.

    Cells without a later one, the ends of lineages, stay where they are (``P[i, i] = 1``). There
    are no cycles.

    Parameters
    ----------
    embedding
        (cells, dims), e.g. principal components.
    time
        (cells,) finite.
    n_neighbors
        Candidates kept per cell and direction.
    search_factor
        Neighbours searched per candidate kept.
    order
        (cells,) order of cells, consistent with ``time``. None: :func:`order_of_cells`.

    Returns
    -------
    (cells, cells) CSR, float32, row = earlier cell, column = later cell.
    """
    n = len(time)
    k = max(1, min(n_neighbors, n - 1))
    order = order_of_cells(embedding, time) if order is None else order
    if is_discrete(time):
        half = k // 2 or 1
        stages = [np.flatnonzero(time == stage) for stage in np.unique(time)]
        edges = [edges_along_order(embedding, order, c, half, search_factor) for c in stages]
        for before, after in pairwise(stages):
            edges += edges_between_stages(embedding, before, after, half)
    else:
        edges = [edges_along_order(embedding, order, np.arange(n), k, search_factor)]
    targets = np.concatenate([target for _, target, _ in edges])
    edges.append(edges_of_orphans(embedding, order, targets, k))
    source, target, distance = unique_edges(edges, n)
    scale = local_scale((source, target, distance), n)
    weight = np.exp(-(distance**2) / (2.0 * scale[source] * scale[target] + 1e-12))
    forward = sparse.coo_matrix((np.maximum(weight, 1e-6), (source, target)), shape=(n, n)).tocsr()
    return row_normalise(with_ends(forward))


def within_stages(
    embedding: NDArray[np.floating],
    stage: NDArray[np.integer],
    order: NDArray[np.floating],
    *,
    n_neighbors: int,
) -> sparse.csr_matrix:
    """:func:`forward_knn` along ``order``, separately in each stage.

    Returns
    -------
    (cells, cells) CSR; rows of the last cells of a stage are empty.
    """
    n = len(stage)
    rows, cols, data = [], [], []
    for code in np.unique(stage):
        cells = np.flatnonzero(stage == code)
        if len(cells) < 2:
            continue
        rank = np.empty(len(cells))
        # cells at the same time are ordered by expression, not by their position in the file
        rank[np.lexsort((*embedding[cells].T[::-1], order[cells]))] = np.arange(len(cells))
        block = forward_knn(embedding[cells], rank, n_neighbors=n_neighbors, order=rank).tocoo()
        off = block.row != block.col
        rows.append(cells[block.row[off]])
        cols.append(cells[block.col[off]])
        data.append(block.data[off])
    if not rows:
        return sparse.csr_matrix((n, n), dtype=np.float32)
    return sparse.csr_matrix(
        (np.concatenate(data), (np.concatenate(rows), np.concatenate(cols))), shape=(n, n)
    )


def blend(first: sparse.csr_matrix, second: sparse.csr_matrix, share: float) -> sparse.csr_matrix:
    """Weighted mean of two transition matrices, row by row.

    ``second`` has the weight ``share``. Where one has an empty row, the other one counts alone.
    """
    one, two = row_normalise(first), row_normalise(second)
    return row_normalise(one * np.float32(1.0 - share) + two * np.float32(share))


def with_ends(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    """Put 1 on the diagonal of empty rows: cells without a later one stay where they are."""
    ends = np.flatnonzero(np.diff(matrix.indptr) == 0)
    ones = np.ones(len(ends), dtype=matrix.dtype)
    return (matrix + sparse.csr_matrix((ones, (ends, ends)), shape=matrix.shape)).tocsr()


def reach(
    forward: sparse.csr_matrix, time: NDArray[np.floating], *, n_steps: int = 8
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How far paths can be followed back.

    Returns
    -------
    (n_steps,) share of cells with at least 1, 2, ... earlier steps; and (n_steps,) mean time
    between a cell and its ancestors that many steps back, NaN where no cell has so many.
    """
    past = backward(forward)
    mass, moment = np.ones(len(time)), np.asarray(time, dtype=np.float64)
    share, span = np.zeros(n_steps), np.full(n_steps, np.nan)
    for step in range(n_steps):
        mass, moment = past @ mass, past @ moment
        exists = mass > 1e-6  # as in expected_history
        share[step] = exists.mean()
        if exists.any():
            span[step] = float((time[exists] - moment[exists] / mass[exists]).mean())
    return share, span


def row_normalise(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    """Each row divided by its sum; empty rows stay empty."""
    matrix = sparse.csr_matrix(matrix, dtype=np.float32, copy=True)
    total = np.asarray(matrix.sum(axis=1)).ravel()
    inverse = np.divide(1.0, total, out=np.zeros_like(total), where=total > 0)
    matrix.data *= np.repeat(inverse.astype(np.float32), np.diff(matrix.indptr))
    matrix.sort_indices()
    return matrix


def backward(transitions: sparse.csr_matrix) -> sparse.csr_matrix:
    """Backward transitions ``B[j, i] = P[i, j] / sum over i' of P[i', j]``, without the diagonal.

    Rows of first cells are empty.
    """
    entries = sparse.coo_matrix(transitions)
    off = entries.row != entries.col
    return row_normalise(
        sparse.csr_matrix(
            (entries.data[off], (entries.col[off], entries.row[off])), shape=entries.shape
        )
    )
