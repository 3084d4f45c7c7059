"""Attention of targets to TFs or pairs, with the effects of silencing these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd
from anndata import AnnData

from .. import _keys, get
from .._check import count
from .._edges import EDGE_KINDS, TARGET_KINDS, TF_TARGETS, EdgeKind, public_word
from .._errors import warn
from ._drawing.axes import (
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
from ._drawing.significance import at_stage

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.image import AxesImage

#: Value of an argument that has another name now, and was not given under this one.
RENAMED = "renamed"
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
    kind: str = TF_TARGETS.name,
    *,
    top_regulators: int | None = 20,
    top_targets: int | None = 30,
    stage: str | None = None,
    cell_type: str | None = None,
    key: str = _keys.RESULT,
    cmap: str = "gray_r",
    ax: Axes | None = None,
    top_tfs: int | str | None = RENAMED,
) -> Axes:
    """Draw a heatmap of the attention of targets to regulators, with dots for silencing effects.

    The shade of a square is the share of the target's attention that the TF or pair receives. The
    area of its dot is the size of the effect of silencing the regulator, over all cells; the dot is
    red if the regulator raises the target and blue if it lowers it. A dark square without a dot has
    attention, but its regulator can be silenced without loss. Attention is an association; for
    evidence use :func:`spatrace_sc.pl.effect_heatmap`.

    Regulators are ranked by their largest attention, strongest on top. Targets are ranked by their
    largest attention to the drawn regulators, and are grouped by the regulator to which they attend
    most.

    Parameters
    ----------
    adata
        With a result of :func:`spatrace_sc.tl.infer_ccc`.
    kind
        ``"tf_targets"``: TFs. ``"lr_targets"``: the ligand–receptor pairs that the sparse fit
        keeps. See :func:`spatrace_sc.get.attention`.
    top_regulators, top_targets
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
    top_tfs
        Former name of ``top_regulators``, which still works.

    Returns
    -------
    The Axes; the heatmap is ``ax.images[0]`` and the dots are ``ax.collections[0]``. If the sparse
    fit keeps no pair, they show a note instead.

    Raises
    ------
    MissingKeyError
        ``adata`` has no such result, or it holds no attention of this kind.
    InvalidArgumentError
        An argument is out of range, the kind is unknown, or the stage or cell type has no
        attention of its own.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata, sample_key="sample")
    >>> ax = st.pl.attention(adata, top_regulators=5, top_targets=10)
    >>> ax.images[0].get_array().shape
    (5, 10)
    """
    edge_kind = EDGE_KINDS[public_word(kind, [k.name for k in TARGET_KINDS])]
    top_regulators = _former_name(top_regulators, top_tfs)
    count(top_regulators, "top_regulators")
    count(top_targets, "top_targets")
    table = get.attention(adata, stage, cell_type=cell_type, kind=edge_kind.name, key=key)
    noun = edge_kind.regulator
    table = table.assign(**{noun: edge_kind.source_names(table)}).astype({"target": str})
    n_all, n_targets = table[noun].nunique(), table["target"].nunique()
    cells = at_stage(adata, stage, key) if cell_type is None else f", cell type {cell_type}"
    share, effect = _prepare(table, noun, top_regulators, top_targets)
    n, m = share.shape
    width, height = label_width(share.index), label_width(share.columns)
    ax = new_axes(ax, 4.2 + width + 0.19 * max(m, 12), 1.5 + height + 0.19 * max(n, 8))
    if share.empty:
        return nothing_left(ax, _nothing(edge_kind, cells))
    title = f"Attention of {_of(m, n_targets, 'target')} to {_of(n, n_all, noun)}{cells}"
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


def _former_name(top_regulators: int | None, top_tfs: int | str | None) -> int | None:
    """Return the number of rows, whichever name it was given under."""
    if top_tfs == RENAMED:
        return top_regulators
    warn("`top_tfs` is now named `top_regulators`; the former name still works.", FutureWarning)
    count(top_tfs, "top_tfs")
    return cast("int | None", top_tfs)


def _nothing(kind: EdgeKind, cells: str) -> str:
    """Return why there is nothing to draw."""
    if kind.of_pairs:
        return f"No target attends to a pair{cells}:\nthe sparse fit keeps no ligand–receptor pair"
    return f"No target attends to a {kind.regulator}{cells}"


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
    table: pd.DataFrame, noun: str, top_regulators: int | None, top_targets: int | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return attention and silencing effects, the most attended regulators × their main targets."""
    table = table[table[noun].isin(_strongest(table, noun, top_regulators))]
    table = table[table["target"].isin(_strongest(table, "target", top_targets))]
    if table.empty:
        return pd.DataFrame(), pd.DataFrame()
    share = table.pivot(index=noun, columns="target", values="attention")
    share = share.loc[_strongest(table, noun, None), _strongest(table, "target", None)]
    main_regulator = share.to_numpy().argmax(axis=0)
    share = share.iloc[:, np.argsort(main_regulator, kind="stable")]
    effect = table.pivot(index=noun, columns="target", values="silencing_effect")
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
    noun = str(effect.index.name)
    _draw_legend(image, noun, largest, WIDEST)
    # the legend narrows the heatmap, so labels and dots are fitted after it
    label_ticks(ax, x=list(effect.columns), y=list(effect.index))
    width, height = points(ax)
    diameter = min(WIDEST, WIDEST_SHARE * min(height / len(effect), width / effect.shape[1]))
    areas = diameter**2 * size / (largest or 1.0)
    dots.set_sizes(areas)
    dots.set_linewidth(list(np.minimum(RIM, RIM_SHARE * np.sqrt(areas))))
    _draw_legend(image, noun, largest, diameter)


def _draw_legend(image: AxesImage, noun: str, largest: float, diameter: float) -> None:
    """Explain colours and sizes of the dots; the largest dot has this diameter in points.

    ``noun`` is what is silenced.
    """
    from matplotlib.lines import Line2D
    from matplotlib.transforms import ScaledTranslation

    bar = image.colorbar.ax  # type: ignore[union-attr]
    style: dict[str, Any] = {"linestyle": "none", "marker": "o", "markeredgecolor": "none"}
    entries = [
        (UP, f"the {noun} raises the target", WIDEST / 2),
        (DOWN, f"the {noun} lowers the target", WIDEST / 2),
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
        title=f"change of the prediction when\nthe {noun} is silenced (SD of the target)",
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
