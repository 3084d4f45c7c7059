"""Counts of a simulated tissue, and of the same tissue after a knockout."""

from __future__ import annotations

import numpy as np
from scipy import sparse


def draw_counts(
    rng: np.random.Generator,
    level: np.ndarray,
    *,
    depth: float,
    dispersion: float,
    dropout: float,
    changed: np.ndarray | None = None,
    extra: np.random.Generator | None = None,
) -> sparse.csr_matrix:
    """Negative-binomial counts, then entries lost at random.

    The mean is ``depth_i * level[i, g] / sum over g of level[i, g]`` and the variance
    ``mean + mean² / dispersion``.

    With ``changed`` levels, the result has the counts of these. They are coupled to those of
    ``level`` (:func:`coupled_counts` with ``extra``): a gene whose level is the same has the same
    counts, and a molecule is detected with the probability it has in the intact cell.
    """
    per_cell = depth * np.exp(0.35 * rng.normal(size=(len(level), 1)))
    mean = per_cell * level / level.sum(1, keepdims=True)
    rate = rng.gamma(dispersion, mean / dispersion)
    counts = rng.poisson(rate)
    if changed is not None and extra is not None:
        share = np.divide(changed, level, out=np.ones_like(level), where=level > 0)
        counts = coupled_counts(extra, counts, rate, rate * share)
    if dropout > 0:
        counts = counts * (rng.random(counts.shape) >= dropout)
    return sparse.csr_matrix(counts.astype(np.float32))


def coupled_counts(
    rng: np.random.Generator, counts: np.ndarray, rate: np.ndarray, changed: np.ndarray
) -> np.ndarray:
    """Poisson counts at the rates ``changed``, as close as possible to ``counts`` at ``rate``.

    Where the rate falls, every molecule is kept with probability ``changed / rate``. Where it
    rises, a Poisson number is added. Where it stays, the count stays.
    """
    share = np.divide(changed, rate, out=np.ones_like(rate), where=rate > 0)
    kept = rng.binomial(counts, np.minimum(share, 1.0))
    coupled: np.ndarray = kept + rng.poisson(np.maximum(changed - rate, 0.0))
    return coupled
