"""One refit of the weights on some blocks of cells, real regulators against decoys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from ..config import Config
from ..fit import Fit, base_penalty, second_pass, signals_of
from ..records import Draw, History, Member, Problem, Weights
from ..regression.choose_penalty import strength_factors
from ..regression.design import Design, Plain
from ..regression.fista import predict
from ..regression.lasso import Penalty, solve
from .decoy_counts import SIGNS, Tally, draw_of, nonzero
from .edge_strength import Rest, strengths

#: Looks for violations in the first pass of a refit.
MAX_CHECKS = 5


class Refit(NamedTuple):
    """What one refit says.

    ``tf`` (TF genes, G) weights of the second pass, ``lr`` (E,) those of the listed edges of pairs, ``pairs`` (P,) norms of all a pair's; ``on_tfs`` (P, TF genes) effects of pairs on TFs; ``norms`` (P,) of the pairs in the first pass; logarithms of p of
    TF edges, of the listed edges of pairs and of pairs; the draws against decoys; the squared norms of L·R, L·R', L'·R, L'·R'; and all weights that are not 0.
    """

    tf: Tensor
    lr: Tensor
    pairs: Tensor
    on_tfs: Tensor
    norms: Tensor
    tf_log_p: Tensor
    lr_log_p: Tensor
    pair_log_p: Tensor
    draws: dict[str, Draw]
    squares: Tensor
    member: Member


class Parts(NamedTuple):
    """Columns of a design with decoys."""

    tf: range
    pair: range
    covariate: range
    decoy_tf: range
    decoy_pairs: tuple[range, ...]

    @classmethod
    def of(cls, problem: Problem) -> Parts:
        """TFs, pairs, covariates; then decoy TFs, L·R', L'·R, L'·R'."""
        sizes = [
            problem.n_tfs,
            problem.n_pairs,
            problem.covariates.shape[1],
            problem.n_tfs,
            *[problem.n_pairs] * 3,
        ]
        parts, start = [], 0
        for size in sizes:
            parts.append(range(start, start + size))
            start += size
        tf, pair, covariate, decoy_tf, *decoy_pairs = parts
        return cls(tf, pair, covariate, decoy_tf, tuple(decoy_pairs))


@torch.no_grad()
def refit(
    problem: Problem, fit: Fit, decoys: History, rows: Tensor, listed: Tensor, config: Config
) -> Refit:
    """Fit real regulators and decoys together on the given cells and compare them; ``listed`` (E,) edges of pairs are told one by one."""
    part, n_genes = Parts.of(problem), problem.n_tf_genes
    y = (problem.targets - fit.target_mean) / fit.target_sd
    penalty = _penalty_with_decoys(problem, problem.forbidden)
    design = _design_with_decoys(problem, fit, decoys, rows, torch.isfinite(penalty.row))
    floor = config.training.adaptation
    first, second = _passes(
        design,
        y,
        rows,
        fit,
        penalty,
        config,
        lambda w: _factor_with_decoys(w, problem, floor),
        fit.weights,
    )
    norms, *decoy_norms = (_norms(first, columns) for columns in (part.pair, *part.decoy_pairs))
    residual = y[rows] - predict(design.at(rows)[second.rows], second.values)
    rest = Rest(residual, rows, second, penalty.forbidden)
    strongest, of_listed = _real_pairs(design, part.pair, rest, listed)
    signs = tuple(sign * problem.decoy_weight for sign in SIGNS)
    decoy_strongest, tally = _decoy_pairs(design, part.decoy_pairs, rest, signs)
    tf, decoy_tf = (_tf_weights(problem, second, columns) for columns in (part.tf, part.decoy_tf))
    pair_rows, pair_values = second.part(part.pair)
    factor = _factor_with_decoys(first, problem, floor)
    on_tfs, *decoys_on_tfs, among_tfs = _on_tfs(design, rows, problem, fit, factor, config).split(
        [*[problem.n_pairs] * 4, n_genes]
    )
    nearest = Tally()
    kept = problem.kept[part.pair.start : part.pair.stop]
    for norm, strength, sign in zip(decoy_norms, decoy_strongest, signs, strict=True):
        nearest.add(norm[kept] + strength, sign)
    return Refit(
        tf.cpu(),
        _chosen(pair_rows, pair_values, listed).cpu(),
        _norms(second, part.pair).cpu(),
        on_tfs.cpu(),
        norms.cpu(),
        _tf_log_p(design, part, problem, rest),
        tally.log_p(of_listed, problem.n_pairs * y.shape[1]),
        nearest.log_p(norms + strongest, problem.n_pairs),
        {
            "tf": draw_of(nonzero(tf), [decoy_tf], (1.0,)),
            "lr": draw_of(
                nonzero(pair_values, pair_rows),
                [second.part(columns)[1] for columns in part.decoy_pairs],
                signs,
            ),
            "lr_tf": draw_of(nonzero(on_tfs), decoys_on_tfs, signs),
            "pair": draw_of(nonzero(norms[:, None]), decoy_norms, signs),
        },
        torch.stack(
            [norms.square().sum(), *(problem.decoy_weight * v.square().sum() for v in decoy_norms)]
        ).cpu(),
        _member(tf, (pair_rows, pair_values), among_tfs, on_tfs, problem.block[rows]),
    )


def _tf_weights(problem: Problem, weights: Weights, columns: range) -> Tensor:
    """(TF genes, G) weights of TFs or of their decoys, summed over the columns of each."""
    found, values = weights.part(columns)
    every = values.new_zeros((len(columns), values.shape[1]))
    every[found] = values
    return problem.by_tf_gene(every)


def _norms(weights: Weights, columns: range) -> Tensor:
    """(columns,) norm of every column's weights."""
    found, values = weights.part(columns)
    norms = values.new_zeros(len(columns))
    norms[found] = values.norm(dim=1)
    return norms


