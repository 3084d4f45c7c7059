"""Gradient training of the attention or of the gates, with everything else fixed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from tqdm.auto import tqdm

from ..runtime.distributed import add_up, check_agreement, share_of, shows
from ..runtime.memory import rows_at_once
from .adam import Adam
from .encoder import Masks
from .fit_state import FitState
from .losses import attention_loss, gate_loss
from .signal_network import SignalNetwork
from .steps import Loss, steps_on

#: Largest number of cells in an epoch, and of held-out cells that are evaluated after it.
MAX_CELLS_PER_EPOCH, MAX_HELD_OUT_CELLS = 50_000, 20_000
#: Held-out cells that are evaluated together.
EVALUATION_BATCH = 1024
#: Parameters of the network that belong to the gates.
GATE_PARAMETERS = frozenset({"gates", "modulate.weight", "modulate.bias"})


class Phase(NamedTuple):
    """One phase of training: its name in the log, its parameters, loss and dropout masks."""

    name: str
    parameters: list[Tensor]
    loss: Loss
    draw_masks: Callable[[int], Sequence[Masks]]


def train_attention(state: FitState) -> None:
    """Train the attention by Adam, in place; the state with the lowest held-out error stays.

    Nothing is trained without epochs or without weights. An epoch is a pass over the training
    cells, or over :data:`MAX_CELLS_PER_EPOCH` newly drawn ones if there are more, because the
    attention has few parameters. Several processes take a slice of every batch each and average
    their gradients, so that each makes the step of the whole batch. Orders and dropout masks are
    drawn on the CPU for whole batches: neither the number of processes nor the device changes
    them. The device is waited for once per epoch and once where a step is recorded, never in a
    step.
    """
    if not _has_work(state):
        return
    parameters = _parameters(state.network, of_gates=False)
    masks = state.network.draw_masks
    _train(state, Phase("attention", parameters, attention_loss(state), masks))


def train_gates(state: FitState) -> None:
    """Train the gates as :func:`train_attention` trains the attention, without dropout."""
    if not _has_work(state):
        return
    loss, gates = gate_loss(state), state.network.gates
    with torch.no_grad():  # break the symmetry of a product of two zeros
        gates.copy_(torch.empty(gates.shape).normal_(std=0.01))
    _train(state, Phase("gates", _parameters(state.network, of_gates=True), loss, lambda n: ()))


def _has_work(state: FitState) -> bool:
    """Whether there is anything to train, after all processes have agreed on the data."""
    check_agreement(
        training_cells=int(state.training.sum()),
        held_out_cells=int(state.held_out.sum()),
        regulators=len(state.weights.rows),
    )
    return bool(state.config.training.max_epochs and len(state.weights.rows))


def _parameters(network: SignalNetwork, *, of_gates: bool) -> list[Tensor]:
    return [p for name, p in network.named_parameters() if (name in GATE_PARAMETERS) == of_gates]


def _train(state: FitState, phase: Phase) -> None:
    """Epochs of Adam until the held-out error has not fallen for ``patience`` epochs."""
    network, device, options = state.network, state.targets.device, state.config.training
    training_rows = torch.nonzero(state.training)[:, 0]
    held_out_rows = _thinned(torch.nonzero(state.held_out)[:, 0])
    n_training, n_held_out = min(len(training_rows), MAX_CELLS_PER_EPOCH), len(held_out_rows)
    blocks = held_out_rows.split(rows_at_once(state.floats_per_cell, device, EVALUATION_BATCH))
    optimiser = Adam(phase.parameters, options.learning_rate, options.weight_decay)
    take_step = steps_on(device, phase.loss, optimiser, options)

    zero = torch.zeros((), dtype=torch.float64, device=device)
    lowest = _errors(network, phase.loss, blocks, zero)[1] / n_held_out
    best = _copied_state(network)
    _log_epoch(state, phase, 0, float("nan"), lowest)
    n_waited = 0
    epochs = tqdm(
        range(1, options.max_epochs + 1),
        desc=f"training {phase.name}",
        disable=not shows(state.config.progress),
        leave=False,
    )
    for epoch in epochs:
        network.train()
        total = torch.zeros_like(zero)
        for batch in _batches(training_rows, options.batch_size):
            total += take_step(batch, phase.draw_masks(len(batch)))
        train_sum, held_out_sum = _errors(network, phase.loss, blocks, total)
        train, held_out = train_sum / n_training, held_out_sum / n_held_out
        _log_epoch(state, phase, epoch, train, held_out)
        n_waited += 1
        if held_out < lowest:
            lowest, n_waited, best = held_out, 0, _copied_state(network)
        elif n_waited >= options.patience:
            break
    network.load_state_dict(best)
    network.eval()


def _log_epoch(state: FitState, phase: Phase, epoch: int, train: float, held_out: float) -> None:
    entry: dict[str, float | str] = {"phase": phase.name, "epoch": float(epoch)}
    state.log.append(entry | {"train": train, "held_out": held_out})


def _thinned(rows: Tensor) -> Tensor:
    """At most MAX_HELD_OUT_CELLS of the rows, evenly spaced."""
    return rows[:: -(-len(rows) // MAX_HELD_OUT_CELLS)] if len(rows) else rows


def _copied_state(network: SignalNetwork) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def _errors(
    network: SignalNetwork, loss_of: Loss, blocks: Sequence[Tensor], total: Tensor
) -> tuple[float, float]:
    """``total`` and the squared error of the held-out cells, each summed over the processes.

    Apart from the recording of a step, only this waits for the device in an epoch.
    """
    network.eval()
    held_out = torch.zeros_like(total)
    with torch.no_grad():
        for block in blocks:
            cells = block[share_of(len(block))]
            if len(cells):
                held_out += loss_of(cells, ())[0].double() * len(cells)
    train_sum, held_out_sum = add_up(torch.stack([total, held_out])).tolist()
    return train_sum, held_out_sum


def _batches(rows: Tensor, size: int) -> Iterator[Tensor]:
    order = torch.randperm(len(rows))[:MAX_CELLS_PER_EPOCH]
    yield from rows[order.to(rows.device)].split(size)
