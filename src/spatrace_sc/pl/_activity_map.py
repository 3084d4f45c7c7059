"""Maps of the activity of a pair, a TF or a module."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys, get
from .._check import count, positive
from .._data.cells import coordinates
from .._data.reused_samples import warn_of_reused_samples
from .._edges import ACTIVITY_KINDS, public_word
from ._labels import ACTIVITY_LABELS
from ._map_panels import MapStyle, Panel, draw_panels, panel_axes
from ._mapped_quantity import quantity
from ._shared import nothing_left
from ._slices import slices

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Empty margin around the widest slice, and the smallest ratio of the sides of a panel.
MARGIN, MIN_RATIO = 1.04, 0.02


def activity_map(
    adata: AnnData,
    pair: str | tuple[str, str] | None = None,
    *,
    sample_key: str | None = None,
    stage_key: str | None = None,
    sample: str | Sequence[str] | None = None,
    spatial_key: str = _keys.SPATIAL,
    kind: str = "lr_pairs",
    key: str = _keys.RESULT,
    cmap: str | None = None,
    size: float | None = None,
    vmax: float | None = None,
    ncols: int | None = None,
    ax: Axes | Sequence[Axes] | None = None,
) -> Axes | NDArray[Any]:
    """Map the activity of one pair, TF or module, with one panel per slice in order of time.

    All panels share one colour scale and one scale of the coordinates. Cells that do not receive
    are grey. The title of the figure states the significance: the q of a pair, which is not
    significant above 0.1, the number of targets of a TF with q ≤ 0.1, or the number of pairs of a
    module with q ≤ 0.1.

    Parameters
    ----------
    adata
        With a result of :func:`spatrace_sc.tl.infer_ccc`.
    pair
        ``"ligand^receptor"`` or ``(ligand, receptor)``, one of :func:`spatrace_sc.get.activity`.
        With ``kind="tfs"`` the TF, with ``kind="modules"`` the module, by its name or number, e.g.
        ``"M1"``. None: the strongest.
    sample_key
        Column of ``obs`` with the slice; every slice has a panel. None: every stage has a panel.
    stage_key
        Column of ``obs`` with the stage, which orders the slices. None: the slices are ordered if
        they are the stages of the result. With neither key, the columns are those that the
        inference used; without any, all cells are in one panel.
    sample
        Slices to draw. None: all.
    spatial_key
        Slot of ``obsm`` with coordinates. The first two are drawn, the second upwards.
    kind
        ``"lr_pairs"``; ``"tfs"``, whose activity is below 0 where the level of the TF is below that
        of the mean receiver; or, after :func:`spatrace_sc.tl.modules`, ``"modules"``.
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
        Panels in a row. None: up to 4, in rows of similar length.
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
        An argument is out of range, or names nothing in the result.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata, sample_key="sample", stage_key="stage")
    >>> axes = st.pl.activity_map(adata)
    >>> [ax.get_title() for ax in axes]
    ['E1_slice1', 'E2_slice1', 'E3_slice1']
    """
    for value, argument in ((size, "size"), (vmax, "vmax")):
        if value is not None:
            positive(value, argument)
    count(ncols, "ncols")
    kind = public_word(kind, ACTIVITY_KINDS)
    cells, stages = get.activity(adata, kind, key=key), get.stages(adata, key=key)
    if pair is None and not cells.n_vars:
        empty = panel_axes(ax, 1, ncols, np.ones(2))[0]
        return nothing_left(empty, f"No {ACTIVITY_LABELS[kind].noun} has an activity")
    mapped = quantity(adata, cells, kind, pair, key)
    named_samples = sample_key if stage_key is None else None
    if sample_key is None and stage_key is None:
        arguments = get.params(adata, key=key)
        sample_key, stage_key = arguments["sample_key"], arguments["stage_key"]
    groups = slices(cells, sample_key, stage_key, sample, stages)
    if named_samples is not None:
        warn_of_reused_samples(cells, named_samples)
    panels = _panels(cells, mapped.value, groups, spatial_key)
    half = _half_size(panels)
    axes = panel_axes(ax, len(panels), ncols, half)
    if ax is None:
        axes[0].figure.suptitle(f"{mapped.name}: {mapped.significance}", fontsize=10)
    draw_panels(axes, panels, half, mapped, MapStyle(spatial_key, cmap, size, vmax))
    return axes[0] if len(panels) == 1 else axes


def _panels(
    cells: AnnData,
    value: NDArray[np.float64],
    groups: list[tuple[str, NDArray[np.bool_]]],
    spatial_key: str,
) -> list[Panel]:
    """Return one panel per slice, with its cells around its centre."""
    xy = coordinates(cells, spatial_key)[:, :2]
    panels = []
    for title, mask in groups:
        low, high = xy[mask].min(axis=0), xy[mask].max(axis=0)
        panels.append(Panel(title, xy[mask] - (low + high) / 2, value[mask]))
    return panels


def _half_size(panels: list[Panel]) -> NDArray[np.float64]:
    """Return half the width and height that every slice fits in."""
    half = np.max([np.abs(panel.xy).max(axis=0) for panel in panels], axis=0)
    size: NDArray[np.float64] = np.maximum(MARGIN * half, MIN_RATIO * max(half.max(), 1e-9))
    return size
