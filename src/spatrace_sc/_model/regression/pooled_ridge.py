"""Ridge regression of all targets with one penalty, chosen by the marginal likelihood."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

#: Penalties to try, relative to the mean square of the rows.
PENALTIES = np.logspace(-4, 6, 41)
#: Eigenvalues below this share of the largest count as 0.
MIN_EIGENVALUE = 1e-9
#: Most groups of targets by which the penalty is chosen.
MAX_GROUPS_FOR_CHOICE = 50
#: Smallest variance that is divided by, so that constant targets give no infinite values.
TINY = 1e-300

#: Targets, and the columns that they may have.
Group = tuple[Tensor, Tensor]


class Moments(NamedTuple):
    """Sums of products over ``n`` independent rows of regulators (n, F) and targets (n, G)."""

    gram: Tensor
    """(F, F) of the regulators."""
    cross: Tensor
    """(F, G) of regulators and targets."""
    square: Tensor
    """(G,) of the targets."""
    n: int

    @classmethod
    def of(cls, x: Tensor, y: Tensor, n: int) -> Moments:
        """Moments of rows of which ``n`` are independent."""
        return cls(x.T @ x, x.T @ y, y.square().sum(0), n)

    def at(self, group: Group) -> Moments:
        """Moments of some targets and columns."""
        targets, columns = group
        gram, cross = self.gram[columns][:, columns], self.cross[columns][:, targets]
        return Moments(gram, cross, self.square[targets], self.n)


class Shrunken(NamedTuple):
    """Slopes that ridge regression shrinks towards 0."""

    slope: Tensor
    """(F, G), 0 where the regulator may not act."""
    sd: Tensor
    """(F, G) posterior standard deviations, 0 where nothing can be estimated."""
    penalty: float
    """Variance of the noise over that of the slopes, common to all targets; 0 without slopes."""


def pooled_ridge(moments: Moments, groups: list[Group]) -> Shrunken:
    """Slopes of all targets on the regulators that they may have.

    The model is y_g = X b_g + e_g with b_g ~ N(0, t_g) and e_g ~ N(0, k t_g). The scale t_g of a
    target has its most likely value y_g' inverse(X X' + k) y_g / n. The penalty k maximises the
    marginal likelihood of all targets together, so that few rows suffice to choose it.
    """
    slope, sd = torch.zeros_like(moments.cross), torch.zeros_like(moments.cross)
    groups = [(targets, columns) for targets, columns in groups if len(columns)]
    size = float(moments.gram.trace()) / max(moments.n, 1)
    if moments.n < 1 or size <= 0.0 or not groups:
        return Shrunken(slope, sd, 0.0)
    chosen = groups[:: -(-len(groups) // MAX_GROUPS_FOR_CHOICE)]
    penalties = torch.from_numpy(PENALTIES * size).to(moments.gram)
    likelihood = torch.stack([_log_likelihood(moments.at(g), penalties) for g in chosen]).sum(0)
    best = penalties[likelihood.argmax()]
    for group in groups:
        of_group = moments.at(group)
        value, vector, square, left = _spectrum(of_group)
        inverse = (vector / (value + best)) @ vector.T
        scale = _scale(value, square, left, best[None], of_group.n)
        rows, columns = group[1][:, None], group[0]
        slope[rows, columns] = inverse @ of_group.cross
        sd[rows, columns] = (best * inverse.diagonal()[:, None] * scale).sqrt()
    return Shrunken(slope, sd, float(best))


def target_groups(allowed: Tensor) -> list[Group]:
    """Targets with the columns that ``allowed`` (G, F) gives them.

    Targets that may have every column come together, the others one by one.
    """
    every = allowed.all(1)
    free, others = (torch.nonzero(mask)[:, 0] for mask in (every, ~every))
    return [
        (targets, torch.nonzero(allowed[targets[0]])[:, 0])
        for targets in (free, *others[:, None])
        if len(targets)
    ]


def _spectrum(moments: Moments) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Eigenvalues, eigenvectors, squares (F, G) of the targets along them, and what is left (G,).

    Nothing is left where as many eigenvalues differ from 0 as there are rows.
    """
    value, vector = torch.linalg.eigh(moments.gram)
    present = value > MIN_EIGENVALUE * value.max().clamp_min(0.0)
    value = torch.where(present, value, 0.0)
    square = (vector.T @ moments.cross).square() / value.clamp_min(TINY)[:, None]
    square = torch.where(present[:, None], square, 0.0)
    left = (moments.square - square.sum(0)).clamp_min(0.0)
    return value, vector, square, left * float(int(present.sum()) < moments.n)


def _scale(value: Tensor, square: Tensor, left: Tensor, penalty: Tensor, n: int) -> Tensor:
    """(penalties, G) most likely variance of the slopes."""
    return ((1.0 / (value + penalty[:, None])) @ square + left / penalty[:, None]) / n


def _log_likelihood(moments: Moments, penalty: Tensor) -> Tensor:
    """(penalties,) sums over targets of the log marginal likelihood, without constants."""
    value, _, square, left = _spectrum(moments)
    varies = moments.square > 0
    scale = _scale(value, square, left, penalty, moments.n)[:, varies].clamp_min(TINY)
    log_det = (value + penalty[:, None]).log().sum(1) + (moments.n - len(value)) * penalty.log()
    return -(moments.n * scale.log().sum(1) + varies.sum() * log_det) / 2.0
