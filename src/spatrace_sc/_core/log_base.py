"""Base of the logarithm of expression, from the evidence of counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import sparse

from .counts import MIN_COUNT_CELLS, Matrix, units_of_cells
from .rounded_counts import Rounding, restore_digits, rounded_cells

#: Bases that are tried where neither e nor the named base makes values counts.
COMMON_BASES = (2.0, 10.0)
#: Fewer cells with two different values are no evidence of a base.
MIN_TELLING_CELLS = 10
#: Two values of a cell differ if the larger one exceeds the smaller one by this share.
MIN_DIFFERENCE = 1e-3


class LogBase(NamedTuple):
    """A base, and the share of cells that hold counts under it; ``counts``: enough of them do."""

    base: float
    share: float
    counts: bool

    @property
    def factor(self) -> float:
        """Factor that makes logarithms of this base natural ones."""
        return 1.0 if self.base == np.e else float(np.log(self.base))


def find_base(blocks: Sequence[Matrix], named: float | None, rounding: Rounding | None) -> LogBase:
    """Return the base under which the values of cells are multiples of one molecule.

    Tried are e and the ``named`` base, then 2 and 10. Where no base makes values counts, it is the
    named one, or e.
    """
    preferred = np.e if named is None else named
    tried: list[LogBase] = []
    for bases in ((preferred, np.e), COMMON_BASES):
        tried += [
            evidence(blocks, b, rounding) for b in dict.fromkeys(bases) if not _is_tried(b, tried)
        ]
        fitting = [t for t in tried if t.counts]
        if fitting:
            return max(fitting, key=lambda t: t.share)  # the first of equals: the preferred one
    return tried[0]


def _is_tried(base: float, tried: Sequence[LogBase]) -> bool:
    return any(np.isclose(base, t.base, rtol=1e-6) for t in tried)


def evidence(blocks: Sequence[Matrix], base: float, rounding: Rounding | None) -> LogBase:
    """Return the share of cells whose values are counts under a base.

    Only cells with two different values count.
    """
    factor = LogBase(base, 0.0, False).factor
    n_even = n_telling = 0
    for block in blocks:
        rows = sparse.csr_matrix(block, dtype=np.float64, copy=True)
        rows.eliminate_zeros()
        if rounding is not None:
            cells = rounded_cells(rows, factor, rounding)
            telling, uneven = cells.telling, cells.uneven
        else:
            units = units_of_cells(rows * factor)
            if units is None:
                return LogBase(base, 0.0, False)
            telling, uneven = _has_two_values(rows), units[1]
        n_telling += int(telling.sum())
        n_even += int((telling & ~uneven).sum())
    share = n_even / n_telling if n_telling else 0.0
    return LogBase(base, share, n_telling >= MIN_TELLING_CELLS and share >= MIN_COUNT_CELLS)


def _has_two_values(rows: sparse.csr_matrix) -> np.ndarray:
    """Return the (cells,) mask of rows with two different positive entries."""
    filled = np.diff(rows.indptr) > 0
    result = np.zeros(rows.shape[0], dtype=bool)
    if filled.any():
        starts = rows.indptr[:-1][filled]
        smallest = np.minimum.reduceat(rows.data, starts)
        largest = np.maximum.reduceat(rows.data, starts)
        result[filled] = largest > smallest * (1.0 + MIN_DIFFERENCE)
    return result


def natural_logarithms(block: Matrix, factor: float, rounding: Rounding | None) -> Matrix:
    """Return a block in natural logarithms, of the same type.

    With ``rounding``, values that are counts within their rounding become exactly those counts.
    """
    if rounding is None:
        return (block.astype(np.float64) * factor).astype(block.dtype)
    rows = sparse.csr_matrix(block, copy=True)
    rows.eliminate_zeros()
    rows.data = restore_digits(rows, factor, rounding).astype(block.dtype)
    return rows if sparse.issparse(block) else rows.toarray()
