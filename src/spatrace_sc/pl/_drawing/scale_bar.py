"""The scale bar of a map."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Labels of lengths in µm: divisor and unit, from the length in µm on.
MICRONS = ((1000.0, "mm"), (1.0, "µm"))


def scale_bar(ax: Axes, half: NDArray[np.float64], microns: float | None, spatial_key: str) -> None:
    """Draw a bar of a round length below the panel, in µm or in units of the coordinates.

    ``half`` is half the width and height of the panel. ``microns`` is the number of µm per unit of
    the coordinates ``spatial_key``, None where it is unknown.
    """
    from matplotlib.font_manager import FontProperties
    from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

    scale = microns or 1.0
    longest = 0.6 * float(half[0]) * scale
    unit = 10.0 ** math.floor(math.log10(longest))
    length = max(step for step in (1, 2, 5) if step * unit <= longest) * unit
    bar = AnchoredSizeBar(
        ax.transData,
        length / scale,
        _label(length, microns, spatial_key),
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


def _label(length: float, microns: float | None, spatial_key: str) -> str:
    """Return a length in µm or mm where the unit is known, else in units of the coordinates."""
    if microns is None:
        return f"{length:g} units of {spatial_key!r}"
    divisor, unit = next((m for m in MICRONS if length >= m[0]), MICRONS[-1])
    return f"{length / divisor:g} {unit}"
