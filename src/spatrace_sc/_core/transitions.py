"""Forward transitions between cells: who could have become whom."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from sklearn.neighbors import NearestNeighbors

#: With at most this many distinct times, time is read as a series of stages instead of a continuum.
MAX_STAGES = 30
#: Cells among which neighbours are looked for; of more, so many, evenly spaced along their order, are linked to all. Exact search costs cells × candidates.
MOST_CANDIDATES = 50_000
#: Cells whose neighbours are looked for at a time.
CHUNK = 20_000


def is_discrete(time: NDArray[np.floating]) -> bool:
    """Whether ``time`` is a series of stages (few values, each shared by many cells)."""
    n_values = len(np.unique(time))
    return n_values <= MAX_STAGES and n_values * 5 <= len(time)


def forward_knn(
    embedding: NDArray[np.floating],
    time: NDArray[np.floating],
    *,
    n_neighbors: int = 30,
    search_factor: int = 3,
    order: NDArray[np.floating] | None = None,
) -> sparse.csr_matrix:
    """Row-stochastic transitions to similar cells that are later in time.

    ``P[i, j] ∝ exp(-d(i, j)² / (2 σ_i σ_j))`` where ``d`` is the Euclidean distance in ``embedding`` and ``σ`` the mean distance of a cell's candidates.
    Candidates are, among a cell's nearest neighbours, the nearest ``n_neighbors`` later ones and, in the other direction, the nearest earlier ones; a cell without an earlier one among its
    neighbours, as across a gap in time, is linked to the nearest earlier cells wherever they are, so that every cell but the first has a past.
    Where time is a series of stages (:func:`is_discrete`) cells of one stage are put in order first (:func:`order_within_stages`), and half the candidates
    come from the same stage, half from the next. With more than :data:`MOST_CANDIDATES` cells (of a stage), so many, evenly spaced, are the candidates of all. Cells that nothing leads on from, the ends of lineages, stay where they are (``P[i, i] = 1``). There are no cycles.

    Parameters
    ----------
    embedding
        (cells, dims), e.g. principal components.
    time
        (cells,) finite.
    n_neighbors
        Candidates kept per cell and direction.
    search_factor
        Neighbours looked at per candidate kept.
    order
        (cells,) which cell comes before which, in keeping with ``time``. None: :func:`order_of_cells`.

    Returns
    -------
    (cells, cells) CSR, float32, row = earlier cell, column = later cell.
    """
    n = len(time)
    k = max(1, min(n_neighbors, n - 1))
    order = order_of_cells(embedding, time) if order is None else order
    if is_discrete(time):
        groups = [(np.flatnonzero(time == now), k // 2 or 1) for now in np.unique(time)]
        pairs = [
            _later_pairs(embedding, order, cells, kept, search_factor) for cells, kept in groups
        ]
        pairs += [
            p for (a, kept), (b, _) in pairwise(groups) for p in _between(embedding, a, b, kept)
        ]
    else:
        pairs = [_later_pairs(embedding, order, np.arange(n), k, search_factor)]
    pairs.append(_lost_pasts(embedding, order, _unique_edges(pairs, n), k))
    source, target, distance = _unique_edges(pairs, n)
    scale = _local_scale(source, target, distance, n)
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
    """:func:`forward_knn` along ``order`` in each stage on its own. (cells, cells) CSR; rows of the last cells of a stage are empty."""
    n = len(stage)
    rows, cols, data = [], [], []
    for code in np.unique(stage):
        cells = np.flatnonzero(stage == code)
        if len(cells) < 2:
            continue
        rank = np.argsort(np.argsort(order[cells], kind="stable"), kind="stable").astype(float)
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
    """Rows of ``first`` with weight 1 - ``share`` and of ``second`` with weight ``share``; where one has no row the other counts whole."""
    one, two = row_normalise(first), row_normalise(second)
    return row_normalise(one * np.float32(1.0 - share) + two * np.float32(share))


def with_ends(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    """1 on the diagonal of empty rows: cells that nothing leads on from stay where they are."""
    stuck = np.flatnonzero(np.diff(matrix.indptr) == 0)
    ones = np.ones(len(stuck), dtype=matrix.dtype)
    return (matrix + sparse.csr_matrix((ones, (stuck, stuck)), shape=matrix.shape)).tocsr()


def reach(
    forward: sparse.csr_matrix, time: NDArray[np.floating], *, n_steps: int = 8
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How far paths can be followed back.

    Returns
    -------
    (n_steps,) share of cells with at least 1, 2, ... earlier steps; and (n_steps,) how much earlier, in units of ``time``, the cells found so many steps back are on average (NaN where nobody has so many).
    """
    past = backward(forward)
    mass, moment = np.ones(len(time)), np.asarray(time, dtype=np.float64)
    share, span = np.zeros(n_steps), np.full(n_steps, np.nan)
    for step in range(n_steps):
        mass, moment = past @ mass, past @ moment
        here = mass > 1e-6  # as in expected_history
        share[step] = here.mean()
        if here.any():
            span[step] = float((time[here] - moment[here] / mass[here]).mean())
    return share, span


