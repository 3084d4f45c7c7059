"""What the figures have in common."""

from __future__ import annotations

import logging
import math
import numbers
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .._check import closest, shorten
from .._errors import InvalidArgumentError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

logger = logging.getLogger("spatrace_sc")

#: Colours that colour-blind readers tell apart (Okabe and Ito); red is up and blue is down in every figure.
UP, DOWN, NEUTRAL = "#D55E00", "#0072B2", "#555555"

#: Largest and smallest size of a label, in points.
LARGEST, SMALLEST = 9.0, 5.0

ARROW = " → "


def count(value: int | None, argument: str) -> int | None:
    """A whole number of at least 1, or None for all."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
        raise InvalidArgumentError(
            f"`{argument}` must be a whole number of at least 1, or None for all; found {value!r}."
        )
    return int(value)


def one_of(value: str, allowed: Iterable[str], argument: str) -> str:
    """One of the allowed words."""
    words = list(allowed)
    if value not in words:
        raise InvalidArgumentError(
            f"`{argument}` must be one of {shorten(words)}, found {value!r}.{closest(str(value), words)}"
        )
    return value


def pair_name(pair: str | Sequence[str], available: Iterable[str], where: str) -> str:
    """``ligand^receptor`` of one of the available pairs."""
    names = list(available)
    name = pair if isinstance(pair, str) else "^".join(str(gene) for gene in pair)
    if name in names:
        return name
    turned = "^".join(reversed(name.split("^")))
    hint = f" Did you mean {turned!r}?" if turned in names else _closest_pair(name, names)
    raise InvalidArgumentError(
        f"`pair={pair!r}` is not among the {len(names)} pairs {where}; give 'ligand^receptor' or (ligand, receptor). "
        f"The first are {shorten(names)}.{hint}"
    )


def _closest_pair(name: str, names: list[str]) -> str:
    """The gene that is meant, of each that is not known in its place; otherwise the pair that is."""
    parts = name.split("^")
    if len(parts) == 2:
        known = [list(dict.fromkeys(n.split("^")[side] for n in names)) for side in (0, 1)]
        found = [
            closest(part, genes)
            for part, genes in zip(parts, known, strict=True)
            if part not in genes
        ]
        if any(found):
            return "".join(found)
    return closest(name, names)


def new_axes(ax: Axes | None, width: float, height: float) -> Axes:
    """The given axes, or those of a new figure of this size in inches."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=(width, height), layout="constrained")[1]


def label_width(labels: Iterable[str]) -> float:
    """Inches that labels of the largest type need."""
    return 0.008 * LARGEST * max(map(len, labels), default=0)


def nothing_left(ax: Axes, text: str) -> Axes:
    """Say in the axes, and in the log, that there is nothing to draw."""
    logger.warning("%s", text)
    ax.text(
        0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", wrap=True, color=NEUTRAL
    )
    ax.set_xticks([])
    ax.set_yticks([])
    return ax


def settle(ax: Axes) -> None:
    """Run the figure's layout, if it has one, so that axes have the size at which they will be drawn."""
    figure = ax.figure.figure  # of a subfigure, the figure
    if figure.get_layout_engine() is not None:
        figure.draw_without_rendering()


def points(ax: Axes) -> tuple[float, float]:
    """Width and height of the axes in points."""
    box, dpi = ax.get_window_extent(), ax.figure.dpi
    return 72 * box.width / dpi, 72 * box.height / dpi


def label_ticks(
    ax: Axes, *, x: Sequence[str] | None = None, y: Sequence[str] | None = None
) -> None:
    """Label the positions 0, 1, ... Call last: the type fits the room that is left and, below a readable size, labels are left out at equal steps."""
    if x is not None:
        ax.set_xticks(range(len(x)), x, rotation=90, fontsize=SMALLEST)
    if y is not None:
        ax.set_yticks(range(len(y)), y, fontsize=SMALLEST)
    settle(ax)
    width, height = points(ax)
    if x is not None:
        shown, size, room = _fitting(len(x), width)
        words = [x[k] for k in shown]
        across = 0.65 * size * max(map(len, words)) < room
        ax.set_xticks(shown, words, rotation=0 if across else 90, fontsize=size)
    if y is not None:
        shown, size, _ = _fitting(len(y), height)
        ax.set_yticks(shown, [y[k] for k in shown], fontsize=size)


def _fitting(n: int, length: float) -> tuple[list[int], float, float]:
    """Which of n labels along an axis to show, at what size, and the room of each in points."""
    step = max(1, math.ceil(1.25 * SMALLEST * n / max(length, 1.0)))
    room = step * length / n
    return list(range(0, n, step)), float(np.clip(0.75 * room, SMALLEST, LARGEST)), room


def draw_matrix(
    ax: Axes,
    table: pd.DataFrame,
    *,
    limits: tuple[float, float],
    cmap: str,
    label: str,
    title: str,
) -> AxesImage:
    """A heatmap with every row and column named, the axes named as the index is, and a colour bar that says what it shows."""
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
    label_ticks(ax, x=[str(c) for c in table.columns], y=[str(r) for r in table.index])
    return image
