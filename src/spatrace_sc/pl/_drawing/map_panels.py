"""Panels of a map: axes, cells, colour bar, scale bar and legend."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..._errors import InvalidArgumentError
from .axes import logger, points, settle
from .fitted_text import LABEL, shortened, wrapped
from .mapped_quantity import Quantity
from .scale_bar import scale_bar

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

#: Colour of cells that do not receive.
NO_RECEIVER = "#DDDDDD"
#: Outline of cells whose colour may be white.
OUTLINE = "#999999"
#: Colour maps of values that are signed and of those that are not.
DIVERGING, SEQUENTIAL = "RdBu_r", "viridis"
#: Longest side of a panel, and width of the widest figure, that of a journal page, in inches.
PANEL, PAGE = 3.0, 7.1
#: Room for a colour bar and its label, in inches.
MARGIN_RIGHT = 1.1
#: Panels in a row, at most, and the number of panels above which there may be one more.
IN_A_ROW, MANY_PANELS = 4, 8
#: Empty margin around the widest slice, and the smallest ratio of the sides of a panel.
MARGIN, MIN_RATIO = 1.04, 0.02
#: Smallest area of a receiver, in points².
SMALLEST_RECEIVER = 2.5
#: Width of an outline in points, and at most as a share of the diameter of a cell.
OUTLINE_WIDTH, OUTLINE_SHARE = 0.3, 0.06
#: Share of the cells, from the most active, that take the last colour.
CLIPPED = 0.01
#: Width of a panel, in points, below which scale bar and legend do not fit side by side.
NARROW = 215.0


@dataclass(frozen=True)
class Panel:
    """One slice: (cells, 2 or 3) positions around its centre, and (cells,) values.

    Values are NaN in cells that do not receive.
    """

    title: str
    xy: NDArray[np.float64]
    value: NDArray[np.float64]


@dataclass(frozen=True)
class MapStyle:
    """What the user chose for a map; None leaves the choice to the figure.

    ``scale_bar`` is the number of µm per unit of the coordinates, None where it is unknown.
    """

    spatial_key: str
    cmap: str | Colormap | None = None
    size: float | None = None
    vmax: float | None = None
    invert_y: bool = True
    scale_bar: float | None = None


def centred(xy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the positions of the cells of a slice around its centre."""
    around: NDArray[np.float64] = xy - middle(xy)
    return around


def middle(xy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the centre of the box around the cells of a slice."""
    return np.asarray((xy.min(axis=0) + xy.max(axis=0)) / 2, dtype=np.float64)


def half_size(positions: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return half the width and height that every slice, around its centre, fits in."""
    half = np.max([np.abs(xy).max(axis=0) for xy in positions], axis=0)
    size: NDArray[np.float64] = np.maximum(MARGIN * half, MIN_RATIO * max(half.max(), 1e-9))
    return size


def given_axes(ax: Axes | Sequence[Axes], n: int, *, dimensions: int = 2) -> NDArray[Any]:
    """Return the axes that the user gave for n panels."""
    given = np.ravel(np.array(ax, dtype=object))
    if len(given) != n:
        raise InvalidArgumentError(
            f"`ax` has {len(given)} axes, but there are {n} panels; give {n} axes or none."
        )
    if any((one.name == "3d") != (dimensions == 3) for one in given):
        raise InvalidArgumentError(
            f"`ax` must hold axes of {dimensions} dimensions, as `projection` says, found "
            f"{given[0].name!r}; make 3D axes with `subplot_kw={{'projection': '3d'}}`."
        )
    return given


def panel_axes(
    ax: Axes | Sequence[Axes] | None,
    n: int,
    ncols: int | None,
    half: NDArray[np.float64],
    margin: float = MARGIN_RIGHT,
) -> NDArray[Any]:
    """Return the n given axes, or n new ones in a grid, with the shape of a panel.

    ``margin`` is the room on the right of a new figure, in inches.
    """
    if ax is not None:
        return given_axes(ax, n)
    import matplotlib.pyplot as plt

    nrows = math.ceil(n / (ncols or IN_A_ROW + (n > MANY_PANELS)))
    ncols = math.ceil(n / nrows) if ncols is None else min(n, ncols)
    side = min(PANEL, (PAGE - MARGIN_RIGHT) / ncols * float(max(half)) / float(half[0]))
    width, height = (max(side * float(h) / float(max(half)), 1.0) for h in half)
    figsize = (ncols * width + margin, max(nrows * (height + 0.35) + 0.6, 2.75))
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
    *,
    titled: bool,
    share: float = 1.0,
) -> None:
    """Draw every panel on one colour scale, with a colour bar, a scale bar and a legend.

    Unless the user chose a size, cells have a ``share`` of the area at which they touch.
    ``titled`` is as in :func:`colour_bar`.
    """
    values = np.abs(np.concatenate([p.value[np.isfinite(p.value)] for p in panels]))
    norm, cmap = colour_bar(axes, values, mapped, style, titled=titled)
    frame_panels(axes, [panel.title for panel in panels], half, style)
    if any(np.isnan(p.value).any() for p in panels):
        grey_legend(axes, mapped.missing)
    settle(axes[0])
    area = style.size or share * touching(axes[0], [p.xy for p in panels], half)
    for ax, panel in zip(axes, panels, strict=True):
        _draw_cells(ax, panel, area, norm, cmap)
    if not values.any():
        text = "not active in these cells" if len(values) else "no receivers among these cells"
        logger.warning("%s: %s.", mapped.name, text)
        centre: dict[str, Any] = {"transform": axes[0].transAxes, "ha": "center", "va": "center"}
        axes[0].text(0.5, 0.5, text, backgroundcolor="white", **centre)


