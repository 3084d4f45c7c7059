"""Train the transformer whose tokens are regulators."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..config import Config
from .encoder import moved
from .regulator_attention import Readings, RegulatorAttention
from .regulator_reading import predict

#: Passes over the cells at most, and passes without a lower error before training stops.
MAX_EPOCHS, PATIENCE = 30, 8
#: Cells and targets of a gradient step, and the most steps.
BATCH, MAX_TARGETS, MAX_STEPS = 128, 128, 200
#: Share of the regulators that a cell's targets cannot read in a step.
REGULATOR_DROPOUT = 0.2
LEARNING_RATE, WARM_UP, WEIGHT_DECAY, MAX_NORM = 5e-3, 0.2, 1e-3, 1.0


@dataclass(frozen=True)
class Effort:
    """Passes over the cells and gradient steps at most, and the cells of a step."""

    max_epochs: int = MAX_EPOCHS
    max_steps: int = MAX_STEPS
    batch: int = BATCH


def train(
    data: Readings,
    rows: Tensor,
    stop_rows: Tensor,
    config: Config,
    generator: torch.Generator,
    *,
    effort: Effort | None = None,
) -> RegulatorAttention:
    """Return a network trained on ``rows``, with the parameters of its lowest error.

    The error is that of ``stop_rows``, which training does not see. In every step each cell
    loses a random share of the regulators, so that the network learns to predict without any of
    them. There are at most ``config.training.max_epochs`` passes, and the steps of the ``effort``.
    Random numbers are drawn on the CPU. The device is waited for where the error is computed, once
    a pass, never in a step.
    """
    effort = effort or Effort()
    device, (n_regulators, n_targets) = data.levels.device, data.allowed.T.shape
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**31, (), generator=generator)))
        network = RegulatorAttention(n_regulators, n_targets, config.model).to(device)
    n_epochs = min(effort.max_epochs, config.training.max_epochs)
    n_steps = min(n_epochs * -(-len(rows) // effort.batch), effort.max_steps)
    optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda k: _one_cycle(k, n_steps))
    every = max(1, n_steps // max(1, n_epochs))
    best, best_state, n_worse = torch.inf, network.state_dict(), 0
    batches = _batches(rows, effort.batch, n_targets, n_steps, generator)
    for step, (cells, targets) in enumerate(batches, 1):
        shape = (len(cells), 1, n_regulators)
        present = torch.rand(shape, generator=generator) >= REGULATOR_DROPOUT
        cells, targets = moved(cells, device), moved(targets, device)
        allowed = data.allowed[targets] & moved(present, device)
        predicted = network(data.levels[cells], allowed, targets)
        loss = F.mse_loss(predicted, data.targets[cells][:, targets])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), MAX_NORM)
        optimizer.step()
        schedule.step()
        if step % every and step < n_steps:
            continue
        error = float((predict(network, data, stop_rows) - data.targets[stop_rows]).square().mean())
        if error < best:
            best, n_worse = error, 0
            best_state = {name: x.detach().clone() for name, x in network.state_dict().items()}
        elif (n_worse := n_worse + 1) >= PATIENCE:
            break
    network.load_state_dict(best_state)
    return network.requires_grad_(False)


def _one_cycle(step: int, n_steps: int) -> float:
    """Return the factor on the learning rate: up in a fifth of the steps, then down to 0."""
    rise = WARM_UP * n_steps
    if step < rise:
        return 0.5 * (1.0 - math.cos(math.pi * (step + 1) / (rise + 1)))
    return 0.5 * (1.0 + math.cos(math.pi * (step - rise) / max(1.0, n_steps - rise)))


def _batches(
    rows: Tensor, batch: int, n_targets: int, n_steps: int, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield cells and targets of every step, in passes over the cells."""
    rows, done = rows.cpu(), 0
    while done < n_steps:
        shuffled = rows[torch.randperm(len(rows), generator=generator)]
        for cells in shuffled.split(batch)[: n_steps - done]:
            chosen = torch.randperm(n_targets, generator=generator)[:MAX_TARGETS]
            yield cells, chosen
            done += 1
