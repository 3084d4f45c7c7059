"""Gradient training of one part of the network, the rest fixed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from tqdm.auto import tqdm

from ..config import Config, TrainingConfig
from ..records import Problem, Weights
from ..regression.design import Design
from ..runtime.distributed import add_up, check_agreement, share_of, shows
from ..runtime.memory import rows_at_once
from .adam import Adam
from .encoder import Masks
from .signal_network import Attended, SignalNetwork
from .steps import Loss, products, steps_on

#: Cells in an epoch and held-out cells looked at after it, at most.
MOST_CELLS, MOST_HELD_OUT = 50_000, 20_000
#: Held-out cells at a time.
EVALUATED = 1024
#: Numbers up to which fixed regulators of all cells are kept in a table; 32 M are 128 MB.
TABLE = 32_000_000


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
    """Adam on one part of the network, early-stopped on the held-out cells; the best state is kept. No epochs or no weights: nothing to train.

    An epoch is a pass over the training cells or, of more than :data:`MOST_CELLS`, over so many drawn anew: when to look back needs no more. Several processes take a slice of every batch each and average their gradients, so that each makes the step of the whole batch. Orders and dropout masks are drawn on the CPU for whole batches:
    neither the number of processes nor the device changes them. The device is waited for once an epoch, not in a step, and once where a step is recorded.
    """
    options = config.training
    train_rows, test_rows = torch.nonzero(training)[:, 0], torch.nonzero(held_out)[:, 0]
    test_rows = test_rows[:: -(-len(test_rows) // MOST_HELD_OUT)] if len(test_rows) else test_rows
    check_agreement(
        training_cells=len(train_rows), held_out_cells=len(test_rows), regulators=len(weights.rows)
    )
    loss_of = (_attention_loss if phase == "attention" else _gate_loss)(
        network, problem, y, design, weights, options
    )
    gated = {"gates", "modulate.weight", "modulate.bias"}
    parameters = [
        p for name, p in network.named_parameters() if (name in gated) == (phase == "gates")
    ]
    if not options.max_epochs or not len(weights.rows):
        return
    optimiser = Adam(parameters, options.learning_rate, options.weight_decay)
    if phase == "gates":  # break the symmetry of a product of two zeros
        with torch.no_grad():
            network.gates.copy_(torch.empty(network.gates.shape).normal_(std=0.01))
    take = steps_on(y.device, loss_of, optimiser, options)
    blocks = test_rows.split(rows_at_once(floats_per_cell(network, weights), y.device, EVALUATED))
    best, waited = (
        _errors(network, loss_of, blocks, y.new_zeros((), dtype=torch.float64))[1] / len(test_rows),
        0,
    )
    state = {k: v.clone() for k, v in network.state_dict().items()}
    log.append({"phase": phase, "epoch": 0.0, "train": float("nan"), "held_out": best})
    for epoch in tqdm(
        range(1, options.max_epochs + 1),
        desc=f"training {phase}",
        disable=not shows(config.progress),
        leave=False,
    ):
        network.train()
        total = y.new_zeros((), dtype=torch.float64)
        for batch in _batches(train_rows, options.batch_size):
            masks = network.draw_masks(len(batch)) if phase == "attention" else []
            total += take(batch, masks)
        seen, now = _errors(network, loss_of, blocks, total)
        seen, now = seen / min(len(train_rows), MOST_CELLS), now / len(test_rows)
        log.append({"phase": phase, "epoch": float(epoch), "train": seen, "held_out": now})
        if now < best:
            best, waited = now, 0
            state = {k: v.clone() for k, v in network.state_dict().items()}
        else:
            waited += 1
            if waited >= options.patience:
                break
    network.load_state_dict(state)
    network.eval()


def _errors(
    network: SignalNetwork, loss_of: Loss, blocks: Sequence[Tensor], total: Tensor
) -> tuple[float, float]:
    """``total`` and the squared error of the held-out cells, each summed over the processes. The only place in an epoch that waits for the device, but for the recording of a step."""
    network.eval()
    held_out = torch.zeros_like(total)
    with torch.no_grad():
        for block in blocks:
            mine = block[share_of(len(block))]
            if len(mine):
                held_out += loss_of(mine, ())[0].double() * len(mine)
    seen, now = add_up(torch.stack([total, held_out])).tolist()
    return seen, now


def _batches(rows: Tensor, size: int) -> Iterator[Tensor]:
    yield from rows[torch.randperm(len(rows))[:MOST_CELLS].to(rows.device)].split(size)


def floats_per_cell(network: SignalNetwork, weights: Weights) -> int:
    """Numbers held for one cell while its error is computed."""
    return network.floats_per_cell + 6 * len(weights.rows) + 3 * weights.values.shape[1]


def _split(problem: Problem, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Numbers of regulators, ascending, as TF columns, pairs and covariates."""
    n_f, n_p = problem.n_tfs, problem.n_pairs
    is_tf, is_cov = rows < n_f, rows >= n_f + n_p
    return rows[is_tf], rows[~is_tf & ~is_cov] - n_f, rows[is_cov] - n_f - n_p


