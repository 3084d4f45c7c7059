"""The strongest edges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData

from .. import _keys, get
from .._check import shorten
from .._errors import InvalidArgumentError
from ._shared import (
    ARROW,
    DOWN,
    NEUTRAL,
    UP,
    count,
    label_ticks,
    label_width,
    new_axes,
    nothing_left,
    one_of,
)
from ._significance import PALE, UNSUPPORTED, at_stage, counted, up_to

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Columns that name an edge, what the edges are called, and the axis label.
KINDS: dict[str, tuple[list[str], str, str]] = {
    "lr_targets": (
        ["ligand", "receptor", "target"],
        "ligand–receptor → target edges",
        "effect (SD of the target per SD of the pair's signal)",
    ),
    "tf_targets": (
        ["tf", "target"],
        "TF → target edges",
        "effect (SD of the target per SD of the TF)",
    ),
    "lr_pairs": (
        ["ligand", "receptor"],
        "ligand–receptor pairs",
        "score (norm of the effects on all targets, in SD)",
    ),
}

#: What the legend says of an edge that another regulator could replace.
OF_A_GROUP = f"{UNSUPPORTED}, its group {UNSUPPORTED.replace('>', '≤')}"

#: Signs behind the name of an edge, and what the legend says of them.
COVARIATION, GROUPED = "~", "†"
SIGNS = {COVARIATION: "ranked by co-variation only", GROUPED: "one of several, see column group"}
#: What the marks beside the edges say.
TRUE, TURNED = "in truth", "in truth, other sign"


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
    """The strongest edges, with sign and stability.

    What the data support is filled. Edges with q > 0.1 are hollow and pale: a ranking, no findings; those that only co-variation ranks have a "~" behind the name, those that the data cannot tell from others a "†". Where the data support "one of a group" (:func:`spatrace_sc.get.lr_targets`), the dot is filled palely. A
    line under the title says how many edges are supported.

    Parameters
    ----------
    adata
        With a result of :func:`spatrace_sc.tl.infer_ccc`.
    kind
        ``"lr_targets"``, ``"tf_targets"`` or ``"lr_pairs"``: the table of :mod:`spatrace_sc.get` to draw. Pairs have no sign.
    top_n
        Edges to draw, the strongest first; edges with score 0 never are. None: all.
    max_q
        Only edges with at most this q. None: all.
    stage
        None: the whole data set. A stage: effects there; q stays that of the whole.
    key
        Name of the result.
    truth
        Table of known edges with the columns that name an edge, and optionally ``sign``. Edges in it are marked with a star, a hollow one if the sign is the other.
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
    >>> st.tl.infer_ccc(adata, sample_key="sample", stage_key="stage")
    >>> ax = st.pl.top_edges(adata, "tf_targets", top_n=5, truth=adata.uns["truth"]["tf_targets"])
    >>> len(ax.get_yticklabels())
    5
    """
    one_of(kind, KINDS, "kind")
    count(top_n, "top_n")
    names, title, unit = KINDS[kind]
    table = getattr(get, kind)(adata, stage, key=key)
    table, limit = up_to(table[table["score"].to_numpy() > 0], max_q)
    edges = _prepare(table, names, top_n, truth)
    ax = new_axes(ax, 5.3 + label_width(edges["label"]), 1.3 + 0.22 * max(len(edges), 6))
    where = limit + at_stage(adata, stage, key)
    if edges.empty:
        return nothing_left(ax, f"No {title}{where or ' with a score above 0'}")
    ax.set_xlabel(unit)
    evidence = edges["evidence"]
    mark = "pale or hollow" if (evidence == "group").any() else "hollow"
    supported = counted((evidence == "supported").to_numpy(), mark=mark)
    ax.set_title(f"{len(edges)} strongest of {len(table)} {title}{where}\n{supported}", fontsize=10)
    _draw(ax, edges, has_truth=truth is not None)
    return ax


def _prepare(
    table: pd.DataFrame, names: list[str], top_n: int | None, truth: pd.DataFrame | None
) -> pd.DataFrame:
    """Table ``label, value, colour, stability, evidence, mark``, strongest first."""
    top = table.head(len(table) if top_n is None else top_n)
    signed = "effect" in top
    value = top["effect" if signed else "score"].to_numpy(dtype=np.float64)
    return pd.DataFrame(
        {
            "label": _labels(top, names),
            "value": value,
            "colour": np.where(value > 0, UP, DOWN) if signed else NEUTRAL,
            "stability": top["stability"].to_numpy(dtype=np.float64),
            "evidence": top["evidence"].astype(str).to_numpy(dtype=object),
            "mark": _marks(top, names, truth, np.sign(value) if signed else None),
        }
    )


def _labels(top: pd.DataFrame, names: list[str]) -> list[str]:
    """Names of the edges, with the signs of those that are co-variation only and of those that the data cannot tell from others."""
    plain = [ARROW.join(edge) for edge in top[names].astype(str).itertuples(index=False, name=None)]
    alone = np.where(top["evidence"].astype(str) == "co-variation", COVARIATION, "")
    grouped = np.where(top["group"].astype(str) != "", GROUPED, "")
    return [" ".join(filter(None, parts)) for parts in zip(plain, alone, grouped, strict=True)]


def _marks(
    top: pd.DataFrame, names: list[str], truth: pd.DataFrame | None, sign: np.ndarray | None
) -> list[str]:
    if truth is None:
        return [""] * len(top)
    missing = [c for c in names if c not in truth]
    if missing:
        raise InvalidArgumentError(
            f"`truth` lacks the columns {shorten(missing)}, which name an edge; it has {shorten(truth.columns)}."
        )
    known = [tuple(edge) for edge in truth[names].astype(str).to_numpy()]
    signs = (
        np.sign(truth["sign"].to_numpy(dtype=np.float64))
        if "sign" in truth
        else np.zeros(len(truth))
    )
    sign_of = dict(zip(known, signs, strict=True))
    marks = []
    for k, edge in enumerate(top[names].astype(str).itertuples(index=False, name=None)):
        if edge not in sign_of:
            marks.append("")
        else:
            marks.append(TURNED if sign is not None and sign_of[edge] * sign[k] < 0 else TRUE)
    return marks


def _paler(colour: str, supported: bool) -> tuple[float, ...]:
    """The colour, mixed with white unless supported; never see-through."""
    from matplotlib.colors import to_rgb

    share = 1.0 if supported else PALE
    return (*(share * part + 1.0 - share for part in to_rgb(colour)), 1.0)


def _face(colour: str, evidence: str) -> tuple[float, ...]:
    """Filled where the edge is supported, pale where its group is, otherwise white."""
    return (
        _paler(colour, evidence == "supported")
        if evidence in {"supported", "group"}
        else (1.0, 1.0, 1.0, 1.0)
    )


def _area(stability: Any) -> Any:
    return 8.0 + 52.0 * np.asarray(stability)


def _draw(ax: Axes, edges: pd.DataFrame, *, has_truth: bool) -> None:
    from matplotlib.transforms import ScaledTranslation

    place = np.arange(len(edges))
    bars = [
        _paler(colour, found == "supported")
        for colour, found in edges[["colour", "evidence"]].to_numpy()
    ]
    ax.barh(place, edges["value"], height=0.22 * min(1.0, len(edges) / 6), color=bars)
    faces = [_face(colour, found) for colour, found in edges[["colour", "evidence"]].to_numpy()]
    ax.scatter(
        *(edges["value"], place),
        s=_area(edges["stability"]),
        c=faces,
        edgecolors=list(edges["colour"]),
        zorder=3,
    )
    ax.axvline(0, color="black", linewidth=0.8)
    for mark, face in ((TRUE, "black"), (TURNED, "white")):
        rows = place[(edges["mark"] == mark).to_numpy()]
        if has_truth:
            ax.scatter(
                np.ones(len(rows)),
                rows,
                transform=ax.get_yaxis_transform()
                + ScaledTranslation(10 / 72, 0, ax.figure.dpi_scale_trans),
                clip_on=False,
                marker="*",
                s=45,
                facecolor=face,
                edgecolor="black",
                linewidths=0.7,
                label=mark,
            )
    ax.set_ylim(len(edges) - 0.4, -0.6)
    ax.margins(x=0.06)
    ax.tick_params(axis="y", length=0)
    ax.spines[["top", "right", "left"]].set_visible(False)
    _legend(ax, edges, has_truth=has_truth)
    label_ticks(ax, y=list(edges["label"]))


def _legend(ax: Axes, edges: pd.DataFrame, *, has_truth: bool) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.transforms import ScaledTranslation

    def dot(colour: str, area: float, label: str, marker: str = "o", face: Any = None) -> Line2D:
        return Line2D(
            *([], []),
            linestyle="none",
            marker=marker,
            markersize=area**0.5,
            color=colour,
            markerfacecolor=face or colour,
            markeredgewidth=0.7 if face else 0.0,
            label=label,
        )

    drawn = set(edges["colour"])
    handles = [
        dot(c, 40, text)
        for c, text in ((UP, "raises the target"), (DOWN, "lowers the target"))
        if c in drawn
    ]
    handles += [dot(NEUTRAL, _area(s), f"stability {s:g}") for s in (0.2, 0.6, 1.0)]
    for found, text in (("group", OF_A_GROUP), ("ranked", UNSUPPORTED)):
        if any(
            (e == "group") == (found == "group") and e != "supported" for e in edges["evidence"]
        ):
            handles.append(dot(NEUTRAL, 40, text, face=_face(NEUTRAL, found)))
    for sign, text in SIGNS.items():
        if edges["label"].str.contains(f" {sign}", regex=False).any():
            handles.append(dot("black", 0, f"{sign}  {text}", marker="none"))
    if has_truth:
        for mark, face in ((TRUE, "black"), (TURNED, "white")):
            n = int((edges["mark"] == mark).sum())
            if n or mark == TRUE:
                handles.append(dot("black", 55, f"{mark} ({n} of {len(edges)})", "*", face))
    beside = ax.transAxes + ScaledTranslation(
        (24 if has_truth else 4) / 72, 0, ax.figure.dpi_scale_trans
    )
    style: dict[str, Any] = {"frameon": False, "fontsize": 8, "borderaxespad": 0}
    ax.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(1, 1), bbox_transform=beside, **style
    )
