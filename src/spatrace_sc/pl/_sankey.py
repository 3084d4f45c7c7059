"""Flows from senders through cascades to receivers."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys, get
from .._check import count
from ._drawing.axes import DOWN, NEUTRAL, UP, new_axes, nothing_left, points, settle
from ._drawing.colours import category_colours
from ._drawing.fitted_text import WIDTH
from ._drawing.labels import elided
from ._drawing.names import LONGEST_OF_TWO
from ._drawing.significance import MARK, SIGNIFICANT, at_stage, counted, is_significant
from ._drawing.steps import DOT, ordered_columns

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Columns of the drawing, from left to right.
STOPS = ("sender", "ligand", "receptor", "TF", "target", "receiver")
#: Stands for the cell types beyond the limit, and for those of a pair that is not listed.
OTHERS, NOT_LISTED = "other types", "not listed"
#: Height of all flows together, the gap between two names, and the width of a bar.
FLOW, SPACE, BAR = 3.0, 0.2, 0.07
#: Inches of a column, and longest name in it, in characters.
COLUMN, LONGEST = 1.3, 18
#: Longest name of a cell type in given axes; in a new figure, names may have ``LONGEST_OF_TWO``.
LONGEST_IN_AXES = 13
#: Largest size of a name, in points.
NAME_SIZE = 7.5
#: Width of the longest header, relative to the size of its letters.
HEADER_WIDTH = 5.6
#: Opacity of a flow, and points on its edge.
OPACITY, N_POINTS = 0.5, 40


class Drawing(NamedTuple):
    """Bottom and height of every bar, by column."""

    bottom: list[dict[str, float]]
    size: list[dict[str, float]]
    height: float


def sankey(
    adata: AnnData,
    *,
    top_n: int | None = 20,
    top_types: int | None = 8,
    stage: str | None = None,
    key: str = _keys.RESULT,
    ax: Axes | None = None,
) -> Axes:
    """Draw the strongest cascades as flows: sender → ligand → receptor → TF → target → receiver.

    The width of a flow is the size of the cascade's effect on its target, divided between cell
    types as the scores of its pair are (:func:`spatrace_sc.get.communication`). As much flows into
    a bar as out of it. Red flows raise the target, blue ones lower it. A black dot between TF and
    target marks a cascade with two significant steps (q ≤ 0.1); it says nothing about the cell
    types.

    Parameters
    ----------
    adata
        After :func:`spatrace_sc.tl.cascades`.
    top_n
        Cascades to draw, the strongest first. None: all.
    top_types
        Senders and receivers with a bar of their own, those with the largest flows. The others
        share a bar. None: all have their own.
    stage
        None: the whole data set. A stage: effects and scores there.
    key
        Name of the result.
    ax
        Axes to draw in. None: a new figure.

    Returns
    -------
    The Axes. The bars are ``ax.patches``, column by column; the flows are ``ax.collections``.

    Raises
    ------
    MissingKeyError
        ``adata`` has no such result, or no cascades.
    InvalidArgumentError
        An argument is out of range, or the result has no such stage.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata)
    >>> st.tl.cascades(adata, max_q=1.0)
    >>> st.pl.sankey(adata, top_n=5).get_title().split(" of ")[0]
    '5 strongest'
    """
    count(top_n, "top_n")
    count(top_types, "top_types")
    table = get.cascades(adata, stage, key=key)
    listed = table[table["score"].to_numpy() > 0]
    top = listed.head(len(listed) if top_n is None else top_n)
    flows = _prepare(top, get.communication(adata, stage, key=key), top_types)
    steps = [
        flows.groupby([a, b, "sign"], sort=False)["value"].sum().reset_index()
        for a, b in pairwise(STOPS)
    ]
    steps = [t.set_axis(["begin", "end", "sign", "value"], axis=1) for t in steps]
    names = [list(dict.fromkeys(flows[stop])) for stop in STOPS]
    columns = ordered_columns(names, steps)
    drawing = _layout(flows, columns)
    ends = LONGEST_IN_AXES if ax is not None else LONGEST_OF_TWO
    ax = new_axes(ax, _width(columns), 0.9 + 0.85 * drawing.height)
    ax.set_axis_off()
    if flows.empty:
        return nothing_left(ax, "No path pair → TF → target to draw: see st.tl.cascades, `max_q`")
    for position, table_of_steps in enumerate(steps):
        _draw_flows(ax, table_of_steps, drawing, position)
    significant = is_significant(top)
    _mark(ax, flows, drawing)
    _draw_bars(ax, drawing, _bar_colours(adata, columns, key), ends)
    words = "red raises the target, blue lowers it"
    if significant.any():
        words += f"\ndot = both steps {SIGNIFICANT}"
    ax.text(2.5, -0.25, words, ha="center", va="top", fontsize=8, color=NEUTRAL)
    line = counted(significant, predicate="with both steps significant")
    title = f"{len(top)} strongest of {len(listed)} cascades{at_stage(adata, stage, key)}"
    ax.set_title(f"{title}\n{line}", fontsize=10)
    return ax


def _prepare(top: pd.DataFrame, types: pd.DataFrame, top_types: int | None) -> pd.DataFrame:
    """Return the six stops, ``value``, ``sign`` and ``significant`` of every flow.

    The flows of a cascade add up to its score.
    """
    keys = ["ligand", "receptor"]
    types = types.loc[types["score"].to_numpy() > 0, ["sender", "receiver", *keys, "score"]]
    share = types["score"] / types.groupby(keys, observed=True)["score"].transform("sum")
    types = types.assign(share=share).drop(columns="score").astype(dict.fromkeys(keys, str))
    paths = top[[*keys, "tf", "target", "score"]].rename(columns={"tf": "TF"})
    paths = paths.assign(sign=np.sign(top["effect"]), significant=is_significant(top))
    flows = paths.astype(dict.fromkeys([*keys, "TF", "target"], str)).merge(
        types.astype({"sender": str, "receiver": str}), on=keys, how="left"
    )
    flows = flows.fillna({"sender": NOT_LISTED, "receiver": NOT_LISTED, "share": 1.0})
    flows = flows.assign(value=flows["score"] * flows["share"])
    for column in ("sender", "receiver"):
        total = flows.groupby(column)["value"].sum().sort_values(ascending=False, kind="stable")
        if top_types is not None and len(total) > top_types:
            flows[column] = flows[column].where(flows[column].isin(total.index[:top_types]), OTHERS)
    grouped = flows.groupby([*STOPS, "sign", "significant"], sort=False)
    return grouped["value"].sum().reset_index()


def _layout(flows: pd.DataFrame, columns: list[list[str]]) -> Drawing:
    """Return where the bars are; the sum of their heights is the same in every column."""
    total = float(flows["value"].sum()) or 1.0
    height = max(FLOW + SPACE * max(len(names) - 1, 0) for names in columns)
    bottoms, sizes = [], []
    for stop, names in zip(STOPS, columns, strict=True):
        share = flows.groupby(stop)["value"].sum() / total
        size = {str(name): FLOW * value for name, value in share.items()}
        top = (height + FLOW + SPACE * max(len(names) - 1, 0)) / 2
        bottom = {}
        for name in names:
            bottom[name] = top - size[name]
            top = bottom[name] - SPACE
        bottoms.append(bottom)
        sizes.append(size)
    return Drawing(bottoms, sizes, height)


def _ends(
    steps: pd.DataFrame, drawing: Drawing, position: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the upper ends of every flow on the left and on the right, and its width."""
    left, right = drawing.bottom[position], drawing.bottom[position + 1]
    width = steps["value"].to_numpy() * sum(drawing.size[position].values())
    width = width / (steps["value"].sum() or 1.0)
    upper = []
    for near, far, bottom, size in (
        ("begin", "end", right, drawing.size[position]),
        ("end", "begin", left, drawing.size[position + 1]),
    ):
        own = left if near == "begin" else right
        order = np.lexsort((-steps["sign"], -steps[far].map(bottom), -steps[near].map(own)))
        ordered = pd.Series(width[order], index=steps[near].to_numpy()[order])
        above = ordered.groupby(level=0, sort=False).cumsum().to_numpy() - ordered.to_numpy()
        top = np.array([own[name] + size[name] for name in ordered.index])
        end = np.empty(len(steps))
        end[order] = top - above
        upper.append(end)
    return upper[0], upper[1], width


