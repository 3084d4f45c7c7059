"""Overdispersion of counts: variance beyond Poisson that no gene of the data is free of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

#: Genes with fewer molecules per cell show no overdispersion.
MIN_MOLECULES = 0.3
#: Fewest genes with so many molecules, and the quantile of their overdispersions that is taken.
MIN_GENES, QUANTILE = 10, 0.1
#: Largest number of molecules of one cell that is summed over in the variance of a logarithm.
MAX_SUMMED_COUNT = 256
#: Cells are taken if the weights of their earlier cells sum to more than this.
MIN_TOTAL_WEIGHT = 0.5


def common_overdispersion(
    values: NDArray[np.floating], unit: NDArray[np.floating], state: sparse.csr_matrix
) -> float:
    """Overdispersion φ that all genes have at least, in variance = mean + φ mean².

    For the molecules c_ig of gene g, with m_ig their expectation from earlier cells of the same
    state and w_i the sum of the squared weights of these cells (the variance of the expectation
    relative to that of c_ig)::

        φ_g = sum_i [(c_ig - m_ig)² - (1 + w_i) m_ig] / sum_i (1 + w_i) (m_ig² - w_i m_ig)

    It contains what the state does not explain of the gene's biology, so it is an upper bound of
    the overdispersion of counting. The 10 % quantile over genes is taken as the overdispersion
    that all of them share.

    Parameters
    ----------
    values
        (cells, genes) linear expression, molecules times their value.
    unit
        (cells,) linear value of one molecule.
    state
        (cells, cells) weights of the earlier cells, summing to 1 where there are any.

    Returns
    -------
    φ, at least 0; 0 where fewer than ten genes have .3 molecules per cell in the mean.
    """
    cells = np.asarray(state.sum(1)).ravel() > MIN_TOTAL_WEIGHT
    weights = state[cells]
    w = np.asarray(weights.multiply(weights).sum(1))
    mean = (weights @ values) / unit[cells, None]
    counts = values[cells] / unit[cells, None]
    excess = ((counts - mean) ** 2 - (1.0 + w) * mean).sum(0)
    square = ((1.0 + w) * (mean**2 - w * mean)).sum(0)
    counted = (mean.mean(0) >= MIN_MOLECULES) & (square > 0)
    if counted.sum() < MIN_GENES:
        return 0.0
    return max(0.0, float(np.quantile(excess[counted] / square[counted], QUANTILE)))


def log_variance(
    mean: NDArray[np.floating], unit: NDArray[np.floating], overdispersion: float
) -> NDArray[np.float64]:
    """(cells, genes) variance of ``log1p(unit * c)`` for negative-binomial counts *c*.

    Parameters
    ----------
    mean
        (cells, genes) expected molecules.
    unit
        (cells,) linear value of one molecule.
    overdispersion
        φ > 0 in variance = mean + φ mean².
    """
    size = 1.0 / overdispersion
    ratio = mean / (size + mean)
    weight = (1.0 - ratio) ** size
    total, first, second = weight.copy(), np.zeros_like(weight), np.zeros_like(weight)
    for count in range(1, MAX_SUMMED_COUNT + 1):
        weight = weight * ratio * ((count - 1 + size) / count)
        level = np.log1p(unit * count)[:, None]
        total += weight
        first += weight * level
        second += weight * level**2
    # what lies beyond the last count is left out
    first, second = first / total, second / total
    return np.asarray(second - first**2, dtype=np.float64)