def _attention_loss(
    network: SignalNetwork,
    problem: Problem,
    y: Tensor,
    design: Design,
    weights: Weights,
    options: TrainingConfig,
) -> Loss:
    """Squared error as a function of attention; only columns with a weight are computed."""
    rows = weights.rows
    tfs, pairs, covariates = _split(problem, rows)
    n = len(tfs) + len(pairs)
    with torch.no_grad():
        left = y - design[rows[n:]] @ weights.values[n:] if len(covariates) else y
    mean, sd, w = design.mean[rows[:n]], design.sd[rows[:n]], weights.values[:n]

    def loss(batch: Tensor, masks: Sequence[Masks]) -> tuple[Tensor, Tensor]:
        history = problem.history[batch]
        with products(options, batch.device):
            look = network.look(history, masks)
        seen = network.gather(look, history)
        x = torch.cat([seen.tf[:, tfs], network.signal(seen.exposure, seen.receptor, pairs)], dim=1)
        with products(options, batch.device):
            told = ((x - mean) / sd) @ w
        error = (left[batch] - told).square().mean()
        return error, torch.zeros_like(error)

    return loss


def _gate_loss(
    network: SignalNetwork,
    problem: Problem,
    y: Tensor,
    design: Design,
    weights: Weights,
    options: TrainingConfig,
) -> Loss:
    """Squared error as a function of the gates; attention and weights are fixed."""
    look = network.look_all(problem.history)
    columns = _fixed_columns(
        network, problem, design, weights.rows, network.gather(look, problem.history)
    )
    n_gated = len(weights.rows) - len(_split(problem, weights.rows)[2])
    gated = weights.rows[:n_gated]

    def loss(batch: Tensor, masks: Sequence[Masks]) -> tuple[Tensor, Tensor]:
        gate = torch.nn.functional.pad(
            network.gate(look.context[batch], gated), (0, len(weights.rows) - n_gated)
        )
        with products(options, batch.device):
            told = (columns(batch) * (1.0 + gate)) @ weights.values
        error = (y[batch] - told).square().mean()
        return error, options.gate_penalty * gate.square().mean()

    return loss


@torch.no_grad()
def _fixed_columns(
    network: SignalNetwork, problem: Problem, design: Design, rows: Tensor, seen: Attended
) -> Callable[[Tensor], Tensor]:
    """Standardised regulators of given cells: from a table of all cells where that is small, otherwise computed anew for each batch."""
    if len(rows) * len(problem.history) <= TABLE:
        x = design[rows].contiguous()
        return lambda cells: x[cells]
    tfs, pairs, covariates = _split(problem, rows)
    mean, sd = design.mean[rows], design.sd[rows]

    @torch.no_grad()
    def columns(cells: Tensor) -> Tensor:
        signal = network.signal(seen.exposure[cells], seen.receptor[cells], pairs)
        parts = [seen.tf[cells][:, tfs], signal, problem.covariates[cells][:, covariates]]
        return (torch.cat(parts, dim=1) - mean) / sd

    return columns
