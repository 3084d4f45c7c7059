"""Attention of targets to TFs, with the effects of silencing the TFs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData

from .. import _keys, get
from .._check import count
from ._shared import (
    DOWN,
    NEUTRAL,
    UP,
    draw_matrix,
    label_ticks,
    label_width,
    new_axes,
    nothing_left,
    points,
)
from ._significance import at_stage

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.image import AxesImage

#: The second line of every title.
CAVEAT = "Association only: where the networks look, not what acts"
#: The third line where no silencing effects were computed.
NO_EFFECTS = "Silencing effects were not computed: count noise is too large"
#: Part of the colour map that is used, from its light end.
USED_COLOURS = 0.55
#: Diameter of the largest dot, as a share of a field, and at most in points.
WIDEST_SHARE, WIDEST = 0.85, 14.0
#: Width of the white rim of a dot in points, and at most as a share of its diameter.
RIM, RIM_SHARE = 0.5, 0.1
#: Sizes in the legend, as shares of the largest effect.
LEGEND_SHARES = (1.0, 0.25)
#: Distance of the legend from the colour bar, with room for its ticks and its label, in points.
LEGEND_DISTANCE = 58.0


def attention(
    adata: AnnData,
    *,
    top_tfs: int | None = 20,
    top_targets: int | None = 30,
    stage: str | None = None,
    cell_type: str | None = None,
    key: str = _keys.RESULT,
    cmap: str = "gray_r",
    ax: Axes | None = None,
) -> Axes:
    """Draw a heatmap of the attention of targets to TFs, with a dot for each silencing effect.

    The shade of a field is the share of the target's attention that the TF receives. The area of
    its dot is the size of the effect of silencing the TF, over all cells; the dot is red if the TF
    raises the target and blue if it lowers it. A dark field without a dot has attention, but its
    TF can be silenced without loss. Attention is association; for evidence use
    :func:`spatrace_sc.pl.effect_heatmap` with ``"tf_targets"``.

    TFs are ranked by their largest attention, strongest on top. Targets are ranked by their largest
    attention to the drawn TFs, and stand in the order of the TF that they attend to most.

    Parameters
    ----------
    adata
        With a result of :func:`spatrace_sc.tl.infer_ccc`.
    top_tfs, top_targets
        Rows and columns to draw. None: all.
    stage, cell_type
        None: all receivers. The name of a stage or of a cell type: the attention in its cells.
        Only one of them can be named.
    key
        Name of the result.
    cmap
        Sequential colour map, light at 0. Its darkest part is left out, so that dots stand out.
    ax
        Axes to draw in. None: a new figure.

    Returns
    -------
    The Axes; the heatmap is ``ax.images[0]`` and the dots are ``ax.collections[0]``.

    Raises
    ------
    MissingKeyError
        ``adata`` has no such result, or it holds no attention.
    InvalidArgumentError
        An argument is out of range, or the stage or cell type has no attention of its own.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata, sample_key="sample")
    >>> ax = st.pl.attention(adata, top_tfs=5, top_targets=10)
    >>> ax.images[0].get_array().shape
    (5, 10)
    """
    count(top_tfs, "top_tfs")
    count(top_targets, "top_targets")
    table = get.attention(adata, stage, cell_type=cell_type, key=key)
    n_tfs, n_targets = table["tf"].nunique(), table["target"].nunique()
    cells = at_stage(adata, stage, key) if cell_type is None else f", cell type {cell_type}"
    share, effect = _prepare(table, top_tfs, top_targets)
    n, m = share.shape
    width, height = label_width(share.index), label_width(share.columns)
    ax = new_axes(ax, 4.2 + width + 0.19 * max(m, 12), 1.5 + height + 0.19 * max(n, 8))
    if share.empty:
        return nothing_left(ax, f"No target attends to a TF{cells}")
    title = f"Attention of {_of(m, n_targets, 'target')} to {_of(n, n_tfs, 'TF')}{cells}"
    computed = bool(np.isfinite(effect.to_numpy()).any())
    lines = [title, CAVEAT] if computed else [title, CAVEAT, NO_EFFECTS]
    image = draw_matrix(
        ax,
        share,
        limits=(0.0, float(share.to_numpy().max()) or 1.0),
        cmap=_lighter_part(cmap),
        label="share of the target's attention",
        title="\n".join(lines),
    )
    if computed:
        _draw_dots(ax, image, effect)
    return ax


def _lighter_part(cmap: str) -> Colormap:
    """Return a colour map without its darkest part."""
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    return ListedColormap(colormaps[cmap](np.linspace(0.0, USED_COLOURS, 256)))


def _of(n: int, total: int, noun: str) -> str:
    """Return ``"20 of 60 targets"``, or ``"1 TF"`` if all are drawn."""
    words = f"{noun}s" if total != 1 else noun
    return f"{total} {words}" if n == total else f"{n} of {total} {words}"


def _prepare(
    table: pd.DataFrame, top_tfs: int | None, top_targets: int | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return attention and silencing effects, the most attended TFs × their main targets."""
    table = table.rename(columns={"tf": "TF"}).astype({"TF": str, "target": str})
    table = table[table["TF"].isin(_strongest(table, "TF", top_tfs))]
    table = table[table["target"].isin(_strongest(table, "target", top_targets))]
    if table.empty:
        return pd.DataFrame(), pd.DataFrame()
    share = table.pivot(index="TF", columns="target", values="attention")
    share = share.loc[_strongest(table, "TF", None), _strongest(table, "target", None)]
    main_tf = share.to_numpy().argmax(axis=0)
    share = share.iloc[:, np.argsort(main_tf, kind="stable")]
    effect = table.pivot(index="TF", columns="target", values="silencing_effect")
    return share, effect.reindex_like(share)