def _chosen(rows: Tensor, values: Tensor, listed: Tensor) -> Tensor:
    """(E,) weights of the listed edges, 0 for those without one, from the weights (A, G) of some pairs, ascending."""
    pair, target = listed // values.shape[1], listed % values.shape[1]
    place = torch.searchsorted(rows, pair)
    has = torch.isin(pair, rows)
    chosen = values.new_zeros(len(listed))
    chosen[has] = values[place[has], target[has]]
    return chosen


def _real_pairs(
    design: Design, columns: range, rest: Rest, listed: Tensor
) -> tuple[Tensor, Tensor]:
    """(P,) strongest edge of every pair, and (E,) strengths of the listed edges."""
    strongest, of_listed = (
        rest.residual.new_zeros(len(columns)),
        rest.residual.new_zeros(len(listed)),
    )
    for block, found in strengths(design, columns, rest):
        size, pairs = found.abs_(), block - columns.start
        strongest[pairs] = size.amax(1)
        ends = torch.stack([pairs[0], pairs[-1] + 1]) * size.shape[1]
        low, high = torch.searchsorted(listed, ends).tolist()
        pair, target = listed[low:high] // size.shape[1], listed[low:high] % size.shape[1]
        of_listed[low:high] = size[torch.searchsorted(pairs, pair), target]
    return strongest, of_listed


def _decoy_pairs(
    design: Design, parts: tuple[range, ...], rest: Rest, signs: tuple[float, ...]
) -> tuple[list[Tensor], Tally]:
    """Strongest edge of every decoy of L·R', L'·R, L'·R' that competes, and the strengths of all."""
    tally, strongest = Tally(), []
    for columns, sign in zip(parts, signs, strict=True):
        largest = [rest.residual.new_zeros(0)]
        for _, found in strengths(design, columns, rest):
            size = found.abs_()
            tally.add(size, sign)
            largest.append(size.amax(1))
        strongest.append(torch.cat(largest))
    return strongest, tally


def _tf_log_p(design: Design, part: Parts, problem: Problem, rest: Rest) -> Tensor:
    """(TF genes, G), of strengths added over the columns of a TF."""
    real, decoy = (
        problem.by_tf_gene(
            torch.cat([found for _, found in strengths(design, columns, rest)])
        ).abs()
        for columns in (part.tf, part.decoy_tf)
    )
    tally = Tally()
    tally.add(decoy, 1.0)
    return tally.log_p(real, real.numel())


