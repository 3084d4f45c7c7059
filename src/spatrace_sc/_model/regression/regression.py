"""A sparse regression as one record: targets on a design, in some cells, at given penalties."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..config import TrainingConfig
from ..records import Weights
from .design import Design
from .lasso import solve
from .penalty import Penalty


@dataclass(frozen=True)
class Regression:
    """A sparse regression that can be solved at any λ."""

    design: Design
    targets: Tensor
    """(N, G) standardised targets of all cells."""
    rows: Tensor
    """(N,) mask of the cells to fit."""
    penalty: Penalty
    options: TrainingConfig

    @torch.no_grad()
    def solve(
        self,
        lam: float,
        *,
        start: Weights | None = None,
        among: Tensor | None = None,
        max_checks: int | None = None,
    ) -> Weights:
        """Weights at one λ; the arguments are those of :func:`.lasso.solve`."""
        return solve(
            self.design,
            self.targets[self.rows],
            self.rows,
            lam,
            self.penalty,
            start=start,
            max_iterations=self.options.max_iterations,
            tolerance=self.options.tolerance,
            max_checks=max_checks,
            among=among,
        )

    @torch.no_grad()
    def r_squared(
        self, weights: Weights, rows: Tensor, gate: Callable[[Tensor], Tensor] | None = None
    ) -> float:
        """Share of the variance of the targets that weights predict in the given cells.

        ``gate`` returns the (N, A) gates of given columns.
        """
        y = self.targets[rows]
        error = self.errors(weights, rows, gate).mean()
        return 1.0 - float(error / (y - y.mean(0)).square().mean())

    @torch.no_grad()
    def errors(
        self, weights: Weights, rows: Tensor, gate: Callable[[Tensor], Tensor] | None = None
    ) -> Tensor:
        """Mean squared error over the targets of each of the given cells."""
        x = self.design[weights.rows]
        if gate is not None:
            x = x * (1.0 + gate(weights.rows))
        return (self.targets[rows] - x[rows] @ weights.values).square().mean(1)
