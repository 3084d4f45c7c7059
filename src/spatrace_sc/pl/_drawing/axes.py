"""Colours, axes, labels and heatmaps that several figures share."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .labels import LONGEST_PART, elided

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.image import AxesImage

logger = logging.getLogger("spatrace_sc")

#: Colour-blind safe colours (Okabe and Ito): in every figure red is up and blue is down.
UP, DOWN, NEUTRAL = "#D55E00", "#0072B2", "#555555"

#: Largest and smallest size of a label, in points.
LARGEST, SMALLEST = 9.0, 5.0


def new_axes(ax: Axes | None, width: float, height: float) -> Axes:
    """Return the given axes, or those of a new figure of this size in inches."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=(width, height), layout="constrained")[1]


def label_width(labels: Iterable[str], longest: int = LONGEST_PART) -> float:
    """Return the width of the longest label at the largest size, in inches."""
    return 0.008 * LARGEST * max((len(elided(label, longest)) for label in labels), default=0)


def nothing_left(ax: Axes, text: str) -> Axes:
    """Write in the axes, and in the log, that there is nothing to draw."""
    logger.warning("%s", text)
    write = getattr(ax, "text2D", ax.text)  # three-dimensional axes place text in space otherwise
    write(
        0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", wrap=True, color=NEUTRAL
    )
    ax.set_xticks([])
    ax.set_yticks([])
    return ax


def settle(ax: Axes) -> None:
    """Run the layout of the figure, if it has one, so that axes have their final size."""
    figure = ax.figure.figure  # of a subfigure, the figure
    if figure.get_layout_engine() is not None:
        figure.draw_without_rendering()


def points(ax: Axes) -> tuple[float, float]:
    """Return width and height of the axes in points."""
    box, dpi = ax.get_window_extent(), ax.figure.dpi
    return 72 * box.width / dpi, 72 * box.height / dpi


def label_ticks(
    ax: Axes,
    *,
    x: Sequence[str] | None = None,
    y: Sequence[str] | None = None,
    largest_x: float = LARGEST,
    longest: int = LONGEST_PART,
) -> None:
    """Label the positions 0, 1, ... with text that fits; call it last.

    The text shrinks to the available room, and long names have an ellipsis in their middle. Below a
    readable size, labels are left out at equal steps. ``largest_x`` is the largest size of labels
    below the axes, in points; ``longest`` the number of characters above which a name is long.
    """
    x, y = (
        None if names is None else [elided(name, longest) for name in names] for names in (x, y)
    )
    if x is not None:
        ax.set_xticks(range(len(x)), x, rotation=90, fontsize=SMALLEST)
    if y is not None:
        ax.set_yticks(range(len(y)), y, fontsize=SMALLEST)
    for _ in range(2):  # larger labels leave the axes less room
        settle(ax)
        width, height = points(ax)
        if x is not None:
            positions, size, room = _fitting(len(x), width, largest_x)
            words = [x[k] for k in positions]
            horizontal = 0.65 * size * max(map(len, words)) < room
            ax.set_xticks(positions, words, rotation=0 if horizontal else 90, fontsize=size)
        if y is not None:
            positions, size, _ = _fitting(len(y), height, LARGEST)
            ax.set_yticks(positions, [y[k] for k in positions], fontsize=size)


def _fitting(n: int, length: float, largest: float) -> tuple[list[int], float, float]:
    """Return which of n labels along an axis fit, their size, and the room of each in points."""
    step = max(1, math.ceil(1.25 * SMALLEST * n / max(length, 1.0)))
    room = step * length / n
    return list(range(0, n, step)), float(np.clip(0.75 * room, SMALLEST, largest)), room


def draw_matrix(
    ax: Axes,
    table: pd.DataFrame,
    *,
    limits: tuple[float, float],
    cmap: str | Colormap,
    label: str,
    title: str,
    longest: int = LONGEST_PART,
) -> AxesImage:
    """Draw a heatmap with every row and column labelled and a colour bar with its unit.

    The axes are named as the index and the columns of the table are. ``longest`` is as in
    :func:`label_ticks`.
    """
    image = ax.imshow(
        table.to_numpy(),
        vmin=limits[0],
        vmax=limits[1],
        cmap=cmap,
        aspect="auto",
        interpolation="nearest",
    )
    ax.figure.colorbar(image, ax=ax, label=label)
    ax.set_xlabel(str(table.columns.name))
    ax.set_ylabel(str(table.index.name))
    ax.set_title(title, fontsize=10)
    ax.tick_params(length=0)
    x, y = ([str(name) for name in names] for names in (table.columns, table.index))
    label_ticks(ax, x=x, y=y, longest=longest)
    return image
