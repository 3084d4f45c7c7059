"""Calibration of a prior by what the data say without it."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ..config import Config
from ..fit import hold_out, standardise_targets
from ..network.observe import build_network, observe
from ..records import Problem
from ..regression.choose_penalty import errors_along_path
from ..regression.penalty import base_penalty, without_prior
from ..regression.regression import Regression

logger = logging.getLogger("spatrace_sc")

#: Weight of a pair's own size against the mean size of the pairs that the prior names. TF edges
#: have none.
OWN_SIZE_WEIGHT = {"lr": 0.5, "tf": 0.0}


@torch.no_grad()
def calibrate_prior(
    problem: Problem, config: Config, *, seed: int
) -> tuple[Problem, dict[str, float]]:
    """The problem with its prior as strong as the data support, and ratios of sizes by kind.

    Under a penalty on |W|, the penalties of two groups of edges that fit them best are in the
    inverse ratio of their mean sizes. So the model is first fitted without the prior, at the λ
    that predicts best. With the mean size of |W| over edges that the prior names and over the
    others, separately for pairs (over their targets) and TF edges,

    factor = max(1 / (1 + weight), min(1, mean size of others / s)),

    where s is the mean size of named edges for TF edges, and the mean of that and the pair's own
    size for pairs. The factor is 1 if named edges are no stronger than the others. A pair's own
    size, a mean over all targets, separates right from wrong pairs of a mixed prior. The size of
    a single TF edge would give chance a head start. Decoys carry the factors of the edges that
    they stand for.

    Returns
    -------
    problem
        Unchanged without a prior.
    ratio
        Mean size of other edges over that of named ones, 1 at most, by kind (``"lr"``, ``"tf"``).
    """
    pairs = torch.nonzero(problem.may_act)[:, 0]
    columns = problem.pair_columns
    pairs = pairs[(pairs >= columns.start) & (pairs < columns.stop)]
    factors = {"lr": problem.penalty[pairs]}
    if problem.tf_penalty is not None:
        factors["tf"] = problem.tf_penalty
    factors = {kind: factor for kind, factor in factors.items() if bool((factor < 1).any())}
    if not factors:
        return problem, {}
    size = _sizes_without_prior(problem, pairs, config, seed)
    ratio = {kind: min(1.0, _ratio(size[kind], factor < 1)) for kind, factor in factors.items()}
    for kind, factor in factors.items():
        factors[kind] = _calibrated(factor, size[kind], ratio[kind], OWN_SIZE_WEIGHT[kind])
        logger.info(
            "Prior of %s: without it, the edges that it names are %.2g times as strong as "
            "others%s.",
            {"lr": "pairs", "tf": "TF edges"}[kind],
            1.0 / max(ratio[kind], 1e-9),
            " or less, so it is not used" if ratio[kind] >= 1 else "",
        )
    penalty = problem.penalty.clone()
    penalty[pairs] = factors.get("lr", penalty[pairs])
    tf_penalty = factors.get("tf", problem.tf_penalty)
    return replace(problem, penalty=penalty, tf_penalty=tf_penalty), ratio


def _calibrated(factor: Tensor, size: Tensor, ratio: float, own_weight: float) -> Tensor:
    """Factors on penalties, where factors below 1 are raised to what the sizes support."""
    named = factor < 1
    if ratio >= 1:
        return torch.ones_like(factor)
    strength = (1.0 - own_weight) * size[named].mean() + own_weight * size
    supported = (size[~named].mean() / strength.clamp_min(1e-12)).clamp_max(1.0)
    return torch.where(named, torch.maximum(factor, supported), factor)


def _sizes_without_prior(
    problem: Problem, pairs: Tensor, config: Config, seed: int
) -> dict[str, Tensor]:
    """Absolute weights without the prior, at the λ with the smallest held-out error.

    ``"lr"`` holds means over targets of the given columns of pairs, ``"tf"`` every TF edge
    (TF genes, G).
    """
    rng = np.random.default_rng(seed)
    device = problem.targets.device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(int(rng.integers(2**31)))
        rows = problem.usable & ~hold_out(problem.block, config.training.held_out, rng)
        y, _, _ = standardise_targets(problem.targets, rows)
        network = build_network(problem, config, rows).to(device)
        design, _, _ = observe(network, problem, rows)
        penalty = without_prior(base_penalty(problem), problem)
        regression = Regression(design, y, rows, penalty, config.training)
        path, error, _ = errors_along_path(regression, problem)
    lam = path[int(error.argmin())] if path else 1.0
    weights = regression.solve(lam).dense(design.n_columns)
    return {
        "lr": weights[pairs].abs().mean(1),
        "tf": problem.by_tf_gene(weights[: problem.n_tfs]).abs(),
    }


def _ratio(size: Tensor, named: Tensor) -> float:
    """Mean size of other edges over that of named ones.

    It is 1 if no edge is named, all are, or the named ones have no size.
    """
    of_named = float(size[named].mean())
    if of_named > 0 and bool((~named).any()):
        return float(size[~named].mean()) / of_named
    return 1.0
