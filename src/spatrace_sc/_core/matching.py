"""Optimal one-to-one matching by distances."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

#: Nearest candidates of an item that are considered, if there are no more items than this.
N_NEAREST = 50
#: Standard deviations below this count as 0.
MIN_SD = 1e-9

Array = NDArray[np.float64]


def standardised_distances(items: Array, candidates: Array, reference: Array) -> Array:
    """Return (items, candidates) Euclidean distances in standard deviations of a reference.

    All three have a row per item and the same columns. A column that is constant in the reference
    is scaled by its standard deviation among the candidates, or not at all if it is constant
    there, too.
    """
    scale = np.ones(items.shape[1])
    for rows in (candidates, reference):
        sd = rows.std(axis=0) if len(rows) else np.zeros(len(scale))
        scale = np.where(sd > MIN_SD, sd, scale)
    return np.asarray(cdist(items / scale, candidates / scale), dtype=np.float64)


def match_one_to_one(
    distance: Array, last_resort: NDArray[np.bool_], n_nearest: int = N_NEAREST
) -> NDArray[np.intp]:
    """Return the candidate of every item such that the sum of the distances is least.

    No candidate is used twice, and as few candidates of last resort as possible are used.

    Parameters
    ----------
    distance
        (items, candidates); infinite where a candidate is not allowed. A matching of all items to
        allowed candidates must exist.
    last_resort
        (candidates,) mask.
    n_nearest
        Each item chooses from this many nearest candidates, or from as many as there are items if
        these are more. Farther ones cannot reduce the sum: one of these is always free.
    """
    n_items, n_candidates = distance.shape
    if not n_items:
        return np.empty(0, dtype=np.intp)
    allowed = np.isfinite(distance)
    # one step exceeds the sum of any matching
    step = 1.0 + n_items * float(distance[allowed].max(initial=0.0))
    cost = np.where(allowed, distance, (n_items + 1) * step) + step * last_resort
    n_near = min(n_candidates, max(n_nearest, n_items))
    near = np.argpartition(cost, n_near - 1, axis=1)[:, :n_near]
    columns = np.unique(near)
    chosen = linear_sum_assignment(cost[:, columns])[1]
    return np.asarray(columns[chosen], dtype=np.intp)
