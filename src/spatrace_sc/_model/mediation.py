"""What pairs do to TFs: the first half of pair → TF → target."""

from __future__ import annotations

import torch

from .config import Config
from .corrected import noise_share
from .fit import Fit, observe
from .records import Problem, Weights
from .sparse import Penalty, solve


@torch.no_grad()
def effects_on_tfs(problem: Problem, fit: Fit, config: Config) -> Weights:
    """Effects of pairs on TFs, ``rows`` (A,) pairs and ``values`` (A, TF genes) in standard deviations of the TF's noise-free level per standard deviation of the signal.

    The sparse regression of the targets with the TFs' own counts in their place: pairs, covariates and the earlier levels of the other TFs compete at the same λ. Measured with noise, a TF's effects come out
    too small by the square root of its noise-free share, by which they are divided.
    """
    rows, n_genes, n_f = problem.usable, problem.n_tf_genes, problem.n_tfs
    design, _, _ = observe(fit.network, problem, rows)
    level = problem.tf_count[rows]
    sd = level.std(0, correction=0)
    level = (level - level.mean(0)) / torch.where(sd > 1e-6, sd, torch.inf)
    earlier = torch.arange(n_genes, device=rows.device)
    pairs = torch.arange(n_f, problem.n_regulators, device=rows.device)
    weights = solve(
        design,
        level,
        rows,
        fit.weights.penalty,
        Penalty(problem.penalty, problem.forbidden_on_tfs),
        max_iterations=config.training.max_iterations,
        tolerance=config.training.tolerance,
        among=torch.cat([earlier, pairs]),
    )
    kept = (weights.rows >= n_f) & (weights.rows < n_f + problem.n_pairs)
    values = weights.values[kept] / (1.0 - noise_share(problem)).sqrt()[None, :].to(weights.values.dtype)
    return Weights(weights.rows[kept] - n_f, values, weights.penalty)
