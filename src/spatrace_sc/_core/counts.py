"""What of a gene's variance is counting, and levels with that noise filtered out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.stats import poisson

#: A cell is of counts when every entry lies this close to a whole number of molecules.
CLOSE = 0.05
#: The smallest value of a cell may stand for up to so many molecules.
MOST_IN_SMALLEST = 3
#: Values of a block of cells, zeros included, that are worked on at a time.
BLOCK = 20_000_000
#: Share of cells of counts below which the data are not taken for counts.
ENOUGH = 0.8
#: Cells looked at for the variance of counting.
CELLS = 2000
#: Logarithms are cut here, far above any normalised count, so that raw counts do not overflow.
MAX_LOG = 80.0
#: Above a mean of this many molecules the variance is that of the delta method; below it up to :data:`LARGEST` molecules are summed over.
LARGE, LARGEST = 40.0, 100
#: No gene is taken for more than this share of noise.
MOST_NOISE = 0.95
#: Added to the diagonal of standardised covariances.
RIDGE = 0.01


def molecule(matrix: sparse.csr_matrix | NDArray[np.floating]) -> NDArray[np.float64] | None:
    """Linear value of one molecule in each cell of log1p-normalised counts; None where the values are not multiples of one.

    After ``log1p(counts · s_i)``, whatever *s* is, ``expm1`` of every entry of a cell is a multiple of its :math:`s_i`. The smallest entry stands for one molecule,
    or for two or three in a shallow choice of genes. Cells without a molecule get the median.
    """
    step = max(1, BLOCK // max(1, matrix.shape[1]))
    return molecule_of_blocks(matrix[k : k + step] for k in range(0, matrix.shape[0], step))


def molecule_of_blocks(
    blocks: Iterable[sparse.csr_matrix | NDArray[np.floating]],
) -> NDArray[np.float64] | None:
    """:func:`molecule` of a matrix that comes in blocks of cells."""
    units, uneven = [], []
    for block in blocks:
        found = _units(block)
        if found is None:
            return None
        units.append(found[0])
        uneven.append(found[1])
    unit = np.concatenate(units) if units else np.empty(0)
    filled = np.isfinite(unit)
    if not filled.any() or np.concatenate(uneven)[filled].mean() > 1.0 - ENOUGH:
        return None
    return np.where(filled, unit, np.nanmedian(unit))


def _units(
    block: sparse.csr_matrix | NDArray[np.floating],
) -> tuple[NDArray[np.float64], NDArray[np.bool_]] | None:
    """Unit of every cell, NaN in cells without a molecule, and the cells with an entry that is no multiple of it; None where an entry cannot be that of a count."""
    rows = sparse.csr_matrix(block, dtype=np.float64, copy=True)
    rows.eliminate_zeros()
    values = np.expm1(np.minimum(rows.data, MAX_LOG))
    if not (values > 0).all() or not np.isfinite(values).all():
        return None
    filled = np.diff(rows.indptr) > 0
    unit = np.full(rows.shape[0], np.nan)
    if not filled.any():
        return unit, np.zeros(len(unit), dtype=bool)
    unit[filled] = np.minimum.reduceat(values, rows.indptr[:-1][filled])
    cell = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
    smallest = unit.copy()
    odd = _uneven(values, unit, cell)
    for part in range(2, MOST_IN_SMALLEST + 1):
        tried = np.where(odd, smallest / part, unit)
        still = _uneven(values, tried, cell)
        unit = np.where(odd & ~still, tried, unit)
        odd &= still
    return unit, odd


def _uneven(
    values: NDArray[np.floating], unit: NDArray[np.floating], cell: NDArray[np.integer]
) -> NDArray[np.bool_]:
    """Cells with an entry that is no multiple of the unit."""
    molecules = values / unit[cell]
    off = np.abs(molecules - np.rint(molecules)) > CLOSE
    return np.bincount(cell, off, minlength=len(unit)) > 0


def counting_variance(
    mean: NDArray[np.floating], unit: NDArray[np.floating], usable: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """Mean over cells of the variance of ``log1p(unit · Poisson(mean))``, (genes,); ``mean`` (cells, genes) molecules, ``unit`` (cells,).

    Of evenly spaced cells, 2 000 at most. Counts vary more than Poisson; what they vary more is left to the gene.
    """
    chosen = np.flatnonzero(usable) if usable is not None else np.arange(len(unit))
    chosen = chosen[np.unique(np.linspace(0, len(chosen) - 1, CELLS).astype(int))]
    number = np.arange(LARGEST + 1)
    level = np.log1p(unit[chosen, None] * number)
    total = np.zeros(mean.shape[1])
    for gene in range(mean.shape[1]):
        mu = mean[chosen, gene]
        weight = poisson.pmf(number, np.minimum(mu, LARGE)[:, None])
        first, second = (weight * level).sum(1), (weight * level**2).sum(1)
        dose = unit[chosen] * mu
        delta = (dose / (1.0 + dose)) ** 2 / np.maximum(mu, 1.0)
        total[gene] = np.where(mu > LARGE, delta, second - first**2).mean()
    return total


class Filter(NamedTuple):
    """Linear filter of readings: ``(x − mean) / sd @ gain``."""

    mean: NDArray[np.float64]
    sd: NDArray[np.float64]
    gain: NDArray[np.float64]

    def __call__(self, readings: NDArray[np.floating]) -> NDArray[np.float32]:
        return (((readings - self.mean) / self.sd) @ self.gain).astype(np.float32)


def wiener_filter(
    readings: NDArray[np.floating],
    noise: NDArray[np.floating],
    signals: NDArray[np.floating],
    own: NDArray[np.intp],
) -> Filter:
    r"""Best linear estimate of noise-free ``signals`` from readings.

    With standardised readings of covariance *G* and noise variances *D*: :math:`\hat x = S_{signals,\cdot}\,(S + D)^{-1} z`, where :math:`S = G - D` with its negative eigenvalues set to 0
    is what the readings would co-vary without their noise. Errors of different readings are taken as independent.

    Parameters
    ----------
    readings
        (cells, readings), on which the filter is fitted.
    noise
        (readings,) variance of the error of each, in its units squared; at most 95 % of its variance is taken for noise.
    signals
        (cells, signals) as measured, errors and all.
    own
        (signals,) the reading that shares its error with a signal; −1 where none does.

    Returns
    -------
    Filter to (cells, signals) in standard deviations of the signals as measured, centred.
    """
    mean, sd = readings.mean(0), readings.std(0)
    sd = np.where(sd > 1e-6, sd, np.inf)
    z = (readings - mean) / sd
    share = np.minimum(noise / sd**2, MOST_NOISE)
    covariance = z.T @ z / len(z)
    values, vectors = np.linalg.eigh(covariance - np.diag(share))
    clean = (vectors * np.maximum(values, 0.0)) @ vectors.T
    spread = signals.std(0)
    onto = z.T @ ((signals - signals.mean(0)) / np.where(spread > 1e-6, spread, np.inf)) / len(z)
    found = np.flatnonzero(own >= 0)
    onto[:, found] = clean[:, own[found]]
    gain = np.linalg.solve(clean + np.diag(share + RIDGE), onto)
    return Filter(mean, sd, gain)
