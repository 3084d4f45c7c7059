"""Penalties of edges."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..records import Problem


@dataclass(frozen=True)
class Penalty:
    """Relative penalty of every edge, infinite where an edge may not exist."""

    row: Tensor
    """(columns,) penalty of every regulator."""
    forbidden: Tensor
    """(2, edges) column and target of forbidden edges."""
    tf: Tensor | None = None
    """(TF genes, G) factors on the penalties of TF edges, or None."""
    tf_of: Tensor | None = None
    """(columns,) row of ``tf`` for every column; -1 for a column that is no TF."""

    def of(self, columns: Tensor, n_targets: int) -> Tensor:
        """(A, G) penalties of some columns; (A, 1) where all targets share them."""
        value = self.row[columns][:, None]
        if self.tf is None and not self.forbidden.shape[1]:
            return value
        value = value.expand(-1, n_targets).clone()
        position = torch.full((len(self.row),), -1, dtype=torch.long, device=columns.device)
        position[columns] = torch.arange(len(columns), device=columns.device)
        if self.tf is not None and self.tf_of is not None:
            tf = self.tf_of[columns]
            value[tf >= 0] *= self.tf[tf[tf >= 0]]
        rows = position[self.forbidden[0]]
        value[rows[rows >= 0], self.forbidden[1][rows >= 0]] = torch.inf
        return value

    def only(self, targets: Tensor) -> Penalty:
        """Penalty of a subset of the targets, ascending."""
        regulator, target = self.forbidden[:, torch.isin(self.forbidden[1], targets)]
        forbidden = torch.stack([regulator, torch.searchsorted(targets, target)])
        tf = None if self.tf is None else self.tf[:, targets]
        return replace(self, forbidden=forbidden, tf=tf)

    def scaled(self, factor: Tensor) -> Penalty:
        """Penalty with each row multiplied by its factor."""
        return replace(self, row=self.row * factor)


def base_penalty(problem: Problem) -> Penalty:
    """Penalty of the real regulators in the first pass."""
    tf_of = torch.full((problem.n_regulators,), -1, dtype=torch.long, device=problem.penalty.device)
    tf_of[: problem.n_tfs] = problem.tf_gene
    return Penalty(problem.penalty, problem.forbidden, problem.tf_penalty, tf_of)


def without_prior(penalty: Penalty, problem: Problem) -> Penalty:
    """Penalty with 1 for every pair that may act, and without factors on TF edges."""
    row = penalty.row.clone()
    pairs = problem.pair_slice
    row[pairs] = torch.where(torch.isfinite(row[pairs]), 1.0, row[pairs])
    return replace(penalty, row=row, tf=None)
