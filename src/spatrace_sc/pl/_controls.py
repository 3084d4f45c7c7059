"""Calls on the tissue and on its controls, and power against the size of a signal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys, get
from .._check import share_of_one
from .._edges import TESTED_KINDS
from .._errors import InvalidArgumentError
from ._drawing.axes import NEUTRAL, nothing_left, points, settle
from ._drawing.colours import OKABE_ITO
from ._drawing.control_words import CONTROLS, NAMES, controls_of, false_title, power_title
from ._drawing.fitted_text import TITLE, wrapped
from ._drawing.side_legends import inches_from, room_below

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

#: Colour of the calls on the tissue, height of a bar, power that is marked by a line.
CALLS, BAR, GOOD_POWER = "0.75", 0.26, 0.8
#: Style of the cross at a detection limit.
CROSS: dict[str, Any] = {"marker": "x", "ms": 9, "mew": 2.2}
#: Colours and markers of the tables in the right panel, and their shift in log10 of the size.
STYLES = dict(zip(NAMES, zip(OKABE_ITO[:3], "os^", (-0.02, 0.0, 0.02), strict=True), strict=True))


def controls(
    adata: AnnData,
    *,
    max_q: float = _keys.MAX_SIGNIFICANT_Q,
    key: str = _keys.RESULT,
    ax: Sequence[Axes] | None = None,
) -> NDArray[Any]:
    """Draw the calls with the number expected to be false, and power against effect size.

    Left: the number of edges with q ≤ ``max_q``, and how many of them negative controls expect to
    be false, with a 95 % interval; of misplaced senders and senders of another slice, the larger
    number. If nothing is significant, or the controls expect more false calls than there are
    calls, the bar is the number that they expect, without an interval.

    Right: share of implanted signals found at q ≤ 0.1, with a 95 % interval, against the share of
    the target's variance that they explain. A cross marks the detection limit: the size that is
    found with probability 0.8.

    Parameters
    ----------
    adata
        After :func:`spatrace_sc.tl.controls`.
    max_q
        One of the thresholds of :func:`spatrace_sc.get.controls`.
    key
        Name of the result.
    ax
        Two axes to draw in, from left to right. None: a new figure.

    Returns
    -------
    Array of the two Axes.

    Raises
    ------
    MissingKeyError
        ``adata`` has no such result, or no controls.
    InvalidArgumentError
        ``max_q`` is not a threshold of the controls, or ``ax`` does not have two axes.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata, sample_key="sample", stage_key="stage")
    >>> st.tl.controls(adata, n_sham=0, n_misplaced=1, n_implants=1, n_halves=0)
    >>> len(st.pl.controls(adata))
    2
    """
    share_of_one(max_q, "max_q")
    false = get.controls(adata, "false_discoveries", key=key)
    power, limits = (get.controls(adata, table, key=key) for table in ("power", "limits"))
    thresholds = np.unique(false["threshold"].to_numpy(dtype=float))
    if len(false) and not np.isclose(thresholds, max_q).any():
        raise InvalidArgumentError(
            f"`max_q={max_q!r}` is not among the thresholds of the controls: "
            f"{', '.join(f'{t:g}' for t in thresholds)}."
        )
    given = None if ax is None else np.ravel(np.array(ax, dtype=object))
    if given is not None and len(given) != 2:
        raise InvalidArgumentError(
            f"`ax` has {len(given)} axes, but there are 2 panels; give 2 axes or none."
        )
    axes = _new_axes() if given is None else given
    calls = {name: _calls(adata, name, max_q, key) for name in NAMES}
    at = false[np.isclose(false["threshold"].astype(float), max_q)]
    _draw_false(axes[0], at, calls, max_q)
    whole = power[power["tissue"] == "whole"]
    _draw_power(axes[1], whole, limits[limits["tissue"] == "whole"])
    return axes


def _new_axes() -> NDArray[Any]:
    """Return two new axes side by side."""
    import matplotlib.pyplot as plt

    return np.asarray(plt.subplots(1, 2, figsize=(7.6, 3.4), layout="constrained")[1])


def _draw_false(ax: Axes, table: pd.DataFrame, calls: dict[str, int], max_q: float) -> None:
    """Draw bars of calls, and under each the numbers expected to be false."""
    if table.empty:
        nothing_left(ax, "No negative controls were run: `st.tl.controls(adata, n_sham=3)`")
        return
    names = [kind.name for kind in TESTED_KINDS if (table["table"] == kind.name).any()]
    labelled: set[str] = set()
    ends = [1.0]
    for position, name in enumerate(names):
        rows = table[table["table"] == name]
        n = calls[name]
        ends.append(n)
        label = _once("calls on the tissue", labelled)
        ax.barh(position - BAR, n, height=BAR, color=CALLS, label=label)
        ax.annotate(
            f"{n}",
            (n, position - BAR),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
        for drawn, (label, colour, k) in zip(controls_of(rows), CONTROLS.values(), strict=True):
            if drawn.empty:
                continue
            largest = drawn.sort_values("expected_false").iloc[-1]
            expected, interval = _expected(largest, n)
            ends.append(max(expected, *interval))
            label = _once(label, labelled)
            ax.barh(position + BAR * k, expected, height=BAR, color=colour, label=label)
            _draw_interval(ax, position + BAR * k, interval)
    ax.set_yticks(range(len(names)), [NAMES[name] for name in names])
    ax.set_ylim(len(names) - 0.5, -0.6)
    ax.set_xlim(0, 1.15 * max(ends))
    ax.set_xlabel(f"edges with q ≤ {max_q:g}")
    ax.spines[["top", "right"]].set_visible(False)
    _legend_below(ax)
    title = false_title(table, {name: calls[name] for name in names})
    ax.set_title(wrapped([title], points(ax)[0], TITLE), fontsize=TITLE)


def _draw_interval(ax: Axes, y: float, interval: tuple[float, float]) -> None:
    """Draw the interval of a number expected to be false; nothing where it is unknown."""
    low, high = interval
    if not np.isfinite(low):
        return
    style: dict[str, Any] = {"color": "black", "elinewidth": 1.0, "capsize": 2.5}
    ax.errorbar((low + high) / 2, y, xerr=(high - low) / 2, **style)


def _legend_below(ax: Axes, last: Line2D | None = None) -> None:
    """Draw the legend below the label of the first axis, where it covers no curve."""
    settle(ax)
    handles = [*ax.get_legend_handles_labels()[0], *([] if last is None else [last])]
    ax.legend(
        handles=handles,
        loc="upper center",
        bbox_to_anchor=(0.0, -room_below(ax)),
        bbox_transform=inches_from(ax, 0.5, 0.0),
        frameon=False,
        fontsize=7.5,
    )
    settle(ax)


def _once(label: str, labelled: set[str]) -> str:
    """Return the label the first time, later one that legends leave out."""
    first = label not in labelled
    labelled.add(label)
    return label if first else f"_{label}"


def _calls(adata: AnnData, name: str, max_q: float, key: str) -> int:
    """Return the number of edges of the result with at most this q."""
    edges: pd.DataFrame = getattr(get, name)(adata, key=key)
    return int((edges["q_value"].to_numpy(dtype=float) <= max_q).sum())


def _expected(row: pd.Series, calls: int) -> tuple[float, tuple[float, float]]:
    """Return the number expected to be false, and its interval, NaN where it is unknown.

    Without calls, or if the controls expect more than all of them, it is the number of
    calls on the control tissues, scaled to the real genes.
    """
    expected, share = float(row["expected_false"]), float(row["false_share"])
    if calls and share < 1.0:
        return share * calls, (float(row["low"]) * calls, float(row["high"]) * calls)
    return max(expected, calls if share >= 1.0 else 0.0), (np.nan, np.nan)


def _draw_power(ax: Axes, power: pd.DataFrame, limits: pd.DataFrame) -> None:
    """Draw power against size for every table, and the detection limits."""
    from matplotlib.lines import Line2D

    if power.empty:
        nothing_left(ax, "No signals were implanted: `st.tl.controls(adata, n_implants=3)`")
        return
    for name, (colour, marker, shift) in STYLES.items():
        rows = power[power["table"] == name].sort_values("size")
        if rows.empty:
            continue
        x = rows["size"].to_numpy(dtype=float) * 10.0**shift
        y, low, high = (rows[c].to_numpy(dtype=float) for c in ("power", "low", "high"))
        ax.errorbar(
            *(x, y),
            yerr=np.maximum([y - low, high - y], 0.0),
            color=colour,
            marker=marker,
            ms=5,
            lw=1.3,
            elinewidth=0.8,
            label=NAMES[name],
        )
        limit = limits.loc[limits["table"] == name, "share"].astype(float)
        if len(limit) and np.isfinite(limit.iloc[0]):
            ax.plot(limit.iloc[0], GOOD_POWER, color=colour, **CROSS)
    ax.axhline(GOOD_POWER, color=NEUTRAL, lw=0.8, ls=":", zorder=0)
    sizes = np.unique(power["size"].to_numpy(dtype=float))
    ax.set_xscale("log")
    ax.set_xticks(sizes, [f"{100 * size:g}" for size in sizes], fontsize=8)
    ax.set_xticks([], minor=True)
    ax.set_ylim(-0.03, 1.03)
    ax.set_xlabel("implanted share of the target's variance (%)", fontsize=9)
    ax.set_ylabel("share found (q ≤ 0.1)")
    ax.spines[["top", "right"]].set_visible(False)
    crosses = any(line.get_marker() == CROSS["marker"] for line in ax.lines)
    cross = Line2D([], [], color=NEUTRAL, ls="none", label="detection limit", **CROSS)
    _legend_below(ax, cross if crosses else None)
    ax.set_title(wrapped([power_title(limits, power)], points(ax)[0], TITLE), fontsize=TITLE)
