"""Tables of all rows: worlds in lines, methods in columns."""

from __future__ import annotations

from typing import Any

import pandas as pd
from benchmarks.recovery.judge import TITLES
from benchmarks.recovery.report import troubles
from benchmarks.worlds.methods import METHODS
from benchmarks.worlds.tissues import UPSTREAM_WORLDS, WORLDS

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
#: Scores of the directions of called edges, all as shares of the called ones.
DIRECTIONS = [
    *("hits", "reversed", "forward", "backward"),
    *("true_forward", "true_backward", "reversed_forward", "reversed_backward"),
]
#: Columns with numbers of edges.
COUNTED = ("called", "forward", "reverse as likely")
#: Smallest median difference of AUPRC that is not a tie.
MARGIN = 0.02
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
    for column, order in (("world", WORLDS | UPSTREAM_WORLDS), ("method", METHODS)):
        table[column] = pd.Categorical(table[column], categories=list(order), ordered=True)
    return table


def report(rows: list[Row], *, by_seed: bool = False, markdown: bool = False) -> str:
    """Return tables of the rankings, called edges, differences from the best, CPU seconds."""
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
        grid = calls(table[table["task"] == task], keys)
        if len(grid):
            parts.append((f"{TITLES[task]}: edges at q ≤ .1, all seeds together", grid, 2))
    grid = directions(table[table["task"] == "tf_targets"], keys)
    if len(grid):
        parts.append((f"{TITLES['tf_targets']}: direction of edges at q ≤ .1", grid, 2))
    for task in RANKINGS if not by_seed else ():
        grid = compared(table[(table["task"] == task) & (table["measure"] == "AUPRC")])
        if len(grid):
            title = f"{TITLES[task]}: AUPRC, difference of ours from the best other method"
            parts.append((title, grid, 3))
    parts.append(("CPU seconds", spread(table[table["task"] == "cost"], keys), 1))
    mark = "### " if markdown else ""
    text = [f"{mark}{title}\n\n{written(grid, digits, markdown)}" for title, grid, digits in parts]
    return "\n\n".join([*text, troubles(rows)])


def calls(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Return the number of called edges and the shares of them that are wrong in some way.

    Worlds in which no seed called an edge are left out.
    """
    total = numbers_of_called(table, keys, list(CALLS))
    shares = total.div(total["hits"], axis=0).assign(hits=total["hits"])
    shares = shares.rename(columns=CALLS).dropna(axis=1, how="all")
    return shares.reset_index("method").rename_axis(columns=None)


def directions(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Return how the column ``direction`` sorts the called edges, seeds together.

    The columns are the numbers of called edges and of those with "forward"; the share of reversed
    edges in both; and, of the true and of the reversed edges with a direction, the share with
    "forward". Worlds in which no seed called an edge, or no method has directions, are left out.
    """
    total = numbers_of_called(table, keys, DIRECTIONS).dropna(subset="forward")
    grid = pd.DataFrame(index=total.index)
    grid["called"], grid["forward"] = total["hits"], total["forward"]
    grid["reverse as likely"] = total["backward"]
    grid["reversed"] = total["reversed"] / total["hits"]
    grid["reversed of forward"] = total["reversed_forward"] / total["forward"]
    for kind in ("true", "reversed"):
        with_direction = total[f"{kind}_forward"] + total[f"{kind}_backward"]
        grid[f"forward of {kind}"] = total[f"{kind}_forward"] / with_direction
    return grid.reset_index("method").rename_axis(columns=None)


def numbers_of_called(table: pd.DataFrame, keys: list[str], names: list[str]) -> pd.DataFrame:
    """Return numbers of called edges of some kinds, from shares; ``hits`` comes first."""
    runs = table.pivot_table(
        index=[*keys, "method", *(["seed"] if "seed" not in keys else [])],
        columns="measure",
        values="value",
        observed=True,
    ).reindex(columns=names)
    runs = runs[runs["hits"] > 0]
    numbers = runs.mul(runs["hits"], axis=0).assign(hits=runs["hits"])
    return numbers.groupby([*keys, "method"], observed=True).sum(min_count=1)


def compared(table: pd.DataFrame) -> pd.DataFrame:
    """Return differences of AUPRC by seed between the package and the best other method.

    The best other method of a world is the one with the largest median, so it is chosen with
    the truth. The result is "better" if the package is better on every seed and by at least
    ``MARGIN`` at the median, "worse" likewise, "tie" otherwise.
    """
    lines = {}
    for world, rows in table.groupby("world", observed=True):
        values = rows.pivot_table(index="seed", columns="method", values="value", observed=True)
        values.columns = list(map(str, values.columns))
        if "ours" not in values or values.shape[1] == 1:
            continue
        best = values.drop(columns="ours").median().idxmax()
        difference = (values["ours"] - values[best]).dropna()
        if len(difference):
            middle, low, high = difference.median(), difference.min(), difference.max()
            better, worse = low > 0 and middle >= MARGIN, high < 0 and middle <= -MARGIN
            result = "better" if better else "worse" if worse else "tie"
            lines[world] = [best, middle, low, high, result]
    columns = ["best other method", "median", "lowest", "highest", "result"]
    return pd.DataFrame.from_dict(lines, orient="index", columns=columns).rename_axis("world")


def spread(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Return medians, worlds (and seeds) × methods."""
    medians = table.groupby([*keys, "method"], observed=True)["value"].median().unstack()
    medians.columns = list(map(str, medians.columns))
    return medians.dropna(how="all").dropna(axis=1, how="all")


def written(grid: pd.DataFrame, digits: int, markdown: bool) -> str:
    """Return a table as text; counts have no decimals."""
    text = pd.DataFrame(
        {
            column: [number(value, 0 if column in COUNTED else digits) for value in grid[column]]
            for column in grid.columns
        },
        index=grid.index,
    ).reset_index()
    if not markdown:
        return text.to_string(index=False)
    lines = [list(map(str, text.columns)), ["---"] * text.shape[1], *text.astype(str).to_numpy()]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def number(value: Any, digits: int) -> str:
    """Return a number without its leading zero, or nothing for NaN."""
    if isinstance(value, str):
        return value
    if pd.isna(value):
        return ""
    text = f"{value:.{digits}f}"
    return text.replace("0.", ".", 1) if 0 < abs(value) < 1 and digits > 1 else text
