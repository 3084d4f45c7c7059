"""Effects of TFs within and between the groups of cells that the covariates describe."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import t as student
from torch import Tensor

from ..records import Problem
from ..regression.design import standard
from ..regression.pooled_ridge import Group, Moments, Shrunken, pooled_ridge, target_groups
from ..runtime.memory import TARGET_BATCH
from .positive_definite import solve

#: Singular values of the covariates below this share of the largest count as 0.
MIN_SINGULAR_VALUE = 1e-5
#: Largest p of a part on which an edge rests, for one edge, not corrected for their number.
MAX_P = 0.05
#: Codes of what an edge rests on: their sum where it is both.
NEITHER, WITHIN, BETWEEN = 0, 1, 2

Array = NDArray[np.float64]


@dataclass(frozen=True)
class WithinBetween:
    """Effects of TFs on targets within groups of cells and between them.

    All are in standard deviations of the target per standard deviation of the TF, over all
    cells. What cannot be estimated is NaN.
    """

    within: Array
    """(TF genes, G) slopes of what the covariates leave of the target."""
    within_se: Array
    """(TF genes, G) standard errors over spatial blocks."""
    between: Array
    """(TF genes, G) slopes of what the covariates predict of the target."""
    between_se: Array
    """(TF genes, G) posterior standard deviations."""
    n_blocks: int
    """Spatial blocks, the units of ``within_se``."""
    n_directions: int
    """Linearly independent covariates, the units of ``between_se``."""

    def rests_on(self, effect: Array, edge: tuple[NDArray[np.integer], ...]) -> NDArray[np.int64]:
        """Return the code of what the effects of some edges rest on.

        An effect rests on a part that has its sign and differs from 0, p ≤ 0.05 in a t-test with
        blocks - 1 degrees of freedom, or as many as directions.
        """
        parts = (
            (WITHIN, self.within, self.within_se, self.n_blocks - 1),
            (BETWEEN, self.between, self.between_se, self.n_directions),
        )
        code = np.full(effect.shape, NEITHER)
        for name, slope, se, freedom in parts:
            z = np.sign(effect) * slope[edge] / se[edge]
            code += name * (z > student.isf(MAX_P / 2.0, max(freedom, 1)))
        return code


@torch.no_grad()
def within_between(problem: Problem) -> WithinBetween:
    """Effects of all TFs on every target, within the groups of cells and between them.

    The covariates are cell type, slice and the course of time, and those that the user named.
    With P the projection on them, least squares splits the filtered level x_f of every TF and
    every target y_g in two:

    - y_g - P y_g = sum over f of b_fg (x_f - P x_f) + e_g, ``within``;
    - P y_g = sum over f of c_fg P x_f + u_g, ``between``.

    Both are ridge regressions on all TFs together (:func:`pooled_ridge`). A cause acts in both
    parts. A confounder that differs between groups, and nothing else, acts in c only.

    ``between`` has as many independent observations as there are independent covariates, often
    fewer than TFs. Its standard error is therefore the posterior standard deviation, which
    includes what these few observations do not determine. ``within`` has cells as observations.
    They are correlated in space, so its standard error is that of a sum over blocks.
    """
    rows = problem.usable
    x = standard(problem.history.tf_now[rows].double())
    y = standard(problem.targets[rows].double())
    basis = _basis(problem.group_covariates[rows].double())
    n_directions, n_within = basis.shape[1], len(x) - basis.shape[1] - 1
    x_between, y_between = basis.T @ x, basis.T @ y
    x, y = x - basis @ x_between, y - basis @ y_between
    groups = target_groups(problem.may_regulate)
    within = pooled_ridge(Moments.of(x, y, n_within), groups)
    between = pooled_ridge(Moments.of(x_between, y_between, n_directions), groups)
    block = torch.unique(problem.block[rows], return_inverse=True)[1]
    error = _block_errors(x, y, within, block, groups)
    return WithinBetween(
        *_known(within.slope, error),
        *_known(between.slope, between.sd),
        n_blocks=int(block.max()) + 1,
        n_directions=n_directions,
    )


def _basis(covariates: Tensor) -> Tensor:
    """(n, directions) orthonormal basis of the centred covariates."""
    left, size, _ = torch.linalg.svd(covariates - covariates.mean(0), full_matrices=False)
    basis: Tensor = left[:, size > MIN_SINGULAR_VALUE * size[:1]]
    return basis


def _block_errors(
    x: Tensor, y: Tensor, ridge: Shrunken, block: Tensor, groups: list[Group]
) -> Tensor:
    """(F, G) standard errors of ridge slopes whose residuals are correlated within blocks.

    They are 0 where there is a single block.
    """
    error = torch.zeros_like(ridge.slope)
    n_blocks = int(block.max()) + 1
    if n_blocks < 2 or ridge.penalty == 0.0:
        return error
    order, sizes = block.argsort(), torch.bincount(block).tolist()
    parts = x[order].split(sizes)
    gram = x.T @ x
    gram.diagonal().add_(ridge.penalty)
    for targets, columns in groups:
        for some in targets.split(TARGET_BATCH):
            residual = (y[:, some] - x @ ridge.slope[:, some])[order].split(sizes)
            pairs = zip(parts, residual, strict=True)
            scores = torch.stack([cells.T @ rest for cells, rest in pairs])[:, columns]
            moved = solve(gram[columns][:, columns], scores)
            total = moved.square().sum(0) * n_blocks / (n_blocks - 1)
            error[columns[:, None], some] = total.sqrt()
    return error


def _known(slope: Tensor, error: Tensor) -> tuple[Array, Array]:
    """Slopes and standard errors; NaN where an edge may not exist or nothing varies."""
    known = error > 0
    slope, error = (torch.where(known, values, torch.nan) for values in (slope, error))
    return slope.cpu().numpy(), error.cpu().numpy()
