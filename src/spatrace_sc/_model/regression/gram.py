"""Sparse regression from products of columns, which are computed once for many solves.

With the Gram matrix of all columns at hand, a check of all columns and a descent no longer touch
the cells.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from ..records import Weights
from ..runtime.memory import rows_within
from .design import MAX_BLOCK_FLOATS, Design, View
from .fista import descend_apart
from .penalty import Penalty

#: Largest number of columns with a Gram matrix, 36 MB; and columns per target up to which it is
#: cheaper than looking at the cells in every check.
MAX_COLUMNS, MAX_COLUMNS_PER_TARGET = 3000, 30
#: Columns of one block of the matrix; only blocks on and above the diagonal are computed.
BLOCK = 512
#: Columns that a target may gain in one check; of many collinear ones the strongest suffice.
MAX_NEW_COLUMNS = 20
#: Checks of all columns in one solve, unless the caller sets another number.
MAX_CHECKS = 20
#: A slope violates the optimality conditions if it exceeds its penalty by this factor. With 1.01
#: one or two in a hundred of the strongest edges, those that barely enter, differ from the exact
#: solution; with 1.002 one in a thousand.
VIOLATION_FACTOR = 1.002


class Gram(NamedTuple):
    """Sums of products of standardised columns over some cells."""

    columns: Tensor
    """(S,) columns, ascending."""
    sums: Tensor
    """(S, S) sums over the cells of products of two columns."""
    n: int
    """Number of cells."""

    @classmethod
    def of(cls, design: Design, rows: Tensor, columns: Tensor) -> Gram:
        """Products of the given columns in the cells of a mask."""
        sums = torch.zeros((len(columns), len(columns)), device=columns.device)
        cells = torch.nonzero(rows)[:, 0]
        for chunk in cells.split(rows_within(MAX_BLOCK_FLOATS, len(columns))):
            mask = rows if len(chunk) == len(cells) else torch.zeros_like(rows)
            mask[chunk] = True
            x = design.at(mask)[columns]
            for low in range(0, len(columns), BLOCK):
                sums[low : low + BLOCK, low:] += x[low : low + BLOCK] @ x[low:].T
        for low in range(0, len(columns), BLOCK):
            high = low + BLOCK
            sums[high:, low:high] = sums[low:high, high:].T
        return cls(columns, sums, len(cells))

    def with_part(self, part: Gram) -> Gram:
        """Products of the cells of both."""
        return Gram(self.columns, self.sums + part.sums, self.n + part.n)


def is_worthwhile(n_columns: int, n_targets: int) -> bool:
    """Whether a Gram matrix of all columns is small, and cheaper than checks of the cells."""
    return 0 < n_columns <= min(MAX_COLUMNS, MAX_COLUMNS_PER_TARGET * n_targets)


def slopes_on(view: View, columns: Tensor, targets: Tensor, block: int) -> Tensor:
    """(S, G) mean products of columns and targets, some columns at a time."""
    return torch.cat([view.slopes(part, targets) for part in columns.split(block)])


def solve_on_gram(
    gram: Gram,
    moment: Tensor,
    lam: float,
    penalty: Penalty,
    *,
    start: Weights | None = None,
    among: Tensor | None = None,
    max_iterations: int = 300,
    tolerance: float = 1e-4,
    max_checks: int | None = None,
) -> Weights:
    """Weights as those of :func:`.lasso.solve`, from products alone.

    ``moment`` (S, G) are the mean products of columns and targets. The other arguments are those
    of :func:`.lasso.solve`; columns without products have no weight.
    """
    n_targets = moment.shape[1]
    bound = (lam * penalty.of(gram.columns, n_targets)).expand_as(moment)
    if among is not None:
        bound = bound.masked_fill(~torch.isin(gram.columns, among)[:, None], torch.inf)
    values = torch.zeros_like(moment)
    if start is not None:
        known = torch.isin(start.rows, gram.columns)
        values[torch.searchsorted(gram.columns, start.rows[known])] = start.values[known]
        values[~torch.isfinite(bound)] = 0.0
    active, mean = values != 0, gram.sums / gram.n
    waiting = torch.arange(n_targets, device=moment.device)
    for check in range(max_checks or MAX_CHECKS):
        used = torch.nonzero(active.any(1))[:, 0]
        slopes = moment[:, waiting] - mean[:, used] @ values[used[:, None], waiting]
        ratio = slopes.abs_().div_(VIOLATION_FACTOR * bound[:, waiting])
        ratio[active[:, waiting]] = 0.0
        best, column = ratio.topk(min(MAX_NEW_COLUMNS, len(ratio)), dim=0)
        over = best > 1.0
        target = waiting.expand_as(column)[over]
        active[column[over], target] = True
        if check:
            waiting = waiting[over.any(0)]
            if not len(waiting):
                break
        values[:, waiting] = descend_apart(
            values[:, waiting],
            active[:, waiting],
            bound[:, waiting],
            partial(_grams, mean, moment[:, waiting]),
            max_iterations,
            tolerance,
        )
        active[:, waiting] = values[:, waiting] != 0
    nonzero = (values != 0).any(1)
    return Weights(gram.columns[nonzero], values[nonzero], lam)


def _grams(mean: Tensor, moment: Tensor, targets: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """(T, A, A) Gram matrices of the columns ``index`` (T, A), and (T, A) moments."""
    return mean[index[:, :, None], index[:, None, :]], moment[index, targets[:, None]]
