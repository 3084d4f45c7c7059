"""How strong a confounder must be to explain an edge, and how strong the measured ones are."""

from __future__ import annotations

import torch
from torch import Tensor

from ..records import Problem

#: Smallest residual variance of a target, as a share of its variance: with a correction for noise
#: the estimate can be 0 or below.
MIN_RESIDUAL_SHARE = 0.01
#: Largest share of the residual variance of a TF that a covariate explains.
LARGEST_SHARE = 1.0 - 1e-12


def robustness_value(f2: Tensor) -> Tensor:
    """Strength R of a confounder that explains a share R of both residual variances.

    R² / (1 - R) = f², so R = ½ (√(f⁴ + 4 f²) - f²), here in a form without cancellation
    (Cinelli & Hazlett, J. R. Stat. Soc. B 2020).
    """
    strength: Tensor = 2.0 / (1.0 + (1.0 + 4.0 / f2).sqrt())
    return strength


def confounder_strengths(
    problem: Problem, inverse: Tensor, slope: Tensor, residual: Tensor
) -> tuple[Tensor, Tensor]:
    """(TF genes, targets) robustness value of every edge, and its benchmark.

    They come from a regression on TFs, covariates and pairs, in this order, whose covariance M has
    the ``inverse``; ``slope`` (columns, targets) are its slopes b, and ``residual`` (targets,) the
    residual variances s². A column left out has zeros in both. With V the inverse, the residual
    variance of TF f given the other columns is 1 / V_ff, so

    - the partial f² of an edge is b_f² / (V_ff s²);
    - for the columns K of a covariate, q = b_K' inverse(V_KK) b_K is what the residual variance of
      the target rises by without them, and their partial R² with the target is q / (s² + q);
    - their partial R² with TF f, given all columns but f and K, is
      V_fK inverse(V_KK) V_Kf / V_ff.

    The bias of a confounder with partial R² of y with the target and x with the TF brings an effect
    to 0 if f² = y x / (1 - x). The benchmark is the robustness value of the covariate for which
    that is largest, NaN without covariates.
    """
    n_f = problem.n_tf_genes
    precision = inverse.diagonal()[:n_f, None]
    strongest = torch.full_like(slope[:n_f], torch.nan)
    for columns in covariate_columns(problem):
        of_tfs, of_targets = inverse[columns, :n_f], slope[columns]
        solved = torch.linalg.solve(
            inverse[columns, columns], torch.cat([of_tfs, of_targets], dim=1)
        )
        # both are shares or variances; rounding must not leave their range
        x = ((of_tfs * solved[:, :n_f]).sum(0)[:, None] / precision).clamp(0.0, LARGEST_SHARE)
        rise = (of_targets * solved[:, n_f:]).sum(0).clamp_min(0.0)
        strongest = torch.fmax(strongest, x / (1.0 - x) * (rise / (residual + rise)))
    f2 = slope[:n_f].square() / (precision * residual)
    return robustness_value(f2), robustness_value(strongest)


def residual_variance(variance: Tensor, moment: Tensor, slope: Tensor) -> Tensor:
    """(targets,) variance that the noise-free regressors leave, a hundredth of all at least.

    ``moment`` (columns, targets) are the covariances of regressors and targets, which noise does
    not change.
    """
    left = variance - (moment * slope).sum(0)
    return torch.maximum(left, MIN_RESIDUAL_SHARE * variance)


def covariate_columns(problem: Problem) -> list[slice]:
    """Columns of every covariate in the regression, in which those of the TFs come first."""
    first, slices = problem.n_tf_genes, []
    for size in problem.covariate_sizes or (problem.covariates.shape[1],):
        slices.append(slice(first, first + size))
        first += size
    return [columns for columns in slices if columns.stop > columns.start]
