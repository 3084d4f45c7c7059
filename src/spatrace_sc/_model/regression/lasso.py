"""Sparse regression of all targets on all regulators at once: proximal gradient on a working set, checked against every column."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..records import Weights
from .design import Design, View
from .fista import Working, descend, predict


@dataclass(frozen=True)
class Penalty:
    """Relative penalty of every edge.

    ``row`` (columns,); times ``tf`` (F, G) for columns whose ``tf_of`` (columns,) is not -1; infinite for ``forbidden`` (2, edges).
    """

    row: Tensor
    forbidden: Tensor
    tf: Tensor | None = None
    tf_of: Tensor | None = None

    def of(self, columns: Tensor, n_targets: int) -> Tensor:
        """(A, G) or, when all targets share it, (A, 1)."""
        value = self.row[columns][:, None]
        if self.tf is None and not self.forbidden.shape[1]:
            return value
        value = value.expand(-1, n_targets).clone()
        place = torch.full((len(self.row),), -1, dtype=torch.long, device=columns.device)
        place[columns] = torch.arange(len(columns), device=columns.device)
        if self.tf is not None and self.tf_of is not None:
            tf = self.tf_of[columns]
            value[tf >= 0] *= self.tf[tf[tf >= 0]]
        rows = place[self.forbidden[0]]
        value[rows[rows >= 0], self.forbidden[1][rows >= 0]] = torch.inf
        return value

    def only(self, targets: Tensor) -> Penalty:
        """That of some targets, ascending."""
        here = torch.isin(self.forbidden[1], targets)
        forbidden = torch.stack(
            [self.forbidden[0][here], torch.searchsorted(targets, self.forbidden[1][here])]
        )
        return replace(
            self, forbidden=forbidden, tf=None if self.tf is None else self.tf[:, targets]
        )

    def scaled(self, factor: Tensor) -> Penalty:
        """The same with each row's penalty multiplied."""
        return replace(self, row=self.row * factor)


def largest_penalty(design: Design, targets: Tensor, rows: Tensor, penalty: Penalty) -> float:
    """Smallest λ at which every weight is zero."""
    top, view = 0.0, design.at(rows)
    for c in design.blocks():
        top = max(
            top, float((view.slopes(c, targets).abs_() / penalty.of(c, targets.shape[1])).max())
        )
    return top


#: Columns that a target may gain in one check; of many collinear ones the strongest are enough.
MOST_NEW = 20
#: Looks at all columns in one solve, unless the caller says otherwise.
CHECKS = 20
#: A slope this many times its penalty violates the optimality conditions. With 1.01 one or two in a hundred of the strongest edges, those that barely enter, are others than in the exact solution; with this one in a thousand.
REACH = 1.002


def solve(
    design: Design,
    targets: Tensor,
    rows: Tensor,
    lam: float,
    penalty: Penalty,
    *,
    start: Weights | None = None,
    max_iterations: int = 300,
    tolerance: float = 1e-4,
    max_checks: int | None = None,
    among: Tensor | None = None,
) -> Weights:
    r"""Minimise :math:`\frac{1}{2n} \|Y - XW\|^2 + \lambda \sum_{rg} pen_{rg} |W_{rg}|` over the given rows.

    Every target has a working set of its own, which grows by the columns that violate its optimality conditions; accelerated proximal gradient descends on the sets, many targets at
    a time.

    Parameters
    ----------
    design
        X, standardised.
    targets
        (n, G), standardised; the rows ``rows`` of the data.
    lam
        λ.
    start
        Weights to begin with.
    max_checks
        Looks at all columns for violations; None: :data:`CHECKS`.
    among
        Columns that may enter, ascending. None: all.

    Returns
    -------
    Weights, exactly zero where the penalty holds; columns without a weight are left out. No column outside the working sets violates the optimality conditions by more than a five-hundredth of λ,
    unless ``max_checks`` ran out; those inside hold them as far as ``tolerance`` and ``max_iterations`` go.
    """
    start = (
        Weights(
            torch.empty(0, dtype=torch.long, device=targets.device),
            targets.new_zeros((0, targets.shape[1])),
            lam,
        )
        if start is None
        else start
    )
    view = design.at(rows)
    working = Working(start.rows, start.values, start.values != 0, view[start.rows])
    for check in range(max_checks or CHECKS):
        rest = targets - predict(working.x, working.values)
        new, mask = _violating(design, view, rest.div_(REACH * lam), penalty, working, among)
        if check and not len(new):
            break
        working = _grow(view, working, new, mask)
        if not len(working.rows):
            break
        threshold = lam * penalty.of(working.rows, targets.shape[1])
        values = descend(
            working, targets, threshold.expand_as(working.values), max_iterations, tolerance
        )
        working = working._replace(values=values, active=values != 0)
    kept = (working.values != 0).any(1)
    return Weights(working.rows[kept], working.values[kept], lam)


def _violating(
    design: Design,
    view: View,
    rest: Tensor,
    penalty: Penalty,
    working: Working,
    among: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Columns whose slope on ``rest`` (n, G), the residuals in units of λ, exceeds the penalty for a target that does not use them, and (columns, G) for which; at most :data:`MOST_NEW` per target."""
    n_targets = rest.shape[1]
    place = torch.full((design.n_columns,), -1, dtype=torch.long, device=rest.device)
    place[working.rows] = torch.arange(len(working.rows), device=rest.device)
    best, column = rest.new_zeros((0, n_targets)), working.rows.new_zeros((0, n_targets))
    for c in design.blocks(among):
        score = view.slopes(c, rest).abs_().div_(penalty.of(c, n_targets))
        used = place[c] >= 0
        score[used] *= ~working.active[place[c[used]]]
        best, at = torch.cat([best, score]).topk(min(MOST_NEW, len(best) + len(c)), dim=0)
        column = torch.cat([column, c[:, None].expand(-1, n_targets)]).gather(0, at)
    over = best > 1.0
    new = torch.unique(column[over])
    mask = torch.zeros((len(new), n_targets), dtype=torch.bool, device=rest.device)
    mask[torch.searchsorted(new, column[over]), over.nonzero()[:, 1]] = True
    return new, mask


def _grow(view: View, working: Working, new: Tensor, mask: Tensor) -> Working:
    """Working set with the new columns, without those that no target uses any more."""
    merged = torch.unique(torch.cat([working.rows, new]))
    values = working.values.new_zeros((len(merged), working.values.shape[1]))
    active = torch.zeros_like(values, dtype=torch.bool)
    before, added = torch.searchsorted(merged, working.rows), torch.searchsorted(merged, new)
    values[before], active[before] = working.values, working.active
    active[added] |= mask
    kept = active.any(1)
    return Working(merged[kept], values[kept], active[kept], view[merged[kept]])
