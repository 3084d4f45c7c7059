"""Panels of a map of three coordinates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .axes import points, settle
from .fitted_text import shortened
from .map_panels import (
    IN_A_ROW,
    MARGIN,
    MARGIN_RIGHT,
    NO_RECEIVER,
    OUTLINE,
    SMALLEST_RECEIVER,
    MapStyle,
    Panel,
    colour_bar,
    given_axes,
    grey_legend,
    median_gap,
)
from .mapped_quantity import Quantity

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Side of a panel in inches, and largest width of all panels in a row.
SIDE, ROW = 3.4, 9.0
#: Angles from which the tissue is seen, in degrees.
ELEVATION, AZIMUTH = 25.0, -60.0
#: Share of the axes that the box around the tissue fills, seen from these angles.
FILLED = 0.55
#: Opacity of cells that do not receive, so that they do not hide receivers behind them.
FAINT = 0.4
#: Ticks of each axis, at most.
N_TICKS = 3
#: Size of the tissue relative to its panel, so that the labels of the axes fit.
ZOOM = 0.88
#: Colour of the lines behind the tissue.
GRID = "#DDDDDD"


def axes_3d(ax: Axes | Sequence[Axes] | None, n: int, ncols: int | None) -> NDArray[Any]:
    """Return the n given three-dimensional axes, or n new ones in a grid."""
    if ax is not None:
        return given_axes(ax, n, dimensions=3)
    import matplotlib.pyplot as plt

    ncols = min(n, ncols or IN_A_ROW)
    nrows = math.ceil(n / ncols)
    side = min(SIDE, ROW / ncols)
    with plt.rc_context({"grid.color": GRID, "grid.linewidth": 0.5}):
        figure, grid = plt.subplots(
            *(nrows, ncols),
            figsize=(ncols * side + MARGIN_RIGHT, nrows * (side + 0.2) + 0.4),
            squeeze=False,
            layout="constrained",
            subplot_kw={"projection": "3d"},
        )
    for empty in grid.ravel()[n:]:
        figure.delaxes(empty)
    return np.asarray(grid.ravel()[:n])


def draw_panels_3d(
    axes: NDArray[Any], panels: list[Panel], mapped: Quantity, style: MapStyle, *, titled: bool
) -> None:
    """Draw every panel on one colour scale and one scale of the three coordinates.

    The axes show lengths from the centre of the slice, in µm if the style has a scale. ``titled``
    is as in :func:`colour_bar`.
    """
    half = MARGIN * np.max([np.abs(panel.xy).max(axis=0) for panel in panels], axis=0)
    half = np.maximum(half, 0.02 * max(float(half.max()), 1e-9))
    values = np.abs(np.concatenate([p.value[np.isfinite(p.value)] for p in panels]))
    for ax in axes:
        _frame(ax, half, style)
    norm, cmap = colour_bar(axes, values, mapped, style, titled=titled)
    for ax, panel in zip(axes, panels, strict=True):
        ax.set_title(*shortened(panel.title, points(ax)[0]))
    if any(np.isnan(p.value).any() for p in panels):
        grey_legend(axes, mapped.missing)
    settle(axes[0])
    area = style.size or _area(axes[0], panels, half)
    for ax, panel in zip(axes, panels, strict=True):
        grey = np.isnan(panel.value)
        common: dict[str, Any] = {"depthshade": False, "rasterized": True}
        ax.scatter(
            *panel.xy[grey].T,
            zorder=1,
            s=area,
            color=NO_RECEIVER,
            alpha=FAINT,
            linewidths=0,
            **common,
        )
        common |= {"s": max(area, SMALLEST_RECEIVER), "c": panel.value[~grey]}
        outline = {"edgecolors": OUTLINE, "linewidths": 0.2 if mapped.signed else 0.0}
        ax.scatter(*panel.xy[~grey].T, zorder=2, norm=norm, cmap=cmap, **outline, **common)


def _frame(ax: Any, half: NDArray[np.float64], style: MapStyle) -> None:
    """Set limits, shape, view and labels of three-dimensional axes."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    scale = style.scale_bar or 1.0
    unit = "µm" if style.scale_bar is not None else f"units of {style.spatial_key!r}"
    ax.computed_zorder = False  # receivers are drawn over the other cells
    ax.set_proj_type("ortho")
    ax.view_init(ELEVATION, AZIMUTH)
    ax.set_box_aspect(half / half.max(), zoom=ZOOM)
    for name, length in zip("xyz", half, strict=True):
        down = name == "y" and style.invert_y
        getattr(ax, f"set_{name}lim")((length, -length) if down else (-length, length))
        axis = getattr(ax, f"{name}axis")
        axis.set_major_locator(MaxNLocator(N_TICKS))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value * scale:g}"))
        axis.set_tick_params(labelsize=7, pad=-2)
        axis.set_pane_color((1.0, 1.0, 1.0, 0.0))
    ax.set_xlabel(f"x ({unit})", fontsize=8, labelpad=-6)
    ax.set_ylabel("y", fontsize=8, labelpad=-6)
    ax.set_zlabel("z", fontsize=8, labelpad=-6)


def _area(ax: Axes, panels: list[Panel], half: NDArray[np.float64]) -> float:
    """Return the marker area at which neighbouring cells nearly touch."""
    gap = median_gap([panel.xy for panel in panels])
    scale = FILLED * min(points(ax)) / (2.0 * float(half.max()))
    return float(np.clip((gap * scale) ** 2, 1.0, 60.0))
