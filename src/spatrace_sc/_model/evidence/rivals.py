"""Regulators that the data cannot tell apart."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import t as student
from torch import Tensor

from ..fit import Fit
from ..records import Member, Problem, Weights
from ..regression.design import Design, View
from .edge_strength import left_by
from .rival_test import Blocks, Contest, advantage, p_of_no_advantage

logger = logging.getLogger("spatrace_sc")

#: Rivals of an edge correlate at least so strongly with the regulator; at most so many, the strongest, are tried.
ALIKE, MOST_RIVALS = 0.5, 30
#: The same of pairs that could act in the place of one as a whole; and so many more of those that are in question themselves. Signals measured with noise correlate less than what they measure.
FAINTLY_ALIKE, MOST_IN_QUESTION = 0.2, 70
#: With fewer blocks that a refit left out hardly any pair is told from those that resemble it.
FEW_BLOCKS = 6
#: A rival is told apart when the chance of such a difference, were they equally good, is below this.
LEVEL = 0.01
#: Targets of one regulator that are looked at together.
AT_ONCE = 256
#: Targets that a regulator may not have.
Forbidden = dict[int, list[int]]


@dataclass(frozen=True)
class Rivals:
    """Regulators that could stand in for one that has edges, by numbers: TF genes first, then ligand–receptor pairs.

    Of single edges ``regulator``, ``rival`` and ``target``, a row for each rival that is not told apart. Of pairs as a whole ``pair``, ``stand_in`` and ``p_value``, a row for each other pair that was tried: the p of "the pair has no advantage over it".
    """

    regulator: NDArray[np.int64]
    rival: NDArray[np.int64]
    target: NDArray[np.int64]
    pair: NDArray[np.int64]
    stand_in: NDArray[np.int64]
    p_value: NDArray[np.float64]


@torch.no_grad()
def find_rivals(
    problem: Problem,
    fit: Fit,
    edges: NDArray[np.integer],
    pairs: NDArray[np.integer],
    members: list[Member],
) -> Rivals:
    r"""Who could carry an edge, or all edges of a pair, instead.

    Of an edge r → g, take the model's residual with r's part put back, :math:`p`, and fit it by r alone or by a rival r' alone. With the squared errors of both, summed by block of space,
    :math:`d_b = \sum_{i \in b} [(p_i - w' x_{ir'})^2 - (p_i - w x_{ir})^2]`, the rival is *not told apart* unless :math:`\sum_b d_b` is larger than 0 at the 1 % level (one-sided t-test over blocks, Vuong).
    Only regulators with \|r\| ≥ 0.5 are rivals: one that is not alike and explains as much acts beside it, not in its place.

    A pair as a whole is compared with other pairs on the targets that the refits give it more than to the other, and out of sample (:func:`spatrace_sc._model.evidence.rival_test.advantage`): which targets, how much each counts and the
    slopes come from the blocks of a refit, the errors from those that it left out. The parts of both are put back. Otherwise a pair that merely resembles one that acts keeps what the noise in the measured signal of that one
    leaves over, on all its targets at once.

    Parameters
    ----------
    edges
        (edges, 2) regulator and target.
    pairs
        Pairs that are compared as a whole.
    members
        Weights of the refits.
    """
    rows = problem.usable
    design, rest = left_by(problem, fit)
    view, blocks = design.at(rows), Blocks(problem.block[rows])
    residual = blocks.in_order(rest.residual)
    first = problem.n_tfs - problem.n_tf_genes
    forbidden, refits = _forbidden(problem), _Refits(members, problem, blocks)
    found, tried, p_values = (
        [np.empty((3, 0), dtype=np.int64)],
        [np.empty((2, 0), dtype=np.int64)],
        [np.empty(0)],
    )
    regulators = np.union1d(edges[:, 0], pairs).astype(np.int64)
    for regulator, rivals, others in zip(
        regulators, *_alike(design, first, problem, regulators, pairs), strict=True
    ):
        numbers = np.r_[regulator, np.union1d(rivals, others)]
        if len(numbers) == 1:
            continue
        x = torch.cat(
            [view[torch.tensor([first + k], device=rows.device)] for k in numbers.tolist()]
        ).T
        x = blocks.in_order(x)
        targets = np.sort(edges[edges[:, 0] == regulator, 1])
        if len(rivals) and len(targets):
            here = np.r_[0, 1 + np.searchsorted(numbers[1:], rivals)]
            part = blocks.in_order(_part(view, fit.weights, problem, int(regulator), targets))
            same = _not_told_apart(
                residual[:, targets] + part, x[:, here], blocks, _barred(forbidden, rivals, targets)
            )
            rival, target = np.nonzero(same)
            found.append(np.stack([np.full(len(rival), regulator), rivals[rival], targets[target]]))
        if len(others):
            here = np.r_[0, 1 + np.searchsorted(numbers[1:], others)]
            p_values.append(
                _p_as_a_whole(refits, fit.weights, numbers[here], x[:, here], residual, forbidden)
            )
            tried.append(np.stack([np.full(len(others), regulator), others]))
    regulator_of, rival_of, target_of = np.hstack(found)
    pair_of, stand_in_of = np.hstack(tried)
    if len(pairs) and refits.n_left_out < FEW_BLOCKS:
        logger.warning(
            "Only %d blocks of space were left out by a refit: pairs can hardly be told from those that resemble them, and their q stays large. Config(n_blocks=...) makes smaller blocks; EvidenceConfig(sample_share=...) leaves more out.",
            refits.n_left_out,
        )
    return Rivals(regulator_of, rival_of, target_of, pair_of, stand_in_of, np.concatenate(p_values))


class _Refits:
    """What the refits give to a pair, and where they were made."""

    def __init__(self, members: list[Member], problem: Problem, blocks: Blocks) -> None:
        self.blocks, self.n_genes, self.n_tfs = blocks, problem.n_tf_genes, problem.n_tfs
        self._members, self._n_targets = members, problem.targets.shape[1]
        self.fitted = torch.zeros(
            (len(members), len(blocks)), dtype=torch.bool, device=blocks.codes.device
        )
        for row, member in zip(self.fitted, members, strict=True):
            row[:] = torch.isin(blocks.codes, torch.as_tensor(member.blocks, device=row.device))

    @property
    def n_left_out(self) -> int:
        """Blocks that any refit left out."""
        return int((~self.fitted).any(0).sum())

    def of(self, pair: int) -> NDArray[np.int64]:
        """(T,) targets that any refit gives to a pair."""
        return np.unique(np.concatenate([edge for edge, _ in self._of_each(pair)]))

    def sizes(self, pairs: NDArray[np.int64], targets: NDArray[np.int64]) -> Tensor:
        """(R, pairs, T) sizes of the refits' weights."""
        sizes = np.zeros((len(self._members), len(pairs), len(targets)))
        for column, pair in enumerate(pairs):
            for row, (number, weight) in zip(sizes, self._of_each(int(pair)), strict=True):
                here = np.isin(number, targets)
                row[column, np.searchsorted(targets, number[here])] = np.abs(weight[here])
        return torch.as_tensor(sizes, device=self.fitted.device)

    def _of_each(self, pair: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.floating]]]:
        """Targets of a pair and its weights on them, refit by refit."""
        first = pair * (self._n_targets + self.n_genes)
        for edge, weight, _ in self._members:
            low, high = np.searchsorted(edge, [first, first + self._n_targets])
            yield edge[low:high] - first, weight[low:high]


