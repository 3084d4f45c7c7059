"""Edges that are gained, kept and lost between consecutive stages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData

from .. import _keys, get
from .._check import count, share_of_one
from .._edges import EDGE_KINDS, TESTED_KINDS, public_word
from ._drawing.axes import DOWN, NEUTRAL, UP, new_axes, nothing_left, points, settle
from ._drawing.fitted_text import OVERHANG, WIDTH, ellipsis, wrapped
from ._drawing.labels import ARROW, EDGE_LABELS, Label, edge_names
from ._drawing.significance import THRESHOLD, is_significant, stage_word, up_to

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Kind of the table of sender type → receiver type × pair, which is tested at every stage.
COMMUNICATION = "communication"
#: Kinds whose stages are compared.
STAGE_KINDS = (*(kind.name for kind in TESTED_KINDS), COMMUNICATION)
#: Columns that identify a row of the communication table, and its label.
COMMUNICATION_COLUMNS = ["sender", "receiver", "ligand", "receptor"]
COMMUNICATION_LABEL = Label("sender → receiver × pair", "")
#: Colours of the changes, in the order in which they are drawn.
COLOURS = {"gained": UP, "kept": "#999999", "lost": DOWN}
#: Part of the axes for bars; the names are written in the rest. Size of the names and of
#: the title, in points.
BARS, TEXT, TITLE = 0.34, 7.0, 9.0
#: Mark of a significant edge before its name.
DOT = "● "
#: Ends a list that goes on.
MORE = ", …"


def stages(
    adata: AnnData,
    kind: str = "lr_pairs",
    *,
    min_share: float = 0.5,
    max_q: float | None = None,
    top_n: int = 3,
    key: str = _keys.RESULT,
    ax: Axes | None = None,
) -> Axes:
    """Count the edges that are gained, kept and lost between consecutive stages.

    An edge is *present* at a stage if its score there is at least ``min_share`` of its largest
    score at any stage. It is gained if it is present at the later stage only, lost if at the
    earlier stage only, and kept if at both. Scores of a stage follow the level of the regulator
    there (:func:`spatrace_sc.get.lr_pairs` with ``stage=``), so all edges of one regulator change
    together. The figure only describes; :func:`spatrace_sc.tl.compare` tests.

    With ``kind="communication"`` a row sender → receiver × pair is present where it is significant
    at the stage (q ≤ ``max_q``, by default 0.1). A row can cross this limit by chance.

    The dark part of a bar counts the edges that are significant over all cells (q ≤ 0.1); a dot
    marks their names.

    Parameters
    ----------
    adata
        With a result of :func:`spatrace_sc.tl.infer_ccc` of several stages or slices.
    kind
        ``"lr_pairs"``, ``"lr_targets"``, ``"tf_targets"`` or ``"communication"``.
    min_share
        Share of its largest score at which an edge is present, above 0 and at most 1. It has no
        effect on ``"communication"``.
    max_q
        Only edges with at most this q. None: all edges with a score; 0.1 for ``"communication"``.
    top_n
        Names to write beside a bar, the strongest first.
    key
        Name of the result.
    ax
        Axes to draw in. None: a new figure.

    Returns
    -------
    The Axes; ``ax.containers`` are the bars gained, kept and lost, one per pair of stages.

    Raises
    ------
    MissingKeyError
        ``adata`` has no such result.
    InvalidArgumentError
        An argument is out of range.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata, sample_key="sample", stage_key="stage")
    >>> ax = st.pl.stages(adata)
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['E1 → E2', 'E2 → E3']
    """
    kind = public_word(kind, STAGE_KINDS)
    share_of_one(min_share, "min_share")
    count(top_n, "top_n")
    names, word = get.stages(adata, key=key), stage_word(adata, key)
    label = COMMUNICATION_LABEL if kind == COMMUNICATION else EDGE_LABELS[kind]
    n_rows = 3 * max(len(names) - 1, 1)
    ax = new_axes(ax, 7.1, 1.1 + 0.21 * max(n_rows, 6))
    if len(names) < 2:
        return nothing_left(ax, f"The result has one {word}, so nothing can be gained or lost")
    scores, present, significant = _prepare(adata, kind, names, min_share, max_q, key)
    if not present.to_numpy().any():
        return nothing_left(ax, _nothing(label, kind, max_q))
    table = _changes(scores, present, significant)
    _draw(ax, table, top_n, dark=kind != COMMUNICATION)
    title = _title(label, kind, scores, significant, min_share, max_q)
    ax.set_title(wrapped([title], OVERHANG * points(ax)[0], TITLE), fontsize=TITLE)
    return ax


def _nothing(label: Label, kind: str, max_q: float | None) -> str:
    """Return why there is nothing to draw."""
    if kind == COMMUNICATION:
        limit = _keys.MAX_SIGNIFICANT_Q if max_q is None else max_q
        return (
            f"No {label.noun} has q ≤ {limit:g} at a stage;\nsee st.get.communication(adata, stage)"
        )
    limit_text = "" if max_q is None else f" and q ≤ {max_q:g}"
    return f"No {label.noun} has a score above 0{limit_text};\nsee st.get.{kind}, column limited_by"


def _title(
    label: Label,
    kind: str,
    scores: pd.DataFrame,
    significant: pd.Series,
    min_share: float,
    max_q: float | None,
) -> str:
    """Return the title, which says what present means and how many are significant."""
    if kind == COMMUNICATION:
        limit = _keys.MAX_SIGNIFICANT_Q if max_q is None else max_q
        present = f"{label.noun}: present = significant at the stage (q ≤ {limit:g})"
        return f"{present}\n● = significant over all cells, too ({THRESHOLD})"
    n, total = int(significant.sum()), len(scores)
    limit_text = "" if max_q is None else f" with q ≤ {max_q:g}"
    noun = label.noun if total == 1 else label.plural
    return (
        f"{n} of {total} {noun}{limit_text} significant at {THRESHOLD} (dark part, ●)\n"
        f"present = score at least {min_share:.0%} of the edge's largest score at any stage"
    )


def _prepare(
    adata: AnnData, kind: str, names: list[str], min_share: float, max_q: float | None, key: str
) -> tuple[pd.DataFrame, pd.DataFrame, pd.Series]:
    """Return (edges, stages) scores and presence, and which edges are significant overall."""
    of_types = kind == COMMUNICATION
    columns = COMMUNICATION_COLUMNS if of_types else EDGE_KINDS[kind].columns
    read = getattr(get, kind)
    whole = up_to(read(adata, key=key), None if of_types else max_q)[0]
    index = _names(whole, columns).to_numpy()
    score, q = {}, {}
    for name in names:
        table = read(adata, name, key=key)
        table.index = pd.Index(_names(table, columns))
        score[name] = table["score"].reindex(index).fillna(0.0)
        q[name] = table["q_value"].reindex(index).fillna(1.0)
    scores, significant = pd.DataFrame(score), pd.Series(is_significant(whole), index=index)
    if of_types:
        limit = _keys.MAX_SIGNIFICANT_Q if max_q is None else max_q
        present = (pd.DataFrame(q) <= limit) & (scores > 0)
        rows = present.any(axis=1).to_numpy()
    else:
        largest = scores.max(axis=1)
        rows = (largest > 0).to_numpy()
        present = scores.ge(min_share * largest, axis=0) & (scores > 0)
    return scores[rows], present[rows], significant[rows]


def _names(table: pd.DataFrame, columns: list[str]) -> pd.Series:
    """Return the name of every row: an edge, or ``sender → receiver: ligand → receptor``."""
    if columns != COMMUNICATION_COLUMNS:
        return edge_names(table, columns)
    return edge_names(table, columns[:2]) + ": " + edge_names(table, columns[2:])


def _changes(scores: pd.DataFrame, present: pd.DataFrame, significant: pd.Series) -> pd.DataFrame:
    """Return a row per pair of stages and change: numbers of edges, and their names."""
    rows: list[dict[str, Any]] = []
    edges, known = list(map(str, scores.index)), significant.to_numpy(dtype=bool)
    for before, after in zip(scores.columns[:-1], scores.columns[1:], strict=True):
        earlier, later = present[before].to_numpy(), present[after].to_numpy()
        masks = {"gained": ~earlier & later, "kept": earlier & later, "lost": earlier & ~later}
        strength = scores[[before, after]].max(axis=1).to_numpy()
        for change, mask in masks.items():
            order = np.flatnonzero(mask)
            order = order[np.argsort(-strength[order], kind="stable")]
            rows.append(
                {
                    "step": f"{before}{ARROW}{after}",
                    "change": change,
                    "n": int(mask.sum()),
                    "n_significant": int(known[mask].sum()),
                    "names": [(edges[k], bool(known[k])) for k in order],
                }
            )
    return pd.DataFrame(rows)


def _draw(ax: Axes, table: pd.DataFrame, top_n: int, *, dark: bool) -> None:
    """Draw the bars, their numbers, and the names of the strongest edges."""
    steps = list(dict.fromkeys(table["step"]))
    largest = max(int(table["n"].max()), 1)
    ax.set(xlim=(0, largest / BARS), ylim=(len(steps) - 0.5, -0.5))
    for row, (change, colour) in enumerate(COLOURS.items()):
        rows = table[table["change"] == change]
        y = np.arange(len(steps)) + 0.27 * (row - 1)
        ax.barh(y, rows["n"], height=0.24, color=colour, label=change)
        if dark:
            ax.barh(y, rows["n_significant"], height=0.09, color="black", label="_significant")
    del ax.containers[1 if dark else len(ax.containers) :: 2]
    ax.set_yticks(range(len(steps)), [ellipsis(step, 40) for step in steps], fontsize=8)
    ax.set_xticks([0, largest], ["0", str(largest)], fontsize=8)
    ax.set_xlabel("edges", loc="left", fontsize=8)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines["bottom"].set_bounds(0, largest)
    ax.tick_params(axis="y", length=0)
    spacing: dict[str, Any] = {"handlelength": 1.0, "columnspacing": 1.0, "handletextpad": 0.4}
    ax.legend(
        loc="upper right",
        bbox_to_anchor=(1.0, 0.0),
        ncols=3,
        fontsize=TEXT,
        frameon=False,
        borderaxespad=2.4,
        **spacing,
    )
    settle(ax)
    room = int((1 - 1.28 * BARS) * points(ax)[0] / (WIDTH * TEXT))
    for row, change in enumerate(COLOURS):
        for k, (_, entry) in enumerate(table[table["change"] == change].iterrows()):
            height = k + 0.27 * (row - 1)
            ax.text(
                entry["n"] + 0.02 * largest, height, f" {entry['n']}", va="center", fontsize=TEXT
            )
            text = _listed(entry["names"], top_n, room)
            ax.text(1.28 * largest, height, text, va="center", fontsize=TEXT, color=NEUTRAL)


def _listed(names: list[tuple[str, bool]], top_n: int, room: int) -> str:
    """Return as many of the first names as there is room for, at least one."""
    text = ""
    for k, (name, known) in enumerate(names[:top_n]):
        word = f"{DOT if known else ''}{name.replace(ARROW, ARROW.strip())}"
        longer = f"{text}{', ' if k else ''}{word}"
        if k and len(longer) > room - len(MORE):
            return text + MORE
        text = ellipsis(longer, room - len(MORE))
    return text + (MORE if len(names) > top_n else "")
