"""How strong every edge is, in the model or out of it, and which edges are looked at one by one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from ..fit import Fit, observe
from ..records import Problem, Weights
from ..regression.design import Design
from ..regression.fista import predict

#: So many edges of pairs are always listed, however few the tables are to hold.
ALWAYS_LISTED = 1_000_000


class Rest(NamedTuple):
    """What ``weights`` leave over: ``residual`` (n, G) in the cells ``rows``; ``forbidden`` (2, edges) may not exist."""

    residual: Tensor
    rows: Tensor
    weights: Weights
    forbidden: Tensor


def strengths(design: Design, columns: range, rest: Rest) -> Iterator[tuple[Tensor, Tensor]]:
    """Block by block, columns that may act and (A, G) their weight plus the slope of the residual on them: what the penalty was held against. Its size orders edges that have no weight, too. 0 for edges that may not exist."""
    weights, view = rest.weights, design.at(rest.rows)
    order = torch.argsort(rest.forbidden[0], stable=True)
    regulator, target = rest.forbidden[0][order], rest.forbidden[1][order]
    for block in design.blocks(design.within(columns)):
        ends = torch.stack([block[0], block[-1] + 1])
        found = view.slopes(block, rest.residual)
        low, high = torch.searchsorted(weights.rows, ends).tolist()
        found[torch.searchsorted(block, weights.rows[low:high])] += weights.values[low:high]
        low, high = torch.searchsorted(regulator, ends).tolist()
        here = torch.isin(regulator[low:high], block)
        found[torch.searchsorted(block, regulator[low:high][here]), target[low:high][here]] = 0.0
        yield block, found


@torch.no_grad()
def left_by(problem: Problem, fit: Fit) -> tuple[Design, Rest]:
    """The design of the usable cells, and what the fit leaves of their standardised targets."""
    rows = problem.usable
    design, _, _ = observe(fit.network, problem, rows)
    y = ((problem.targets - fit.target_mean) / fit.target_sd)[rows]
    residual = y - predict(design.at(rows)[fit.weights.rows], fit.weights.values)
    return design, Rest(residual, rows, fit.weights, problem.forbidden)


@torch.no_grad()
def listed_edges(problem: Problem, fit: Fit, most: int) -> Tensor:
    """(E,) numbers over (P, G), ascending, of the edges of pairs that are looked at one by one: all of pairs that compete, or where there are more than ``most`` the strongest in the fit.

    The others still compete: their weights and those of their decoys count in every q and p.
    """
    n_targets = problem.targets.shape[1]
    device = problem.targets.device
    most = max(most, ALWAYS_LISTED)
    kept = torch.nonzero(problem.kept[problem.n_tfs : problem.n_tfs + problem.n_pairs])[:, 0]
    if len(kept) * n_targets <= most:
        return (kept[:, None] * n_targets + torch.arange(n_targets, device=device)).flatten()
    design, rest = left_by(problem, fit)
    pairs = range(problem.n_tfs, problem.n_tfs + problem.n_pairs)
    size, number = rest.residual.new_empty(0), torch.empty(0, dtype=torch.long, device=device)
    for block, found in strengths(design, pairs, rest):
        flat = found.abs().flatten()
        least = float(size.min()) if len(size) == most else 0.0
        place = torch.nonzero(flat > least)[:, 0]
        size = torch.cat([size, flat[place]])
        row, target = place // n_targets, place % n_targets
        number = torch.cat([number, (block[row] - pairs.start) * n_targets + target])
        if len(size) > most:
            size, best = size.topk(most)
            number = number[best]
    return number.sort().values
