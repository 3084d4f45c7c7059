"""What follows when regulators are removed: changes rolled forward along paths, and their spread over refits."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .paths import expected_history

#: Effects among TFs are scaled down until no chain of them grows by more than this factor from step to step.
MOST = 0.9
#: Squarings of the matrix for that: the root of a norm of its 256th power is no less than the largest eigenvalue and at most 3 % more.
SQUARINGS = 8


class Paths(NamedTuple):
    """Where cells come from, ``backward`` (cells, cells) as in :func:`spatrace_sc._core.paths.expected_history`, and the weight of every earlier step, ``attention`` (cells, lags) in temporal order, rows sum to 1 (0 without a past)."""

    backward: sparse.csr_matrix
    attention: NDArray[np.floating]


def damped(onto: NDArray[np.floating], most: float = MOST) -> NDArray[np.float64]:
    """Effects among TFs, (F, F) row → column, divided so that the largest eigenvalue of their sizes is at most ``most``: then no sequence of steps can blow up."""
    power, scale = np.abs(onto).astype(np.float64), 0.0
    for _ in range(SQUARINGS):
        largest = float(power.max(initial=0.0))
        if largest == 0.0:
            return np.asarray(onto, dtype=np.float64)
        power = (power / largest) @ (power / largest)
        scale = 2.0 * (scale + np.log(largest))
    norm = float(power.sum(axis=1).max())
    growth = float(np.exp((scale + np.log(norm)) / 2**SQUARINGS)) if norm > 0 else 0.0
    return np.asarray(onto, dtype=np.float64) * (most / growth if growth > most else 1.0)


def roll_forward(
    direct: NDArray[np.floating],
    onto: NDArray[np.floating],
    held: NDArray[np.bool_],
    paths: Paths,
    *,
    lowest: NDArray[np.floating],
    rounds: int,
) -> NDArray[np.float32]:
    r"""Change of every TF in every cell.

    .. math::
        \Delta_i^{(0)} = d_i, \quad \Delta_i^{(n+1)} = \max\Big(lowest_i,\; d_i + A^\top \sum_k \alpha_{ik} \sum_j P^k_{ij} \Delta_j^{(n)}\Big)

    with *d* what the removal does to the TF at once, *A* the effects of TFs in earlier cells on TFs, *P* the backward transitions and :math:`\alpha` the attention to *k* steps back. Each round is one more TF in the chain.

    Parameters
    ----------
    direct
        (cells, F) in standard deviations.
    onto
        (F, F) row acts on column; see :func:`damped`.
    held
        (F,) TFs whose change is ``direct`` and nothing else: those removed.
    lowest
        (cells, F) no level falls by more than it is.
    rounds
        Longest chain of TFs.

    Returns
    -------
    (cells, F) float32.
    """
    change = direct = np.asarray(direct, dtype=np.float32)
    if not np.any(onto):
        return change
    for _ in range(rounds):
        acting = np.flatnonzero(change.any(axis=0) & np.any(onto, axis=1))
        if not len(acting):
            break
        history, _ = expected_history(
            paths.backward, change[:, acting], n_lags=paths.attention.shape[1]
        )
        past = np.einsum("nk,nkf->nf", paths.attention, history[:, :-1])
        new = np.maximum(direct + past @ onto[acting], lowest).astype(np.float32)
        new[:, held] = direct[:, held]
        if np.array_equal(new, change):
            break
        change = new
    return change


def group_means(
    values: NDArray[np.floating], group: NDArray[np.integer], n_groups: int
) -> NDArray[np.float64]:
    """(1 + groups, columns) mean over all cells, then over those of every group; NaN for an empty one."""
    n = np.bincount(group, minlength=n_groups).astype(np.float64)
    which = sparse.csr_matrix(
        (np.ones(len(group)), (group, np.arange(len(group)))), shape=(n_groups, len(group))
    )
    total = which @ np.asarray(values, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        by_group = total / n[:, None]
    return np.vstack([total.sum(axis=0) / len(group), by_group])


def agreement(change: NDArray[np.floating], members: NDArray[np.floating]) -> NDArray[np.float64]:
    """Share of the members (B, ...) whose change has the sign of ``change`` (...); 0 where there is no change."""
    return np.where(change != 0, (np.sign(members) == np.sign(change)).mean(axis=0), 0.0)
