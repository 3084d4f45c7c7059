"""Paths from pairs through TFs to targets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
from anndata import AnnData

from .. import _keys, get
from .._check import count
from .._edges import LR_TFS, TF_TARGETS, EdgeKind
from ._drawing.axes import NEUTRAL, label_width, new_axes, nothing_left
from ._drawing.labels import edge_names, elided
from ._drawing.significance import SIGNIFICANT, counted, is_significant
from ._drawing.steps import draw_steps, heights_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Inches between columns of names, and the height of a name.
GAP, ROW = 2.2, 0.24
#: Headers of the columns and alignment of the names.
COLUMNS = (("ligand → receptor", "right"), ("TF", "center"), ("target", "left"))


def cascades(
    adata: AnnData, *, top_n: int | None = 30, key: str = _keys.RESULT, ax: Axes | None = None
) -> Axes:
    """Draw the strongest paths pair → TF → target, in three columns.

    A line is a step. Its width is the size of the effect; it is red if the step raises its end and
    blue if it lowers it. A step that several paths share is drawn once. A significant step
    (q ≤ 0.1) is solid with a black dot in its middle, others are dashed; such steps need a
    ``max_q`` above 0.1 in :func:`spatrace_sc.tl.cascades`. A line under the title counts the paths
    with two significant steps.

    Parameters
    ----------
    adata
        After :func:`spatrace_sc.tl.cascades`.
    top_n
        Paths to draw, the strongest first. None: all.
    key
        Name of the result.
    ax
        Axes to draw in. None: a new figure.

    Returns
    -------
    The Axes.

    Raises
    ------
    MissingKeyError
        ``adata`` has no such result, or no cascades.
    InvalidArgumentError
        ``top_n`` is not a positive whole number.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata)
    >>> st.tl.cascades(adata, max_q=1.0)
    >>> st.pl.cascades(adata, top_n=5).get_title().split(" of ")[0]
    '5 strongest'
    """
    count(top_n, "top_n")
    table = get.cascades(adata, key=key)
    top = table.head(len(table) if top_n is None else top_n)
    steps = [
        _steps(top, kind, effect, getattr(get, kind.name)(adata, key=key))
        for kind, effect in ((LR_TFS, "pair_on_tf"), (TF_TARGETS, "tf_on_target"))
    ]
    tfs = list(dict.fromkeys(steps[0]["end"]))
    columns = [list(dict.fromkeys(steps[0]["begin"])), tfs, _targets_by_tf(top, tfs)]
    rows = max(map(len, columns))
    width = label_width(columns[0]) + label_width(columns[2])
    ax = new_axes(ax, 2 * GAP + width + 0.4, 0.9 + ROW * max(rows, 6))
    ax.set_axis_off()
    if top.empty:
        return nothing_left(ax, "No path pair → TF → target with two significant steps")
    heights = [heights_of(names, rows) for names in columns]
    for position, step in enumerate(steps):
        draw_steps(ax, step, heights[position], heights[position + 1], position)
    _draw_names(ax, heights, rows)
    colours = "red raises, blue lowers"
    if any(step["significant"].any() for step in steps):
        colours += f"\nsolid with a dot = {SIGNIFICANT}"
    ax.text(1, -0.2, colours, ha="center", va="top", fontsize=8, color=NEUTRAL)
    predicate = "with both steps significant"
    line = counted(is_significant(top), mark="two dots", predicate=predicate)
    ax.set_title(f"{len(top)} strongest of {len(table)} paths\n{line}", fontsize=10)
    return ax


def _steps(top: pd.DataFrame, kind: EdgeKind, effect: str, edges: pd.DataFrame) -> pd.DataFrame:
    """Return every step of one kind once: ``begin, end, effect, significant``."""
    table = pd.DataFrame(
        {
            "begin": edge_names(top, kind.source),
            "end": top[kind.target].astype(str),
            "effect": top[effect].to_numpy(dtype=float),
        }
    )
    edges = edges[is_significant(edges)]
    significant = pd.MultiIndex.from_arrays(
        [edge_names(edges, kind.source), edges[kind.target].astype(str)]
    )
    table["significant"] = pd.MultiIndex.from_frame(table[["begin", "end"]]).isin(significant)
    return table.drop_duplicates(["begin", "end"], ignore_index=True)


def _targets_by_tf(top: pd.DataFrame, tfs: list[str]) -> list[str]:
    """Return the targets in the order of their TFs, so that few lines cross."""
    position = pd.Series(
        pd.Index(tfs).get_indexer(pd.Index(top["tf"].astype(str))),
        index=top["target"].astype(str),
        dtype=float,
    )
    return list(position.groupby(level=0).mean().sort_values(kind="stable").index)


def _draw_names(ax: Axes, heights: list[dict[str, float]], rows: int) -> None:
    """Write the names of the three columns and their headers."""
    frame: dict[str, Any] = {"facecolor": "white", "edgecolor": NEUTRAL, "lw": 0.6}
    frame |= {"boxstyle": "round,pad=0.2"}
    for position, (names, (header, side)) in enumerate(zip(heights, COLUMNS, strict=True)):
        style: dict[str, Any] = {"ha": side, "bbox": frame if side == "center" else None}
        for name, height in names.items():
            ax.text(position, height, elided(name), va="center", fontsize=8, **style)
        ax.text(position, rows + 0.4, header, ha=side, va="bottom", fontsize=9, color=NEUTRAL)
    ax.set_xlim(-0.02, 2.02)
    ax.set_ylim(-0.8, rows + 1.0)
