"""What differs between groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys, get
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
from ._significance import PALE, UNSUPPORTED, counted, is_supported

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: What is compared, and the axis label.
KINDS = {
    "tf_targets": ("TF → target edges", "slope (SD of the target per SD of the TF)"),
    "lr_targets": (
        "ligand–receptor → target edges",
        "slope (SD of the target per SD of the pair's signal)",
    ),
    "tfs": ("TFs' responses", "slopes along the TF's effects (SD)"),
    "lr_pairs": ("pairs' responses", "slopes along the pair's effects (SD)"),
    "tf_activity": ("TF levels", "mean activity"),
    "pair_activity": ("pair signals", "mean activity"),
}
#: Colours of what has changed; everything else is grey.
COLOURS = {
    **dict.fromkeys(("gained", "appears", "strengthens"), UP),
    **dict.fromkeys(("lost", "disappears", "weakens"), DOWN),
    "changed": "#009E73",
}
NO_CHANGE = ("kept", "steady", "")
#: Colour of standard errors.
ERROR = "#BBBBBB"


def comparison(
    adata: AnnData,
    kind: str = "tf_targets",
    *,
    group: str | None = None,
    top_n: int | None = 20,
    key: str = _keys.RESULT,
    ax: Axes | None = None,
) -> Axes:
    """Edges, regulators or levels that differ between groups: an arrow from the reference to the group.

    The hollow dot is the effect in the reference, the filled one that in the group, grey bars are twice their standard errors. A change is pale where its own q is above 0.1, or that of the edge or pair in the whole
    (:func:`spatrace_sc.get.lr_targets`; of a TF: that of every edge it has): what differs is then not known to act at all. A line under the title counts the others.

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
    MissingKeyError, InvalidArgumentError

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata, sample_key="sample", stage_key="stage")
    >>> st.tl.compare(adata, "stage", top_n=20)
    >>> ax = st.pl.comparison(adata, "tf_activity", top_n=5)
    >>> ax.get_xlabel()
    'mean activity'
    """
    one_of(kind, KINDS, "kind")
    count(top_n, "top_n")
    table = get.comparison(adata, kind, group=group, key=key)
    changed = table[~table["change"].isin(NO_CHANGE)]
    top = changed.head(len(changed) if top_n is None else top_n)
    what, unit = KINDS[kind]
    several = len(table.drop_duplicates(["group", "reference"])) > 1
    labels = _labels(top, _keys.COMPARED[kind], several)
    ax = new_axes(ax, 5.5 + label_width(labels), 1.4 + 0.24 * max(len(top), 6))
    ax.set_xlabel(unit)
    if top.empty:
        return nothing_left(ax, f"None of {len(table)} compared {what} is called different")
    sides = "" if several else f", {top['group'].iloc[0]} against {top['reference'].iloc[0]}"
    supported = is_supported(top) & _acts(adata, kind, top, key)
    title = f"{len(top)} of {len(changed)} changes in {len(table)} compared {what}{sides}"
    ax.set_title(f"{title}\n{counted(supported, mark='pale')}", fontsize=10)
    _draw(ax, top, supported)
    _legend(ax, top, several, bool(supported.all()))
    label_ticks(ax, y=labels)
    return ax


def _labels(top: pd.DataFrame, columns: list[str], several: bool) -> list[str]:
    """Name of each row, with the groups where there is more than one comparison."""
    names = [ARROW.join(row) for row in top[columns].astype(str).itertuples(index=False, name=None)]
    if not several:
        return names
    sides = zip(names, top["reference"].astype(str), top["group"].astype(str), strict=True)
    return [f"{name}  ({reference}{ARROW}{group})" for name, reference, group in sides]


def _acts(adata: AnnData, kind: str, top: pd.DataFrame, key: str) -> NDArray[np.bool_]:
    """Whether what is compared is supported in the whole: the edge, the pair, or any edge of the TF."""
    columns = _keys.COMPARED[kind]
    reader = {"tfs": "tf_targets", "tf_activity": "tf_targets", "pair_activity": "lr_pairs"}.get(
        kind, kind
    )
    table: pd.DataFrame = getattr(get, reader)(adata, key=key)
    known = pd.MultiIndex.from_frame(table.loc[is_supported(table), columns].astype(str))
    return np.asarray(pd.MultiIndex.from_frame(top[columns].astype(str)).isin(known))


def _draw(ax: Axes, top: pd.DataFrame, supported: NDArray[np.bool_]) -> None:
    from matplotlib.colors import to_rgba

    place = np.arange(len(top))
    before, after = (top[c].to_numpy(dtype=float) for c in ("effect_reference", "effect"))
    colours = [
        to_rgba(COLOURS[c], 1.0 if known else PALE)
        for c, known in zip(top["change"], supported, strict=True)
    ]
    for shift, value, se in (
        (-0.12, before, top["effect_reference_se"].to_numpy(dtype=float)),
        (0.12, after, top["effect_se"].to_numpy(dtype=float)),
    ):
        ax.errorbar(
            value, place + shift, xerr=2 * se, fmt="none", ecolor=ERROR, elinewidth=1.2, zorder=1
        )
    for y, start, end, colour in zip(place, before, after, colours, strict=True):
        style = {
            "arrowstyle": "-|>",
            "color": colour,
            "lw": 1.6,
            "shrinkA": 3,
            "shrinkB": 1,
            "mutation_scale": 9,
        }
        ax.annotate("", (end, y + 0.12), (start, y - 0.12), arrowprops=style, zorder=2)
    ax.scatter(before, place - 0.12, s=28, facecolor="white", edgecolor=colours, zorder=3)
    ax.scatter(after, place + 0.12, s=28, color=colours, zorder=3)
    ax.axvline(0, color="black", linewidth=0.8, zorder=0)
    ax.set_ylim(len(top) - 0.4, -0.6)
    ax.margins(x=0.06)
    ax.tick_params(axis="y", length=0)
    ax.spines[["top", "right", "left"]].set_visible(False)


def _legend(ax: Axes, top: pd.DataFrame, several: bool, supported: bool) -> None:
    from matplotlib.lines import Line2D

    reference, group = (
        ("reference", "group")
        if several
        else (str(top["reference"].iloc[0]), str(top["group"].iloc[0]))
    )
    marks = [
        Line2D(
            [],
            [],
            linestyle="none",
            marker="o",
            color=NEUTRAL,
            markerfacecolor="white",
            label=reference,
        ),
        Line2D([], [], linestyle="none", marker="o", color=NEUTRAL, label=group),
    ]
    marks.append(Line2D([], [], color=ERROR, lw=1.2, label="± 2 standard errors"))
    number = top["change"].value_counts()
    marks += [
        Line2D([], [], color=COLOURS[c], lw=2, label=f"{c} ({n})")
        for c, n in zip(number.index.astype(str), number, strict=True)
    ]
    if not supported:
        marks.append(
            Line2D(
                [],
                [],
                color=NEUTRAL,
                alpha=PALE,
                lw=2,
                label=f"{UNSUPPORTED}, of the change or in the whole",
            )
        )
    ax.legend(
        handles=marks,
        loc="upper left",
        bbox_to_anchor=(1.01, 1),
        frameon=False,
        fontsize=8,
        borderaxespad=0,
    )
