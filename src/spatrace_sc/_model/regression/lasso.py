"""Sparse regression of all targets on all regulators at once.

Proximal gradient runs on working sets, which are checked against every column.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ..records import Weights
from .design import Design, View
from .fista import Working, descend, predict
from .gram import MAX_CHECKS, MAX_NEW_COLUMNS, VIOLATION_FACTOR
from .penalty import Penalty


def largest_penalty(design: Design, targets: Tensor, rows: Tensor, penalty: Penalty) -> float:
    """Smallest λ at which every weight is zero."""
    top, view = 0.0, design.at(rows)
    for block in design.blocks():
        slopes = view.slopes(block, targets).abs_()
        top = max(top, float((slopes / penalty.of(block, targets.shape[1])).max()))
    return top


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
    """Weights W that minimise ||Y - XW||² / 2n + λ sum of penalty × |W| over the given rows.

    Every target has its own working set, which grows by the columns that violate its optimality
    conditions. Accelerated proximal gradient descends on the sets, many targets at a time.

    Parameters
    ----------
    design
        X, standardised.
    targets
        (n, G) standardised targets in the given rows.
    rows
        (N,) mask of the cells to fit.
    lam
        λ.
    penalty
        Relative penalties of the edges.
    start
        Weights to begin with.
    max_iterations
        Largest number of proximal-gradient steps on a working set.
    tolerance
        The steps stop once no weight changes by more than this.
    max_checks
        Checks of all columns for violations. None: :data:`MAX_CHECKS`.
    among
        Columns that may enter, ascending. None: all columns that may act.

    Returns
    -------
    Weights
        Exactly zero where the penalty holds; columns without a weight are left out. No column
        outside the working sets violates the optimality conditions by more than a five-hundredth
        of λ, unless ``max_checks`` ran out. Columns inside hold them as far as ``tolerance`` and
        ``max_iterations`` go.
    """
    start = _no_weights(targets, lam) if start is None else start.among(design.columns)
    view = design.at(rows)
    working = _working_set(view, start.rows, start.values, start.values != 0)
    waiting = torch.arange(targets.shape[1], device=targets.device)
    for check in range(max_checks or MAX_CHECKS):
        # a target that gained no column keeps its weights, so it need not be looked at again
        of_waiting = working.of(waiting)
        residual = targets[:, waiting] - predict(working.x, of_waiting.values, working.position)
        scaled = residual.div_(VIOLATION_FACTOR * lam)
        columns = design.blocks(among)
        of_targets = penalty.only(waiting) if check else penalty
        new, mask = _violating(columns, view, scaled, of_targets, of_waiting)
        if check:
            gains = mask.any(0)
            waiting, mask = waiting[gains], mask[:, gains]
            if not len(waiting):
                break
        working = _grow(view, working, new, mask, waiting)
        if not len(working.rows):
            break
        threshold = lam * penalty.of(working.rows, targets.shape[1])
        threshold = threshold.expand_as(working.values)[:, waiting]
        of_waiting = working.of(waiting)
        working.values[:, waiting] = descend(
            of_waiting, targets[:, waiting], threshold, max_iterations, tolerance
        )
        working.active[:, waiting] = working.values[:, waiting] != 0
    nonzero = (working.values != 0).any(1)
    return Weights(working.rows[nonzero], working.values[nonzero], lam)


def _no_weights(targets: Tensor, lam: float) -> Weights:
    rows = torch.empty(0, dtype=torch.long, device=targets.device)
    return Weights(rows, targets.new_zeros((0, targets.shape[1])), lam)


def _violating(
    blocks: Iterator[Tensor],
    view: View,
    residual: Tensor,
    penalty: Penalty,
    working: Working,
) -> tuple[Tensor, Tensor]:
    """Columns that violate the optimality conditions, and (columns, T) mask of the targets.

    A column violates them if its slope on ``residual`` (n, T), in units of λ, exceeds the penalty
    for a target that does not use it. A target gains :data:`MAX_NEW_COLUMNS` at most.
    """
    n_targets = residual.shape[1]
    position = torch.full((len(penalty.row),), -1, dtype=torch.long, device=residual.device)
    position[working.rows] = torch.arange(len(working.rows), device=residual.device)
    best, column = residual.new_zeros((0, n_targets)), working.rows.new_zeros((0, n_targets))
    for block in blocks:
        ratio = view.slopes(block, residual).abs_().div_(penalty.of(block, n_targets))
        used = position[block] >= 0
        ratio[used] *= ~working.active[position[block[used]]]
        # keep the strongest candidates of every target
        n_candidates = min(MAX_NEW_COLUMNS, len(best) + len(block))
        best, order = torch.cat([best, ratio]).topk(n_candidates, dim=0)
        column = torch.cat([column, block[:, None].expand(-1, n_targets)]).gather(0, order)
    over = best > 1.0
    new = torch.unique(column[over])
    mask = torch.zeros((len(new), n_targets), dtype=torch.bool, device=residual.device)
    mask[torch.searchsorted(new, column[over]), over.nonzero()[:, 1]] = True
    return new, mask


def _grow(view: View, working: Working, new: Tensor, mask: Tensor, targets: Tensor) -> Working:
    """Working set with the new columns, without those that no target uses any more.

    ``mask`` (new, T) is whether a target of ``targets`` (T,) gains a column. Only columns that the
    set did not hold are computed.
    """
    used = working.active.any(1)
    kept = working.rows[used]
    merged = torch.unique(torch.cat([kept, new]))
    values = working.values.new_zeros((len(merged), working.values.shape[1]))
    active = torch.zeros_like(values, dtype=torch.bool)
    before, added = torch.searchsorted(merged, kept), torch.searchsorted(merged, new)
    values[before], active[before] = working.values[used], working.active[used]
    active[added[:, None], targets] |= mask
    if view.cached is not None:
        return _working_set(view, merged, values, active)
    fresh = torch.ones(len(merged), dtype=torch.bool, device=merged.device)
    fresh[before] = False
    x = working.x.new_empty((len(merged), working.x.shape[1]))
    x[before], x[fresh] = working.x[used], view[merged[fresh]]
    return Working(merged, values, active, x, torch.arange(len(x), device=x.device))


def _working_set(view: View, columns: Tensor, values: Tensor, active: Tensor) -> Working:
    """Working set on the cached columns of a view, or on columns that are computed."""
    if view.cached is not None:
        return Working(columns, values, active, view.cached.values, view.cached.row[columns])
    x = view[columns]
    return Working(columns, values, active, x, torch.arange(len(x), device=x.device))
