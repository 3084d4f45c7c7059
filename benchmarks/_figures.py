"""Figures of the benchmarks; those the package draws come from ``spatrace_sc.pl``."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import spatrace_sc as st

RESULTS = Path(__file__).resolve().parent / "road" / "results"


def save(figure: Figure, name: str) -> Path:
    """Write ``road/results/<name>.png``."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.png"
    figure.savefig(path, dpi=110, bbox_inches="tight")
    plt.close(figure)
    return path


def grid(n_rows: int, n_cols: int) -> tuple[Figure, np.ndarray]:
    """Axes for maps, rows × columns."""
    return plt.subplots(
        n_rows, n_cols, figsize=(1.7 * n_cols + 1.5, 1.9 * n_rows + 0.4), squeeze=False, layout="constrained"
    )


def activity_maps(adata: AnnData, sample_key: str, n_pairs: int = 3) -> Figure:
    """The strongest pairs (rows) in every section (columns); one colour scale a pair, cut at the 99th percentile."""
    activity = st.get.activity(adata)
    sections = list(adata.obs[sample_key].cat.categories)
    figure, axes = grid(n_pairs, len(sections))
    for row, pair in zip(axes, activity.var_names[:n_pairs], strict=True):
        values = np.asarray(activity[:, pair].X).ravel()
        top = float(np.nanquantile(values, 0.99))
        for ax, section in zip(row, sections, strict=True):
            here = (adata.obs[sample_key] == section).to_numpy()
            dots = spots(ax, adata.obsm["spatial"][here], values[here], vmin=0, vmax=top)
        figure.colorbar(dots, ax=row, shrink=0.8, pad=0.01)
        row[0].set_ylabel(pair, fontsize=9)
    for ax, section in zip(axes[0], sections, strict=True):
        ax.set_title(section, fontsize=8)
    return figure


def tissue_maps(adata: AnnData, sample_key: str, region_key: str, time_key: str) -> Figure:
    """Regions (first row) and pseudotime (second row) of every section."""
    sections, regions = list(adata.obs[sample_key].cat.categories), adata.obs[region_key].cat
    figure, axes = grid(2, len(sections))
    time = adata.obs[time_key].to_numpy(dtype=float)
    colours = np.array([plt.get_cmap("tab10")(k) for k in range(len(regions.categories))])
    for column, section in zip(axes.T, sections, strict=True):
        here = (adata.obs[sample_key] == section).to_numpy()
        spots(column[0], adata.obsm["spatial"][here], colours[regions.codes[here]])
        dots = spots(column[1], adata.obsm["spatial"][here], time[here], vmin=0, vmax=np.nanmax(time))
        column[0].set_title(section, fontsize=8)
    figure.colorbar(dots, ax=axes[1], shrink=0.8, pad=0.01)
    axes[0, 0].set_ylabel("region", fontsize=9)
    axes[1, 0].set_ylabel("pseudotime", fontsize=9)
    marks = [
        plt.Line2D([], [], marker="o", ls="", color=c, label=n)
        for c, n in zip(colours, regions.categories, strict=True)
    ]
    figure.legend(handles=marks, loc="outside lower center", ncols=5, fontsize=8)
    return figure


def spots(ax: Axes, xy: np.ndarray, values: np.ndarray, **limits: float) -> matplotlib.collections.PathCollection:
    """Spots of one section as an image shows them: y downwards, equal scale."""
    dots = ax.scatter(xy[:, 0], xy[:, 1], c=values, s=9, linewidths=0, **limits)
    ax.set_aspect("equal")
    ax.invert_yaxis()
    ax.set_xticks([])
    ax.set_yticks([])
    return dots


def top_edge_bars(tables: dict[str, pd.DataFrame], n: int = 15) -> Figure:
    """The strongest edges of every table, signed where they have a sign."""
    figure, axes = plt.subplots(1, len(tables), figsize=(5 * len(tables), 0.28 * n + 1), layout="constrained")
    for ax, (name, table) in zip(axes, tables.items(), strict=True):
        top = table.head(n).iloc[::-1]
        keys = [c for c in ("tf", "ligand", "receptor", "target") if c in top]
        label = [edge_name(keys, row) for row in top[keys].astype(str).to_numpy()]
        value = top["effect" if "effect" in top else "score"].to_numpy(dtype=float)
        ax.barh(label, value, color=np.where(value < 0, "tab:blue", "tab:red"))
        ax.set_title(name)
        ax.set_xlabel("effect, sd of the target" if "effect" in top else "score")
    return figure


def edge_name(keys: list[str], genes: np.ndarray) -> str:
    """``TF → target``, ``ligand^receptor`` or ``ligand^receptor → target``."""
    named = dict(zip(keys, genes, strict=True))
    source = named["tf"] if "tf" in named else f"{named['ligand']}^{named['receptor']}"
    return f"{source} → {named['target']}" if "target" in named else source
