"""Effects of TFs from all targets together, whose shared levels make up for count noise."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..fit import Fit
from ..records import Problem
from ..regression.design import standard
from .errors_in_variables import MAX_COLUMN_SHARE, RIDGE, noise_share
from .joint_effects import JointEffects, combined_effects
from .latent_model import (
    MIN_VARIANCE,
    fit_model,
    likelihood,
    scaled_effects,
    start_model,
)

#: Groups of blocks. Each is held out once, to choose the penalty and the number of factors and
#: to see how far effects move.
N_GROUPS = 4
#: Penalties to try, in descending order, and numbers of factors, in ascending order.
PENALTIES = (0.04, 0.02, 0.01, 0.005)
N_FACTORS = (1, 2, 4, 8, 16, 32)
#: Largest number of targets that are fitted together, and that choose penalty and factors.
MAX_TARGETS, MAX_TARGETS_FOR_CHOICE = 1000, 300


class Readings(NamedTuple):
    """Counts of the TFs and targets, from which effects are estimated."""

    counts: Tensor
    """(n, F) in standard deviations of the counts."""
    targets: Tensor
    """(n, G) of the targets that are no TFs."""
    noise: Tensor
    """(F,) variances of counting."""


@torch.no_grad()
def joint_effects(problem: Problem, fit: Fit) -> JointEffects:
    """Effects of TFs in models with noise-free levels that all targets share.

    The count of a TF in one cell is mostly noise, and if every target is regressed on its own,
    only more cells help. But all targets of a cell respond to the *same* levels. With z the
    standardised counts of the TFs in the cell, D their known variance of counting, and y the
    targets less the fitted contributions of pairs and covariates, the model is that of
    :mod:`spatrace_sc._model.evidence.latent_model`:

    - z = x + ε, y = B x + Λ h + e, with x ~ N(0, Φ), h ~ N(0, I), ε ~ N(0, D), e ~ N(0, Ψ);
    - B, Λ, Φ and Ψ maximise log p(z, y), where each step in B minimises
      E ||y - B x - Λ h||² / 2 + λ sum over edges of π_fg √Φ_ff |B_gf|.

    It is fitted by expectation and maximisation. The factors h are independent of the levels and
    stand for unmeasured regulators. Without them, targets that share such a regulator would pass
    for targets of one of the TFs: with half of the TFs left out of the list, and one factor
    instead of as many as the data support, an AUROC of .95 becomes .92. λ and the number of
    factors are those of the best likelihood of held-out blocks. The standard error is the
    jackknife over the same groups of blocks. π are the penalties of prior knowledge, 1 without.

    The effects are B_gf √Φ_ff. They are estimated twice: from all variation of the TFs, and from
    what covariates leave of both TFs and targets. :func:`combined_effects` weighs the two.

    Targets that are TFs too have no effect, because their count is that of the TF, with the same
    noise. All effects are 0 if there are more TFs than half the cells, or only one block.
    """
    rows, n_f = problem.usable, problem.n_tf_genes
    z = standard(problem.tf_count[rows].double())
    y = _without_pairs_and_covariates(problem, fit)[rows].double()
    block = torch.unique(problem.block[rows], return_inverse=True)[1]
    effect, error = np.zeros((n_f, y.shape[1])), np.full((n_f, y.shape[1]), np.inf)
    plain = _targets_without_tfs(problem)
    n_groups = min(N_GROUPS, int(block.max()) + 1)
    if n_f > MAX_COLUMN_SHARE * len(z) or n_groups < 2 or len(plain) < 2:
        return JointEffects(effect, error, 0.0)
    noise, penalty = noise_share(problem), _prior_penalty(problem, z)[plain]
    covariates = standard(problem.covariates[rows].double())
    every = Readings(z, y[:, plain], noise)
    within = Readings(_residual(z, covariates), _residual(y[:, plain], covariates), noise)
    group = block % n_groups
    joint = combined_effects(
        _estimate(every, penalty, group), _estimate(within, penalty, group), _left(within)
    )
    targets = plain.cpu().numpy()
    effect[:, targets], error[:, targets] = joint.effect, joint.se
    return replace(joint, effect=effect, se=error)


def _residual(values: Tensor, covariates: Tensor) -> Tensor:
    """(n, columns) values less what ridge regression on the covariates predicts."""
    gram = covariates.T @ covariates / len(covariates)
    gram = gram + RIDGE * torch.eye(len(gram)).to(gram)
    slope = torch.linalg.solve(gram, covariates.T @ values / len(values))
    residual: Tensor = values - covariates @ slope
    return residual - residual.mean(0)


def _left(within: Readings) -> NDArray[np.float64]:
    """(TF genes,) share of the noise-free variance of TFs that covariates leave."""
    variance = within.counts.var(0, correction=0)
    share = (variance - within.noise) / (1.0 - within.noise)
    return np.asarray(share.cpu().numpy(), dtype=np.float64)


def _estimate(readings: Readings, penalty: Tensor, group: Tensor) -> JointEffects:
    """Effects on all targets, with penalty and number of factors of the best likelihood."""
    z, y = readings.counts, readings.targets
    noise, n_groups = readings.noise.clamp_min(MIN_VARIANCE), int(group.max()) + 1
    effect = torch.zeros((z.shape[1], y.shape[1])).to(z)
    error = torch.zeros_like(effect)

    def moments(targets: Tensor) -> Moments:
        return Moments.of(torch.cat([z, y[:, targets]], 1), group, n_groups)

    every = torch.arange(y.shape[1], device=z.device)
    sample = every[:: -(-len(every) // MAX_TARGETS_FOR_CHOICE)]
    of_sample = moments(sample)
    n_factors, n_penalties, chosen = _choose(of_sample, noise, penalty[sample])
    penalties = PENALTIES[:n_penalties]
    for targets in every.split(MAX_TARGETS):
        if len(targets) == len(sample):
            # the choice has fitted all targets without each group already
            sets, without = of_sample.all_cells[None], chosen
        else:
            of_targets = moments(targets)
            sets = torch.cat([of_targets.all_cells[None], of_targets.without])
            without = chosen[:0]
        fitted = _fit_along(sets, noise, penalty[targets], n_factors, penalties)
        effect[:, targets] = fitted[0]
        groups = without if len(without) else fitted[1:]
        error[:, targets] = ((n_groups - 1) * groups.var(0, correction=0)).sqrt()
    return JointEffects(effect.cpu().numpy(), error.cpu().numpy(), 0.0, n_factors)


def _targets_without_tfs(problem: Problem) -> Tensor:
    """Targets that are no TFs themselves."""
    regulator, target = problem.forbidden
    is_plain = torch.ones(problem.targets.shape[1], dtype=torch.bool, device=target.device)
    is_plain[target[regulator < problem.n_tf_genes]] = False
    return torch.nonzero(is_plain)[:, 0]


def _prior_penalty(problem: Problem, z: Tensor) -> Tensor:
    """(G, TF genes) penalties of prior knowledge; infinite for TFs that are never counted."""
    shape = (problem.targets.shape[1], problem.n_tf_genes)
    known = problem.tf_penalty
    penalty = torch.ones(shape).to(z) if known is None else known.T.to(z).clone()
    penalty[:, z.square().sum(0) == 0] = torch.inf
    return penalty


def _without_pairs_and_covariates(problem: Problem, fit: Fit) -> Tensor:
    """(N, G) standardised targets less the fitted contributions of pairs and covariates.

    They are centred over the usable cells.
    """
    y = (problem.targets - fit.target_mean) / fit.target_sd
    columns = problem.pair_columns
    pairs, pair_weights = fit.weights.within(columns)
    signal = fit.network.signal(fit.attended.exposure, fit.attended.receptor, pairs)
    covariates, weights = fit.weights.within(range(columns.stop, problem.n_regulators))
    parts = ((signal, pair_weights), (problem.covariates[:, covariates], weights))
    for column, weight in parts:
        if len(weight):
            y = y - _over_sd(column, problem.usable) @ weight
    return y - y[problem.usable].mean(0)


def _over_sd(column: Tensor, usable: Tensor) -> Tensor:
    """Columns over their standard deviations in the usable cells; constant columns become 0."""
    sd = column[usable].std(0, correction=0)
    return column / torch.where(sd > 1e-6, sd, torch.inf)


class Moments(NamedTuple):
    """Mean products of the readings, counts of TFs and targets."""

    all_cells: Tensor
    """(F + G, F + G) over all cells."""
    without: Tensor
    """(groups, F + G, F + G) over the cells outside each group."""
    within: Tensor
    """(groups, F + G, F + G) over the cells of each group."""

    @classmethod
    def of(cls, data: Tensor, group: Tensor, n_groups: int) -> Moments:
        """Moments of readings (cells, F + G), with the group of every cell."""
        readings = [data[group == k] for k in range(n_groups)]
        sums = torch.stack([values.T @ values for values in readings])
        size = torch.tensor([len(values) for values in readings]).to(data)[:, None, None]
        total = sums.sum(0)
        return cls(total / len(data), (total - sums) / (len(data) - size), sums / size)


def _choose(moments: Moments, noise: Tensor, penalty: Tensor) -> tuple[int, int, Tensor]:
    """Number of factors and length of the path of penalties with the best held-out likelihood.

    The third item are the (groups, F, G) effects there, without each group.
    """
    best, before, effects = (-torch.inf, 1, 1), -torch.inf, penalty.T[None][:0]
    largest = max(1, int(np.log2(max(len(penalty) / 2, 1))))
    for n_factors in N_FACTORS[:largest]:
        model = start_model(moments.without, noise, n_factors)
        top = -torch.inf
        for step, lam in enumerate(PENALTIES):
            model = fit_model(moments.without, noise, lam * penalty, model)
            held_out = float(likelihood(moments.within, noise, model).mean())
            if held_out > best[0]:
                best, effects = (held_out, n_factors, step + 1), scaled_effects(model)
            if held_out < top:
                break
            top = held_out
        if top < before:
            break
        before = top
    return best[1], best[2], effects


def _fit_along(
    moments: Tensor, noise: Tensor, penalty: Tensor, n_factors: int, penalties: tuple[float, ...]
) -> Tensor:
    """(M, F, G) effects at the last of some penalties, each fitted from the one before."""
    model = start_model(moments, noise, n_factors)
    for lam in penalties:
        model = fit_model(moments, noise, lam * penalty, model)
    return scaled_effects(model)
