"""Effects against their q or p."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData

from .. import _keys, get
from .._check import one_of, whole
from .._edges import EDGE_KINDS, public_word
from ._labels import EDGE_LABELS, edge_names, elided
from ._shared import DOWN, NEUTRAL, UP, new_axes, nothing_left, settle
from ._significance import (
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
#: Height of the axes with room for names, relative to that of the dots.
HEADROOM = 1.35
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
        Significant edges to name, the strongest first. 0: none. Names avoid each other if the
        package adjustText is installed.
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
        ax.set_ylim(top=ax.get_ylim()[0] + HEADROOM * np.ptp(ax.get_ylim()))
    _name(ax, marked.iloc[order], [elided(name, LONGEST) for name in names.iloc[order]], marked)
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
        ax.legend(handles=handles, loc="best", frameon=True, edgecolor="none", fontsize=8)


def _name(ax: Axes, edges: pd.DataFrame, names: list[str], ringed: pd.DataFrame) -> None:
    """Write names beside dots; with adjustText, they avoid each other and the rings."""
    points = zip(edges["x"], edges["y"], names, strict=True)
    if find_spec("adjustText") is None:
        for x, y, name in points:
            ax.annotate(name, (x, y), (4, 4), textcoords="offset points", fontsize=7)
        return
    texts = [ax.text(x, y, name, fontsize=7) for x, y, name in points]
    settle(ax)
    if texts:
        style: dict[str, Any] = {"arrowprops": {"arrowstyle": "-", "color": NEUTRAL, "lw": 0.5}}
        import_module("adjustText").adjust_text(
            texts, ax=ax, x=ringed["x"], y=ringed["y"], expand=(1.15, 1.7), **style
        )
