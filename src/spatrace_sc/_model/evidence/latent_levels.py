"""Effects of TFs from all targets together: what a TF's other targets tell of its level makes up for the noise of its own count."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..fit import Fit
from ..records import Problem
from ..regression.design import standard
from .errors_in_variables import MOST_COLUMNS, noise_share

logger = logging.getLogger("spatrace_sc")

#: Groups of blocks: each is held out once, to choose the penalty and the number of factors and to see how far effects move.
N_GROUPS = 4
#: Penalties tried, in descending order, and numbers of factors, in ascending order.
PENALTIES = (0.04, 0.02, 0.01, 0.005)
N_FACTORS = (1, 2, 4, 8, 16, 32)
#: No TF is read with less noise than this share of its variance, no target or level is left with less variance than this.
LEAST = 0.02
#: Steps of expectation and maximisation, always as many, so that rounding does not decide when they end; proximal-gradient steps in each.
STEPS, INNER = 80, 5
#: Targets that are fitted together, and as many as are enough to choose the penalty and the number of factors.
MOST_TARGETS, ENOUGH_TARGETS = 1000, 300


@dataclass(frozen=True)
class Joint:
    """Effects of TFs from all targets together.

    (TF genes, G): ``effect`` and standard error ``se`` (infinite where there is no effect) in standard deviations of the target per standard deviation of the TF's noise-free level; ``reliability``, the share of
    the effects' mean square that is not their own error; ``n_factors`` unmeasured factors.
    """

    effect: NDArray[np.float64]
    se: NDArray[np.float64]
    reliability: float
    n_factors: int = 0

    @property
    def weight(self) -> float:
        """Weight of these effects beside all others: :math:`u = r^4`. It is steep because an error that all refits share is not seen by their spread."""
        return self.reliability**4


class Model(NamedTuple):
    """Several models at once, M of them: ``effect`` (M, G, F) of the levels, ``factor`` (M, G, K) loadings of the unmeasured factors, ``covariance`` (M, F, F) of the levels, ``rest`` (M, G) variance that is left."""

    effect: Tensor
    factor: Tensor
    covariance: Tensor
    rest: Tensor


@torch.no_grad()
def joint_effects(problem: Problem, fit: Fit) -> Joint:
    r"""Effects of TFs in a model in which their noise-free levels are not known but shared by all targets.

    A TF's count in one cell is mostly noise, and with every target regressed on its own only more cells help. But the targets of a cell answer to the *same* levels. With *z* the standardised counts of the TFs in the cell itself, *D* their
    known variance of counting and *y* the targets less what the fitted model gives to pairs and covariates:

    .. math::
        z = x + \epsilon, \quad y = B x + \Lambda h + e, \qquad x \sim N(0, \Phi), \; h \sim N(0, I), \; \epsilon \sim N(0, D), \; e \sim N(0, \Psi)

        \max_{B, \Lambda, \Phi, \Psi} \; \log p(z, y), \quad \text{each step in } B \text{ minimising } \tfrac12 E\|y - Bx - \Lambda h\|^2 + \lambda \sum_{fg} \pi_{fg} \sqrt{\Phi_{ff}}\, |B_{gf}|

    by expectation and maximisation. The factors *h* are independent of the levels and stand for regulators that were not measured: without them, targets that share such a regulator would pass for targets of one of the TFs
    (half of the TFs left out of the list, one factor in place of as many as the data ask for: AUROC .95 becomes .92). λ and the number of factors are those of the best likelihood of held-out blocks; the standard error is the jackknife over the same groups of blocks.
    :math:`\pi` are the penalties of prior knowledge, 1 without.

    Returned is :math:`B_{gf} \sqrt{\Phi_{ff}}`. Targets that are TFs too have no effect here (their count is the TF's, with the same noise), nor has anything if there are more TFs than half the cells or only one block.
    """
    rows, n_f = problem.usable, problem.n_tf_genes
    z = standard(problem.tf_count[rows].double())
    y = _without_pairs_and_covariates(problem, fit)[rows].double()
    block = torch.unique(problem.block[rows], return_inverse=True)[1]
    effect, error = (
        torch.zeros((n_f, y.shape[1])).to(z),
        torch.full((n_f, y.shape[1]), torch.inf).to(z),
    )
    regulator, target = problem.forbidden
    alone = torch.ones(y.shape[1], dtype=torch.bool, device=z.device)
    alone[target[regulator < n_f]] = False
    plain = torch.nonzero(alone)[:, 0]
    n_groups = min(N_GROUPS, int(block.max()) + 1)
    if n_f > MOST_COLUMNS * len(z) or n_groups < 2 or len(plain) < 2:
        return Joint(effect.cpu().numpy(), error.cpu().numpy(), 0.0)
    noise = noise_share(problem).clamp_min(LEAST)
    silent = z.square().sum(0) == 0
    every = (
        torch.ones((y.shape[1], n_f)).to(z)
        if problem.tf_penalty is None
        else problem.tf_penalty.T.to(z).clone()
    )
    every[:, silent] = torch.inf
    few = plain[:: -(-len(plain) // ENOUGH_TARGETS)]

    def moments(some: Tensor) -> Moments:
        return Moments.of(torch.cat([z, y[:, some]], 1), block % n_groups, n_groups)

    n_factors, n_penalties = _choose(moments(few), noise, every[few])
    for some in plain.split(MOST_TARGETS):
        known = moments(some)
        fitted = _along(
            torch.cat([known.whole[None], known.left]), noise, every[some], n_factors, n_penalties
        )
        effect[:, some] = fitted[0]
        error[:, some] = ((n_groups - 1) * fitted[1:].var(0, correction=0)).sqrt()
    square = float(effect[:, plain].square().mean())
    excess = square - float(error[:, plain].square().mean())
    return Joint(
        effect.cpu().numpy(),
        error.cpu().numpy(),
        max(excess, 0.0) / square if square > 0 else 0.0,
        n_factors,
    )


def _without_pairs_and_covariates(problem: Problem, fit: Fit) -> Tensor:
    """(N, G) standardised targets less what the fitted model gives to pairs and covariates, centred over the usable cells."""
    y = (problem.targets - fit.target_mean) / fit.target_sd
    first, last = problem.n_tfs, problem.n_tfs + problem.n_pairs
    rows, values = fit.weights.rows, fit.weights.values
    pair, covariate = (rows >= first) & (rows < last), rows >= last
    signal = fit.network.signal(fit.attended.exposure, fit.attended.receptor, rows[pair] - first)
    for column, weight in (
        (signal, values[pair]),
        (problem.covariates[:, rows[covariate] - last], values[covariate]),
    ):
        if len(weight):
            y = y - _over_spread(column, problem.usable) @ weight
    return y - y[problem.usable].mean(0)


def _over_spread(column: Tensor, usable: Tensor) -> Tensor:
    sd = column[usable].std(0, correction=0)
    return column / torch.where(sd > 1e-6, sd, torch.inf)


class Moments(NamedTuple):
    """Mean products of the readings, (F + G, F + G): of all cells, of those outside each group, and of those in it, (groups, F + G, F + G)."""

    whole: Tensor
    left: Tensor
    held: Tensor

    @classmethod
    def of(cls, data: Tensor, group: Tensor, n_groups: int) -> Moments:
        """From the readings (cells, F + G) and the group of every cell."""
        parts = [data[group == k] for k in range(n_groups)]
        sums = torch.stack([part.T @ part for part in parts])
        size = torch.tensor([len(part) for part in parts]).to(data)[:, None, None]
        whole = sums.sum(0)
        return cls(whole / len(data), (whole - sums) / (len(data) - size), sums / size)


def _choose(moments: Moments, noise: Tensor, penalty: Tensor) -> tuple[int, int]:
    """Number of factors, and how many of the penalties to go along, with the best held-out likelihood."""
    best, before = (-torch.inf, 1, 1), -torch.inf
    for n_factors in N_FACTORS[: max(1, int(np.log2(max(len(penalty) / 2, 1))))]:
        model = _start(moments.left, noise, n_factors)
        top = -torch.inf
        for step, lam in enumerate(PENALTIES):
            model = _fitted(moments.left, noise, lam * penalty, model)
            likelihood = float(_likelihood(moments.held, noise, model).mean())
            if likelihood > best[0]:
                best = (likelihood, n_factors, step + 1)
            if likelihood < top:
                break
            top = likelihood
        if top < before:
            break
        before = top
    return best[1], best[2]


def _along(
    moments: Tensor, noise: Tensor, penalty: Tensor, n_factors: int, n_penalties: int
) -> Tensor:
    """(M, F, G) effects at the last of some penalties, each fitted from the one before."""
    model = _start(moments, noise, n_factors)
    for lam in PENALTIES[:n_penalties]:
        model = _fitted(moments, noise, lam * penalty, model)
    return _scaled(model)


def _start(moments: Tensor, noise: Tensor, n_factors: int) -> Model:
    """Effects by the noise-corrected regression, factors from the largest components of what it leaves."""
    n_f = len(noise)
    values, vectors = torch.linalg.eigh(moments[:, :n_f, :n_f] - torch.diag(noise))
    covariance = (vectors * values.clamp_min(LEAST)[:, None]) @ vectors.mT
    ridge = covariance + 0.05 * torch.eye(n_f).to(covariance)
    effect = torch.linalg.solve(ridge, moments[:, :n_f, n_f:]).mT
    rest = moments[:, n_f:, n_f:] - effect @ covariance @ effect.mT
    values, vectors = torch.linalg.eigh(rest - torch.diag_embed(_diagonal(rest) / 2.0))
    factor = vectors[..., -n_factors:] * values[:, None, -n_factors:].clamp_min(LEAST).sqrt()
    return Model(
        effect, factor, covariance, (_diagonal(rest) - factor.square().sum(-1)).clamp_min(0.1)
    )


def _diagonal(square: Tensor) -> Tensor:
    return square.diagonal(dim1=-2, dim2=-1)


class Expected(NamedTuple):
    """Of levels and factors *l* given the readings: ``with_readings`` (M, F + K, F + G) mean of their products with the readings, ``square`` (M, F + K, F + K) with themselves; ``precision`` (M, F + K, F + K) of their posterior."""

    with_readings: Tensor
    square: Tensor
    precision: Tensor


def _expected(moments: Tensor, noise: Tensor, model: Model) -> tuple[Expected, Tensor]:
    """Expectations, and the loadings over their variances (M, F + G, F + K)."""
    n_f, n_factors = len(noise), model.factor.shape[-1]
    identity = torch.eye(n_f + n_factors).to(moments)
    on_levels = identity[:n_f].expand(len(moments), -1, -1)
    loadings = torch.cat([on_levels, torch.cat([model.effect, model.factor], -1)], 1)
    weighed = loadings / _variances(noise, model)[..., None]
    precision = loadings.mT @ weighed
    precision[:, :n_f, :n_f] += torch.linalg.inv(model.covariance)
    precision[:, n_f:, n_f:] += identity[n_f:, n_f:]
    posterior = torch.linalg.inv(precision)
    gain = posterior @ weighed.mT
    products = gain @ moments
    return Expected(products, posterior + products @ gain.mT, precision), weighed


def _variances(noise: Tensor, model: Model) -> Tensor:
    """(M, F + G) variances of the readings around what levels and factors give."""
    return torch.cat([noise.expand(len(model.rest), -1), model.rest], 1)


def _fitted(moments: Tensor, noise: Tensor, penalty: Tensor, model: Model) -> Model:
    """Expectation and maximisation from the models on, (M, F + G, F + G) moments."""
    n_f = len(noise)
    for _ in range(STEPS):
        known, _ = _expected(moments, noise, model)
        products, square = known.with_readings[..., n_f:].mT, known.square
        top = torch.linalg.eigvalsh(square)[:, -1, None, None]
        threshold = penalty * _diagonal(square)[:, None, :n_f].clamp_min(1e-3).sqrt() / top
        loadings = torch.cat([model.effect, model.factor], -1)
        for _ in range(INNER):
            loadings = loadings - (loadings @ square - products) / top
            effect = loadings[..., :n_f]
            loadings[..., :n_f] = effect - torch.clamp(effect, -threshold, threshold)
        effect = loadings[..., :n_f]
        among = square[:, n_f:, n_f:]
        factor = torch.linalg.solve(
            among, (products[..., n_f:] - effect @ square[:, :n_f, n_f:]).mT
        ).mT
        loadings = torch.cat([effect, factor], -1)
        rest = _diagonal(moments)[:, n_f:] - 2.0 * (loadings * products).sum(-1)
        rest = rest + (loadings @ square * loadings).sum(-1)
        factor = factor @ torch.linalg.cholesky(among)
        covariance = square[:, :n_f, :n_f] + 1e-6 * torch.eye(n_f).to(square)
        model = Model(effect.clone(), factor, covariance, rest.clamp_min(LEAST))
    return model


def _likelihood(moments: Tensor, noise: Tensor, model: Model) -> Tensor:
    """(M,) mean logarithm of the likelihood of cells with these moments, up to a constant."""
    known, weighed = _expected(moments, noise, model)
    variances = _variances(noise, model)
    size = torch.logdet(known.precision) + torch.logdet(model.covariance) + variances.log().sum(-1)
    distance = (_diagonal(moments) / variances).sum(-1) - (known.with_readings.mT * weighed).sum(
        (-2, -1)
    )
    return -0.5 * (size + distance)


def _scaled(model: Model) -> Tensor:
    """(M, F, G) effects per standard deviation of the level."""
    return (model.effect * _diagonal(model.covariance).sqrt()[:, None]).mT
