"""Effects against their q or p."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData

from .. import _keys, get
from .._check import one_of, whole
from .._edges import EDGE_KINDS, public_word
from ._drawing.axes import DOWN, NEUTRAL, UP, new_axes, nothing_left, points, settle
from ._drawing.labels import EDGE_LABELS, edge_names, elided
from ._drawing.significance import (
    RINGED,
    SIGNIFICANT,
    at_stage,
    counted,
    is_significant,
    ring_handle,
    rings,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Columns that can be drawn upwards, and their symbols.
HEIGHTS = {"q_value": "q", "p_value": "p"}
#: Area of a dot in points², and its opacity.
AREA, OPACITY = 14.0, 0.6
#: Longest part of a name, in characters.
LONGEST = 12
#: Height of the row of a name in points, and largest share of the axes that names take.
NAME_ROW, MAX_NAMED_SHARE = 9.0, 0.4
#: Distance of the legend from the axes, below their label, and width of an entry, in points.
LEGEND_DISTANCE, ENTRY = 32.0, 105.0
#: Size of names and the width of a character, in points.
NAME_SIZE, CHARACTER = 7.0, 4.2
#: From this number on, dots are drawn as one image inside a vector file.
MIN_RASTERISED = 1000


def volcano(
    adata: AnnData,
    kind: str = "tf_targets",
    *,
    top_n: int = 10,
    height: str = "q_value",
    stage: str | None = None,
    key: str = _keys.RESULT,
    ax: Axes | None = None,
) -> Axes:
    """Draw the effect of every edge against −log10 of its q or p.

    Every candidate of the table is a dot: red if the effect raises the target, blue if it lowers
    it, grey for pairs, which have no sign. A ring marks a significant edge (q ≤ 0.1), and the
    strongest of these are named. The dashed line is q = 0.1. The title counts as the table does.

    Parameters
    ----------
    adata
        With a result of :func:`spatrace_sc.tl.infer_ccc`.
    kind
        ``"tf_targets"``, ``"lr_targets"`` or ``"lr_pairs"``: the table of :mod:`spatrace_sc.get` to
        draw.
    top_n
        Significant edges to name, the strongest first, as far as there is room. 0: none.
    height
        ``"q_value"`` or ``"p_value"``. A value of 0 is drawn at the height of the smallest one
        above 0.
    stage
        None: the whole data set. A stage: effects there, with the q of the whole data set.
    key
        Name of the result.
    ax
        Axes to draw in. None: a new figure.

    Returns
    -------
    The Axes; the dots are ``ax.collections[0]``, in the order of the table.

    Raises
    ------
    MissingKeyError
        ``adata`` has no such result.
    InvalidArgumentError
        An argument is out of range, or the result has no such stage.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata)
    >>> st.pl.volcano(adata).get_ylabel()
    '−log10 q'
    """
    edge_kind = EDGE_KINDS[public_word(kind, EDGE_LABELS)]
    whole(top_n, "top_n", low=0)
    one_of(height, "height", HEIGHTS)
    label = EDGE_LABELS[edge_kind.name]
    table = getattr(get, edge_kind.name)(adata, stage, key=key)
    ax = new_axes(ax, 5.6, 4.0)
    if table.empty:
        return nothing_left(ax, f"No {label.plural}")
    edges = _prepare(table, edge_kind.size, height)
    significant = is_significant(table) & (table["score"].to_numpy() > 0)
    colours = np.where(edges["x"] > 0, UP, np.where(edges["x"] < 0, DOWN, NEUTRAL))
    style: dict[str, Any] = {"s": AREA, "alpha": OPACITY, "linewidths": 0.0}
    rasterised = len(edges) >= MIN_RASTERISED
    drawn = list(colours) if edge_kind.signed else NEUTRAL
    ax.scatter(edges["x"], edges["y"], c=drawn, rasterized=rasterised, **style)
    marked = edges[significant]
    rings(ax, marked["x"].to_numpy(), marked["y"].to_numpy(), AREA, rasterized=rasterised)
    ax.set_xlabel(label.axis)
    ax.set_ylabel(f"−log10 {HEIGHTS[height]}")
    line = counted(significant, mark=RINGED)
    ax.set_title(f"{len(table)} {label.plural}{at_stage(adata, stage, key)}\n{line}", fontsize=10)
    ax.spines[["top", "right"]].set_visible(False)
    ax.margins(0.08)
    if edge_kind.signed:
        ax.axvline(0, color=NEUTRAL, linewidth=0.6, zorder=0)
    if height == "q_value":
        ax.axhline(-np.log10(_keys.MAX_SIGNIFICANT_Q), color=NEUTRAL, lw=0.8, ls="--", zorder=0)
    _legend(ax, signed=edge_kind.signed, any_significant=bool(significant.any()))
    names = edge_names(table, edge_kind.columns)[significant]
    order = table["score"].to_numpy()[significant].argsort(kind="stable")[::-1][:top_n]
    if len(order):
        _name(ax, marked.iloc[order], [elided(name, LONGEST) for name in names.iloc[order]])
    return ax


def _prepare(table: pd.DataFrame, size: str, height: str) -> pd.DataFrame:
    """Return ``x``, the effect, and ``y``, −log10 of q or p, of every edge."""
    value = table[height].to_numpy(dtype=np.float64)
    smallest = value[value > 0].min(initial=1.0)
    y = -np.log10(np.maximum(value, smallest)) + 0.0
    return pd.DataFrame({"x": table[size].to_numpy(dtype=np.float64), "y": y})


def _legend(ax: Axes, *, signed: bool, any_significant: bool) -> None:
    """Explain colours and rings below the axes."""
    from matplotlib.lines import Line2D

    meanings = [(UP, "raises the target"), (DOWN, "lowers the target")] if signed else []
    handles = [
        Line2D([], [], ls="none", marker="o", ms=AREA**0.5, mew=0, color=colour, label=label)
        for colour, label in meanings
    ]
    if any_significant:
        handles.append(ring_handle(SIGNIFICANT, AREA))
    if handles:
        settle(ax)
        n_columns = int(np.clip(points(ax)[0] / ENTRY, 1, len(handles)))
        style: dict[str, Any] = {"ncols": n_columns, "frameon": False, "columnspacing": 1.0}
        style |= {"handletextpad": 0.2, "borderaxespad": 0, "fontsize": 7.5}
        for _ in range(2):  # the legend leaves the axes less room
            below = (0.5, -LEGEND_DISTANCE / max(points(ax)[1], 1.0))
            ax.legend(handles=handles, loc="upper center", bbox_to_anchor=below, **style)
            settle(ax)


def _name(ax: Axes, edges: pd.DataFrame, names: list[str]) -> None:
    """Write names in rows above all dots, each with a line to its dot.

    Dots of the left half have their names at the left, those of the right half at the right. The
    weakest are not named where there is no room.
    """
    settle(ax)
    width, room = points(ax)
    low, high = ax.get_xlim()
    bottom, top = ax.get_ylim()
    right = (edges["x"] > (low + high) / 2).to_numpy()
    most = int(MAX_NAMED_SHARE * room / NAME_ROW)
    sides = [np.flatnonzero(right == side)[:most] for side in (False, True)]
    longest = [max((len(names[k]) for k in rows), default=0) for rows in sides]
    overlap = CHARACTER * sum(longest) > width and all(longest)
    if overlap:  # those at the right stand above those at the left
        sides = [rows[: (most + 1) // 2] for rows in sides]
    n_rows = sum(map(len, sides)) if overlap else max(map(len, sides))
    height = (top - bottom) / (1 - n_rows * NAME_ROW / room)  # of the axes with all names
    ax.set_ylim(bottom, bottom + height)
    ends = (low + 0.01 * (high - low), high)
    for rows, end, align in zip(sides, ends, ("left", "right"), strict=True):
        x, y = (edges[column].to_numpy()[rows] for column in ("x", "y"))
        nearest = np.argsort(np.abs(x - end), kind="stable")
        first = len(sides[0]) if overlap and align == "right" else 0
        for level, k in enumerate(nearest, first):
            line: dict[str, Any] = {"arrowstyle": "-", "color": NEUTRAL, "lw": 0.5, "shrinkA": 1}
            line |= {"shrinkB": 4, "relpos": (0.98 if align == "left" else 0.02, 0.3)}
            ax.annotate(
                names[rows[k]],
                (x[k], y[k]),
                (end, top + (level + 0.5) * NAME_ROW / room * height),
                fontsize=NAME_SIZE,
                ha=align,
                va="center",
                arrowprops=line,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.2},
                zorder=6 + n_rows - level,  # lines pass behind the names below
            )
