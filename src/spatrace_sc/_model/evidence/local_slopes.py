"""Test whether the slope of an edge holds among neighbouring cells.

A hidden field that is smooth in space ties a signal to targets where they are compared across the
tissue, and hardly where neighbours are compared. A signal that acts has the same slope in both.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import t as student
from torch import Tensor

from ..fit import Fit
from ..records import Problem, Weights
from .edge_strength import residual_of

#: Share of its slope that an edge must exceed among neighbouring cells.
MIN_LOCAL_SHARE = 2 / 3
#: A signal that varies less among neighbours, relative to its variance, is not tested.
MIN_LOCAL_VARIANCE = 1e-6


class LocalTest(NamedTuple):
    """p of "no more than the minimum share of the slope is local"."""

    edge: NDArray[np.float64]
    """(E,) of each edge."""
    pair: NDArray[np.float64]
    """(K,) of each pair, all targets on which it has a weight together."""


def differences_from_neighbours(values: Tensor, neighbours: Tensor) -> Tensor:
    """(n, ...) values less their means over the neighbours of each cell.

    ``neighbours`` (n, k) are rows, with −1 behind the last one of a cell. A cell without
    neighbours has a difference of 0.
    """
    total, n_neighbours = torch.zeros_like(values), values.new_zeros(len(values))
    for column in neighbours.T:
        exists = column >= 0
        total[exists] += values[column[exists]]
        n_neighbours += exists
    n_neighbours = n_neighbours.reshape(-1, *[1] * (values.ndim - 1))
    return torch.where(n_neighbours > 0, values - total / n_neighbours.clamp_min(1.0), 0.0)


@torch.no_grad()
def local_test(
    problem: Problem,
    fit: Fit,
    edges: NDArray[np.integer],
    pairs: NDArray[np.integer],
    neighbours: Tensor,
) -> LocalTest:
    """Test whether edges of pairs, and pairs as a whole, hold among neighbouring cells.

    The contribution of the pair is put back into the residual of the model. The slope b of that
    on the signal x is compared with the slope b_local of the differences from the means over
    neighbouring cells. The one-sided t-test is of (b_local - 2/3 b) in the direction of b, with
    spatial blocks as units. For a pair as a whole the differences are summed over targets,
    weighted by the weights of the model.

    Parameters
    ----------
    edges
        (E, 2) pair and target.
    pairs
        (K,) pairs that are tested as a whole.
    neighbours
        (n, k) nearest usable cells of each usable cell, as rows of these, −1 where there are
        fewer.
    """
    design, residual = residual_of(problem, fit)
    view = design.at(problem.usable)
    block = torch.unique(problem.block[problem.usable], return_inverse=True)[1]
    errors = residual.values - residual.values.mean(0)
    local_errors = differences_from_neighbours(errors, neighbours.to(errors.device))
    p_edge, p_pair = np.ones(len(edges)), np.ones(len(pairs))
    for pair in np.union1d(edges[:, 0], pairs):
        column = torch.tensor([problem.n_tfs + int(pair)], device=errors.device)
        x = view[column][0]
        weight = _weights_of(fit.weights, int(column), errors.shape[1])
        rows = np.flatnonzero(edges[:, 0] == pair)
        listed = torch.as_tensor(edges[rows, 1], dtype=torch.long, device=errors.device)
        targets = torch.unique(torch.cat([listed, torch.nonzero(weight)[:, 0]]))
        if not len(targets):
            continue
        local_x = differences_from_neighbours(x, neighbours.to(x.device))
        excess, by_block = _excess(
            (x, errors[:, targets], block),
            (local_x, local_errors[:, targets]),
            weight[targets].double(),
        )
        of_edges = _p_of_no_excess(excess, by_block)
        p_edge[rows] = of_edges[torch.searchsorted(targets, listed).cpu().numpy()]
        size = weight[targets].abs().double()
        together = _p_of_no_excess((excess * size).sum()[None], (by_block * size).sum(1)[:, None])
        p_pair[pairs == pair] = together[0] if bool((size > 0).any()) else 1.0
    return LocalTest(p_edge, p_pair)


def _weights_of(weights: Weights, column: int, n_targets: int) -> Tensor:
    """(G,) weights of one column."""
    row = torch.nonzero(weights.rows == column)[:, 0]
    return weights.values[row].sum(0) if len(row) else weights.values.new_zeros(n_targets)


def _excess(
    everywhere: tuple[Tensor, Tensor, Tensor], local: tuple[Tensor, Tensor], weight: Tensor
) -> tuple[Tensor, Tensor]:
    """(T,) excess of the local slope over its minimum, and (B, T) errors of it by block.

    Parameters
    ----------
    everywhere
        Signal (n,), residual (n, T) and block (n,).
    local
        Differences of signal and residual from the means over neighbours.
    weight
        (T,) weights, which the residual lacks.
    """
    x, errors, block = everywhere
    local_x, local_errors = local
    x, local_x = (v.double() - v.double().mean() for v in (x, local_x))
    square, local_square = x.square().sum(), local_x.square().sum()
    if local_square <= MIN_LOCAL_VARIANCE * square:
        return torch.zeros_like(weight), weight.new_zeros((int(block.max()) + 1, len(weight)))
    slope, of_cell = _slope_beyond_weight(x, errors.double(), square)
    local_slope, local_of_cell = _slope_beyond_weight(local_x, local_errors.double(), local_square)
    direction = torch.sign(weight + slope)
    difference = (weight + local_slope) - MIN_LOCAL_SHARE * (weight + slope)
    influence = (local_of_cell - MIN_LOCAL_SHARE * of_cell) * direction
    by_block = weight.new_zeros((int(block.max()) + 1, len(weight))).index_add_(0, block, influence)
    return difference * direction, by_block


def _slope_beyond_weight(x: Tensor, errors: Tensor, square: Tensor) -> tuple[Tensor, Tensor]:
    """(T,) slope of the residual (n, T) on x, and (n, T) contributions of cells to its error."""
    slope = x @ errors / square
    return slope, x[:, None] * (errors - x[:, None] * slope) / square


def _p_of_no_excess(excess: Tensor, by_block: Tensor) -> NDArray[np.float64]:
    """(T,) one-sided p of a t-test with blocks as units; 1 where nothing can be tested."""
    n = len(by_block)
    if n < 2:
        return np.ones(len(excess))
    error = (by_block.square().sum(0) * n / (n - 1)).sqrt().cpu().numpy()
    statistic = excess.cpu().numpy() / np.where(error > 0, error, np.inf)
    return np.where(error > 0, student.sf(statistic, n - 1), 1.0)
