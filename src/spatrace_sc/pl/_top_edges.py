"""The strongest edges."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys, get
from .._check import count, shorten
from .._edges import EDGE_KINDS, EdgeKind, public_word
from .._errors import InvalidArgumentError
from ._drawing.axes import DOWN, NEUTRAL, UP, label_width, new_axes, nothing_left
from ._drawing.edge_bars import COVARIATION, GROUPED, REPLACEABLE, TRUE, TRUE_OTHER_SIGN, draw_edges
from ._drawing.labels import EDGE_LABELS, edge_names
from ._drawing.marks import fit_title
from ._drawing.significance import RINGED, at_stage, counted, up_to

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def top_edges(
    adata: AnnData,
    kind: str = "lr_targets",
    *,
    top_n: int | None = 20,
    max_q: float | None = None,
    stage: str | None = None,
    key: str = _keys.RESULT,
    truth: pd.DataFrame | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the strongest edges, with sign and stability.

    The title counts the edges with a nonzero effect, which are drawn down to ``top_n``, and the
    candidates, which are the rows of the table. The size of a dot is the stability.

    A black ring around the dot marks a significant edge (q ≤ 0.1); the others are a ranking, not
    findings. A grey ring marks an edge whose group alone is significant
    (:func:`spatrace_sc.get.lr_targets`). A line under the title counts the significant edges,
    those beyond ``top_n`` included.

    Behind a name, "~" marks an edge that is ranked by co-variation only. The sign "†" marks an edge
    that is not significant and that the data cannot distinguish from others. The sign "‡" marks a
    significant TF edge of a group, where a similar TF may act instead; q of pairs already covers
    this.

    Parameters
    ----------
    adata
        With a result of :func:`spatrace_sc.tl.infer_ccc`.
    kind
        ``"lr_targets"``, ``"tf_targets"`` or ``"lr_pairs"``: the table of :mod:`spatrace_sc.get` to
        draw. Pairs have no sign.
    top_n
        Edges to draw, the strongest first. Edges with score 0, which have no effect, are never
        drawn. None: all others.
    max_q
        Only edges with at most this q. None: all.
    stage
        None: the whole data set. A stage: effects there, with the q of the whole data set.
    key
        Name of the result.
    truth
        Table of true edges with the columns that identify an edge, and optionally ``sign``. Edges
        in it are marked with a star, which is open if the sign differs.
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
        An argument is out of range, the result has no such stage, or ``truth`` lacks columns.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata, sample_key="sample", stage_key="stage")
    >>> ax = st.pl.top_edges(adata, "tf_targets", top_n=5, truth=adata.uns["truth"]["tf_targets"])
    >>> len(ax.get_yticklabels())
    5
    """
    edge_kind = EDGE_KINDS[public_word(kind, EDGE_LABELS)]
    count(top_n, "top_n")
    label = EDGE_LABELS[edge_kind.name]
    table = getattr(get, edge_kind.name)(adata, stage, key=key)
    candidates = len(table)
    nonzero = table[table["score"].to_numpy() > 0]
    table, limit = up_to(nonzero, max_q)
    edges = _prepare(table.head(len(table) if top_n is None else top_n), edge_kind, truth)
    ax = new_axes(ax, 5.8 + label_width(edges["label"]), 1.3 + 0.22 * max(len(edges), 6))
    suffix = limit + at_stage(adata, stage, key)
    if edges.empty:
        return nothing_left(ax, f"No {label.plural}{suffix or ' with a score above 0'}")
    ax.set_xlabel(label.axis)
    ax.set_title(" \n \n ", fontsize=10)  # room for the title
    draw_edges(ax, edges, has_truth=truth is not None)
    total = "" if candidates == len(nonzero) else f", of {candidates} candidates"
    fit_title(
        ax,
        f"{len(edges)} strongest of {len(table)} {label.plural}\n"
        f"with nonzero effect{limit.replace(' with', ' and')}{at_stage(adata, stage, key)}{total}\n"
        + counted(_supported(table), mark=RINGED, drawn=int(_supported(edges).sum())),
    )
    return ax


def _supported(table: pd.DataFrame) -> NDArray[np.bool_]:
    """Return which edges are significant."""
    return np.asarray(table["evidence"].astype(str) == "supported", dtype=bool)


def _prepare(top: pd.DataFrame, kind: EdgeKind, truth: pd.DataFrame | None) -> pd.DataFrame:
    """Return ``label, value, colour, stability, evidence, mark`` of every edge."""
    value = top[kind.size].to_numpy(dtype=np.float64)
    marks = "" if truth is None else _marks(top, kind, truth)
    return pd.DataFrame(
        {
            "label": _labels(top, kind),
            "value": value,
            "colour": np.where(value > 0, UP, DOWN) if kind.signed else NEUTRAL,
            "stability": top["stability"].to_numpy(dtype=np.float64),
            "evidence": top["evidence"].astype(str).to_numpy(dtype=object),
            "mark": marks,
        }
    )


def _labels(top: pd.DataFrame, kind: EdgeKind) -> list[str]:
    """Return the names of the edges, followed by the signs for co-variation and for groups."""
    covariation = np.where(top["evidence"].astype(str) == "co-variation", f" {COVARIATION}", "")
    significant = (top["evidence"].astype(str) == "supported").to_numpy()
    sign = np.where(significant, "" if kind.of_pairs else f" {REPLACEABLE}", f" {GROUPED}")
    grouped = np.where(top["group"].astype(str) != "", sign, "")
    return list(edge_names(top, kind.columns) + covariation + grouped)


def _marks(top: pd.DataFrame, kind: EdgeKind, truth: pd.DataFrame) -> NDArray[np.object_]:
    """Return for every edge whether it is true, and whether the true sign differs."""
    missing = [c for c in kind.columns if c not in truth]
    if missing:
        raise InvalidArgumentError(
            f"`truth` lacks the columns {shorten(missing)}, which identify an edge; "
            f"it has {shorten(truth.columns)}."
        )
    signs = truth["sign"].to_numpy(dtype=np.float64) if "sign" in truth else 0.0
    sign_of = pd.Series(signs, index=pd.MultiIndex.from_frame(truth[kind.columns].astype(str)))
    sign_of = sign_of[~sign_of.index.duplicated(keep="last")]
    edges = pd.MultiIndex.from_frame(top[kind.columns].astype(str))
    marks = np.where(edges.isin(sign_of.index), TRUE, "").astype(object)
    if kind.signed:
        product = sign_of.reindex(edges).to_numpy() * top[kind.size].to_numpy()
        marks[product < 0] = TRUE_OTHER_SIGN
    return marks