def _p_as_a_whole(
    refits: _Refits,
    weights: Weights,
    numbers: NDArray[np.int64],
    x: Tensor,
    residual: Tensor,
    forbidden: Forbidden,
) -> NDArray[np.float64]:
    """(K,) p that the first pair of ``numbers`` has no advantage over each other; ``x`` (n, 1 + K) their signals, in order of blocks as the ``residual``."""
    targets = refits.of(int(numbers[0]))
    dense = weights.values.new_zeros((len(numbers), len(targets)))
    wanted = torch.as_tensor(numbers, device=dense.device) - refits.n_genes + refits.n_tfs
    has = torch.isin(wanted, weights.rows)
    dense[has] = weights.values[torch.searchsorted(weights.rows, wanted)[has]][:, targets]
    contest = Contest(
        cross=refits.blocks.products(x, residual[:, targets]),
        square=refits.blocks.products(x.square(), torch.ones_like(x[:, :1]))[..., 0],
        shared=refits.blocks.products(x, x[:, :1])[..., 0],
        weight=dense.double(),
        size=refits.sizes(numbers, targets),
        fitted=refits.fitted,
        barred=_barred(forbidden, numbers[1:], targets).to(x.device),
    )
    return p_of_no_advantage(*advantage(contest)).cpu().numpy()


def _barred(
    forbidden: Forbidden, rivals: NDArray[np.integer], targets: NDArray[np.integer]
) -> Tensor:
    """(rivals, targets) edges that may not exist."""
    return torch.tensor(
        np.array([np.isin(targets, forbidden.get(int(k), [])) for k in rivals], dtype=bool)
    )


