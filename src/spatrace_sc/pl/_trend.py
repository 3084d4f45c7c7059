"""Strength of pairs, TFs and modules along stages or pseudotime."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData

from .. import _keys, get
from .._check import count
from .._edges import ACTIVITY_KINDS, LR_PAIRS, joined, public_word
from ._drawing.axes import NEUTRAL, new_axes, nothing_left, points, settle
from ._drawing.colours import OKABE_ITO
from ._drawing.fitted_text import LABEL, OVERHANG, TITLE, ellipsis, wrapped
from ._drawing.labels import ACTIVITY_LABELS, readable
from ._drawing.significance import THRESHOLD, is_significant, stage_word

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Colours of lines: those of Okabe and Ito without yellow, which is too pale for a line.
LINES = tuple(colour for colour in OKABE_ITO if colour != "#F0E442")
#: Markers that repeat with another period than the colours.
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
#: Width over which lines are spread around a stage, as a share of the distance to the next.
SPREAD = 0.2
#: Longest name in a legend of one column and of several, in characters; its size in points.
LONGEST_NAME, LONGEST_OF_MANY, LEGEND = 34, 17, 7.5
#: Rows of the legend, and inches by which every further column widens a new figure.
LEGEND_ROWS, COLUMN = 16, 1.3


def trend(
    adata: AnnData,
    names: str | Sequence[str] | None = None,
    *,
    kind: str = LR_PAIRS.name,
    top_n: int | None = 6,
    time_key: str | None = None,
    n_bins: int = 10,
    key: str = _keys.RESULT,
    ax: Axes | None = None,
) -> Axes:
    """Draw the mean activity of pairs, TFs or modules by stage, or along pseudotime.

    Bars are one standard error to each side, between local squares of tissue
    (:func:`spatrace_sc.get.trend`). A black ring marks significance over all cells (q ≤ 0.1): a
    pair by its own q, a TF by a target, a module by a main pair. The figure describes;
    :func:`spatrace_sc.tl.compare` tests differences between stages.

    Parameters
    ----------
    adata
        With a result of :func:`spatrace_sc.tl.infer_ccc`.
    names
        Pairs ``"ligand^receptor"``, TFs or modules. None: the strongest.
    kind
        ``"lr_pairs"``; ``"tfs"``, whose activity is 0 in the mean receiver; or, after
        :func:`spatrace_sc.tl.modules`, ``"modules"``.
    top_n
        Number of the strongest to draw if ``names`` is None. None: all.
    time_key
        None: by stage. A numeric column of ``obs`` such as ``"dpt_pseudotime"``: by its quantiles.
    n_bins
        Number of quantiles of ``time_key``.
    key
        Name of the result.
    ax
        Axes to draw in. None: a new figure.

    Returns
    -------
    The Axes; every line is a container of ``ax.containers``.

    Raises
    ------
    MissingKeyError
        ``adata`` has no such result, column or modules.
    InvalidArgumentError
        An argument is out of range, or names something that is not in the result.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata, sample_key="sample", stage_key="stage")
    >>> ax = st.pl.trend(adata, ["TF000", "TF001"], kind="tfs")
    >>> len(ax.containers)
    2
    """
    count(top_n, "top_n")
    kind = public_word(kind, ACTIVITY_KINDS)
    table = get.trend(adata, kind, names, time_key=time_key, n_bins=n_bins, key=key)
    every = list(dict.fromkeys(table["name"]))
    drawn = every if names is not None else every[:top_n]
    ax = new_axes(ax, 7.1 + COLUMN * max(0, -(-len(drawn) // LEGEND_ROWS) - 1), 3.4)
    label = ACTIVITY_LABELS[kind]
    if table.empty:
        return nothing_left(ax, f"No {label.noun} has an activity")
    significant = _significant_names(adata, kind, key)
    by_stage = time_key is None
    _draw(ax, table[table["name"].isin(drawn)], significant, by_stage)
    n = sum(name in significant for name in drawn)
    which = f"{len(drawn)} strongest " if len(drawn) < len(every) and names is None else ""
    rings = f"{n} of {len(drawn)} significant over all cells ({THRESHOLD}, ringed)"
    title = f"{which or f'{len(drawn)} '}{_plural(label.noun, len(drawn))}"
    ax.set_xlabel(stage_word(adata, key) if by_stage else f"{time_key} (mean of a quantile)")
    lines = [f"mean {label.axis}", "± se between squares of tissue"]
    settle(ax)
    width, height = points(ax)
    ax.set_ylabel(wrapped(lines, height, LABEL), fontsize=LABEL)
    ax.set_title(wrapped([title, rings], OVERHANG * width, TITLE), fontsize=TITLE)
    return ax


def _plural(noun: str, n: int) -> str:
    """Return the noun for this number of things."""
    return noun if n == 1 else f"{noun}s"


def _significant_names(adata: AnnData, kind: str, key: str) -> set[str]:
    """Return the pairs, the TFs with a target, or the modules with a main pair, at q ≤ 0.1."""
    if kind == "tfs":
        edges = get.tf_targets(adata, key=key)
        return set(edges.loc[is_significant(edges), "tf"].astype(str))
    pairs = get.lr_pairs(adata, key=key)
    names = set(joined(pairs[is_significant(pairs)], LR_PAIRS.columns))
    if kind == LR_PAIRS.name:
        return names
    table = get.modules(adata, key=key)
    main = table[table["main"].astype(bool)]
    return set(main.loc[joined(main, LR_PAIRS.columns).isin(names), "module"].astype(str))


def _draw(ax: Axes, table: pd.DataFrame, significant: set[str], by_stage: bool) -> None:
    """Draw a line with error bars for every name, and the legend next to the axes."""
    names = list(dict.fromkeys(table["name"]))
    several = len(names) > LEGEND_ROWS
    shift = SPREAD * (np.arange(len(names)) / max(len(names) - 1, 1) - 0.5) if by_stage else None
    for k, name in enumerate(names):
        rows = table[table["name"] == name]
        x = rows["time"].to_numpy(dtype=float) + (0 if shift is None else shift[k])
        ringed = name in significant
        style: dict[str, Any] = {"color": LINES[k % len(LINES)], "lw": 1.3, "capsize": 2}
        style |= {"marker": MARKERS[k % len(MARKERS)], "ms": 5.5, "elinewidth": 1.0}
        style |= {"mec": "black" if ringed else style["color"], "mew": 1.4 if ringed else 0.0}
        label = ellipsis(readable(name), LONGEST_OF_MANY if several else LONGEST_NAME)
        ax.errorbar(x, rows["mean"], yerr=rows["se"].fillna(0.0), label=label, **style)
    if by_stage:
        first = table.drop_duplicates("group").sort_values("time")
        crowded = len(first) > 8 or first["group"].str.len().max() > 10
        ax.set_xticks(first["time"], first["group"], rotation=90 if crowded else 0, fontsize=8)
    if table["mean"].min() < 0 < table["mean"].max():
        ax.axhline(0, color=NEUTRAL, lw=0.6, zorder=0)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(
        loc="upper left",
        bbox_to_anchor=(1.01, 1.0),
        frameon=False,
        fontsize=LEGEND,
        borderaxespad=0,
        ncols=-(-len(names) // LEGEND_ROWS),
        columnspacing=0.8,
    )
