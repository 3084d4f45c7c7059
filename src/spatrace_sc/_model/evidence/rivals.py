"""Regulators that the data cannot distinguish from one that has edges."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ..fit import Fit
from ..records import Problem, RefitWeights
from .edge_strength import residual_of
from .rival_candidates import barred, first_column, forbidden_targets, similar_regulators
from .rival_edges import contribution, indistinguishable
from .rival_pairs import PairsInRefits, p_against_rivals
from .rival_test import Blocks

logger = logging.getLogger("spatrace_sc")

#: With fewer blocks that a refit left out, hardly any pair is distinguished from its rivals.
MIN_LEFT_OUT_BLOCKS = 6


@dataclass(frozen=True)
class Rivals:
    """Regulators that could replace one that has edges; TF genes first, then pairs."""

    regulator: NDArray[np.int64]
    """(edges,) regulator of a single edge, one row for each rival that is as good."""
    rival: NDArray[np.int64]
    """(edges,) the rival."""
    target: NDArray[np.int64]
    """(edges,) target of the edge."""
    pair: NDArray[np.int64]
    """(contests,) pair as a whole, one row for each rival that was tried."""
    stand_in: NDArray[np.int64]
    """(contests,) the other pair."""
    p_value: NDArray[np.float64]
    """(contests,) p of "the pair has no advantage over the other"."""


@torch.no_grad()
def find_rivals(
    problem: Problem,
    fit: Fit,
    edges: NDArray[np.integer],
    pairs: NDArray[np.integer],
    refits: list[RefitWeights],
) -> Rivals:
    """Regulators that would explain an edge, or all edges of a pair, equally well.

    *Single edges.* For an edge r → g, the contribution of r is put back into the residual of the
    model, giving p, and p is fitted by r alone or by a rival r' alone. With d_b the squared error
    of the rival less that of r, summed over the cells of block b, the rival is indistinguishable
    unless the sum of d_b exceeds 0 at the 1 % level (one-sided t-test over blocks, Vuong). Only
    regulators with |correlation| ≥ 0.5 are rivals: a regulator that is not similar and explains
    as much acts in addition, not instead.

    *Pairs as a whole.* A pair is compared with another on the targets to which the refits give
    the pair more weight, out of sample (:func:`.rival_test.advantage`). The targets, their
    weights and the slopes come from the blocks of a refit, the errors from the blocks that it
    left out. The contributions of both are put back. Otherwise a pair that merely resembles one
    that acts would keep, on all its targets at once, what the noise in the measured signal of
    that one leaves over.

    Parameters
    ----------
    edges
        (edges, 2) regulator and target.
    pairs
        Pairs that are compared as a whole.
    refits
        Weights of the refits.
    """
    design, residual = residual_of(problem, fit)
    view, blocks = design.at(problem.usable), Blocks(problem.block[problem.usable])
    errors = blocks.in_order(residual.values)
    forbidden, in_refits = forbidden_targets(problem), PairsInRefits(refits, problem, blocks)
    edge_rivals = [np.empty((3, 0), dtype=np.int64)]
    pair_rivals = [np.empty((2, 0), dtype=np.int64)]
    p_values = [np.empty(0)]
    regulators = np.union1d(edges[:, 0], pairs).astype(np.int64)
    similar = similar_regulators(design, problem, regulators, pairs)
    for regulator, of_edges, of_pair in zip(regulators, *similar, strict=True):
        # the regulator in question comes first, then all its rivals, ascending
        members = np.r_[regulator, np.union1d(of_edges, of_pair)]
        if len(members) == 1:
            continue
        columns = torch.as_tensor(first_column(problem) + members, device=errors.device)
        x = blocks.in_order(torch.cat([view[column[None]] for column in columns]).T)
        targets = np.sort(edges[edges[:, 0] == regulator, 1])
        if len(of_edges) and len(targets):
            selected = np.r_[0, 1 + np.searchsorted(members[1:], of_edges)]
            contributed = contribution(view, fit.weights, problem, int(regulator), targets)
            partial = errors[:, targets] + blocks.in_order(contributed)
            may_not = barred(forbidden, of_edges, targets)
            rival, target = np.nonzero(indistinguishable(partial, x[:, selected], blocks, may_not))
            edge_rivals.append(
                np.stack([np.full(len(rival), regulator), of_edges[rival], targets[target]])
            )
        if len(of_pair):
            selected = np.r_[0, 1 + np.searchsorted(members[1:], of_pair)]
            contestants, signals = members[selected], x[:, selected]
            p_values.append(
                p_against_rivals(in_refits, fit.weights, contestants, signals, errors, forbidden)
            )
            pair_rivals.append(np.stack([np.full(len(of_pair), regulator), of_pair]))
    if len(pairs):
        _warn_of_few_blocks(in_refits.n_left_out)
    regulator_of, rival_of, target_of = np.hstack(edge_rivals)
    pair, stand_in = np.hstack(pair_rivals)
    return Rivals(regulator_of, rival_of, target_of, pair, stand_in, np.concatenate(p_values))


def _warn_of_few_blocks(n_left_out: int) -> None:
    if n_left_out < MIN_LEFT_OUT_BLOCKS:
        logger.warning(
            "Refits left only %d spatial blocks out: pairs can hardly be distinguished from "
            "similar ones, and their q stays large. Use smaller blocks, Config(n_blocks=...), "
            "or leave more of them out, EvidenceConfig(sample_share=...).",
            n_left_out,
        )
