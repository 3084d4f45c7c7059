"""Performance on a GPU: agreement with the CPU, seconds and memory of training, and waiting steps.

python -m benchmarks.performance.gpu [--device cuda] [--cells 100000 --targets 2000 --ligands 50
                                     --receptors 100 --tfs 200] [--seeds 100 101]
                                     [--parts ranking training estimate silencing waits]
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
- ``estimate``: what one network whose tokens are TFs needs at the given sizes, counted from the
  shapes: passes, floating-point operations, bytes moved, memory that a step holds for its
  gradients, and the seconds that these would take on an H200; again with the fused attention of
  torch. An inference trains two such networks.
- ``silencing``: the seconds of training such a network through every step, of silencing each TF,
  and of reading the attention, on tensors of the given sizes; the share of the ceiling, as for
  ``training``; and again with the fused attention. The estimate is printed first.
- ``waits``: how often one epoch made the host wait for the GPU
  (``torch.cuda.set_sync_debug_mode``), for two batch sizes, and for two numbers of steps of the
  network whose tokens are TFs. The numbers are equal if no step waits.

Without a CUDA GPU the script ends with a row ``skipped``. ``--device cpu`` runs it on the CPU, in
sizes that suit it. Seconds of training and silencing are then CPU seconds.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from benchmarks._scores import machine
from benchmarks.performance.gpu import ways
from benchmarks.performance.gpu.estimate import NETWORKS, estimate
from benchmarks.performance.gpu.ranking import ranking
from benchmarks.performance.gpu.silencing import silencing, waits_by_steps
from benchmarks.performance.gpu.tensors import Size, synthetic
from benchmarks.performance.gpu.training import training, waits
from benchmarks.performance.gpu.ways import PLAIN, TF32

import spatrace_sc as st

SIZES = {"cells": 100_000, "targets": 2000, "ligands": 50, "receptors": 100, "tfs": 200}
PARTS = ("ranking", "training", "estimate", "silencing", "waits")
#: Parts that need tensors of the given sizes.
ON_TENSORS = {"training", "silencing", "waits"}
LARGE_BATCH = 4096


def main(arguments: list[str] | None = None) -> None:
    given = parsed(arguments)

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
    for row in rows(given, device):
        write(row)
    return None


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda")
    for name, value in SIZES.items():
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
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--epochs", type=int, default=st.TrainingConfig().max_epochs)
    parser.add_argument("--resamples", type=int, default=st.EvidenceConfig().n_resamples)
    parser.add_argument("--out", type=Path)
    return parser.parse_args(arguments)


def rows(given: argparse.Namespace, device: torch.device) -> Iterator[dict[str, Any]]:
    """Yield the rows of all parts, each as soon as it is measured."""
    config = st.Config(
        training=st.TrainingConfig(max_epochs=given.epochs),
        evidence=st.EvidenceConfig(n_resamples=given.resamples),
        progress=False,
    )
    if "ranking" in given.parts:
        for seed in given.seeds:
            yield from ranking(given.tissue, device, config, seed)
    size = Size(*(getattr(given, name) for name in SIZES))
    if {"estimate", "silencing"} & set(given.parts):
        for network in NETWORKS:
            yield estimate(size, given.epochs, network)
    if not ON_TENSORS & set(given.parts):
        return
    problem = synthetic(size, device)
    if "training" in given.parts:
        for batch in (st.TrainingConfig().batch_size, LARGE_BATCH):
            for way in ways.WAYS:
                yield training(problem, size, batch, given.epochs, way)
    if "silencing" in given.parts:
        for network in NETWORKS:
            for way in (PLAIN, TF32) if device.type == "cuda" else (PLAIN,):
                yield silencing(problem, size, given.epochs, way, network)
    if "waits" in given.parts and device.type == "cuda":
        yield waits(problem) | waits_by_steps(problem)


if __name__ == "__main__":
    main()
