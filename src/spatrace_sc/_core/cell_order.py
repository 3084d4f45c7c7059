"""Orders of cells in time: continuous time, stages, and orders that agree with given edges."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.stats import rankdata

#: Largest number of distinct times that are read as a series of stages instead of a continuum.
MAX_STAGES = 30


def is_discrete(time: NDArray[np.floating]) -> bool:
    """Whether ``time`` is a series of stages (few values, each shared by many cells)."""
    n_values = len(np.unique(time))
    return n_values <= MAX_STAGES and n_values * 5 <= len(time)


def order_of_cells(
    embedding: NDArray[np.floating], time: NDArray[np.floating]
) -> NDArray[np.floating]:
    """Time itself or, where it is a series of stages, :func:`order_within_stages`."""
    return order_within_stages(embedding, time) if is_discrete(time) else time


def order_within_stages(
    embedding: NDArray[np.floating], time: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Continuous time from stages and an embedding.

    Within a stage, cells are ranked by the time that a ridge regression of the stage on the
    embedding predicts. They are spread over less than the gap to the next stage, so the order of
    stages is never broken.
    """
    stages, code = np.unique(time, return_inverse=True)
    centred = embedding - embedding.mean(0)
    gram = centred.T @ centred
    ridge = 1e-3 * np.trace(gram) / centred.shape[1] + 1e-12
    slope = np.linalg.solve(
        gram + ridge * np.eye(centred.shape[1]), centred.T @ (time - time.mean())
    )
    within = np.empty(len(time))
    for stage in range(len(stages)):
        cells = np.flatnonzero(code == stage)
        within[cells] = (rankdata(centred[cells] @ slope, method="ordinal") - 1) / len(cells)
    order: NDArray[np.float64] = code + within
    return order


def linear_extension(
    source: NDArray[np.integer], target: NDArray[np.integer], time: NDArray[np.floating]
) -> NDArray[np.float64]:
    """(cells,) an order in which the source of every edge comes before its target.

    Cells of different times are in the order of time. scipy returns strong components in
    topological order, forwards or backwards; the result is checked.

    Raises
    ------
    ValueError
        Edges go backwards in time or form a cycle.
    """
    label = _strong_components(source, target, len(time))[1]
    for sign in (1, -1):
        rank = np.empty(len(time))
        rank[np.lexsort((sign * label, time))] = np.arange(len(time))
        if (rank[source] < rank[target]).all():
            return rank
    raise ValueError("edges go backwards in time or form a cycle")


def has_cycle(source: NDArray[np.integer], target: NDArray[np.integer], n: int) -> bool:
    """Whether following edges can lead back to a cell."""
    return _strong_components(source, target, n)[0] < n


def _strong_components(
    source: NDArray[np.integer], target: NDArray[np.integer], n: int
) -> tuple[int, NDArray[np.integer]]:
    """Number of strong components of the directed graph, and the component of each cell."""
    graph = sparse.csr_matrix((np.ones(len(source), dtype=np.int8), (source, target)), shape=(n, n))
    number, label = connected_components(graph, directed=True, connection="strong")
    return int(number), label
