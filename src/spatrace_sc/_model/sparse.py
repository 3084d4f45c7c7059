"""Sparse regression of all targets on all regulators at once: proximal gradient on a working set, checked against every column."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .design import Design
from .records import Weights


@dataclass(frozen=True)
class Penalty:
    """Relative penalty of every edge.

    ``row`` (columns,); times ``tf`` (F, G) for columns whose ``tf_of`` (columns,) is not -1; infinite for ``forbidden`` (2, edges).
    """

    row: Tensor
    forbidden: Tensor
    tf: Tensor | None = None
    tf_of: Tensor | None = None

    def of(self, columns: Tensor, n_targets: int) -> Tensor:
        """(A, G) or, when all targets share it, (A, 1)."""
        value = self.row[columns][:, None]
        if self.tf is None and not self.forbidden.shape[1]:
            return value
        value = value.expand(-1, n_targets).clone()
        place = torch.full((len(self.row),), -1, dtype=torch.long, device=columns.device)
        place[columns] = torch.arange(len(columns), device=columns.device)
        if self.tf is not None and self.tf_of is not None:
            tf = self.tf_of[columns]
            value[tf >= 0] *= self.tf[tf[tf >= 0]]
        rows = place[self.forbidden[0]]
        value[rows[rows >= 0], self.forbidden[1][rows >= 0]] = torch.inf
        return value

    def scaled(self, factor: Tensor) -> Penalty:
        """The same with each row's penalty multiplied."""
        return replace(self, row=self.row * factor)


def correlations(design: Design, columns: Tensor, values: Tensor, rows: Tensor) -> Tensor:
    """(A, G): ``X[rows, columns]ᵀ values / n`` in blocks of columns."""
    return torch.cat([design[c][rows].T @ values for c in design.blocks(columns)]) / len(values)


def largest_penalty(design: Design, targets: Tensor, rows: Tensor, penalty: Penalty) -> float:
    """Smallest λ at which every weight is zero."""
    top = 0.0
    for c in design.blocks():
        score = (design[c][rows].T @ targets).abs() / len(targets) / penalty.of(c, targets.shape[1])
        top = max(top, float(score.max()))
    return top


def solve(
    design: Design,
    targets: Tensor,
    rows: Tensor,
    lam: float,
    penalty: Penalty,
    *,
    start: Weights | None = None,
    max_iterations: int = 300,
    tolerance: float = 1e-4,
    max_checks: int = 8,
) -> Weights:
    r"""Minimise :math:`\frac{1}{2n} \|Y - XW\|^2 + \lambda \sum_{rg} pen_{rg} |W_{rg}|` over the given rows.

    Parameters
    ----------
    design
        X, standardised.
    targets
        (n, G), standardised; the rows ``rows`` of the data.
    lam
        λ.
    start
        Weights to begin with; their columns begin the working set.

    Returns
    -------
    Weights, exactly zero where the penalty holds; columns without a weight are left out. The optimality conditions hold for every column, in the working
    set or not, up to 1 % of λ.
    """
    device, n_targets = targets.device, targets.shape[1]
    working = start.rows if start is not None else torch.empty(0, dtype=torch.long, device=device)
    weights = start.values if start is not None else targets.new_zeros((0, n_targets))
    for _ in range(max_checks):
        residual = targets - (design[working][rows] @ weights if len(working) else 0.0)
        new = _violating(design, residual, rows, lam, penalty, working)
        if start is None or len(new) or _ == 0:
            working, weights = _grow(working, weights, new)
            if not len(working):
                break
            x = design[working][rows]
            weights = _fista(x, targets, lam * penalty.of(working, n_targets), weights, max_iterations, tolerance)
        if not len(new):
            break
    kept = (weights != 0).any(1)
    return Weights(working[kept], weights[kept], lam)


def _violating(design: Design, residual: Tensor, rows: Tensor, lam: float, penalty: Penalty, working: Tensor) -> Tensor:
    found = []
    inside = torch.zeros(design.n_columns, dtype=torch.bool, device=residual.device)
    inside[working] = True
    for c in design.blocks(torch.nonzero(~inside)[:, 0]):
        score = (design[c][rows].T @ residual).abs() / len(residual)
        found.append(c[(score > 1.01 * lam * penalty.of(c, residual.shape[1])).any(1)])
    return torch.cat(found) if found else working[:0]


def _grow(working: Tensor, weights: Tensor, new: Tensor) -> tuple[Tensor, Tensor]:
    columns = torch.cat([working, new])
    values = torch.cat([weights, weights.new_zeros((len(new), weights.shape[1]))])
    order = torch.argsort(columns)
    return columns[order], values[order]


def _fista(x: Tensor, y: Tensor, threshold: Tensor, weights: Tensor, max_iterations: int, tolerance: float) -> Tensor:
    """Accelerated proximal gradient with restart, on the Gram matrix. A step found too long is halved and the descent begun again."""
    n = len(x)
    gram, moment = x.T @ x / n, x.T @ y / n
    step = 1.0 / (_largest_eigenvalue(gram) + 1e-12)
    start, ahead, momentum = weights, weights, 1.0
    limit = 100.0 * (1.0 + float(start.abs().max()))
    for iteration in range(max_iterations):
        moved = ahead - step * (gram @ ahead - moment)
        new = torch.sign(moved) * (moved.abs() - step * threshold).clamp_min(0.0)
        change = new - weights
        if iteration % 10 == 9:
            largest = float(change.abs().max())
            if not largest < limit:
                step, weights, ahead, momentum = step / 2.0, start, start, 1.0
                continue
            if largest < tolerance:
                return new
        uphill = float(((ahead - new) * change).sum()) > 0
        following = 1.0 if uphill else (1.0 + (1.0 + 4.0 * momentum**2) ** 0.5) / 2.0
        ahead = new if uphill else new + (momentum - 1.0) / following * change
        weights, momentum = new, following
    return weights


def _largest_eigenvalue(gram: Tensor) -> float:
    """Upper bound in practice: exact when small, otherwise power iteration with a margin, capped by the 1-norm."""
    if len(gram) <= 256:
        return 1.001 * float(torch.linalg.eigvalsh(gram.double())[-1])
    vector = torch.linspace(0.5, 1.5, len(gram), device=gram.device) * torch.where(
        torch.arange(len(gram), device=gram.device) % 3 > 0, 1.0, -1.0
    )
    for _ in range(60):
        vector = gram @ vector
        vector = vector / vector.norm().clamp_min(1e-12)
    return min(1.1 * float(vector @ (gram @ vector)), float(gram.abs().sum(0).max()))
