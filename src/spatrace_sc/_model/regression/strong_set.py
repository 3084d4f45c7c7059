"""Sparse regression on the few columns that can enter, checked against all others at the end."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from ..records import Weights
from .design import Design
from .fista import predict
from .gram import MAX_CHECKS, MAX_COLUMNS, VIOLATION_FACTOR, Gram, slopes_on, solve_on_gram
from .lasso import solve
from .penalty import Penalty

#: Columns whose strength reaches this share of the penalty of any target are solved for.
STRONG_SHARE = 0.7


def solve_strong(
    design: Design,
    targets: Tensor,
    rows: Tensor,
    lam: float,
    penalty: Penalty,
    *,
    start: Weights,
    among: Tensor,
    max_iterations: int,
    tolerance: float,
) -> Weights:
    """Weights as those of :func:`.lasso.solve`, if few of the columns ``among`` can enter.

    The strength of an edge is its weight at the ``start`` plus the slope of what is left of the
    target. Columns whose strengths are far below their penalties are left out, the others are
    solved for by their products, and then all are checked. What violates the optimality
    conditions joins, and the solution begins again from the last one.
    """
    view = design.at(rows)
    weights = start
    ratios = partial(_ratios, design, targets, rows, lam, penalty, among=among)
    strong = among[ratios(weights=start, add_weights=True) >= STRONG_SHARE]
    for _ in range(MAX_CHECKS):
        if len(strong) > MAX_COLUMNS:
            return solve(
                *(design, targets, rows, lam, penalty),
                start=weights,
                among=among,
                max_iterations=max_iterations,
                tolerance=tolerance,
            )
        weights = solve_on_gram(
            Gram.of(design, rows, strong),
            slopes_on(view, strong, targets, design.block),
            lam,
            penalty,
            start=weights,
            max_iterations=max_iterations,
            tolerance=tolerance,
        )
        ratio = ratios(weights=weights)
        ratio[torch.isin(among, strong)] = 0.0
        new = among[ratio > VIOLATION_FACTOR]
        if not len(new):
            break
        strong = torch.cat([strong, new]).sort().values
    return weights


def _ratios(
    design: Design,
    targets: Tensor,
    rows: Tensor,
    lam: float,
    penalty: Penalty,
    *,
    weights: Weights,
    among: Tensor,
    add_weights: bool = False,
) -> Tensor:
    """(columns among,) largest slope over the targets, plus weight if asked for, in penalties."""
    view, largest = design.at(rows), []
    residual = targets - predict(view[weights.rows], weights.values)
    for block in design.blocks(among):
        size = view.slopes(block, residual)
        if add_weights:
            inside = torch.isin(weights.rows, block)
            position = torch.searchsorted(block, weights.rows[inside])
            size[position] += weights.values[inside]
        size = size.abs_().div_(lam * penalty.of(block, targets.shape[1]))
        largest.append(size.amax(1))
    return torch.cat(largest) if largest else residual.new_zeros(0)
