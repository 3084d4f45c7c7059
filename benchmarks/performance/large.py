"""One inference of a million cells on disk, or of very many pairs and targets.

python -m benchmarks.performance.large [--cells 1000000] [--tissue '{"n_targets": 2000}']
                                       [--file large.h5ad] [--threads 2] [--out rows.jsonl]

A process of its own writes a simulated tissue with slices of 20 000 cells to disk; an existing
``--file`` is used as it is. A fresh process opens it with ``backed="r"`` and infers. ``--tissue``
has further arguments of :func:`spatrace_sc.datasets.simulated` as JSON. The printed row has sizes,
CPU and wall seconds, the peak memory of that process, and the scores of pairs and edges.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import torch
from benchmarks._scores import KEYS

import spatrace_sc as st
from spatrace_sc._core.networks import ranking_scores

SLICE = 20_000


def make(n_cells: int, file: Path, seed: int, tissue: dict[str, Any]) -> None:
    """Write the tissue, in slices of 20 000 cells."""
    slices = {"n_slices": n_cells // SLICE} if n_cells >= SLICE else {}
    st.datasets.simulated(seed, n_cells=n_cells, **slices | tissue).write_h5ad(file)


def run(file: Path, threads: int) -> dict[str, Any]:
    """Return the row of one inference of a file on disk."""
    torch.set_num_threads(threads)
    adata = ad.read_h5ad(file, backed="r")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    wall, cpu = time.perf_counter(), time.process_time()
    config = st.Config(progress=False)
    st.settings.verbosity = "info"
    st.tl.infer_ccc(adata, sample_key="sample", stage_key="stage", config=config, device="cpu")
    spent = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    scores = {}
    for name, keys in KEYS.items():
        scores[name] = judged(getattr(st.get, name)(adata), adata.uns["truth"][name], keys)
    receivers = int(np.isfinite(pd.to_numeric(adata.obs["dpt_pseudotime"])).sum())
    roles = {role: int(adata.var[role].sum()) for role in ("ligand", "receptor", "tf", "target")}
    sizes = {
        "cells": adata.n_obs,
        "receivers": receivers,
        "genes": adata.n_vars,
        "threads": threads,
    } | roles
    return (
        sizes
        | spent
        | {"peak GB": peak, "before GB": before, "file GB": file.stat().st_size / 1e9}
        | scores
    )


def judged(table: pd.DataFrame, truth: pd.DataFrame, keys: list[str]) -> dict[str, float | None]:
    """Return the number of listed edges, discoveries at q ≤ 0.1 and their false share, and AUPRC.

    The AUPRC is None unless all true edges are listed, as they are up to ``config.max_edges``.
    """
    known = pd.MultiIndex.from_frame(truth[keys].astype(str).drop_duplicates())
    true = pd.MultiIndex.from_frame(table[keys].astype(str)).isin(known)
    called = (table["q_value"] <= 0.1).to_numpy()
    complete = int(true.sum()) == len(known)
    return {
        "listed": len(table),
        "auprc": float(ranking_scores(true, table["score"].to_numpy())["auprc"])
        if complete
        else None,
        "called": int(called.sum()),
        "false": float((~true[called]).mean()) if called.any() else 0.0,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cells", type=int, default=1_000_000)
    parser.add_argument("--file", type=Path, default=Path("large.h5ad"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=620)
    parser.add_argument(
        "--tissue", type=json.loads, default={}, help="other arguments of the simulation, as JSON"
    )
    parser.add_argument("--out", type=Path)
    parser.add_argument("--make", action="store_true", help="only write the file")
    parser.add_argument("--in-process", action="store_true", help="infer in this process")
    options = parser.parse_args()
    if options.make:
        make(options.cells, options.file, options.seed, options.tissue)
        return
    if options.in_process:
        print(json.dumps(run(options.file, options.threads)))
        return
    again = [sys.executable, "-m", "benchmarks.performance.large", "--file", str(options.file)]
    if not options.file.exists():
        made = ["--make", "--cells", str(options.cells), "--seed", str(options.seed)]
        made += ["--tissue", json.dumps(options.tissue)]
        subprocess.run([*again, *made], check=True)
    done = subprocess.run(
        [*again, "--in-process", "--threads", str(options.threads)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    row = done.stdout.strip().splitlines()[-1]
    print(row)
    if options.out is not None:
        with options.out.open("a") as log:
            log.write(row + "\n")


if __name__ == "__main__":
    main()
