"""Edges from cells to similar later cells: nearest neighbours searched under an order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

#: Largest number of cells among which neighbours are searched. Of more cells, this many, evenly
#: spaced along their order, are the candidates of all: exact search costs cells × candidates.
MAX_CANDIDATES = 20_000
#: Cells whose neighbours are searched at a time.
CHUNK = 20_000

#: Earlier cell, later cell and distance of every edge.
Edges = tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]


def edges_along_order(
    embedding: NDArray[np.floating],
    order: NDArray[np.floating],
    cells: NDArray[np.intp],
    k: int,
    search_factor: int,
) -> Edges:
    """Edges between each of ``cells`` and its ``k`` nearest later and ``k`` nearest earlier cells.

    They are chosen from the ``k * search_factor`` nearest neighbours of a cell.
    """
    if len(cells) < 2:
        return _no_edges()
    candidates = _candidates(order, cells)
    # a cell is its own nearest candidate, and neither later nor earlier than itself
    n_search = min(len(candidates) - 1, k * search_factor) + 1
    search = NearestNeighbors(n_neighbors=n_search).fit(embedding[candidates])
    edges: list[Edges] = []
    for start in range(0, len(cells), CHUNK):
        queried = cells[start : start + CHUNK]
        distance, index = search.kneighbors(embedding[queried])
        other = candidates[index]
        later, earlier = order[other] > order[queried, None], order[other] < order[queried, None]
        for chosen, forward in ((later, True), (earlier, False)):
            row, slot = np.nonzero(chosen & (np.cumsum(chosen, axis=1, dtype=np.int16) <= k))
            one, two = queried[row], other[row, slot]
            length = distance[row, slot]
            edges.append((one, two, length) if forward else (two, one, length))
    return _concatenate(edges)


def edges_between_stages(
    embedding: NDArray[np.floating], before: NDArray[np.intp], after: NDArray[np.intp], k: int
) -> list[Edges]:
    """Edges to the ``k`` nearest cells of the other stage, searched from either side."""
    edges: list[Edges] = []
    for one, other, forward in ((before, after, True), (after, before, False)):
        candidates = _candidates(np.arange(len(embedding), dtype=float), other)
        n_search = min(k, len(candidates))
        search = NearestNeighbors(n_neighbors=n_search).fit(embedding[candidates])
        for start in range(0, len(one), CHUNK):
            queried = one[start : start + CHUNK]
            distance, index = search.kneighbors(embedding[queried])
            source, target = np.repeat(queried, index.shape[1]), candidates[index.ravel()]
            length = distance.ravel()
            edges.append((source, target, length) if forward else (target, source, length))
    return edges


def edges_of_orphans(
    embedding: NDArray[np.floating],
    order: NDArray[np.floating],
    target: NDArray[np.intp],
    k: int,
) -> Edges:
    """Edges from the nearest earlier cells to all cells that are no ``target`` yet.

    The first cells of the order are left out, as no cell is earlier.
    """
    orphan = order > order.min()
    orphan[target] = False
    candidates = _candidates(order, np.arange(len(order)))
    edges: list[Edges] = []
    for cell in np.flatnonzero(orphan):
        earlier = candidates[order[candidates] < order[cell]]
        distance = np.linalg.norm(embedding[earlier] - embedding[cell], axis=1)
        nearest = np.argsort(distance, kind="stable")[:k]
        edges.append((earlier[nearest], np.full(len(nearest), cell), distance[nearest]))
    return _concatenate(edges) if edges else _no_edges()


def unique_edges(edges: list[Edges], n: int) -> Edges:
    """Every edge once, by source, then target; ``n`` is the number of cells."""
    source, target, distance = _concatenate(edges)
    _, first = np.unique(source.astype(np.int64) * n + target, return_index=True)
    return source[first], target[first], distance[first]


def local_scale(edges: Edges, n: int) -> NDArray[np.float64]:
    """(n,) mean distance of the edges at each cell; the global median where a cell has none."""
    source, target, distance = edges
    total = np.bincount(source, distance, n) + np.bincount(target, distance, n)
    count = np.bincount(source, minlength=n) + np.bincount(target, minlength=n)
    median = float(np.median(distance)) if len(distance) else 1.0
    scale = np.divide(total, count, out=np.full(n, median), where=count > 0)
    positive: NDArray[np.float64] = np.maximum(scale, 1e-9)
    return positive


def _candidates(order: NDArray[np.floating], cells: NDArray[np.intp]) -> NDArray[np.intp]:
    """The cells, or :data:`MAX_CANDIDATES` of them, evenly spaced along their order."""
    if len(cells) <= MAX_CANDIDATES:
        return cells
    ranked = cells[np.argsort(order[cells], kind="stable")]
    return np.sort(ranked[np.linspace(0, len(cells) - 1, MAX_CANDIDATES).astype(np.intp)])


def _concatenate(edges: list[Edges]) -> Edges:
    source, target, distance = (np.concatenate(column) for column in zip(*edges, strict=True))
    return source, target, distance


def _no_edges() -> Edges:
    return np.empty(0, np.intp), np.empty(0, np.intp), np.empty(0)
