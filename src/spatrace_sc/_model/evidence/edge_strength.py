"""Strength of every edge, with or without a weight, and the edges that are listed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from ..fit import Fit
from ..network.observe import observe
from ..records import Problem, Weights
from ..regression.design import Design
from ..regression.fista import predict

#: Edges of pairs that are always listed, however few edges the tables may hold.
MIN_LISTED_EDGES = 1_000_000


class Residual(NamedTuple):
    """Residual of a fit in a set of cells, and the weights that leave it."""

    values: Tensor
    """(n, G) residual."""
    rows: Tensor
    """(N,) mask of the n cells."""
    weights: Weights
    forbidden: Tensor
    """(2, edges) column and target of edges that may not exist."""


def strengths(
    design: Design, columns: range, residual: Residual
) -> Iterator[tuple[Tensor, Tensor]]:
    """Columns that may act and their (A, G) strengths, block by block.

    A strength is the weight plus the slope of the residual: the quantity that the penalty was
    held against. Its size also orders edges without a weight. It is 0 for edges that may not
    exist.
    """
    weights, view = residual.weights, design.at(residual.rows)
    order = torch.argsort(residual.forbidden[0], stable=True)
    regulator, target = residual.forbidden[:, order]
    for block in design.blocks(design.within(columns)):
        ends = torch.stack([block[0], block[-1] + 1])
        strength = view.slopes(block, residual.values)
        low, high = torch.searchsorted(weights.rows, ends).tolist()
        strength[torch.searchsorted(block, weights.rows[low:high])] += weights.values[low:high]
        low, high = torch.searchsorted(regulator, ends).tolist()
        in_block = torch.isin(regulator[low:high], block)
        forbidden = torch.searchsorted(block, regulator[low:high][in_block])
        strength[forbidden, target[low:high][in_block]] = 0.0
        yield block, strength


@torch.no_grad()
def residual_of(problem: Problem, fit: Fit) -> tuple[Design, Residual]:
    """Design of the usable cells, and the residual of the fit on their standardised targets."""
    rows = problem.usable
    design, _, _ = observe(fit.network, problem, rows)
    y = ((problem.targets - fit.target_mean) / fit.target_sd)[rows]
    residual = y - predict(design.at(rows)[fit.weights.rows], fit.weights.values)
    return design, Residual(residual, rows, fit.weights, problem.forbidden)


@torch.no_grad()
def listed_edges(problem: Problem, fit: Fit, max_edges: int) -> Tensor:
    """(E,) indices over (P, G), ascending, of the edges of pairs that are summarised one by one.

    These are all edges of the pairs that compete, or the ``max_edges`` strongest in the fit if
    there are more. The others still compete: their weights and those of their decoys count in
    every q and p.
    """
    n_targets = problem.targets.shape[1]
    device = problem.targets.device
    limit = max(max_edges, MIN_LISTED_EDGES)
    pairs = torch.nonzero(problem.may_act[problem.pair_slice])[:, 0]
    if len(pairs) * n_targets <= limit:
        return (pairs[:, None] * n_targets + torch.arange(n_targets, device=device)).flatten()
    design, residual = residual_of(problem, fit)
    size = residual.values.new_empty(0)
    index = torch.empty(0, dtype=torch.long, device=device)
    for block, strength in strengths(design, problem.pair_columns, residual):
        # candidates that exceed the weakest listed edge, merged with the listed ones
        flat = strength.abs().flatten()
        weakest = float(size.min()) if len(size) == limit else 0.0
        candidate = torch.nonzero(flat > weakest)[:, 0]
        size = torch.cat([size, flat[candidate]])
        row, target = candidate // n_targets, candidate % n_targets
        index = torch.cat([index, (block[row] - problem.n_tfs) * n_targets + target])
        if len(size) > limit:
            size, strongest = size.topk(limit)
            index = index[strongest]
    return index.sort().values
