"""Seconds and memory of the networks whose tokens are TFs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from benchmarks.performance.gpu.estimate import (
    NETWORKS,
    Passes,
    block_of,
    forward_products,
    passes,
    silencing_products,
    training_cells,
)
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
from torch import Tensor

import spatrace_sc as st
from spatrace_sc._model.evidence.silencing import (
    SilencingEffects,
    mean_attention,
    readings,
)
from spatrace_sc._model.evidence.silencing import _silence as silence
from spatrace_sc._model.evidence.silencing import split_blocks as split
from spatrace_sc._model.network import regulator_training
from spatrace_sc._model.network.regulator_attention import Readings, RegulatorAttention
from spatrace_sc._model.network.regulator_training import (
    BATCH,
    MAX_STEPS,
    train,
)
from spatrace_sc._model.records import Problem


@contextmanager
def training_to_the_end(network: str) -> Iterator[None]:
    """Train this kind of network through every step within a ``with`` block."""
    before = regulator_training.PATIENCE, regulator_training.RegulatorAttention
    regulator_training.PATIENCE = MAX_STEPS
    regulator_training.RegulatorAttention = NETWORKS[network]  # type: ignore[misc]
    try:
        yield
    finally:
        regulator_training.PATIENCE, regulator_training.RegulatorAttention = before  # type: ignore[misc]


def silencing(
    problem: Problem, size: Size, epochs: int, way: Way = PLAIN, network: str = "default"
) -> dict[str, Any]:
    """Return a row with the seconds of training, silencing and reading one network."""
    device, training, run = problem.targets.device, training_cells(problem), passes(size, epochs)
    generator = torch.Generator().manual_seed(0)
    options = st.TrainingConfig(max_epochs=epochs)
    config = st.Config(training=options, progress=False)
    data = readings(problem, problem.tf_count, training)
    rows, stop_rows = split(problem, training, generator)
    row = {"part": "silencing", "device": str(device), **size._asdict(), "network": network}
    row |= {"products": way.name, **run._asdict()}
    trained: list[RegulatorAttention] = []
    with training_to_the_end(network), way.products():
        brief = st.Config(training=st.TrainingConfig(max_epochs=1), progress=False)
        train(data, rows[:BATCH], stop_rows[:BATCH], brief, generator)
        reset_peak(device)
        timed: dict[str, Callable[[], Any]] = {
            "train": lambda: trained.append(train(data, rows, stop_rows, config, generator)),
            "silence": lambda: silence(trained[0], data, training, generator),
            "attention": lambda: read_attention(trained[0], data, training),
        }
        row |= {name: seconds(work, device) for name, work in timed.items()}
        row["peak_gb"] = peak(device)
        row |= products_alone(run, size, device)
    spent = row["train"] + row["silence"]
    row["share"] = (row["train_products"] + row["silence_products"]) / spent
    return row | {"teraflops": row.pop("teraflop") / spent}


def read_attention(network: RegulatorAttention, data: Readings, rows: Tensor) -> Any:
    """Return the mean attention of one network."""
    none = np.zeros(data.allowed.T.shape)
    members = torch.zeros((1, len(data.levels)), dtype=torch.bool, device=rows.device)
    members[0, rows] = True
    return mean_attention(SilencingEffects(none, none, networks=[(network, data)]), members)


def products_alone(run: Passes, size: Size, device: torch.device) -> dict[str, float]:
    """Return the seconds of the matrix products of training and silencing, and their operations."""
    model = st.ModelConfig()

    def total(products: list[Product]) -> tuple[float, float]:
        return sum(alone(p, device) for p in products), sum(p.flop for p in products) / 1e12

    def predictions(times: int, n_cells: int) -> tuple[float, float]:
        block = block_of(n_cells, size.targets, size.tfs, model, device.type)
        spent, flop = total(forward_products(block, size.targets, size.tfs, model))
        return times * n_cells / block * spent, times * n_cells / block * flop

    forward = forward_products(run.step_cells, run.step_targets, size.tfs, model)
    spent, flop = total([*forward, *(g for p in forward for g in p.gradients())])
    evaluation, flop_evaluation = predictions(run.evaluations, run.evaluated_cells)
    silenced, flop_silenced = predictions(2, run.silenced_cells)
    block = block_of(run.silenced_cells, size.targets, size.tfs, model, device.type)
    head, flop_head = total(silencing_products(block, size.targets, model))
    silenced += run.silenced * run.silenced_cells / block * head
    flop_silenced += run.silenced * run.silenced_cells / block * flop_head
    return {
        "train_products": run.steps * spent + evaluation,
        "silence_products": silenced,
        "teraflop": run.steps * flop + flop_evaluation + flop_silenced,
    }


def waits_by_steps(problem: Problem) -> dict[str, int]:
    """Count warnings of synchronisation in one epoch of training, with few and many steps."""
    cells = training_cells(problem)
    data = readings(problem, problem.tf_count, cells)
    rows, stop_rows = split(problem, cells, torch.Generator().manual_seed(0))
    config = st.Config(training=st.TrainingConfig(max_epochs=1), progress=False)
    counts = {}
    for steps in (2, 8):
        chosen = rows[: steps * BATCH]
        generator = torch.Generator().manual_seed(0)
        counts[f"regulators, {steps} steps"] = count_waits(
            lambda r=chosen, g=generator: train(data, r, stop_rows, config, g)
        )
    return counts
