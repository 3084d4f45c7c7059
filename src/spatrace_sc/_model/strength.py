"""How strong every edge is, in the model or out of it, and which edges are looked at one by one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from .design import Design
from .fit import Fit, observe
from .records import Problem, Weights

#: So many edges of pairs are always listed, however few the tables are to hold.
ALWAYS_LISTED = 1_000_000


class Rest(NamedTuple):
    """What ``weights`` leave over: ``residual`` (n, G) in the cells ``rows``; ``forbidden`` (2, edges) may not exist."""

    residual: Tensor
    rows: Tensor
    weights: Weights
    forbidden: Tensor


def strengths(design: Design, columns: range, rest: Rest) -> Iterator[tuple[range, Tensor]]:
    """Block by block, columns and (A, G) their weight plus the slope of the residual on them: what the penalty was held against. Its size orders edges that have no weight, too. 0 for edges that may not exist."""
    weights, rows = rest.weights, rest.rows
    order = torch.argsort(rest.forbidden[0], stable=True)
    regulator, target = rest.forbidden[0][order], rest.forbidden[1][order]
    view = design.at(rows)
    for start in range(columns.start, columns.stop, design.block):
        block = range(start, min(columns.stop, start + design.block))
        ends = torch.tensor([block.start, block.stop], device=rows.device)
        found = view.slopes(torch.arange(block.start, block.stop, device=rows.device), rest.residual)
        low, high = torch.searchsorted(weights.rows, ends).tolist()
        found[weights.rows[low:high] - block.start] += weights.values[low:high]
        low, high = torch.searchsorted(regulator, ends).tolist()
        found[regulator[low:high] - block.start, target[low:high]] = 0.0
        yield block, found


@torch.no_grad()
def listed_edges(problem: Problem, fit: Fit, most: int) -> Tensor:
    """(E,) numbers over (P, G), ascending, of the edges of pairs that are looked at one by one: all, or where there are more than ``most`` the strongest in the fit.

    The others still compete: their weights and those of their decoys count in every q and p.
    """
    n_targets = problem.targets.shape[1]
    device = problem.targets.device
    most = max(most, ALWAYS_LISTED)
    if problem.n_pairs * n_targets <= most:
        return torch.arange(problem.n_pairs * n_targets, device=device)
    rows = problem.usable
    design, _, _ = observe(fit.network, problem, rows)
    y = ((problem.targets - fit.target_mean) / fit.target_sd)[rows]
    residual = y - design.at(rows)[fit.weights.rows].T @ fit.weights.values
    pairs = range(problem.n_tfs, problem.n_tfs + problem.n_pairs)
    size, number = residual.new_empty(0), torch.empty(0, dtype=torch.long, device=device)
    for block, found in strengths(design, pairs, Rest(residual, rows, fit.weights, problem.forbidden)):
        flat = found.abs().flatten()
        least = float(size.min()) if len(size) == most else 0.0
        place = torch.nonzero(flat > least)[:, 0]
        size = torch.cat([size, flat[place]])
        number = torch.cat([number, place + (block.start - pairs.start) * n_targets])
        if len(size) > most:
            size, kept = size.topk(most)
            number = number[kept]
    return number.sort().values
