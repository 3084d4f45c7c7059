"""A model applied to other cells: R² within, in another animal, at another stage, and shuffled.

python -m benchmarks.road.apply_model [--seeds 900 901 902] [--cells 3000]

Tissues are simulated. The network of genes is that of the seed, and so are the courses of its
genes and the levels of those without a role; another animal has other cells, positions, spatial
fields and counts. Seeds from 900 on were
used for nothing else. In "shuffled", every target is permuted among the receivers of a slice.
"other depth" is the other animal with a third of the molecules. Columns: R² within slices,
R² by covariates alone, and Spearman correlation of the activity of pairs with the true signal.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
from anndata import AnnData
from benchmarks._scores import machine
from scipy import sparse
from scipy.stats import spearmanr

import spatrace_sc as st
from spatrace_sc._result import Model
from spatrace_sc.datasets import _simulated

#: Parts of the simulation that animals of one species share.
SHARED = ("wiring", "trends", "kinetics", "order", "background")
KEYS = {"sample_key": "sample", "stage_key": "stage"}


def animal(seed: int, draw: int, **options: float) -> AnnData:
    """Return a tissue with the network of a seed, and everything else of another ``draw``."""
    streams = _simulated._streams

    def mixed(_: int) -> dict[str, np.random.Generator]:
        own, other = streams(seed), streams(draw)
        return {name: (own if name in SHARED else other)[name] for name in own}

    with patch.object(_simulated, "_streams", mixed):
        return st.datasets.simulated(seed, **options)


def shuffled(adata: AnnData, seed: int = 0) -> AnnData:
    """Return the tissue with every target permuted among the receivers of each slice."""
    rng, result = np.random.default_rng(seed), adata.copy()
    receives = adata.obs["dpt_pseudotime"].notna().to_numpy()
    counts = np.asarray(adata.layers["counts"].toarray(), dtype=float)
    targets = np.flatnonzero(adata.var["target"])
    for name in adata.obs["sample"].unique():
        rows = np.flatnonzero(receives & (adata.obs["sample"] == name).to_numpy())
        for target in targets:
            counts[rows, target] = counts[rng.permutation(rows), target]
    total = np.maximum(counts.sum(axis=1, keepdims=True), 1.0)
    result.X = sparse.csr_matrix(np.log1p(1e4 * counts / total).astype(np.float32))
    return result


def signal_correlation(adata: AnnData, key: str) -> float:
    """Return the median correlation of the activity of true pairs with their true signal."""
    activity = st.get.activity(adata, key=key)
    truth: pd.DataFrame = adata.obsm["true_signal"]
    both = [name for name in activity.var_names if name in truth]
    found = []
    for name in both:
        values, true = activity[:, name].X[:, 0], truth[name].to_numpy()
        known = np.isfinite(values) & np.isfinite(true)
        if known.any() and np.ptp(values[known]) > 0:
            found.append(spearmanr(values[known], true[known]).statistic)
    return float(np.median(found)) if found else float("nan")


def row(model: Model, adata: AnnData) -> list[float]:
    """Return both R² and the correlation of signals of a model in a tissue."""
    st.tl.apply_model(model, adata, key_added="applied")
    summary = adata.uns["applied"]["applied"]["summary"]
    return [summary["r2"], summary["r2_covariates"], signal_correlation(adata, "applied")]


def scores(seed: int, n_cells: int) -> dict[str, list[float]]:
    """Return a row for every kind of other cells."""
    first = animal(seed, seed, n_cells=n_cells)
    early = first[first.obs["stage"] != first.obs["stage"].cat.categories[-1]].copy()
    late = first[first.obs["stage"] == first.obs["stage"].cat.categories[-1]].copy()
    other = animal(seed, seed + 5000, n_cells=int(0.8 * n_cells))
    shallow = animal(seed, seed + 5000, n_cells=int(0.8 * n_cells), depth=333.0)
    with tempfile.TemporaryDirectory() as folder:
        models = {}
        for name, adata in (("all", first), ("early", early)):
            st.tl.infer_ccc(adata, **KEYS, config=st.Config(progress=False))
            st.tl.save_model(adata, Path(folder) / name)
            models[name] = st.tl.load_model(Path(folder) / name)
        sizes = [(Path(folder) / name).stat().st_size / 1e6 for name in models]
    held_out = [first.uns["spatrace"]["fit"][f"r2_{step}"] for step in ("gates", "covariates")]
    return {
        "held-out blocks at the inference": [*held_out, signal_correlation(first, "spatrace")],
        "cells of the inference": row(models["all"], first),
        "other animal": row(models["all"], other),
        "other animal, other depth": row(models["all"], shallow),
        "later stage, model of earlier ones": row(models["early"], late),
        "other animal, targets shuffled": row(models["all"], shuffled(other)),
        "other network": row(models["all"], animal(seed + 1, seed + 5000, n_cells=n_cells)),
        "size of the file in MB": [sizes[0], np.nan, np.nan],
    }


def main() -> None:
    """Print a row of means and ranges over the seeds for every kind of other cells."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[900, 901, 902])
    parser.add_argument("--cells", type=int, default=3000)
    arguments = parser.parse_args()
    print(machine())
    warnings.simplefilter("ignore", st.SpatraceWarning)
    st.settings.progress = False
    tables = [scores(seed, arguments.cells) for seed in arguments.seeds]
    print("| cells | R² | R² by covariates | correlation of signals |\n|---|---|---|---|")
    for name in tables[0]:
        values = np.array([table[name] for table in tables])
        cells = [f"{v.mean():.3f} ({v.min():.3f}–{v.max():.3f})" for v in values.T]
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
