"""Panels of a map: axes, cells, colour bar, scale bar and legend."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._errors import InvalidArgumentError
from ._mapped_quantity import Quantity
from ._shared import logger, points, settle

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Colour of cells that do not receive.
NO_RECEIVER = "#DDDDDD"
#: Outline of cells whose colour may be white.
OUTLINE = "#999999"
#: Colour maps of values that are signed and of those that are not.
DIVERGING, SEQUENTIAL = "RdBu_r", "viridis"
#: Longer side of a panel, in inches.
PANEL = 3.0
#: Share of the cells, from the most active, that take the last colour.
CLIPPED = 0.01
#: Longest title, in characters, that the colour bar takes in its usual type.
LONG_TITLE = 36


@dataclass(frozen=True)
class Panel:
    """One slice: (cells, 2) positions around its centre, and (cells,) values.

    Values are NaN in cells that do not receive.
    """

    title: str
    xy: NDArray[np.float64]
    value: NDArray[np.float64]


@dataclass(frozen=True)
class MapStyle:
    """What the user chose for a map; None leaves the choice to the figure."""

    spatial_key: str
    cmap: str | None
    size: float | None
    vmax: float | None


def panel_axes(
    ax: Axes | Sequence[Axes] | None, n: int, ncols: int | None, half: NDArray[np.float64]
) -> NDArray[Any]:
    """Return the n given axes, or n new ones in a grid, with the shape of a panel."""
    if ax is not None:
        given = np.ravel(np.array(ax, dtype=object))
        if len(given) != n:
            raise InvalidArgumentError(
                f"`ax` has {len(given)} axes, but there are {n} panels; give {n} axes or none."
            )
        return given
    import matplotlib.pyplot as plt

    nrows = math.ceil(n / (ncols or 4))
    ncols = math.ceil(n / nrows) if ncols is None else min(n, ncols)
    width, height = (max(PANEL * float(h) / float(max(half)), 1.0) for h in half)
    figsize = (ncols * width + 1.1, max(nrows * (height + 0.35) + 0.6, 2.75))
    figure, grid = plt.subplots(nrows, ncols, figsize=figsize, squeeze=False, layout="constrained")
    for empty in grid.ravel()[n:]:
        figure.delaxes(empty)
    return grid.ravel()[:n]


def draw_panels(
    axes: NDArray[Any],
    panels: list[Panel],
    half: NDArray[np.float64],
    mapped: Quantity,
    style: MapStyle,
) -> None:
    """Draw every panel on one colour scale, with a colour bar, a scale bar and a legend."""
    values = np.abs(np.concatenate([p.value[np.isfinite(p.value)] for p in panels]))
    norm, cmap = _colour_bar(axes, values, mapped, style)
    for ax, panel in zip(axes, panels, strict=True):
        _frame(ax, panel.title, half)
    _scale_bar(axes[0], half, style.spatial_key)
    if any(np.isnan(p.value).any() for p in panels):
        _grey_legend(axes[-1])
    settle(axes[0])
    area = style.size or _touching(axes[0], panels, half)
    for ax, panel in zip(axes, panels, strict=True):
        _draw_cells(ax, panel, area, norm, cmap)
    if not values.any():
        text = "not active in these cells" if len(values) else "no receivers among these cells"
        logger.warning("%s: %s.", mapped.name, text)
        centre: dict[str, Any] = {"transform": axes[0].transAxes, "ha": "center", "va": "center"}
        axes[0].text(0.5, 0.5, text, backgroundcolor="white", **centre)


def _colour_bar(
    axes: NDArray[Any], values: NDArray[np.float64], mapped: Quantity, style: MapStyle
) -> tuple[Any, str]:
    """Draw the colour bar for the sizes of the values; return the colour scale and map."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    largest = float(values.max(initial=0.0))
    quantile = float(np.quantile(values, 1 - CLIPPED)) if largest > 0 else 0.0
    top = style.vmax or quantile or largest or 1.0
    norm = Normalize(vmin=-top if mapped.signed else 0.0, vmax=top)
    cmap = style.cmap or (DIVERGING if mapped.signed else SEQUENTIAL)
    ends = "both" if mapped.signed else "max"
    bar = axes[0].figure.colorbar(
        ScalarMappable(norm=norm, cmap=cmap),
        ax=list(axes),
        extend=ends if largest > top else "neither",
    )
    title = f"{mapped.name}, {mapped.significance}"
    bar.set_label(f"{title}\n{mapped.unit}", fontsize=9 if len(title) < LONG_TITLE else 7)
    return norm, cmap


