"""Calibration of p and q in one run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from benchmarks._scores import KEYS, Cost
from benchmarks.calibration.naive import naive_permutation
from benchmarks.calibration.tissues import TISSUES, true_edges
from benchmarks.recovery.tissue import Tissue

import spatrace_sc as st

#: Nominal q at which false discoveries are counted, and levels of p.
Q_LEVELS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3)
P_LEVELS = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9)


def run(data: str, seed: int) -> dict[str, Any]:
    """Return a row: the package with its defaults, and the naive test on the same tissue."""
    tissue = TISSUES[data](seed)
    naive = naive_permutation(tissue, seed)
    with Cost() as cost:
        st.tl.infer_ccc(
            tissue.adata,
            **tissue.arguments,
            rng=seed,
            device="cpu",
            config=st.Config(progress=False),
        )
    ours = {task: getattr(st.get, task)(tissue.adata) for task in KEYS}
    row: dict[str, Any] = {"data": data, "seed": seed, "cpu": round(cost.cpu, 1)}
    row["ours"] = {task: worth(ours[task], tissue, task) for task in KEYS}
    row["ours"]["lr_targets"] |= routes(ours["lr_targets"], tissue)
    row["naive permutation"] = {"lr_targets": worth(naive, tissue, "lr_targets")}
    return row


def worth(table: pd.DataFrame, tissue: Tissue, task: str) -> dict[str, Any]:
    """Return discoveries, false discovery proportion and power at every nominal q.

    ``false_any`` counts indirect edges as true. ``null_p`` has the share of the p of edges that do
    not exist at or below every level.
    """
    keys = KEYS[task]
    direct, every = (membership(table, truth, keys) for truth in true_edges(tissue, task))
    listed = len(measured(true_edges(tissue, task)[0], tissue)[keys].drop_duplicates())
    q, p = table["q_value"].to_numpy(), table["p_value"].to_numpy()
    scores: dict[str, Any] = {"found": {}, "false": {}, "false_any": {}, "power": {}}
    for level in Q_LEVELS:
        called = q <= level
        scores["found"][str(level)] = int(called.sum())
        scores["false"][str(level)] = float((called & ~direct).sum() / max(called.sum(), 1))
        scores["false_any"][str(level)] = float((called & ~every).sum() / max(called.sum(), 1))
        scores["power"][str(level)] = float((called & direct).sum() / listed) if listed else None
    null = p[~every]
    scores["null_p"] = {
        str(level): float((null <= level).mean()) if len(null) else None for level in P_LEVELS
    }
    if "group" in table:
        called = q <= 0.1
        grouped = called & (table["group"] != "").to_numpy()
        scores["grouped"] = int(grouped.sum())
        scores["grouped_true"] = int((grouped & direct).sum())
    return scores


def routes(table: pd.DataFrame, tissue: Tissue) -> dict[str, Any]:
    """Return how many of the 100 strongest edges are called direct or mediated, and are.

    Edges are ranked by their direct and mediated effect together.
    """
    keys = KEYS["lr_targets"]
    total = (table["effect"] + table["mediated"]).abs().to_numpy()
    top = table.iloc[np.argsort(-total, kind="stable")[:100]]
    direct, every = (membership(top, truth, keys) for truth in true_edges(tissue, "lr_targets"))
    named_direct, named_mediated = (
        (top["route"] == "direct").to_numpy(),
        (top["route"] == "mediated").to_numpy(),
    )
    return {
        "called_direct": [
            int((named_direct & direct).sum()),
            int((named_direct & every).sum()),
            int(named_direct.sum()),
        ],
        "called_mediated": [
            int((named_mediated & every & ~direct).sum()),
            int((named_mediated & every).sum()),
            int(named_mediated.sum()),
        ],
    }


def measured(truth: pd.DataFrame, tissue: Tissue) -> pd.DataFrame:
    """Return the true edges whose genes are all in the lists of genes."""
    var = tissue.adata.var
    known = np.ones(len(truth), dtype=bool)
    for role in ("ligand", "receptor", "tf", "target"):
        if role in truth:
            known &= truth[role].astype(str).isin(var.index[var[role]]).to_numpy()
    return truth[known]


def membership(table: pd.DataFrame, truth: pd.DataFrame, keys: list[str]) -> np.ndarray:
    """Return whether each row of the table is a true edge."""
    known = pd.MultiIndex.from_frame(truth[keys].astype(str))
    return pd.MultiIndex.from_frame(table[keys].astype(str)).isin(known)
