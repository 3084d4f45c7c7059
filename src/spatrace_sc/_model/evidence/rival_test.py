"""Does a regulator explain its targets better than another would? Asked of cells that took no part in choosing them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from scipy.stats import t as student
from torch import Tensor

#: A mean advantage of less than this share of what the regulator explains is rounding.
ROUNDING = 1e-5


class Blocks:
    """Cells by block of space. ``codes`` (B,) the numbers of the blocks, ascending."""

    def __init__(self, code: Tensor) -> None:
        self.codes, number = torch.unique(code, return_inverse=True)
        self._order = torch.argsort(number, stable=True)
        self._sizes: list[int] = torch.bincount(number, minlength=len(self.codes)).tolist()

    def __len__(self) -> int:
        return len(self.codes)

    def in_order(self, values: Tensor) -> Tensor:
        """(n, ...) the cells of the first block, of the second, and so on."""
        return values[self._order]

    def products(self, x: Tensor, y: Tensor) -> Tensor:
        """(B, K, T) sums over the cells of a block of the products of the columns of x (n, K) and y (n, T), both in order."""
        parts = zip(x.split(self._sizes), y.split(self._sizes), strict=True)
        return torch.stack([a.T @ b for a, b in parts]).double()


class Contest(NamedTuple):
    """A regulator and K that may act in its place, on T targets, in B blocks and R refits.

    ``cross`` (B, 1 + K, T) sums of a regulator, the first column the one in question, times the model's residual; ``square`` and ``shared`` (B, 1 + K) sums of its square and of it times the one in question; ``weight`` (1 + K, T)
    what the model gives to each; ``size`` (R, 1 + K, T) the size of what a refit gives to each; ``fitted`` (R, B) the blocks a refit was made on; ``barred`` (K, T) what may not act.
    """

    cross: Tensor
    square: Tensor
    shared: Tensor
    weight: Tensor
    size: Tensor
    fitted: Tensor
    barred: Tensor


def advantage(contest: Contest) -> tuple[Tensor, Tensor]:
    r"""(B, K) by how much less a block is mispredicted by the regulator than by each that may act in its place, and what it explains itself; NaN in blocks that no refit left out.

    With both parts put back into the residual, :math:`p = e + w x + w' x'`, either explains *p* alone, with a slope from the blocks of a refit and errors in the blocks that it left out. Targets count by the refit's weight on
    them, and only those on which it is the larger of the two and the other may act. The mean is over the refits that left a block out.
    """
    fitted = contest.fitted.double()
    left_out = 1.0 - fitted
    own, square = (
        contest.cross[:, 0] + contest.square[:, :1] * contest.weight[0],
        contest.square[:, 0],
    )
    found: list[Tensor] = []
    explained: list[Tensor] = []
    for k in range(1, contest.cross.shape[1]):
        shared, mine, other = contest.shared[:, k, None], contest.weight[0], contest.weight[k]
        counts = (
            contest.size[:, 0] * (contest.size[:, 0] > contest.size[:, k]) * ~contest.barred[k - 1]
        )
        here = _gain(own + shared * other, square, counts, fitted)
        cross = contest.cross[:, k] + shared * mine + contest.square[:, k, None] * other
        there = _gain(cross, contest.square[:, k], counts, fitted)
        found.append(((here - there) * left_out).sum(0) / left_out.sum(0))
        explained.append((here * left_out).sum(0) / left_out.sum(0))
    return torch.stack(found, dim=1), torch.stack(explained, dim=1)


def _gain(cross: Tensor, square: Tensor, counts: Tensor, fitted: Tensor) -> Tensor:
    """(R, B) squared error that a regulator takes from a block, targets weighed by ``counts`` (R, T), with slopes from the blocks of a refit."""
    slope = (fitted @ cross) / (fitted @ square).clamp_min(1e-12)[:, None]
    weighed = counts * slope
    return 2.0 * weighed @ cross.T - (weighed * slope).sum(1, keepdim=True) * square


def p_of_no_advantage(found: Tensor, explained: Tensor) -> Tensor:
    """(K,) one-sided p that the mean over blocks of (B, K) advantages is not above 0; 1 where it is no more than rounding of what is ``explained``, or fewer than two blocks tell."""
    told = torch.isfinite(found).all(1)
    found, explained = found[told], explained[told]
    n = len(found)
    if n < 2:
        return found.new_ones(found.shape[1])
    mean, error = found.mean(0), found.std(0) / n**0.5
    p = torch.as_tensor(
        student.sf((mean / error.clamp_min(1e-300)).cpu().numpy(), n - 1), device=found.device
    )
    return torch.where(mean.abs() <= ROUNDING * explained.mean(0).abs(), torch.ones_like(p), p)
