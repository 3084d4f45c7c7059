"""The network in four layers: ligands, receptors, TFs and targets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
from anndata import AnnData

from .. import _keys, get
from .._check import count
from ._drawing.axes import NEUTRAL, label_width, new_axes, nothing_left
from ._drawing.labels import elided
from ._drawing.significance import SIGNIFICANT, at_stage, counted, is_significant, up_to
from ._drawing.steps import draw_steps, heights_of, ordered_columns

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Headers of the layers.
LAYERS = ("ligand", "receptor", "TF", "target")
#: Inches between layers, and the height of a name.
GAP, ROW = 1.5, 0.22


def layers(
    adata: AnnData,
    *,
    top_n: int | None = 25,
    max_q: float | None = None,
    stage: str | None = None,
    key: str = _keys.RESULT,
    ax: Axes | None = None,
) -> Axes:
    """Draw the strongest edges as a network in layers: ligand → receptor → TF → target.

    The TF edges of :func:`spatrace_sc.get.tf_targets` come first, then the effects of pairs on
    their TFs (:func:`spatrace_sc.get.lr_tfs`), then these pairs (:func:`spatrace_sc.get.lr_pairs`).
    Of several pairs with one receptor, the strongest is drawn from this receptor to a TF. The width
    of a line is the size of the effect, relative to the strongest between its two layers; it is
    red if the effect raises its end, blue if it lowers it, and grey for pairs, which have no sign.
    A significant edge (q ≤ 0.1) is solid with a black dot in its middle, others are dashed. Names
    are ordered so that few lines cross.

    Parameters
    ----------
    adata
        With a result of :func:`spatrace_sc.tl.infer_ccc`.
    top_n
        TF → target edges, and effects of pairs on TFs, to draw; the strongest first. None: all.
    max_q
        Only edges with at most this q. None: all. Pairs are drawn whatever their q.
    stage
        None: the whole data set. A stage: effects there, with the q of the whole data set.
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
        ``adata`` has no such result.
    InvalidArgumentError
        An argument is out of range, or the result has no such stage.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata)
    >>> ax = st.pl.layers(adata, top_n=10)
    >>> [text.get_text() for text in ax.texts][-4:]
    ['ligand', 'receptor', 'TF', 'target']
    """
    count(top_n, "top_n")
    tables = [getattr(get, name)(adata, stage, key=key) for name in ("lr_pairs", "lr_tfs")]
    edges, limit = up_to(get.tf_targets(adata, stage, key=key), max_q)
    effects = tables[1] if max_q is None else up_to(tables[1], max_q)[0]
    steps = _prepare(tables[0], effects, edges, top_n)
    columns = _columns(steps)
    rows = max(map(len, columns))
    names = [name for column in columns for name in column]
    ax = new_axes(ax, 3 * GAP + 2 * label_width(names) + 0.3, 1.0 + ROW * max(rows, 6))
    ax.set_axis_off()
    suffix = limit + at_stage(adata, stage, key)
    if not rows:
        return nothing_left(ax, f"No TF → target edges{suffix or ' with a score above 0'}")
    heights = [heights_of(column, rows) if column else {} for column in columns]
    for position, table in enumerate(steps):
        colour = None if position else NEUTRAL
        if len(table):
            draw_steps(ax, table, heights[position], heights[position + 1], position, colour)
    every = pd.concat(steps)["significant"].to_numpy(dtype=bool)
    words = "red raises, blue lowers"
    if every.any():
        words += f"\nsolid with a dot = {SIGNIFICANT}"
    ax.text(1.5, -0.2, words, ha="center", va="top", fontsize=8, color=NEUTRAL)
    _draw_names(ax, heights, rows)
    n, m = len(steps[2]), len(steps[1])
    on_tfs = f"{m} effect{'' if m == 1 else 's'} on their TFs"
    title = f"{n} TF → target edge{'' if n == 1 else 's'}, {on_tfs}{suffix}"
    ax.set_title(f"{title}\n{counted(every, 'lines')}", fontsize=10)
    return ax


def _prepare(
    pairs: pd.DataFrame, on_tfs: pd.DataFrame, edges: pd.DataFrame, top_n: int | None
) -> list[pd.DataFrame]:
    """Return ``begin, end, effect, significant`` between the layers, from left to right."""
    edges = edges[edges["score"].to_numpy() > 0].head(len(edges) if top_n is None else top_n)
    on_tfs = on_tfs[on_tfs["tf"].astype(str).isin(edges["tf"].astype(str))]
    on_tfs = on_tfs.head(len(on_tfs) if top_n is None else top_n)
    drawn = pd.MultiIndex.from_frame(on_tfs[["ligand", "receptor"]].astype(str))
    chosen = pd.MultiIndex.from_frame(pairs[["ligand", "receptor"]].astype(str)).isin(drawn)
    return [
        _steps(pairs[chosen], "ligand", "receptor", "score"),
        _steps(on_tfs, "receptor", "tf", "effect"),
        _steps(edges, "tf", "target", "effect"),
    ]


def _steps(table: pd.DataFrame, begin: str, end: str, effect: str) -> pd.DataFrame:
    """Return every step once, the strongest of several."""
    steps = pd.DataFrame(
        {
            "begin": table[begin].astype(str).to_numpy(dtype=object),
            "end": table[end].astype(str).to_numpy(dtype=object),
            "effect": table[effect].to_numpy(dtype=float),
            "significant": is_significant(table),
        }
    ).sort_values("effect", key=abs, ascending=False, kind="stable")
    return steps.drop_duplicates(["begin", "end"], ignore_index=True)


def _columns(steps: list[pd.DataFrame]) -> list[list[str]]:
    """Return the names of the four layers, ordered so that few steps cross."""
    names = [
        list(dict.fromkeys(steps[0]["begin"])),
        list(dict.fromkeys([*steps[0]["end"], *steps[1]["begin"]])),
        list(dict.fromkeys([*steps[1]["end"], *steps[2]["begin"]])),
        list(dict.fromkeys(steps[2]["end"])),
    ]
    return ordered_columns(names, steps)


def _draw_names(ax: Axes, heights: list[dict[str, float]], rows: int) -> None:
    """Write the names of the layers next to the ends of the lines, and their headers."""
    frame: dict[str, Any] = {
        "facecolor": "white",
        "edgecolor": NEUTRAL,
        "lw": 0.5,
        "boxstyle": "round,pad=0.15",
    }
    for position, column in enumerate(heights):
        side = ("right", "center", "center", "left")[position]
        box = frame if side == "center" else None
        for name, height in column.items():
            text = elided(name)
            ax.text(position, height, text, ha=side, va="center", fontsize=7.5, bbox=box)
    for position, header in enumerate(LAYERS):
        side = ("right", "center", "center", "left")[position]
        style: dict[str, Any] = {"ha": side, "va": "bottom", "fontsize": 9, "color": NEUTRAL}
        ax.text(position, rows + 0.4, header, **style)
    ax.set_xlim(-0.05, 3.05)
    ax.set_ylim(-0.8, rows + 1.0)
