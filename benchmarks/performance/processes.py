"""One process and several on this machine: whether tables agree, and the ratio of wall seconds.

python -m benchmarks.performance.processes [--cells 4000] [--processes 2] [--repeats 3]
                                           [--out processes.jsonl]

The same script, an inference of a simulated tissue with default settings, runs with plain Python
and with ``torchrun`` in turn, one thread per process. Each repeat gives a row of JSON. It has the
wall seconds of the inference, of its training, of its refits and of all the rest. ``masks`` is the
part of the training that draws dropout masks of whole batches, which every process does. It also
has the largest difference of a number in any table, and that of p and q. About 1 minute. Seconds
mean little on cores that other processes use.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from benchmarks._scores import machine

import spatrace_sc as st
from spatrace_sc._inference import run as inference
from spatrace_sc._model import fit
from spatrace_sc._model.network.signal_network import SignalNetwork
from spatrace_sc._model.runtime.distributed import world

ROOT = Path(__file__).resolve().parents[2]
NAMES = {
    "lr_targets": ["ligand", "receptor", "target"],
    "tf_targets": ["tf", "target"],
    "lr_pairs": ["ligand", "receptor"],
    "communication": ["sender", "receiver", "ligand", "receptor"],
}
EVIDENCE = ("p_value", "q_value")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cells", type=int, default=4000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=st.TrainingConfig().max_epochs)
    parser.add_argument("--resamples", type=int, default=st.EvidenceConfig().n_resamples)
    parser.add_argument("--out", type=Path)
    parser.add_argument(
        "--work",
        type=Path,
        help="used by the script itself: infer, and write the tables to this file",
    )
    given = parser.parse_args(arguments)
    if given.work:
        return work(given)
    print(machine())
    for repeat in range(given.repeats):
        row = {"part": "processes", "repeat": repeat, **measure(given)}
        print(json.dumps(row), flush=True)
        if given.out:
            with given.out.open("a") as log:
                log.write(json.dumps(row) + "\n")
    return None


def work(given: argparse.Namespace) -> None:
    """Run one inference as a user's script does; process 0 writes."""
    torch.set_num_threads(1)
    spent: dict[str, float] = {}
    for phase in ("train_attention", "train_gates"):
        setattr(fit, phase, timed(getattr(fit, phase), "training", spent))
    draw_masks = timed(SignalNetwork.draw_masks, "masks", spent)
    SignalNetwork.draw_masks = draw_masks  # type: ignore[method-assign]
    inference.resample = timed(inference.resample, "refits", spent)
    adata = st.datasets.simulated(rng=100, n_cells=given.cells)
    config = st.Config(
        training=st.TrainingConfig(max_epochs=given.epochs),
        evidence=st.EvidenceConfig(n_resamples=given.resamples, n_workers=1),
        progress=False,
    )
    started = time.perf_counter()
    st.tl.infer_ccc(adata, sample_key="sample", stage_key="stage", config=config, device="cpu")
    spent["all"] = time.perf_counter() - started
    rank, size = world()
    if rank == 0:
        tables = {name: getattr(st.get, name)(adata) for name in NAMES}
        given.work.write_bytes(pickle.dumps({"spent": spent, "processes": size, "tables": tables}))


def timed(function: Callable[..., Any], name: str, spent: dict[str, float]) -> Callable[..., Any]:
    """Return the function with the wall seconds of its calls added up in ``spent``."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        started = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            spent[name] = spent.get(name, 0.0) + time.perf_counter() - started

    return wrapper


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Run one process, then several, and return their comparison."""
    one, many = run(given, 1), run(given, given.processes)
    row: dict[str, Any] = {"cells": given.cells, "processes": many["processes"]}
    for name, seconds in one["spent"].items():
        row |= {name: round(seconds, 3), f"{name}_shared": round(many["spent"][name], 3)}
    others = [
        result["spent"]["all"] - result["spent"]["training"] - result["spent"]["refits"]
        for result in (one, many)
    ]
    row |= {"rest": round(others[0], 2), "rest_shared": round(others[1], 2)}
    row["ratio"] = round(many["spent"]["all"] / one["spent"]["all"], 3)
    pairs = [(aligned(one["tables"][n], n), aligned(many["tables"][n], n)) for n in NAMES]
    row["same_rows"] = all(a.index.equals(b.index) for a, b in pairs)
    return row | {
        "largest_difference": largest(pairs, False),
        "largest_difference_of_p_and_q": largest(pairs, True),
    }


def run(given: argparse.Namespace, processes: int) -> dict[str, Any]:
    """Return the tables and seconds that process 0 wrote."""
    start = (
        ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
        if processes > 1
        else []
    )
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    environment = os.environ | dict.fromkeys(names, "1") | {"OMP_WAIT_POLICY": "PASSIVE"}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "tables.pickle"
        options = {
            "cells": given.cells,
            "epochs": given.epochs,
            "resamples": given.resamples,
            "work": file,
        }
        command = [sys.executable, *start, "-m", "benchmarks.performance.processes"]
        command += [text for name, value in options.items() for text in (f"--{name}", str(value))]
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise SystemExit(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr}")
        output: dict[str, Any] = pickle.loads(file.read_bytes())
        return output


def aligned(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the numeric columns by the names of edges."""
    table = table.astype(dict.fromkeys(NAMES[name], str)).set_index(NAMES[name]).sort_index()
    return table.select_dtypes("number")


def largest(pairs: list[tuple[pd.DataFrame, pd.DataFrame]], evidence: bool) -> float:
    """Return the largest difference of p and q, or of all other numbers, in the tables."""
    difference = 0.0
    for one, two in pairs:
        chosen = [c for c in one if c.endswith(EVIDENCE) == evidence]
        difference = max(difference, float((one[chosen] - two[chosen]).abs().max().max()))
    return difference


if __name__ == "__main__":
    main()
