"""Factor model of counts and targets, fitted by expectation and maximisation.

With z the standardised counts of TFs, y the targets, x the noise-free levels and h unmeasured
factors: z = x + ε and y = B x + Λ h + e. All are normal: x ~ N(0, Φ), h ~ N(0, I), ε ~ N(0, D)
and e ~ N(0, Ψ).

Functions take moments, the mean products of the readings (z, y), of M data sets at once.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .positive_definite import inverse, log_determinant, solve

#: Smallest variance: of the noise of a TF, and of the rest of a target or a level, as a share.
MIN_VARIANCE = 0.02
#: Steps of expectation and maximisation. The number is fixed, so that rounding does not decide
#: when they end.
N_EM_STEPS = 80
#: Proximal-gradient steps in each of them.
N_GRADIENT_STEPS = 5


class LatentModel(NamedTuple):
    """Several models at once, M of them."""

    effect: Tensor
    """(M, G, F) effects B of the levels."""
    factor: Tensor
    """(M, G, K) loadings Λ of the unmeasured factors."""
    covariance: Tensor
    """(M, F, F) covariance Φ of the levels."""
    residual: Tensor
    """(M, G) residual variance Ψ of the targets."""


class Expected(NamedTuple):
    """Expectations of levels and factors, given the readings."""

    with_readings: Tensor
    """(M, F + K, F + G) mean products with the readings."""
    square: Tensor
    """(M, F + K, F + K) mean products with themselves."""
    precision: Tensor
    """(M, F + K, F + K) precision of their posterior."""


def start_model(moments: Tensor, noise: Tensor, n_factors: int) -> LatentModel:
    """Model to begin with, from (M, F + G, F + G) moments and (F,) variances of counting.

    Effects come from the noise-corrected regression, factors from the largest components of its
    residual.
    """
    n_f = len(noise)
    values, vectors = torch.linalg.eigh(moments[:, :n_f, :n_f] - torch.diag(noise))
    covariance = (vectors * values.clamp_min(MIN_VARIANCE)[:, None]) @ vectors.mT
    ridge = covariance + 0.05 * torch.eye(n_f).to(covariance)
    effect = solve(ridge, moments[:, :n_f, n_f:]).mT
    residual = moments[:, n_f:, n_f:] - effect @ covariance @ effect.mT
    values, vectors = torch.linalg.eigh(residual - torch.diag_embed(diagonal(residual) / 2.0))
    size = values[:, None, -n_factors:].clamp_min(MIN_VARIANCE).sqrt()
    factor = vectors[..., -n_factors:] * size
    variance = (diagonal(residual) - factor.square().sum(-1)).clamp_min(0.1)
    return LatentModel(effect, factor, covariance, variance)


def fit_model(moments: Tensor, noise: Tensor, penalty: Tensor, model: LatentModel) -> LatentModel:
    """Model after :data:`N_EM_STEPS` steps of expectation and maximisation from another one.

    ``penalty`` (G, F) multiplies the absolute effects per standard deviation of the level.
    """
    n_f = len(noise)
    for _ in range(N_EM_STEPS):
        expected, _ = _expectation(moments, noise, model)
        products, square = expected.with_readings[..., n_f:].mT, expected.square
        # effects by proximal gradient, starting from the last ones
        top = torch.linalg.eigvalsh(square)[:, -1, None, None]
        threshold = penalty * diagonal(square)[:, None, :n_f].clamp_min(1e-3).sqrt() / top
        loadings = torch.cat([model.effect, model.factor], -1)
        for _ in range(N_GRADIENT_STEPS):
            loadings = loadings - (loadings @ square - products) / top
            effect = loadings[..., :n_f]
            loadings[..., :n_f] = effect - torch.clamp(effect, -threshold, threshold)
        effect = loadings[..., :n_f]
        # factors exactly, given the effects
        among = square[:, n_f:, n_f:]
        unexplained = products[..., n_f:] - effect @ square[:, :n_f, n_f:]
        factor = solve(among, unexplained.mT).mT
        loadings = torch.cat([effect, factor], -1)
        # variances; factors are rescaled to variance 1
        variance = diagonal(moments)[:, n_f:] - 2.0 * (loadings * products).sum(-1)
        variance = variance + (loadings @ square * loadings).sum(-1)
        factor = factor @ torch.linalg.cholesky(among)
        covariance = square[:, :n_f, :n_f] + 1e-6 * torch.eye(n_f).to(square)
        model = LatentModel(effect.clone(), factor, covariance, variance.clamp_min(MIN_VARIANCE))
    return model


def likelihood(moments: Tensor, noise: Tensor, model: LatentModel) -> Tensor:
    """(M,) mean log likelihood of cells with these moments, up to a constant."""
    expected, weighted = _expectation(moments, noise, model)
    variances = _variances(noise, model)
    volume = log_determinant(expected.precision) + log_determinant(model.covariance)
    volume = volume + variances.log().sum(-1)
    distance = (diagonal(moments) / variances).sum(-1)
    distance = distance - (expected.with_readings.mT * weighted).sum((-2, -1))
    return -0.5 * (volume + distance)


def scaled_effects(model: LatentModel) -> Tensor:
    """(M, F, G) effects per standard deviation of the level."""
    return (model.effect * diagonal(model.covariance).sqrt()[:, None]).mT


def diagonal(square: Tensor) -> Tensor:
    """Diagonals of the last two dimensions."""
    return square.diagonal(dim1=-2, dim2=-1)


def _expectation(moments: Tensor, noise: Tensor, model: LatentModel) -> tuple[Expected, Tensor]:
    """Expectations, and the loadings over their variances (M, F + G, F + K)."""
    n_f, n_factors = len(noise), model.factor.shape[-1]
    identity = torch.eye(n_f + n_factors).to(moments)
    on_levels = identity[:n_f].expand(len(moments), -1, -1)
    loadings = torch.cat([on_levels, torch.cat([model.effect, model.factor], -1)], 1)
    weighted = loadings / _variances(noise, model)[..., None]
    precision = loadings.mT @ weighted
    precision[:, :n_f, :n_f] += inverse(model.covariance)
    precision[:, n_f:, n_f:] += identity[n_f:, n_f:]
    posterior = inverse(precision)
    gain = posterior @ weighted.mT
    products = gain @ moments
    return Expected(products, posterior + products @ gain.mT, precision), weighted


def _variances(noise: Tensor, model: LatentModel) -> Tensor:
    """(M, F + G) variances of the readings around the part from levels and factors."""
    return torch.cat([noise.expand(len(model.residual), -1), model.residual], 1)