def _member(
    tf: Tensor, pairs: tuple[Tensor, Tensor], among_tfs: Tensor, on_tfs: Tensor, block: Tensor
) -> Member:
    """What a refit weighs, without the zeros."""
    n_genes, n_targets = tf.shape
    width = n_targets + n_genes
    of_tfs, of_pairs, onto = (
        nonzero(torch.cat([tf, among_tfs], dim=1)),
        nonzero(pairs[1], pairs[0]),
        nonzero(on_tfs),
    )
    numbers = [
        of_tfs[0],
        (n_genes + of_pairs[0] // n_targets) * width + of_pairs[0] % n_targets,
        (n_genes + onto[0] // n_genes) * width + n_targets + onto[0] % n_genes,
    ]
    edge, order = torch.cat(numbers).sort()
    weight = torch.cat([of_tfs[1], of_pairs[1], onto[1]])[order]
    return Member(edge.cpu().numpy(), weight.cpu().numpy(), torch.unique(block).cpu().numpy())


def _design_with_decoys(
    problem: Problem, fit: Fit, decoys: History, rows: Tensor, kept: Tensor
) -> Design:
    """TFs, pairs, covariates; then decoy TFs, L·R', L'·R, L'·R'."""
    network, real = fit.network, fit.attended
    fake = network.gather(fit.look, decoys)
    return Design(
        [
            Plain(real.tf),
            signals_of(network, real.exposure, real.receptor),
            Plain(problem.covariates),
            Plain(fake.tf),
            signals_of(network, real.exposure, fake.receptor),
            signals_of(network, fake.exposure, real.receptor),
            signals_of(network, fake.exposure, fake.receptor),
        ],
        rows,
        kept,
    )


def _penalty_with_decoys(problem: Problem, forbidden: Tensor) -> Penalty:
    """Decoys carry the penalties and the forbidden edges of the regulators they stand for."""
    n_f, n_p, n_c = problem.n_tfs, problem.n_pairs, problem.covariates.shape[1]
    base = base_penalty(problem)
    tf_of = (
        base.tf_of if base.tf_of is not None else torch.full_like(base.row, -1, dtype=torch.long)
    )
    regulator, target = forbidden
    tf, pair = regulator < n_f, (regulator >= n_f) & (regulator < n_f + n_p)
    copies = [forbidden, torch.stack([regulator[tf] + n_f + n_p + n_c, target[tf]])]
    copies += [
        torch.stack([regulator[pair] + n_c + n_f + k * n_p, target[pair]]) for k in range(1, 4)
    ]
    return Penalty(
        torch.cat([base.row, base.row[:n_f], *(base.row[n_f : n_f + n_p],) * 3]),
        torch.cat(copies, dim=1),
        base.tf,
        torch.cat(
            [tf_of, tf_of[:n_f], *(torch.full_like(problem.pair_ligand[:1], -1).expand(n_p),) * 3]
        ),
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


def _on_tfs(
    design: Design, rows: Tensor, problem: Problem, fit: Fit, factor: Tensor, config: Config
) -> Tensor:
    """Weights of pairs, L·R', L'·R and L'·R', and of TFs in earlier cells on the TFs' own counts, (4 P + TF genes, TF genes): the first half of pair → TF → target.

    Both passes, with the factors of the targets; of TFs only the earlier levels of the others compete.
    """
    n_genes, n_f, n_p, n_c = (
        problem.n_tf_genes,
        problem.n_tfs,
        problem.n_pairs,
        problem.covariates.shape[1],
    )
    level = problem.tf_count
    sd = level[problem.usable].std(0, correction=0)
    level = (level - level[problem.usable].mean(0)) / torch.where(sd > 1e-6, sd, torch.inf)
    decoys = n_f + n_p + n_c
    penalty = replace(_penalty_with_decoys(problem, problem.forbidden_on_tfs), tf=None)
    penalty.row[n_genes:n_f] = torch.inf
    penalty.row[decoys : decoys + n_f] = torch.inf
    second = _passes(design, level, rows, fit, penalty, config, lambda first: factor)[1].dense(
        design.n_columns
    )
    return torch.cat([second[n_f : n_f + n_p], second[decoys + n_f :], second[:n_genes]])
