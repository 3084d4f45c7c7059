"""Count noise: the share of a gene's variance that is counting, and levels without that noise."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.stats import poisson

from .overdispersion import log_variance

#: Entries of a cell are counts if each lies this close to a whole number of molecules.
MAX_DISTANCE_TO_COUNT = 0.05
#: Largest number of molecules that the smallest value of a cell may stand for.
MAX_SMALLEST_COUNT = 3
#: Values of a block of cells, zeros included, in memory at a time.
BLOCK_VALUES = 20_000_000
#: Smallest share of cells that must hold counts for the data to be taken for counts.
MIN_COUNT_CELLS = 0.8
#: Largest number of cells over which the variance of counting is averaged, for Poisson and for
#: negative-binomial counts.
MAX_CELLS_SAMPLED, MAX_CELLS_OVERDISPERSED = 2000, 500
#: Logarithms are cut here, far above any normalised count, so that raw counts do not overflow.
MAX_LOG = 80.0
#: Largest mean, in molecules, at which the Poisson variance is summed; above, the delta method.
MAX_SUMMED_MEAN = 40.0
#: Number of molecules at which that sum ends.
MAX_SUMMED_COUNT = 100
#: Largest share of a gene's variance that is taken for noise.
MAX_NOISE_SHARE = 0.95
#: Added to the diagonal of standardised covariances.
RIDGE = 0.01

Matrix: TypeAlias = sparse.csr_matrix | NDArray[np.floating]


def molecule(matrix: Matrix) -> NDArray[np.float64] | None:
    """Linear value of one molecule in each cell of log1p-normalised counts.

    After ``log1p(counts * s_i)``, for any s, ``expm1`` of every entry of cell i is a multiple of
    its s_i. The smallest entry stands for one molecule, or for two or three where few genes are
    given. Cells without a molecule get the median.

    Returns
    -------
    (cells,), or None where the values are not multiples of a unit.
    """
    step = max(1, BLOCK_VALUES // max(1, matrix.shape[1]))
    return molecule_of_blocks(matrix[k : k + step] for k in range(0, matrix.shape[0], step))


def molecule_of_blocks(blocks: Iterable[Matrix]) -> NDArray[np.float64] | None:
    """:func:`molecule` of a matrix that comes in blocks of cells."""
    units, uneven = [], []
    for block in blocks:
        result = units_of_cells(block)
        if result is None:
            return None
        units.append(result[0])
        uneven.append(result[1])
    unit = np.concatenate(units) if units else np.empty(0)
    filled = np.isfinite(unit)
    if not filled.any() or np.concatenate(uneven)[filled].mean() > 1.0 - MIN_COUNT_CELLS:
        return None
    return np.where(filled, unit, np.nanmedian(unit))


def units_of_cells(block: Matrix) -> tuple[NDArray[np.float64], NDArray[np.bool_]] | None:
    """Value of one molecule in every cell, and the cells with an entry that is no multiple of it.

    The value is NaN in cells without a molecule. None where an entry cannot be a count.
    """
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
    uneven = _uneven(values, unit, cell)
    # try whether the smallest entry stands for two molecules, then for three
    for count in range(2, MAX_SMALLEST_COUNT + 1):
        tried = np.where(uneven, smallest / count, unit)
        still_uneven = _uneven(values, tried, cell)
        unit = np.where(uneven & ~still_uneven, tried, unit)
        uneven &= still_uneven
    return unit, uneven


def _uneven(
    values: NDArray[np.floating], unit: NDArray[np.floating], cell: NDArray[np.integer]
) -> NDArray[np.bool_]:
    """Cells with an entry that is no multiple of the unit."""
    molecules = values / unit[cell]
    off = np.abs(molecules - np.rint(molecules)) > MAX_DISTANCE_TO_COUNT
    return np.bincount(cell, off, minlength=len(unit)) > 0


def counting_variance(
    mean: NDArray[np.floating],
    unit: NDArray[np.floating],
    usable: NDArray[np.bool_] | None = None,
    *,
    overdispersion: float = 0.0,
) -> NDArray[np.float64]:
    """(genes,) variance of ``log1p(unit * count)``, averaged over cells.

    Counts are Poisson, or negative-binomial with an ``overdispersion``. At most 2 000 evenly
    spaced cells are used (500 with an overdispersion).

    Parameters
    ----------
    mean
        (cells, genes) expected molecules.
    unit
        (cells,) linear value of one molecule.
    usable
        (cells,) mask of the cells to average over; None: all.
    overdispersion
        φ in variance = mean + φ mean².
    """
    cells = np.flatnonzero(usable) if usable is not None else np.arange(len(unit))
    n_sampled = MAX_CELLS_OVERDISPERSED if overdispersion > 0 else MAX_CELLS_SAMPLED
    cells = cells[np.unique(np.linspace(0, len(cells) - 1, n_sampled).astype(int))]
    if overdispersion > 0:
        return _overdispersed_variance(mean[cells], unit[cells], overdispersion)
    count = np.arange(MAX_SUMMED_COUNT + 1)
    level = np.log1p(unit[cells, None] * count)
    total = np.zeros(mean.shape[1])
    for gene in range(mean.shape[1]):
        mu = mean[cells, gene]
        weight = poisson.pmf(count, np.minimum(mu, MAX_SUMMED_MEAN)[:, None])
        first, second = (weight * level).sum(1), (weight * level**2).sum(1)
        dose = unit[cells] * mu
        delta = (dose / (1.0 + dose)) ** 2 / np.maximum(mu, 1.0)
        total[gene] = np.where(mu > MAX_SUMMED_MEAN, delta, second - first**2).mean()
    return total


def _overdispersed_variance(
    mean: NDArray[np.floating], unit: NDArray[np.floating], overdispersion: float
) -> NDArray[np.float64]:
    """(genes,) mean variance of log1p of negative-binomial counts; by the delta method if large."""
    summed = log_variance(np.minimum(mean, MAX_SUMMED_MEAN), unit, overdispersion)
    dose = unit[:, None] * mean
    delta = (dose / (1.0 + dose)) ** 2 * (1.0 / np.maximum(mean, 1.0) + overdispersion)
    return np.asarray(np.where(mean > MAX_SUMMED_MEAN, delta, summed).mean(axis=0))


def counting_variance_of_measured(
    mean: NDArray[np.floating],
    unit: NDArray[np.floating],
    missing: NDArray[np.bool_] | None,
    *,
    overdispersion: float = 0.0,
) -> NDArray[np.float64]:
    """:func:`counting_variance`, with 0 for values that are ``missing`` (cells, genes)."""
    if missing is None or not missing.any():
        return counting_variance(mean, unit, overdispersion=overdispersion)
    variance = np.zeros(mean.shape[1])
    patterns, group = np.unique(~missing, axis=1, return_inverse=True)
    for k, measured in enumerate(patterns.T):
        genes = np.flatnonzero(group.ravel() == k)
        if measured.any():
            of_measured = counting_variance(
                mean[:, genes], unit, measured, overdispersion=overdispersion
            )
            variance[genes] = measured.mean() * of_measured
    return variance


class Filter(NamedTuple):
    """Linear filter of readings: ``(x - mean) / sd @ gain``."""

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
    """Best linear estimate of noise-free ``signals`` from readings.

    With standardised readings z of covariance G and noise variances D (diagonal), the estimate is::

        S[signals, :] (S + D)^-1 z

    S = G - D, its negative eigenvalues set to 0, is the covariance of the readings without their
    noise. Errors of different readings are taken as independent.

    Parameters
    ----------
    readings
        (cells, readings), on which the filter is fitted.
    noise
        (readings,) error variance of each, in its units squared. At most 95 % of its variance is
        taken for noise.
    signals
        (cells, signals) as measured, with their errors.
    own
        (signals,) the reading that shares its error with a signal; -1 where none does.

    Returns
    -------
    Filter to (cells, signals) in standard deviations of the signals as measured, centred.
    """
    mean, sd = readings.mean(0), readings.std(0)
    sd = np.where(sd > 1e-6, sd, np.inf)
    z = (readings - mean) / sd
    share = np.minimum(noise / sd**2, MAX_NOISE_SHARE)
    covariance = z.T @ z / len(z)
    values, vectors = np.linalg.eigh(covariance - np.diag(share))
    clean = (vectors * np.maximum(values, 0.0)) @ vectors.T
    # covariance of readings with signals; without the shared error where a signal is a reading
    spread = signals.std(0)
    onto = z.T @ ((signals - signals.mean(0)) / np.where(spread > 1e-6, spread, np.inf)) / len(z)
    shared = np.flatnonzero(own >= 0)
    onto[:, shared] = clean[:, own[shared]]
    gain = np.linalg.solve(clean + np.diag(share + RIDGE), onto)
    return Filter(mean, sd, gain)
