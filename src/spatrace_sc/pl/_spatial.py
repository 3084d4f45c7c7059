"""Maps of the activity of a pair, a TF or a module, and of the expression of a target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys, get
from .._check import count, flag, one_of, positive
from .._data.cells import coordinates
from .._edges import ACTIVITY_KINDS, LR_PAIRS, public_word
from .._errors import InvalidArgumentError, warn
from ._drawing.axes import nothing_left
from ._drawing.fitted_text import TITLE, wrapped
from ._drawing.images import SHARE_OVER_IMAGE, draw_image, image_of_slices
from ._drawing.labels import ACTIVITY_LABELS
from ._drawing.map_panels import (
    MapStyle,
    Panel,
    centred,
    draw_panels,
    half_size,
    middle,
    panel_axes,
)
from ._drawing.mapped_quantity import quantity
from ._drawing.panels_3d import axes_3d, draw_panels_3d
from ._drawing.slices import order_of_slices, slices_of_result, spatial_slot
from ._drawing.target_expression import TARGETS, target_expression

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: How many coordinates are drawn.
PROJECTIONS = ("2d", "3d")


def spatial(
    adata: AnnData,
    pair: str | tuple[str, str] | None = None,
    *,
    sample_key: str | None = None,
    stage_key: str | None = None,
    sample: str | Sequence[str] | None = None,
    spatial_key: str | None = None,
    kind: str = LR_PAIRS.name,
    key: str = _keys.RESULT,
    cmap: str | None = None,
    size: float | None = None,
    vmax: float | None = None,
    ncols: int | None = None,
    invert_y: bool = True,
    scale_bar: float | None = None,
    projection: str = "2d",
    image: Any = None,
    coordinate_system: str = "global",
    ax: Axes | Sequence[Axes] | None = None,
) -> Axes | NDArray[Any]:
    """Map one pair, TF, module or target, with one panel per slice in order of time.

    All panels share one colour scale, whose bar states the unit, and one scale of the coordinates.
    Slices without stages are in the order of the mean time of their receivers, and the title says
    so. Cells that do not receive are grey. The title of the figure states the significance. For a
    pair it is q, which is not significant above 0.1; for a TF, a module or a target it is the
    number of targets, pairs or regulators with q ≤ 0.1. With ``ax``, the label of the colour bar
    states it.

    Parameters
    ----------
    adata
        With a result of :func:`spatrace_sc.tl.infer_ccc`.
    pair
        ``"ligand^receptor"`` or ``(ligand, receptor)``, one of :func:`spatrace_sc.get.activity`.
        With ``kind="tfs"`` the TF, with ``kind="modules"`` the module, by its name or number, e.g.
        ``"M1"``, with ``kind="targets"`` the target. None: the strongest.
    sample_key
        Column of ``obs`` with the slice; every slice has a panel. None: every stage has a panel.
    stage_key
        Column of ``obs`` with the stage, which orders the slices. None: the slices are ordered if
        they are the stages of the result. With neither key, the columns are those that the
        inference used; without any, all cells are in one panel.
    sample
        Slices to draw. None: all.
    spatial_key
        Slot of ``obsm`` with coordinates. None: the one that the inference used; with ``image``,
        ``"spatial"`` instead of positions of :func:`spatrace_sc.pp.scale_positions`.
    kind
        ``"lr_pairs"``; ``"tfs"``, whose activity is below 0 where the level of the TF is below that
        of the mean receiver; after :func:`spatrace_sc.tl.modules`, ``"modules"``; or ``"targets"``,
        whose observed expression is drawn in all cells.
    key
        Name of the result.
    cmap
        Colour map. None: viridis, and red–blue for TFs.
    size
        Area of a cell in points². None: most neighbours touch.
    vmax
        Activity at which the colours end, for TFs on both sides. None: the 99 % quantile of the
        size of the activity in the drawn receivers.
    ncols
        Panels in a row. None: up to 4, or 5 of more than 8, in rows of similar length.
    invert_y
        Whether the second coordinate points downwards, as in images and in the figures of squidpy
        and spatialdata-plot.
    scale_bar
        Length of one unit of the coordinates in µm, e.g. 1.0 if they are µm. The scale bar is then
        labelled in µm or mm. None: in units of the coordinates.
    projection
        ``"2d"`` draws the first two coordinates, ``"3d"`` all three, seen from one side.
    image
        Image to draw under the cells: an image of a SpatialData, such as ``sdata["he"]``, or a
        dictionary from slices to images. The cells are then smaller.
    coordinate_system
        Coordinate system of the positions, to which images are transformed: the one that was given
        to :func:`spatrace_sc.pp.gather`.
    ax
        Axes to draw in, one per panel. None: a new figure.

    Returns
    -------
    The Axes, or an array of Axes for several panels.

    Raises
    ------
    MissingKeyError
        ``adata`` has no such result, column or slot.
    InvalidArgumentError
        An argument is out of range, or names something that is not in the result.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata, sample_key="sample", stage_key="stage")
    >>> axes = st.pl.spatial(adata)
    >>> [ax.get_title() for ax in axes]
    ['E1_slice1', 'E2_slice1', 'E3_slice1']
    """
    for value, argument in ((size, "size"), (vmax, "vmax"), (scale_bar, "scale_bar")):
        if value is not None:
            positive(value, argument)
    count(ncols, "ncols")
    flag(invert_y, "invert_y")
    one_of(projection, "projection", PROJECTIONS)
    kind = public_word(kind, (*ACTIVITY_KINDS, TARGETS))
    of_target = kind == TARGETS
    cells = get.activity(adata, LR_PAIRS.name if of_target else kind, key=key)
    stages = get.stages(adata, key=key)
    if pair is None and not cells.n_vars and not of_target:
        empty = panel_axes(ax, 1, ncols, np.ones(2))[0]
        return nothing_left(empty, f"No {ACTIVITY_LABELS[kind].noun} has an activity")
    if of_target:
        mapped = target_expression(adata, pair, key)
    else:
        mapped = quantity(adata, cells, kind, pair, key)
    chosen = sample_key, stage_key, sample
    arguments = get.params(adata, key=key)
    groups = slices_of_result(cells, chosen, arguments, stages)
    slot = spatial_slot(adata, arguments, spatial_key, on_image=image is not None)
    in_space = projection == "3d"
    xyz = _positions(cells, slot, in_space=in_space, image=image)
    panels = [Panel(title, centred(xyz[mask]), mapped.value[mask]) for title, mask in groups]
    half = half_size([panel.xy[:, :2] for panel in panels])
    n = len(panels)
    axes = axes_3d(ax, n, ncols) if in_space else panel_axes(ax, n, ncols, half)
    titled = ax is None
    if titled:
        room = 72 * axes[0].figure.get_figwidth()
        order = "" if n == 1 else order_of_slices(groups, arguments, stages)
        title = wrapped([f"{mapped.name}: {mapped.significance}{order}"], room, TITLE)
        axes[0].figure.suptitle(title, fontsize=TITLE)
    style = MapStyle(slot, cmap, size, vmax, invert_y, scale_bar)
    if in_space:
        draw_panels_3d(axes, panels, mapped, style, titled=titled)
        return axes[0] if n == 1 else axes
    images = {} if image is None else image_of_slices(image, [panel.title for panel in panels])
    share = SHARE_OVER_IMAGE if images else 1.0
    draw_panels(axes, panels, half, mapped, style, titled=titled, share=share)
    for one, (title, mask) in zip(axes, groups, strict=True):
        if title in images:
            draw_image(one, images[title], coordinate_system, middle(xyz[mask]))
    return axes[0] if n == 1 else axes


def activity_map(adata: AnnData, *args: Any, **kwargs: Any) -> Axes | NDArray[Any]:
    """Draw :func:`spatrace_sc.pl.spatial` under its former name, with the second axis upwards.

    Parameters
    ----------
    adata, *args, **kwargs
        As those of :func:`spatrace_sc.pl.spatial`.

    Returns
    -------
    What :func:`spatrace_sc.pl.spatial` returns.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata, sample_key="sample")
    >>> axes = st.pl.activity_map(adata)
    """
    warn(
        "`st.pl.activity_map` is now named `st.pl.spatial`, which draws the second coordinate "
        "downwards unless `invert_y=False`; the former name still works.",
        FutureWarning,
    )
    return spatial(adata, *args, **{"invert_y": False} | kwargs)


def _positions(
    cells: AnnData, spatial_key: str, *, in_space: bool, image: Any
) -> NDArray[np.float64]:
    """Return the coordinates that are drawn: (cells, 3) in space, else (cells, 2)."""
    coords = coordinates(cells, spatial_key)
    if not in_space:
        return coords[:, :2]
    if coords.shape[1] < 3:
        raise InvalidArgumentError(
            f"`projection='3d'` needs three coordinates; `adata.obsm[{spatial_key!r}]` has "
            f"{coords.shape[1]}. Name another `spatial_key`, or use `projection='2d'`."
        )
    if image is not None:
        raise InvalidArgumentError(
            "`image` lies in a plane and cannot be drawn with `projection='3d'`; leave one out."
        )
    return coords
