"""Targets that change when something is removed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData

from .. import _keys, get
from ._shared import DOWN, NEUTRAL, UP, count, label_ticks, label_width, new_axes, nothing_left
from ._significance import SUPPORTED, at_stage, counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Standard errors to each side of a change.
REACH = 1.96
#: Height of a target, in inches.
ROW = 0.21
#: How pale the part through other TFs is.
PALE = 0.4
#: Line around bars and hollow dots, in points.
OUTLINE = 0.8
#: What the legend says, in its order.
LEGEND = (
    "direct",
    "through other TFs",
    "sum, 95 % over refits",
    f"no edge with {SUPPORTED} leads there",
)


def knockout(
    adata: AnnData,
    name: str | None = None,
    stage: str | None = None,
    *,
    top_n: int | None = 25,
    key: str = _keys.RESULT,
    ax: Axes | None = None,
) -> Axes:
    """The targets that change most, one row each.

    The full bar is what the removal does directly, the pale bar what it does through other TFs; the dot is their sum, with 1.96 standard errors over refits to each side. Red is up, blue is down.
    Bars and dots are hollow where no edge with q ≤ 0.1 leads to the target (column ``evidence`` of :func:`spatrace_sc.get.knockout`); a line under the title counts the others.

    Parameters
    ----------
    adata
        After :func:`spatrace_sc.tl.knockout`.
    name
        Name of the knockout. None: the only one that is stored.
    stage
        Mean over the receivers of this stage. None: over all.
    top_n
        Targets to draw. None: all that change.
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
    >>> st.tl.knockout(adata, tf="TF000")
    >>> st.pl.knockout(adata, top_n=10).get_title().split(":")[0]
    'Without tf'
    """
    count(top_n, "top_n")
    table = get.knockout(adata, name, stage, key=key)
    label = get.knockouts(adata, key=key)[0] if name is None else name
    changed = table[table["change"] != 0]
    top = changed.head(len(changed) if top_n is None else top_n)
    names = [str(g) for g in top["target"]]
    ax = new_axes(ax, 4.2 + label_width(names), 1.7 + ROW * max(len(top), 6))
    if top.empty:
        return nothing_left(ax, f"No target changes without {label}")
    _bars(ax, top)
    ax.set_xlabel("change of the target (standard deviations)")
    what = f"Without {label}: {len(top)} of {len(changed)} targets that change{at_stage(adata, stage, key)}"
    ax.set_title(f"{what}\n{counted((top['evidence'] == 'supported').to_numpy())}", fontsize=10)
    ax.set_ylim(len(top) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    label_ticks(ax, y=names)
    return ax


def _bars(ax: Axes, top: pd.DataFrame) -> None:
    """Direct and mediated parts side by side from 0, outwards where they agree, and their sum."""
    from matplotlib.colors import to_rgba

    place, supported = np.arange(len(top)), (top["evidence"] == "supported").to_numpy()
    direct, mediated, change, se = (
        top[c].to_numpy(dtype=float) for c in ("direct", "mediated", "change", "se")
    )
    same = np.sign(direct) == np.sign(mediated)
    for values, start, pale, text in (
        (direct, 0.0, 1.0, LEGEND[0]),
        (mediated, np.where(same, direct, 0.0), PALE, LEGEND[1]),
    ):
        colours = np.where(values > 0, UP, DOWN)
        faces, edges = (
            [to_rgba(c, pale if filled else 0.0) for c, filled in zip(colours, inside, strict=True)]
            for inside in (supported.tolist(), [True] * len(top))
        )
        ax.barh(place, values, left=start, color=faces, edgecolor=edges, height=0.66, lw=OUTLINE)
        ax.barh([0], [0.0], color=NEUTRAL, alpha=pale, label=text, lw=0)
    known = np.where(np.isfinite(se), se, 0.0)
    ax.errorbar(
        change,
        place,
        xerr=REACH * known,
        fmt="o",
        ms=3.5,
        color="black",
        ecolor="black",
        elinewidth=0.8,
        label=LEGEND[2],
    )
    if not supported.all():
        style: dict[str, Any] = {
            "ms": 3.5,
            "mfc": "white",
            "mec": "black",
            "mew": OUTLINE,
            "zorder": 3,
        }
        ax.plot(change[~supported], place[~supported], "o", label=LEGEND[3], **style)
    ax.axvline(0.0, color=NEUTRAL, lw=0.8)
    handles = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    ordered = [handles.pop(text) for text in LEGEND if text in handles]
    ax.legend(
        handles=[*ordered, *handles.values()],
        fontsize=7,
        frameon=False,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.55 / (0.3 + ROW * max(len(top), 6))),
        ncols=2,
    )
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)
