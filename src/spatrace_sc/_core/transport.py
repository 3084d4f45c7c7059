"""Entropic optimal transport between two groups of cells, on a sparse support."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.neighbors import NearestNeighbors

#: Steps between two absorptions of the scalings into the potentials.
STEPS_PER_ABSORPTION = 10
#: The steps stop when no row's scaling changes by more than this share of itself.
TOLERANCE = 1e-3


@dataclass(frozen=True)
class Plan:
    """A coupling of n earlier and m later cells.

    - ``mass`` (n, m) CSR, sums to 1.
    - ``source_error``: share of mass that leaves from other cells than it should, half the
      absolute difference between the row sums and 1 / n, summed over rows.
    - ``change``: last relative change of a row's scaling; NaN after overflow or underflow.
    - ``steps``: number of steps.
    """

    mass: sparse.csr_matrix
    source_error: float
    change: float
    steps: int


def unit_mean(earlier: NDArray[np.floating], later: NDArray[np.floating]) -> float:
    """Root mean square distance between two groups, in closed form; 1 where all cells coincide."""
    mean = (
        np.square(earlier.mean(axis=0) - later.mean(axis=0)).sum()
        + earlier.var(axis=0).sum()
        + later.var(axis=0).sum()
    )
    return float(np.sqrt(mean)) if mean > 0 else 1.0


def nearest_support(
    earlier: NDArray[np.floating], later: NDArray[np.floating], k: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Row, column and squared distance of each cell with its ``k`` nearest of the other group.

    Neighbours are searched from either side; entries are sorted by row, then column. All pairs are
    entries if ``k`` reaches both group sizes. Memory grows with k (n + m), never with n × m.
    """
    n, m = len(earlier), len(later)
    if k >= max(n, m):
        row, col = np.divmod(np.arange(n * m), m)
    else:
        after, before = _nearest(earlier, later, min(k, m)), _nearest(later, earlier, min(k, n))
        code_after = np.repeat(np.arange(n), after.shape[1]) * m + after.ravel()
        code_before = before.ravel() * m + np.repeat(np.arange(m), before.shape[1])
        row, col = np.divmod(np.union1d(code_after, code_before), m)
    squared = np.zeros(len(row))
    # one dimension at a time: (entries,) in memory instead of (entries, dims)
    for dim in range(earlier.shape[1]):
        squared += np.square(earlier[row, dim] - later[col, dim])
    return row, col, squared


def _nearest(
    queried: NDArray[np.floating], searched: NDArray[np.floating], k: int
) -> NDArray[np.intp]:
    """(queried, k) indices of the nearest searched cells."""
    index: NDArray[np.intp] = (
        NearestNeighbors(n_neighbors=k).fit(searched).kneighbors(queried, return_distance=False)
    )
    return index


def sinkhorn(
    row: NDArray[np.intp],
    col: NDArray[np.intp],
    cost: NDArray[np.floating],
    shape: tuple[int, int],
    *,
    epsilon: float,
    tau: float = 1.0,
    tolerance: float = TOLERANCE,
    max_steps: int = 5000,
) -> Plan:
    """The coupling T on the given entries that minimises transport cost with entropy.

    It minimises, under the condition that every column of T sums to 1/m::

        sum T * C + epsilon * sum T * (log T - 1) + epsilon * tau / (1 - tau) * KL(T 1 || 1/n)

    Every later cell gets the mass 1/m. With ``tau`` = 1 every earlier cell gives 1/n; below 1 an
    earlier cell may give more or less, as where it divides or dies. Scalings are absorbed into the
    potentials every few steps, so a small ``epsilon`` does not overflow.

    Parameters
    ----------
    row, col, cost
        (entries,) each pair at most once, sorted by row, then column. Every row and every column
        must have an entry.
    shape
        Number of earlier and later cells.
    epsilon
        Weight of the entropy, in the units of ``cost``.
    tau
        Above 0, at most 1.
    tolerance
        Largest relative change of a row's scaling at which the steps stop.
    max_steps
        Largest number of steps. On a support without a balanced coupling the scalings never
        settle; ``source_error`` says how far the result is from balance.
    """
    n, m = shape
    start = np.append(0, np.cumsum(np.bincount(row, minlength=n)))
    f = np.minimum.reduceat(cost, start[:-1])
    g = np.full(m, np.inf)
    np.minimum.at(g, col, cost - f[row])  # now every row and every column has an entry of 1
    kernel = sparse.csr_matrix((np.empty(len(cost)), col.copy(), start), shape=shape)
    change, steps = np.inf, 0
    while steps < max_steps and change > tolerance:
        kernel.data = np.exp((f[row] + g[col] - cost) / epsilon)
        transposed = kernel.T.tocsr()
        drift = np.exp(-f * (1.0 - tau) / epsilon)
        u, v = np.ones(n), np.ones(m)
        for _ in range(STEPS_PER_ABSORPTION):
            before = u
            with np.errstate(all="ignore"):  # `change` reports it
                u = np.power(1.0 / n / (kernel @ v), tau) * drift
                v = 1.0 / m / (transposed @ u)
                change = float(np.max(np.abs(np.log(u) - np.log(before))))
            steps += 1
            if not np.isfinite(change):
                return Plan(kernel, np.nan, np.nan, steps)
            if change <= tolerance:
                break
        f, g = f + epsilon * np.log(u), g + epsilon * np.log(v)
    kernel.data = np.exp((f[row] + g[col] - cost) / epsilon)
    row_mass = np.asarray(kernel.sum(axis=1)).ravel()
    return Plan(kernel, float(0.5 * np.abs(row_mass - 1.0 / n).sum()), change, steps)


def strongest(matrix: sparse.csr_matrix, k: int) -> tuple[sparse.csr_matrix, float]:
    """The ``k`` largest entries of every row and of every column, and their share of the mass."""
    entries = matrix.tocoo()
    chosen = np.zeros(entries.nnz, dtype=bool)
    for group, other in ((entries.row, entries.col), (entries.col, entries.row)):
        order = np.lexsort((other, -entries.data, group))
        sizes = np.bincount(group)
        rank = np.arange(entries.nnz) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        chosen[order[rank < k]] = True
    chosen &= entries.data > 0
    sparser = sparse.csr_matrix(
        (entries.data[chosen], (entries.row[chosen], entries.col[chosen])), shape=matrix.shape
    )
    return sparser, float(sparser.sum() / max(matrix.sum(), 1e-300))


def couple(
    earlier: NDArray[np.floating],
    later: NDArray[np.floating],
    *,
    epsilon: float,
    tau: float,
    n_candidates: int,
    n_kept: int,
) -> tuple[sparse.csr_matrix, dict[str, float]]:
    """Strongest entries of the coupling of two groups, and how well it was solved.

    The cost is the squared Euclidean distance, scaled to mean 1 over all pairs.

    Returns
    -------
    (n, m) CSR; and ``kept_mass``, the share of the mass in the entries kept, with
    ``source_error``, ``change`` and ``steps`` of :class:`Plan`.
    """
    row, col, squared = nearest_support(earlier, later, n_candidates)
    shape = (len(earlier), len(later))
    plan = sinkhorn(
        row, col, squared / unit_mean(earlier, later) ** 2, shape, epsilon=epsilon, tau=tau
    )
    chosen, kept_mass = strongest(plan.mass, n_kept)
    return chosen, {
        "kept_mass": kept_mass,
        "source_error": plan.source_error,
        "change": plan.change,
        "steps": float(plan.steps),
    }
