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
from .rival_edges import contribution

#: Share of its slope that an edge of a pair, or of a TF, must exceed among neighbouring cells. A
#: signal is a sum over neighbours, so a field reaches even its differences. A TF is read in one
#: cell.
MIN_LOCAL_SHARE, MIN_LOCAL_SHARE_OF_TFS = 2 / 3, 1 / 2
#: A signal that varies less among neighbours, relative to its variance, is not tested.
MIN_LOCAL_VARIANCE = 1e-6
#: Smallest share of the variance of a signal that is not count noise.
MIN_RELIABILITY = 0.05


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
def local_test_of_tfs(
    problem: Problem, fit: Fit, edges: NDArray[np.integer], neighbours: Tensor
) -> NDArray[np.float64]:
    """(E,) p of edges (E, 2) of TF genes on targets, tested like those of pairs.

    Half of the slope must be local. The signal is the level of the TF as counted in the cell. Its
    count noise D is taken out of both slopes: of the variance of differences from k neighbours it
    is D (1 + 1/k).
    """
    design, residual = residual_of(problem, fit)
    view, usable = design.at(problem.usable), problem.usable
    block = torch.unique(problem.block[usable], return_inverse=True)[1]
    neighbours = neighbours.to(block.device)
    errors = residual.values - residual.values.mean(0)
    local_errors = differences_from_neighbours(errors, neighbours)
    n_neighbours = (neighbours >= 0).sum(1)
    factor = (n_neighbours > 0) * (1.0 + 1.0 / n_neighbours.clamp_min(1))
    p_value = np.ones(len(edges))
    for tf in np.unique(edges[:, 0]):
        level = problem.tf_count[usable, int(tf)].double()
        sd = level.std(correction=0).clamp_min(1e-12)
        x, noise = (level - level.mean()) / sd, problem.tf_noise[int(tf)].double() / sd**2
        rows = np.flatnonzero(edges[:, 0] == tf)
        targets = edges[rows, 1]
        part = contribution(view, fit.weights, problem, int(tf), targets).double()
        local_x, local_part = (differences_from_neighbours(v, neighbours) for v in (x, part))
        signals = (
            _Signal(x, errors[:, targets] + part, noise.expand_as(x)),
            _Signal(local_x, local_errors[:, targets] + local_part, noise * factor),
        )
        p_value[rows] = _p_of_no_excess(*_excess(*signals, block, MIN_LOCAL_SHARE_OF_TFS))
    return p_value


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
    neighbours = neighbours.to(block.device)
    errors = residual.values - residual.values.mean(0)
    local_errors = differences_from_neighbours(errors, neighbours)
    no_noise = errors.new_zeros(len(errors), dtype=torch.float64)
    p_edge, p_pair = np.ones(len(edges)), np.ones(len(pairs))
    for pair in np.union1d(edges[:, 0], pairs):
        column = torch.tensor([problem.n_tfs + int(pair)], device=errors.device)
        x = view[column][0].double()
        weight = _weights_of(fit.weights, int(column), errors.shape[1]).double()
        rows = np.flatnonzero(edges[:, 0] == pair)
        listed = torch.as_tensor(edges[rows, 1], dtype=torch.long, device=errors.device)
        targets = torch.unique(torch.cat([listed, torch.nonzero(weight)[:, 0]]))
        if not len(targets):
            continue
        local_x = differences_from_neighbours(x, neighbours)
        signals = (
            _Signal(x, errors[:, targets] + x[:, None] * weight[targets], no_noise),
            _Signal(
                *(local_x, local_errors[:, targets] + local_x[:, None] * weight[targets]), no_noise
            ),
        )
        excess, by_block = _excess(*signals, block, MIN_LOCAL_SHARE)
        of_edges = _p_of_no_excess(excess, by_block)
        p_edge[rows] = of_edges[torch.searchsorted(targets, listed).cpu().numpy()]
        size = weight[targets].abs()
        together = _p_of_no_excess((excess * size).sum()[None], (by_block * size).sum(1)[:, None])
        p_pair[pairs == pair] = together[0] if bool((size > 0).any()) else 1.0
    return LocalTest(p_edge, p_pair)


def _weights_of(weights: Weights, column: int, n_targets: int) -> Tensor:
    """(G,) weights of one column."""
    row = torch.nonzero(weights.rows == column)[:, 0]
    return weights.values[row].sum(0) if len(row) else weights.values.new_zeros(n_targets)


class _Signal(NamedTuple):
    """A signal, the targets that it explains alone, and its count noise."""

    x: Tensor
    """(n,) signal, or its differences from neighbours."""
    y: Tensor
    """(n, T) residual with the contribution of the signal put back, or its differences."""
    noise: Tensor
    """(n,) variance of counting."""

    def slope(self) -> tuple[Tensor, Tensor]:
        """(T,) slope without count noise, and (n, T) contributions of cells to its error."""
        x = self.x - self.x.mean()
        square = (x.square() - self.noise).sum().clamp_min(MIN_RELIABILITY * x.square().sum())
        slope = x @ self.y / square
        error = x[:, None] * (self.y - x[:, None] * slope) + self.noise[:, None] * slope
        return slope, error / square


def _excess(
    everywhere: _Signal, local: _Signal, block: Tensor, share: float
) -> tuple[Tensor, Tensor]:
    """(T,) excess of the local slope over its minimum, and (B, T) errors of it by block."""
    by_block = everywhere.y.new_zeros((int(block.max()) + 1, everywhere.y.shape[1]))
    if local.x.square().sum() <= MIN_LOCAL_VARIANCE * everywhere.x.square().sum():
        return by_block[0], by_block
    (slope, error), (local_slope, local_error) = everywhere.slope(), local.slope()
    direction = torch.sign(slope)
    difference = local_slope - share * slope
    influence = (local_error - share * error) * direction
    return difference * direction, by_block.index_add_(0, block, influence)


def _p_of_no_excess(excess: Tensor, by_block: Tensor) -> NDArray[np.float64]:
    """(T,) one-sided p of a t-test with blocks as units; 1 where nothing can be tested."""
    n = len(by_block)
    if n < 2:
        return np.ones(len(excess))
    error = (by_block.square().sum(0) * n / (n - 1)).sqrt().cpu().numpy()
    statistic = excess.cpu().numpy() / np.where(error > 0, error, np.inf)
    return np.where(error > 0, student.sf(statistic, n - 1), 1.0)
