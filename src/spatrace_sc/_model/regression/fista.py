"""Weights of many targets on working sets of columns: accelerated proximal gradient on Gram matrices."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from .design import numbers_at_once

#: Floats of the Gram matrices of one batch of targets; 2 M are 8 MB.
GRAMS = 2_000_000
#: How much cheaper a product with one shared matrix is than with many small ones, per number multiplied.
TOGETHER = 20


class Working(NamedTuple):
    """Columns in use: ``rows`` (U,) ascending, ``values`` (U, G) weights, ``active`` (U, G) which of them a target may use, ``x`` (U, n)."""

    rows: Tensor
    values: Tensor
    active: Tensor
    x: Tensor


def predict(x: Tensor, weights: Tensor) -> Tensor:
    """(n, G) from columns (A, n) and sparse weights (A, G): of every target only the columns with a weight are added up."""
    target, column = weights.T.nonzero(as_tuple=True)
    begins = torch.searchsorted(target, torch.arange(weights.shape[1], device=x.device))
    found: Tensor = torch.nn.functional.embedding_bag(
        column, x, begins, mode="sum", per_sample_weights=weights[column, target]
    )
    return found.T


def descend(
    working: Working, targets: Tensor, threshold: Tensor, max_iterations: int, tolerance: float
) -> Tensor:
    """Solve every target on its working set; all on the union of the sets where that is cheaper."""
    size = working.active.sum(0)
    together, apart = len(working.rows) ** 2 * targets.shape[1], TOGETHER * int((size**2).sum())
    solver = _together if together <= apart else _apart
    return solver(working, targets, threshold, max_iterations, tolerance)


def _together(
    working: Working, targets: Tensor, threshold: Tensor, max_iterations: int, tolerance: float
) -> Tensor:
    """One Gram matrix for all targets, which may use every column of the union."""
    n = len(targets)
    gram, moment = working.x @ working.x.T / n, (working.x @ targets).T / n
    top = _largest_eigenvalue(gram[None]).expand(len(moment), 1)
    return _fista(
        lambda v: v @ gram, top, moment, threshold.T, working.values.T, max_iterations, tolerance
    ).T.contiguous()


def _apart(
    working: Working, targets: Tensor, threshold: Tensor, max_iterations: int, tolerance: float
) -> Tensor:
    """A Gram matrix for every target, in batches of targets with sets of like size."""
    size = working.active.sum(0)
    order = torch.argsort(size, descending=True, stable=True)
    solved = torch.zeros_like(working.values)
    low, n_targets = 0, int((size > 0).sum())
    while low < n_targets:
        width = int(size[order[low]])
        some = order[low : min(n_targets, low + max(1, GRAMS // width**2))]
        low += len(some)
        index, valid = _own_columns(working.active[:, some], width)
        gram, moment = _grams(working.x, targets[:, some], index, valid)
        column = some[:, None].expand_as(index)
        weights = _fista(
            partial(_apply, gram),
            _largest_eigenvalue(gram),
            moment,
            threshold[index, column],
            working.values[index, column] * valid,
            max_iterations,
            tolerance,
        )
        solved[index[valid], column[valid]] = weights[valid]
    return solved


def _own_columns(active: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """(T, width) places of the columns of every target in the working set, and which of them are meant; the rest are 0."""
    which, row = active.T.nonzero(as_tuple=True)
    size = active.sum(0)
    slot = torch.arange(len(which), device=active.device) - (torch.cumsum(size, 0) - size)[which]
    index = torch.zeros((active.shape[1], width), dtype=torch.long, device=active.device)
    index[which, slot] = row
    return index, torch.arange(width, device=active.device) < size[:, None]


def _grams(x: Tensor, targets: Tensor, index: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """(T, A, A) Gram matrices of the columns ``index`` (T, A) of every target and (T, A) their products with it, each divided by the cells; 0 where a column is not meant. Columns are gathered for some targets at a time."""
    (n_targets, width), n = index.shape, len(targets)
    gram, moment = x.new_empty(n_targets, width, width), x.new_empty(n_targets, width)
    at_once = max(1, numbers_at_once(x.device) // max(1, width * n))
    for low in range(0, n_targets, at_once):
        some = slice(low, min(n_targets, low + at_once))
        mine = x.index_select(0, index[some].flatten()).view(-1, width, n)
        torch.bmm(mine, mine.transpose(1, 2), out=gram[some])
        moment[some] = torch.bmm(targets.T[some, None, :], mine.transpose(1, 2))[:, 0]
    gram.mul_(valid[:, :, None]).mul_(valid[:, None, :]).div_(n)
    return gram, moment.mul_(valid).div_(n)


def _apply(gram: Tensor, vectors: Tensor) -> Tensor:
    """(T, A, A), symmetric, times (T, A): from the left, which is eight times as fast."""
    return torch.bmm(vectors[:, None, :], gram)[:, 0]


def _fista(
    multiply: Callable[[Tensor], Tensor],
    top: Tensor,
    moment: Tensor,
    threshold: Tensor,
    weights: Tensor,
    max_iterations: int,
    tolerance: float,
) -> Tensor:
    """Accelerated proximal gradient with restart on (T, A) weights. ``multiply`` applies the Gram matrices, whose largest eigenvalues are ``top`` (T, 1).

    A target whose step is found too long halves it and begins again.
    """
    step = 1.0 / (top + 1e-12)
    start, ahead, momentum = weights, weights, torch.ones_like(step)
    limit = 100.0 * (1.0 + start.abs().amax(1, keepdim=True))
    reach = step * threshold
    for iteration in range(max_iterations):
        moved = ahead - step * (multiply(ahead) - moment)
        new = moved - torch.clamp(moved, -reach, reach)
        change = new - weights
        if iteration % 10 == 9:
            largest = change.abs().amax(1, keepdim=True)
            if float(largest.max()) < tolerance:
                return new
            wild = ~(largest < limit)
            if bool(wild.any()):
                step = torch.where(wild, step / 2.0, step)
                reach = step * threshold
                momentum = torch.where(wild, 1.0, momentum)
                weights, ahead = torch.where(wild, start, new), torch.where(wild, start, new)
                continue
        downhill = ((ahead - new) * change).sum(1, keepdim=True) <= 0
        following = (1.0 + torch.sqrt(1.0 + 4.0 * momentum * momentum)) / 2.0
        ahead = new + downhill * (momentum - 1.0) / following * change
        weights, momentum = new, torch.where(downhill, following, 1.0)
    return weights


def _largest_eigenvalue(gram: Tensor) -> Tensor:
    """(T, 1) upper bound in practice: power iteration with a margin, capped by the 1-norm."""
    spread = torch.arange(gram.shape[1], device=gram.device)
    vector = ((0.5 + spread / len(spread)) * torch.where(spread % 3 > 0, 1.0, -1.0)).expand(
        gram.shape[:2]
    )
    vector = vector / vector.norm(dim=1, keepdim=True)
    for _ in range(40):
        vector = _apply(gram, vector)
        vector = vector / vector.norm(dim=1, keepdim=True).clamp_min(1e-12)
    value = torch.einsum("ti,tij,tj->t", vector, gram, vector)
    return torch.minimum(1.1 * value, gram.abs().sum(2).amax(1))[:, None]
