"""Effects of TFs corrected for count noise, and a test that they exceed a minimum effect."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import t as student
from torch import Tensor

from ..fit import Fit
from ..records import Problem
from ..regression.design import standard
from ..runtime.memory import TARGET_BATCH
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
#: Cells beyond which more make the effects more precise but the test no more powerful: errors of
#: the linear model do not shrink with the number of cells.
MAX_EFFECTIVE_CELLS = 5000


@dataclass(frozen=True)
class CorrectedEffects:
    """Noise-corrected effects of TFs, and the test of their size."""

    effect: NDArray[np.float64]
    """(TF genes, G) standard deviations of the target per standard deviation of the TF.

    The deviation is that of the noise-free level of the TF.
    """
    se: NDArray[np.float64]
    """(TF genes, G) standard errors."""
    p_value: NDArray[np.float64]
    """(TF genes, G) p that the effect does not exceed the minimum."""
    minimum: NDArray[np.float64]
    """(G,) minimum meaningful effect."""
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
def corrected_effects(problem: Problem, fit: Fit, smallest_share: float) -> CorrectedEffects:
    """Effects of all TFs on every target in an errors-in-variables regression.

    A TF that merely follows the true regulator predicts the target in addition to it as long as
    the level of the true one is measured with noise, and no number of cells cures that. So the
    count noise, whose size is known, is subtracted from the covariance of the regulators. With Z
    the standardised levels of the TFs as counted in the cell, the covariates and the strongest
    pairs, and D the variance of counting (0 for all but TFs):

    - M = Z'Z / n - D, with negative eigenvalues set to 0 and a ridge of 0.05 added;
    - b_g = inverse(M) Z' y_g / n;
    - V_g = inverse(M) [sum over blocks of s_b s_b' / n²] inverse(M), with s_b the sum over the
      cells i of block b of z_i (y_ig - z_i' b_g) + D b_g.

    Spatial blocks, not cells, are the units of the standard error. A gene is left out of the
    regression of its own expression.

    The test asks whether an effect is *larger than* a minimum δ_g = c × square root of the sum
    over TFs of max(0, b² - se²), a share c = ``smallest_share`` of the joint effect of TFs on the
    target. With thousands of cells, a linear model of a nonlinear process finds every tiny effect
    significant otherwise:

    - p = P(t > (|b| - δ) / (κ se)) + P(t > (|b| + δ) / (κ se)), κ = √max(1, n / 5000),

    with the number of blocks less one as degrees of freedom. κ makes the test no more powerful
    than with 5 000 cells that have a past. With more cells, sampling errors become smaller than
    the errors of the linear model, which do not shrink, and edges just above δ would be called
    for that reason alone: of 50 000 simulated cells .15 and .27 of the calls were false without
    κ, and .02 and .01 with it (``docs/calibration.md``).

    The same regression tells how strong a confounder would have to be to explain each effect
    (:func:`confounder_strengths`).
    """
    rows = problem.usable
    counts = problem.tf_count[rows].double()
    n, n_f = counts.shape
    y = ((problem.targets - fit.target_mean) / fit.target_sd)[rows].double()
    pairs = _strongest_pairs(problem, fit, int(MAX_PAIR_SHARE * n))
    others = torch.cat([problem.covariates[rows].double(), pairs[rows].double()], 1)
    if n_f + others.shape[1] > MAX_COLUMN_SHARE * n:
        logger.warning(
            "%d TFs are too many for %d receivers: their noise cannot be corrected for, and no "
            "TF edge can be significant. Name fewer TFs.",
            n_f,
            n,
        )
        return _no_effects(n_f, y.shape[1])
    z = standard(torch.cat([counts, others], dim=1))
    share = noise_share(problem)
    noise = torch.cat([share, share.new_zeros(others.shape[1])])
    inverse = _inverse(z.T @ z / n - torch.diag(noise))
    block = torch.unique(problem.block[rows], return_inverse=True)[1]
    effect = torch.zeros((n_f, y.shape[1]), dtype=torch.float64, device=z.device)
    se, strengths = torch.full_like(effect, torch.inf), effect.new_empty((2, *effect.shape))
    for targets, regulators, reduced in _batches(problem, inverse):
        slope, error, left = _regress(z, y[:, targets], reduced, noise, block, n_f)
        effect[:, targets] = slope[:n_f] * regulators
        se[:, targets] = torch.where(regulators, error, torch.inf)
        strength = torch.stack(confounder_strengths(problem, reduced, slope, left))
        strengths[:, :, targets] = torch.where(regulators, strength, torch.nan)
    # per standard deviation of the noise-free level
    scale = (1.0 - share).sqrt()[:, None]
    se = se * scale * np.sqrt(n / (n - z.shape[1]))
    n_blocks = int(block.max()) + 1
    b, errors, explained = (v.cpu().numpy() for v in (effect * scale, se, strengths))
    return _test_effects(b, errors, explained, smallest_share, n_blocks, n)


def _no_effects(n_tfs: int, n_targets: int) -> CorrectedEffects:
    zero, unknown = np.zeros((n_tfs, n_targets)), np.full((2, n_tfs, n_targets), np.nan)
    return CorrectedEffects(zero, zero + np.inf, zero + 1.0, zero[0], 0.0, *unknown)


def noise_share(problem: Problem) -> Tensor:
    """(TF genes,) share of the variance of a TF's log counts that comes from counting."""
    variance = problem.tf_count[problem.usable].double().var(0, correction=0)
    return (problem.tf_noise.double() / variance.clamp_min(1e-12)).clamp_max(MAX_NOISE_SHARE)


def _test_effects(
    b: NDArray[np.float64],
    se: NDArray[np.float64],
    strengths: NDArray[np.float64],
    share: float,
    n_blocks: int,
    n_cells: int,
) -> CorrectedEffects:
    """Effects with the p-values of the test that they exceed the minimum.

    ``strengths`` (2, TF genes, G) are their robustness values and the benchmarks of these.
    """
    known = np.isfinite(se) & (se > 0)
    error = np.where(known, se, 0.0)
    minimum = share * np.sqrt(np.maximum(b**2 - error**2, 0.0).sum(0))
    scale = np.where(known, se, 1.0) * np.sqrt(max(1.0, n_cells / MAX_EFFECTIVE_CELLS))
    freedom = max(n_blocks - 1, 1)
    above = student.sf((np.abs(b) - minimum) / scale, freedom)
    below = student.sf((np.abs(b) + minimum) / scale, freedom)
    p = np.where(known, np.clip(above + below, np.finfo(float).tiny, 1.0), 1.0)
    square = float((b[known] ** 2).mean()) if known.any() else 0.0
    excess = float((b[known] ** 2 - se[known] ** 2).mean()) if known.any() else 0.0
    reliability = max(excess, 0.0) / square if square > 0 else 0.0
    return CorrectedEffects(b, se, p, minimum, reliability, *strengths)


def _regress(
    z: Tensor, y: Tensor, inverse: Tensor, noise: Tensor, block: Tensor, n_f: int
) -> tuple[Tensor, Tensor, Tensor]:
    """(columns, targets) slopes, standard errors of the TFs by block, residual variances."""
    n = len(z)
    moment = z.T @ y / n
    b = inverse @ moment
    residual = y - z @ b
    influence = z @ inverse[:, :n_f]
    constant = inverse[:n_f] @ (noise[:, None] * b)
    total = torch.zeros_like(constant)
    for code in range(int(block.max()) + 1):
        cells = block == code
        total += (influence[cells].T @ residual[cells] + int(cells.sum()) * constant).square()
    left = residual_variance(y.var(0, correction=0), moment, b)
    return b, total.sqrt() / n, left


def _batches(problem: Problem, inverse: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Targets, mask (TF genes, 1) of TFs that may regulate them, and inverse without the others.

    All targets that are no TFs come together, the others one by one.
    """
    n_f, device = problem.n_tf_genes, inverse.device
    regulator, target = problem.forbidden
    by_tf = regulator < n_f
    excluded = {
        int(g): regulator[by_tf & (target == g)].to(device) for g in torch.unique(target[by_tf])
    }
    free = [g for g in range(problem.targets.shape[1]) if g not in excluded]
    every = torch.ones((n_f, 1), dtype=torch.bool, device=device)
    batches = [
        (targets, every, inverse)
        for targets in torch.tensor(free, dtype=torch.long, device=device).split(TARGET_BATCH)
    ]
    for g, genes in excluded.items():
        allowed = every.clone()
        allowed[genes] = False
        batches.append((torch.tensor([g], device=device), allowed, _without(inverse, genes)))
    return batches


def _without(inverse: Tensor, columns: Tensor) -> Tensor:
    """Inverse of the matrix without some rows and columns, which are 0 in the result."""
    left = inverse[:, columns]
    reduced: Tensor = inverse - left @ torch.linalg.solve(inverse[columns][:, columns], left.T)
    reduced[columns] = 0.0
    reduced[:, columns] = 0.0
    return reduced


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
