"""Standard errors of values from few cells, and shrinkage of values towards a common centre."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Added to a number of molecules for its variance, so that 0 molecules are uncertain (Anscombe).
PSEUDOCOUNT = 0.375


def shrink(
    values: NDArray[np.floating],
    se: NDArray[np.floating],
    centre: NDArray[np.floating] | float,
    axis: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Values shrunk towards a centre according to their errors, and the remaining standard error.

    Empirical Bayes, for value v with error se and centre c::

        tau² = max(0, mean((v - c)² - se²)), the mean over ``axis``
        kept = tau² / (tau² + se²)
        shrunk = c + kept * (v - c), with standard error sqrt(kept) * se
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
    """Mean level in a stage relative to the mean over all receivers, and its standard error.

    The error is that of a mean over spatial blocks, weighted by their cells; where a stage has one
    block, of a mean over its cells. A regulator that is silent everywhere has factor 1 and error 0.
    Shrink the factors of all regulators together: ``shrink(factor, se, 1.0, axis=1)``.

    Parameters
    ----------
    levels
        (receivers, A) levels of the regulators.
    stage, block
        (receivers,) codes.
    n_stages
        Number of stages.

    Returns
    -------
    Two arrays (stages, A).
    """
    overall = levels.mean(axis=0)
    factor = np.ones((n_stages, levels.shape[1]))
    se = np.zeros_like(factor)
    for s in range(n_stages):
        cells = np.flatnonzero(stage == s)
        unit = np.unique(block[cells], return_inverse=True)[1]
        if unit.max(initial=0) == 0:
            unit = np.arange(len(cells))
        mean = levels[cells].mean(axis=0)
        n = int(unit.max()) + 1
        total = np.zeros((n, levels.shape[1]))
        np.add.at(total, unit, levels[cells] - mean)
        error = np.sqrt((total**2).sum(axis=0) * n / max(n - 1, 1)) / len(cells)
        factor[s] = np.divide(mean, overall, out=np.ones_like(factor[s]), where=overall > 0)
        se[s] = np.divide(error, overall, out=np.zeros_like(se[s]), where=overall > 0)
    return factor, se


def count_noise_sd(level: NDArray[np.floating], unit: NDArray[np.floating]) -> NDArray[np.float64]:
    """Standard deviation of the count noise of linear levels (cells, genes).

    ``unit`` (cells,) is the linear value of one molecule; the result is
    ``unit * sqrt(molecules + 3/8)``.
    """
    sd: NDArray[np.float64] = np.sqrt(unit[:, None] * level + PSEUDOCOUNT * unit[:, None] ** 2)
    return sd


def shrink_by_group(
    values: NDArray[np.floating], se: NDArray[np.floating], group: NDArray[np.integer]
) -> NDArray[np.float32]:
    """(cells, A) values shrunk towards the mean of their group of cells, column by column."""
    shrunk = np.empty_like(values, dtype=np.float32)
    for g in np.unique(group):
        cells = group == g
        centre = values[cells].mean(axis=0, keepdims=True)
        shrunk[cells] = shrink(values[cells], se[cells], centre, axis=0)[0]
    return shrunk
