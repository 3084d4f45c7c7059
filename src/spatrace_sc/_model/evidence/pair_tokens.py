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
from ..network.regulator_attention import RegulatorAttention
from ..network.regulator_training import Effort, Readings, predict, train
from ..records import Problem
from .silencing import adjusted, split_blocks, thinned, training_cells

logger = logging.getLogger("spatrace_sc")

#: Most pairs that are tokens, those with the strongest weights in the sparse fit.
MAX_PAIRS = 100
#: Training: many small steps, which cost least for the same error; the most cells that stop it.
EFFORT, MAX_STOP_CELLS = Effort(max_epochs=8, max_steps=200, batch=16), 300
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
    stop_rows = thinned(stop_rows, generator, MAX_STOP_CELLS)
    network = train(data, rows, stop_rows, config, generator, effort=EFFORT)
    _log(network, data, fit.held_out, len(pairs))
    n_cells = np.clip(MAX_READ // data.allowed.numel(), MIN_CELLS_READ, MAX_CELLS_READ)
    read = thinned(training, generator, int(n_cells))
    effect = silence_pairs(network, data, read, len(pairs))
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


@torch.no_grad()
def silence_pairs(
    network: RegulatorAttention, data: Readings, rows: Tensor, n_pairs: int
) -> Tensor:
    """(A, G) signed effects of silencing the last ``n_pairs`` regulators, over some cells."""
    n_regulators = data.allowed.shape[1]
    pairs = range(n_regulators - n_pairs, n_regulators)
    mean = data.levels[rows].mean(0)
    rise = data.targets.new_zeros((n_pairs, data.targets.shape[1]))
    slope = torch.zeros_like(rise)
    targets, allowed = data.every_target, data.allowed[None]
    for part in _parts(rows, data):
        y, level, whole = data.targets[part], data.levels[part], predict(network, data, part)
        error = (y - whole).square()
        each = network.without_each(level, allowed, targets, pairs)
        for token, without in enumerate(each):
            rise[token] += ((y - without).square() - error).sum(0)
            slope[token] += (level - mean)[:, pairs[token]] @ (whole - without)
    effect = slope.sign() * (rise / len(rows)).clamp_min(0.0).sqrt()
    return effect * data.allowed.T[pairs.start :]


@torch.no_grad()
def attention_to_pairs(tokens: PairTokens, members: Tensor) -> NDArray[np.float32]:
    """(groups, A, G) mean attention of every target to every pair, over the cells of each group.

    ``members`` (groups, N) is whether a cell belongs to a group.
    """
    n_groups, n_pairs = len(members), len(tokens.pairs)
    if tokens.network is None:
        return np.zeros((n_groups, *tokens.effect.shape), dtype=np.float32)
    network, data = tokens.network
    weight = members.to(data.levels) / members.sum(1, keepdim=True)
    total = data.levels.new_zeros((n_groups, n_pairs, data.targets.shape[1]))
    for part in _parts(torch.arange(len(data.levels), device=weight.device), data):
        share = network.attention(data.levels[part], data.allowed[None], data.every_target)
        total += torch.einsum("cn,nga->cag", weight[:, part], share[..., -n_pairs:])
    return np.asarray(total.cpu().numpy(), dtype=np.float32)


def _parts(rows: Tensor, data: Readings) -> tuple[Tensor, ...]:
    """Return cells, so few at a time that their attention fits into memory."""
    parts: tuple[Tensor, ...] = rows.split(max(1, MAX_READ // data.allowed.numel()))
    return parts


def _log(network: RegulatorAttention, data: Readings, held_out: Tensor, n_pairs: int) -> None:
    """Log the number of tokens and the held-out R² of the network."""
    rows = torch.nonzero(held_out)[:, 0]
    y = data.targets[rows]
    error = (y - predict(network, data, rows)).square().mean()
    logger.info(
        "Attention to pairs: %d pairs and %d TFs are tokens; held-out R² %.3f.",
        *(n_pairs, data.levels.shape[1] - n_pairs),
        1.0 - float(error / (y - y.mean(0)).square().mean().clamp_min(1e-12)),
    )
