"""Draws of the true level of a gene, given its counts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Limits of the variance of true levels around their expectation, relative to its square.
MIN_SPREAD, MAX_SPREAD = 0.01, 10.0


def draw_levels(
    counts: NDArray[np.floating],
    expected: NDArray[np.floating],
    rng: np.random.Generator,
    *,
    overdispersion: float = 0.0,
) -> NDArray[np.float64]:
    """Draw the true level of genes in cells from their posterior distribution.

    True levels follow a gamma distribution around the expectation of the cell, with one relative
    variance per gene, which is estimated by the method of moments; counts are Poisson. Of counts
    with an overdispersion φ, each molecule counts for 1 / (1 + φ m) molecules, which gives the
    gamma posterior the precision of negative-binomial counts. A draw, other than a mean, varies
    as much as the true level does, and its counts differ from it by counting noise alone.

    Parameters
    ----------
    counts
        (cells, genes) molecules.
    expected
        (cells, genes) expectation of the molecules, from other cells.
    rng
        Source of the draws.
    overdispersion
        φ in variance = mean + φ mean².

    Returns
    -------
    (cells, genes) levels, in molecules.
    """
    mean = np.maximum(np.asarray(expected, dtype=np.float64), 1e-6)
    square = (mean**2).mean(axis=0)
    excess = ((counts - mean) ** 2 - mean).mean(axis=0) - overdispersion * square
    spread = np.clip(excess / ((1.0 + overdispersion) * square), MIN_SPREAD, MAX_SPREAD)
    seen = 1.0 / (1.0 + overdispersion * mean)
    shape = 1.0 / spread + seen * counts
    rate = 1.0 / (spread * mean) + seen
    return np.asarray(rng.gamma(shape) / rate)
