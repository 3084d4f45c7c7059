"""Effects of removing regulators: changes rolled forward along paths, and agreement of refits."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .paths import expected_history

#: Upper limit of the growth of a change per step, to which effects among TFs are scaled down.
MAX_GROWTH = 0.9
#: Number of squarings that bound the growth. The root of a norm of the 256th power of a matrix is
#: no less than its largest eigenvalue and at most 3 % more.
SQUARINGS = 8


class Paths(NamedTuple):
    """Where cells come from, and the weight of every earlier step.

    - ``backward`` (cells, cells): as in :func:`spatrace_sc._core.paths.expected_history`.
    - ``attention`` (cells, lags): in temporal order; rows sum to 1, or to 0 without a past.
    """

    backward: sparse.csr_matrix
    attention: NDArray[np.floating]


def limit_growth(onto: NDArray[np.floating], limit: float = MAX_GROWTH) -> NDArray[np.float64]:
    """Effects among TFs (F, F), row → column, scaled so that no sequence of steps diverges.

    The largest eigenvalue of their absolute values is at most ``limit``. It is bounded by squaring,
    which stays accurate for chains without a cycle, whose eigenvalues are ill-conditioned.
    """
    power, scale = np.abs(onto).astype(np.float64), 0.0
    for _ in range(SQUARINGS):
        largest = float(power.max(initial=0.0))
        if largest == 0.0:
            return np.asarray(onto, dtype=np.float64)
        power = (power / largest) @ (power / largest)
        scale = 2.0 * (scale + np.log(largest))
    norm = float(power.sum(axis=1).max())
    growth = float(np.exp((scale + np.log(norm)) / 2**SQUARINGS)) if norm > 0 else 0.0
    return np.asarray(onto, dtype=np.float64) * (limit / growth if growth > limit else 1.0)


def roll_forward(
    direct: NDArray[np.floating],
    onto: NDArray[np.floating],
    held: NDArray[np.bool_],
    paths: Paths,
    *,
    lowest: NDArray[np.floating],
    rounds: int,
) -> NDArray[np.float32]:
    """Change of every TF in every cell.

    Round n + 1 adds one more TF to the chain. The change D of cell i is::

        D[0][i]     = direct[i]
        D[n + 1][i] = max(lowest[i],
                          direct[i] + onto.T @ sum over k, j of a[i, k] * B_k[i, j] * D[n][j])

    with B_k the backward transitions over k steps and a the attention to k steps back.

    Parameters
    ----------
    direct
        (cells, F) immediate effect of the removal, in standard deviations.
    onto
        (F, F) effect of the row's TF in earlier cells on the column's TF; see
        :func:`limit_growth`.
    held
        (F,) TFs whose change is exactly ``direct``: those removed.
    paths
        Backward transitions and attention.
    lowest
        (cells, F) limit: no level falls by more than it is.
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
    """(1 + groups, columns) means over all cells, then over every group; NaN for an empty one."""
    n = np.bincount(group, minlength=n_groups).astype(np.float64)
    indicator = sparse.csr_matrix(
        (np.ones(len(group)), (group, np.arange(len(group)))), shape=(n_groups, len(group))
    )
    total = indicator @ np.asarray(values, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        by_group = total / n[:, None]
    return np.vstack([total.sum(axis=0) / len(group), by_group])


def agreement(change: NDArray[np.floating], members: NDArray[np.floating]) -> NDArray[np.float64]:
    """Share of the B refits ``members`` (B, ...) whose change has the sign of ``change`` (...).

    0 where there is no change.
    """
    return np.where(change != 0, (np.sign(members) == np.sign(change)).mean(axis=0), 0.0)
