"""What p and q of one run were worth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from benchmarks._scores import KEYS, Cost
from benchmarks.calibration.naive import naive_permutation
from benchmarks.calibration.tissues import TISSUES, true_edges
from benchmarks.recovery.tissue import Tissue

import spatrace_sc as st

#: Nominal levels at which the share of false discoveries is counted, and levels of p.
Q_LEVELS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3)
P_LEVELS = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9)


def run(data: str, seed: int) -> dict[str, Any]:
    """A row: the package with its defaults, and the naive permutation on the same tissue."""
    tissue = TISSUES[data](seed)
    naive = naive_permutation(tissue, seed)
    with Cost() as cost:
        st.tl.infer_ccc(
            tissue.adata,
            **tissue.arguments,
            seed=seed,
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
    """Discoveries, those that are false, false even when indirect edges count as true, and power, at every nominal level; shares of null p at or below every level of p."""
    keys = KEYS[task]
    direct, every = (membership(table, truth, keys) for truth in true_edges(tissue, task))
    listed = len(measured(true_edges(tissue, task)[0], tissue)[keys].drop_duplicates())
    q, p = table["q_value"].to_numpy(), table["p_value"].to_numpy()
    out: dict[str, Any] = {"found": {}, "false": {}, "false_any": {}, "power": {}}
    for level in Q_LEVELS:
        called = q <= level
        out["found"][str(level)] = int(called.sum())
        out["false"][str(level)] = float((called & ~direct).sum() / max(called.sum(), 1))
        out["false_any"][str(level)] = float((called & ~every).sum() / max(called.sum(), 1))
        out["power"][str(level)] = float((called & direct).sum() / listed) if listed else None
    null = p[~every]
    out["null_p"] = {
        str(level): float((null <= level).mean()) if len(null) else None for level in P_LEVELS
    }
    if "group" in table:
        called = q <= 0.1
        grouped = called & (table["group"] != "").to_numpy()
        out["grouped"], out["grouped_true"] = int(grouped.sum()), int((grouped & direct).sum())
    return out


def routes(table: pd.DataFrame, tissue: Tissue) -> dict[str, Any]:
    """Of the 100 strongest edges by direct and mediated effect together: those called direct and those called mediated, and how many of each truly are."""
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
    """True edges of which every gene is in its list."""
    var = tissue.adata.var
    kept = np.ones(len(truth), dtype=bool)
    for role in ("ligand", "receptor", "tf", "target"):
        if role in truth:
            kept &= truth[role].astype(str).isin(var.index[var[role]]).to_numpy()
    return truth[kept]


def membership(table: pd.DataFrame, truth: pd.DataFrame, keys: list[str]) -> np.ndarray:
    """Whether each row of the table is a true edge."""
    known = pd.MultiIndex.from_frame(truth[keys].astype(str))
    return pd.MultiIndex.from_frame(table[keys].astype(str)).isin(known)
