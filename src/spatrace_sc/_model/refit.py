"""One refit of the weights on some blocks of cells, real regulators against decoys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .config import Config
from .design import Design
from .fit import Fit, base_penalty, second_pass
from .records import Draw, History, Problem, Weights
from .selection import strength_factors
from .sparse import Penalty, solve

#: Looks at all columns, real and decoys, in the first pass of a refit.
MAX_CHECKS = 5
#: False hits that a hit of L·R', L'·R and L'·R' stands for.
SIGNS = (1.0, 1.0, -1.0)
#: Bins of the strengths of decoys.
BINS = 20_000


class Refit(NamedTuple):
    """What one refit says.

    ``real`` (TF genes + P, G) weights of the second pass, ``on_tfs`` (P, TF genes) effects of pairs on TFs, ``among_tfs`` (TF genes, TF genes) those of TFs in earlier cells, ``norms`` (P,) of the pairs in the first, logarithms of p of edges and of pairs, the draws against decoys, and the
    squared norms of L·R, L·R', L'·R, L'·R'.
    """

    real: Tensor
    on_tfs: Tensor
    among_tfs: Tensor
    norms: Tensor
    log_p: Tensor
    pair_log_p: Tensor
    draws: dict[str, Draw]
    squares: Tensor


@torch.no_grad()
def refit(problem: Problem, fit: Fit, decoys: History, rows: Tensor, config: Config) -> Refit:
    """Fit real regulators and decoys together on the given cells and compare them."""
    n_f, n_p, n_c, n_genes = problem.n_tfs, problem.n_pairs, problem.covariates.shape[1], problem.n_tf_genes
    y = (problem.targets - fit.target_mean) / fit.target_sd
    design = _design_with_decoys(problem, fit, decoys, rows)
    penalty = _penalty_with_decoys(problem, problem.forbidden)
    floor = config.training.adaptation
    first_sparse, second_sparse = _passes(
        design, y, rows, fit, penalty, config, lambda w: _factor_with_decoys(w, problem, floor), fit.weights
    )
    first, second = (w.dense(design.n_columns) for w in (first_sparse, second_sparse))
    parts = [n_f, n_p, n_c, n_f, n_p, n_p, n_p]
    norms, *decoy_norms = (w.norm(dim=1).cpu() for k, w in enumerate(first.split(parts)) if k in {1, 4, 5, 6})
    strength = _strength(design, y, rows, second_sparse, second, penalty)
    second, strength = second.cpu(), strength.cpu()
    w, t = second.split(parts), strength.split(parts)
    real = torch.cat([problem.by_tf_gene(w[0]), w[1]])
    tf, decoy_tf = problem.by_tf_gene(t[0]).abs(), problem.by_tf_gene(t[3]).abs()
    on_tfs, *decoys_on_tfs, among_tfs = (
        _on_tfs(design, rows, problem, fit, _factor_with_decoys(first_sparse, problem, floor), config)
        .cpu()
        .split([*[n_p] * 4, n_genes])
    )
    nearest = [norm + s.abs().amax(1) for norm, s in zip((norms, *decoy_norms), (t[1], *t[4:]), strict=True)]
    return Refit(
        real,
        on_tfs,
        among_tfs,
        norms,
        torch.cat([_log_p(tf, [decoy_tf], (1.0,)), _log_p(t[1].abs(), [s.abs() for s in t[4:]], SIGNS)]),
        _log_p(nearest[0], nearest[1:], SIGNS),
        {
            "tf": _draw(real[:n_genes], [problem.by_tf_gene(w[3])], (1.0,)),
            "lr": _draw(real[n_genes:], w[4:], SIGNS),
            "lr_tf": _draw(on_tfs, decoys_on_tfs, SIGNS),
            "pair": _draw(norms, decoy_norms, SIGNS),
        },
        torch.stack([v.square().sum() for v in (norms, *decoy_norms)]),
    )


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


def _penalty_with_decoys(problem: Problem, forbidden: Tensor) -> Penalty:
    """Decoys carry the penalties and the forbidden edges of the regulators they stand for."""
    n_f, n_p, n_c = problem.n_tfs, problem.n_pairs, problem.covariates.shape[1]
    base = base_penalty(problem)
    tf_of = base.tf_of if base.tf_of is not None else torch.full_like(base.row, -1, dtype=torch.long)
    regulator, target = forbidden
    tf, pair = regulator < n_f, (regulator >= n_f) & (regulator < n_f + n_p)
    copies = [forbidden, torch.stack([regulator[tf] + n_f + n_p + n_c, target[tf]])]
    copies += [torch.stack([regulator[pair] + n_c + n_f + k * n_p, target[pair]]) for k in range(1, 4)]
    return Penalty(
        torch.cat([base.row, base.row[:n_f], *(base.row[n_f : n_f + n_p],) * 3]),
        torch.cat(copies, dim=1),
        base.tf,
        torch.cat([tf_of, tf_of[:n_f], *(torch.full_like(problem.pair_ligand[:1], -1).expand(n_p),) * 3]),
    )


def _passes(
    design: Design,
    y: Tensor,
    rows: Tensor,
    fit: Fit,
    penalty: Penalty,
    config: Config,
    factor: Callable[[Weights], Tensor],
    start: Weights | None = None,
) -> tuple[Weights, Weights]:
    """First pass and, with the factors that follow from it, the second."""
    options = config.training
    first = solve(
        design,
        y[rows],
        rows,
        fit.weights.penalty,
        penalty,
        max_iterations=options.max_iterations,
        tolerance=options.tolerance,
        start=start,
        max_checks=MAX_CHECKS,
    )
    return first, second_pass(design, y, rows, first, penalty, factor(first), options)


def _factor_with_decoys(first: Weights, problem: Problem, floor: float) -> Tensor:
    """Factors of the second pass; a decoy carries that of the regulator it stands for."""
    n_f, n_p = problem.n_tfs, problem.n_pairs
    factor = strength_factors(first, problem, floor)
    pairs = factor[n_f : n_f + n_p]
    return torch.cat([factor, factor[:n_f], pairs, pairs, pairs])


def _on_tfs(design: Design, rows: Tensor, problem: Problem, fit: Fit, factor: Tensor, config: Config) -> Tensor:
    """Weights of pairs, L·R', L'·R and L'·R', and of TFs in earlier cells on the TFs' own counts, (4 P + TF genes, TF genes): the first half of pair → TF → target.

    Both passes, with the factors of the targets; of TFs only the earlier levels of the others compete.
    """
    n_genes, n_f, n_p, n_c = problem.n_tf_genes, problem.n_tfs, problem.n_pairs, problem.covariates.shape[1]
    level = problem.tf_count
    sd = level[problem.usable].std(0, correction=0)
    level = (level - level[problem.usable].mean(0)) / torch.where(sd > 1e-6, sd, torch.inf)
    decoys = n_f + n_p + n_c
    penalty = replace(_penalty_with_decoys(problem, problem.forbidden_on_tfs), tf=None)
    penalty.row[n_genes:n_f] = torch.inf
    penalty.row[decoys : decoys + n_f] = torch.inf
    second = _passes(design, level, rows, fit, penalty, config, lambda first: factor)[1].dense(design.n_columns)
    return torch.cat([second[n_f : n_f + n_p], second[decoys + n_f :], second[:n_genes]])


def _strength(design: Design, y: Tensor, rows: Tensor, weights: Weights, dense: Tensor, penalty: Penalty) -> Tensor:
    """(columns, G) weight + slope of the residual on the column: what the penalty was held against. Its size orders edges that have no weight, too. 0 for edges that may not exist."""
    residual = y[rows] - design[weights.rows][rows] @ weights.values
    strength = dense.clone()
    for columns in design.blocks():
        strength[columns] += design[columns][rows].T @ residual / len(residual)
    regulator, target = penalty.forbidden
    strength[regulator, target] = 0.0
    return strength


def _log_p(real: Tensor, decoys: Sequence[Tensor], signs: tuple[float, ...]) -> Tensor:
    """Log of ``(1 + decoys at least as strong) / (1 + candidates)``, at most 0; strengths in bins, those of one bin count as equal."""
    top = max(float(v.max()) for v in (real, *decoys)) or 1.0
    scale = BINS / top * (1.0 - 1e-6)
    counts = torch.zeros(BINS, dtype=torch.float64)
    for values, sign in zip(decoys, signs, strict=True):
        counts += sign * torch.bincount((values.flatten() * scale).long(), minlength=BINS)[:BINS]
    tail = counts.flip(0).cumsum(0).clamp_min(0.0).cummax(0).values.flip(0)
    log_p = torch.log(((1.0 + tail) / (1.0 + real.numel())).clamp_max(1.0)).float()
    return log_p[(real * scale).long().clamp_max(BINS - 1)]


def _draw(real: Tensor, decoys: Sequence[Tensor], signs: tuple[float, ...]) -> Draw:
    flat = real.abs().flatten()
    index = torch.nonzero(flat)[:, 0]
    found = [d.abs().flatten() for d in decoys]
    values = np.concatenate([d[d > 0].numpy() for d in found])
    weights = np.concatenate([np.full(int((d > 0).sum()), sign) for d, sign in zip(found, signs, strict=True)])
    order = np.argsort(values, kind="stable")
    return Draw(index.numpy(), flat[index].numpy(), values[order], weights[order])
