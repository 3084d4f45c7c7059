"""Regulators that resemble another one, and edges that may not exist."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..records import Problem
from ..regression.design import Design

#: Smallest absolute correlation of a rival of a single edge with the regulator, and the largest
#: number of rivals that are tried, the most similar first.
MIN_CORRELATION, MAX_RIVALS = 0.5, 30
#: Smallest absolute correlation of a rival of a pair as a whole. Signals that are measured with
#: noise correlate less than what they measure.
MIN_PAIR_CORRELATION = 0.2
#: Further rivals of a pair among the pairs that are tested themselves.
MAX_TESTED_RIVALS = 70
#: Targets that a regulator may not have, by regulator.
Forbidden = Mapping[int, list[int]]


def similar_regulators(
    design: Design,
    problem: Problem,
    regulators: NDArray[np.integer],
    pairs: NDArray[np.integer],
) -> tuple[list[NDArray[np.int64]], list[NDArray[np.int64]]]:
    """Rivals of each regulator for single edges, and rivals of each pair as a whole.

    Regulators are TF genes first, then pairs; indices are ascending. Rivals as a whole are pairs,
    and none for a regulator that is not among ``pairs``. TFs are compared by their levels now.
    """
    if not len(regulators):
        return [], []
    device, n_f = problem.targets.device, problem.n_tf_genes
    columns = torch.arange(first_column(problem), problem.pair_columns.stop, device=device)
    chosen, tested = (
        torch.as_tensor(index, dtype=torch.long, device=device) for index in (regulators, pairs)
    )
    view = design.at(problem.usable)
    values = view[columns[chosen]].T
    correlation = torch.cat([view.slopes(c, values) for c in design.blocks(columns)]).abs()
    correlation[chosen, torch.arange(len(chosen), device=device)] = 0.0
    of_edges = _largest(correlation, MAX_RIVALS) & (correlation >= MIN_CORRELATION)
    of_pairs = torch.zeros_like(of_edges)
    of_pairs[n_f:] = _largest(correlation[n_f:], MAX_RIVALS)
    of_pairs[tested] |= _largest(correlation[tested], MAX_TESTED_RIVALS)
    of_pairs &= (correlation >= MIN_PAIR_CORRELATION) & torch.isin(chosen, tested)
    rivals_of_edges, rivals_of_pairs = (
        [torch.nonzero(column)[:, 0].cpu().numpy() for column in mask.T]
        for mask in (of_edges, of_pairs)
    )
    return rivals_of_edges, rivals_of_pairs


def first_column(problem: Problem) -> int:
    """Column of regulator 0, the level now of the first TF gene."""
    return problem.n_tfs - problem.n_tf_genes


def _largest(correlation: Tensor, n: int) -> Tensor:
    """Mask of the n largest entries of every column."""
    mask = torch.zeros_like(correlation, dtype=torch.bool)
    largest = correlation.topk(min(n, len(correlation)), dim=0).indices
    return mask.scatter_(0, largest, True)


def forbidden_targets(problem: Problem) -> Forbidden:
    """Targets of edges that may not exist, by regulator, TF genes first."""
    column, target = problem.forbidden.cpu().numpy()
    # of the two columns of a TF gene one is enough
    counts = (column < problem.n_tf_genes) | (column >= problem.n_tfs)
    shift = problem.n_tfs - problem.n_tf_genes
    regulator = np.where(column < problem.n_tfs, column, column - shift)
    targets: dict[int, list[int]] = defaultdict(list)
    for key, value in zip(regulator[counts].tolist(), target[counts].tolist(), strict=True):
        targets[key].append(value)
    return targets


def barred(
    forbidden: Forbidden, rivals: NDArray[np.integer], targets: NDArray[np.integer]
) -> Tensor:
    """(rivals, targets) whether an edge may not exist."""
    rows = [np.isin(targets, forbidden.get(int(rival), [])) for rival in rivals]
    return torch.tensor(np.array(rows, dtype=bool))
