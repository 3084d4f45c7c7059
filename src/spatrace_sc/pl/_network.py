"""Communication between cell types, as a directed network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys
from .._check import count, one_of
from ._drawing.axes import new_axes, nothing_left, points
from ._drawing.marks import SIGNIFICANT, count_line, fit_title
from ._drawing.names import FEW, LONGEST_OF_TWO, added_width, name_length, name_size, shortened
from ._drawing.side_legends import dot, side_legends
from ._drawing.signals import Signals, read_signals, type_colours

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Text

#: Kinds of networks.
KINDS = ("types",)
#: Width of the strongest arrow and of the weakest, in points.
WIDEST, THINNEST = 5.0, 0.4
#: Diameter of a node and of the mark of a significant arrow, in points.
NODE, MARK = 13.0, 4.0
#: Bend of an arrow, as a share of its length.
BEND = 0.18
#: Radius and distance of the loop of a type that signals to itself.
LOOP, LOOP_AT = 0.085, 1.09
#: Distance from the centre that is always inside the axes, and radius from which on sizes are full.
INSIDE, FULL_RADIUS = 1.25, 100.0
#: Sine of the angle above which a flat name is above or below its node.
STEEP = 0.8
#: Smallest radius of the circle in points.
SMALLEST_RADIUS = 10.0
#: Distance of names from the centre, beside a loop and without one.
NAME_AT, NAME_BY_LOOP = 1.1, 1.22
#: Inches of a new figure of few and of many types.
SIZE, LARGE_SIZE = (6.2, 4.4), (7.1, 5.6)


def network(
    adata: AnnData,
    kind: str = "types",
    *,
    pair: str | tuple[str, str] | None = None,
    top_n: int | None = None,
    top_links: int | None = 60,
    max_q: float | None = None,
    stage: str | None = None,
    key: str = _keys.RESULT,
    ax: Axes | None = None,
) -> Axes:
    """Draw cell types on a circle, with arrows from senders to receivers.

    The width of an arrow is the score summed over pairs, its colour that of the sender. An arrow
    has a dot if one of the rows that it sums is significant (q ≤ 0.1). Loops are signals within a
    type.

    Parameters
    ----------
    adata
        With a result of :func:`spatrace_sc.tl.infer_ccc`.
    kind
        ``"types"``: cell types are the nodes.
    pair
        Only this pair: ``"ligand^receptor"`` or ``(ligand, receptor)``. None: the sum over pairs.
    top_n
        Pairs to sum, those with the largest sum over types first. None: all pairs of
        :func:`spatrace_sc.get.communication`. It cannot be combined with ``pair``.
    top_links
        Arrows to draw, significant ones first, then the strongest. None: all.
    max_q
        Only rows sender × receiver × pair with at most this q. None: all.
    stage
        None: the whole data set. A stage: scores and q there.
    key
        Name of the result.
    ax
        Axes to draw in. None: a new figure.

    Returns
    -------
    The Axes; the arrows are ``ax.patches``, the strongest last. The nodes are
    ``ax.collections[0]``, the dots ``ax.collections[1]``.

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
    >>> len(st.pl.network(adata, top_links=4).patches)
    4
    """
    one_of(kind, "kind", KINDS)
    count(top_links, "top_links")
    signals = read_signals(adata, key, pair=pair, top_n=top_n, max_q=max_q, stage=stage)
    many = len(signals.types) > FEW
    width, height = LARGE_SIZE if many else SIZE
    ax = new_axes(ax, width + added_width(signals.types), height)
    if signals.nothing:
        return nothing_left(ax, signals.nothing)
    links = signals.links()
    drawn = strongest_links(links, top_links)
    types = signals.types
    place = _circle(types)
    colours = type_colours(adata, types, key)
    ax.set_axis_off()
    ax.set_aspect("equal")
    title = links_title(signals, links, drawn, "dots", "arrows")
    side_legends(ax, _legend(links, 1.0), "score (SD)")  # takes its room first
    fit_title(ax, title)
    with_loop = set(drawn["sender"][drawn["sender"] == drawn["receiver"]])
    scale = _draw_names(ax, place, with_loop)
    _draw_arrows(ax, drawn, place, colours, scale)
    _draw_nodes(ax, place, colours, scale)
    _draw_marks(ax, drawn, place, scale)
    side_legends(ax, _legend(links, scale), "score (SD)")
    return ax


def strongest_links(links: pd.DataFrame, top_links: int | None) -> pd.DataFrame:
    """Return significant links first, then the strongest, as many as are drawn."""
    ranked = links.sort_values(["significant", "score"], ascending=False, kind="stable")
    return ranked.head(len(ranked) if top_links is None else top_links)


def links_title(
    signals: Signals, links: pd.DataFrame, drawn: pd.DataFrame, mark: str, noun: str
) -> str:
    """Return a title with what is summed, how many links are drawn, and how many significant."""
    n, total = len(drawn), len(links)
    words = f"{total} {noun}" if n == total else f"{n} of {total} {noun} drawn"
    line = count_line(
        *(int(links["significant"].sum()), total, noun, mark),
        drawn=int(drawn["significant"].sum()),
    )
    return f"{signals.summed}{signals.suffix}; {words}\n{line}"


def _circle(types: list[str]) -> dict[str, NDArray[np.float64]]:
    """Return positions on the unit circle, clockwise from the top."""
    angle = np.pi / 2 - 2 * np.pi * np.arange(len(types)) / len(types)
    return dict(zip(types, np.stack([np.cos(angle), np.sin(angle)], axis=1), strict=True))


def _width(score: Any, largest: float) -> Any:
    """Return the width of arrows in points."""
    return THINNEST + (WIDEST - THINNEST) * score / largest


def _draw_names(ax: Axes, place: dict[str, NDArray[np.float64]], with_loop: set[str]) -> float:
    """Write the names, which point away from the circle, and choose limits that hold them all.

    Returns the factor for sizes in points: 1, or less if the circle is small or full.
    """
    types = list(place)
    size = name_size(len(types))
    names = []
    ax.set_aspect("auto")
    ax.apply_aspect()  # back to the full width
    for text, name in zip(shortened(types, name_length(ax, LONGEST_OF_TWO)), types, strict=True):
        x, y = place[name]
        angle, left = float(np.degrees(np.arctan2(y, x))), x < -1e-9
        distance = NAME_BY_LOOP if name in with_loop else NAME_AT
        style: dict[str, Any] = {"va": "center", "fontsize": size, "rotation_mode": "anchor"}
        style |= _direction(angle, left, flat=len(types) <= FEW)
        names.append(ax.text(distance * x, distance * y, text, **style))
    half = np.array(points(ax)) / 2
    to_points = 72 / ax.figure.dpi
    fitting = (_largest_radius(name, half, to_points) for name in names)
    radius = min(float(half.min()) / INSIDE, *fitting)
    radius = max(radius, SMALLEST_RADIUS)
    across, up = half / radius
    ax.set(xlim=(-across, across), ylim=(-up, up))
    ax.set_aspect("equal")
    return float(np.clip(min(radius / FULL_RADIUS, 2 * np.pi * radius / (20 * len(types))), 0.3, 1))


def _direction(angle: float, left: bool, *, flat: bool) -> dict[str, Any]:
    """Return rotation and alignment of a name: away from the circle, or flat if there are few."""
    if not flat:
        return {"rotation": angle + 180 if left else angle, "ha": "right" if left else "left"}
    steep = abs(np.sin(np.radians(angle))) > STEEP
    vertical = ("bottom" if angle > 0 else "top") if steep else "center"
    horizontal = "right" if left else "left"
    at_an_end = abs(np.cos(np.radians(angle))) < 1 - STEEP
    return {"va": vertical, "ha": "center" if at_an_end else horizontal}


def _largest_radius(name: Text, half: NDArray[np.float64], to_points: float) -> float:
    """Return the radius of the circle, in points, at which a name just ends inside the axes."""
    box = name.get_window_extent()
    anchor = name.get_transform().transform(name.get_position())
    beyond = np.abs(box.get_points() - anchor).max(axis=0) * to_points
    at = np.abs(np.array(name.get_position()))
    return float(((half - beyond) / np.maximum(at, 1e-9)).min())


def _draw_arrows(
    ax: Axes,
    drawn: pd.DataFrame,
    place: dict[str, NDArray[np.float64]],
    colours: dict[str, str],
    scale: float,
) -> None:
    """Draw an arrow for every link, the strongest on top."""
    from matplotlib.patches import Circle, FancyArrowPatch

    largest = float(drawn["score"].max())
    weakest_first = drawn.sort_values("score", kind="stable")
    names = weakest_first[["sender", "receiver"]].astype(str).to_numpy()
    for (sender, receiver), score in zip(names, weakest_first["score"], strict=True):
        width, colour = scale * _width(score, largest), colours[sender]
        style: dict[str, Any] = {"color": colour, "linewidth": width, "alpha": 0.75, "zorder": 1}
        if sender == receiver:
            loop = Circle(tuple(LOOP_AT * place[sender]), LOOP, fill=False, **style)
            ax.add_patch(loop)
            continue
        head = f"head_length={3 * scale + 0.8 * width},head_width={1.5 * scale + 0.6 * width}"
        arrow = FancyArrowPatch(
            *(tuple(place[sender]), tuple(place[receiver])),
            arrowstyle=f"-|>,{head}",
            connectionstyle=f"arc3,rad={BEND}",
            shrinkA=scale * NODE / 2,
            shrinkB=scale * NODE / 2 + 1,
            mutation_scale=1.0,
            **style,
        )
        ax.add_patch(arrow)


def _draw_nodes(
    ax: Axes, place: dict[str, NDArray[np.float64]], colours: dict[str, str], scale: float
) -> None:
    """Draw the types."""
    x, y = np.array(list(place.values())).T
    style: dict[str, Any] = {"edgecolors": "black", "linewidths": 0.6, "zorder": 2}
    style |= {"s": (scale * NODE) ** 2, "c": [colours[name] for name in place]}
    ax.scatter(x, y, **style)


def _draw_marks(
    ax: Axes, drawn: pd.DataFrame, place: dict[str, NDArray[np.float64]], scale: float
) -> None:
    """Draw a dot in the middle of every significant arrow."""
    middle = np.empty((0, 2))
    significant = drawn[drawn["significant"].to_numpy()]
    if len(significant):
        middle = np.array(
            [_middle(place[s], place[r]) for s, r in significant[["sender", "receiver"]].to_numpy()]
        )
    ax.scatter(
        middle[:, 0],
        middle[:, 1],
        s=(MARK * scale**0.5) ** 2,
        c="white",
        edgecolors="black",
        linewidths=0.8,
        zorder=3,
        label=SIGNIFICANT,
    )


def _middle(start: NDArray[np.float64], end: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the middle of an arrow as matplotlib bends it, or the outermost point of a loop."""
    if np.array_equal(start, end):
        return np.asarray((LOOP_AT + LOOP) * start)
    along = end - start
    # the curve passes through a half of the way to its control point
    return np.asarray((start + end) / 2 + BEND / 2 * np.array([along[1], -along[0]]))


def _legend(links: pd.DataFrame, scale: float) -> list[Any]:
    """Return the entries of the legend: two widths and the mark."""
    from matplotlib.lines import Line2D

    largest = float(links["score"].max())
    widths = [
        Line2D([], [], color="0.4", linewidth=scale * _width(share * largest, largest), label=text)
        for share, text in ((1.0, f"{largest:.2g}"), (0.25, f"{largest / 4:.2g}"))
    ]
    mark = dot(
        SIGNIFICANT, MARK, markerfacecolor="white", markeredgecolor="black", markeredgewidth=0.8
    )
    return [*widths, mark]
