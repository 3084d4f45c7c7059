"""Tables and a figure of all rows."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from benchmarks.recovery.datasets import DATASETS
from benchmarks.recovery.judge import TASKS, TITLES
from benchmarks.recovery.methods import METHODS

SCORES = ["AUROC", "AUPRC", "x base", "early", "signs", "hits", "false"]
COSTS = {"cpu": "CPU seconds", "peak": "peak memory of the process, GB"}
Row = dict[str, Any]


def read_rows(
    file: Path,
    data: Collection[str] | None = None,
    seeds: Collection[int] | None = None,
    methods: Collection[str] | None = None,
) -> list[Row]:
    """Return the last row of each run of the chosen data sets, seeds and methods."""
    lines = file.read_text().splitlines() if file.exists() else []
    last = {(r["data"], r["seed"], r["method"]): r for r in map(json.loads, lines)}
    chosen = [(data, 0), (seeds, 1), (methods, 2)]
    return [
        r for key, r in last.items() if all(only is None or key[k] in only for only, k in chosen)
    ]


def frame(rows: list[Row]) -> pd.DataFrame:
    """Return a line per data set, method, seed and task, with scores and cost."""
    lines = [
        {
            "data": r["data"],
            "method": r["method"],
            "seed": r["seed"],
            "task": task,
            "cpu": r["cpu"],
            "peak": r["peak"],
        }
        | scores
        for r in rows
        if r["status"] == "ok"
        for task, scores in r["scores"].items()
    ]
    table = pd.DataFrame(lines, columns=["data", "method", "seed", "task", *SCORES, *COSTS])
    table = table.astype(dict.fromkeys([*SCORES, *COSTS], float))
    for column, order in (("data", DATASETS), ("method", METHODS), ("task", TASKS)):
        table[column] = pd.Categorical(table[column], categories=list(order), ordered=True)
    return table.sort_values(["task", "data", "method", "seed"])


def cell(values: pd.Series, digits: int = 2) -> str:
    """Return "median (range)", the value where there is one, and "" where there is none."""
    values = values.dropna()
    if not len(values):
        return ""
    middle, low, high = (
        f"{v:.{digits}f}".replace("0.", ".", 1) if 0 < abs(v) < 1 else f"{v:.{digits}f}"
        for v in (values.median(), values.min(), values.max())
    )
    return middle if len(values) == 1 else f"{middle} ({low}–{high})"


def digits_of(column: str) -> int:
    """Return the number of decimals of a column."""
    return {"hits": 0, "x base": 1, "cpu": 1}.get(column, 2)


def plain(rows: list[Row]) -> str:
    """Return one table with a line per task, data set and method."""
    table = frame(rows)
    groups = table.groupby(["task", "data", "method"], observed=True)
    columns = [*SCORES, *COSTS]
    lines = groups[columns].agg(list).map(lambda v: pd.Series(v, dtype=float))
    text = pd.DataFrame({c: lines[c].map(lambda v, c=c: cell(v, digits_of(c))) for c in columns})
    text = text.rename(index=TITLES, level=0)
    return text.to_string() + "\n" + troubles(rows)


def markdown(rows: list[Row]) -> str:
    """Return tables for GitHub, methods × data sets: scores, discoveries and cost."""
    table = frame(rows)
    sections = []
    for task in table["task"].cat.categories:
        of_task = table[table["task"] == task]
        sections += [
            f"### {TITLES[task]}: {score}\n\n{grid(of_task, score)}"
            for score in ("AUPRC", "AUROC", "x base")
        ]
        for score, title in (
            ("hits", "edges at q ≤ .1"),
            ("false", "false share of the edges at q ≤ .1"),
        ):
            if of_task[score].notna().any():
                sections.append(
                    f"### {TITLES[task]}: {title}\n\n"
                    f"{grid(of_task[of_task['hits'].notna()], score)}"
                )
    once = table.drop_duplicates(["data", "method", "seed"])
    sections += [f"### {title}\n\n{grid(once, column)}" for column, title in COSTS.items()]
    return "\n\n".join(sections) + "\n\n" + troubles(rows)


def grid(table: pd.DataFrame, score: str) -> str:
    """Return one table, methods × data sets, of medians and ranges."""
    text = (
        table.groupby(["method", "data"], observed=True)[score]
        .apply(lambda v: cell(v, digits_of(score)))
        .unstack()
    )
    text = text.loc[:, (text.fillna("") != "").any()].fillna("").dropna(how="all")
    lines = [["method", *map(str, text.columns)], ["---"] * (text.shape[1] + 1)]
    lines += [
        [str(name), *values] for name, values in zip(text.index, text.to_numpy(), strict=True)
    ]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def troubles(rows: list[Row]) -> str:
    """Return the runs without a result, a line per method and reason."""
    runs: dict[tuple[str, str, str], list[str]] = {}
    for row in rows:
        if row["status"] != "ok":
            runs.setdefault((row["method"], row["status"], row["error"]), []).append(
                f"{row['data']} {row['seed']}"
            )
    lines = [
        f"{method} {status} ({error}): {', '.join(runs_of_reason)}"
        for (method, status, error), runs_of_reason in runs.items()
    ]
    return "\n".join(["without a result:", *lines]) if lines else "every run has a result"


def draw(rows: list[Row], file: Path) -> Path:
    """Draw heat maps, methods × data sets, of median AUPRC (above) and AUROC of each task."""
    table = frame(rows)
    methods = [m for m in METHODS if m in set(table["method"])]
    tasks = [t for t in TASKS if table.loc[table["task"] == t, "AUROC"].notna().any()]
    figure, axes = plt.subplots(
        2,
        len(tasks),
        figsize=(4.6 * len(tasks) + 1, 10),
        layout="constrained",
        squeeze=False,
        sharey=True,
    )
    for (above, below), task in zip(axes.T, tasks, strict=True):
        of_task = table[table["task"] == task]
        for ax, score, low in ((above, "AUPRC", 0.0), (below, "AUROC", 0.5)):
            heat(ax, of_task, score, low, methods)
            ax.set_title(f"{TITLES[task]}: {score}", fontsize=10)
    figure.savefig(file, dpi=110)
    plt.close(figure)
    return file


def heat(ax: plt.Axes, table: pd.DataFrame, score: str, low: float, methods: list[str]) -> None:
    """Draw medians as colours and numbers; all panels have the same rows.

    The best method of a data set is bold, the oracle excluded. Cells are grey where a method gives
    no such scores or was not run.
    """
    medians = (
        table.groupby(["method", "data"], observed=False)[score].median().unstack().reindex(methods)
    )
    shown = medians.loc[:, medians.notna().any()]
    ax.imshow(shown.to_numpy(dtype=float), vmin=low, vmax=1, cmap="viridis", aspect="auto")
    best = shown.drop(index="l1_oracle", errors="ignore").max()
    for (i, j), value in np.ndenumerate(shown.to_numpy(dtype=float)):
        if np.isfinite(value):
            text = f"{value:.2f}".replace("0.", ".", 1)
            top = value == best.iloc[j] and shown.index[i] != "l1_oracle"
            style: dict[str, Any] = {
                "weight": "bold" if top else "normal",
                "fontsize": 8 if top else 7,
            }
            ax.text(
                j,
                i,
                text,
                ha="center",
                va="center",
                color="black" if value > (1 + low) / 2 + 0.1 else "white",
                **style,
            )
    ax.set_xticks(range(shown.shape[1]), shown.columns, rotation=60, ha="right", fontsize=8)
    ax.set_yticks(range(len(shown)), shown.index, fontsize=8)
    ax.tick_params(length=0)
    ax.set_facecolor("0.92")