def _alike(
    design: Design,
    first: int,
    problem: Problem,
    regulators: NDArray[np.integer],
    pairs: NDArray[np.integer],
) -> tuple[list[NDArray[np.int64]], list[NDArray[np.int64]]]:
    """Numbers of the rivals of every regulator, ascending, and of the pairs that could act in the place of each that is in question, empty for the others. Of TFs their levels now are compared."""
    if not len(regulators):
        return [], []
    device, n_f = problem.targets.device, problem.n_tf_genes
    columns = torch.arange(first, problem.n_tfs + problem.n_pairs, device=device)
    chosen, asked = (
        torch.as_tensor(k, dtype=torch.long, device=device) for k in (regulators, pairs)
    )
    view = design.at(problem.usable)
    own = view[columns[chosen]].T
    likeness = torch.cat([view.slopes(c, own) for c in design.blocks(columns)]).abs()
    likeness[chosen, torch.arange(len(chosen), device=device)] = 0.0
    rivals = _most(likeness, MOST_RIVALS) & (likeness >= ALIKE)
    others = torch.zeros_like(rivals)
    others[n_f:] = _most(likeness[n_f:], MOST_RIVALS)
    others[asked] |= _most(likeness[asked], MOST_IN_QUESTION)
    others &= (likeness >= FAINTLY_ALIKE) & torch.isin(chosen, asked)
    rivals_of, others_of = (
        [torch.nonzero(c)[:, 0].cpu().numpy() for c in near.T] for near in (rivals, others)
    )
    return rivals_of, others_of


def _most(likeness: Tensor, n: int) -> Tensor:
    """The n largest of every column."""
    near = torch.zeros_like(likeness, dtype=torch.bool)
    return near.scatter_(0, likeness.topk(min(n, len(likeness)), dim=0).indices, True)


def _part(
    view: View, weights: Weights, problem: Problem, regulator: int, targets: NDArray[np.integer]
) -> Tensor:
    """(n, targets) what the regulator contributes to the prediction: a TF by all its columns."""
    column = weights.rows
    if regulator < problem.n_tf_genes:
        mine = torch.zeros_like(column, dtype=torch.bool)
        mine[column < problem.n_tfs] = problem.tf_gene[column[column < problem.n_tfs]] == regulator
    else:
        mine = column == problem.n_tfs + regulator - problem.n_tf_genes
    return view[column[mine]].T @ weights.values[mine][:, targets]


def _differences(partial: Tensor, x: Tensor, blocks: Blocks) -> Tensor:
    """(blocks, rivals, targets) squared error with a rival less squared error with the regulator, the first column of x."""
    # (p − w x)² = p² − 2 w x p + w² x²; p² is the same for all
    square = blocks.products(x.square(), torch.ones_like(x[:, :1]))
    cross = blocks.products(x, partial)
    slope = cross.sum(0) / square.sum(0).clamp_min(1e-12)
    total = slope**2 * square - 2.0 * slope * cross
    return total[:, 1:] - total[:, :1]


def _not_told_apart(
    partial: Tensor, x: Tensor, blocks: Blocks, barred: Tensor
) -> NDArray[np.bool_]:
    """(rivals, targets) whether the mean difference over blocks fails to exceed 0, of rivals that may act; targets in pieces."""
    same = []
    for y, may_not in zip(partial.split(AT_ONCE, dim=1), barred.split(AT_ONCE, dim=1), strict=True):
        same.append(~_exceeds(_differences(y, x, blocks)) & ~may_not.to(x.device))
    return torch.cat(same, dim=1).cpu().numpy()


def _exceeds(worse: Tensor) -> Tensor:
    """(rivals, targets) whether the mean of (blocks, rivals, targets) differences is above 0 at the level."""
    n = len(worse)
    mean, sd = worse.mean(0), worse.std(0)
    exceeds: Tensor = mean > float(student.isf(LEVEL, max(n - 1, 1))) * sd / n**0.5
    return exceeds


def _forbidden(problem: Problem) -> Forbidden:
    """Targets of edges that may not exist, by regulator, TF genes first."""
    regulator, target = problem.forbidden.cpu().numpy()
    kept = (regulator < problem.n_tf_genes) | (regulator >= problem.n_tfs)
    number = np.where(
        regulator < problem.n_tfs, regulator, regulator - problem.n_tfs + problem.n_tf_genes
    )
    targets: Forbidden = defaultdict(list)
    for one, other in zip(number[kept].tolist(), target[kept].tolist(), strict=True):
        targets[one].append(other)
    return targets
