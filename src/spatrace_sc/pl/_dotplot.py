"""Pairs between cell types, as dots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys
from .._check import count
from ._labels import ARROW, readable
from ._marks import SIGNIFICANT, count_line, fit_title
from ._shared import label_ticks, label_width, new_axes, nothing_left, points
from ._shortened import LONGEST, LONGEST_OF_TWO, shortened
from ._side_legends import dot, side_legends
from ._signals import chosen_types, read_signals

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Evidence −log10 q from which on dots are equally large.
LARGEST_EVIDENCE = 3.0
#: Area of a dot without evidence, as a share of the largest.
SMALLEST_AREA = 0.1
#: Diameter of the largest dot as a share of its field, and at most in points.
WIDEST_SHARE, WIDEST = 0.72, 11.0
#: Room between a dot and its ring in points, and width of the ring.
RING_GAP, RING_WIDTH = 2.0, 1.0
#: Inches of a row or a column.
FIELD = 0.19


def dotplot(
    adata: AnnData,
    *,
    top_n: int | None = 20,
    top_types: int | None = 30,
    senders: str | Sequence[str] | None = None,
    receivers: str | Sequence[str] | None = None,
    max_q: float | None = None,
    stage: str | None = None,
    key: str = _keys.RESULT,
    cmap: str = "viridis_r",
    ax: Axes | None = None,
) -> Axes:
    """Draw dots for pairs × combinations of sender and receiver types.

    The area of a dot grows with the evidence, −log10 q up to q = 0.001. Its colour is the score.
    Significant dots (q ≤ 0.1) have a ring, and a line under the title counts them. Pairs and
    combinations with a significant row come first, then those with the larger sum of scores.
    Combinations stand in the order of their senders.

    Parameters
    ----------
    adata
        With a result of :func:`spatrace_sc.tl.infer_ccc`.
    top_n
        Pairs to draw. None: all.
    top_types
        Combinations of sender and receiver to draw. None: all.
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
        An argument is out of range, or names nothing in the result.

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
    pairs, combinations, drawn = _prepare(rows, top_n, top_types, of_senders, of_receivers)
    labels = [
        shortened([readable(pair) for pair in pairs], LONGEST),
        _combination_labels(combinations),
    ]
    width, height = label_width(labels[0]), label_width(labels[1])
    n, m = len(pairs), len(combinations)
    size = (1.9 + width + FIELD * max(m, 6), 0.8 + height + FIELD * max(n, 12))
    ax = new_axes(ax, *size)
    if rows.empty:
        reason = signals.nothing or f"No communication between these types{signals.suffix}"
        return nothing_left(ax, reason)
    every = rows.groupby(["sender", "receiver"], sort=False).ngroups
    total = rows["pair"].nunique()
    ax.set_title(" \n ", fontsize=10)  # room for the title
    title = f"{_of(n, total)} pairs, {_of(m, every)} combinations of types{signals.suffix}"
    significant = int(rows["significant"].sum())
    line = count_line(
        *(significant, len(rows), "rows", "ringed"), drawn=int(drawn["significant"].sum())
    )
    _draw(ax, drawn, labels, cmap)
    fit_title(ax, f"{title}\n{line}")
    return ax


def _of(n: int, total: int) -> str:
    """Return ``"20 of 60"``, or ``"60"`` if all are drawn."""
    return str(total) if n == total else f"{n} of {total}"


def _prepare(
    rows: pd.DataFrame,
    top_n: int | None,
    top_types: int | None,
    senders: list[str],
    receivers: list[str],
) -> tuple[list[str], list[tuple[str, str]], pd.DataFrame]:
    """Return the pairs, the combinations of types, and the rows of both with their positions."""
    pairs = list(_ranked(rows, ["pair"])[:top_n])
    rows = rows[rows["pair"].isin(pairs)]
    names = list(_ranked(rows, ["sender", "receiver"])[:top_types])
    combinations = sorted(
        names, key=lambda types: (senders.index(types[0]), receivers.index(types[1]))
    )
    index = pd.MultiIndex.from_frame(rows[["sender", "receiver"]])
    position = pd.Series({types: k for k, types in enumerate(combinations)}, dtype=np.float64)
    column = position.reindex(index).to_numpy() if len(position) else np.empty(len(rows))
    row = pd.Index(pairs).get_indexer(rows["pair"])
    evidence = -np.log10(np.maximum(rows["q_value"].to_numpy(), 10**-LARGEST_EVIDENCE))
    rows = rows.assign(row=row, column=column, evidence=evidence)
    return pairs, combinations, rows[np.isfinite(column)]


