"""Tables and a figure from the rows."""

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
    """Rows of the chosen data sets, seeds and methods; of several for the same run the last."""
    lines = file.read_text().splitlines() if file.exists() else []
    last = {(r["data"], r["seed"], r["method"]): r for r in map(json.loads, lines)}
    chosen = [(data, 0), (seeds, 1), (methods, 2)]
    return [
        r for key, r in last.items() if all(only is None or key[k] in only for only, k in chosen)
    ]


def frame(rows: list[Row]) -> pd.DataFrame:
    """A line per data set, method, seed and task, with scores and cost; in the order of their lists."""
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
    """Median (range), the median alone of a single value, nothing of none."""
    values = values.dropna()
    if not len(values):
        return ""
    middle, low, high = (
        f"{v:.{digits}f}".replace("0.", ".", 1) if 0 < abs(v) < 1 else f"{v:.{digits}f}"
        for v in (values.median(), values.min(), values.max())
    )
    return middle if len(values) == 1 else f"{middle} ({low}–{high})"


def digits_of(column: str) -> int:
    return {"hits": 0, "x base": 1, "cpu": 1}.get(column, 2)


def plain(rows: list[Row]) -> str:
    """One table: a line per task, data set and method."""
    table = frame(rows)
    groups = table.groupby(["task", "data", "method"], observed=True)
    columns = [*SCORES, *COSTS]
    lines = groups[columns].agg(list).map(lambda v: pd.Series(v, dtype=float))
    text = pd.DataFrame({c: lines[c].map(lambda v, c=c: cell(v, digits_of(c))) for c in columns})
    text = text.rename(index=TITLES, level=0)
    return text.to_string() + "\n" + troubles(rows)


def markdown(rows: list[Row]) -> str:
    """Tables for GitHub: methods × data sets, for AUPRC and AUROC of each task, what was found at q ≤ .1, and cost."""
    table = frame(rows)
    parts = []
    for task in table["task"].cat.categories:
        here = table[table["task"] == task]
        parts += [
            f"### {TITLES[task]}: {score}\n\n{grid(here, score)}"
            for score in ("AUPRC", "AUROC", "x base")
        ]
        for score, title in (
            ("hits", "edges at q ≤ .1"),
            ("false", "false share of the edges at q ≤ .1"),
        ):
            if here[score].notna().any():
                parts.append(
                    f"### {TITLES[task]}: {title}\n\n{grid(here[here['hits'].notna()], score)}"
                )
    once = table.drop_duplicates(["data", "method", "seed"])
    parts += [f"### {title}\n\n{grid(once, column)}" for column, title in COSTS.items()]
    return "\n\n".join(parts) + "\n\n" + troubles(rows)


def grid(table: pd.DataFrame, score: str) -> str:
    """Methods × data sets, median (range)."""
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
    """What has no result, and why: a line per method and reason."""
    runs: dict[tuple[str, str, str], list[str]] = {}
    for row in rows:
        if row["status"] != "ok":
            runs.setdefault((row["method"], row["status"], row["error"]), []).append(
                f"{row['data']} {row['seed']}"
            )
    lines = [
        f"{method} {status} ({error}): {', '.join(where)}"
        for (method, status, error), where in runs.items()
    ]
    return "\n".join(["without a result:", *lines]) if lines else "every run has a result"


def draw(rows: list[Row], file: Path) -> Path:
    """Heat maps, methods × data sets, of the median AUPRC (over its row) and AUROC (below) of each task."""
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
        here = table[table["task"] == task]
        for ax, score, low in ((above, "AUPRC", 0.0), (below, "AUROC", 0.5)):
            heat(ax, here, score, low, methods)
            ax.set_title(f"{TITLES[task]}: {score}", fontsize=10)
    figure.savefig(file, dpi=110)
    plt.close(figure)
    return file


def heat(ax: plt.Axes, table: pd.DataFrame, score: str, low: float, methods: list[str]) -> None:
    """Medians as colours and numbers; the best of a data set, the oracle left out, in bold; grey where a method has nothing to say or was left out. Every panel has the same rows."""
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