def _draw_flows(ax: Axes, steps: pd.DataFrame, drawing: Drawing, position: int) -> None:
    """Draw the flows between two columns; begin and end are as high as their share of the bars."""
    across = np.linspace(0.0, 1.0, N_POINTS)
    ease = across * across * (3.0 - 2.0 * across)
    x = position + BAR / 2 + (1.0 - BAR) * across
    left, right, width = _ends(steps, drawing, position)
    for begin, end, size, sign in zip(left, right, width, steps["sign"], strict=True):
        upper = begin + (end - begin) * ease
        style: dict[str, Any] = {
            "alpha": OPACITY,
            "linewidth": 0,
            "color": UP if sign > 0 else DOWN,
        }
        ax.fill_between(x, upper - size, upper, **style)


def _mark(ax: Axes, flows: pd.DataFrame, drawing: Drawing) -> None:
    """Draw a dot on every flow from TF to target with a significant cascade."""
    position = STOPS.index("TF")
    grouped = flows.groupby(["TF", "target", "sign"], sort=False)
    steps = grouped.agg(value=("value", "sum"), significant=("significant", "max")).reset_index()
    steps = steps.rename(columns={"TF": "begin", "target": "end"})
    left, right, width = _ends(steps, drawing, position)
    marked = steps["significant"].to_numpy(dtype=bool)
    middle = ((left + right) / 2 - width / 2)[marked]
    style: dict[str, Any] = {
        "s": DOT**2,
        "color": MARK,
        "edgecolors": "white",
        "linewidths": 0.6,
        "zorder": 4,
    }
    ax.scatter(np.full(len(middle), position + 0.5), middle, gid=SIGNIFICANT, **style)


