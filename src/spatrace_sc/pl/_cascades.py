"""Paths from pairs through TFs to targets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from anndata import AnnData

from .. import _keys, get
from ._shared import ARROW, DOWN, NEUTRAL, UP, count, label_width, new_axes, nothing_left
from ._significance import PALE, UNSUPPORTED, counted, is_supported

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Widest and thinnest line, in points.
WIDEST, THINNEST = 5.0, 0.6
#: Dashes and gaps of a step without support, in line widths.
BROKEN = (0, (2.0, 0.7))
#: Inches between columns of names, and height of a name.
APART, ROW = 2.2, 0.24


def cascades(
    adata: AnnData, *, top_n: int | None = 30, key: str = _keys.RESULT, ax: Axes | None = None
) -> Axes:
    """The strongest paths pair → TF → target, in three columns.

    A line is a step: as wide as its effect is large, red where it raises and blue where it lowers what it ends on. A step that several paths share is drawn once.
    Steps with q > 0.1 are pale and broken, which needs a ``max_q`` above 0.1 in :func:`spatrace_sc.tl.cascades`; a line under the title counts the paths of which both steps are supported.

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
    MissingKeyError, InvalidArgumentError

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
    pair = top["ligand"].astype(str) + ARROW + top["receptor"].astype(str)
    columns = [list(dict.fromkeys(names.astype(str))) for names in (pair, top["tf"])]
    columns.append(_beside(top, columns[1]))
    rows = max(map(len, columns))
    wide = label_width(columns[0]) + label_width(columns[2])
    ax = new_axes(ax, 2 * APART + wide + 0.4, 0.9 + ROW * max(rows, 6))
    ax.set_axis_off()
    if top.empty:
        return nothing_left(ax, "No path pair → TF → target with both steps supported")
    known = [
        _known(get.lr_tfs(adata, key=key), "tf"),
        _known(get.tf_targets(adata, key=key), "target"),
    ]
    steps = [
        _steps(pair, top["tf"], top["pair_on_tf"], known[0]),
        _steps(top["tf"], top["target"], top["tf_on_target"], known[1]),
    ]
    place = [_places(names, rows) for names in columns]
    for number, step in enumerate(steps):
        _lines(ax, step, place[number], place[number + 1], number)
    every = all(step["supported"].all() for step in steps)
    _names(ax, place, rows, "" if every else f"; broken: {UNSUPPORTED}")
    supported = counted(is_supported(top), mark="broken")
    ax.set_title(f"{len(top)} strongest of {len(table)} paths\n{supported}", fontsize=10)
    return ax


def _beside(top: pd.DataFrame, tfs: list[str]) -> list[str]:
    """Targets in the order of their TFs, so that few lines cross."""
    height = pd.Series(
        pd.Index(tfs).get_indexer(pd.Index(top["tf"].astype(str))),
        index=top["target"].astype(str),
        dtype=float,
    )
    return list(height.groupby(level=0).mean().sort_values(kind="stable").index)


def _known(edges: pd.DataFrame, end: str) -> set[tuple[str, str]]:
    """Begin and end of the supported edges."""
    kept = edges[is_supported(edges)].astype(str)
    begin = kept["ligand"] + ARROW + kept["receptor"] if "ligand" in kept else kept["tf"]
    return set(zip(begin, kept[end], strict=True))


def _steps(
    begin: pd.Series, end: pd.Series, effect: pd.Series, known: set[tuple[str, str]]
) -> pd.DataFrame:
    """Every step once: ``begin, end, effect, supported``."""
    table = pd.DataFrame(
        {"begin": begin.astype(str), "end": end.astype(str), "effect": effect.to_numpy(dtype=float)}
    )
    table["supported"] = [step in known for step in zip(table["begin"], table["end"], strict=True)]
    return table.drop_duplicates(["begin", "end"], ignore_index=True)


def _places(names: list[str], rows: int) -> dict[str, float]:
    """Height of every name, evenly spread, the first at the top."""
    return dict(zip(names, rows - (np.arange(len(names)) + 0.5) * rows / len(names), strict=True))


def _lines(
    ax: Axes, steps: pd.DataFrame, left: dict[str, float], right: dict[str, float], number: int
) -> None:
    """Curves from one column to the next; widths are relative to the strongest of the step."""
    across = np.linspace(0.0, 1.0, 40)
    ease = across * across * (3.0 - 2.0 * across)
    largest = steps["effect"].abs().max()
    for begin, end, effect, supported in steps.sort_values("effect", key=abs).itertuples(
        index=False, name=None
    ):
        height = left[begin] + (right[end] - left[begin]) * ease
        width = max(WIDEST * abs(effect) / largest, THINNEST) if largest > 0 else THINNEST
        ax.plot(
            number + 0.04 + 0.92 * across,
            height,
            color=UP if effect > 0 else DOWN,
            lw=width,
            linestyle="-" if supported else BROKEN,
            alpha=0.55 if supported else PALE,
            solid_capstyle="butt",
            dash_capstyle="butt",
        )


def _names(ax: Axes, place: list[dict[str, float]], rows: int, broken: str) -> None:
    """Names of the three columns and what they are."""
    sides = ("right", "center", "left")
    for number, (names, side) in enumerate(zip(place, sides, strict=True)):
        for name, height in names.items():
            box = {
                "facecolor": "white",
                "edgecolor": NEUTRAL,
                "boxstyle": "round,pad=0.2",
                "lw": 0.6,
            }
            ax.text(
                number,
                height,
                name,
                ha=side,
                va="center",
                fontsize=8,
                bbox=box if side == "center" else None,
            )
        what = ("ligand → receptor", "TF", "target")[number]
        ax.text(number, rows + 0.4, what, ha=side, va="bottom", fontsize=9, color=NEUTRAL)
    ax.text(
        1,
        -0.2,
        f"red raises, blue lowers{broken}",
        ha="center",
        va="top",
        fontsize=8,
        color=NEUTRAL,
    )
    ax.set_xlim(-0.02, 2.02)
    ax.set_ylim(-0.8, rows + 1.0)
