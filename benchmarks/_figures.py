"""Maps of tissues; every other figure of the benchmarks comes from :mod:`spatrace_sc.pl`."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure

#: Folder of the figures, ignored by git.
RESULTS = Path(__file__).resolve().parent / "road" / "results"


def save(figure: Figure, name: str) -> Path:
    """Write ``road/results/<name>.png``."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.png"
    figure.savefig(path, dpi=110, bbox_inches="tight")
    plt.close(figure)
    return path


def tissue_maps(adata: AnnData, sample_key: str, region_key: str, time_key: str) -> Figure:
    """Draw regions (first row) and pseudotime (second row) of every section."""
    sections, regions = list(adata.obs[sample_key].cat.categories), adata.obs[region_key].cat
    figure, axes = plt.subplots(
        2, len(sections), figsize=(1.7 * len(sections) + 1.5, 4.8), layout="constrained"
    )
    time = adata.obs[time_key].to_numpy(dtype=float)
    colours = np.array([plt.get_cmap("tab10")(k) for k in range(len(regions.categories))])
    for (above, below), section in zip(axes.T, sections, strict=True):
        in_section = (adata.obs[sample_key] == section).to_numpy()
        draw_spots(above, adata.obsm["spatial"][in_section], colours[regions.codes[in_section]])
        dots = draw_spots(
            below, adata.obsm["spatial"][in_section], time[in_section], vmin=0, vmax=np.nanmax(time)
        )
        above.set_title(section, fontsize=8)
    figure.colorbar(dots, ax=axes[1], shrink=0.8, pad=0.01)
    axes[0, 0].set_ylabel("region", fontsize=9)
    axes[1, 0].set_ylabel("pseudotime", fontsize=9)
    named = zip(colours, regions.categories, strict=True)
    marks = [
        plt.Line2D([], [], marker="o", ls="", color=colour, label=name) for colour, name in named
    ]
    figure.legend(handles=marks, loc="outside lower center", ncols=5, fontsize=8)
    return figure


def draw_spots(ax: Axes, xy: np.ndarray, values: np.ndarray, **limits: float) -> PathCollection:
    """Draw the spots of one section, oriented as in :func:`spatrace_sc.pl.spatial`."""
    dots = ax.scatter(xy[:, 0], xy[:, 1], c=values, s=9, linewidths=0, **limits)
    ax.set(aspect="equal", xticks=[], yticks=[])
    ax.yaxis.set_inverted(True)
    return dots
