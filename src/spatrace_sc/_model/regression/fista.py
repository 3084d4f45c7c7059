"""Weights of many targets on working sets of columns, by accelerated proximal gradient."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from ..runtime.memory import rows_within
from .design import floats_at_once

#: Floats in the Gram matrices of one batch of targets; 2 M are 8 MB.
MAX_GRAM_FLOATS = 2_000_000
#: How much cheaper a product with one shared matrix is than with many small ones, per number.
SHARED_GRAM_SPEEDUP = 20


class Working(NamedTuple):
    """Columns in use by any target.

    ``rows`` (U,) ascending, ``values`` (U, G) weights, ``active`` (U, G) whether a target may use
    a column, ``x`` (V, n) columns, ``position`` (U,) the rows of ``x`` that are in use.
    """

    rows: Tensor
    values: Tensor
    active: Tensor
    x: Tensor
    position: Tensor

    def of(self, targets: Tensor) -> Working:
        """The same columns for some of the targets."""
        return self._replace(values=self.values[:, targets], active=self.active[:, targets])


class Quadratic(NamedTuple):
    """Quadratic losses of T targets on A columns: w Gram w / 2 - moment w.

    ``multiply`` applies the Gram matrices to (T, A) weights, ``top`` (T, 1) are their largest
    eigenvalues, and ``moment`` is (T, A).
    """

    multiply: Callable[[Tensor], Tensor]
    top: Tensor
    moment: Tensor


def predict(x: Tensor, weights: Tensor, position: Tensor | None = None) -> Tensor:
    """(n, G) predictions from columns (A, n) and sparse weights (A, G).

    For every target only the columns with a weight are summed. ``position`` (A,) are the rows of
    ``x`` that hold the columns; None: all rows in order.
    """
    target, column = weights.T.nonzero(as_tuple=True)
    starts = torch.searchsorted(target, torch.arange(weights.shape[1], device=x.device))
    sums: Tensor = torch.nn.functional.embedding_bag(
        column if position is None else position[column],
        x,
        starts,
        mode="sum",
        per_sample_weights=weights[column, target],
    )
    return sums.T


def descend(
    working: Working, targets: Tensor, threshold: Tensor, max_iterations: int, tolerance: float
) -> Tensor:
    """(U, G) weights of every target on its working set.

    All targets are solved on the union of the sets where that is cheaper.
    """
    size = working.active.sum(0)
    shared = len(working.rows) ** 2 * targets.shape[1]
    separate = SHARED_GRAM_SPEEDUP * int((size**2).sum())
    solver = _solve_together if shared <= separate else _solve_apart
    return solver(working, targets, threshold, max_iterations, tolerance)


def _solve_together(
    working: Working, targets: Tensor, threshold: Tensor, max_iterations: int, tolerance: float
) -> Tensor:
    """Weights by one Gram matrix for all targets, which may use every column of the union."""
    n, x = len(targets), working.x[working.position]
    gram, moment = x @ x.T / n, (x @ targets).T / n
    top = _largest_eigenvalue(gram[None]).expand(len(moment), 1)
    loss = Quadratic(lambda v: v @ gram, top, moment)
    weights = _fista(loss, threshold.T, working.values.T, max_iterations, tolerance)
    return weights.T.contiguous()


def _solve_apart(
    working: Working, targets: Tensor, threshold: Tensor, max_iterations: int, tolerance: float
) -> Tensor:
    """Weights by a Gram matrix for every target, from its columns in the cells."""
    return descend_apart(
        working.values,
        working.active,
        threshold,
        lambda batch, index: _grams(working.x, targets[:, batch], working.position[index]),
        max_iterations,
        tolerance,
    )


def descend_apart(
    values: Tensor,
    active: Tensor,
    threshold: Tensor,
    products: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
    max_iterations: int,
    tolerance: float,
) -> Tensor:
    """(U, G) weights of every target on its ``active`` columns, by a Gram matrix of its own.

    Targets are solved in batches with sets of like size. ``products`` returns the (T, A, A) Gram
    matrices and (T, A) moments of targets (T,) on columns (T, A).
    """
    size = active.sum(0)
    order = torch.argsort(size, descending=True, stable=True)
    solved = torch.zeros_like(values)
    low, n_targets = 0, int((size > 0).sum())
    while low < n_targets:
        width = int(size[order[low]])
        batch = order[low : min(n_targets, low + rows_within(MAX_GRAM_FLOATS, width**2))]
        low += len(batch)
        index, valid = _active_columns(active[:, batch], width)
        gram, moment = products(batch, index)
        gram = gram.mul_(valid[:, :, None]).mul_(valid[:, None, :])
        column = batch[:, None].expand_as(index)
        weights = _fista(
            Quadratic(partial(_apply, gram), _largest_eigenvalue(gram), moment.mul_(valid)),
            threshold[index, column],
            values[index, column] * valid,
            max_iterations,
            tolerance,
        )
        solved[index[valid], column[valid]] = weights[valid]
    return solved


def _active_columns(active: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """(T, width) positions of the columns of every target in the working set, and their validity.

    Positions beyond the set of a target are 0 and not valid.
    """
    target, row = active.T.nonzero(as_tuple=True)
    size = active.sum(0)
    slot = torch.arange(len(target), device=active.device) - (torch.cumsum(size, 0) - size)[target]
    index = torch.zeros((active.shape[1], width), dtype=torch.long, device=active.device)
    index[target, slot] = row
    return index, torch.arange(width, device=active.device) < size[:, None]


def _grams(x: Tensor, targets: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """(T, A, A) Gram matrices of the columns ``index`` (T, A) and (T, A) moments of the targets.

    Both are divided by the number of cells. Columns are gathered for a few targets at a time.
    """
    (n_targets, width), n = index.shape, len(targets)
    gram, moment = x.new_empty(n_targets, width, width), x.new_empty(n_targets, width)
    step = rows_within(floats_at_once(x.device), width * n)
    gathered = x.new_empty((min(step, n_targets) * width, n))
    for low in range(0, n_targets, step):
        batch = slice(low, min(n_targets, low + step))
        rows = index[batch].flatten()
        columns = torch.index_select(x, 0, rows, out=gathered[: len(rows)]).view(-1, width, n)
        torch.bmm(columns, columns.transpose(1, 2), out=gram[batch])
        moment[batch] = torch.bmm(targets.T[batch, None, :], columns.transpose(1, 2))[:, 0]
    return gram.div_(n), moment.div_(n)


def _apply(gram: Tensor, vectors: Tensor) -> Tensor:
    """(T, A) products of symmetric (T, A, A) with (T, A); from the left it is 8 times as fast."""
    return torch.bmm(vectors[:, None, :], gram)[:, 0]


def _fista(
    loss: Quadratic, threshold: Tensor, weights: Tensor, max_iterations: int, tolerance: float
) -> Tensor:
    """(T, A) weights by accelerated proximal gradient with restart.

    A target whose step turns out to be too long halves it and begins again.
    """
    step = 1.0 / (loss.top + 1e-12)
    start, ahead, momentum = weights, weights, torch.ones_like(step)
    limit = 100.0 * (1.0 + start.abs().amax(1, keepdim=True))
    shrinkage = step * threshold
    for iteration in range(max_iterations):
        # gradient step and soft threshold
        moved = ahead - step * (loss.multiply(ahead) - loss.moment)
        new = moved - torch.clamp(moved, -shrinkage, shrinkage)
        change = new - weights
        if iteration % 10 == 9:
            largest = change.abs().amax(1, keepdim=True)
            if float(largest.max()) < tolerance:
                return new
            diverging = ~(largest < limit)
            if bool(diverging.any()):
                step = torch.where(diverging, step / 2.0, step)
                shrinkage = step * threshold
                momentum = torch.where(diverging, 1.0, momentum)
                weights = torch.where(diverging, start, new)
                ahead = weights
                continue
        # Nesterov momentum, restarted where it points uphill
        downhill = ((ahead - new) * change).sum(1, keepdim=True) <= 0
        following = (1.0 + torch.sqrt(1.0 + 4.0 * momentum * momentum)) / 2.0
        ahead = new + downhill * (momentum - 1.0) / following * change
        weights, momentum = new, torch.where(downhill, following, 1.0)
    return weights


def _largest_eigenvalue(gram: Tensor) -> Tensor:
    """(T, 1) largest eigenvalues, in practice an upper bound.

    Power iteration with a margin, capped by the 1-norm.
    """
    index = torch.arange(gram.shape[1], device=gram.device)
    vector = (0.5 + index / len(index)) * torch.where(index % 3 > 0, 1.0, -1.0)
    vector = vector.expand(gram.shape[:2])
    vector = vector / vector.norm(dim=1, keepdim=True)
    for _ in range(40):
        vector = _apply(gram, vector)
        vector = vector / vector.norm(dim=1, keepdim=True).clamp_min(1e-12)
    value = torch.einsum("ti,tij,tj->t", vector, gram, vector)
    return torch.minimum(1.1 * value, gram.abs().sum(2).amax(1))[:, None]
