"""Figure of all rows: AUPRC of TF edges, worlds in lines, one mark per method."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from benchmarks.worlds.methods import METHODS
from benchmarks.worlds.report import Row, frame
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

#: Columns of the figure; in each, kinds of worlds from top to bottom.
COLUMNS = (
    {
        "SERGIO": (
            *("sergio_ds4", "sergio_ds4_clean"),
            *("sergio_like", "sergio_like_poisson", "sergio_like_clean"),
            *("sergio_differentiation", "sergio_differentiation_clean"),
        ),
        "Boolean networks": ("beeline_gsd", "beeline_gsd_1type", "boolean", "boolean_clean"),
    },
    {
        "Mechanistic agents": ("agents", "agents_deep"),
        "Simulation of the authors of SpaTRACE": (
            *("reference_log1p", "reference_cp10k", "reference_poisson"),
            *("reference_b65", "reference_b84"),
        ),
        "Real tissues (the truth is weak)": ("embryo_somite", "embryo_blood", "heart"),
    },
)
#: Method → name, colour of Okabe and Ito's palette, marker and its size.
STYLES: dict[str, tuple[str, str, str, float]] = {
    "ours": ("st.tl.infer_ccc", "#000000", "o", 8.0),
    "pearson": ("Pearson", "#0072B2", "^", 5.0),
    "spearman": ("Spearman", "#56B4E9", "v", 5.0),
    "within": ("Pearson within cell types", "#009E73", "s", 4.5),
    "ridge": ("ridge regression", "#CC79A7", "D", 4.5),
    "trees": ("extra trees (GENIE3)", "#E69F00", "P", 5.5),
}
RANDOM = "random ranking"
#: Heights of a world and of a heading, and the part of a world's height that the marks span.
WORLD, HEADING, SPAN = 1.0, 0.9, 0.66


def draw(rows: list[Row], file: Path) -> Figure:
    """Write the figure of median and range over seeds, and return it."""
    table = frame(rows)
    table = table[table["task"] == "tf_targets"]
    auprc = table[table["measure"] == "AUPRC"].dropna(subset="value")
    base = table[table["measure"] == "base"].groupby("world", observed=True)["value"].median()
    methods = [m for m in METHODS if m in set(auprc["method"])]
    figure, axes = plt.subplots(1, len(COLUMNS), figsize=(11.5, 7.8), layout="constrained")
    for ax, kinds in zip(axes, COLUMNS, strict=True):
        _draw_column(ax, kinds, auprc, base, methods)
    lowest = min(ax.get_ylim()[0] for ax in axes)
    for ax in axes:
        ax.set_ylim(lowest, 0)
    figure.suptitle(
        "TF → target edges: which method ranks true edges first?\n"
        f"mark: median of {auprc['seed'].nunique()} seeds, line: range",
        fontsize=12,
    )
    figure.legend(
        handles=_handles(methods),
        loc="outside lower center",
        ncols=4,
        frameon=False,
        fontsize=11,
    )
    figure.savefig(file, dpi=120)
    plt.close(figure)
    return figure


def _draw_column(
    ax: Axes,
    kinds: dict[str, tuple[str, ...]],
    auprc: pd.DataFrame,
    base: pd.Series,
    methods: list[str],
) -> None:
    """Draw the kinds of worlds of one column; worlds without rows are left out."""
    y, ticks = 0.0, {}
    for kind, worlds in kinds.items():
        present = [w for w in worlds if w in base.index]
        if not present:
            continue
        y -= HEADING
        ax.text(0, y + 0.15, kind, fontsize=11, fontweight="bold", va="bottom")
        for world in present:
            y -= WORLD
            ticks[world] = y + WORLD / 2
            ax.axhline(y + WORLD, color="#dddddd", lw=0.8, zorder=0)
            _draw_world(ax, ticks[world], auprc[auprc["world"] == world], base[world], methods)
        ax.axhline(y, color="#dddddd", lw=0.8, zorder=0)
    ax.set_yticks(list(ticks.values()), list(ticks), fontsize=10.5)
    ax.set_ylim(y - 0.1, 0)
    ax.set_xlim(0, 1.02)
    ax.set_xticks(np.arange(0, 1.1, 0.2))
    ax.tick_params(axis="y", length=0)
    ax.tick_params(axis="x", labelsize=10.5)
    ax.grid(axis="x", color="#eeeeee", zorder=0)
    ax.set_axisbelow(True)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.set_xlabel("AUPRC (1: all true edges come first)", fontsize=11)


def _draw_world(ax: Axes, y: float, table: pd.DataFrame, base: float, methods: list[str]) -> None:
    """Draw the base rate as a bar, then each method's median and range on a line of its own."""
    ax.barh(y, base, height=WORLD, color="#d9d9d9", zorder=1)
    lines = np.linspace(SPAN / 2, -SPAN / 2, len(methods)) if len(methods) > 1 else [0.0]
    for method, shift in zip(methods, lines, strict=True):
        values = table.loc[table["method"] == method, "value"]
        if not len(values):
            continue
        _, colour, marker, size = STYLES[method]
        ax.hlines(y + shift, values.min(), values.max(), color=colour, lw=1.6, zorder=2)
        ax.plot(
            values.median(),
            y + shift,
            marker=marker,
            ms=size,
            color=colour,
            mec="white",
            mew=0.6,
            zorder=4 if method == "ours" else 3,
            clip_on=False,
            gid=f"{table['world'].iloc[0]}:{method}",
        )


def _handles(methods: list[str]) -> list[Any]:
    """Return the legend: a mark for each method, and the bar of a random ranking."""
    marks = [
        Line2D([], [], ls="-", lw=1.6, color=colour, marker=marker, ms=size + 1, label=name)
        for name, colour, marker, size in (STYLES[m] for m in methods)
    ]
    return [*marks, Patch(color="#d9d9d9", label=RANDOM)]
