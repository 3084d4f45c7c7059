"""How figures mark significance: with a dot or a ring on what is significant, and its number.

Nothing is hidden, hollow or pale because it is not significant. A row is significant at
q ≤ :data:`spatrace_sc._keys.MAX_SIGNIFICANT_Q`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from ... import _keys, get
from ..._check import share_of_one
from .axes import points

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

#: The condition for significance in titles, and its entry in legends.
THRESHOLD = f"q ≤ {_keys.MAX_SIGNIFICANT_Q:g}"
SIGNIFICANT = f"significant ({THRESHOLD})"
#: How a title names the two marks.
DOTTED, RINGED = "dot", "ring"
#: Diameter of the dot in a field, as a share of the field, and its limits in points.
DOT_SHARE, DOT_LIMITS = 0.4, (1.2, 5.0)
#: Width of the white rim of a dot, as a share of its diameter.
RIM = 0.2
#: Distance of a ring from what it surrounds, and its width, in points.
RING_DISTANCE, RING_WIDTH = 1.8, 1.0
#: Colour of both marks.
MARK = "black"


def up_to(table: pd.DataFrame, max_q: float | None) -> tuple[pd.DataFrame, str]:
    """Return the rows with at most this q, and the words for it in a title."""
    if max_q is None:
        return table, ""
    share_of_one(max_q, "max_q")
    return table[table["q_value"].to_numpy() <= max_q], f" with q ≤ {max_q:g}"


def is_significant(table: pd.DataFrame) -> NDArray[np.bool_]:
    """Return which rows of a table have a q-value at or below the threshold."""
    return table["q_value"].to_numpy(dtype=np.float64) <= _keys.MAX_SIGNIFICANT_Q


def counted(
    significant: NDArray[np.bool_],
    noun: str = "",
    *,
    mark: str = DOTTED,
    predicate: str = "significant",
    drawn: int | None = None,
) -> str:
    """Return the line under a title: how many are significant, and how they are marked.

    ``drawn`` is the number of significant ones in the figure; the line gives it if it is smaller.
    """
    n, total = int(np.sum(significant)), int(np.size(significant))
    name = f" {noun}" if noun else ""
    if n == 0:
        return f"none{' of the' + name if noun else ''} {predicate} at {THRESHOLD}"
    share = f"all {n}{name}" if n == total else f"{n} of {total}{name}"
    note = mark if drawn is None or drawn == n else f"{mark}; {drawn} shown"
    return f"{share} {predicate} at {THRESHOLD} ({note})"


def dots(ax: Axes, fields: NDArray[np.bool_], shift: tuple[float, float] = (0.0, 0.0)) -> None:
    """Draw a dot in some fields of a heatmap, rows × columns, after its layout is settled.

    ``shift`` moves the dots to the right and down, in fields.
    """
    row, column = np.nonzero(fields)
    width, height = points(ax)
    room = min(width / fields.shape[1], height / fields.shape[0])
    diameter = float(np.clip(DOT_SHARE * room, *DOT_LIMITS))
    style: dict[str, Any] = {"c": MARK, "edgecolors": "white", "linewidths": RIM * diameter}
    ax.scatter(column + shift[0], row + shift[1], s=diameter**2, zorder=3, gid=SIGNIFICANT, **style)


def rings(
    ax: Axes,
    x: NDArray[Any],
    y: NDArray[Any],
    area: NDArray[np.floating] | float,
    **style: Any,
) -> None:
    """Draw a ring around every marker of this area in points²."""
    size = (np.sqrt(area) + 2.0 * RING_DISTANCE) ** 2
    look: dict[str, Any] = {"linewidths": RING_WIDTH, "edgecolors": MARK, "zorder": 4, **style}
    ax.scatter(x, y, s=size, facecolors="none", gid=SIGNIFICANT, **look)


def ring_handle(label: str = SIGNIFICANT, area: float = 25.0, colour: str = MARK) -> Line2D:
    """Return the entry of a legend for a ring."""
    from matplotlib.lines import Line2D

    style: dict[str, Any] = {"markerfacecolor": "none", "markeredgewidth": RING_WIDTH}
    size = area**0.5 + 2.0 * RING_DISTANCE
    return Line2D(
        [], [], linestyle="none", marker="o", color=colour, markersize=size, label=label, **style
    )


def stage_word(adata: AnnData, key: str) -> str:
    """Return ``"slice"`` for a result that was given slices but no stages, else ``"stage"``."""
    arguments = get.params(adata, key=key)
    without_stages = arguments["stage_key"] is None and arguments["sample_key"] is not None
    return "slice" if without_stages else "stage"


def at_stage(adata: AnnData, stage: str | None, key: str) -> str:
    """Return ``", stage E2"`` for a title, or nothing."""
    return "" if stage is None else f", {stage_word(adata, key)} {stage}"
