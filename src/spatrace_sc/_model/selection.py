"""How strongly to penalise: λ by held-out blocks, and the pair-level second pass."""

from __future__ import annotations

import torch
from torch import Tensor

from .config import TrainingConfig
from .design import Design
from .records import Problem, Weights
from .sparse import Penalty, largest_penalty, solve


@torch.no_grad()
def choose_penalty(
    design: Design, y: Tensor, block: Tensor, rows: Tensor, penalty: Penalty, config: TrainingConfig
) -> float:
    """λ by cross-validation over spatial blocks.

    Errors are averaged over folds at penalties from the one that keeps nothing downwards; the path ends when the error has risen three times.
    Returned is the largest λ that gives up at most ``penalty_slack`` of the best gain over the intercept: prediction alone prefers a smaller penalty and
    admits false edges.
    """
    codes = torch.unique(block[rows])
    n_folds = min(config.n_folds, len(codes))
    fold = torch.zeros(len(block), dtype=torch.long, device=block.device)
    shuffled = codes[torch.randperm(len(codes)).to(codes.device)]
    for number, code in enumerate(shuffled):
        fold[block == code] = number % n_folds
    top = largest_penalty(design, y[rows], rows, penalty)
    if top <= 0:
        return 1.0
    path = [top * config.penalty_ratio ** (k / (config.n_penalties - 1)) for k in range(config.n_penalties)]
    errors = torch.zeros(n_folds, len(path))
    reached = len(path)
    for number in range(n_folds):
        train, test = rows & (fold != number), rows & (fold == number)
        weights: Weights | None = None
        rising = 0
        for step, lam in enumerate(path[:reached]):
            weights = solve(
                design, y[train], train, lam, penalty, start=weights, max_iterations=100, tolerance=1e-3, max_checks=3
            )
            errors[number, step] = (y[test] - design[weights.rows][test] @ weights.values).square().mean()
            rising = rising + 1 if step and errors[number, step] > errors[number, step - 1] else 0
            if rising == 3:
                reached = step + 1
                break
    mean = errors[:, :reached].mean(0)
    best = float(mean.min())
    allowed = best + config.penalty_slack * (float(mean[0]) - best)
    return path[int(torch.nonzero(mean <= allowed)[0, 0])]


def pair_factors(weights: Weights, problem: Problem, floor: float, n_kinds: int = 1) -> Tensor:
    r"""Factor on each regulator's penalty for the second pass: pairs that regulate strongly are penalised less, the others more.

    With :math:`n_p = \|W_{p\cdot}\|_2` and :math:`s = \sum n_p^2 / \sum n_p`, the typical strength of pairs that act, a pair's factor is
    :math:`1 / (floor + n_p / s)`, within 0.3 to 3; other regulators keep 1. ``n_kinds`` blocks of pairs (real and decoys) follow each other at the end.
    """
    n_f, n_p, n_c = problem.n_tfs, problem.n_pairs, problem.covariates.shape[1]
    total = n_f + n_p + n_c if n_kinds == 1 else 2 * n_f + n_c + n_kinds * n_p
    norm = torch.zeros(total, device=weights.values.device)
    norm[weights.rows] = weights.values.norm(dim=1)
    is_pair = torch.zeros(total, dtype=torch.bool, device=norm.device)
    is_pair[n_f : n_f + n_p] = True
    if n_kinds > 1:
        is_pair[-(n_kinds - 1) * n_p :] = True
    strength = norm[is_pair]
    typical = strength.square().sum() / strength.sum().clamp_min(1e-12)
    factor = torch.ones_like(norm)
    if typical > 0:
        factor[is_pair] = (1.0 / (floor + strength / typical)).clamp(0.3, 3.0)
    return factor
