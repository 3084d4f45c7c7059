"""Figure of known regulation: AUROC by tissue, and where known TFs rank among those of a target."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from benchmarks.worlds.figure import STYLES
from benchmarks.worlds.known_report import NAMES
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

Row = dict[str, Any]
GRID = "#dddddd"


def draw(rows: list[Row], file: Path) -> Figure:
    """Write the figure and return it."""
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(11.5, 10.5), layout="constrained", width_ratios=(1, 1.3)
    )
    draw_scores(left, rows)
    draw_edges(right, rows)
    figure.suptitle("Regulation that is known in a mouse embryo and a human heart", fontsize=13)
    marks = [handle(m) for m in NAMES]
    filled = Line2D([], [], ls="", marker="o", ms=13, mfc="none", mec="#D55E00", label="q ≤ .1")
    chance = Patch(color="#d9d9d9", label="random ranking ± 2 sd")
    figure.legend(
        handles=[*marks, filled, chance], loc="outside lower center", ncols=6, frameon=False
    )
    figure.savefig(file, dpi=110)
    plt.close(figure)
    return figure


def handle(method: str) -> Line2D:
    """Return the mark of a method for the legend."""
    name, colour, marker, size = STYLES[method]
    return Line2D([], [], ls="", color=colour, marker=marker, ms=size + 1, label=name)


def mark(ax: Axes, x: float, y: float, method: str, gid: str) -> None:
    """Draw the mark of a method; that of the package is on top."""
    _, colour, marker, size = STYLES[method]
    top = 5 if method == "ours" else 4
    ax.plot(x, y, marker=marker, ms=size, color=colour, mec="white", mew=0.6, zorder=top, gid=gid)


def draw_scores(ax: Axes, rows: list[Row]) -> None:
    """Draw the AUROC of TF edges and of pairs, with two standard deviations of chance."""
    y, labels = 0.0, {}
    for task, title in (("tf_targets", "TF edges"), ("lr_pairs", "L–R pairs")):
        y -= 1.0
        ax.text(0.3, y, title, fontweight="bold", va="center")
        for row in rows:
            y -= 1.0
            labels[y] = row["tissue"]
            scores = row["scores"][task]
            width = 2 * scores["ours"]["chance"]
            ax.barh(y, 2 * width, left=0.5 - width, height=0.8, color="#d9d9d9", zorder=1)
            for shift, method in zip(np.linspace(0.27, -0.27, len(NAMES)), NAMES, strict=True):
                gid = f"{task}:{row['tissue']}:{method}"
                mark(ax, scores[method]["AUROC"], y + shift, method, gid)
    ax.set_yticks(list(labels), list(labels.values()))
    ax.axvline(0.5, color="#999999", lw=0.8, zorder=2)
    ax.set(xlabel="AUROC against DoRothEA A–C and liana's consensus", ylim=(y - 0.6, -0.4))
    low, high = ax.get_xlim()
    ax.set_xlim(min(low, 0.3), max(high, 0.8))
    tidy(ax)


def draw_edges(ax: Axes, rows: list[Row]) -> None:
    """Draw the rank of each known TF among the TFs of its target."""
    known = [
        (row["tissue"], edge)
        for row in rows
        for edge in row["edges"]
        if "candidates_of_target" in edge
    ]
    shifts = dict(zip(NAMES, np.linspace(0.3, -0.3, len(NAMES)), strict=True))
    for k, (name, edge) in enumerate(known):
        ax.axhline(-k - 0.5, color=GRID, lw=0.6, zorder=0)
        for method, rank in edge["ranks_of_target"].items():
            if rank is None:
                continue
            gid = f"edge:{name}:{edge['tf']}:{edge['target']}:{method}"
            mark(ax, rank, -k + shifts[method], method, gid)
            if method == "ours" and edge["q_value"] <= 0.1:
                ax.plot(rank, -k + shifts[method], "o", ms=14, mfc="none", mec="#D55E00", mew=1.6)
    labels = [
        f"{name}: {e['tf']} {'→' if e['sign'] > 0 else '⊣'} {e['target']}" for name, e in known
    ]
    last = max((edge["candidates_of_target"] for _, edge in known), default=1)
    ax.set_yticks(-np.arange(len(known)), labels)
    ax.set_xscale("log")
    ticks = [t for t in (1, 2, 5, 10, 20, 40, 80) if t <= last]
    ax.set_xticks(ticks, [str(t) for t in ticks])
    ax.minorticks_off()
    ax.axvline(last / 2, color="#999999", lw=0.8, zorder=2)
    ax.set(
        xlabel=f"rank among the {last} TFs of the target (line: half of them)",
        xlim=(0.9, 1.1 * last),
    )
    ax.set_ylim(-len(known) + 0.4, 0.6)
    tidy(ax)
    ax.grid(axis="y", visible=False)


def tidy(ax: Axes) -> None:
    """Remove the frame and draw light lines for reading values."""
    ax.grid(axis="both", color="#eeeeee", zorder=0)
    ax.set_axisbelow(True)
    ax.tick_params(axis="y", length=0)
    ax.spines[["top", "right", "left"]].set_visible(False)
