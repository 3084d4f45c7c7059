"""Sparse regression of all targets on all regulators at once: proximal gradient on a working set, checked against every column."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from .design import Design, View
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

    def only(self, targets: Tensor) -> Penalty:
        """That of some targets, ascending."""
        here = torch.isin(self.forbidden[1], targets)
        forbidden = torch.stack([self.forbidden[0][here], torch.searchsorted(targets, self.forbidden[1][here])])
        return replace(self, forbidden=forbidden, tf=None if self.tf is None else self.tf[:, targets])

    def scaled(self, factor: Tensor) -> Penalty:
        """The same with each row's penalty multiplied."""
        return replace(self, row=self.row * factor)


def largest_penalty(design: Design, targets: Tensor, rows: Tensor, penalty: Penalty) -> float:
    """Smallest λ at which every weight is zero."""
    top, view = 0.0, design.at(rows)
    for c in design.blocks():
        top = max(top, float((view.slopes(c, targets).abs_() / penalty.of(c, targets.shape[1])).max()))
    return top


#: Columns that a target may gain in one check; of many collinear ones the strongest are enough.
MOST_NEW = 20
#: Floats of the columns gathered for one batch of targets; 24 M are 96 MB.
BATCH = 24_000_000


#: How much cheaper a product with one shared matrix is than with many small ones, per number multiplied.
TOGETHER = 20


class Working(NamedTuple):
    """Columns in use: ``rows`` (U,) ascending, ``values`` (U, G) weights, ``active`` (U, G) which of them a target may use, ``x`` (U, n)."""

    rows: Tensor
    values: Tensor
    active: Tensor
    x: Tensor


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
    max_checks: int = 20,
    among: Tensor | None = None,
) -> Weights:
    r"""Minimise :math:`\frac{1}{2n} \|Y - XW\|^2 + \lambda \sum_{rg} pen_{rg} |W_{rg}|` over the given rows.

    Every target has a working set of its own, which grows by the columns that violate its optimality conditions; accelerated proximal gradient descends on the sets, many targets at
    a time.

    Parameters
    ----------
    design
        X, standardised.
    targets
        (n, G), standardised; the rows ``rows`` of the data.
    lam
        λ.
    start
        Weights to begin with.
    max_checks
        Looks at all columns for violations.
    among
        Columns that may enter, ascending. None: all.

    Returns
    -------
    Weights, exactly zero where the penalty holds; columns without a weight are left out. The optimality conditions hold for every column, in the working
    sets or not, up to 1 % of λ, unless ``max_checks`` ran out.
    """
    start = (
        Weights(torch.empty(0, dtype=torch.long, device=targets.device), targets.new_zeros((0, targets.shape[1])), lam)
        if start is None
        else start
    )
    view = design.at(rows)
    working = Working(start.rows, start.values, start.values != 0, view[start.rows])
    for check in range(max_checks):
        residual = targets - working.x.T @ working.values
        new, mask = _violating(design, view, residual, 1.01 * lam, penalty, working, among)
        if check and not len(new):
            break
        working = _grow(view, working, new, mask)
        if not len(working.rows):
            break
        threshold = lam * penalty.of(working.rows, targets.shape[1])
        values = _descend(working, targets, threshold.expand_as(working.values), max_iterations, tolerance)
        working = working._replace(values=values, active=values != 0)
    kept = (working.values != 0).any(1)
    return Weights(working.rows[kept], working.values[kept], lam)


