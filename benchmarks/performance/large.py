"""A million cells on disk through the whole job.

python -m benchmarks.performance.large [--cells 1000000] [--file large.h5ad] [--threads 2] [--out rows.jsonl]

A simulated tissue is made slice by slice (20 000 cells each, a wiring common to all) and joined on disk, so that it is never in memory as a whole; an existing ``--file`` is taken as it is. It is then opened with
``backed="r"`` and inferred in a fresh process. Printed, as JSON: sizes, CPU and wall seconds, the peak memory of the process, and how well pairs and edges are ranked.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import torch

import spatrace_sc as st
from benchmarks._scores import KEYS, label
from spatrace_sc._core.networks import ranking_scores

SLICE = 20_000


def make(n_cells: int, file: Path, seed: int) -> None:
    """Slices of one tissue, written one by one and joined on disk. Cells of different slices are drawn anew; what regulates what is the same."""
    n_slices = max(1, n_cells // SLICE)
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        parts = {}
        for number in range(n_slices):
            part = st.datasets.simulated(seed, n_cells=n_cells // n_slices, cells_seed=seed + 1 + number)
            part.obs["sample"] = f"slice{number:03d}"
            path = Path(folder) / f"{number:03d}.h5ad"
            if number == 0:
                truth = part.uns["truth"]
                roles = part.var
            part.write_h5ad(path)
            parts[f"{number:03d}"] = str(path)
        ad.experimental.concat_on_disk(parts, file, index_unique="-")
    with ad.settings.override(allow_write_nullable_strings=True):
        joined = ad.read_h5ad(file, backed="r+")
        joined.var[roles.columns] = roles
        joined.uns["truth"] = truth
        joined.write()


def run(file: Path, threads: int) -> dict[str, Any]:
    """Row of one inference of a file on disk."""
    torch.set_num_threads(threads)
    adata = ad.read_h5ad(file, backed="r")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    wall, cpu = time.perf_counter(), time.process_time()
    config = st.Config(progress=False, evidence=st.EvidenceConfig(n_workers=1))
    st.settings.verbosity = "info"
    found = st.tl.infer_ccc(adata, sample_key="sample", stage_key="stage", config=config, device="cpu", copy=True)
    spent = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    scores = {}
    for name, keys in KEYS.items():
        table = label(getattr(st.get, name)(found), adata.uns["truth"][name], keys)
        ranked = ranking_scores(table["score"].to_numpy(), table["true"].to_numpy())
        called = table[table["q_value"] <= 0.1]
        scores[name] = {
            "auprc": float(ranked["auprc"]),
            "called": len(called),
            "false": float((~called["true"]).mean()) if len(called) else 0.0,
        }
    receivers = int(np.isfinite(pd.to_numeric(adata.obs["dpt_pseudotime"])).sum())
    sizes = {"cells": adata.n_obs, "receivers": receivers, "genes": adata.n_vars, "threads": threads}
    return sizes | spent | {"peak GB": peak, "before GB": before, "file GB": file.stat().st_size / 1e9} | scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=1_000_000)
    parser.add_argument("--file", type=Path, default=Path("large.h5ad"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=620)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--here", action="store_true", help="infer in this process")
    options = parser.parse_args()
    if options.here:
        print(json.dumps(run(options.file, options.threads)))
        return
    if not options.file.exists():
        make(options.cells, options.file, options.seed)
    command = [sys.executable, "-m", "benchmarks.performance.large", "--here", "--file", str(options.file)]
    done = subprocess.run([*command, "--threads", str(options.threads)], stdout=subprocess.PIPE, text=True, check=True)
    row = done.stdout.strip().splitlines()[-1]
    print(row)
    if options.out is not None:
        with options.out.open("a") as log:
            log.write(row + "\n")


if __name__ == "__main__":
    main()
