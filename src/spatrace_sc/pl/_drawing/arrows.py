"""Arrows and streamlines of a direction that cells have, smoothed on a grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .axes import points

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: How a direction is drawn.
STYLES = ("arrows", "stream")
#: Standard deviation of the Gaussian kernel, and the distance at which it ends, in grid steps.
BANDWIDTH, REACH = 0.7, 2.0
#: Smallest number of cells around a grid point with an arrow.
FEWEST_CELLS = 3
#: Largest distance of the nearest cell from a grid point with an arrow, in grid steps.
NEAREST = 0.75
#: Smallest weight of the cells around a grid point, as a share of the median of all points.
MIN_WEIGHT = 0.4
#: Length of the arrow that is longer than 95 % of all, in grid steps, and that quantile.
LONGEST, QUANTILE = 1.3, 0.95
#: Number of arrows along the longer side of a panel, by the largest number of panels.
N_ARROWS = {1: 22, 2: 17, 4: 13}
FEWEST_ARROWS = 10
#: Largest width of an arrow in inches, and as a share of the step between arrows.
WIDTH, WIDTH_SHARE = 0.011, 0.07
#: Colour of arrows.
COLOUR = "#222222"


@dataclass(frozen=True)
class Field:
    """Direction on a grid: (columns,) x, (rows,) y, and (rows, columns, 2) vectors.

    Vectors are NaN where there are too few cells. ``near`` are the (rows, columns) grid points with
    several cells close by, which have an arrow; streamlines also cross gaps between cells.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    vectors: NDArray[np.float64]
    near: NDArray[np.bool_]


def arrows_along(n_panels: int) -> int:
    """Return the number of arrows along the longer side of each of some panels."""
    return next((n for most, n in N_ARROWS.items() if n_panels <= most), FEWEST_ARROWS)


def smoothed(
    xy: NDArray[np.float64], vectors: NDArray[np.float64], half: NDArray[np.float64], n: int
) -> Field:
    """Return the Gaussian-weighted mean of the vectors of cells on a grid.

    ``half`` is half the width and height of the panel, ``n`` the points along its longer side.
    """
    from scipy.spatial import cKDTree

    step = 2 * float(half.max()) / n
    x, y = (_axis(h, step) for h in half)
    points = np.stack(np.meshgrid(x, y), axis=-1)
    mean = np.full((len(y), len(x), 2), np.nan)
    weight = np.zeros((len(y), len(x)))
    near = np.zeros(weight.shape, dtype=bool)
    if len(xy):
        around = cKDTree(xy).query_ball_point(points.reshape(-1, 2), REACH * step)
        for index, cells in zip(np.ndindex(weight.shape), around, strict=True):
            distance = ((xy[cells] - points[index]) ** 2).sum(axis=1) / step**2
            kernel = np.exp(-distance / (2 * BANDWIDTH**2))
            weight[index] = kernel.sum()
            if cells:
                mean[index] = kernel @ vectors[cells] / kernel.sum()
                near[index] = len(cells) >= FEWEST_CELLS and distance.min() <= NEAREST**2
    enough: NDArray[np.bool_] = weight > 0
    if enough.any():
        enough = weight >= MIN_WEIGHT * np.median(weight[enough])
    mean[~enough] = np.nan
    return Field(x, y, mean, near)


def _axis(half: float, step: float) -> NDArray[np.float64]:
    """Return grid points at equal steps around 0, half a step from the ends, at least two."""
    n = max(2, round(2 * half / step))
    return np.asarray(step * (np.arange(n) - (n - 1) / 2), dtype=np.float64)


def long_arrow(fields: list[Field]) -> float:
    """Return the length that most vectors do not exceed; 0 without any."""
    sizes = np.concatenate([np.hypot(*f.vectors.reshape(-1, 2).T) for f in fields])
    sizes = sizes[np.isfinite(sizes)]
    return float(np.quantile(sizes, QUANTILE)) if len(sizes) else 0.0


def draw_field(ax: Axes, field: Field, longest: float, style: str) -> None:
    """Draw arrows whose length, or streamlines whose width, is the size of the vectors."""
    if longest <= 0 or not np.isfinite(field.vectors).any():
        return
    u, v = np.moveaxis(field.vectors, -1, 0)
    step = float(field.x[1] - field.x[0])
    if style == "arrows":
        x, y = np.meshgrid(field.x, field.y)
        known = np.isfinite(u) & field.near
        options: dict[str, Any] = {"angles": "xy", "scale_units": "xy", "units": "inches"}
        options |= {
            "width": min(WIDTH, WIDTH_SHARE * _inches(ax, step)),
            "headwidth": 5.5,
            "headlength": 6.0,
            "headaxislength": 5.5,
        }
        options |= {
            "scale": longest / (LONGEST * step),
            "pivot": "mid",
            "minlength": 0.3,
        }
        ax.quiver(x[known], y[known], u[known], v[known], color=COLOUR, zorder=3, **options)
        return
    limits = ax.get_xlim(), ax.get_ylim()
    width = np.nan_to_num(np.clip(np.hypot(u, v) / longest, 0.2, 1.0), nan=0.2)
    ax.streamplot(
        field.x,
        field.y,
        np.ma.masked_invalid(u),
        np.ma.masked_invalid(v),
        color=COLOUR,
        linewidth=1.3 * width,
        arrowsize=0.8,
        density=len(field.x) / 12,
        zorder=3,
    )
    ax.set(xlim=limits[0], ylim=limits[1])


def _inches(ax: Axes, length: float) -> float:
    """Return a length along the first axis in inches; the layout must have its final size."""
    low, high = ax.get_xlim()
    return points(ax)[0] / 72 * length / abs(high - low)
