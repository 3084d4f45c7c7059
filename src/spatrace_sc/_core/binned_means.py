"""Means in bins of equal size, and slopes, with errors by spatial block."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Bins(NamedTuple):
    """Means of x and y in bins (K,), the standard errors of those of y, and numbers of cells."""

    x: Array
    y: Array
    se: Array
    n: NDArray[np.int64]


class Line(NamedTuple):
    """Slope of y on x, its standard error, and the share of the variance of y it explains."""

    slope: float
    se: float
    r2: float


def bin_of(x: Array, n_bins: int) -> NDArray[np.intp]:
    """(N,) index of the bin of every cell; bins have equal sizes, equal values share a bin.

    Values that many cells share, as a signal of 0, fill a bin of their own.
    """
    limits = np.unique(np.quantile(x, np.arange(1, n_bins) / n_bins))
    code = np.searchsorted(limits, x, side="left")
    return np.unique(code, return_inverse=True)[1].astype(np.intp)


def binned_means(x: Array, y: Array, code: NDArray[np.intp], block: NDArray[np.integer]) -> Bins:
    """Means of x and y over the cells with each code, for those that occur.

    The standard error is that of a mean of cells that are correlated within blocks: with r_i the
    deviation of a cell from the mean of its bin and B blocks,
    se² = B / (B - 1) × sum over blocks of (sum of r_i)² / n². It is NaN with a single block.
    """
    codes, index = np.unique(code, return_inverse=True)
    n = np.bincount(index)
    mean_x, mean_y = (np.bincount(index, values) / n for values in (x, y))
    unit, n_units = _units(block)
    sums = np.zeros((len(codes), n_units))
    np.add.at(sums, (index, unit), y - mean_y[index])
    n_blocks = np.zeros(len(codes))
    np.add.at(n_blocks, np.unique(np.stack([index, unit]), axis=1)[0], 1.0)
    factor = np.where(n_blocks > 1, n_blocks / np.maximum(n_blocks - 1.0, 1.0), np.nan)
    return Bins(mean_x, mean_y, np.sqrt(factor * (sums**2).sum(axis=1)) / n, n)


def line(x: Array, y: Array, block: NDArray[np.integer]) -> Line:
    """Least-squares line with an error that allows for correlation within blocks."""
    x, y = x - x.mean(), y - y.mean()
    square = float(x @ x)
    if square == 0.0 or not (y @ y):
        return Line(0.0, np.nan, 0.0)
    slope = float(x @ y) / square
    unit, n_units = _units(block)
    score = np.bincount(unit, x * (y - slope * x), minlength=n_units)
    factor = n_units / (n_units - 1) if n_units > 1 else np.nan
    se = float(np.sqrt(factor * (score @ score)) / square)
    return Line(slope, se, float(slope**2 * square / (y @ y)))


def _units(block: NDArray[np.integer]) -> tuple[NDArray[np.intp], int]:
    """Return the blocks numbered from 0, and how many there are."""
    unit = np.unique(block, return_inverse=True)[1].astype(np.intp)
    return unit, int(unit.max()) + 1
