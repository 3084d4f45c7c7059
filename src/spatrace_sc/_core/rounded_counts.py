"""Counts behind logarithms that were rounded: stored as float16, or with few decimals."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

#: Numbers of decimals that are recognised; with more, counts are recognised without help.
DECIMALS = (2, 3, 4)
#: Values with so many decimals lie this close to a whole number once the decimals are shifted.
MAX_DISTANCE_TO_DECIMAL = 0.01
#: Fewer distinct values do not show how they were rounded.
MIN_DISTINCT_VALUES = 20
#: Relative error of values that were computed in float32 before they were rounded.
SLACK = 1e-6
#: Number of times that the value of one molecule is narrowed by the entries of its cell.
N_ROUNDS = 6
#: An entry is evidence of counts if it is known to this many molecules.
MAX_UNCERTAINTY = 0.3
#: Largest number of molecules that the smallest value of a cell may stand for.
MAX_SMALLEST_COUNT = 3


class Rounding(NamedTuple):
    """How values were rounded: to float16 (``decimals`` is None) or to decimals."""

    decimals: int | None

    def half_step(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the largest error that rounding has left in each value."""
        if self.decimals is not None:
            return np.full(values.shape, 0.5 * 10.0**-self.decimals)
        return 0.5 * np.spacing(values.astype(np.float16)).astype(np.float64)

    def __str__(self) -> str:
        if self.decimals is None:
            return "the 11 binary digits of float16"
        return f"{self.decimals} decimals"


class RoundedCells(NamedTuple):
    """What the cells of a block show.

    ``unit`` (cells,): linear value of one molecule, NaN in cells without one. ``uneven`` (cells,):
    the cell has an entry that is no multiple of it within its rounding. ``telling`` (cells,): the
    cell has entries that could have been uneven.
    """

    unit: NDArray[np.float64]
    uneven: NDArray[np.bool_]
    telling: NDArray[np.bool_]


def rounding_of(values: NDArray[np.floating]) -> Rounding | None:
    """Return how values were rounded; None where they have more digits than float16."""
    distinct = np.unique(values[values > 0])
    if len(distinct) < MIN_DISTINCT_VALUES:
        return None
    if distinct[-1] <= np.finfo(np.float16).max and np.array_equal(
        distinct, distinct.astype(np.float16).astype(distinct.dtype)
    ):
        return Rounding(None)
    for decimals in DECIMALS:
        shifted = distinct.astype(np.float64) * 10.0**decimals
        if (np.abs(shifted - np.rint(shifted)) < MAX_DISTANCE_TO_DECIMAL).all():
            return Rounding(decimals)
    return None


def rounded_cells(rows: sparse.csr_matrix, factor: float, rounding: Rounding) -> RoundedCells:
    """Find one molecule in every cell such that all entries are multiples within their rounding.

    ``rows`` holds positive entries; times ``factor`` they are natural logarithms. Every entry
    confines the value of one molecule, as soon as its own number of molecules is known.
    """
    low, high = _linear_limits(rows.data, factor, rounding)
    filled = np.diff(rows.indptr) > 0
    result = RoundedCells(
        np.full(rows.shape[0], np.nan), np.zeros(len(filled), bool), np.zeros(len(filled), bool)
    )
    if not filled.any():
        return result
    starts = rows.indptr[:-1][filled]
    cell = np.repeat(np.arange(int(filled.sum())), np.diff(rows.indptr)[filled])
    unit = uneven = telling = None
    for count in range(1, MAX_SMALLEST_COUNT + 1):
        tried = _narrow(low, high, starts, cell, count)
        if unit is None or uneven is None or telling is None:
            unit, uneven, telling = tried
            continue
        better = uneven & ~tried.uneven
        unit = np.where(better, tried.unit, unit)
        telling = np.where(better, tried.telling, telling)
        uneven = uneven & tried.uneven
    result.unit[filled], result.uneven[filled], result.telling[filled] = unit, uneven, telling
    return result


def _narrow(
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    starts: NDArray[np.integer],
    cell: NDArray[np.integer],
    count: int,
) -> RoundedCells:
    """Confine the value of one molecule if the smallest entry of a cell stands for ``count``."""
    smallest = np.minimum.reduceat(high, starts)
    unit_low = np.minimum.reduceat(low, starts) / count
    unit_high = smallest / count
    for _ in range(N_ROUNDS):
        fewest = np.ceil(low / unit_high[cell])
        most = np.floor(high / unit_low[cell])
        known = (fewest == most) & (most > 0)
        molecules = np.maximum(most, 1.0)
        at_least = np.where(known, low / molecules, 0.0)
        at_most = np.where(known, high / molecules, np.inf)
        unit_low = np.maximum(unit_low, np.maximum.reduceat(at_least, starts))
        unit_high = np.minimum(unit_high, np.minimum.reduceat(at_most, starts))
        unit_high = np.maximum(unit_high, unit_low)
    width = high / unit_low[cell] - low / unit_high[cell]
    odd = np.ceil(low / unit_high[cell]) > np.floor(high / unit_low[cell])
    evidence = (width < MAX_UNCERTAINTY) & (low > smallest[cell])
    n_cells = len(starts)
    return RoundedCells(
        (unit_low + unit_high) / 2,
        np.bincount(cell, odd, minlength=n_cells) > 0,
        np.bincount(cell, evidence, minlength=n_cells) > 0,
    )


def _linear_limits(
    logged: NDArray[np.floating], factor: float, rounding: Rounding
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the smallest and the largest linear value that each logarithm may stand for."""
    values, error = logged.astype(np.float64), rounding.half_step(logged)
    low = np.expm1(factor * (values - error)) * (1.0 - SLACK)
    return np.maximum(low, np.finfo(float).tiny), np.expm1(factor * (values + error)) * (1 + SLACK)


def restore_digits(
    rows: sparse.csr_matrix, factor: float, rounding: Rounding
) -> NDArray[np.float64]:
    """Return the natural logarithms of the nearest multiples of one molecule.

    Entries of cells that are not multiples of a unit stay as they are.
    """
    natural: NDArray[np.float64] = rows.data.astype(np.float64) * factor
    cells = rounded_cells(rows, factor, rounding)
    cell = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
    unit = cells.unit[cell]
    molecules = np.maximum(np.rint(np.expm1(natural) / unit), 1.0)
    return np.where(cells.uneven[cell], natural, np.log1p(molecules * unit))
