"""A transformer whose tokens are TFs and pairs, and what it loses when a pair is silenced."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..config import Config
from ..fit import Fit
from ..network.regulator_attention import Readings, RegulatorAttention
from ..network.regulator_reading import attention_by_group, predict, silence
from ..network.regulator_training import train
from ..records import Problem
from .silencing import (
    BRIEF,
    MAX_STOP_CELLS_BRIEF,
    adjusted,
    split_blocks,
    thinned,
    training_cells,
)

logger = logging.getLogger("spatrace_sc")

#: Most pairs that are tokens, those with the strongest weights in the sparse fit.
MAX_PAIRS = 100
#: Cells in which pairs are silenced, at least and at most, and predictions in reading a network.
MIN_CELLS_READ, MAX_CELLS_READ, MAX_READ = 100, 300, 10_000_000


@dataclass(frozen=True)
class PairTokens:
    """Pairs that are tokens beside the TFs, and the effects of silencing them."""

    pairs: NDArray[np.int64]
    """(A,) pairs that are tokens, ascending."""
    effect: NDArray[np.float32]
    """(A, G) standard deviations of the target; 0 for the pair's own ligand and receptor."""
    network: tuple[RegulatorAttention, Readings] | None = None
    """The trained network and what it reads, TFs before pairs; None without a pair."""


def pair_tokens(problem: Problem, fit: Fit, config: Config, *, seed: int) -> PairTokens | None:
    """Effects of the pairs that the sparse fit keeps, by silencing them in a transformer.

    The network is that of :func:`.silencing_effects`, with TFs and pairs as tokens. TFs have the
    mean level of earlier cells of the same state, pairs the saturating signal of the fit. A target
    reads neither itself nor pairs of which it is the ligand or the receptor. Pairs are silenced as
    TFs are: the effect is the square root of the rise in the mean squared error, with the sign of
    the covariance of the signal and the change of the prediction.

    None if there are too few cells to train a network.
    """
    training, n_targets = training_cells(problem, fit), problem.targets.shape[1]
    if training is None:
        return None
    pairs = kept_pairs(problem, fit)
    if not len(pairs):
        return PairTokens(np.empty(0, np.int64), np.empty((0, n_targets), np.float32))
    generator = torch.Generator().manual_seed(seed)
    data = readings_with_pairs(problem, fit, pairs, training)
    rows, stop_rows = split_blocks(problem, training, generator)
    stop_rows = thinned(stop_rows, generator, MAX_STOP_CELLS_BRIEF)
    network = train(data, rows, stop_rows, config, generator, effort=BRIEF)
    n_cells = np.clip(MAX_READ // data.allowed.numel(), MIN_CELLS_READ, MAX_CELLS_READ)
    read = thinned(training, generator, int(n_cells))
    effect = silence(network, data, read, _last(data, len(pairs)))
    _log(network, data, thinned(torch.nonzero(fit.held_out)[:, 0], generator, 1000), len(pairs))
    return PairTokens(pairs.cpu().numpy(), effect.cpu().numpy(), (network, data))


def kept_pairs(problem: Problem, fit: Fit) -> Tensor:
    """(A,) pairs with a weight in the sparse fit, ascending; the strongest where they are many."""
    rows, values = fit.weights.within(problem.pair_columns)
    norm = values.norm(dim=1)
    strongest = norm.argsort(descending=True, stable=True)[:MAX_PAIRS]
    return rows[strongest[norm[strongest] > 0]].sort().values


def readings_with_pairs(problem: Problem, fit: Fit, pairs: Tensor, training: Tensor) -> Readings:
    """Return levels of TFs and signals of pairs, and the targets, as a network reads them."""
    signal = fit.network.signal(fit.attended.exposure, fit.attended.receptor, pairs)
    levels = torch.cat([problem.tf_state, signal], dim=1)
    return Readings(
        adjusted(levels, problem, training),
        adjusted(problem.targets, problem, training),
        torch.cat([problem.may_regulate, pairs_may_regulate(problem, pairs)], dim=1),
    )


def pairs_may_regulate(problem: Problem, pairs: Tensor) -> Tensor:
    """(G, A) whether a pair may regulate a target; none regulates its own ligand or receptor."""
    allowed = torch.ones(
        (problem.targets.shape[1], len(pairs)), dtype=torch.bool, device=pairs.device
    )
    token = torch.full((problem.n_regulators,), -1, device=pairs.device)
    token[pairs + problem.n_tfs] = torch.arange(len(pairs), device=pairs.device)
    regulator, target = problem.forbidden
    of_tokens = token[regulator] >= 0
    allowed[target[of_tokens], token[regulator[of_tokens]]] = False
    return allowed


def attention_to_pairs(tokens: PairTokens, members: Tensor) -> NDArray[np.float32]:
    """(groups, A, G) mean attention of every target to every pair, over the cells of each group.

    ``members`` (groups, N) is whether a cell belongs to a group.
    """
    if tokens.network is None:
        return np.zeros((len(members), *tokens.effect.shape), dtype=np.float32)
    network, data = tokens.network
    share = attention_by_group(network, data, members, _last(data, len(tokens.pairs)))
    return np.asarray(share.cpu().numpy(), dtype=np.float32)


def _last(data: Readings, n: int) -> range:
    """Return the indices of the last ``n`` regulators, the pairs."""
    n_regulators = data.allowed.shape[1]
    return range(n_regulators - n, n_regulators)


def _log(network: RegulatorAttention, data: Readings, rows: Tensor, n_pairs: int) -> None:
    """Log the number of tokens and the R² of the network in held-out cells."""
    y = data.targets[rows]
    error = (y - predict(network, data, rows)).square().mean()
    logger.info(
        "Attention to pairs: %d pairs and %d TFs are tokens; held-out R² %.3f.",
        *(n_pairs, data.levels.shape[1] - n_pairs),
        1.0 - float(error / (y - y.mean(0)).square().mean().clamp_min(1e-12)),
    )