def order_of_cells(
    embedding: NDArray[np.floating], time: NDArray[np.floating]
) -> NDArray[np.floating]:
    """Time itself or, where it is a series of stages, :func:`order_within_stages`."""
    return order_within_stages(embedding, time) if is_discrete(time) else time


def linear_extension(
    source: NDArray[np.integer], target: NDArray[np.integer], time: NDArray[np.floating]
) -> NDArray[np.float64]:
    """(cells,) an order in which the source of every edge comes before its target, cells of different times in the order of time.

    Edges must not go backwards in time nor form a cycle. Strong components come out of scipy's search in topological order, one way or the other; what is returned is checked.
    """
    graph = sparse.csr_matrix(
        (np.ones(len(source), dtype=np.int8), (source, target)), shape=(len(time),) * 2
    )
    label = connected_components(graph, directed=True, connection="strong")[1]
    for sign in (1, -1):
        rank = np.empty(len(time))
        rank[np.lexsort((sign * label, time))] = np.arange(len(time))
        if (rank[source] < rank[target]).all():
            return rank
    raise ValueError("edges go backwards in time or form a cycle")


def order_within_stages(
    embedding: NDArray[np.floating], time: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Continuous time from stages: the stage, and within it the time that a ridge regression of the stage on the embedding predicts.

    Cells of one stage are spread over less than the gap to the next, so the order of stages is never broken.
    """
    stages, code = np.unique(time, return_inverse=True)
    centred = embedding - embedding.mean(0)
    ridge = 1e-3 * np.trace(centred.T @ centred) / centred.shape[1] + 1e-12
    slope = np.linalg.solve(
        centred.T @ centred + ridge * np.eye(centred.shape[1]), centred.T @ (time - time.mean())
    )
    rank = np.empty(len(time))
    for stage in range(len(stages)):
        here = np.flatnonzero(code == stage)
        rank[here[np.argsort(centred[here] @ slope, kind="stable")]] = np.arange(len(here)) / len(
            here
        )
    within: NDArray[np.float64] = code + rank
    return within


def has_cycle(source: NDArray[np.integer], target: NDArray[np.integer], n: int) -> bool:
    """Whether following edges can lead back to a cell."""
    graph = sparse.csr_matrix((np.ones(len(source), dtype=np.int8), (source, target)), shape=(n, n))
    return bool(
        connected_components(graph, directed=True, connection="strong", return_labels=False) < n
    )


def row_normalise(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    """Each row divided by its sum; empty rows stay empty."""
    matrix = sparse.csr_matrix(matrix, dtype=np.float32, copy=True)
    total = np.asarray(matrix.sum(axis=1)).ravel()
    inverse = np.divide(1.0, total, out=np.zeros_like(total), where=total > 0)
    matrix.data *= np.repeat(inverse.astype(np.float32), np.diff(matrix.indptr))
    matrix.sort_indices()
    return matrix


def backward(transitions: sparse.csr_matrix) -> sparse.csr_matrix:
    """Where a cell came from: ``B[j, i] = P[i, j] / Σ_i' P[i', j]`` without the diagonal. Rows of first cells are empty."""
    off = sparse.coo_matrix(transitions)
    keep = off.row != off.col
    return row_normalise(
        sparse.csr_matrix((off.data[keep], (off.col[keep], off.row[keep])), shape=off.shape)
    )


Edges = tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]


def _later_pairs(
    embedding: NDArray[np.floating],
    order: NDArray[np.floating],
    cells: NDArray[np.intp],
    k: int,
    search_factor: int,
) -> Edges:
    """Earlier cell, later cell, distance: each of ``cells`` with its nearest later ones and its nearest earlier ones."""
    if len(cells) < 2:
        return np.empty(0, np.intp), np.empty(0, np.intp), np.empty(0)
    candidates = _candidates(order, cells)
    # a cell is its own nearest candidate, and neither later nor earlier than itself
    n_search = min(len(candidates) - 1, k * search_factor) + 1
    search = NearestNeighbors(n_neighbors=n_search).fit(embedding[candidates])
    parts = []
    for start in range(0, len(cells), CHUNK):
        here = cells[start : start + CHUNK]
        distance, index = search.kneighbors(embedding[here])
        other = candidates[index]
        for forward in (True, False):
            chosen = (
                order[other] > order[here, None] if forward else order[other] < order[here, None]
            )
            me, slot = np.nonzero(chosen & (np.cumsum(chosen, axis=1, dtype=np.int16) <= k))
            ends = (here[me], other[me, slot])
            parts.append((*(ends if forward else ends[::-1]), distance[me, slot]))
    source, target, length = (np.concatenate(column) for column in zip(*parts, strict=True))
    return source, target, length


def _candidates(order: NDArray[np.floating], cells: NDArray[np.intp]) -> NDArray[np.intp]:
    """The cells themselves or, of many, :data:`MOST_CANDIDATES` evenly spaced along their order."""
    if len(cells) <= MOST_CANDIDATES:
        return cells
    ranked = cells[np.argsort(order[cells], kind="stable")]
    return np.sort(ranked[np.linspace(0, len(cells) - 1, MOST_CANDIDATES).astype(np.intp)])


def _lost_pasts(
    embedding: NDArray[np.floating], order: NDArray[np.floating], found: Edges, k: int
) -> Edges:
    """Nearest earlier cells of the cells that have none yet."""
    orphans = np.setdiff1d(np.flatnonzero(order > order.min()), found[1])
    source, target, distance = [], [], []
    candidates = _candidates(order, np.arange(len(order)))
    for cell in orphans:
        earlier = candidates[order[candidates] < order[cell]]
        away = np.linalg.norm(embedding[earlier] - embedding[cell], axis=1)
        nearest = np.argsort(away, kind="stable")[:k]
        source.append(earlier[nearest])
        target.append(np.full(len(nearest), cell))
        distance.append(away[nearest])
    if not len(orphans):
        return np.empty(0, np.intp), np.empty(0, np.intp), np.empty(0)
    return np.concatenate(source), np.concatenate(target), np.concatenate(distance)


def _between(
    embedding: NDArray[np.floating], before: NDArray[np.intp], after: NDArray[np.intp], k: int
) -> list[Edges]:
    """Nearest cells across two stages, searched from either side."""
    edges: list[Edges] = []
    for frm, to, forward in ((before, after, True), (after, before, False)):
        among = _candidates(np.arange(len(embedding), dtype=float), to)
        search = NearestNeighbors(n_neighbors=min(k, len(among))).fit(embedding[among])
        for start in range(0, len(frm), CHUNK):
            here = frm[start : start + CHUNK]
            distance, index = search.kneighbors(embedding[here])
            me, other = np.repeat(here, index.shape[1]), among[index.ravel()]
            edges.append(
                (me, other, distance.ravel()) if forward else (other, me, distance.ravel())
            )
    return edges


def _unique_edges(pairs: list[Edges], n: int) -> Edges:
    source = np.concatenate([p[0] for p in pairs])
    target = np.concatenate([p[1] for p in pairs])
    distance = np.concatenate([p[2] for p in pairs])
    _, first = np.unique(source.astype(np.int64) * n + target, return_index=True)
    return source[first], target[first], distance[first]


def _local_scale(
    source: NDArray[np.intp], target: NDArray[np.intp], distance: NDArray[np.float64], n: int
) -> NDArray[np.float64]:
    """Mean distance of the edges at each cell; the global median where a cell has none."""
    total = np.bincount(source, distance, n) + np.bincount(target, distance, n)
    count = np.bincount(source, minlength=n) + np.bincount(target, minlength=n)
    fallback = float(np.median(distance)) if len(distance) else 1.0
    scale = np.divide(total, count, out=np.full(n, fallback), where=count > 0)
    positive: NDArray[np.float64] = np.maximum(scale, 1e-9)
    return positive
