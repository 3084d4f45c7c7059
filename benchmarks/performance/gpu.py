"""Performance on a GPU: agreement with the CPU, seconds and memory of training, and waiting steps.

python -m benchmarks.performance.gpu [--device cuda] [--cells 100000 --targets 2000 --ligands 50
                                     --receptors 100 --tfs 200] [--seeds 100 101] [--only-ranking]
                                     [--out gpu.jsonl]

Every row of JSON is printed and appended to ``--out``. The parts are

- ``ranking``: one inference of a simulated tissue on the CPU and one on the device. It has the
  Spearman correlation of the scores of each table, over the rows that either gives a score, and the
  largest difference of a score; again with TF32 and bfloat16 products, and with recorded steps.
- ``training``: both phases of training, all epochs, on tensors of the given sizes with every TF and
  pair in use. It has the seconds, and those of the same matrix products alone, measured in the same
  run with ``torch.matmul`` on operands of the same shapes and precision. Their ratio is the share
  of the ceiling. It also has the seconds in which the CPU draws dropout masks. Batches have the
  default size or a large one, and steps run one by one or recorded as a CUDA graph.
- ``waits``: how often one epoch made the host wait for the GPU
  (``torch.cuda.set_sync_debug_mode``), for two batch sizes. The numbers are equal if no step waits.

Without a CUDA GPU the script ends with a row ``skipped``. ``--device cpu`` runs it on the CPU, in
sizes that suit it, to test the script.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from benchmarks._scores import machine
from scipy.stats import spearmanr
from torch import Tensor

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
from spatrace_sc._model.records import History, Problem, Weights
from spatrace_sc._model.runtime.memory import Sizes, least_needed, rows_at_once

NAMES = {
    "lr_targets": ["ligand", "receptor", "target"],
    "tf_targets": ["tf", "target"],
    "lr_pairs": ["ligand", "receptor"],
    "communication": ["sender", "receiver", "ligand", "receptor"],
}
LARGE_BATCH = 4096


class Way(NamedTuple):
    """Precision of products, and whether steps are recorded."""

    name: str
    tf32: bool = False
    precision: str = "float32"
    graphs: bool = False

    def of(self, training: st.TrainingConfig) -> st.TrainingConfig:
        """Return the options with this precision and kind of steps."""
        return replace(training, precision=self.precision, cuda_graphs=self.graphs)

    @contextmanager
    def products(self) -> Iterator[None]:
        """Switch TF32 on within a ``with`` block, or leave it as it is."""
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("high" if self.tf32 else before)
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(before)


PLAIN = Way("float32")
WAYS = (
    PLAIN,
    Way("tf32", tf32=True),
    Way("bf16", precision="bf16"),
    Way("float32, recorded", graphs=True),
    Way("bf16, recorded", precision="bf16", graphs=True),
)


class Size(NamedTuple):
    """Sizes of the tensors that are trained on."""

    cells: int
    targets: int
    ligands: int
    receptors: int
    tfs: int
    lags: int = 3


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda")
    for name, value in {
        "cells": 100_000,
        "targets": 2000,
        "ligands": 50,
        "receptors": 100,
        "tfs": 200,
    }.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument(
        "--tissue",
        type=int,
        default=4000,
        help="cells of the tissue on which rankings are compared",
    )
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[100], help="tissues on which rankings are compared"
    )
    parser.add_argument("--only-ranking", action="store_true")
    parser.add_argument("--epochs", type=int, default=st.TrainingConfig().max_epochs)
    parser.add_argument("--resamples", type=int, default=st.EvidenceConfig().n_resamples)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args(arguments)

    def write(row: dict[str, Any]) -> None:
        print(json.dumps(row), flush=True)
        if given.out:
            with given.out.open("a") as log:
                log.write(json.dumps(row) + "\n")

    if given.device.startswith("cuda") and not torch.cuda.is_available():
        print("This machine has no CUDA GPU: nothing is measured.")
        return write({"part": "skipped", "why": "no CUDA GPU", "device": given.device})
    device = torch.device(given.device)
    print(
        machine(),
        torch.cuda.get_device_name(device) if device.type == "cuda" else "on the CPU",
    )
    config = st.Config(
        training=st.TrainingConfig(max_epochs=given.epochs),
        evidence=st.EvidenceConfig(n_resamples=given.resamples),
        progress=False,
    )
    for seed in given.seeds:
        for row in ranking(given.tissue, device, config, seed):
            write(row)
    if given.only_ranking:
        return None
    size = Size(given.cells, given.targets, given.ligands, given.receptors, given.tfs)
    problem = synthetic(size, device)
    for batch in (st.TrainingConfig().batch_size, LARGE_BATCH):
        for way in WAYS:
            write(training(problem, size, batch, given.epochs, way))
    if device.type == "cuda":
        write(waits(problem))
    return None


def ranking(
    n_cells: int, device: torch.device, config: st.Config, seed: int = 100
) -> list[dict[str, Any]]:
    """Return rows that compare scores on the device with those on the CPU, for every way."""
    expected, seconds_cpu = inferred(n_cells, torch.device("cpu"), config, seed)
    rows = []
    for way in WAYS:
        with way.products():
            scores, spent = inferred(
                n_cells, device, replace(config, training=way.of(config.training)), seed
            )
        for name in NAMES:
            one, two = scores[name].align(expected[name], fill_value=0.0)
            scored = (one != 0) | (two != 0)
            one, two = one[scored], two[scored]
            agreement = (
                float(spearmanr(one, two)[0])
                if one.nunique() > 1 and two.nunique() > 1
                else float("nan")
            )
            row = {"part": "ranking", "seed": seed, "products": way.name, "table": name}
            row |= {"rows": len(one), "spearman": agreement}
            times = {"seconds": spent, "seconds_cpu": seconds_cpu}
            rows.append(row | {"largest_difference": float((one - two).abs().max())} | times)
    return rows


def inferred(
    n_cells: int, device: torch.device, config: st.Config, seed: int
) -> tuple[dict[str, pd.Series], float]:
    """Return scores by the names of edges, and seconds."""
    adata = st.datasets.simulated(seed=seed, n_cells=n_cells)
    started = time.perf_counter()
    st.tl.infer_ccc(
        adata, sample_key="sample", stage_key="stage", config=config, device=str(device)
    )
    seconds = time.perf_counter() - started
    tables = {name: getattr(st.get, name)(adata) for name in NAMES}
    return {
        name: table.astype(dict.fromkeys(NAMES[name], str)).groupby(NAMES[name])["score"].sum()
        for name, table in tables.items()
    }, seconds


def synthetic(size: Size, device: torch.device, seed: int = 100) -> Problem:
    """Return tensors of the given sizes, made on the device; the targets are noise."""
    n, g, le, r, f, k = size
    generator = torch.Generator(device).manual_seed(seed)

    def rand(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, device=device)

    exists = torch.ones(n, k + 1, dtype=torch.bool, device=device)
    none = torch.empty((2, 0), dtype=torch.long, device=device)
    numbers = torch.arange(le * r, device=device)
    return Problem(
        history=History(rand(n, k, f), rand(n, f), rand(n, k + 1, r), rand(n, k + 1, le), exists),
        pair_ligand=numbers // r,
        pair_receptor=numbers % r,
        tf_gene=torch.arange(f, device=device).repeat(2),
        tf_count=rand(n, f),
        tf_noise=torch.zeros(f, device=device),
        receptor_level=rand(n, r),
        target_past=rand(n, g),
        covariates=rand(n, 4),
        targets=torch.randn((n, g), generator=generator, device=device),
        usable=exists[:, 0],
        block=torch.arange(n, device=device) // max(1, n // 64),
        penalty=torch.ones(2 * f + le * r + 4, device=device),
        tf_penalty=None,
        forbidden=none,
        forbidden_on_tfs=none,
    )


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
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
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
    x, w = (
        torch.randn(batch, width, device=device, dtype=dtype),
        torch.randn(width, targets, device=device, dtype=dtype),
    )
    error = torch.randn(batch, targets, device=device, dtype=dtype)
    times = 20 if device.type == "cuda" else 3
    spent = {}
    for name, product in (("forward", lambda: x @ w), ("backward", lambda: error @ w.T)):
        seconds(product, device)
        spent[name] = (
            min(seconds(lambda p=product: [p() for _ in range(times)], device) for _ in range(3))
            / times
        )
    return spent | {
        "teraflops": 4e-12 * batch * width * targets / (spent["forward"] + spent["backward"])
    }


def seconds(work: Callable[[], Any], device: torch.device) -> float:
    """Return wall seconds until the device is done."""
    wait = partial(torch.cuda.synchronize, device) if device.type == "cuda" else lambda: None
    wait()
    started = time.perf_counter()
    work()
    wait()
    return time.perf_counter() - started


def peak(device: torch.device) -> float:
    """Return peak memory in GB: of the GPU since its reset, or of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 1e9 if sys.platform == "darwin" else most * 1024 / 1e9


def waits(problem: Problem) -> dict[str, Any]:
    """Count warnings of synchronisation in an epoch of attention, with few and many steps."""
    counts = {}
    for batch in (1024, 256):
        options = replace(st.TrainingConfig(), batch_size=batch, max_epochs=1)
        config = st.Config(training=options, progress=False)
        state = prepared(problem, config)
        train_attention(state)
        torch.cuda.set_sync_debug_mode("warn")
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                train_attention(state)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        counts[f"batch {batch}"] = int(np.sum(["synchroniz" in str(w.message) for w in caught]))
    return {"part": "waits", **counts}


if __name__ == "__main__":
    main()
