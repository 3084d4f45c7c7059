"""Effects of TFs with the noise of counting taken out, and a test that they are large enough to name."""

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

logger = logging.getLogger("spatrace_sc")

#: No TF is taken for more than this share of noise.
MOST_NOISE = 0.95
#: Added to the diagonal of the corrected covariance of standardised columns.
RIDGE = 0.05
#: Columns in the regression, as a share of the cells: of the pairs the strongest enter; with more TFs than that there is no test.
MOST_PAIRS, MOST_COLUMNS = 0.1, 0.5
#: Cells from which more make the effects sharper but no test surer: an error of the linear model does not go away with cells.
SURE_CELLS = 5000
#: Targets in one batch.
BATCH = 256


@dataclass(frozen=True)
class Corrected:
    """Noise-corrected effects of TFs.

    (TF genes, G): ``effect`` and standard error ``se`` in standard deviations of the target per standard deviation of the TF's noise-free level, ``p_value``, and ``minimum`` (G,),
    the size from which an effect is worth naming; ``reliability``, the share of the effects' mean square that is not their own error.
    """

    effect: NDArray[np.float64]
    se: NDArray[np.float64]
    p_value: NDArray[np.float64]
    minimum: NDArray[np.float64]
    reliability: float

    @property
    def weight(self) -> float:
        r"""Weight of these effects beside the sparse model's: :math:`v = \frac{3 r^2}{1 + 3 r^2}`, at most three quarters."""
        odds = 3.0 * self.reliability**2
        return odds / (1.0 + odds)


@torch.no_grad()
def corrected_effects(problem: Problem, fit: Fit, smallest_share: float) -> Corrected:
    r"""Effects of all TFs on every target in a regression that knows how noisy counts are.

    A TF that merely follows the true regulator predicts the target beside it as long as the true one's level is measured with noise: no number of cells cures that. Here the noise of counting, whose size
    is known, is subtracted from the covariance of the regulators. With *Z* the standardised levels of the TFs as counted in the cell itself, the covariates and the strongest pairs, and *D* the variance of
    counting (0 for all but TFs):

    .. math::
        M = \tfrac1n Z^\top Z - D, \quad b_g = M^{-1} \tfrac1n Z^\top y_g, \quad
        V_g = M^{-1} \Big[\tfrac1{n^2} \sum_{blocks} s_b s_b^\top\Big] M^{-1}, \quad s_b = \sum_{i \in b} \big(z_i (y_{ig} - z_i^\top b_g) + D b_g\big)

    negative eigenvalues of *M* set to 0 and a ridge of 0.05 added. Blocks of space, not cells, are the units of the standard error. A gene is left out of the regression of its own expression.

    The test asks whether an effect is *larger than* :math:`\delta_g = c \sqrt{\sum_f \max(0, b_{fg}^2 - se_{fg}^2)}`, a share ``smallest_share`` of what TFs do to the target together, because with
    thousands of cells a linear model of a process that is not linear finds every tiny effect significant:

    .. math::
        p = P\Big(t > \tfrac{|b| - \delta}{\kappa\, se}\Big) + P\Big(t > \tfrac{|b| + \delta}{\kappa\, se}\Big), \quad \kappa = \sqrt{\max(1, n / 5000)}

    with as many degrees of freedom as blocks less one. :math:`\kappa` keeps the test no surer than 5 000 cells with a past would make it: with more, sampling errors become smaller than what the linear model itself gets wrong, which does not shrink,
    and edges just above :math:`\delta` would be called for that alone (of 50 000 simulated cells .15 and .27 of the calls were false without it, .02 and .01 with it; ``docs/calibration.md``).
    """
    rows = problem.usable
    counts = problem.tf_count[rows].double()
    n, n_f = counts.shape
    y = ((problem.targets - fit.target_mean) / fit.target_sd)[rows].double()
    others = torch.cat(
        [
            problem.covariates[rows].double(),
            _pairs(problem, fit, int(MOST_PAIRS * n))[rows].double(),
        ],
        1,
    )
    if n_f + others.shape[1] > MOST_COLUMNS * n:
        logger.warning(
            "%d TFs are too many for %d receivers: their noise cannot be corrected for and no TF edge is supported. Name fewer TFs.",
            n_f,
            n,
        )
        shape = (n_f, y.shape[1])
        return Corrected(
            np.zeros(shape), np.full(shape, np.inf), np.ones(shape), np.zeros(shape[1]), 0.0
        )
    z = standard(torch.cat([counts, others], dim=1))
    share = noise_share(problem)
    noise = torch.cat([share, share.new_zeros(others.shape[1])])
    inverse = _inverse(z.T @ z / n - torch.diag(noise))
    block = torch.unique(problem.block[rows], return_inverse=True)[1]
    effect, se = (
        torch.zeros(n_f, y.shape[1]).double().to(z.device),
        torch.full_like(y[:1].expand(n_f, -1), torch.inf).clone(),
    )
    for some, kept, own in _batches(problem, inverse):
        part, error = _regress(z, y[:, some], own, noise, block, n_f)
        effect[:, some], se[:, some] = part * kept, torch.where(kept, error, torch.inf)
    scale = (1.0 - share).sqrt()[:, None]
    b, error = (
        (effect * scale).cpu().numpy(),
        (se * scale * np.sqrt(n / (n - z.shape[1]))).cpu().numpy(),
    )
    return _tested(b, error, smallest_share, int(block.max()) + 1, n)


