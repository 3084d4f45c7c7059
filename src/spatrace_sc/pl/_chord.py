"""Communication between cell types, as a chord diagram."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData

from .. import _keys
from .._check import count
from .._errors import InvalidArgumentError, MissingPackageError
from ._drawing.axes import new_axes, nothing_left, settle
from ._drawing.marks import fit_title
from ._drawing.names import FEW, LONGEST_OF_TWO, added_width, name_length, name_size, shortened
from ._drawing.signals import read_signals, type_colours
from ._network import links_title, strongest_links

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Radii of the ring of types and of the ends of links; the axes reach to 100.
RING, ENDS = (91.0, 97.0), 90.0
#: Gap between types in degrees, at most, and all gaps together.
GAP, GAPS = 4.0, 100.0
#: Width of the outline of a significant link, in points, and opacity of links.
OUTLINE, OPACITY = 1.0, 0.65
#: Inches of a side of a new figure of few and of many types.
SIDE, LARGE_SIDE = 5.2, 6.8


def chord(
    adata: AnnData,
    *,
    pair: str | tuple[str, str] | None = None,
    top_n: int | None = None,
    top_links: int | None = 60,
    max_q: float | None = None,
    stage: str | None = None,
    key: str = _keys.RESULT,
    ax: Axes | None = None,
) -> Axes:
    """Draw a chord diagram of cell types, with links from senders to receivers.

    The width of a link is the score summed over pairs. It has the colour of its sender and an
    arrowhead at its receiver. It is outlined if one of the rows that it sums is significant
    (q ≤ 0.1). The arc of a type is as long as all its drawn links are wide, first those that it
    sends, then those that it receives, clockwise. This figure needs the package pyCirclize:
    ``pip install "spatrace-sc[plot]"``.

    Parameters
    ----------
    adata
        With a result of :func:`spatrace_sc.tl.infer_ccc`.
    pair
        Only this pair: ``"ligand^receptor"`` or ``(ligand, receptor)``. None: the sum over pairs.
    top_n
        Pairs to sum, those with the largest sum over types first. None: all pairs of
        :func:`spatrace_sc.get.communication`. It cannot be combined with ``pair``.
    top_links
        Links to draw, significant ones first, then the strongest. None: all.
    max_q
        Only rows sender × receiver × pair with at most this q. None: all.
    stage
        None: the whole data set. A stage: scores and q there.
    key
        Name of the result.
    ax
        Polar axes to draw in, such as ``plt.subplots(subplot_kw={"projection": "polar"})``. None:
        a new figure.

    Returns
    -------
    The Axes.

    Raises
    ------
    MissingKeyError
        ``adata`` has no such result.
    InvalidArgumentError
        An argument is out of range, names nothing in the result, or ``ax`` is not polar.
    MissingPackageError
        pyCirclize is not installed.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata, sample_key="sample", stage_key="stage")
    >>> ax = st.pl.chord(adata, top_links=20)  # doctest: +SKIP
    """
    count(top_links, "top_links")
    if ax is not None and ax.name != "polar":
        raise InvalidArgumentError(
            f"`ax` must be polar for a chord diagram, found a {ax.name} one; create it with "
            "`plt.subplots(subplot_kw={'projection': 'polar'})`, or leave it None."
        )
    circos_class = _circos()
    signals = read_signals(adata, key, pair=pair, top_n=top_n, max_q=max_q, stage=stage)
    if signals.nothing:
        return nothing_left(new_axes(ax, SIDE, 2.5), signals.nothing)
    links = signals.links()
    drawn = strongest_links(links, top_links)
    arcs, sizes = _prepare(drawn, signals.types)
    ax = _polar(ax, SIDE if len(sizes) <= FEW else LARGE_SIDE, added_width(list(sizes)))
    gap = min(GAP, GAPS / len(sizes)) if len(sizes) > 1 else 0.0
    circos = circos_class(sizes, space=gap)
    colours = type_colours(adata, signals.types, key)
    _add_types(circos, colours, name_length(ax, LONGEST_OF_TWO))
    for arc in arcs.sort_values("score", ascending=False, kind="stable").itertuples():
        circos.link(
            *((arc.sender, arc.start, arc.end), (arc.receiver, arc.to_start, arc.to_end)),
            color=colours[str(arc.sender)],
            alpha=OPACITY,
            direction=1,
            r1=ENDS,
            r2=ENDS,
            ec="black" if arc.significant else "none",
            lw=OUTLINE if arc.significant else 0.0,
        )
    circos.plotfig(ax=ax)
    fit_title(ax, links_title(signals, links, drawn, "outlined", "links"))
    _lift_title(ax)
    return ax


def _circos() -> Any:
    """Return the class of circular figures; importing it would change how figures are saved."""
    from matplotlib import rc_context

    try:
        with rc_context():
            from pycirclize import Circos
    except ImportError as error:
        raise MissingPackageError(
            f"`st.pl.chord` needs pyCirclize, which cannot be imported ({error}): "
            '`pip install "spatrace-sc[plot]"`.'
        ) from error
    return Circos


def _polar(ax: Axes | None, side: float, more: float) -> Axes:
    """Return the given axes or new polar ones, in a figure of this size in inches.

    ``more`` is what long names add to its width.
    """
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    polar = {"projection": "polar"}
    return plt.subplots(figsize=(side + more, side + 0.45), layout="constrained", subplot_kw=polar)[
        1
    ]


def _prepare(drawn: pd.DataFrame, types: list[str]) -> tuple[pd.DataFrame, dict[str, float]]:
    """Return the links with both ends on the arcs of their types, and the lengths of the arcs.

    On an arc, what a type sends comes first; links are in the order of the types at their other
    end, backwards, so that they do not cross near the arc.
    """
    number = {name: k for k, name in enumerate(types)}
    n = len(types)
    sizes = dict.fromkeys(types, 0.0)
    arcs = drawn.assign(start=0.0, end=0.0, to_start=0.0, to_end=0.0)
    for here, there, columns in (
        ("sender", "receiver", ("start", "end")),
        ("receiver", "sender", ("to_start", "to_end")),
    ):
        own = drawn[here].map(number).to_numpy()
        other = drawn[there].map(number).to_numpy()
        for k in np.lexsort(((own - other) % n, own)):
            name, score = str(drawn[here].iloc[k]), float(drawn["score"].iloc[k])
            row = arcs.index[k]
            arcs.loc[row, list(columns)] = sizes[name], sizes[name] + score
            sizes[name] += score
    return arcs, {name: size for name, size in sizes.items() if size > 0}


def _lift_title(ax: Axes) -> None:
    """Move the title above the names, which reach beyond the axes."""
    title, size = ax.get_title(), ax.title.get_fontsize()
    for _ in range(2):  # a higher title leaves the circle less room
        top = max(text.get_window_extent().y1 for text in ax.texts if text.get_text())
        box = ax.get_window_extent()
        ax.set_title(title, y=1 + max(top - box.y1, 0.0) / box.height, fontsize=size)
        settle(ax)


def _add_types(circos: Any, colours: dict[str, str], longest: int) -> None:
    """Add the ring of types with their names, which point away from the centre."""
    names = [sector.name for sector in circos.sectors]
    size = name_size(len(names))
    for sector, text in zip(circos.sectors, shortened(names, longest), strict=True):
        track = sector.add_track(RING)
        track.axis(fc=colours[sector.name], ec="black", lw=0.5)
        middle = (sector.start + sector.end) / 2
        track.annotate(
            *(middle, text), min_r=RING[1], max_r=RING[1] + 6, label_size=size, shorten=None
        )
