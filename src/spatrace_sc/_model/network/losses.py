"""Losses of the two phases of training: squared error by attention, and by gates."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..records import Problem
from .encoder import Masks
from .fit_state import FitState
from .signal_network import Attended, SignalNetwork
from .steps import Loss, products

#: Largest table of the regulators in use for all cells, in numbers; 32 M are 128 MB.
MAX_TABLE_FLOATS = 32_000_000


def gates_of(network: SignalNetwork, context: Tensor, rows: Tensor, problem: Problem) -> Tensor:
    """(N, A) gates of the given regulators; covariates have none."""
    gate = context.new_zeros((len(context), len(rows)))
    gated = rows < problem.n_tfs + problem.n_pairs
    gate[:, gated] = network.gate(context, rows[gated])
    return gate


def attention_loss(state: FitState) -> Loss:
    """Squared error as a function of the attention; only columns with a weight are computed."""
    network, problem, weights = state.network, state.problem, state.weights
    options = state.config.training
    rows, design = weights.rows, state.design
    tfs, pairs, covariates = split_columns(problem, rows)
    n = len(tfs) + len(pairs)
    with torch.no_grad():
        residual = state.targets
        if len(covariates):
            residual = residual - design[rows[n:]] @ weights.values[n:]
    mean, sd, w = design.mean[rows[:n]], design.sd[rows[:n]], weights.values[:n]

    def loss(batch: Tensor, masks: Sequence[Masks]) -> tuple[Tensor, Tensor]:
        history = problem.history[batch]
        with products(options, batch.device):
            attention = network.attend(history, masks)
        attended = network.gather(attention, history)
        signal = network.signal(attended.exposure, attended.receptor, pairs)
        x = torch.cat([attended.tf[:, tfs], signal], dim=1)
        with products(options, batch.device):
            predicted = ((x - mean) / sd) @ w
        error = (residual[batch] - predicted).square().mean()
        return error, torch.zeros_like(error)

    return loss


def gate_loss(state: FitState) -> Loss:
    """Squared error as a function of the gates; attention and weights are fixed."""
    network, weights, options = state.network, state.weights, state.config.training
    attention = network.attend_all(state.problem.history)
    columns = _fixed_columns(state, network.gather(attention, state.problem.history))
    n_covariates = len(split_columns(state.problem, weights.rows)[2])
    gated = weights.rows[: len(weights.rows) - n_covariates]

    def loss(batch: Tensor, masks: Sequence[Masks]) -> tuple[Tensor, Tensor]:
        gate = network.gate(attention.context[batch], gated)
        gate = torch.nn.functional.pad(gate, (0, n_covariates))
        with products(options, batch.device):
            predicted = (columns(batch) * (1.0 + gate)) @ weights.values
        error = (state.targets[batch] - predicted).square().mean()
        return error, options.gate_penalty * gate.square().mean()

    return loss


def split_columns(problem: Problem, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """TF columns, pairs and covariates among ascending columns of regulators."""
    n_f, n_p = problem.n_tfs, problem.n_pairs
    is_tf, is_covariate = rows < n_f, rows >= n_f + n_p
    pairs = rows[~is_tf & ~is_covariate] - n_f
    return rows[is_tf], pairs, rows[is_covariate] - n_f - n_p


@torch.no_grad()
def _fixed_columns(state: FitState, attended: Attended) -> Callable[[Tensor], Tensor]:
    """Function that returns the standardised regulators of given cells.

    They come from a table of all cells if it is small, and are computed for each batch otherwise.
    """
    problem, design, rows = state.problem, state.design, state.weights.rows
    if len(rows) * len(problem.history) <= MAX_TABLE_FLOATS:
        x = design[rows].contiguous()
        return lambda cells: x[cells]
    tfs, pairs, covariates = split_columns(problem, rows)
    mean, sd = design.mean[rows], design.sd[rows]

    @torch.no_grad()
    def columns(cells: Tensor) -> Tensor:
        exposure, receptor = attended.exposure[cells], attended.receptor[cells]
        signal = state.network.signal(exposure, receptor, pairs)
        parts = [attended.tf[cells][:, tfs], signal, problem.covariates[cells][:, covariates]]
        return (torch.cat(parts, dim=1) - mean) / sd

    return columns
