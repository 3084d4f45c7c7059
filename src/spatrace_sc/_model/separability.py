"""Regulators that the data cannot tell apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import t as student
from torch import Tensor

from .design import Design, View
from .fit import Fit
from .records import Problem, Weights
from .strength import left_by

#: Rivals correlate at least so strongly with the regulator; at most so many, the strongest, are tried.
ALIKE, MOST_RIVALS = 0.5, 30
#: A rival is told apart when the chance of such a difference, were they equally good, is below this.
LEVEL = 0.01


@dataclass(frozen=True)
class Rivals:
    """Regulators that could stand in for one that has edges: ``regulator`` and ``rival`` (pairs of numbers: TF genes first, then ligand–receptor pairs), ``target`` the target, −1 for all that the regulator has."""

    regulator: NDArray[np.int64]
    rival: NDArray[np.int64]
    target: NDArray[np.int64]


@torch.no_grad()
def find_rivals(problem: Problem, fit: Fit, edges: NDArray[np.integer]) -> Rivals:
    r"""Who could carry an edge instead.

    Of an edge r → g, take the model's residual with r's part put back, :math:`p`, and fit it by r alone or by a rival r' alone. With the squared errors of both, summed by block of space,
    :math:`d_b = \sum_{i \in b} [(p_i - w' x_{ir'})^2 - (p_i - w x_{ir})^2]`, the rival is *not told apart* unless :math:`\sum_b d_b` is larger than 0 at the 1 % level (one-sided t-test over blocks, Vuong).
    Only regulators with \|r\| ≥ 0.5 are rivals: one that is not alike and explains as much acts beside it, not in its place. For a pair as a whole the errors of all its edges are summed, and
    its rivals are pairs.

    Parameters
    ----------
    edges
        (edges, 2) regulator and target.

    Returns
    -------
    One row for each regulator that could stand in.
    """
    rows = problem.usable
    design, rest = left_by(problem, fit)
    view, residual = design.at(rows), rest.residual
    block = torch.unique(problem.block[rows], return_inverse=True)[1]
    columns = torch.arange(problem.n_tfs - problem.n_tf_genes, problem.n_tfs + problem.n_pairs, device=rows.device)
    found: list[tuple[int, int, int]] = []
    forbidden = _forbidden(problem)
    regulators = np.unique(edges[:, 0])
    for regulator, rivals in zip(regulators, _alike(design, columns, regulators, rows), strict=True):
        targets = np.sort(edges[edges[:, 0] == regulator, 1])
        if not len(rivals):
            continue
        x = torch.cat([view[columns[[k]]] for k in (int(regulator), *rivals.tolist())]).T
        partial = residual[:, targets] + _part(view, fit.weights, problem, int(regulator), targets)
        worse = _differences(partial, x, block)
        blocked = torch.tensor([[(int(k), int(g)) in forbidden for g in targets] for k in rivals])
        worse[:, blocked.to(worse.device)] = torch.inf
        same = _not_told_apart(worse).cpu().numpy()
        found += [(int(regulator), int(rivals[k]), int(targets[g])) for k, g in zip(*np.nonzero(same), strict=True)]
        if regulator >= problem.n_tf_genes:
            pairs = rivals >= problem.n_tf_genes
            if not pairs.any():
                continue
            whole = _not_told_apart(worse[:, pairs].nan_to_num(posinf=1e30).sum(2, keepdim=True))[:, 0].cpu().numpy()
            found += [(int(regulator), int(k), -1) for k in rivals[pairs][whole]]
    table = np.array(found, dtype=np.int64).reshape(-1, 3)
    return Rivals(table[:, 0], table[:, 1], table[:, 2])


def _alike(design: Design, columns: Tensor, regulators: NDArray[np.integer], rows: Tensor) -> list[NDArray[np.int64]]:
    """Numbers of the rivals of every regulator, ascending; of TFs their levels now are compared."""
    if not len(regulators):
        return []
    view = design.at(rows)
    own = view[columns[torch.as_tensor(regulators, device=columns.device)]].T
    likeness = torch.cat([view.slopes(c, own) for c in design.blocks(columns)]).abs()
    likeness[torch.as_tensor(regulators, device=columns.device), torch.arange(len(regulators))] = 0.0
    strongest = likeness.topk(min(MOST_RIVALS, len(likeness)), dim=0)
    return [
        index[value >= ALIKE].sort().values.cpu().numpy()
        for index, value in zip(strongest.indices.T, strongest.values.T, strict=True)
    ]


def _part(view: View, weights: Weights, problem: Problem, regulator: int, targets: NDArray[np.integer]) -> Tensor:
    """(n, targets) what the regulator contributes to the prediction: a TF by all its columns."""
    column = weights.rows
    if regulator < problem.n_tf_genes:
        mine = torch.zeros_like(column, dtype=torch.bool)
        mine[column < problem.n_tfs] = problem.tf_gene[column[column < problem.n_tfs]] == regulator
    else:
        mine = column == problem.n_tfs + regulator - problem.n_tf_genes
    return view[column[mine]].T @ weights.values[mine][:, targets]


def _differences(partial: Tensor, x: Tensor, block: Tensor) -> Tensor:
    """(blocks, rivals, targets) squared error with a rival less squared error with the regulator, the first column of x."""
    slope = x.T @ partial / x.square().sum(0).clamp_min(1e-12)[:, None]
    n_blocks = int(block.max()) + 1
    # (p − w x)² = p² − 2 w x p + w² x²; p² is the same for all
    square = x.new_zeros((n_blocks, x.shape[1])).index_add_(0, block, x.square())
    total = x.new_zeros((n_blocks, x.shape[1], partial.shape[1]))
    for target in range(partial.shape[1]):
        cross = x.new_zeros((n_blocks, x.shape[1])).index_add_(0, block, x * partial[:, target : target + 1])
        w = slope[:, target]
        total[:, :, target] = w**2 * square - 2.0 * w * cross
    return total[:, 1:] - total[:, :1]


def _not_told_apart(worse: Tensor) -> Tensor:
    """(rivals, targets) whether the mean difference over blocks fails to exceed 0."""
    n = len(worse)
    mean, sd = worse.mean(0), worse.std(0)
    limit = float(student.isf(LEVEL, max(n - 1, 1)))
    exceeds: Tensor = mean > limit * sd / n**0.5
    return ~exceeds & mean.isfinite()


def _forbidden(problem: Problem) -> set[tuple[int, int]]:
    """Regulators, TF genes first, and targets of edges that may not exist."""
    regulator, target = problem.forbidden.cpu().numpy()
    kept = (regulator < problem.n_tf_genes) | (regulator >= problem.n_tfs)
    number = np.where(regulator < problem.n_tfs, regulator, regulator - problem.n_tfs + problem.n_tf_genes)
    return set(zip(number[kept].tolist(), target[kept].tolist(), strict=True))
