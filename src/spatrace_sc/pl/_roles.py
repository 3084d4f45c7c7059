"""Cell types as senders and as receivers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData

from .. import _keys
from ._drawing.axes import new_axes, nothing_left, points, settle
from ._drawing.marks import SIGNIFICANT, count_line, fit_title
from ._drawing.names import FEW, LONGEST_OF_TWO, name_length, name_size, shortened
from ._drawing.side_legends import dot, side_legends
from ._drawing.signals import Signals, read_signals, type_colours

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Diameter of the largest and of the smallest dot in points, and room between a dot and its ring.
LARGEST, SMALLEST, RING_GAP = 12.0, 3.5, 3.0
#: Shorter side of the axes in points from which on dots have their full size, and the least share.
FULL_SIDE, SMALLEST_SCALE = 190.0, 0.5
#: Area of the axes in points² that a name needs, so that names do not collide, and the fewest.
AREA_OF_NAME, FEWEST_NAMES = 5000.0, 6
#: Share of the largest sum from which on a type is named.
NAMED_SHARE = 0.1
#: How adjustText moves names apart.
FORCES = {"force_text": (0.3, 0.6), "expand": (1.05, 1.25), "iter_lim": 500}
#: Inches of a new figure of few and of many types.
SIZE, LARGE_SIZE = (5.6, 3.8), (7.1, 5.4)


def roles(
    adata: AnnData,
    *,
    pair: str | tuple[str, str] | None = None,
    top_n: int | None = None,
    max_q: float | None = None,
    stage: str | None = None,
    key: str = _keys.RESULT,
    ax: Axes | None = None,
) -> Axes:
    """Draw how much every cell type sends and receives.

    A dot is a cell type. Its horizontal position is the sum of scores that it sends to all types,
    and its vertical position the sum that it receives. Its area is the number of pairs by which it
    sends or receives. It has a ring if one of these rows is significant (q ≤ 0.1). Types that send
    or receive most are named first, as far as there is room. A type with less than a tenth of the
    largest sum has no name; the title says how many. Names are moved apart if the package
    adjustText is installed.

    Parameters
    ----------
    adata
        With a result of :func:`spatrace_sc.tl.infer_ccc`.
    pair
        Only this pair: ``"ligand^receptor"`` or ``(ligand, receptor)``. None: the sum over pairs.
    top_n
        Pairs to sum, those with the largest sum over types first. None: all pairs of
        :func:`spatrace_sc.get.communication`. It cannot be combined with ``pair``.
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
    >>> st.pl.roles(adata).get_xlabel()
    'sent (summed score, SD)'
    """
    signals = read_signals(adata, key, pair=pair, top_n=top_n, max_q=max_q, stage=stage)
    ax = new_axes(ax, *(SIZE if len(signals.types) <= FEW else LARGE_SIZE))
    if signals.nothing:
        return nothing_left(ax, signals.nothing)
    table = _prepare(signals)
    n = int(signals.rows["significant"].sum())
    line = count_line(n, len(signals.rows), "rows", "their types ringed")
    title = f"{signals.summed}{signals.suffix}\n{line}"
    ax.set_title(title, fontsize=10)
    ax.set_xlabel("sent (summed score, SD)")
    ax.set_ylabel("received (summed score, SD)")
    ax.spines[["top", "right"]].set_visible(False)
    named = _draw(ax, table, type_colours(adata, list(table.index), key))
    if named < len(table):
        title += f"\nthe {named} of {len(table)} types that send or receive most are named"
    fit_title(ax, title)
    return ax


def _prepare(signals: Signals) -> pd.DataFrame:
    """Return ``sent, received, n_pairs, significant`` of every type."""
    rows = signals.rows
    sides = {side: rows.assign(type=rows[side]) for side in ("sender", "receiver")}
    sums = {side: part.groupby("type")["score"].sum() for side, part in sides.items()}
    both = pd.concat(sides.values()).groupby("type")
    return pd.DataFrame(
        {
            "sent": sums["sender"].reindex(signals.types, fill_value=0.0),
            "received": sums["receiver"].reindex(signals.types, fill_value=0.0),
            "n_pairs": both["pair"].nunique().reindex(signals.types, fill_value=0),
            "significant": both["significant"].any().reindex(signals.types, fill_value=False),
        },
        index=signals.types,
    ).astype({"significant": bool})


def _draw(ax: Axes, table: pd.DataFrame, colours: dict[str, str]) -> int:
    """Draw dots, rings, names and the legend; return the number of names."""
    most = max(int(table["n_pairs"].max()), 1)
    settle(ax)
    scale = float(np.clip(min(points(ax)) / FULL_SIDE, SMALLEST_SCALE, 1.0))
    size = scale * _diameter(table["n_pairs"].to_numpy(), most)
    x, y = table["sent"].to_numpy(), table["received"].to_numpy()
    shade: dict[str, Any] = {"edgecolors": "0.3", "linewidths": 0.5, "alpha": 0.9}
    shade["c"] = [colours[name] for name in table.index]
    dots = ax.scatter(x, y, s=size**2, zorder=2, **shade)
    ringed = table["significant"].to_numpy()
    ax.scatter(
        *(x[ringed], y[ringed]),
        s=(size[ringed] + scale * RING_GAP) ** 2,
        facecolors="none",
        edgecolors="black",
        linewidths=1.0,
        zorder=3,
        label=SIGNIFICANT,
    )
    ax.margins(0.12)
    side_legends(ax, _legend(most, scale), "pairs")
    settle(ax)
    width, height = points(ax)
    share = np.maximum(x / max(x.max(), 1e-9), y / max(y.max(), 1e-9))
    most_first = np.argsort(-share, kind="stable")
    named = most_first[: max(FEWEST_NAMES, int(width * height / AREA_OF_NAME))]
    named = named[(share[named] >= NAMED_SHARE) | (len(table) <= FEWEST_NAMES)]
    names = shortened(table.index, name_length(ax, LONGEST_OF_TWO))
    _draw_names(ax, {names[k]: (x[k], y[k]) for k in named}, (x, y), dots, len(table))
    return len(named)


def _diameter(n_pairs: Any, most: int) -> Any:
    """Return the diameter of dots in points; the area grows with the number of pairs."""
    share = np.asarray(n_pairs) / most
    return np.sqrt(SMALLEST**2 + (LARGEST**2 - SMALLEST**2) * share)


def _legend(most: int, scale: float) -> list[Any]:
    """Return the entries of the legend: sizes, and a ring."""
    numbers = sorted({most, max(most // 4, 1)}, reverse=True)
    sizes = [dot(str(n), scale * float(_diameter(n, most))) for n in numbers]
    ring = dot(SIGNIFICANT, 9.0, markerfacecolor="none", markeredgecolor="black")
    return [*sizes, ring]


def _draw_names(
    ax: Axes, names: dict[str, tuple[float, float]], every: Any, dots: Any, n_types: int
) -> None:
    """Write names next to their dots, without overlap if adjustText is installed."""
    fontsize = name_size(n_types)
    try:
        from adjustText import adjust_text
    except ImportError:
        shift: dict[str, Any] = {"xytext": (LARGEST / 2 + 3, 0), "textcoords": "offset points"}
        for name, place in names.items():
            ax.annotate(name, place, **shift, va="center", fontsize=fontsize)
        return
    texts = [ax.text(*place, name, fontsize=fontsize, va="center") for name, place in names.items()]
    arrow = {"arrowstyle": "-", "color": "0.5", "linewidth": 0.5}
    adjust_text(texts, x=every[0], y=every[1], objects=dots, ax=ax, arrowprops=arrow, **FORCES)
