"""Differences between groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys, get
from .._check import count
from .._edges import COMPARED_COLUMNS, LEVELS, public_word
from ._drawing.axes import DOWN, NEUTRAL, UP, label_ticks, label_width, new_axes, nothing_left
from ._drawing.labels import COMPARED_LABELS, edge_names
from ._drawing.significance import (
    MARK,
    RINGED,
    THRESHOLD,
    counted,
    is_significant,
    ring_handle,
    rings,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Colours of the kinds of change.
COLOURS = {
    **dict.fromkeys(("gained", "appears", "strengthens"), UP),
    **dict.fromkeys(("lost", "disappears", "weakens"), DOWN),
    "changed": "#009E73",
}
#: Entries of column ``change`` that are not drawn.
NO_CHANGE = ("kept", "steady", "")
#: Colour of standard errors.
ERROR = "#BBBBBB"
#: Area of the dot of the group, in points², and the entry of its black centre.
AREA, OVERALL = 28.0, f"significant over all cells ({THRESHOLD})"
#: Distance of the reference and the group from the middle of their row, in rows.
OFFSET = 0.12


def comparison(
    adata: AnnData,
    kind: str = "tf_targets",
    *,
    group: str | None = None,
    top_n: int | None = 20,
    key: str = _keys.RESULT,
    ax: Axes | None = None,
) -> Axes:
    """Draw differences between groups: an arrow from the reference to the group for every change.

    The square is the effect in the reference and the dot the effect in the group; grey bars are
    two standard errors to each side. A ring marks a difference with q ≤ 0.1, and a black centre an
    edge or pair that is also significant over all cells (:func:`spatrace_sc.get.lr_targets`; for a
    TF, one of its edges). A line under the title counts the differences with q ≤ 0.1 in the whole
    table, as the log of :func:`spatrace_sc.tl.compare` does.

    Parameters
    ----------
    adata
        After :func:`spatrace_sc.tl.compare`.
    kind
        One of the tables of :func:`spatrace_sc.get.comparison`.
    group
        Only this group against its reference. None: all.
    top_n
        Changes to draw, those with the smallest p. None: all.
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
        ``adata`` has no such result, or no comparison.
    InvalidArgumentError
        An argument is out of range, or the group was not compared.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata, sample_key="sample", stage_key="stage")
    >>> st.tl.compare(adata, "stage", top_n=20)
    >>> ax = st.pl.comparison(adata, "tf_activity", top_n=5)
    >>> ax.get_xlabel()
    'mean activity (SD of the targets)'
    """
    kind = public_word(kind, COMPARED_COLUMNS)
    count(top_n, "top_n")
    table = get.comparison(adata, kind, group=group, key=key)
    changed = table[~table["change"].isin(NO_CHANGE)]
    top = changed.head(len(changed) if top_n is None else top_n)
    several = len(table.drop_duplicates(["group", "reference"])) > 1
    names = _row_names(top, COMPARED_COLUMNS[kind], several)
    ax = new_axes(ax, 5.5 + label_width(names), 1.4 + 0.24 * max(len(top), 6))
    label = COMPARED_LABELS[kind]
    ax.set_xlabel(label.axis)
    if table.empty:
        return nothing_left(ax, f"No {label.plural} to compare")
    if top.empty:
        return nothing_left(
            ax, f"None of {len(table)} compared {label.plural} differs significantly"
        )
    groups = "" if several else f", {top['group'].iloc[0]} against {top['reference'].iloc[0]}"
    overall = _significant_overall(adata, kind, top, key)
    title = f"{len(top)} of {len(changed)} changes in {len(table)} compared {label.plural}{groups}"
    line = counted(is_significant(table), "differences", mark=RINGED)
    ax.set_title(f"{title}\n{line}", fontsize=10)
    _draw(ax, top, overall)
    _legend(ax, top, several, bool(overall.any()))
    label_ticks(ax, y=names)
    return ax


def _row_names(top: pd.DataFrame, columns: list[str], several: bool) -> list[str]:
    """Return the name of each row, with its groups where there are several comparisons."""
    names = edge_names(top, columns)
    if several:
        names = names + "  (" + edge_names(top, ["reference", "group"]) + ")"
    return list(names)


def _significant_overall(
    adata: AnnData, kind: str, top: pd.DataFrame, key: str
) -> NDArray[np.bool_]:
    """Return whether the edge, the pair, or any edge of the TF is significant over all cells."""
    columns = COMPARED_COLUMNS[kind]
    regulator_or_edge = LEVELS.get(kind, kind)
    reader = "tf_targets" if regulator_or_edge == "tfs" else regulator_or_edge
    table: pd.DataFrame = getattr(get, reader)(adata, key=key)
    significant = edge_names(table[is_significant(table)], columns)
    return edge_names(top, columns).isin(significant).to_numpy(dtype=bool)


def _draw(ax: Axes, top: pd.DataFrame, overall: NDArray[np.bool_]) -> None:
    """Draw dots, error bars and arrows, one row per change, and what is significant."""
    position = np.arange(len(top))
    rows = {"reference": position - OFFSET, "group": position + OFFSET}
    values, errors = (
        {
            "reference": top[f"effect_reference{end}"].to_numpy(dtype=float),
            "group": top[f"effect{end}"].to_numpy(dtype=float),
        }
        for end in ("", "_se")
    )
    colours = [COLOURS[change] for change in top["change"]]
    bars: dict[str, Any] = {"fmt": "none", "ecolor": ERROR, "elinewidth": 1.2, "zorder": 1}
    for side, y in rows.items():
        ax.errorbar(values[side], y, xerr=2 * errors[side], **bars)
    arrow: dict[str, Any] = {"arrowstyle": "-|>", "lw": 1.6, "mutation_scale": 9}
    arrow |= {"shrinkA": 3, "shrinkB": 1}
    starts, ends = (zip(values[side], y, strict=True) for side, y in rows.items())
    for start, end, colour in zip(starts, ends, colours, strict=True):
        ax.annotate("", end, start, arrowprops=arrow | {"color": colour}, zorder=2)
    dots: dict[str, Any] = {"zorder": 3, "color": colours}
    ax.scatter(values["reference"], rows["reference"], s=AREA / 2, marker="s", **dots)
    ax.scatter(values["group"], rows["group"], s=AREA, **dots)
    differs = is_significant(top)
    rings(ax, values["group"][differs], rows["group"][differs], AREA)
    centre: dict[str, Any] = {"s": AREA / 5, "color": MARK, "zorder": 4, "gid": OVERALL}
    ax.scatter(values["group"][overall], rows["group"][overall], **centre)
    ax.axvline(0, color="black", linewidth=0.8, zorder=0)
    ax.set_ylim(len(top) - 0.4, -0.6)
    ax.margins(x=0.06)
    ax.tick_params(axis="y", length=0)
    ax.spines[["top", "right", "left"]].set_visible(False)


def _legend(ax: Axes, top: pd.DataFrame, several: bool, any_overall: bool) -> None:
    """Name the dots, the error bars, the colours and the marks of significance."""
    from matplotlib.lines import Line2D

    def line(colour: str, label: str, **style: Any) -> Line2D:
        return Line2D([], [], color=colour, label=label, **style)

    names = [column if several else str(top[column].iloc[0]) for column in ("reference", "group")]
    dot: dict[str, Any] = {"linestyle": "none", "marker": "o"}
    handles = [
        line(NEUTRAL, names[0], linestyle="none", marker="s", markersize=(AREA / 2) ** 0.5),
        line(NEUTRAL, names[1], markersize=AREA**0.5, **dot),
        line(ERROR, "± 2 standard errors", lw=1.2),
    ]
    handles += [
        line(COLOURS[str(change)], f"{change} ({n})", lw=2)
        for change, n in top["change"].value_counts().items()
    ]
    if is_significant(top).any():
        handles.append(ring_handle(f"difference significant ({THRESHOLD})", AREA))
    if any_overall:
        handles.append(line(MARK, OVERALL, markersize=(AREA / 5) ** 0.5, **dot))
    ax.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(1.01, 1),
        frameon=False,
        fontsize=8,
        borderaxespad=0,
    )
