"""Tables and a figure of all rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from benchmarks.calibration.measure import P_LEVELS, Q_LEVELS
from benchmarks.calibration.tissues import TISSUES
from matplotlib.axes import Axes

TITLES = {"tf_targets": "TF→TG", "lr_targets": "LR→TG", "lr_pairs": "L–R"}
Row = dict[str, Any]


def read_rows(file: Path) -> list[Row]:
    """Return the rows of a file, the last one of each run."""
    lines = file.read_text().splitlines() if file.exists() else []
    return list({(r["data"], r["seed"]): r for r in map(json.loads, lines)}.values())


def frame(rows: list[Row]) -> pd.DataFrame:
    """Return a line per data set, seed, method, task and nominal q."""
    lines = []
    for row in rows:
        for method in ("ours", "naive permutation"):
            for task, scores in row[method].items():
                for level in Q_LEVELS:
                    values = {
                        k: scores[k][str(level)] for k in ("found", "false", "false_any", "power")
                    }
                    line = {
                        "data": row["data"],
                        "seed": row["seed"],
                        "method": method,
                        "task": TITLES[task],
                    }
                    lines.append(line | {"q": level} | values)
    table = pd.DataFrame(lines).astype({"power": float, "found": float})
    table["data"] = pd.Categorical(
        table["data"], [d for d in TISSUES if d in set(table["data"])], ordered=True
    )
    table["task"] = pd.Categorical(table["task"], list(TITLES.values()), ordered=True)
    return table


def null_shares(rows: list[Row]) -> pd.DataFrame:
    """Return the share of null edges with p at or below each level, per run, method and task."""
    return pd.DataFrame(
        {
            "data": row["data"],
            "method": method,
            "task": TITLES[task],
            "p": level,
            "share": scores["null_p"][str(level)],
        }
        for row in rows
        for method in ("ours", "naive permutation")
        for task, scores in row[method].items()
        for level in P_LEVELS
    )


def printed(rows: list[Row]) -> str:
    """Return a summary at q ≤ 0.1, the shares of null p, and counts of routes and groups."""
    table = frame(rows)
    at = table[table["q"] == 0.1]
    groups = at.groupby(["method", "task", "data"], observed=True)
    summary = pd.DataFrame(
        {
            "runs": groups.size(),
            "found": groups["found"].median(),
            "false": groups["false"].mean(),
            "se": groups["false"].sem(),
            "false, indirect true": groups["false_any"].mean(),
            "power": groups["power"].mean(),
            "runs with any": groups["found"].agg(lambda n: (n > 0).mean()),
        }
    )
    shares = null_shares(rows).groupby(["method", "task", "data", "p"])["share"].mean().unstack()
    extra = []
    for data in summary.index.get_level_values("data").unique():
        results = [r["ours"] for r in rows if r["data"] == data]
        direct = np.sum([o["lr_targets"]["called_direct"] for o in results], axis=0)
        mediated = np.sum([o["lr_targets"]["called_mediated"] for o in results], axis=0)
        tf, lr = (
            np.sum([[o[t]["grouped_true"], o[t]["grouped"]] for o in results], axis=0)
            for t in ("tf_targets", "lr_targets")
        )
        cpu = np.median([r["cpu"] for r in rows if r["data"] == data])
        extra.append(
            f"{data}: of the 100 strongest, called direct {direct[2]}: {direct[0]} direct, "
            f"{direct[1] - direct[0]} indirect; called mediated {mediated[2]}: {mediated[0]} "
            f"indirect, {mediated[1] - mediated[0]} direct; significant edges in a group: "
            f"TF {tf[1]} ({tf[0]} true), LR {lr[1]} ({lr[0]} true); median CPU {cpu:.0f} s"
        )
    with pd.option_context("display.width", 200):
        return (
            "Discoveries at q <= 0.1\n"
            + summary.to_string(float_format="%.3f", na_rep="")
            + "\n\nShare of null edges with p at or below\n"
            + shares.to_string(float_format="%.3f")
            + "\n\n"
            + "\n".join(extra)
        )


def draw(rows: list[Row], file: Path) -> Path:
    """Draw false discovery proportion against nominal q for each task, null p, power and calls."""
    table = frame(rows)
    figure, axes = plt.subplots(2, 3, figsize=(11, 7), layout="constrained")
    data = list(table["data"].cat.categories)
    colours = plt.get_cmap("Dark2" if len(data) <= 8 else "tab10").colors
    colour = dict(zip(data, colours[: len(data)], strict=True))
    for ax, task in zip(axes[0], TITLES.values(), strict=True):
        _false(ax, table[(table["task"] == task) & (table["method"] == "ours")], colour, task)
    naive = table[
        (table["method"] == "naive permutation")
        & (table["data"] == ("medium" if "medium" in data else data[0]))
    ]
    means = naive.groupby("q")["false_any"].mean()
    axes[0, 1].plot(means.index, means, color="0.4", ls=":", marker="x")
    axes[0, 1].annotate(
        "naive permutation, " + str(naive["data"].iloc[0]),
        (0.3, 0.9),
        ha="right",
        color="0.4",
        fontsize=9,
    )
    _null_p(axes[1, 0], null_shares(rows), colour)
    _bars(axes[1, 1], table, colour, "power", "power at q ≤ 0.1")
    _bars(axes[1, 2], table, colour, "any", "runs with a discovery at q ≤ 0.1")
    marks = [plt.Line2D([], [], marker="o", ms=5, color=colour[name], label=name) for name in data]
    figure.legend(handles=marks, loc="outside lower center", ncols=len(data), frameon=False)
    figure.savefig(file, dpi=120)
    plt.close(figure)
    return file


def _false(ax: Axes, table: pd.DataFrame, colour: dict[str, Any], title: str) -> None:
    for data, part in table.groupby("data", observed=True):
        groups = part.groupby("q")["false_any"]
        mean, error = groups.mean(), groups.sem().fillna(0.0)
        ax.errorbar(mean.index, mean, error, marker="o", ms=4, color=colour[data], capsize=2)
    ax.plot([0, 0.3], [0, 0.3], color="0.7", lw=1, zorder=0)
    ax.set(title=title, xlabel="nominal q", ylim=(-0.02, 1.02), xlim=(0, 0.31))
    ax.set_ylabel("mean share of false discoveries\n(indirect edges count as true)")


def _null_p(ax: Axes, shares: pd.DataFrame, colour: dict[str, Any]) -> None:
    part = shares[(shares["method"] == "ours") & (shares["task"] == "LR→TG")]
    for data, lines in part.groupby("data"):
        mean = lines.groupby("p")["share"].mean()
        ax.plot(mean.index, mean, marker="o", ms=4, color=colour[data], label=data)
    ax.plot([0, 1], [0, 1], color="0.7", lw=1, zorder=0)
    ax.set(
        title="p of LR→TG edges that do not exist",
        xlabel="p",
        ylabel="share at or below",
        xlim=(0, 1),
        ylim=(0, 1),
    )


def _bars(ax: Axes, table: pd.DataFrame, colour: dict[str, Any], column: str, title: str) -> None:
    at = table[(table["q"] == 0.1) & (table["method"] == "ours")].assign(
        any=lambda t: (t["found"] > 0).astype(float)
    )
    means = at.groupby(["task", "data"], observed=True)[column].mean().unstack()
    width = 0.8 / len(means.columns)
    for k, data in enumerate(means.columns):
        ax.bar(
            np.arange(len(means)) + (k - (len(means.columns) - 1) / 2) * width,
            means[data].fillna(0),
            width,
            color=colour[data],
        )
    ax.set(title=title, xticks=range(len(means)), xticklabels=means.index, ylim=(0, 1))
