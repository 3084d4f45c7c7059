"""Refits on resampled blocks against decoy genes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from .config import Config
from .design import Design
from .fit import Fit, base_penalty
from .records import Evidence, History, Problem, Weights
from .selection import pair_factors
from .sparse import Penalty, solve

#: Draws the history of decoy genes: same shapes, same marginal distributions, no relation to the targets.
DrawDecoys = Callable[[np.random.Generator], History]


@torch.no_grad()
def resample(problem: Problem, fit: Fit, draw_decoys: DrawDecoys, config: Config, *, seed: int) -> Evidence:
    """Refit the weights on random blocks of cells, real regulators against decoys, the network fixed.

    In each refit every TF competes with a decoy TF, and every pair L·R with L·R', L'·R and L'·R', where a prime marks a decoy. Decoys pass through the same
    penalty, second pass and selection as real regulators. False LR hits at a threshold are estimated as
    hits(L·R') + hits(L'·R) − hits(L'·R'): a false pair that shares a true ligand, plus one that shares a true receptor, minus what both count.
    """
    options = config.evidence
    streams = np.random.default_rng(seed).spawn(options.n_resamples)
    n_f, n_p, n_c, n_g = problem.n_tfs, problem.n_pairs, problem.covariates.shape[1], problem.targets.shape[1]
    y = (problem.targets - fit.target_mean) / fit.target_sd
    total = torch.zeros(n_f + n_p, n_g)
    positive, negative = torch.zeros_like(total), torch.zeros_like(total)
    pair_total, pair_hits = torch.zeros(n_p), torch.zeros(n_p)
    nulls: dict[str, list[tuple[Tensor, float]]] = {"tf": [], "lr": [], "pair": []}
    for stream in tqdm(streams, desc="refits against decoys", disable=not config.progress, leave=False):
        rows = _random_blocks(problem.block, problem.usable, options.sample_share, stream)
        design = _design_with_decoys(problem, fit, draw_decoys(stream).to(y.device), rows)
        weights = _refit(design, y, rows, problem, fit, config).dense(design.n_columns).cpu()
        real = weights[: n_f + n_p]
        decoy = weights[n_f + n_p + n_c :]
        tf_decoy, lr_decoys = decoy[:n_f], decoy[n_f:].split(n_p)
        total += real
        positive += real > 0
        negative += real < 0
        norms = real[n_f:].norm(dim=1)
        pair_total += norms
        pair_hits += norms > 0
        nulls["tf"].append((tf_decoy.abs().flatten(), 1.0))
        for block, sign in zip(lr_decoys, (1.0, 1.0, -1.0), strict=True):
            nulls["lr"].append((block.abs().flatten(), sign))
            nulls["pair"].append((block.norm(dim=1), sign))
    n = options.n_resamples
    return Evidence(
        effect=(total / n).numpy(),
        stability=(torch.where(total >= 0, positive, negative) / n * (total != 0)).numpy(),
        pair_score=(pair_total / n).numpy(),
        pair_stability=(pair_hits / n).numpy(),
        tf_null=_pool(nulls["tf"], n),
        lr_null=_pool(nulls["lr"], n),
        pair_null=_pool(nulls["pair"], n),
    )


def _random_blocks(block: Tensor, usable: Tensor, share: float, rng: np.random.Generator) -> Tensor:
    codes = np.unique(block[usable].cpu().numpy())
    chosen = rng.choice(codes, max(1, round(share * len(codes))), replace=False)
    return usable & torch.isin(block, torch.as_tensor(chosen, device=block.device))


def _design_with_decoys(problem: Problem, fit: Fit, decoys: History, rows: Tensor) -> Design:
    """TFs, pairs, covariates; then decoy TFs, L·R', L'·R, L'·R'."""
    network, real = fit.network, fit.attended
    fake = network.gather(fit.look, decoys)

    def pairs(exposure: Tensor, receptor: Tensor) -> tuple[int, Callable[[Tensor], Tensor]]:
        return problem.n_pairs, lambda c: network.signal(exposure, receptor, c)

    return Design(
        [
            (problem.n_tfs, lambda c: real.tf[:, c]),
            pairs(real.exposure, real.receptor),
            (problem.covariates.shape[1], lambda c: problem.covariates[:, c]),
            (problem.n_tfs, lambda c: fake.tf[:, c]),
            pairs(real.exposure, fake.receptor),
            pairs(fake.exposure, real.receptor),
            pairs(fake.exposure, fake.receptor),
        ],
        rows,
    )


def _refit(design: Design, y: Tensor, rows: Tensor, problem: Problem, fit: Fit, config: Config) -> Weights:
    """Both passes; decoys carry the penalties and the forbidden edges of the regulators they stand for."""
    n_f, n_p, n_c = problem.n_tfs, problem.n_pairs, problem.covariates.shape[1]
    base = base_penalty(problem)
    tf_of = base.tf_of if base.tf_of is not None else torch.full_like(base.row, -1, dtype=torch.long)
    regulator, target = problem.forbidden
    tf, pair = regulator < n_f, (regulator >= n_f) & (regulator < n_f + n_p)
    copies = [problem.forbidden, torch.stack([regulator[tf] + n_f + n_p + n_c, target[tf]])]
    copies += [torch.stack([regulator[pair] + n_c + n_f + k * n_p, target[pair]]) for k in range(1, 4)]
    penalty = Penalty(
        torch.cat([base.row, base.row[:n_f], *(base.row[n_f : n_f + n_p],) * 3]),
        torch.cat(copies, dim=1),
        base.tf,
        torch.cat([tf_of, tf_of[:n_f], *(torch.full_like(problem.pair_ligand[:1], -1).expand(n_p),) * 3]),
    )
    lam, options = fit.weights.penalty, config.training
    first = solve(
        design,
        y[rows],
        rows,
        lam,
        penalty,
        max_iterations=options.max_iterations,
        tolerance=options.tolerance,
        start=fit.weights,
    )
    second = penalty.scaled(pair_factors(first, problem, options.pair_adaptation, n_kinds=4))
    return solve(
        design,
        y[rows],
        rows,
        lam,
        second,
        max_iterations=options.max_iterations,
        tolerance=options.tolerance,
        start=first,
    )


def _pool(parts: list[tuple[Tensor, float]], n_resamples: int) -> tuple[np.ndarray, np.ndarray]:
    """Positive decoy scores, ascending, and how many false hits per refit each stands for."""
    values = np.concatenate([v[v > 0].numpy() for v, _ in parts])
    signs = np.concatenate([np.full(int((v > 0).sum()), s / n_resamples) for v, s in parts])
    order = np.argsort(values, kind="stable")
    return values[order], signs[order]
