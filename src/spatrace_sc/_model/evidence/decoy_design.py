"""Design, penalties and factors in which decoys compete with real regulators."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..fit import Fit
from ..network.observe import signals_of
from ..records import History, Problem, Weights
from ..regression.design import Design, StoredColumns
from ..regression.penalty import Penalty, base_penalty
from ..regression.second_pass import strength_factors


class DesignColumns(NamedTuple):
    """Column ranges of a design with decoys, in order.

    ``decoy_pairs`` are L·R', L'·R and L'·R', where a prime marks a decoy.
    """

    tf: range
    pair: range
    covariate: range
    decoy_tf: range
    decoy_pairs: tuple[range, ...]

    @classmethod
    def of(cls, problem: Problem) -> DesignColumns:
        """Ranges for a problem."""
        n_f, n_p, n_c = problem.n_tfs, problem.n_pairs, problem.covariates.shape[1]
        ends = np.cumsum([0, n_f, n_p, n_c, n_f, n_p, n_p, n_p]).tolist()
        tf, pair, covariate, decoy_tf, *decoy_pairs = (range(a, b) for a, b in pairwise(ends))
        return cls(tf, pair, covariate, decoy_tf, tuple(decoy_pairs))


def design_with_decoys(
    problem: Problem, fit: Fit, decoys: History, rows: Tensor, may_act: Tensor
) -> Design:
    """Design of real regulators and decoys, in the order of :class:`DesignColumns`."""
    network, real = fit.network, fit.attended
    decoy = network.gather(fit.attention, decoys)
    columns = [
        StoredColumns(real.tf),
        signals_of(network, real.exposure, real.receptor),
        StoredColumns(problem.covariates),
        StoredColumns(decoy.tf),
        signals_of(network, real.exposure, decoy.receptor),
        signals_of(network, decoy.exposure, real.receptor),
        signals_of(network, decoy.exposure, decoy.receptor),
    ]
    return Design(columns, rows, may_act, cache=True)


def penalty_with_decoys(problem: Problem, forbidden: Tensor) -> Penalty:
    """Penalty in which decoys carry the penalties and forbidden edges of their regulators."""
    columns, base = DesignColumns.of(problem), base_penalty(problem)
    no_tf = torch.full_like(base.row, -1, dtype=torch.long)
    tf_of = no_tf if base.tf_of is None else base.tf_of
    tfs, pairs = slice(problem.n_tfs), problem.pair_slice
    regulator, target = forbidden
    is_tf = regulator < problem.n_tfs
    is_pair = (regulator >= pairs.start) & (regulator < pairs.stop)
    copies = [forbidden]
    copies.append(torch.stack([regulator[is_tf] + columns.decoy_tf.start, target[is_tf]]))
    for decoy in columns.decoy_pairs:
        shifted = regulator[is_pair] - pairs.start + decoy.start
        copies.append(torch.stack([shifted, target[is_pair]]))
    return Penalty(
        torch.cat([base.row, base.row[tfs], *(base.row[pairs],) * 3]),
        torch.cat(copies, dim=1),
        base.tf,
        torch.cat([tf_of, tf_of[tfs], *(no_tf[pairs],) * 3]),
    )


def factor_with_decoys(first: Weights, problem: Problem, floor: float) -> Tensor:
    """Factors of the second pass; a decoy carries the factor of its regulator."""
    factor = strength_factors(first, problem, floor)
    pairs = factor[problem.pair_slice]
    return torch.cat([factor, factor[: problem.n_tfs], pairs, pairs, pairs])
