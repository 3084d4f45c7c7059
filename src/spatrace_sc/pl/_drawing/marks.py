"""Marks that are added to what is significant, and the line that counts it."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .axes import points, settle
from .significance import THRESHOLD

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Label of the artist that marks significance; the title states the threshold.
SIGNIFICANT = "significant"
#: Sizes of a title, the first that fits is taken, and share of the figure's width that it may take.
TITLE_SIZES, TITLE_WIDTH = (10, 9, 8, 7), 0.98
#: Distance of a mark in a corner from the middle of its field, as a share of the field.
CORNER = 0.34
#: Diameter of a mark as a share of its field, in the middle and in a corner, and its limits in
#: points.
SHARE, CORNER_SHARE, LARGEST_MARK, SMALLEST_MARK = 0.42, 0.2, 6.0, 1.5


def count_line(n: int, total: int, noun: str, mark: str, *, drawn: int | None = None) -> str:
    """Return ``"6 of 400 fields significant at q ≤ 0.1 (dots)"``.

    ``drawn`` is the number of significant ones in the figure; the line gives it if it is smaller.
    """
    line = f"{n} of {total} {noun} significant at {THRESHOLD}"
    if n == 0:
        return line
    return f"{line} ({mark}{f'; {drawn} drawn' if drawn is not None and drawn < n else ''})"


def fit_title(ax: Axes, text: str) -> None:
    """Write a title that stays inside the figure; call it last.

    It shrinks, then its lines are wrapped, and it moves towards the middle of the figure.
    """
    title = ax.set_title(text)
    settle(ax)
    figure = ax.figure.bbox
    room = TITLE_WIDTH * figure.width
    for size in TITLE_SIZES:
        title.set_fontsize(size)
        width = title.get_window_extent().width
        if width <= room:
            break
    else:
        lines = text.split("\n")
        letters = max(int(max(map(len, lines)) * room / width), 12)
        title.set_text("\n".join(part for line in lines for part in wrap(line, letters)))
        settle(ax)
    box, inside = title.get_window_extent(), ax.get_window_extent()
    margin = (1 - TITLE_WIDTH) / 2 * figure.width
    shift = max(figure.x0 + margin - box.x0, 0.0) - max(box.x1 - figure.x1 + margin, 0.0)
    title.set_x(0.5 + shift / inside.width)


def mark_fields(
    ax: Axes, fields: NDArray[np.bool_], *, corner: bool = False, side: float | None = None
) -> None:
    """Draw a dot on some fields of a heatmap, rows × columns, visible on every colour.

    With ``corner`` it is in the upper right corner, beside a number in the middle. ``side`` is the
    shorter side of a field in points, measured if None.
    """
    row, column = np.nonzero(fields)
    shift = CORNER if corner else 0.0
    if side is None:
        settle(ax)
        width, height = points(ax)
        side = min(width / max(fields.shape[1], 1), height / max(fields.shape[0], 1))
    share = CORNER_SHARE if corner else SHARE
    diameter = float(np.clip(share * side, SMALLEST_MARK, LARGEST_MARK))
    ax.scatter(
        column + shift,
        row - shift,
        s=diameter**2,
        c="white",
        edgecolors="black",
        linewidths=min(0.8, 0.25 * diameter),
        zorder=3,
        label=SIGNIFICANT,
    )
