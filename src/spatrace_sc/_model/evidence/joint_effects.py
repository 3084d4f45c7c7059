"""Effects of TFs from all variation and from that within covariates, and their average."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Share of the noise-free variance of a TF that covariates must leave for effects within them.
MIN_LEFT = 0.05
#: Added to variances before dividing by them.
TINY = 1e-12


@dataclass(frozen=True)
class JointEffects:
    """Effects of TFs from all targets together."""

    effect: NDArray[np.float64]
    """(TF genes, G) standard deviations of the target per standard deviation of the TF.

    The deviation is that of the noise-free level of the TF.
    """
    se: NDArray[np.float64]
    """(TF genes, G) standard errors, infinite where there is no effect."""
    reliability: float
    """Share of the mean square of the effects that is not their own error."""
    n_factors: int = 0
    """Number of unmeasured factors."""
    unconfounded: float = 1.0
    """Share of the error of effects from all variation that is not confounding by covariates."""

    @property
    def weight(self) -> float:
        """Weight of these effects relative to the sparse and the corrected ones."""
        return self.reliability


def combined_effects(
    every: JointEffects, within: JointEffects, left: NDArray[np.float64]
) -> JointEffects:
    """Average of effects from all variation, and from the variation within covariates.

    Covariates hold what confounds TFs and targets, for instance anatomy or the course of time, and
    also what TFs cause, for instance differences between cell types. Effects within covariates, w,
    are free of the confounding but less precise than effects from all variation, a. With the
    variances V of both (mean over the targets of a TF) and τ² the mean of (a - w)² - V_a - V_w
    over all edges, at least 0, which is what confounding adds::

        effect = (a / (V_a + τ²) + ρ w / V_w) / (1 / (V_a + τ²) + ρ / V_w)

    The mean over TFs of V_a / (V_a + τ²) is ``unconfounded``.

    ρ is the reliability of w for this TF, (mean of w² - V_w) / mean of w². It is 0 where
    covariates leave less than 5 % of the noise-free variance of the TF (``left``, (TF genes,)).

    The standard error is that of the average, with half the difference of a and w added in squares
    for each edge, because an effect that depends on the covariates is not well known.
    """
    a, w = every.effect, within.effect
    variance_a, variance_w = (_pooled_variance(effects.se) for effects in (every, within))
    square = (w**2).mean(axis=1, keepdims=True)
    rho = np.where(square > 0, 1.0 - variance_w / np.maximum(square, TINY), 0.0)
    rho = np.where(left[:, None] >= MIN_LEFT, np.maximum(rho, 0.0), 0.0)
    used = rho > 0
    excess = ((a - w) ** 2).mean(axis=1, keepdims=True) - variance_a - variance_w
    bias = np.where(used, max(float(excess[used].mean()), 0.0) if used.any() else 0.0, 0.0)
    weight_a = 1.0 / (variance_a + bias + TINY)
    weight_w = rho / (variance_w + TINY)
    total = weight_a + weight_w
    effect = (weight_a * a + weight_w * w) / total
    variance = (weight_a**2 * (variance_a + bias) + weight_w**2 * variance_w) / total**2
    mean_square = float((effect**2).mean())
    excess_square = max(mean_square - float(variance.mean()), 0.0)
    dispute = np.where(used, ((a - w) / 2.0) ** 2, 0.0)
    return JointEffects(
        effect,
        np.sqrt(variance + dispute),
        excess_square / mean_square if mean_square > 0 else 0.0,
        max(every.n_factors, within.n_factors),
        float(((variance_a + TINY) / (variance_a + bias + TINY)).mean()),
    )


def _pooled_variance(se: NDArray[np.float64]) -> NDArray[np.float64]:
    """(TF genes, 1) mean squared standard errors over the targets of every TF."""
    return np.asarray((se**2).mean(axis=1, keepdims=True))
