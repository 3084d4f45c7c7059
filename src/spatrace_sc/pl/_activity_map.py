"""Where a pair, a TF or a module acts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys, get
from .._check import positive
from .._data.cells import coordinates
from .._errors import InvalidArgumentError
from ._mapped_quantity import Subject, subject
from ._shared import count, logger, nothing_left, one_of, points, settle
from ._slices import slices

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Cells that do not receive.
SILENT = "#DDDDDD"

#: Line around cells that may be white.
RIM = "#999999"

#: Longer side of a panel, in inches.
PANEL = 3.0

#: What can be drawn, what it is called where there is none, and its colours.
KINDS = {
    "pairs": ("ligand–receptor pair", "viridis"),
    "tfs": ("TF", "RdBu_r"),
    "modules": ("module", "viridis"),
}

#: Share of the cells, from the most active, that take the last colour.
CLIPPED = 0.01


@dataclass(frozen=True)
class Panel:
    """One slice: positions around their centre, and activity, NaN in cells that do not receive."""

    title: str
    xy: NDArray[np.float64]
    value: NDArray[np.float64]


def activity_map(
    adata: AnnData,
    pair: str | tuple[str, str] | None = None,
    *,
    sample_key: str | None = None,
    stage_key: str | None = None,
    sample: str | Sequence[str] | None = None,
    spatial_key: str = _keys.SPATIAL,
    kind: str = "pairs",
    key: str = _keys.RESULT,
    cmap: str | None = None,
    size: float | None = None,
    vmax: float | None = None,
    ncols: int | None = None,
    ax: Axes | Sequence[Axes] | None = None,
) -> Axes | NDArray[Any]:
    """Map of the activity of one pair, TF or module, a panel for every slice in order of time.

    All panels share one colour scale and one scale of the coordinates. Cells that do not receive are grey. The title of the figure says how far the data support what is drawn: the q of a pair (above 0.1 it is not
    known to act), how many targets of a TF or pairs of a module have q ≤ 0.1.

    Parameters
    ----------
    adata
        With a result of :func:`spatrace_sc.tl.infer_ccc`.
    pair
        ``"ligand^receptor"`` or ``(ligand, receptor)``, one of :func:`spatrace_sc.get.activity`. With ``kind="tfs"`` the TF, with ``kind="modules"`` the module, by its name or number, e.g. ``"M1"``. None: the strongest.
    sample_key
        Column of ``obs`` with the slice: a panel for each. None: a panel for every stage.
    stage_key
        Column of ``obs`` with the stage, which orders the slices. None: the slices are in order if the result has no stages but them. With neither, the columns that the inference was
        told; all cells are in one panel if it was told none.
    sample
        Slices to draw. None: all.
    spatial_key
        Slot of ``obsm`` with coordinates; the first two are drawn, the second upwards.
    kind
        ``"pairs"``; ``"tfs"``, whose activity is below 0 where there is less of the TF than in the mean receiver; or, after :func:`spatrace_sc.tl.modules`, ``"modules"``.
    key
        Name of the result.
    cmap
        Colour map. None: viridis, and red–blue for TFs.
    size
        Area of a cell in points². None: most neighbours touch.
    vmax
        Activity at which colours end, of TFs at both ends. None: what 1 % of the drawn receivers exceed in size.
    ncols
        Panels in a row. None: up to 4, in rows of like length.
    ax
        Axes to draw in, as many as there are panels. None: a new figure.

    Returns
    -------
    The Axes, or an array of them when there are several panels.

    Raises
    ------
    MissingKeyError, InvalidArgumentError

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata, sample_key="sample", stage_key="stage")
    >>> axes = st.pl.activity_map(adata)
    >>> [ax.get_title() for ax in axes]
    ['E1_slice1', 'E2_slice1', 'E3_slice1']
    """
    positive(size, "size")
    positive(vmax, "vmax")
    count(ncols, "ncols")
    one_of(kind, KINDS, "kind")
    cells, stages = get.activity(adata, kind, key=key), get.stages(adata, key=key)
    if pair is None and not cells.n_vars:
        return nothing_left(
            _grid(ax, 1, ncols, (1.0, 1.0))[0], f"No {KINDS[kind][0]} has an activity"
        )
    shown = subject(adata, cells, kind, pair, key)
    if sample_key is None and stage_key is None:
        used = get.params(adata, key=key)
        sample_key, stage_key = used["sample_key"], used["stage_key"]
    groups = slices(cells, sample_key, stage_key, sample, stages)
    panels = _panels(cells, shown, groups, spatial_key)
    half = np.max([np.abs(p.xy).max(axis=0) for p in panels], axis=0)
    half = np.maximum(1.04 * half, 0.02 * max(half.max(), 1e-9))
    axes = _grid(ax, len(panels), ncols, half)
    if ax is None:
        axes[0].figure.suptitle(f"{shown.title}: {shown.support}", fontsize=10)
    _draw(axes, panels, half, shown, spatial_key, cmap or KINDS[kind][1], size, vmax)
    return axes[0] if len(panels) == 1 else axes


def _panels(
    cells: AnnData, shown: Subject, groups: list[tuple[str, NDArray[np.bool_]]], spatial_key: str
) -> list[Panel]:
    xy = coordinates(cells, spatial_key)[:, :2]
    panels = []
    for title, here in groups:
        low, high = xy[here].min(axis=0), xy[here].max(axis=0)
        panels.append(Panel(title, xy[here] - (low + high) / 2, shown.value[here]))
    return panels


def _grid(ax: Axes | Sequence[Axes] | None, n: int, ncols: int | None, half: Any) -> NDArray[Any]:
    """The given axes, checked, or a grid of new ones with the shape of a panel."""
    if ax is not None:
        given = np.ravel(np.array(ax, dtype=object))
        if len(given) != n:
            raise InvalidArgumentError(
                f"`ax` has {len(given)} axes, but there are {n} panels; give {n} axes or none."
            )
        return given
    import matplotlib.pyplot as plt

    nrows = math.ceil(n / (ncols or 4))
    ncols = math.ceil(n / nrows) if ncols is None else min(n, ncols)
    width, height = (max(PANEL * float(h) / float(max(half)), 1.0) for h in half)
    figsize = (ncols * width + 1.1, max(nrows * (height + 0.35) + 0.6, 2.75))
    figure, grid = plt.subplots(nrows, ncols, figsize=figsize, squeeze=False, layout="constrained")
    for empty in grid.ravel()[n:]:
        figure.delaxes(empty)
    return grid.ravel()[:n]


def _draw(
    axes: NDArray[Any],
    panels: list[Panel],
    half: NDArray[np.float64],
    shown: Subject,
    spatial_key: str,
    cmap: str,
    size: float | None,
    vmax: float | None,
) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    values = np.abs(np.concatenate([p.value[np.isfinite(p.value)] for p in panels]))
    largest = float(values.max()) if len(values) else 0.0
    top = (
        vmax or (float(np.quantile(values, 1 - CLIPPED)) if largest > 0 else 0.0) or largest or 1.0
    )
    norm = Normalize(vmin=-top if shown.signed else 0.0, vmax=top)
    beyond = "both" if shown.signed else "max"
    bar = axes[0].figure.colorbar(
        ScalarMappable(norm=norm, cmap=cmap),
        ax=list(axes),
        extend=beyond if largest > top else "neither",
    )
    title = f"{shown.title}, {shown.support}"
    bar.set_label(f"{title}\n{shown.unit}", fontsize=9 if len(title) < 36 else 7)
    for ax, panel in zip(axes, panels, strict=True):
        _frame(ax, panel.title, half)
    _scale_bar(axes[0], half, spatial_key)
    if any(np.isnan(p.value).any() for p in panels):
        _name_silent(axes[-1])
    settle(axes[0])
    area = size or _touching(axes[0], panels, half)
    for ax, panel in zip(axes, panels, strict=True):
        _draw_cells(ax, panel, area, norm, cmap)
    if largest <= 0:
        text = "does not act in these cells" if len(values) else "no cell here receives"
        logger.warning("%s: %s.", shown.title, text)
        axes[0].text(
            0.5,
            0.5,
            text,
            transform=axes[0].transAxes,
            ha="center",
            va="center",
            backgroundcolor="white",
        )


def _frame(ax: Axes, title: str, half: NDArray[np.float64]) -> None:
    ax.set(
        aspect="equal",
        xlim=(-half[0], half[0]),
        ylim=(-half[1], half[1]),
        xticks=[],
        yticks=[],
        title=title,
    )
    for spine in ax.spines.values():
        spine.set_visible(False)


def _name_silent(ax: Axes) -> None:
    """A legend of the grey cells, below the panel on the right."""
    from matplotlib.lines import Line2D

    grey = Line2D([], [], linestyle="none", marker="o", color=SILENT, label="does not receive")
    style: dict[str, Any] = {
        "frameon": False,
        "fontsize": 8,
        "handletextpad": 0.1,
        "borderpad": 0.2,
    }
    ax.legend(handles=[grey], loc="upper right", bbox_to_anchor=(1, 0), **style)


def _draw_cells(ax: Axes, panel: Panel, area: float, norm: Any, cmap: str) -> None:
    silent = np.isnan(panel.value)
    style: dict[str, Any] = {"s": area, "linewidths": 0, "rasterized": True}
    ax.scatter(
        panel.xy[silent, 0], panel.xy[silent, 1], color=SILENT, zorder=1, clip_on=False, **style
    )
    if norm.vmin < 0:  # the middle of such colours is white
        style |= {"linewidths": 0.3, "edgecolors": RIM}
    order = np.flatnonzero(~silent)
    order = order[np.argsort(np.abs(panel.value[order]), kind="stable")]  # the most active on top
    x, y = panel.xy[order].T
    ax.scatter(x, y, c=panel.value[order], norm=norm, cmap=cmap, zorder=2, clip_on=False, **style)


def _touching(ax: Axes, panels: list[Panel], half: NDArray[np.float64]) -> float:
    """Marker area at which most neighbouring cells touch."""
    from scipy.spatial import cKDTree

    gaps = [np.median(cKDTree(p.xy).query(p.xy, k=2)[0][:, 1]) for p in panels if len(p.xy) > 1]
    gap = float(np.median(gaps)) if gaps else 0.0
    width, height = points(ax)
    scale = min(width / (2 * half[0]), height / (2 * half[1]))
    return float(np.clip((1.2 * gap * scale) ** 2, 1.0, 150.0))


def _scale_bar(ax: Axes, half: NDArray[np.float64], spatial_key: str) -> None:
    """A bar of a round length below the panel, labelled in units of the coordinates."""
    from matplotlib.font_manager import FontProperties
    from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

    aim = 0.6 * float(half[0])
    unit = 10.0 ** math.floor(math.log10(aim))
    length = max(step for step in (1, 2, 5) if step * unit <= aim) * unit
    bar = AnchoredSizeBar(
        ax.transData,
        length,
        f"{length:g} units of {spatial_key!r}",
        "upper left",
        pad=0.2,
        sep=3,
        frameon=False,
        size_vertical=0.01 * float(half.max()),
        bbox_to_anchor=(0, 0),
        bbox_transform=ax.transAxes,
        fontproperties=FontProperties(size=8),
    )
    ax.add_artist(bar)
