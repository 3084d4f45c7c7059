"""Refits on resampled blocks against decoy genes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from .config import Config
from .design import Design
from .fit import Fit, base_penalty, second_pass
from .records import Draw, Evidence, History, Problem, Weights
from .selection import strength_factors
from .sparse import Penalty, solve

#: Looks at all columns, real and decoys, in the first pass of a refit.
MAX_CHECKS = 5

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
    n_genes = problem.n_tf_genes
    total = torch.zeros(n_genes + n_p, n_g)
    positive, negative = torch.zeros_like(total), torch.zeros_like(total)
    pair_total, pair_hits = torch.zeros(n_p), torch.zeros(n_p)
    draws: dict[str, list[Draw]] = {"tf": [], "lr": [], "pair": []}
    signs = (1.0, 1.0, -1.0)
    squares = torch.zeros(4)
    for stream in tqdm(streams, desc="refits against decoys", disable=not config.progress, leave=False):
        rows = _random_blocks(problem.block, problem.usable, options.sample_share, stream)
        design = _design_with_decoys(problem, fit, draw_decoys(stream).to(y.device), rows)
        first, second = (w.dense(design.n_columns).cpu() for w in _refit(design, y, rows, problem, fit, config))
        real = torch.cat([problem.by_tf_gene(second[:n_f]), second[n_f : n_f + n_p]])
        decoy = second[n_f + n_p + n_c :]
        total += real
        positive += real > 0
        negative += real < 0
        pair_total += real[n_genes:].norm(dim=1)
        norms = first[n_f : n_f + n_p].norm(dim=1)
        pair_hits += norms > 0
        draws["tf"].append(_draw(real[:n_genes], [problem.by_tf_gene(decoy[:n_f])], (1.0,)))
        draws["lr"].append(_draw(real[n_genes:], decoy[n_f:].split(n_p), signs))
        decoy_norms = [w.norm(dim=1) for w in first[-3 * n_p :].split(n_p)]
        draws["pair"].append(_draw(norms, decoy_norms, signs))
        squares += torch.stack([v.square().sum() for v in (norms, *decoy_norms)])
    n = options.n_resamples
    return Evidence(
        effect=(total / n).numpy(),
        stability=(torch.where(total >= 0, positive, negative) / n * (total != 0)).numpy(),
        pair_score=(pair_total / n).numpy(),
        pair_stability=(pair_hits / n).numpy(),
        false_share=float(((squares[1] + squares[2] - squares[3]) / squares[0]).nan_to_num(1.0).clamp(0.0, 1.0)),
        draws=draws,
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


def _refit(
    design: Design, y: Tensor, rows: Tensor, problem: Problem, fit: Fit, config: Config
) -> tuple[Weights, Weights]:
    """First and second pass; decoys carry the penalties and the forbidden edges of the regulators they stand for, in the second pass too."""
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
        max_checks=MAX_CHECKS,
    )
    factor = strength_factors(first, problem, options.adaptation)
    pairs = factor[n_f : n_f + n_p]
    factor = torch.cat([factor, factor[:n_f], pairs, pairs, pairs])
    return first, second_pass(design, y, rows, first, penalty, factor, options)


def _draw(real: Tensor, decoys: Sequence[Tensor], signs: tuple[float, ...]) -> Draw:
    flat = real.abs().flatten()
    index = torch.nonzero(flat)[:, 0]
    found = [d.abs().flatten() for d in decoys]
    values = np.concatenate([d[d > 0].numpy() for d in found])
    weights = np.concatenate([np.full(int((d > 0).sum()), sign) for d, sign in zip(found, signs, strict=True)])
    order = np.argsort(values, kind="stable")
    return Draw(index.numpy(), flat[index].numpy(), values[order], weights[order])