def _violating(
    design: Design,
    view: View,
    residual: Tensor,
    reach: float,
    penalty: Penalty,
    working: Working,
    among: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Columns whose slope exceeds ``reach`` × penalty for a target that does not use them, and (columns, G) for which; at most :data:`MOST_NEW` per target."""
    n_targets = residual.shape[1]
    place = torch.full((design.n_columns,), -1, dtype=torch.long, device=residual.device)
    place[working.rows] = torch.arange(len(working.rows), device=residual.device)
    best, column = residual.new_zeros((0, n_targets)), working.rows.new_zeros((0, n_targets))
    for c in design.blocks(among):
        score = view.slopes(c, residual / reach).abs_().div_(penalty.of(c, n_targets))
        used = place[c] >= 0
        score[used] *= ~working.active[place[c[used]]]
        best, at = torch.cat([best, score]).topk(min(MOST_NEW, len(best) + len(c)), dim=0)
        column = torch.cat([column, c[:, None].expand(-1, n_targets)]).gather(0, at)
    over = best > 1.0
    new = torch.unique(column[over])
    mask = torch.zeros((len(new), n_targets), dtype=torch.bool, device=residual.device)
    mask[torch.searchsorted(new, column[over]), over.nonzero()[:, 1]] = True
    return new, mask


def _grow(view: View, working: Working, new: Tensor, mask: Tensor) -> Working:
    """Working set with the new columns, without those that no target uses any more."""
    merged = torch.unique(torch.cat([working.rows, new]))
    values = working.values.new_zeros((len(merged), working.values.shape[1]))
    active = torch.zeros_like(values, dtype=torch.bool)
    before, added = torch.searchsorted(merged, working.rows), torch.searchsorted(merged, new)
    values[before], active[before] = working.values, working.active
    active[added] |= mask
    kept = active.any(1)
    return Working(merged[kept], values[kept], active[kept], view[merged[kept]])


def _descend(working: Working, targets: Tensor, threshold: Tensor, max_iterations: int, tolerance: float) -> Tensor:
    """Solve every target on its working set; all on the union of the sets where that is cheaper."""
    size = working.active.sum(0)
    together, apart = len(working.rows) ** 2 * targets.shape[1], TOGETHER * int((size**2).sum())
    solver = _together if together <= apart else _apart
    return solver(working, targets, threshold, max_iterations, tolerance)


def _together(working: Working, targets: Tensor, threshold: Tensor, max_iterations: int, tolerance: float) -> Tensor:
    """One Gram matrix for all targets, which may use every column of the union."""
    n = len(targets)
    gram, moment = working.x @ working.x.T / n, (working.x @ targets).T / n
    top = _largest_eigenvalue(gram[None]).expand(len(moment), 1)
    return _fista(
        lambda v: v @ gram, top, moment, threshold.T, working.values.T, max_iterations, tolerance
    ).T.contiguous()


def _apart(working: Working, targets: Tensor, threshold: Tensor, max_iterations: int, tolerance: float) -> Tensor:
    """A Gram matrix for every target, in batches of targets with sets of like size."""
    n, device = len(targets), targets.device
    size = working.active.sum(0)
    order = torch.argsort(size, descending=True, stable=True)
    solved = torch.zeros_like(working.values)
    low, n_targets = 0, int((size > 0).sum())
    while low < n_targets:
        width = int(size[order[low]])
        some = order[low : min(n_targets, low + max(1, BATCH // (width * max(width, n))))]
        low += len(some)
        which, row = working.active[:, some].T.nonzero(as_tuple=True)
        first = torch.cumsum(size[some], 0) - size[some]
        slot = torch.arange(len(which), device=device) - first[which]
        index = torch.zeros((len(some), width), dtype=torch.long, device=device)
        index[which, slot] = row
        valid = torch.zeros_like(index, dtype=torch.bool)
        valid[which, slot] = True
        x = working.x[index] * valid[:, :, None]
        gram, moment = x @ x.transpose(1, 2) / n, (x @ targets[:, some].T[:, :, None])[:, :, 0] / n
        column = some[:, None].expand_as(index)
        begin = working.values[index, column] * valid
        weights = _fista(
            partial(_apply, gram),
            _largest_eigenvalue(gram),
            moment,
            threshold[index, column],
            begin,
            max_iterations,
            tolerance,
        )
        solved[index[valid], column[valid]] = weights[valid]
    return solved


def _apply(gram: Tensor, vectors: Tensor) -> Tensor:
    """(T, A, A) times (T, A)."""
    return torch.bmm(gram, vectors[:, :, None])[:, :, 0]


def _fista(
    multiply: Callable[[Tensor], Tensor],
    top: Tensor,
    moment: Tensor,
    threshold: Tensor,
    weights: Tensor,
    max_iterations: int,
    tolerance: float,
) -> Tensor:
    """Accelerated proximal gradient with restart on (T, A) weights. ``multiply`` applies the Gram matrices, whose largest eigenvalues are ``top`` (T, 1).

    A target whose step is found too long halves it and begins again.
    """
    step = 1.0 / (top + 1e-12)
    start, ahead, momentum = weights, weights, torch.ones_like(step)
    limit = 100.0 * (1.0 + start.abs().amax(1, keepdim=True))
    reach = step * threshold
    for iteration in range(max_iterations):
        moved = ahead - step * (multiply(ahead) - moment)
        new = moved - torch.clamp(moved, -reach, reach)
        change = new - weights
        if iteration % 10 == 9:
            largest = change.abs().amax(1, keepdim=True)
            if float(largest.max()) < tolerance:
                return new
            wild = ~(largest < limit)
            if bool(wild.any()):
                step = torch.where(wild, step / 2.0, step)
                reach = step * threshold
                momentum = torch.where(wild, 1.0, momentum)
                weights, ahead = torch.where(wild, start, new), torch.where(wild, start, new)
                continue
        downhill = ((ahead - new) * change).sum(1, keepdim=True) <= 0
        following = (1.0 + torch.sqrt(1.0 + 4.0 * momentum * momentum)) / 2.0
        ahead = new + downhill * (momentum - 1.0) / following * change
        weights, momentum = new, torch.where(downhill, following, 1.0)
    return weights


def _largest_eigenvalue(gram: Tensor) -> Tensor:
    """(T, 1) upper bound in practice: power iteration with a margin, capped by the 1-norm."""
    spread = torch.arange(gram.shape[1], device=gram.device)
    vector = ((0.5 + spread / len(spread)) * torch.where(spread % 3 > 0, 1.0, -1.0)).expand(gram.shape[:2])
    vector = vector / vector.norm(dim=1, keepdim=True)
    for _ in range(40):
        vector = _apply(gram, vector)
        vector = vector / vector.norm(dim=1, keepdim=True).clamp_min(1e-12)
    value = torch.einsum("ti,tij,tj->t", vector, gram, vector)
    return torch.minimum(1.1 * value, gram.abs().sum(2).amax(1))[:, None]