def noise_share(problem: Problem) -> Tensor:
    """(TF genes,) share of the variance of a TF's log counts that is counting."""
    variance = problem.tf_count[problem.usable].double().var(0, correction=0)
    return (problem.tf_noise.double() / variance.clamp_min(1e-12)).clamp_max(MOST_NOISE)


def _tested(
    b: NDArray[np.float64], se: NDArray[np.float64], share: float, n_blocks: int, n_cells: int
) -> Corrected:
    found = np.isfinite(se) & (se > 0)
    error = np.where(found, se, 0.0)
    minimum = share * np.sqrt(np.maximum(b**2 - error**2, 0.0).sum(0))
    safe = np.where(found, se, 1.0) * np.sqrt(max(1.0, n_cells / SURE_CELLS))
    free = max(n_blocks - 1, 1)
    p = student.sf((np.abs(b) - minimum) / safe, free) + student.sf(
        (np.abs(b) + minimum) / safe, free
    )
    square = float((b[found] ** 2).mean()) if found.any() else 0.0
    excess = float((b[found] ** 2 - se[found] ** 2).mean()) if found.any() else 0.0
    reliability = max(excess, 0.0) / square if square > 0 else 0.0
    return Corrected(
        b, se, np.where(found, np.clip(p, np.finfo(float).tiny, 1.0), 1.0), minimum, reliability
    )


def _regress(
    z: Tensor, y: Tensor, inverse: Tensor, noise: Tensor, block: Tensor, n_f: int
) -> tuple[Tensor, Tensor]:
    """(F, targets) slopes of the TFs and their standard errors by block."""
    n = len(z)
    b = inverse @ (z.T @ y / n)
    residual = y - z @ b
    influence = z @ inverse[:, :n_f]
    constant = inverse[:n_f] @ (noise[:, None] * b)
    total = torch.zeros_like(constant)
    for number in range(int(block.max()) + 1):
        here = block == number
        total += (influence[here].T @ residual[here] + int(here.sum()) * constant).square()
    return b[:n_f], total.sqrt() / n


def _batches(problem: Problem, inverse: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
    """(targets, (F, 1) TFs that may regulate them, inverse without those that may not): all targets that are no TFs together, the others one by one."""
    n_f, device = problem.n_tf_genes, inverse.device
    regulator, target = problem.forbidden
    own = regulator < n_f
    alone = {int(g): regulator[own & (target == g)].to(device) for g in torch.unique(target[own])}
    free = torch.tensor(
        [g for g in range(problem.targets.shape[1]) if g not in alone],
        dtype=torch.long,
        device=device,
    )
    every = torch.ones((n_f, 1), dtype=torch.bool, device=device)
    batches = [(some, every, inverse) for some in free.split(BATCH)]
    for g, genes in alone.items():
        kept = every.clone()
        kept[genes] = False
        batches.append((torch.tensor([g], device=device), kept, _without(inverse, genes)))
    return batches


def _without(inverse: Tensor, columns: Tensor) -> Tensor:
    """Inverse of the matrix without some of its rows and columns, those set to 0."""
    left = inverse[:, columns]
    reduced: Tensor = inverse - left @ torch.linalg.solve(inverse[columns][:, columns], left.T)
    reduced[columns] = 0.0
    reduced[:, columns] = 0.0
    return reduced


def _inverse(covariance: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(covariance)
    inverse: Tensor = (vectors / (values.clamp_min(0.0) + RIDGE)) @ vectors.T
    return inverse


def _pairs(problem: Problem, fit: Fit, most: int) -> Tensor:
    """(N, A) signals of the pairs with the strongest weights."""
    rows, values = fit.weights.rows, fit.weights.values
    pairs = (rows >= problem.n_tfs) & (rows < problem.n_tfs + problem.n_pairs)
    strongest = values[pairs].norm(dim=1).argsort(descending=True)[:most]
    chosen = rows[pairs][strongest].sort().values - problem.n_tfs
    return fit.network.signal(fit.attended.exposure, fit.attended.receptor, chosen)