def _strongest(table: pd.DataFrame, column: str, n: int | None) -> list[str]:
    """Return the names in a column by their largest attention, the first ``n``."""
    largest = table.groupby(column)["attention"].max()
    return list(largest.sort_values(ascending=False, kind="stable").index[:n])


def _draw_dots(ax: Axes, image: AxesImage, effect: pd.DataFrame) -> None:
    """Draw a dot for every effect, and their legend to the right of the colour bar."""
    values = effect.fillna(0.0).to_numpy(dtype=np.float64)
    row, column = np.nonzero(values)
    size = np.abs(values[row, column])
    largest = float(size.max(initial=0.0))
    colours = np.where(values[row, column] > 0, UP, DOWN)
    dots = ax.scatter(column, row, c=list(colours), edgecolors="white", zorder=3)
    _draw_legend(image, largest, WIDEST)
    # the legend narrows the heatmap, so labels and dots are fitted after it
    label_ticks(ax, x=list(effect.columns), y=list(effect.index))
    width, height = points(ax)
    diameter = min(WIDEST, WIDEST_SHARE * min(height / len(effect), width / effect.shape[1]))
    areas = diameter**2 * size / (largest or 1.0)
    dots.set_sizes(areas)
    dots.set_linewidth(list(np.minimum(RIM, RIM_SHARE * np.sqrt(areas))))
    _draw_legend(image, largest, diameter)


def _draw_legend(image: AxesImage, largest: float, diameter: float) -> None:
    """Explain colours and sizes of the dots; the largest dot has this diameter in points."""
    from matplotlib.lines import Line2D
    from matplotlib.transforms import ScaledTranslation

    bar = image.colorbar.ax  # type: ignore[union-attr]
    style: dict[str, Any] = {"linestyle": "none", "marker": "o", "markeredgecolor": "none"}
    entries = [
        (UP, "the TF raises the target", WIDEST / 2),
        (DOWN, "the TF lowers the target", WIDEST / 2),
    ]
    entries += [
        (NEUTRAL, f"{share * largest:.2g}", diameter * share**0.5) for share in LEGEND_SHARES
    ]
    away = ScaledTranslation(LEGEND_DISTANCE / 72, 0, bar.figure.dpi_scale_trans)
    legend = bar.legend(
        handles=[
            Line2D([], [], color=colour, label=label, markersize=size, **style)
            for colour, label, size in entries
        ],
        title="change of the prediction when\nthe TF is silenced (SD of the target)",
        loc="upper left",
        bbox_to_anchor=(1, 1),
        bbox_transform=bar.transAxes + away,
        frameon=False,
        fontsize=8,
        title_fontsize=8,
        alignment="left",
        borderaxespad=0,
    )
    legend.set_zorder(4)