def _frame(ax: Axes, title: str, half: NDArray[np.float64]) -> None:
    """Give a panel its limits and title, without ticks and spines."""
    limits = {"xlim": (-half[0], half[0]), "ylim": (-half[1], half[1])}
    ax.set(aspect="equal", xticks=[], yticks=[], title=title, **limits)
    for spine in ax.spines.values():
        spine.set_visible(False)


def _grey_legend(ax: Axes) -> None:
    """Add a legend of the grey cells, below the panel on the right."""
    from matplotlib.lines import Line2D

    grey = Line2D([], [], linestyle="none", marker="o", color=NO_RECEIVER, label="not a receiver")
    spacing: dict[str, Any] = {"handletextpad": 0.1, "borderpad": 0.2}
    ax.legend(
        handles=[grey],
        loc="upper right",
        bbox_to_anchor=(1, 0),
        frameon=False,
        fontsize=8,
        **spacing,
    )


def _draw_cells(ax: Axes, panel: Panel, area: float, norm: Any, cmap: str) -> None:
    """Draw the receivers, the most active on top, over the other cells in grey."""
    grey = np.isnan(panel.value)
    style: dict[str, Any] = {"s": area, "linewidths": 0, "rasterized": True, "clip_on": False}
    x, y = panel.xy[grey].T
    ax.scatter(x, y, color=NO_RECEIVER, zorder=1, **style)
    if norm.vmin < 0:  # the middle of such colours is white
        style |= {"linewidths": 0.3, "edgecolors": OUTLINE}
    order = np.flatnonzero(~grey)
    order = order[np.argsort(np.abs(panel.value[order]), kind="stable")]
    x, y = panel.xy[order].T
    ax.scatter(x, y, c=panel.value[order], norm=norm, cmap=cmap, zorder=2, **style)


def _touching(ax: Axes, panels: list[Panel], half: NDArray[np.float64]) -> float:
    """Return the marker area at which most neighbouring cells touch."""
    from scipy.spatial import cKDTree

    gaps = [np.median(cKDTree(p.xy).query(p.xy, k=2)[0][:, 1]) for p in panels if len(p.xy) > 1]
    gap = float(np.median(gaps)) if gaps else 0.0
    width, height = points(ax)
    scale = min(width / (2 * half[0]), height / (2 * half[1]))
    return float(np.clip((1.2 * gap * scale) ** 2, 1.0, 150.0))


def _scale_bar(ax: Axes, half: NDArray[np.float64], spatial_key: str) -> None:
    """Draw a bar of a round length below the panel, labelled in units of the coordinates."""
    from matplotlib.font_manager import FontProperties
    from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

    longest = 0.6 * float(half[0])
    unit = 10.0 ** math.floor(math.log10(longest))
    length = max(step for step in (1, 2, 5) if step * unit <= longest) * unit
    bar = AnchoredSizeBar(
        ax.transData,
        length,
        f"{length:g} units of {spatial_key!r}",
        "upper left",
        pad=0.2,
        sep=3,
        frameon=False,
        size_vertical=0.01 * float(half.max()),
        bbox_to_anchor=(0, 0),
        bbox_transform=ax.transAxes,
        fontproperties=FontProperties(size=8),
    )
    ax.add_artist(bar)