def colour_bar(
    axes: NDArray[Any],
    values: NDArray[np.float64],
    mapped: Quantity,
    style: MapStyle,
    *,
    titled: bool,
) -> tuple[Any, str | Colormap]:
    """Draw the colour bar for the sizes of the values; return the colour scale and map.

    Its label is the unit. Name and significance come first unless the figure is ``titled`` so.
    """
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
    settle(axes[0])
    lines = [mapped.unit] if titled else [f"{mapped.name}, {mapped.significance}", mapped.unit]
    bar.set_label(wrapped(lines, points(bar.ax)[1], LABEL), fontsize=LABEL)
    return norm, cmap


def frame_panels(
    axes: NDArray[Any],
    titles: list[str],
    half: NDArray[np.float64],
    style: MapStyle,
    *,
    bar: bool = True,
) -> None:
    """Give every panel its limits and title, without ticks and spines; a scale bar to the first."""
    down = (half[1], -half[1])
    limits = {"xlim": (-half[0], half[0]), "ylim": down if style.invert_y else down[::-1]}
    for ax in axes:
        ax.set(aspect="equal", xticks=[], yticks=[], **limits)
        for spine in ax.spines.values():
            spine.set_visible(False)
    if bar:
        scale_bar(axes[0], half, style.scale_bar, style.spatial_key)
    settle(axes[0])
    for ax, title in zip(axes, titles, strict=True):
        ax.set_title(*shortened(title, points(ax)[0]))


def grey_legend(axes: NDArray[Any], label: str) -> None:
    """Add a legend of the grey cells, below the panel on the right; below its scale bar."""
    from matplotlib.lines import Line2D

    ax, (width, height) = axes[-1], points(axes[-1])
    lower = 14 / height if len(axes) == 1 and width < NARROW else 0.0

    grey = Line2D([], [], linestyle="none", marker="o", color=NO_RECEIVER, label=label)
    spacing: dict[str, Any] = {"handletextpad": 0.1, "borderpad": 0.2}
    ax.legend(
        handles=[grey],
        loc="upper right",
        bbox_to_anchor=(1, -lower),
        frameon=False,
        fontsize=8,
        **spacing,
    )


def _draw_cells(ax: Axes, panel: Panel, area: float, norm: Any, cmap: str | Colormap) -> None:
    """Draw the receivers, the most active on top, over the other cells in grey."""
    grey = np.isnan(panel.value)
    style: dict[str, Any] = {"s": area, "linewidths": 0, "rasterized": True, "clip_on": False}
    x, y = panel.xy[grey].T
    ax.scatter(x, y, color=NO_RECEIVER, zorder=1, **style)
    style["s"] = area = max(area, SMALLEST_RECEIVER)
    if norm.vmin < 0:  # the middle of such colours is white
        width = min(OUTLINE_WIDTH, OUTLINE_SHARE * area**0.5)
        style |= {"linewidths": width, "edgecolors": OUTLINE}
    order = np.flatnonzero(~grey)
    order = order[np.argsort(np.abs(panel.value[order]), kind="stable")]
    x, y = panel.xy[order].T
    ax.scatter(x, y, c=panel.value[order], norm=norm, cmap=cmap, zorder=2, **style)


def touching(
    ax: Axes,
    positions: list[NDArray[np.float64]],
    half: NDArray[np.float64],
    smallest: float = 1.0,
) -> float:
    """Return the marker area at which most neighbouring cells touch, at least the smallest."""
    gap = median_gap(positions)
    width, height = points(ax)
    scale = min(width / (2 * half[0]), height / (2 * half[1]))
    return float(np.clip((1.2 * gap * scale) ** 2, smallest, 150.0))


def median_gap(positions: list[NDArray[np.float64]]) -> float:
    """Return the median distance between nearest cells; 0 without two cells."""
    from scipy.spatial import cKDTree

    gaps = [np.median(cKDTree(xy).query(xy, k=2)[0][:, 1]) for xy in positions if len(xy) > 1]
    return float(np.median(gaps)) if gaps else 0.0
