"""Effects of TFs corrected for count noise, and a test that they exceed a minimum effect."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..fit import Fit
from ..records import Problem
from ..regression.design import standard
from ..runtime.memory import TARGET_BATCH
from .minimum_effect import EffectTest, minimum_effect_test
from .robustness import confounder_strengths, residual_variance

logger = logging.getLogger("spatrace_sc")

#: Largest share of the variance of a TF that is taken for noise.
MAX_NOISE_SHARE = 0.95
#: Added to the diagonal of the corrected covariance of standardised columns.
RIDGE = 0.05
#: Largest number of pairs in the regression, as a share of the cells; the strongest enter.
MAX_PAIR_SHARE = 0.1
#: Largest number of columns as a share of the cells; with more TFs there is no test.
MAX_COLUMN_SHARE = 0.5


@dataclass(frozen=True)
class CorrectedEffects:
    """Noise-corrected effects of TFs, and the test of their size."""

    effect: NDArray[np.float64]
    """(TF genes, G) standard deviations of the target per standard deviation of the TF.

    The deviation is that of the noise-free level of the TF.
    """
    se: NDArray[np.float64]
    """(TF genes, G) standard errors."""
    test: EffectTest
    """Test that they exceed the minimum."""
    reliability: float
    """Share of the mean square of the effects that is not their own error."""
    robustness: NDArray[np.float64]
    """(TF genes, G) strength of a confounder that would explain the effect; NaN where unknown."""
    benchmark: NDArray[np.float64]
    """(TF genes, G) strength of the strongest measured covariate, in the same measure."""

    @property
    def weight(self) -> float:
        """Weight of these effects relative to the sparse model, 3 r² / (1 + 3 r²).

        With r the reliability, it is three quarters at most.
        """
        odds = 3.0 * self.reliability**2
        return odds / (1.0 + odds)


@torch.no_grad()
def corrected_effects(
    problem: Problem, fit: Fit, smallest_share: float, selected: Tensor | None = None
) -> CorrectedEffects:
    """Effects of TFs on every target in an errors-in-variables regression.

    A TF that merely follows the true regulator predicts the target in addition to it as long as
    the level of the true one is measured with noise, and no number of cells cures that. So the
    count noise, whose size is known, is subtracted from the covariance of the regulators. With Z
    the standardised levels of the TFs as counted in the cell and the covariates, both less what
    the strongest pairs predict, and D the variance of counting (0 for all but TFs):

    - M = Z'Z / n - D, with negative eigenvalues set to 0 and a ridge of 0.05 added;
    - b_g = inverse(M) Z' y_g / n;
    - V_g = inverse(M) [sum over blocks of s_b s_b' / n²] inverse(M), with s_b the sum over the
      cells i of block b of z_i (y_ig - z_i' b_g) + D b_g.

    Spatial blocks, not cells, are the units of the standard error. ``selected`` (TF genes, G) are
    the TFs in the regression of each target, without the gene itself; None: all. The others have
    no effect and are not tested. Each further TF inflates the errors of all, because noise leaves
    little of the covariance of TFs once cell types and time are taken out.

    The same regression tells how strong a confounder would have to be to explain each effect
    (:func:`confounder_strengths`).
    """
    rows, n_f = problem.usable, problem.n_tf_genes
    n = int(rows.sum())
    y = ((problem.targets - fit.target_mean) / fit.target_sd)[rows].double()
    pairs = _strongest_pairs(problem, fit, int(MAX_PAIR_SHARE * n))[rows].double()
    allowed = problem.may_regulate.T
    selected = allowed if selected is None else allowed & selected.to(allowed.device)
    n_selected = int(selected.sum(0).max())
    n_others = problem.covariates.shape[1] + pairs.shape[1]
    if n_selected + n_others > MAX_COLUMN_SHARE * n:
        logger.warning(
            "%d TFs are too many for %d receivers: their noise cannot be corrected for, and no "
            "TF edge can be significant. Name fewer TFs.",
            *(n_selected, n),
        )
        return _no_effects(n_f, y.shape[1])
    z = standard(torch.cat([problem.tf_count[rows], problem.covariates[rows]], dim=1).double())
    z, y = _without_pairs(z, pairs), _without_pairs(y, pairs)
    share = noise_share(problem)
    noise = torch.cat([share, share.new_zeros(problem.covariates.shape[1])])
    covariance = z.T @ z / n - torch.diag(noise)
    block = torch.unique(problem.block[rows], return_inverse=True)[1]
    effect = torch.zeros((n_f, y.shape[1]), dtype=torch.float64, device=z.device)
    se = torch.full_like(effect, torch.inf)
    strengths = effect.new_full((2, *effect.shape), torch.nan)
    for targets, chosen in _batches(selected):
        inverse = _inverse_of(covariance, chosen)
        slope, error, left = _regress(z, y[:, targets], inverse, noise, block, n_f)
        effect[:, targets] = slope[:n_f]
        error *= np.sqrt(n / (n - int(chosen.sum()) - n_others))
        se[:, targets] = torch.where(chosen[:, None], error, torch.inf)
        strength = torch.stack(confounder_strengths(problem, inverse, slope, left))
        strengths[:, :, targets] = torch.where(chosen[:, None], strength, torch.nan)
    # per standard deviation of the noise-free level
    scale = (1.0 - share).sqrt()[:, None]
    n_blocks = int(block.max()) + 1
    b, errors, explained = (v.cpu().numpy() for v in (effect * scale, se * scale, strengths))
    test = minimum_effect_test(b, errors, smallest_share, n, max(n_blocks - 1, 1))
    return CorrectedEffects(b, errors, test, _reliability(b, errors), *explained)


def _no_effects(n_tfs: int, n_targets: int) -> CorrectedEffects:
    zero, unknown = np.zeros((n_tfs, n_targets)), np.full((2, n_tfs, n_targets), np.nan)
    test = EffectTest(zero + 1.0, zero[0], zero > 0)
    return CorrectedEffects(zero, zero + np.inf, test, 0.0, *unknown)


def noise_share(problem: Problem) -> Tensor:
    """(TF genes,) share of the variance of a TF's log counts that comes from counting."""
    variance = problem.tf_count[problem.usable].double().var(0, correction=0)
    return (problem.tf_noise.double() / variance.clamp_min(1e-12)).clamp_max(MAX_NOISE_SHARE)


def _reliability(effect: NDArray[np.float64], se: NDArray[np.float64]) -> float:
    """Share of the mean square of the effects that is not their own error."""
    known = np.isfinite(se) & (se > 0)
    square = float((effect[known] ** 2).mean()) if known.any() else 0.0
    excess = float((effect[known] ** 2 - se[known] ** 2).mean()) if known.any() else 0.0
    return max(excess, 0.0) / square if square > 0 else 0.0


def _without_pairs(values: Tensor, pairs: Tensor) -> Tensor:
    """(n, columns) values less what ridge regression on the pairs predicts."""
    if not pairs.shape[1]:
        return values
    pairs = standard(pairs)
    gram = pairs.T @ pairs / len(pairs) + RIDGE * torch.eye(pairs.shape[1]).to(pairs)
    residual: Tensor = values - pairs @ torch.linalg.solve(gram, pairs.T @ values / len(pairs))
    return residual


def _regress(
    z: Tensor, y: Tensor, inverse: Tensor, noise: Tensor, block: Tensor, n_f: int
) -> tuple[Tensor, Tensor, Tensor]:
    """(columns, targets) slopes, standard errors of the TFs by block, residual variances.

    Columns whose rows of the ``inverse`` are 0 are left out.
    """
    n = len(z)
    columns = torch.nonzero(inverse.diagonal())[:, 0]
    tfs = columns[columns < n_f]
    x, reduced = z[:, columns], inverse[columns][:, columns]
    moment = z.T @ y / n
    b = inverse @ moment
    residual = y - x @ b[columns]
    influence = x @ reduced[:, : len(tfs)]
    constant = inverse[tfs] @ (noise[:, None] * b)
    size = torch.bincount(block).to(z)[:, None]
    error = b.new_zeros((n_f, y.shape[1]))
    for g in range(y.shape[1]):
        score = size * constant[:, g]
        score.index_add_(0, block, influence * residual[:, g : g + 1])
        error[tfs, g] = score.square().sum(0).sqrt() / n
    return b, error, residual_variance(y.var(0, correction=0), moment, b)


def _batches(selected: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Targets with the same TFs in their regression, and the mask (TF genes,) of these TFs."""
    patterns, pattern = torch.unique(selected.T, dim=0, return_inverse=True)
    for k, chosen in enumerate(patterns):
        if chosen.any():
            for targets in torch.nonzero(pattern == k)[:, 0].split(TARGET_BATCH):
                yield targets, chosen


def _inverse_of(covariance: Tensor, chosen: Tensor) -> Tensor:
    """Inverse of the covariance of the chosen TFs and all covariates; 0 for the other TFs."""
    used = torch.cat([chosen, chosen.new_ones(len(covariance) - len(chosen))])
    columns = torch.nonzero(used)[:, 0]
    inverse = torch.zeros_like(covariance)
    inverse[columns[:, None], columns] = _inverse(covariance[columns][:, columns])
    return inverse


def _inverse(covariance: Tensor) -> Tensor:
    """Inverse of a covariance with negative eigenvalues set to 0 and the ridge added."""
    values, vectors = torch.linalg.eigh(covariance)
    inverse: Tensor = (vectors / (values.clamp_min(0.0) + RIDGE)) @ vectors.T
    return inverse


def _strongest_pairs(problem: Problem, fit: Fit, max_pairs: int) -> Tensor:
    """(N, A) signals of the pairs with the strongest weights."""
    rows, values = fit.weights.within(problem.pair_columns)
    strongest = values.norm(dim=1).argsort(descending=True)[:max_pairs]
    chosen = rows[strongest].sort().values
    return fit.network.signal(fit.attended.exposure, fit.attended.receptor, chosen)
