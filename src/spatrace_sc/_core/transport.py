"""Entropic optimal transport between two groups of cells, on a sparse support."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.neighbors import NearestNeighbors

#: Steps between two absorptions of the scalings into the potentials.
STEPS_PER_ABSORPTION = 10
#: Largest relative change of a row's scaling in a step, at which the steps stop.
TOLERANCE = 1e-3


@dataclass(frozen=True)
class Plan:
    """A coupling of *n* earlier and *m* later cells.

    ``mass`` (n, m) CSR, sums to 1; ``source_error`` half the summed difference between the row sums and 1 / n, the share of mass that leaves from other cells than it should;
    ``change`` the last relative change of a row's scaling, NaN where numbers left the range that can be computed; ``steps`` taken.
    """

    mass: sparse.csr_matrix
    source_error: float
    change: float
    steps: int


def unit_mean(earlier: NDArray[np.floating], later: NDArray[np.floating]) -> float:
    """Square root of the mean squared distance between the two groups, in closed form; 1 where all cells coincide."""
    mean = (
        np.square(earlier.mean(axis=0) - later.mean(axis=0)).sum()
        + earlier.var(axis=0).sum()
        + later.var(axis=0).sum()
    )
    return float(np.sqrt(mean)) if mean > 0 else 1.0


def nearest_support(
    earlier: NDArray[np.floating], later: NDArray[np.floating], k: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Row, column and squared distance of each cell with its ``k`` nearest of the other group, seen from either side; by row, then column.

    Everything if ``k`` reaches both group sizes. Memory grows with k (n + m), never with n × m.
    """
    n, m = len(earlier), len(later)
    if k >= max(n, m):
        row, col = np.repeat(np.arange(n), m), np.tile(np.arange(m), n)
    else:
        to = (
            NearestNeighbors(n_neighbors=min(k, m))
            .fit(later)
            .kneighbors(earlier, return_distance=False)
        )
        fro = (
            NearestNeighbors(n_neighbors=min(k, n))
            .fit(earlier)
            .kneighbors(later, return_distance=False)
        )
        code = np.unique(
            np.concatenate(
                [
                    np.repeat(np.arange(n), to.shape[1]) * m + to.ravel(),
                    fro.ravel() * m + np.repeat(np.arange(m), fro.shape[1]),
                ]
            )
        )
        row, col = np.divmod(code, m)
    squared = np.zeros(len(row))
    for dim in range(
        earlier.shape[1]
    ):  # one dimension at a time: (entries,) in memory instead of (entries, dims)
        squared += np.square(earlier[row, dim] - later[col, dim])
    return row, col, squared


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
    r"""The coupling *T* on the given entries that minimises transport cost with entropy.

    .. math::
        \min_T \sum_{ij} T_{ij} C_{ij} + \varepsilon \sum_{ij} T_{ij} (\log T_{ij} - 1) + \frac{\varepsilon \tau}{1 - \tau} \mathrm{KL}\left(T 1 \,\middle\|\, \tfrac1n\right)
        \quad \text{with } T^\top 1 = \tfrac1m

    Every later cell gets the mass 1/m. With ``tau`` = 1 every earlier cell gives 1/n; below 1 an earlier cell may give more or less, as where it divides or dies. Scalings are
    taken up into the potentials every few steps, so small ``epsilon`` does no harm.

    Parameters
    ----------
    row, col, cost
        (entries,) each pair at most once, sorted by row, then column. Every row and every column must have an entry.
    shape
        Earlier and later cells.
    epsilon
        In the units of ``cost``.
    tau
        Above 0, at most 1.
    tolerance
        Largest relative change of a row's scaling in a step, at which the steps stop.
    max_steps
        Steps at most. On a support on which no balanced coupling exists the scalings never settle; ``source_error`` says what is left.
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
            with np.errstate(all="ignore"):  # told by `change`
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
    given = np.asarray(kernel.sum(axis=1)).ravel()
    return Plan(kernel, float(0.5 * np.abs(given - 1.0 / n).sum()), change, steps)


def strongest(matrix: sparse.csr_matrix, k: int) -> tuple[sparse.csr_matrix, float]:
    """The ``k`` largest entries of every row and of every column, and the share of the mass that they hold."""
    entries = matrix.tocoo()
    kept = np.zeros(entries.nnz, dtype=bool)
    for group, other in ((entries.row, entries.col), (entries.col, entries.row)):
        order = np.lexsort((other, -entries.data, group))
        sizes = np.bincount(group)
        rank = np.arange(entries.nnz) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        kept[order[rank < k]] = True
    kept &= entries.data > 0
    chosen = sparse.csr_matrix(
        (entries.data[kept], (entries.row[kept], entries.col[kept])), shape=matrix.shape
    )
    return chosen, float(chosen.sum() / max(matrix.sum(), 1e-300))


def couple(
    earlier: NDArray[np.floating],
    later: NDArray[np.floating],
    *,
    epsilon: float,
    tau: float,
    n_candidates: int,
    n_kept: int,
) -> tuple[sparse.csr_matrix, dict[str, float]]:
    """Strongest entries of the coupling of two groups, cost = squared Euclidean distance with mean 1 over all pairs, and what was left out.

    Returns
    -------
    (n, m) CSR, and ``kept_mass``, ``source_error``, ``change``, ``steps``.
    """
    row, col, squared = nearest_support(earlier, later, n_candidates)
    shape = (len(earlier), len(later))
    plan = sinkhorn(
        row, col, squared / unit_mean(earlier, later) ** 2, shape, epsilon=epsilon, tau=tau
    )
    chosen, kept = strongest(plan.mass, n_kept)
    return chosen, {
        "kept_mass": kept,
        "source_error": plan.source_error,
        "change": plan.change,
        "steps": float(plan.steps),
    }
