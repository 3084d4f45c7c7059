"""A legend and a colour bar, one above the other, to the right of the axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .axes import points, settle

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.lines import Line2D
    from matplotlib.transforms import Transform

#: Distance from the axes, width and height of the colour bar, and room of a line, in inches.
GAP, BAR_WIDTH, BAR_HEIGHT, LINE = 0.12, 0.1, 0.95, 0.15
#: Smallest height of a colour bar above which the legend still fits.
LOWEST_BAR = 0.5
#: Distance of the legend from the axes where it stands beside the colour bar.
BESIDE = 0.85
#: Name of the axes of the colour bar.
BAR = "side bar"


def dot(label: str, diameter: float, **style: Any) -> Line2D:
    """Return the entry of a legend: a dot of this diameter in points."""
    from matplotlib.lines import Line2D

    given: dict[str, Any] = {"linestyle": "none", "marker": "o", "color": "0.4"}
    return Line2D([], [], label=label, markersize=diameter, **given | style)


def side_legends(
    ax: Axes,
    handles: Sequence[Line2D],
    title: str,
    *,
    mappable: ScalarMappable | None = None,
    label: str = "",
) -> None:
    """Draw a legend at the upper right of the axes and a colour bar at the lower right.

    Where the axes are low, the colour bar is shorter and reaches down beside the labels of the
    axes; where this is too low for both, the legend is to its right. Another call replaces both.
    """
    for former in [child for child in ax.child_axes if child.get_label() == BAR]:
        former.remove()
    settle(ax)
    height = points(ax)[1] / 72
    needed = LINE * (len(handles) + title.count("\n") + bool(title)) + GAP
    shift = GAP
    if mappable is not None:
        bar_height = min(BAR_HEIGHT, height, max(height - needed, LOWEST_BAR))
        bottom = min(height - needed - bar_height, 0.0)
        if bottom < -room_below(ax):
            bottom, shift = 0.0, BESIDE
        bounds = (GAP, bottom, BAR_WIDTH, bar_height)
        bar = ax.inset_axes(bounds, label=BAR, transform=inches_from(ax, 1.0, 0.0))
        ax.figure.colorbar(mappable, cax=bar)
        bar.set_ylabel(label, fontsize=8)
        bar.tick_params(labelsize=7)
        bar.locator_params(axis="y", nbins=4 if bar_height > LOWEST_BAR else 3)
    legend = ax.legend(
        handles=list(handles),
        title=title,
        loc="upper left",
        bbox_to_anchor=(shift, 0.0),
        bbox_transform=inches_from(ax, 1.0, 1.0),
        frameon=False,
        fontsize=7,
        title_fontsize=8,
        alignment="left",
        borderaxespad=0,
        borderpad=0,
        handletextpad=0.5,
        labelspacing=0.3,
    )
    legend.set_zorder(4)


def room_below(ax: Axes) -> float:
    """Return the height of the labels below the axes in inches."""
    box = ax.xaxis.get_tightbbox()
    return 0.0 if box is None else max(ax.get_window_extent().y0 - box.y0, 0.0) / ax.figure.dpi


def inches_from(ax: Axes, x: float, y: float) -> Transform:
    """Return the transform of inches from a point that is given in shares of the axes."""
    from matplotlib.transforms import ScaledTranslation

    scale: Any = ax.figure.dpi_scale_trans
    corner: Any = ax.transAxes
    moved: Transform = scale + ScaledTranslation(x, y, corner)
    return moved
