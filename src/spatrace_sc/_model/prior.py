"""How far prior knowledge is to be trusted, by what the data say without it."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from .config import Config
from .fit import base_penalty, build_network, hold_out, observe
from .records import Problem
from .selection import errors_along_path, without_prior
from .sparse import solve

logger = logging.getLogger("spatrace_sc")


@torch.no_grad()
def borne_out(problem: Problem, config: Config, *, seed: int) -> tuple[Problem, dict[str, float]]:
    r"""The problem with its prior believed as far as the data bear it out, and the smallest factor of each kind that is.

    Under a penalty on :math:`|W|`, the penalties of two groups of edges that fit them best are in the inverse ratio of their mean sizes. The model is first fitted without the prior, at the λ that predicts best; with the
    mean :math:`|W|` of the edges that the prior names and of the others,

    .. math::
        factor = \max\Big(\tfrac{1}{1 + weight},\ \min\big(1, \tfrac{\overline{|W|}_{others}}{\overline{|W|}_{named}}\big)\Big)

    for pairs and for TF edges apart. A prior whose edges are no stronger than others is not used. Decoys carry the same factors as the edges they stand for. Without a prior the problem itself is returned.
    """
    pairs = slice(problem.n_tfs, problem.n_tfs + problem.n_pairs)
    named = {"lr": problem.penalty[pairs] < 1}
    if problem.tf_penalty is not None:
        named["tf"] = problem.tf_penalty < 1
    named = {kind: mask for kind, mask in named.items() if bool(mask.any())}
    if not named:
        return problem, {}
    size = _sizes_without(problem, config, seed)
    least = {kind: _ratio(size[kind], mask) for kind, mask in named.items()}
    for kind, value in least.items():
        logger.info(
            "prior of %s: the edges that it names are %.2g times as strong as others without it; their penalty is divided by %s.",
            {"lr": "pairs", "tf": "TF edges"}[kind],
            1.0 / max(value, 1e-12),
            "1: it is not used" if value >= 1 else f"at most {1.0 / max(value, 1e-12):.2g}",
        )
    penalty = problem.penalty.clone()
    if "lr" in least:
        penalty[pairs] = torch.where(named["lr"], penalty[pairs].clamp_min(min(1.0, least["lr"])), penalty[pairs])
    tf = problem.tf_penalty
    if tf is not None and "tf" in least:
        tf = torch.where(named["tf"], tf.clamp_min(min(1.0, least["tf"])), tf)
    return replace(problem, penalty=penalty, tf_penalty=tf), {kind: min(1.0, v) for kind, v in least.items()}


def _sizes_without(problem: Problem, config: Config, seed: int) -> dict[str, Tensor]:
    """Mean absolute weight over targets of every pair (P,), and that of every TF edge (TF genes, G), fitted without the prior at the λ with the smallest held-out error."""
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
        design, y[rows], rows, lam, penalty, max_iterations=options.max_iterations, tolerance=options.tolerance
    ).dense(design.n_columns)
    n_f = problem.n_tfs
    return {
        "lr": found[n_f : n_f + problem.n_pairs].abs().mean(1),
        "tf": problem.by_tf_gene(found[:n_f]).abs(),
    }


def _ratio(size: Tensor, named: Tensor) -> float:
    """Mean size of the others over that of the named; 1 where none is named, all are, or the named have no size."""
    inside = float(size[named].mean())
    return float(size[~named].mean()) / inside if inside > 0 and bool((~named).any()) else 1.0
