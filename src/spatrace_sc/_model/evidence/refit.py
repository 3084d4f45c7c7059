"""One refit of the weights on a set of blocks, real regulators against decoys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from ..config import Config
from ..fit import Fit, standardise_targets
from ..records import Draw, History, Problem, RefitWeights, Weights
from ..regression.design import Design
from ..regression.fista import predict
from ..regression.regression import Regression
from ..regression.second_pass import second_pass
from .decoy_counts import DECOY_SIGNS, Tally, draw_of, nonzero
from .decoy_design import (
    DesignColumns,
    design_with_decoys,
    factor_with_decoys,
    penalty_with_decoys,
)
from .edge_strength import Residual, strengths

#: Checks of all columns for violations in the first pass of a refit.
MAX_FIRST_PASS_CHECKS = 5


class Refit(NamedTuple):
    """Results of one refit."""

    tf: Tensor
    """(TF genes, G) weights of the second pass."""
    lr: Tensor
    """(E,) weights of the listed edges of pairs."""
    pairs: Tensor
    """(P,) norms of the weights of each pair."""
    on_tfs: Tensor
    """(P, TF genes) weights of pairs on TFs."""
    norms: Tensor
    """(P,) norms of the weights of each pair in the first pass."""
    tf_log_p: Tensor
    """(TF genes, G) logarithms of p of TF edges."""
    lr_log_p: Tensor
    """(E,) logarithms of p of the listed edges of pairs."""
    pair_log_p: Tensor
    """(P,) logarithms of p of pairs."""
    draws: dict[str, Draw]
    """Scores of real edges and of decoys, by task."""
    squares: Tensor
    """(4,) squared norms of the first-pass weights of L·R, L·R', L'·R and L'·R'."""
    weights: RefitWeights
    """All nonzero weights."""


@torch.no_grad()
def refit(
    problem: Problem, fit: Fit, decoys: History, rows: Tensor, listed: Tensor, config: Config
) -> Refit:
    """Fit real regulators and decoys together on the given cells, and compare them.

    ``listed`` (E,) are the edges of pairs that are summarised one by one.
    """
    columns, n_genes, floor = (
        DesignColumns.of(problem),
        problem.n_tf_genes,
        config.training.adaptation,
    )
    y = (problem.targets - fit.target_mean) / fit.target_sd
    penalty = penalty_with_decoys(problem, problem.forbidden)
    design = design_with_decoys(problem, fit, decoys, rows, torch.isfinite(penalty.row))
    regression = Regression(design, y, rows, penalty, config.training)
    first, second = _both_passes(
        regression, fit, lambda w: factor_with_decoys(w, problem, floor), start=fit.weights
    )
    norms, *decoy_norms = (_norms(first, group) for group in (columns.pair, *columns.decoy_pairs))
    predicted = predict(design.at(rows)[second.rows], second.values)
    residual = Residual(y[rows] - predicted, rows, second, penalty.forbidden)

    # strengths of real pairs and of their decoys
    strongest, of_listed = _pair_strengths(design, columns.pair, residual, listed)
    signs = tuple(sign * problem.decoy_weight for sign in DECOY_SIGNS)
    decoy_strongest, tally = _decoy_strengths(design, columns.decoy_pairs, residual, signs)
    pair_tally = Tally()
    may_act = problem.may_act[problem.pair_slice]
    for norm, strength, sign in zip(decoy_norms, decoy_strongest, signs, strict=True):
        pair_tally.add(norm[may_act] + strength, sign)

    # weights of TFs, of pairs, and on TFs
    tf, decoy_tf = (_tf_weights(problem, second, group) for group in (columns.tf, columns.decoy_tf))
    pair_rows, pair_values = second.within(columns.pair)
    factor = factor_with_decoys(first, problem, floor)
    on_tfs, *decoys_on_tfs, among_tfs = _weights_on_tfs(problem, fit, design, factor, config).split(
        [*[problem.n_pairs] * 4, n_genes]
    )
    decoy_values = [second.within(group)[1] for group in columns.decoy_pairs]
    decoy_squares = [problem.decoy_weight * norm.square().sum() for norm in decoy_norms]
    return Refit(
        tf=tf.cpu(),
        lr=_listed_weights(pair_rows, pair_values, listed).cpu(),
        pairs=_norms(second, columns.pair).cpu(),
        on_tfs=on_tfs.cpu(),
        norms=norms.cpu(),
        tf_log_p=_tf_log_p(design, columns, problem, residual),
        lr_log_p=tally.log_p(of_listed, problem.n_candidate_pairs * y.shape[1]),
        pair_log_p=pair_tally.log_p(norms + strongest, problem.n_candidate_pairs),
        draws={
            "tf": draw_of(nonzero(tf), [decoy_tf], (1.0,)),
            "lr": draw_of(nonzero(pair_values, pair_rows), decoy_values, signs),
            "lr_tf": draw_of(nonzero(on_tfs), decoys_on_tfs, signs),
            "pair": draw_of(nonzero(norms[:, None]), decoy_norms, signs),
        },
        squares=torch.stack([norms.square().sum(), *decoy_squares]).cpu(),
        weights=_nonzero_weights(
            torch.cat([tf, among_tfs], dim=1), (pair_rows, pair_values), on_tfs, problem.block[rows]
        ),
    )


def _both_passes(
    regression: Regression,
    fit: Fit,
    factor_of: Callable[[Weights], Tensor],
    start: Weights | None = None,
) -> tuple[Weights, Weights]:
    """Weights of the first pass and, with the factors that follow from it, of the second.

    Both are solved at the λ of the fit.
    """
    first = regression.solve(fit.weights.penalty, start=start, max_checks=MAX_FIRST_PASS_CHECKS)
    return first, second_pass(regression, first, factor_of(first))


def _tf_weights(problem: Problem, weights: Weights, columns: range) -> Tensor:
    """(TF genes, G) weights of TFs or of their decoys, summed over the columns of each gene."""
    rows, values = weights.within(columns)
    dense = values.new_zeros((len(columns), values.shape[1]))
    dense[rows] = values
    return problem.by_tf_gene(dense)


def _norms(weights: Weights, columns: range) -> Tensor:
    """(columns,) norms of the weights of each column."""
    rows, values = weights.within(columns)
    norms = values.new_zeros(len(columns))
    norms[rows] = values.norm(dim=1)
    return norms


def _listed_weights(rows: Tensor, values: Tensor, listed: Tensor) -> Tensor:
    """(E,) weights of the listed edges, from weights (A, G) of the pairs ``rows``, ascending."""
    pair, target = listed // values.shape[1], listed % values.shape[1]
    position = torch.searchsorted(rows, pair)
    has_weight = torch.isin(pair, rows)
    weights = values.new_zeros(len(listed))
    weights[has_weight] = values[position[has_weight], target[has_weight]]
    return weights


def _pair_strengths(
    design: Design, columns: range, residual: Residual, listed: Tensor
) -> tuple[Tensor, Tensor]:
    """(P,) strength of the strongest edge of every pair, and (E,) strengths of listed edges."""
    strongest = residual.values.new_zeros(len(columns))
    of_listed = residual.values.new_zeros(len(listed))
    for block, strength in strengths(design, columns, residual):
        size, pairs = strength.abs_(), block - columns.start
        strongest[pairs] = size.amax(1)
        ends = torch.stack([pairs[0], pairs[-1] + 1]) * size.shape[1]
        low, high = torch.searchsorted(listed, ends).tolist()
        pair, target = listed[low:high] // size.shape[1], listed[low:high] % size.shape[1]
        of_listed[low:high] = size[torch.searchsorted(pairs, pair), target]
    return strongest, of_listed


def _decoy_strengths(
    design: Design, parts: tuple[range, ...], residual: Residual, signs: tuple[float, ...]
) -> tuple[list[Tensor], Tally]:
    """Strongest edge of every decoy that competes, by kind of decoy, and a tally of all edges."""
    tally, strongest = Tally(), []
    for columns, sign in zip(parts, signs, strict=True):
        largest = [residual.values.new_zeros(0)]
        for _, strength in strengths(design, columns, residual):
            size = strength.abs_()
            tally.add(size, sign)
            largest.append(size.amax(1))
        strongest.append(torch.cat(largest))
    return strongest, tally


def _tf_log_p(
    design: Design, columns: DesignColumns, problem: Problem, residual: Residual
) -> Tensor:
    """(TF genes, G) logarithms of p, of strengths summed over the columns of a TF gene."""

    def strength(group: range) -> Tensor:
        blocks = [values for _, values in strengths(design, group, residual)]
        return problem.by_tf_gene(torch.cat(blocks)).abs()

    real, tally = strength(columns.tf), Tally()
    tally.add(strength(columns.decoy_tf), 1.0)
    return tally.log_p(real, real.numel())


def _nonzero_weights(
    of_tfs: Tensor, of_pairs: tuple[Tensor, Tensor], on_tfs: Tensor, block: Tensor
) -> RefitWeights:
    """Record of the nonzero weights of a refit.

    Parameters
    ----------
    of_tfs
        (TF genes, G + TF genes) weights of TFs on targets and on TFs.
    of_pairs
        Pairs (A,) with weights on targets (A, G).
    on_tfs
        (P, TF genes) weights of pairs on TFs.
    block
        (n,) codes of the blocks of the cells.
    """
    n_genes, width = of_tfs.shape
    n_targets = width - n_genes
    tf_edge, tf_weight = nonzero(of_tfs)
    pair_edge, pair_weight = nonzero(of_pairs[1], of_pairs[0])
    onto_edge, onto_weight = nonzero(on_tfs)
    indices = [
        tf_edge,
        (n_genes + pair_edge // n_targets) * width + pair_edge % n_targets,
        (n_genes + onto_edge // n_genes) * width + n_targets + onto_edge % n_genes,
    ]
    edge, order = torch.cat(indices).sort()
    weight = torch.cat([tf_weight, pair_weight, onto_weight])[order]
    blocks = torch.unique(block).cpu().numpy()
    return RefitWeights(edge.cpu().numpy(), weight.cpu().numpy(), blocks)


def _weights_on_tfs(
    problem: Problem, fit: Fit, design: Design, factor: Tensor, config: Config
) -> Tensor:
    """(4 P + TF genes, TF genes) weights on counts of TFs, the first step of cascades.

    Rows are pairs, L·R', L'·R, L'·R', and TFs in earlier cells. Both passes are made, with the
    factors of the targets. Of TFs only the earlier levels of other TFs compete.
    """
    n_genes, columns = problem.n_tf_genes, DesignColumns.of(problem)
    level, _, _ = standardise_targets(problem.tf_count, problem.usable)
    penalty = replace(penalty_with_decoys(problem, problem.forbidden_on_tfs), tf=None)
    penalty.row[n_genes : columns.tf.stop] = torch.inf
    penalty.row[columns.decoy_tf.start : columns.decoy_tf.stop] = torch.inf
    regression = Regression(design, level, design.fit_on, penalty, config.training)
    _, second = _both_passes(regression, fit, lambda first: factor)
    dense = second.dense(design.n_columns)
    pairs, decoys = dense[problem.pair_slice], dense[columns.decoy_tf.stop :]
    return torch.cat([pairs, decoys, dense[:n_genes]])