def _bar_colours(adata: AnnData, columns: list[list[str]], key: str) -> list[dict[str, str]]:
    """Return the colours of the bars: those of cell types at both ends, otherwise grey."""
    names = list(dict.fromkeys([*columns[0], *columns[-1]]))
    types = [name for name in names if name not in {OTHERS, NOT_LISTED}]
    colours = category_colours(adata, get.params(adata, key=key)["cell_type_key"], types)
    ends = {name: colours.get(name, NEUTRAL) for name in names}
    grey = [dict.fromkeys(names, NEUTRAL) for names in columns[1:-1]]
    return [ends, *grey, ends]


def _width(columns: list[list[str]]) -> float:
    """Return the width of a new figure in inches, with room for the cell types at both ends."""
    longest = (max(map(len, names), default=0) for names in (columns[0], columns[-1]))
    beyond = sum(max(min(n, LONGEST_OF_TWO) - LONGEST_IN_AXES, 0) for n in longest)
    return COLUMN * len(STOPS) + beyond * WIDTH * NAME_SIZE / 72


def _draw_bars(ax: Axes, drawing: Drawing, colours: list[dict[str, str]], ends: int) -> None:
    """Draw the bars with their names, and the headers of the columns.

    Cell types have at most ``ends`` characters.
    """
    from matplotlib.patches import Rectangle

    ax.set_xlim(-0.35, len(STOPS) - 0.65)
    ax.set_ylim(-0.5, drawing.height + 0.45)
    settle(ax)
    width, height = points(ax)
    size = float(np.clip(height / (drawing.height + 1) * SPACE * 0.8, 4.0, NAME_SIZE))
    header_size = float(np.clip(width / len(STOPS) / HEADER_WIDTH, 4.0, 9.0))
    for position, (bottoms, sizes) in enumerate(zip(drawing.bottom, drawing.size, strict=True)):
        longest = ends if position in (0, len(STOPS) - 1) else LONGEST
        for name, bottom in bottoms.items():
            colour = colours[position][name]
            corner = (position - BAR / 2, bottom)
            ax.add_patch(Rectangle(corner, BAR, sizes[name], facecolor=colour, lw=0, zorder=3))
            side, shift = ("left", 1) if position else ("right", -1)
            x, y = position + shift * BAR * 0.7, bottom + sizes[name] / 2
            ax.text(x, y, elided(name, longest), ha=side, va="center", fontsize=size, zorder=5)
        style: dict[str, Any] = {"ha": "center", "va": "bottom", "color": NEUTRAL}
        ax.text(position, drawing.height + 0.1, STOPS[position], fontsize=header_size, **style)