def _ranked(rows: pd.DataFrame, columns: list[str]) -> pd.Index:
    """Return names, those with a significant row first, then by their sum of scores."""
    grouped = rows.groupby(columns[0] if len(columns) == 1 else columns, sort=False)
    table = grouped.agg(significant=("significant", "any"), score=("score", "sum"))
    return table.sort_values(["significant", "score"], ascending=False, kind="stable").index


def _combination_labels(combinations: list[tuple[str, str]]) -> list[str]:
    """Return ``"sender → receiver"``, with an ellipsis in long names."""
    types = list(dict.fromkeys(name for both in combinations for name in both))
    short = dict(zip(types, shortened(types, LONGEST_OF_TWO), strict=True))
    return [f"{short[sender]}{ARROW}{short[receiver]}" for sender, receiver in combinations]


def _draw(ax: Axes, drawn: pd.DataFrame, labels: list[list[str]], cmap: str) -> None:
    """Draw dots, rings, labels and legends."""
    n, m = map(len, labels)
    ax.set_xlim(-0.6, m - 0.4)
    ax.set_ylim(n - 0.4, -0.6)
    ax.set_ylabel("pair")
    ax.set_xlabel("sender → receiver")
    ax.tick_params(length=0)
    ax.grid(color="0.92", linewidth=0.6)
    ax.set_axisbelow(True)
    place = drawn["column"].to_numpy(), drawn["row"].to_numpy()
    colour: dict[str, Any] = {"cmap": cmap, "vmin": 0.0, "vmax": float(drawn["score"].max())}
    dots = ax.scatter(*place, c=drawn["score"], edgecolors="0.4", linewidths=0.3, **colour)
    ringed = drawn[drawn["significant"].to_numpy()]
    rings = ax.scatter(
        *(ringed["column"], ringed["row"]),
        facecolors="none",
        edgecolors="black",
        linewidths=RING_WIDTH,
        label=SIGNIFICANT,
    )
    bar: dict[str, Any] = {"mappable": dots, "label": "score (SD)"}
    side_legends(ax, _legend(WIDEST), "evidence", **bar)  # takes its room first
    for _ in range(2):  # labels of one axis change the room of the other
        label_ticks(ax, y=labels[0])
        label_ticks(ax, x=labels[1])
    side_legends(ax, _legend(WIDEST), "evidence", **bar)  # there may be less height now
    label_ticks(ax, x=labels[1])
    width, height = points(ax)
    widest = min(WIDEST, WIDEST_SHARE * min(width / m, height / n))
    dots.set_sizes(_area(drawn["evidence"].to_numpy(), widest))
    rings.set_sizes((np.sqrt(_area(ringed["evidence"].to_numpy(), widest)) + RING_GAP) ** 2)
    side_legends(ax, _legend(widest), "evidence", **bar)


def _area(evidence: NDArray[np.float64], widest: float) -> NDArray[np.float64]:
    """Return areas of dots in square points."""
    share = np.clip(evidence / LARGEST_EVIDENCE, 0.0, 1.0)
    return np.asarray(widest**2 * (SMALLEST_AREA + (1 - SMALLEST_AREA) * share))


def _legend(widest: float) -> list[Any]:
    """Return the entries of the legend: sizes, and a ring."""
    words = ("q = 1", "q = 0.1", "q = 0.01", "q ≤ 0.001")
    size = np.sqrt(_area(np.arange(4.0), widest))
    entries = [dot(word, float(s)) for word, s in zip(words, size, strict=True)]
    ring = dot(
        SIGNIFICANT,
        float(size[1] + RING_GAP),
        markerfacecolor="none",
        markeredgecolor="black",
        markeredgewidth=RING_WIDTH,
    )
    return [*entries, ring]
