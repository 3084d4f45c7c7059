"""One tissue normalised in several ways: what the choice changes, with and without size factors.

python -m benchmarks.road.normalisation [seed ...] [--data simulated sergio_ds4 ...]

- CP10k, CP1M, median: log1p of counts scaled to 10 000, a million, or the median total of a cell;
- counts: log1p of the counts themselves, not normalised;
- panel: log1p per 10 000, of a panel that holds the genes with a role alone.

Every tissue is inferred with the size factors of the package, and once, as CP10k, with the values
as they are ("as given").
"""

from __future__ import annotations

import argparse
import logging
import warnings
from contextlib import nullcontext
from unittest.mock import patch

import numpy as np
import pandas as pd
from anndata import AnnData
from benchmarks._scores import machine
from benchmarks.recovery.signals import dense
from benchmarks.worlds.judge import score
from benchmarks.worlds.tissues import WORLDS

import spatrace_sc as st
from spatrace_sc._data.load_genes import load_genes
from spatrace_sc._data.size_factors import Rescaled
from spatrace_sc._study import read

TIMED = {"sample_key": "sample", "stage_key": "stage"}
TASKS = ("tf_targets", "lr_targets", "lr_pairs")
DATA = ("simulated", "sergio_ds4", "sergio_like_poisson", "sergio_differentiation", "agents")


def tissue(data: str, seed: int) -> AnnData:
    """Return a tissue with the truth and the arguments in ``uns``."""
    if data != "simulated":
        return WORLDS[data](seed)
    adata = st.datasets.simulated(seed, n_cells=3000)
    adata.uns["arguments"] = dict(TIMED)
    return adata


def normalised(adata: AnnData, way: str) -> AnnData:
    """Return the tissue, normalised in one of the ways."""
    adata = adata.copy()
    if way == "panel":
        flags = adata.var[["ligand", "receptor", "tf", "target"]].to_numpy(dtype=bool)
        adata = adata[:, flags.any(axis=1)].copy()
    counts = dense(adata.layers["counts"]).astype(float)
    total = np.maximum(counts.sum(axis=1, keepdims=True), 1.0)
    scale = {"CP1M": 1e6, "median": float(np.median(total))}.get(way, 1e4)
    adata.X = np.log1p(counts if way == "counts" else counts / total * scale).astype(np.float32)
    return adata


def as_given(matrix: np.ndarray, genes: np.ndarray, *_: object) -> Rescaled:
    """Load genes on the scale of the data."""
    loaded = load_genes(matrix, genes)
    return Rescaled(loaded.matrix, loaded.unit, loaded.empty, 0, None)


def run(data: str, seed: int) -> list[dict[str, object]]:
    """Return a row for every way of one tissue."""
    original, rows = tissue(data, seed), []
    for way in ("as given", "CP10k", "CP1M", "median", "counts", "panel"):
        adata = normalised(original, way)
        change = patch.object(read, "load_rescaled", as_given) if way == "as given" else None
        with change or nullcontext():
            st.tl.infer_ccc(adata, **adata.uns["arguments"], config=st.Config(progress=False))
        scores = score(adata, {task: getattr(st.get, task)(adata) for task in TASKS})
        row: dict[str, object] = {"data": data, "values": way}
        for task in TASKS:
            if scores.get(task, {}).get("AUPRC") is not None:
                row[task] = scores[task]["AUPRC"]
        hits, false = (scores["tf_targets"].get(name) for name in ("hits", "false"))
        rows.append(row | {"TF calls": hits, "false": false})
        print(f"{data} {seed} {way}: done", flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("seeds", nargs="*", type=int, default=[3, 4, 5])
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA))
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    rows = pd.DataFrame([r for d in given.data for s in given.seeds for r in run(d, s)])
    medians = rows.groupby(["data", "values"], sort=False).median(numeric_only=True)
    print(f"{machine()}; medians of seeds {given.seeds}")
    print(medians.round(3).to_string(na_rep=""))


if __name__ == "__main__":
    main()
