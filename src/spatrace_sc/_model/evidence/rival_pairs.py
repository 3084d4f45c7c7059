"""Rivals of pairs as a whole: does a pair explain its targets better than another one would?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..records import Problem, RefitWeights, Weights
from .rival_candidates import Forbidden, barred
from .rival_test import Blocks, Contest, advantage, p_of_no_advantage


class PairsInRefits:
    """Weights of pairs in the refits, and the blocks that the refits were made on."""

    def __init__(self, refits: list[RefitWeights], problem: Problem, blocks: Blocks) -> None:
        self.blocks, self.n_genes, self.n_tfs = blocks, problem.n_tf_genes, problem.n_tfs
        self._refits, self._n_targets = refits, problem.targets.shape[1]
        device = blocks.codes.device
        self.fitted = torch.zeros((len(refits), len(blocks)), dtype=torch.bool, device=device)
        for row, refit in zip(self.fitted, refits, strict=True):
            row[:] = torch.isin(blocks.codes, torch.as_tensor(refit.blocks, device=device))

    @property
    def n_left_out(self) -> int:
        """Number of blocks that any refit left out."""
        return int((~self.fitted).any(0).sum())

    def targets_of(self, pair: int) -> NDArray[np.int64]:
        """(T,) targets that have a weight of the pair in any refit."""
        return np.unique(np.concatenate([target for target, _ in self._of_pair(pair)]))

    def sizes(self, pairs: NDArray[np.int64], targets: NDArray[np.int64]) -> Tensor:
        """(R, pairs, T) absolute weights of pairs on targets."""
        sizes = np.zeros((len(self._refits), len(pairs), len(targets)))
        for column, pair in enumerate(pairs):
            for row, (target, weight) in zip(sizes, self._of_pair(int(pair)), strict=True):
                listed = np.isin(target, targets)
                position = np.searchsorted(targets, target[listed])
                row[column, position] = np.abs(weight[listed])
        return torch.as_tensor(sizes, device=self.fitted.device)

    def _of_pair(self, pair: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.floating]]]:
        """Targets of a pair and its weights on them, refit by refit."""
        first = pair * (self._n_targets + self.n_genes)
        for edge, weight, _ in self._refits:
            low, high = np.searchsorted(edge, [first, first + self._n_targets])
            yield edge[low:high] - first, weight[low:high]


def p_against_rivals(
    refits: PairsInRefits,
    weights: Weights,
    pairs: NDArray[np.int64],
    x: Tensor,
    residual: Tensor,
    forbidden: Forbidden,
) -> NDArray[np.float64]:
    """(K,) p that the first of the pairs has no advantage over each of the others.

    Parameters
    ----------
    refits
        Weights of pairs in the refits.
    weights
        Weights of the model.
    pairs
        (1 + K,) indices of regulators.
    x
        (n, 1 + K) their signals, in the order of the blocks.
    residual
        (n, G) residual of the model, in the order of the blocks.
    forbidden
        Targets that a regulator may not have.
    """
    targets = refits.targets_of(int(pairs[0]))
    weight = weights.values.new_zeros((len(pairs), len(targets)))
    columns = torch.as_tensor(pairs, device=weight.device) - refits.n_genes + refits.n_tfs
    has_weight = torch.isin(columns, weights.rows)
    position = torch.searchsorted(weights.rows, columns)[has_weight]
    weight[has_weight] = weights.values[position][:, targets]
    ones = torch.ones_like(x[:, :1])
    contest = Contest(
        cross=refits.blocks.products(x, residual[:, targets]),
        square=refits.blocks.products(x.square(), ones)[..., 0],
        shared=refits.blocks.products(x, x[:, :1])[..., 0],
        weight=weight.double(),
        size=refits.sizes(pairs, targets),
        fitted=refits.fitted,
        barred=barred(forbidden, pairs[1:], targets).to(x.device),
    )
    return p_of_no_advantage(*advantage(contest)).cpu().numpy()
