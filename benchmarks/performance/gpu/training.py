"""Seconds of both phases of training beside those of their matrix products, and waits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from benchmarks.performance.gpu.measure import (
    Product,
    alone,
    count_waits,
    peak,
    reset_peak,
    seconds,
)
from benchmarks.performance.gpu.tensors import Size
from benchmarks.performance.gpu.ways import PLAIN, Way

import spatrace_sc as st
from spatrace_sc._model.network.fit_state import FitState
from spatrace_sc._model.network.observe import build_network, observe
from spatrace_sc._model.network.training import (
    EVALUATION_BATCH,
    MAX_CELLS_PER_EPOCH,
    MAX_HELD_OUT_CELLS,
    train_attention,
    train_gates,
)
from spatrace_sc._model.records import Problem, Weights
from spatrace_sc._model.runtime.memory import Sizes, least_needed, rows_at_once


def prepared(problem: Problem, config: st.Config) -> FitState:
    """Return the state of a fit in which every regulator has a small weight on every target."""
    torch.manual_seed(0)
    held_out = problem.block % 5 == 0
    network = build_network(problem, config, ~held_out)
    design, _, _ = observe(network, problem, ~held_out)
    rows = torch.arange(problem.n_regulators, device=problem.targets.device)
    values = 0.01 * torch.randn((len(rows), problem.targets.shape[1]), device=rows.device)
    weights = Weights(rows, values, 0.1)
    return FitState(network, problem, design, problem.targets, weights, ~held_out, held_out, config)


def training(
    problem: Problem, size: Size, batch: int, epochs: int, way: Way = PLAIN
) -> dict[str, Any]:
    """Return a row with the seconds of both phases and of their matrix products alone."""
    device = problem.targets.device
    options = way.of(
        replace(st.TrainingConfig(), batch_size=batch, max_epochs=epochs, patience=epochs)
    )
    config = st.Config(training=options, progress=False)
    state = prepared(problem, config)
    reset_peak(device)
    row: dict[str, Any] = {
        "part": "training",
        "device": str(device),
        **size._asdict(),
        "batch": batch,
    }
    row |= {"pairs": problem.n_pairs, "epochs": epochs, "products": way.name}
    with way.products():
        row |= one_phase(state, "attention", train_attention, problem.n_tfs + problem.n_pairs)
        row |= one_phase(state, "gates", train_gates, problem.n_regulators)
    row["seconds"] = row["attention"] + row["gates"]
    row["share"] = (row["attention_products"] + row["gates_products"]) / row["seconds"]
    row["peak_gb"] = peak(device)
    sizes = Sizes(size.cells, size.lags, size.tfs, size.ligands, size.receptors, size.targets, 0)
    return row | {"least_estimated_gb": sum(least_needed(sizes, 0).values()) / 1e9}


def one_phase(
    state: FitState, phase: str, train: Callable[[FitState], None], width: int
) -> dict[str, float]:
    """Return seconds of all epochs, and of the matrix products alone.

    Held-out cells are evaluated in single precision.
    """
    targets, config = state.targets, state.config
    device, n_train, n_held_out = (
        targets.device,
        int(state.training.sum()),
        int(state.held_out.sum()),
    )
    batch = min(config.training.batch_size, n_train)
    one_epoch = replace(config, training=replace(config.training, max_epochs=1))
    seconds(lambda: train(replace(state, config=one_epoch, log=[])), device)
    measured = replace(state, log=[])
    spent = seconds(lambda: train(measured), device)
    n_seen = len(range(0, n_held_out, -(-n_held_out // MAX_HELD_OUT_CELLS)))
    block = min(n_seen, rows_at_once(state.floats_per_cell, device, EVALUATION_BATCH))
    steps = ceiling(batch, width, targets.shape[1], device, config.training.precision)
    evaluations = ceiling(block, width, targets.shape[1], device)
    n_epochs = len(measured.log) - 1
    n_steps = n_epochs * -(-min(n_train, MAX_CELLS_PER_EPOCH) // batch)
    evaluation = (n_epochs + 1) * n_seen / block * evaluations["forward"]
    alone = n_steps * (steps["forward"] + steps["backward"]) + evaluation
    row = {
        "": spent,
        "_products": alone,
        "_share": alone / spent,
        "_teraflops": steps["teraflops"],
    }
    if phase == "attention":  # the CPU draws masks step by step
        draw = lambda: [state.network.draw_masks(batch) for _ in range(5)]
        row["_masks"] = n_steps / 5 * seconds(draw, device)
    return {phase + name: value for name, value in row.items()}


def ceiling(
    batch: int, width: int, targets: int, device: torch.device, precision: str = "float32"
) -> dict[str, float]:
    """Return seconds of the products of one step: columns × weights, and error × weights.T.

    The weights themselves have no gradient.
    """
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    forward = Product(1, batch, width, targets)
    backward = forward.gradients()[0]
    spent = {"forward": alone(forward, device, dtype), "backward": alone(backward, device, dtype)}
    return spent | {"teraflops": 1e-12 * (forward.flop + backward.flop) / sum(spent.values())}


def waits(problem: Problem) -> dict[str, Any]:
    """Count warnings of synchronisation in an epoch of attention, with few and many steps."""
    counts = {}
    for batch in (1024, 256):
        options = replace(st.TrainingConfig(), batch_size=batch, max_epochs=1)
        config = st.Config(training=options, progress=False)
        state = prepared(problem, config)
        train_attention(state)
        counts[f"batch {batch}"] = count_waits(lambda s=state: train_attention(s))
    return {"part": "waits", **counts}
