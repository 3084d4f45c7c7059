"""How far prior knowledge is to be trusted, by what the data say without it."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ..config import Config
from ..fit import base_penalty, build_network, hold_out, observe
from ..records import Problem
from ..regression.choose_penalty import errors_along_path, without_prior
from ..regression.lasso import solve

logger = logging.getLogger("spatrace_sc")


@torch.no_grad()
def borne_out(problem: Problem, config: Config, *, seed: int) -> tuple[Problem, dict[str, float]]:
    r"""The problem with its prior believed as far as the data bear it out, and how much stronger named edges are, others over named, by kind (1 at most).

    Under a penalty on :math:`|W|`, the penalties of two groups of edges that fit them best are in the inverse ratio of their mean sizes. The model is first fitted without the prior, at the λ that predicts best; with the mean
    size :math:`\overline{|W|}` of the edges that the prior names and of the others, for pairs and for TF edges apart,

    .. math::
        factor_e = \max\Big(\tfrac{1}{1 + weight_e},\ \min\big(1, \overline{|W|}_{others} / s_e\big)\Big), \qquad
        s_e = \overline{|W|}_{named} \text{ (TF edges)}, \quad s_e = \tfrac12 \big(\overline{|W|}_{named} + \overline{|W|}_e\big) \text{ (pairs, over their targets)}

    and nothing is believed where the named are no stronger than the others. A pair's own size, a mean over all targets, tells the right from the wrong ones of a mixed prior; that of a single TF edge would lend a head start to chance.
    Decoys carry the factors of the edges they stand for. Without a prior the problem itself is returned.
    """
    pairs = torch.nonzero(problem.kept)[:, 0]
    pairs = pairs[(pairs >= problem.n_tfs) & (pairs < problem.n_tfs + problem.n_pairs)]
    factors = {"lr": problem.penalty[pairs]}
    if problem.tf_penalty is not None:
        factors["tf"] = problem.tf_penalty
    factors = {kind: factor for kind, factor in factors.items() if bool((factor < 1).any())}
    if not factors:
        return problem, {}
    size = _sizes_without(problem, pairs, config, seed)
    ratio = {kind: min(1.0, _ratio(size[kind], factor < 1)) for kind, factor in factors.items()}
    for kind, factor in factors.items():
        factors[kind] = _believed(factor, size[kind], ratio[kind], own=0.5 if kind == "lr" else 0.0)
        logger.info(
            "prior of %s: without it the edges that it names are %.2g times as strong as others%s.",
            {"lr": "pairs", "tf": "TF edges"}[kind],
            1.0 / max(ratio[kind], 1e-9),
            ", or less: it is not used" if ratio[kind] >= 1 else "",
        )
    penalty = problem.penalty.clone()
    penalty[pairs] = factors.get("lr", penalty[pairs])
    return replace(
        problem, penalty=penalty, tf_penalty=factors.get("tf", problem.tf_penalty)
    ), ratio


def _believed(factor: Tensor, size: Tensor, ratio: float, own: float) -> Tensor:
    """Factors below 1 raised to what sizes bear out; ``own`` is the share of an edge's own size beside the mean of all that are named."""
    named = factor < 1
    if ratio >= 1:
        return torch.ones_like(factor)
    strength = (1.0 - own) * size[named].mean() + own * size
    least = (size[~named].mean() / strength.clamp_min(1e-12)).clamp_max(1.0)
    return torch.where(named, torch.maximum(factor, least), factor)


def _sizes_without(problem: Problem, pairs: Tensor, config: Config, seed: int) -> dict[str, Tensor]:
    """Mean absolute weight over targets of every pair that may act, given by column, and that of every TF edge (TF genes, G), fitted without the prior at the λ with the smallest held-out error."""
    rng = np.random.default_rng(seed)
    device = problem.targets.device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(int(rng.integers(2**31)))
        rows = problem.usable & ~hold_out(problem.block, config.training.held_out, rng)
        mean, sd = problem.targets[rows].mean(0), problem.targets[rows].std(0, correction=0)
        y = (problem.targets - mean) / torch.where(sd > 1e-6, sd, torch.inf)
        network = build_network(problem, config, rows).to(device)
        design, _, _ = observe(network, problem, rows)
        penalty = without_prior(base_penalty(problem), problem)
        path, error, _ = errors_along_path(design, y, problem, rows, penalty, config.training)
    lam = path[int(error.argmin())] if path else 1.0
    options = config.training
    found = solve(
        design,
        y[rows],
        rows,
        lam,
        penalty,
        max_iterations=options.max_iterations,
        tolerance=options.tolerance,
    ).dense(design.n_columns)
    n_f = problem.n_tfs
    return {
        "lr": found[pairs].abs().mean(1),
        "tf": problem.by_tf_gene(found[:n_f]).abs(),
    }


def _ratio(size: Tensor, named: Tensor) -> float:
    """Mean size of the others over that of the named; 1 where none is named, all are, or the named have no size."""
    inside = float(size[named].mean())
    return float(size[~named].mean()) / inside if inside > 0 and bool((~named).any()) else 1.0
