"""Second pass of a fit, in which strong pairs are penalised less than weak ones."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ..records import Problem, Weights
from .regression import Regression

#: Bounds of the factors on the penalties.
MIN_FACTOR, MAX_FACTOR = 0.6, 3.0


def strength_factors(weights: Weights, problem: Problem, floor: float) -> Tensor:
    """(regulators,) factors on the penalties of the second pass, from first-pass weights.

    With n_r the norm of the weights of pair r and s = sum n² / sum n, the typical strength of the
    pairs that act, the factor of a pair is 1 / (floor + n_r / s), within 0.6 to 3. A pair either
    acts on several genes or it does not act. TFs and covariates keep 1, because every TF acts on
    something. Weights beyond the regulators of the problem, those of decoys, do not count.
    """
    factor = torch.ones(problem.n_regulators, device=weights.values.device)
    norm = torch.zeros_like(factor)
    real = weights.rows < len(norm)
    norm[weights.rows[real]] = weights.values[real].norm(dim=1)
    strength = norm[problem.pair_slice]
    typical = strength.square().sum() / strength.sum().clamp_min(1e-12)
    if typical > 0:
        relative = 1.0 / (floor + strength / typical)
        factor[problem.pair_slice] = relative.clamp(MIN_FACTOR, MAX_FACTOR)
    return factor


def second_pass(regression: Regression, first: Weights, factor: Tensor) -> Weights:
    """Weights with the penalty of each column multiplied by its factor.

    Only columns with a weight in the ``first`` pass, or with a factor below the largest, take
    part. The others cannot enter: their slopes were below λ and would have to exceed 3 λ.
    """
    candidates = factor < MAX_FACTOR
    candidates[first.rows] = True
    scaled = replace(regression, penalty=regression.penalty.scaled(factor))
    among = torch.nonzero(candidates)[:, 0]
    return scaled.solve_strong(first.penalty, start=first, among=among)
