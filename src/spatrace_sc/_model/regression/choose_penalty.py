"""Choice of the penalty λ by cross-validation over spatial blocks."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from typing import Any

import torch
from torch import Tensor
from tqdm.auto import tqdm

from ..records import Problem, Weights
from .fista import predict
from .gram import Gram, is_worthwhile, slopes_on, solve_on_gram
from .lasso import largest_penalty, solve
from .penalty import without_prior
from .regression import Regression

#: Share of the gain over covariates that a step of the path must add.
MIN_GAIN_SHARE = 0.01
#: Largest numbers of targets and of cells on which a penalty is chosen.
MAX_TARGETS, MAX_CELLS = 500, 100_000
#: A fit on the path only has to tell which λ predicts best.
SOLVED_ROUGHLY: dict[str, Any] = {"max_iterations": 100, "tolerance": 1e-3, "max_checks": 2}


@torch.no_grad()
def choose_penalty(regression: Regression, problem: Problem, *, progress: bool = False) -> float:
    """The λ of a regression, by cross-validation over spatial blocks.

    It is the largest λ that gives up at most ``penalty_slack`` of the best held-out gain over
    covariates alone (cell type, slice, time). Prediction alone would prefer a smaller penalty and
    admit false edges. A gain over the intercept would count what all cells of a type share.
    """
    path, mean, baseline = errors_along_path(regression, problem, progress=progress)
    if not path:
        return 1.0
    best = float(mean.min())
    gain = max(min(float(baseline), float(mean[0])) - best, 0.0)
    allowed = best + regression.options.penalty_slack * gain
    return path[int(torch.nonzero(mean <= allowed)[0, 0])]


@torch.no_grad()
def errors_along_path(
    regression: Regression, problem: Problem, *, progress: bool = False
) -> tuple[list[float], Tensor, Tensor]:
    """Penalties in descending order, their held-out errors, and the error of covariates alone.

    Errors are squared errors averaged over folds. There is no penalty if nothing varies. The path
    ends once it has twice in a row bought less than 1 % of the gain so far. Larger data are
    thinned evenly to :data:`MAX_TARGETS` targets and :data:`MAX_CELLS` cells. The path starts
    where every weight is 0 without prior knowledge, so that a strong prior does not put the small
    penalties, at which the other edges enter, out of reach.
    """
    regression = _thinned(regression)
    design, y, rows = regression.design, regression.targets, regression.rows
    options, penalty = regression.options, regression.penalty
    fold, n_folds = _folds(problem.block, rows, options.n_folds)
    top = largest_penalty(design, y[rows], rows, without_prior(penalty, problem))
    if top <= 0:
        return [], torch.zeros(0), torch.zeros(())
    steps = range(options.n_penalties)
    path = [top * options.penalty_ratio ** (k / (options.n_penalties - 1)) for k in steps]
    worthwhile = is_worthwhile(len(design.columns), y.shape[1])
    folds = _GramFolds(regression, fold, n_folds) if worthwhile else _CellFolds(regression, fold)
    errors, baseline = torch.zeros(n_folds, len(path)), torch.zeros(n_folds)
    length = len(path)
    bar = tqdm(range(n_folds), desc="choosing λ", disable=not progress, leave=False, delay=5)
    for k in bar:
        baseline[k] = covariate_error(problem.covariates, y, rows & (fold != k), rows & (fold == k))
        weights: Weights | None = None
        n_flat = 0
        for step, lam in enumerate(path[:length]):
            weights = folds.solve(k, lam, weights)
            errors[k, step] = folds.error(k, weights)
            better = float(errors[k, step - 1] - errors[k, step]) if step else torch.inf
            gain = max(float(baseline[k] - errors[k, step]), 0.0)
            n_flat = n_flat + 1 if better < MIN_GAIN_SHARE * gain else 0
            if n_flat == 2:
                length = step + 1
                break
    return path[:length], errors[:, :length].mean(0), baseline.mean()


class _CellFolds:
    """Fits outside a fold, and their errors inside, from the cells."""

    def __init__(self, regression: Regression, fold: Tensor) -> None:
        self._regression, self._fold = regression, fold

    def solve(self, k: int, lam: float, start: Weights | None) -> Weights:
        """Weights of the cells outside fold ``k``."""
        part = self._regression
        rows = part.rows & (self._fold != k)
        targets = part.targets[rows]
        return solve(part.design, targets, rows, lam, part.penalty, start=start, **SOLVED_ROUGHLY)

    def error(self, k: int, weights: Weights) -> Tensor:
        """Squared error in the cells of fold ``k``."""
        part = self._regression
        rows = part.rows & (self._fold == k)
        predicted = predict(part.design.at(rows)[weights.rows], weights.values)
        return (part.targets[rows] - predicted).square().mean()


class _GramFolds:
    """Fits outside a fold, and their errors inside, from the products of every fold."""

    def __init__(self, regression: Regression, fold: Tensor, n_folds: int) -> None:
        design, y, columns = regression.design, regression.targets, regression.design.columns
        masks = [regression.rows & (fold == k) for k in range(n_folds)]
        self._penalty = regression.penalty
        self._grams = [Gram.of(design, mask, columns) for mask in masks]
        self._moments = [
            slopes_on(design.at(mask), columns, y[mask], design.block) * int(mask.sum())
            for mask in masks
        ]
        self._squares = [y[mask].double().square().sum() for mask in masks]
        self._n_targets = y.shape[1]

    def solve(self, k: int, lam: float, start: Weights | None) -> Weights:
        """Weights of the cells outside fold ``k``."""
        others = [j for j in range(len(self._grams)) if j != k]
        gram = reduce(Gram.with_part, (self._grams[j] for j in others))
        moment = torch.stack([self._moments[j] for j in others]).sum(0) / gram.n
        return solve_on_gram(gram, moment, lam, self._penalty, start=start, **SOLVED_ROUGHLY)

    def error(self, k: int, weights: Weights) -> Tensor:
        """Squared error in the cells of fold ``k``."""
        gram, values = self._grams[k], weights.values
        rows = torch.searchsorted(gram.columns, weights.rows)
        explained = gram.sums[rows[:, None], rows] @ values - 2.0 * self._moments[k][rows]
        error: Tensor = self._squares[k] + (values * explained).sum(dtype=torch.float64)
        return (error / (gram.n * self._n_targets)).float()


def _thinned(regression: Regression) -> Regression:
    """The regression on at most MAX_TARGETS targets and MAX_CELLS cells, evenly spaced."""
    y, penalty, rows = regression.targets, regression.penalty, regression.rows
    if y.shape[1] > MAX_TARGETS:
        targets = torch.linspace(0, y.shape[1] - 1, MAX_TARGETS, device=y.device).long()
        y, penalty = y[:, targets].contiguous(), penalty.only(targets)
    if int(rows.sum()) > MAX_CELLS:
        cells = torch.nonzero(rows)[:, 0]
        rows = torch.zeros_like(rows)
        rows[cells[:: -(-len(cells) // MAX_CELLS)]] = True
    return replace(regression, targets=y, penalty=penalty, rows=rows)


def _folds(block: Tensor, rows: Tensor, n_folds: int) -> tuple[Tensor, int]:
    """(N,) fold of every cell by its spatial block, drawn at random, and the number of folds."""
    codes = torch.unique(block[rows])
    n_folds = min(n_folds, len(codes))
    fold = torch.zeros(len(block), dtype=torch.long, device=block.device)
    shuffled = codes[torch.randperm(len(codes)).to(codes.device)]
    for position, code in enumerate(shuffled):
        fold[block == code] = position % n_folds
    return fold, n_folds


def covariate_error(covariates: Tensor, y: Tensor, train: Tensor, test: Tensor) -> Tensor:
    """Held-out squared error of a least-squares fit on covariates and an intercept."""
    x = torch.cat([covariates, torch.ones_like(covariates[:, :1])], dim=1).double()
    ridge = 1e-3 * int(train.sum()) * torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    gram = x[train].T @ x[train] + ridge
    slope = torch.linalg.solve(gram, x[train].T @ y[train].double())
    residual: Tensor = y[test] - x[test] @ slope
    return residual.square().mean().float()
