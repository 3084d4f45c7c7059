"""A sparse regression as one record: targets on a design, in some cells, at given penalties."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..config import TrainingConfig
from ..records import Weights
from .design import Design
from .gram import Gram, is_worthwhile, slopes_on, solve_on_gram
from .lasso import solve
from .penalty import Penalty
from .strong_set import solve_strong


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
    gram: Gram | None = None
    """Products of all columns that may act, in the cells to fit; None: they are too many."""

    @torch.no_grad()
    def with_gram(self) -> Regression:
        """The same regression with the products of its columns, where these are worthwhile."""
        columns = self.design.columns
        worthwhile = is_worthwhile(len(columns), self.targets.shape[1])
        gram = Gram.of(self.design, self.rows, columns) if worthwhile else None
        return replace(self, gram=gram)

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
        options: dict[str, Any] = {
            "start": start,
            "max_iterations": self.options.max_iterations,
            "tolerance": self.options.tolerance,
            "max_checks": max_checks,
            "among": among,
        }
        y = self.targets[self.rows]
        if self.gram is None:
            return solve(self.design, y, self.rows, lam, self.penalty, **options)
        view, columns = self.design.at(self.rows), self.gram.columns
        slopes = slopes_on(view, columns, y, self.design.block)
        return solve_on_gram(self.gram, slopes, lam, self.penalty, **options)

    @torch.no_grad()
    def solve_strong(self, lam: float, *, start: Weights, among: Tensor) -> Weights:
        """Weights at one λ if few columns can enter; the arguments are those of the function."""
        if self.gram is not None:
            return self.solve(lam, start=start, among=among)
        return solve_strong(
            *(self.design, self.targets[self.rows], self.rows, lam, self.penalty),
            start=start,
            among=among,
            max_iterations=self.options.max_iterations,
            tolerance=self.options.tolerance,
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
