"""Out-of-sample test whether a regulator explains its targets better than a rival would.

Errors come from cells that took no part in choosing the targets or the slopes.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from scipy.stats import t as student
from torch import Tensor

#: A mean advantage below this share of what the regulator explains is rounding error.
MIN_RELATIVE_ADVANTAGE = 1e-5


class Blocks:
    """Cells by spatial block. ``codes`` (B,) are the codes of the blocks, ascending."""

    def __init__(self, code: Tensor) -> None:
        self.codes, index = torch.unique(code, return_inverse=True)
        self._order = torch.argsort(index, stable=True)
        self._sizes: list[int] = torch.bincount(index, minlength=len(self.codes)).tolist()

    def __len__(self) -> int:
        return len(self.codes)

    def in_order(self, values: Tensor) -> Tensor:
        """(n, ...) values, first those of the first block, then those of the second, and so on."""
        return values[self._order]

    def products(self, x: Tensor, y: Tensor) -> Tensor:
        """(B, K, T) sums over the cells of each block of columns of x (n, K) times y (n, T).

        Both are in the order of the blocks.
        """
        parts = zip(x.split(self._sizes), y.split(self._sizes), strict=True)
        return torch.stack([a.T @ b for a, b in parts]).double()


class Contest(NamedTuple):
    """A regulator and its K rivals on T targets, in B blocks and R refits.

    Index 0 is the regulator in question where there are 1 + K of them.
    """

    cross: Tensor
    """(B, 1 + K, T) sums of each regulator times the residual of the model."""
    square: Tensor
    """(B, 1 + K) sums of the square of each regulator."""
    shared: Tensor
    """(B, 1 + K) sums of each regulator times the one in question."""
    weight: Tensor
    """(1 + K, T) weights in the model."""
    size: Tensor
    """(R, 1 + K, T) absolute weights in each refit."""
    fitted: Tensor
    """(R, B) whether a refit was made on a block."""
    barred: Tensor
    """(K, T) whether a rival may not act on a target."""


def advantage(contest: Contest) -> tuple[Tensor, Tensor]:
    """(B, K) advantage of the regulator over each rival, and the error that it explains itself.

    The advantage is the squared error of a block with the rival less that with the regulator.
    Both contributions are put back into the residual, p = e + w x + w' x', and either explains p
    alone. Slopes come from the blocks of a refit, errors from the blocks that it left out. Targets
    count by the weight that the refit gives the regulator, if it exceeds that of the rival and
    the rival may act. The mean is over the refits that left a block out; blocks that none left
    out are NaN.
    """
    fitted = contest.fitted.double()
    left_out = 1.0 - fitted
    square, weight = contest.square[:, 0], contest.weight[0]
    cross_itself = contest.cross[:, 0] + contest.square[:, :1] * weight
    advantages: list[Tensor] = []
    explained: list[Tensor] = []
    for k in range(1, contest.cross.shape[1]):
        shared, rival_weight = contest.shared[:, k, None], contest.weight[k]
        stronger = contest.size[:, 0] > contest.size[:, k]
        counts = contest.size[:, 0] * stronger * ~contest.barred[k - 1]
        gain = _gain(cross_itself + shared * rival_weight, square, counts, fitted)
        rival_square = contest.square[:, k]
        rival_cross = contest.cross[:, k] + shared * weight + rival_square[:, None] * rival_weight
        rival_gain = _gain(rival_cross, rival_square, counts, fitted)
        advantages.append(((gain - rival_gain) * left_out).sum(0) / left_out.sum(0))
        explained.append((gain * left_out).sum(0) / left_out.sum(0))
    return torch.stack(advantages, dim=1), torch.stack(explained, dim=1)


def _gain(cross: Tensor, square: Tensor, counts: Tensor, fitted: Tensor) -> Tensor:
    """(R, B) squared error of a block that a regulator explains.

    Slopes come from the blocks of a refit, and ``counts`` (R, T) weigh the targets.
    """
    slope = (fitted @ cross) / (fitted @ square).clamp_min(1e-12)[:, None]
    weighted = counts * slope
    return 2.0 * weighted @ cross.T - (weighted * slope).sum(1, keepdim=True) * square


def p_of_no_advantage(advantages: Tensor, explained: Tensor) -> Tensor:
    """(K,) one-sided p that the mean over blocks of (B, K) advantages does not exceed 0.

    It is 1 where the mean is no more than rounding of what is ``explained``, or where fewer than
    two blocks have an advantage.
    """
    known = torch.isfinite(advantages).all(1)
    advantages, explained = advantages[known], explained[known]
    n = len(advantages)
    if n < 2:
        return advantages.new_ones(advantages.shape[1])
    mean, error = advantages.mean(0), advantages.std(0) / n**0.5
    statistic = (mean / error.clamp_min(1e-300)).cpu().numpy()
    p = torch.as_tensor(student.sf(statistic, n - 1), device=advantages.device)
    negligible = mean.abs() <= MIN_RELATIVE_ADVANTAGE * explained.mean(0).abs()
    return torch.where(negligible, torch.ones_like(p), p)
