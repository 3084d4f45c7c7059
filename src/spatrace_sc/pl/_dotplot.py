"""Pairs between cell types, as dots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys
from .._check import count
from ._drawing.axes import LARGEST, label_ticks, label_width, new_axes, nothing_left, points, settle
from ._drawing.labels import ARROW, readable
from ._drawing.marks import SIGNIFICANT, count_line, fit_title
from ._drawing.names import LONGEST, LONGEST_OF_TWO, name_length, shortened
from ._drawing.side_legends import dot, side_legends
from ._drawing.signals import chosen_types, read_signals

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable

#: Evidence −log10 q from which on dots are equally large.
LARGEST_EVIDENCE = 3.0
#: Area of a dot without evidence, as a share of the largest.
SMALLEST_AREA = 0.15
#: Diameter of the largest dot as a share of its field, and at most in points.
WIDEST_SHARE, WIDEST = 0.72, 11.0
#: Room between a dot and its ring in points, and width of the ring.
RING_GAP, RING_WIDTH = 2.0, 1.0
#: Inches of a row or a column, and the smallest number of points in which its label is readable.
FIELD, READABLE = 0.17, 6.5
#: Largest size of the names of combinations, in points.
NAME_SIZE = 7.0
#: Entry of the ring in the legend if no row is significant.
NONE_SIGNIFICANT = f"{SIGNIFICANT}: none"


def dotplot(
    adata: AnnData,
    *,
    top_n: int | None = 20,
    top_types: int | None = 24,
    senders: str | Sequence[str] | None = None,
    receivers: str | Sequence[str] | None = None,
    max_q: float | None = None,
    stage: str | None = None,
    key: str = _keys.RESULT,
    cmap: str = "viridis_r",
    ax: Axes | None = None,
) -> Axes:
    """Draw dots for pairs × combinations of sender and receiver types.

    The area of a dot grows with the evidence, −log10 q up to q = 0.001; dots with q = 1 are small.
    Its colour is the score. Significant dots (q ≤ 0.1) have a ring, and a line under the title
    counts them. Without any, the title says that the scores are a ranking of hypotheses. Pairs and
    combinations with a significant row come first, then those with the larger sum of scores.
    Combinations are ordered by sender.

    Parameters
    ----------
    adata
        With a result of :func:`spatrace_sc.tl.infer_ccc`.
    top_n
        Largest number of pairs; only as many are drawn as the axes have room for their names.
        None: all.
    top_types
        Largest number of combinations of sender and receiver, likewise. None: all.
    senders, receivers
        Cell types to draw. None: all.
    max_q
        Only rows sender × receiver × pair with at most this q. None: all.
    stage
        None: the whole data set. A stage: scores and q there.
    key
        Name of the result.
    cmap
        Sequential colour map.
    ax
        Axes to draw in. None: a new figure.

    Returns
    -------
    The Axes; the dots are ``ax.collections[0]``, the rings ``ax.collections[1]``.

    Raises
    ------
    MissingKeyError
        ``adata`` has no such result.
    InvalidArgumentError
        An argument is out of range, or names something that is not in the result.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata, sample_key="sample", stage_key="stage")
    >>> st.pl.dotplot(adata, top_n=5, top_types=4).get_ylabel()
    'pair'
    """
    count(top_n, "top_n")
    count(top_types, "top_types")
    signals = read_signals(adata, key, max_q=max_q, stage=stage)
    of_senders = chosen_types(senders, "senders", signals.senders)
    of_receivers = chosen_types(receivers, "receivers", signals.receivers)
    rows = signals.rows
    rows = rows[rows["sender"].isin(of_senders) & rows["receiver"].isin(of_receivers)]
    order = of_senders, of_receivers
    longest = LONGEST if ax is None else name_length(ax, LONGEST_OF_TWO)
    fields = _prepare(rows, (top_n, top_types), order, longest)
    ax = new_axes(ax, *_size(fields))
    if rows.empty:
        reason = signals.nothing or f"No communication between these types{signals.suffix}"
        return nothing_left(ax, reason)
    ax.set_title(" \n \n ", fontsize=10)  # room for the title
    fields = _prepare(rows, _room(ax, fields, (top_n, top_types)), order, longest)
    n, m = len(fields.pairs), len(fields.combinations)
    every = rows.groupby(["sender", "receiver"], sort=False).ngroups
    total = rows["pair"].nunique()
    title = f"{_of(n, total)} pairs, {_of(m, every)} combinations of types{signals.suffix}"
    _draw(ax, fields, cmap, any_significant=bool(rows["significant"].any()))
    fit_title(ax, f"{title}\n{_line(rows, fields)}")
    return ax


def _line(rows: pd.DataFrame, fields: Fields) -> str:
    """Return how many rows are significant; without any, what the figure shows instead."""
    significant = int(rows["significant"].sum())
    drawn = int(fields.rows["significant"].sum())
    line = count_line(significant, len(rows), "rows", "ringed", drawn=drawn)
    return line if significant else f"{line}:\ncolours rank hypotheses, not findings"


@dataclass(frozen=True)
class Fields:
    """Pairs from top to bottom, combinations of types from left to right, and their rows.

    Names of more than ``longest`` characters have an ellipsis.
    """

    pairs: list[str]
    combinations: list[tuple[str, str]]
    rows: pd.DataFrame
    longest: int

    def labels(self) -> tuple[list[str], list[str]]:
        """Return the labels of pairs and combinations."""
        pairs = shortened([readable(pair) for pair in self.pairs], 2 * self.longest)
        types = list(dict.fromkeys(name for both in self.combinations for name in both))
        short = dict(zip(types, shortened(types, self.longest), strict=True))
        return pairs, [f"{short[sender]}{ARROW}{short[to]}" for sender, to in self.combinations]


def _size(fields: Fields) -> tuple[float, float]:
    """Return the size of a new figure in inches."""
    pairs, combinations = fields.labels()
    width = 1.9 + label_width(pairs, LONGEST) + FIELD * max(len(combinations), 6)
    below = label_width(combinations, LONGEST) * NAME_SIZE / LARGEST
    return width, 0.8 + below + FIELD * max(len(pairs), 12)


def _room(
    ax: Axes, fields: Fields, most: tuple[int | None, int | None]
) -> tuple[int | None, int | None]:
    """Return how many pairs and combinations have room for their labels, at most ``most``."""
    _label(ax, fields)
    side_legends(ax, _legend(WIDEST), "evidence", mappable=_no_scores(), label="score")
    settle(ax)
    width, height = points(ax)
    fitting = int(height // READABLE), int(width // READABLE)
    rows, columns = (
        None if limit is None else min(limit, max(fit, 3))
        for limit, fit in zip(most, fitting, strict=True)
    )
    return rows, columns


def _no_scores() -> ScalarMappable:
    """Return what a colour bar is drawn for before there are dots."""
    from matplotlib.cm import ScalarMappable

    return ScalarMappable()


def _label(ax: Axes, fields: Fields) -> None:
    """Label both axes."""
    ax.set_ylabel("pair")
    ax.set_xlabel("sender → receiver")
    pairs, combinations = fields.labels()
    label_ticks(ax, x=combinations, y=pairs, largest_x=NAME_SIZE, longest=LONGEST)


def _of(n: int, total: int) -> str:
    """Return ``"20 of 60"``, or ``"60"`` if all are drawn."""
    return str(total) if n == total else f"{n} of {total}"


def _prepare(
    rows: pd.DataFrame,
    most: tuple[int | None, int | None],
    order: tuple[list[str], list[str]],
    longest: int,
) -> Fields:
    """Return the first pairs and combinations, in the order of the senders and receivers.

    Rows have their position (``row``, ``column``) and ``evidence``.
    """
    pairs = list(_ranked(rows, ["pair"])[: most[0]])
    rows = rows[rows["pair"].isin(pairs)]
    names = list(_ranked(rows, ["sender", "receiver"])[: most[1]])
    combinations = sorted(
        names, key=lambda types: (order[0].index(types[0]), order[1].index(types[1]))
    )
    index = pd.MultiIndex.from_frame(rows[["sender", "receiver"]])
    position = pd.Series({types: k for k, types in enumerate(combinations)}, dtype=np.float64)
    column = position.reindex(index).to_numpy() if len(position) else np.empty(len(rows))
    row = pd.Index(pairs).get_indexer(rows["pair"])
    evidence = -np.log10(np.maximum(rows["q_value"].to_numpy(), 10**-LARGEST_EVIDENCE))
    rows = rows.assign(row=row, column=column, evidence=evidence)
    return Fields(pairs, combinations, rows[np.isfinite(column)], longest)


def _ranked(rows: pd.DataFrame, columns: list[str]) -> pd.Index:
    """Return names, those with a significant row first, then by their sum of scores."""
    grouped = rows.groupby(columns[0] if len(columns) == 1 else columns, sort=False)
    table = grouped.agg(significant=("significant", "any"), score=("score", "sum"))
    return table.sort_values(["significant", "score"], ascending=False, kind="stable").index


def _draw(ax: Axes, fields: Fields, cmap: str, *, any_significant: bool) -> None:
    """Draw dots, rings, labels and legends."""
    drawn, n, m = fields.rows, len(fields.pairs), len(fields.combinations)
    ax.set_xlim(-0.6, m - 0.4)
    ax.set_ylim(n - 0.4, -0.6)
    ax.tick_params(length=0)
    ax.grid(color="0.92", linewidth=0.6)
    ax.set_axisbelow(True)
    place = drawn["column"].to_numpy(), drawn["row"].to_numpy()
    colour: dict[str, Any] = {"cmap": cmap, "vmin": 0.0, "vmax": float(drawn["score"].max())}
    dots = ax.scatter(*place, c=drawn["score"], edgecolors="0.5", linewidths=0.3, **colour)
    ringed = drawn[drawn["significant"].to_numpy()]
    rings = ax.scatter(
        *(ringed["column"], ringed["row"]),
        facecolors="none",
        edgecolors="black",
        linewidths=RING_WIDTH,
        label=SIGNIFICANT,
    )
    bar: dict[str, Any] = {"mappable": dots, "label": "score (SD)"}
    ring = SIGNIFICANT if any_significant else NONE_SIGNIFICANT
    side_legends(ax, _legend(WIDEST, ring), "evidence", **bar)  # takes its room first
    _label(ax, fields)
    side_legends(ax, _legend(WIDEST, ring), "evidence", **bar)  # there may be less height now
    settle(ax)
    width, height = points(ax)
    widest = min(WIDEST, WIDEST_SHARE * min(width / m, height / n))
    dots.set_sizes(_area(drawn["evidence"].to_numpy(), widest))
    rings.set_sizes((np.sqrt(_area(ringed["evidence"].to_numpy(), widest)) + RING_GAP) ** 2)
    side_legends(ax, _legend(widest, ring), "evidence", **bar)


def _area(evidence: NDArray[np.float64], widest: float) -> NDArray[np.float64]:
    """Return areas of dots in square points."""
    share = np.clip(evidence / LARGEST_EVIDENCE, 0.0, 1.0)
    return np.asarray(widest**2 * (SMALLEST_AREA + (1 - SMALLEST_AREA) * share))


def _legend(widest: float, ring_label: str = NONE_SIGNIFICANT) -> list[Any]:
    """Return the entries of the legend: sizes, and a ring."""
    words = ("q = 1", "q = 0.1", "q = 0.01", "q ≤ 0.001")
    size = np.sqrt(_area(np.arange(4.0), widest))
    entries = [dot(word, float(s)) for word, s in zip(words, size, strict=True)]
    ring = dot(
        ring_label,
        float(size[1] + RING_GAP),
        markerfacecolor="none",
        markeredgecolor="black",
        markeredgewidth=RING_WIDTH,
    )
    return [*entries, ring]
