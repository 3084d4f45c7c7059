"""Agreement of the scores on a device with those on the CPU."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pandas as pd
import torch
from benchmarks.performance.gpu import ways
from scipy.stats import spearmanr

import spatrace_sc as st

NAMES = {
    "lr_targets": ["ligand", "receptor", "target"],
    "tf_targets": ["tf", "target"],
    "lr_pairs": ["ligand", "receptor"],
    "communication": ["sender", "receiver", "ligand", "receptor"],
}


def ranking(
    n_cells: int, device: torch.device, config: st.Config, seed: int = 100
) -> list[dict[str, Any]]:
    """Return rows that compare scores on the device with those on the CPU, for every way."""
    expected, seconds_cpu = inferred(n_cells, torch.device("cpu"), config, seed)
    rows = []
    for way in ways.WAYS:
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
    adata = st.datasets.simulated(rng=seed, n_cells=n_cells)
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
