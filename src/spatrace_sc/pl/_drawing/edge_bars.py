"""Bars, dots and stars of the strongest edges, with their legend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .axes import DOWN, NEUTRAL, UP, label_ticks
from .significance import MARK, SIGNIFICANT, THRESHOLD, ring_handle, rings

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D
    from matplotlib.transforms import Transform

#: Signs behind the name of an edge, and their meaning.
COVARIATION, GROUPED, REPLACEABLE = "~", "†", "‡"
SIGNS = {
    COVARIATION: "ranked by co-variation only",
    GROUPED: "not significant and not distinguishable\n    from others (column group)",
    REPLACEABLE: "significant, but a similar TF may act\n    instead (column group)",
}
#: Rings by level of evidence: their colour and meaning.
RINGS = {
    "supported": (MARK, SIGNIFICANT),
    "group": ("#999999", f"only its group significant ({THRESHOLD})"),
}
#: Meaning of a filled and of a hollow star, and the colours inside.
TRUE, TRUE_OTHER_SIGN = "true edge", "true edge, opposite sign"
STARS = {TRUE: "black", TRUE_OTHER_SIGN: "white"}
#: Diameters of the dots of stability 0 and 1, in points.
DIAMETERS = (2.5, 9.0)
#: Meaning of the size of the dots.
STABILITY = "stability: share of refits\n    that select the edge"


def draw_edges(ax: Axes, edges: pd.DataFrame, *, has_truth: bool) -> None:
    """Draw ``label, value, colour, stability, evidence, mark``, one row per edge."""
    position = np.arange(len(edges))
    colours, height = list(edges["colour"]), 0.22 * min(1.0, len(edges) / 6)
    ax.barh(position, edges["value"], height=height, color=colours)
    areas = _area(edges["stability"])
    ax.scatter(edges["value"], position, s=areas, c=colours, linewidths=0, zorder=3)
    for level, (colour, _) in RINGS.items():
        of_level = (edges["evidence"] == level).to_numpy()
        value = edges["value"].to_numpy()[of_level]
        rings(ax, value, position[of_level], areas[of_level], edgecolors=colour)
    ax.axvline(0, color="black", linewidth=0.8)
    if has_truth:
        _draw_stars(ax, edges)
    ax.set_ylim(len(edges) - 0.4, -0.6)
    ax.margins(x=0.06)
    ax.tick_params(axis="y", length=0)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.legend(
        handles=_legend_handles(edges, has_truth=has_truth),
        loc="upper left",
        bbox_to_anchor=(1, 1),
        bbox_transform=ax.transAxes + _to_the_right(ax, 24 if has_truth else 4),
        frameon=False,
        fontsize=8,
        borderaxespad=0,
    )
    label_ticks(ax, y=list(edges["label"]))


def _draw_stars(ax: Axes, edges: pd.DataFrame) -> None:
    """Draw a star to the right of every true edge."""
    outside = ax.get_yaxis_transform() + _to_the_right(ax, 10)
    style: dict[str, Any] = {"marker": "*", "s": 45, "edgecolor": "black", "linewidths": 0.7}
    for mark, face in STARS.items():
        rows = np.flatnonzero(edges["mark"] == mark)
        style |= {"facecolor": face, "label": mark}
        ax.scatter(np.ones(len(rows)), rows, transform=outside, clip_on=False, **style)


def _to_the_right(ax: Axes, distance: float) -> Transform:
    """Return a shift to the right by a distance in points."""
    from matplotlib.transforms import ScaledTranslation

    return ScaledTranslation(distance / 72, 0, ax.figure.dpi_scale_trans)


def _area(stability: Any) -> Any:
    """Return the area of a dot in points²; its diameter is linear in the stability."""
    smallest, largest = DIAMETERS
    return (smallest + (largest - smallest) * np.asarray(stability, dtype=np.float64)) ** 2


def _legend_handles(edges: pd.DataFrame, *, has_truth: bool) -> list[Line2D]:
    """Return the entries for the colours, dots, signs and stars that are drawn."""
    colours, evidence = set(edges["colour"]), set(edges["evidence"])
    handles = [
        _handle(colour, label)
        for colour, label in ((UP, "raises the target"), (DOWN, "lowers the target"))
        if colour in colours
    ]
    handles += _stability_handles(edges["stability"])
    handles += [
        ring_handle(label, 12.0, colour)
        for level, (colour, label) in RINGS.items()
        if level in evidence
    ]
    for sign, meaning in SIGNS.items():
        if edges["label"].str.contains(f" {sign}", regex=False).any():
            handles.append(_handle("black", f"{sign}  {meaning}", marker="none"))
    if has_truth:
        for mark, face in STARS.items():
            n = int((edges["mark"] == mark).sum())
            if n or mark == TRUE:
                handles.append(_handle("black", f"{mark} ({n} of {len(edges)})", 55, "*", face))
    return handles


def _stability_handles(stability: pd.Series) -> list[Line2D]:
    """Return the entries for the lowest and the highest stability, or for the only one."""
    lowest, highest = float(stability.min()), float(stability.max())
    if f"{lowest:.2g}" == f"{highest:.2g}":
        sizes = {f"stability {lowest:.2g} (all edges shown)": lowest}
    else:
        sizes = {
            f"stability {highest:.2g} (highest shown)": highest,
            f"stability {lowest:.2g} (lowest shown)": lowest,
        }
    dots = [_handle(NEUTRAL, label, float(_area(size))) for label, size in sizes.items()]
    return [*dots, _handle("black", STABILITY, marker="none")]


def _handle(
    colour: str, label: str, area: float = 40, marker: str = "o", face: Any = None
) -> Line2D:
    """Return an entry of the legend; an outlined marker if it has a face of another colour."""
    from matplotlib.lines import Line2D

    return Line2D(
        [],
        [],
        linestyle="none",
        marker=marker,
        markersize=area**0.5,
        color=colour,
        markerfacecolor=face or colour,
        markeredgewidth=0.7 if face else 0.0,
        label=label,
    )
