"""How strongly to penalise: λ by held-out blocks, and the pair-level second pass."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from tqdm.auto import tqdm

from ..config import TrainingConfig
from ..records import Problem, Weights
from .design import Design
from .fista import predict
from .lasso import Penalty, largest_penalty, solve

#: Bounds of the factors of the second pass.
SMALLEST, LARGEST = 0.6, 3.0


#: Share of the gain over covariates that a step of the path must add.
ENOUGH = 0.01
#: Targets and cells on which a penalty is chosen.
MOST_TARGETS, MOST_CELLS = 500, 100_000


@torch.no_grad()
def choose_penalty(
    design: Design,
    y: Tensor,
    problem: Problem,
    rows: Tensor,
    penalty: Penalty,
    config: TrainingConfig,
    *,
    progress: bool = False,
) -> float:
    """λ by cross-validation over spatial blocks.

    Errors are averaged over folds at penalties from the one that keeps nothing downwards; the path ends when it has twice in a row bought less than 1 % of the gain so far. Returned is the largest λ
    that gives up at most ``penalty_slack`` of the best gain over covariates alone (cell type, slice, time): prediction alone prefers a smaller penalty and admits false edges, and
    a gain over the intercept would count what every cell of a type has in common.
    """
    path, mean, baseline = errors_along_path(
        design, y, problem, rows, penalty, config, progress=progress
    )
    if not path:
        return 1.0
    best = float(mean.min())
    allowed = best + config.penalty_slack * max(min(float(baseline), float(mean[0])) - best, 0.0)
    return path[int(torch.nonzero(mean <= allowed)[0, 0])]


@torch.no_grad()
def errors_along_path(
    design: Design,
    y: Tensor,
    problem: Problem,
    rows: Tensor,
    penalty: Penalty,
    config: TrainingConfig,
    *,
    progress: bool = False,
) -> tuple[list[float], Tensor, Tensor]:
    """Penalties in descending order, their held-out squared errors averaged over folds, and the error of covariates alone. No penalty where nothing varies.

    Of more than :data:`MOST_TARGETS` targets and :data:`MOST_CELLS` cells, so many, evenly spaced, are looked at. The path begins where nothing is kept without prior knowledge: a prior, however strong, does not take the small penalties from it at which the other edges enter.
    """
    if y.shape[1] > MOST_TARGETS:
        some = torch.linspace(0, y.shape[1] - 1, MOST_TARGETS, device=y.device).long()
        y, penalty = y[:, some].contiguous(), penalty.only(some)
    if int(rows.sum()) > MOST_CELLS:
        cells = torch.nonzero(rows)[:, 0]
        rows = torch.zeros_like(rows)
        rows[cells[:: -(-len(cells) // MOST_CELLS)]] = True
    block = problem.block
    codes = torch.unique(block[rows])
    n_folds = min(config.n_folds, len(codes))
    fold = torch.zeros(len(block), dtype=torch.long, device=block.device)
    shuffled = codes[torch.randperm(len(codes)).to(codes.device)]
    for number, code in enumerate(shuffled):
        fold[block == code] = number % n_folds
    top = largest_penalty(design, y[rows], rows, without_prior(penalty, problem))
    if top <= 0:
        return [], torch.zeros(0), torch.zeros(())
    path = [
        top * config.penalty_ratio ** (k / (config.n_penalties - 1))
        for k in range(config.n_penalties)
    ]
    errors, baseline = torch.zeros(n_folds, len(path)), torch.zeros(n_folds)
    reached = len(path)
    for number in tqdm(
        range(n_folds), desc="choosing λ", disable=not progress, leave=False, delay=5
    ):
        train, test = rows & (fold != number), rows & (fold == number)
        baseline[number] = covariate_error(problem.covariates, y, train, test)
        weights: Weights | None = None
        flat = 0
        for step, lam in enumerate(path[:reached]):
            weights = solve(
                design,
                y[train],
                train,
                lam,
                penalty,
                start=weights,
                max_iterations=100,
                tolerance=1e-3,
                max_checks=2,
            )
            errors[number, step] = (
                (y[test] - predict(design.at(test)[weights.rows], weights.values)).square().mean()
            )
            better = float(errors[number, step - 1] - errors[number, step]) if step else torch.inf
            flat = (
                flat + 1
                if better < ENOUGH * max(float(baseline[number] - errors[number, step]), 0.0)
                else 0
            )
            if flat == 2:
                reached = step + 1
                break
    return path[:reached], errors[:, :reached].mean(0), baseline.mean()


def without_prior(penalty: Penalty, problem: Problem) -> Penalty:
    """The same with every pair that may act at 1 and without factors of TF edges."""
    row = penalty.row.clone()
    pairs = slice(problem.n_tfs, problem.n_tfs + problem.n_pairs)
    row[pairs] = torch.where(torch.isfinite(row[pairs]), 1.0, row[pairs])
    return replace(penalty, row=row, tf=None)


def covariate_error(covariates: Tensor, y: Tensor, train: Tensor, test: Tensor) -> Tensor:
    """Held-out squared error of a least-squares fit on covariates and an intercept."""
    x = torch.cat([covariates, torch.ones_like(covariates[:, :1])], dim=1).double()
    gram = x[train].T @ x[train] + 1e-3 * int(train.sum()) * torch.eye(
        x.shape[1], dtype=x.dtype, device=x.device
    )
    slope = torch.linalg.solve(gram, x[train].T @ y[train].double())
    left: Tensor = y[test] - x[test] @ slope
    return left.square().mean().float()


def strength_factors(weights: Weights, problem: Problem, floor: float) -> Tensor:
    r"""Factor on each regulator's penalty for the second pass: pairs that regulate strongly are penalised less, the others more.

    With :math:`n_r = \|W_{r\cdot}\|_2` and :math:`s = \sum n_r^2 / \sum n_r`, the typical strength of the pairs that act, a pair's factor is :math:`1 / (floor + n_r / s)`, within 0.6
    to 3: a pair either acts, on several genes, or it does not. TFs and covariates keep 1: every TF acts on something. Weights beyond the problem's regulators (decoys) are not looked at.
    """
    factor = torch.ones(problem.n_regulators, device=weights.values.device)
    norm = torch.zeros_like(factor)
    real = weights.rows < len(norm)
    norm[weights.rows[real]] = weights.values[real].norm(dim=1)
    pairs = slice(problem.n_tfs, problem.n_tfs + problem.n_pairs)
    strength = norm[pairs]
    typical = strength.square().sum() / strength.sum().clamp_min(1e-12)
    if typical > 0:
        factor[pairs] = (1.0 / (floor + strength / typical)).clamp(SMALLEST, LARGEST)
    return factor
