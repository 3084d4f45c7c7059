"""Gradient training of one part of the network, the rest fixed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from tqdm.auto import tqdm

from .config import Config, TrainingConfig
from .design import Design
from .network import SignalNetwork
from .records import Problem, Weights


def gates_of(network: SignalNetwork, context: Tensor, rows: Tensor, problem: Problem) -> Tensor:
    """(N, A) gates of the given regulators; covariates have none."""
    gate = context.new_zeros((len(context), len(rows)))
    regulated = rows < problem.n_tfs + problem.n_pairs
    gate[:, regulated] = network.gate(context, rows[regulated])
    return gate


def train(
    network: SignalNetwork,
    problem: Problem,
    y: Tensor,
    design: Design,
    weights: Weights,
    training: Tensor,
    held_out: Tensor,
    config: Config,
    phase: str,
    log: list[dict[str, float | str]],
) -> None:
    """Adam on one part of the network, early-stopped on the held-out cells; the best state is kept. No epochs or no weights: nothing to train."""
    options = config.training
    loss_of = (_attention_loss if phase == "attention" else _gate_loss)(network, problem, y, design, weights, options)
    gated = {"gates", "modulate.weight", "modulate.bias"}
    parameters = [p for name, p in network.named_parameters() if (name in gated) == (phase == "gates")]
    if not options.max_epochs or not len(weights.rows):
        return
    optimiser = torch.optim.AdamW(parameters, lr=options.learning_rate, weight_decay=options.weight_decay)
    train_rows, test_rows = torch.nonzero(training)[:, 0], torch.nonzero(held_out)[:, 0]
    if phase == "gates":  # break the symmetry of a product of two zeros
        torch.nn.init.normal_(network.gates, std=0.01)

    def held_out_error() -> float:
        network.eval()
        with torch.no_grad():
            return sum(float(loss_of(i)[0]) * len(i) for i in test_rows.split(4096)) / len(test_rows)

    best, waited = held_out_error(), 0
    state = {k: v.clone() for k, v in network.state_dict().items()}
    log.append({"phase": phase, "epoch": 0.0, "train": float("nan"), "held_out": best})
    for epoch in tqdm(
        range(1, options.max_epochs + 1), desc=f"training {phase}", disable=not config.progress, leave=False
    ):
        network.train()
        total = 0.0
        for batch in _batches(train_rows, options.batch_size):
            error, penalty = loss_of(batch)
            optimiser.zero_grad(set_to_none=True)
            (error + penalty).backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimiser.step()
            total += float(error.detach()) * len(batch)
        now = held_out_error()
        log.append({"phase": phase, "epoch": float(epoch), "train": total / len(train_rows), "held_out": now})
        if now < best:
            best, waited = now, 0
            state = {k: v.clone() for k, v in network.state_dict().items()}
        else:
            waited += 1
            if waited >= options.patience:
                break
    network.load_state_dict(state)
    network.eval()


def _batches(rows: Tensor, size: int) -> Iterator[Tensor]:
    yield from rows[torch.randperm(len(rows)).to(rows.device)].split(size)


Loss = Callable[[Tensor], tuple[Tensor, Tensor]]


def _attention_loss(
    network: SignalNetwork, problem: Problem, y: Tensor, design: Design, weights: Weights, options: TrainingConfig
) -> Loss:
    """Squared error as a function of attention; only columns with a weight are computed."""
    n_f, n_p = problem.n_tfs, problem.n_pairs
    rows = weights.rows
    is_tf, is_pair, is_cov = rows < n_f, (rows >= n_f) & (rows < n_f + n_p), rows >= n_f + n_p
    tfs, pairs = rows[is_tf], rows[is_pair] - n_f
    with torch.no_grad():
        left = y - design[rows[is_cov]] @ weights.values[is_cov] if bool(is_cov.any()) else y
    active = rows[is_tf | is_pair]
    mean, sd, w = design.mean[active], design.sd[active], weights.values[is_tf | is_pair]

    def loss(batch: Tensor) -> tuple[Tensor, Tensor]:
        history = problem.history[batch]
        seen = network.gather(network.look(history), history)
        x = torch.cat([seen.tf[:, tfs], network.signal(seen.exposure, seen.receptor, pairs)], dim=1)
        error = (left[batch] - ((x - mean) / sd) @ w).square().mean()
        return error, torch.zeros_like(error)

    return loss


def _gate_loss(
    network: SignalNetwork, problem: Problem, y: Tensor, design: Design, weights: Weights, options: TrainingConfig
) -> Loss:
    """Squared error as a function of the gates; attention and weights are fixed, so their columns are computed once."""
    context = network.look_all(problem.history).context
    with torch.no_grad():
        x = design[weights.rows]

    def loss(batch: Tensor) -> tuple[Tensor, Tensor]:
        gate = gates_of(network, context[batch], weights.rows, problem)
        error = (y[batch] - (x[batch] * (1.0 + gate)) @ weights.values).square().mean()
        return error, options.gate_penalty * gate.square().mean()

    return loss
