"""Tables of all rows: worlds in lines, methods in columns."""

from __future__ import annotations

from typing import Any

import pandas as pd
from benchmarks.recovery.judge import TITLES
from benchmarks.recovery.report import troubles
from benchmarks.worlds.methods import METHODS
from benchmarks.worlds.tissues import WORLDS

#: Task → scores that get a table.
RANKINGS = {
    "tf_targets": ("AUPRC", "AUROC"),
    "lr_targets": ("AUPRC",),
    "lr_pairs": ("AUROC", "AUPRC"),
}
#: Scores of the called edges → their titles, for methods with q-values.
CALLS = {
    "hits": "called",
    "false": "false",
    "false_indirect": "not even indirect",
    "reversed": "reversed",
}
Row = dict[str, Any]


def frame(rows: list[Row]) -> pd.DataFrame:
    """Return a line per world, method, seed, task and score."""
    lines = [
        {"world": r["data"], "seed": r["seed"], "method": r["method"], "task": task}
        | {"measure": name, "value": value}
        for r in rows
        if r["status"] == "ok"
        for task, scores in ({"cost": {"cpu": r["cpu"]}} | r["scores"]).items()
        for name, value in scores.items()
    ]
    table = pd.DataFrame(lines).astype({"value": float})
    for column, order in (("world", WORLDS), ("method", METHODS)):
        table[column] = pd.Categorical(table[column], categories=list(order), ordered=True)
    return table


def report(rows: list[Row], *, by_seed: bool = False, markdown: bool = False) -> str:
    """Return a table for each ranking, the called edges, and CPU seconds."""
    table = frame(rows)
    keys = ["world", "seed"] if by_seed else ["world"]
    parts = []
    for task, measures in RANKINGS.items():
        for measure in measures:
            grid = spread(table[(table["task"] == task) & (table["measure"] == measure)], keys)
            base = table[(table["task"] == task) & (table["measure"] == "base")]
            if len(grid):
                medians = base.groupby(keys, observed=True)["value"].median()
                grid.insert(0, "base", medians.reindex(grid.index))
                digits = 3 if task == "lr_targets" else 2
                parts.append((f"{TITLES[task]}: {measure}", grid, digits))
    for task in RANKINGS:
        called = table[(table["task"] == task) & table["measure"].isin(list(CALLS))]
        # medians over seeds, each share over the seeds that called an edge
        grid = spread(called.assign(method=called["measure"].map(CALLS)), keys)
        if len(grid):
            grid = grid.reindex(columns=[c for c in CALLS.values() if c in grid])
            parts.append((f"{TITLES[task]}: edges of infer_ccc at q ≤ .1", grid, 2))
    parts.append(("CPU seconds", spread(table[table["task"] == "cost"], keys), 1))
    text = [f"{title}\n\n{written(grid, digits, markdown)}" for title, grid, digits in parts]
    return "\n\n".join([*text, troubles(rows)])


def spread(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Return medians, worlds (and seeds) × methods."""
    medians = table.groupby([*keys, "method"], observed=True)["value"].median().unstack()
    medians.columns = list(map(str, medians.columns))
    return medians.dropna(how="all").dropna(axis=1, how="all")


def written(grid: pd.DataFrame, digits: int, markdown: bool) -> str:
    """Return a table as text; counts have no decimals."""
    whole = grid.columns == "called"
    text = pd.DataFrame(
        {
            column: [number(value, 0 if count else digits) for value in grid[column]]
            for column, count in zip(grid.columns, whole, strict=True)
        },
        index=grid.index,
    ).reset_index()
    if not markdown:
        return text.to_string(index=False)
    lines = [list(map(str, text.columns)), ["---"] * text.shape[1], *text.astype(str).to_numpy()]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def number(value: float, digits: int) -> str:
    """Return a number without its leading zero, or nothing for NaN."""
    if pd.isna(value):
        return ""
    text = f"{value:.{digits}f}"
    return text.replace("0.", ".", 1) if 0 < abs(value) < 1 and digits > 1 else text
