"""Standard errors of values of few cells, and values drawn towards what more cells say."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Added to a number of molecules for its variance, so that no molecule is not taken for certainty (Anscombe).
PSEUDO = 0.375


def shrink(
    values: NDArray[np.floating],
    se: NDArray[np.floating],
    centre: NDArray[np.floating] | float,
    axis: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    r"""Values drawn towards a centre by how uncertain they are, and the standard error that is left.

    .. math::
        \hat v = c + \frac{\tau^2}{\tau^2 + se^2} (v - c), \quad \hat{se}^2 = \frac{\tau^2 se^2}{\tau^2 + se^2}, \quad \tau^2 = \max\big(0, \overline{(v - c)^2 - se^2}\big)

    the mean over ``axis``, along which values are taken to be alike (empirical Bayes).
    """
    away = values - centre
    if not away.size:
        return np.asarray(values, dtype=float), np.asarray(se, dtype=float)
    spread = np.maximum((away**2 - se**2).mean(axis=axis, keepdims=True), 0.0)
    total = spread + se**2
    kept = np.divide(spread, total, out=np.ones_like(total), where=total > 0)
    return centre + kept * away, np.sqrt(kept) * se


def stage_factors(
    levels: NDArray[np.floating],
    stage: NDArray[np.integer],
    block: NDArray[np.integer],
    n_stages: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(stages, A) mean level in a stage relative to the mean over all receivers, and its standard error.

    The error is that of a mean over spatial blocks, weighted by their cells; where a stage has one block, of a mean over its cells. A regulator that is silent everywhere has factor 1 and error 0.
    Draw the factors of all regulators towards 1 together: ``shrink(factor, se, 1.0, axis=1)``.
    """
    overall = levels.mean(axis=0)
    factor = np.ones((n_stages, levels.shape[1]))
    se = np.zeros_like(factor)
    for s in range(n_stages):
        here = np.flatnonzero(stage == s)
        unit = np.unique(block[here], return_inverse=True)[1]
        if unit.max(initial=0) == 0:
            unit = np.arange(len(here))
        mean = levels[here].mean(axis=0)
        n = int(unit.max()) + 1
        total = np.zeros((n, levels.shape[1]))
        np.add.at(total, unit, levels[here] - mean)
        error = np.sqrt((total**2).sum(axis=0) * n / max(n - 1, 1)) / len(here)
        factor[s] = np.divide(mean, overall, out=np.ones_like(factor[s]), where=overall > 0)
        se[s] = np.divide(error, overall, out=np.zeros_like(se[s]), where=overall > 0)
    return factor, se


def counted_sd(level: NDArray[np.floating], unit: NDArray[np.floating]) -> NDArray[np.float64]:
    """Standard deviation of counting of linear levels (cells, genes) whose molecules are worth ``unit`` (cells,): ``unit · sqrt(molecules + 3/8)``."""
    sd: NDArray[np.float64] = np.sqrt(unit[:, None] * level + PSEUDO * unit[:, None] ** 2)
    return sd


def shrunk_by_group(
    values: NDArray[np.floating], se: NDArray[np.floating], group: NDArray[np.integer]
) -> NDArray[np.float32]:
    """(cells, A) values drawn towards the mean of their group of cells, each column by itself (:func:`shrink`)."""
    out = np.empty_like(values, dtype=np.float32)
    for g in np.unique(group):
        here = group == g
        out[here] = shrink(
            values[here], se[here], values[here].mean(axis=0, keepdims=True), axis=0
        )[0]
    return out
