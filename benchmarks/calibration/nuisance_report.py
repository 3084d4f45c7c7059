"""Table and figure of the nuisance suite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from benchmarks.calibration.report import TITLES

#: Nominal q, and the share of false edges that is aimed at.
LEVEL, AIM = "0.1", 0.12
Row = dict[str, Any]


def nuisance_frame(rows: list[Row]) -> pd.DataFrame:
    """Return calls, false share and power at q ≤ 0.1 for every run and task.

    Indirect edges of TFs and pairs count as true. ``null`` says that no ligand acts.
    """
    lines = []
    for row in rows:
        name = row["data"].removesuffix(", null")
        for task, title in TITLES.items():
            scores = row["ours"][task]
            lines.append(
                {
                    "nuisance": name,
                    "null": name != row["data"],
                    "task": title,
                    "calls": scores["found"][LEVEL],
                    "false": scores["false_any"][LEVEL],
                    "power": scores["power"][LEVEL],
                }
            )
    return pd.DataFrame(lines).astype({"power": float})


def nuisance_table(rows: list[Row], names: list[str]) -> str:
    """Return one Markdown line per nuisance: mean false share · mean power of every task.

    The last column is the share of the runs without acting ligands in which a pair or one of its
    edges is called, and the mean false share of their TF edges.
    """
    frame = nuisance_frame(rows)
    lines = [
        "| nuisance | runs | TF→TG: false · power | LR→TG: false · power | L–R: false · power "
        "| no ligand acts: runs with LR calls · TF→TG false |",
        "|---|---|---|---|---|---|",
    ]
    for name in names:
        part = frame[frame["nuisance"] == name]
        if not len(part):
            continue
        acting, null = part[~part["null"]], part[part["null"]]
        cells = []
        for title in TITLES.values():
            task = acting[acting["task"] == title]
            called = _mean(task["false"].where(task["calls"] > 0, 0.0))
            cells.append(f"{called} · {_mean(task['power'])}")
        pairs = null[null["task"] != TITLES["tf_targets"]]
        any_call = pairs["calls"].to_numpy().reshape(-1, 2).any(axis=1) if len(pairs) else []
        tf = null[null["task"] == TITLES["tf_targets"]]
        cells.append(f"{int(np.sum(any_call))} of {len(any_call)} · {_mean(tf['false'])}")
        n = len(acting) // len(TITLES)
        lines.append(f"| {name} | {n} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def draw_nuisances(rows: list[Row], names: list[str], file: Path) -> Path:
    """Draw the false share of every run, its mean and the power, a row per nuisance."""
    frame = nuisance_frame(rows)
    names = [name for name in names if (frame["nuisance"] == name).any()]
    figure, axes = plt.subplots(
        1, 3, figsize=(10, 1.2 + 0.28 * len(names)), sharey=True, layout="constrained"
    )
    for ax, title in zip(axes, TITLES.values(), strict=True):
        for height, name in enumerate(names):
            part = frame[(frame["nuisance"] == name) & (frame["task"] == title) & ~frame["null"]]
            false = part["false"].where(part["calls"] > 0, 0.0)
            ax.plot(false, np.full(len(false), height), "o", ms=3, color="0.7")
            ax.plot(false.mean(), height, "o", ms=7, color="black")
            ax.plot(part["power"].mean(), height, "D", ms=6, mfc="none", mec="tab:blue")
        ax.axvline(AIM, color="tab:red", lw=1)
        ax.set(title=title, xlim=(-0.03, 1.03), xlabel="share")
    axes[0].set_yticks(range(len(names)), names)
    axes[0].invert_yaxis()
    handles = [
        plt.Line2D([], [], ls="none", marker="o", color="black", label="false among q ≤ 0.1, mean"),
        plt.Line2D([], [], ls="none", marker="o", ms=3, color="0.7", label="one run"),
        plt.Line2D([], [], ls="none", marker="D", mfc="none", color="tab:blue", label="power"),
        plt.Line2D([], [], color="tab:red", label=f"aim: at most {AIM:g} false"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(file, dpi=120)
    plt.close(figure)
    return file


def _mean(values: pd.Series) -> str:
    """Return the mean with two decimals, "–" where there is none."""
    return f"{values.mean():.2f}" if values.notna().any() else "–"
