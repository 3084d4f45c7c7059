"""The direction in which a signal crosses the tissue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys, get
from .._check import count, flag, one_of, positive
from .._data.cells import coordinates
from .._edges import LR_PAIRS, public_word
from ._drawing.arrows import LONGEST, STYLES, arrows_along, draw_field, long_arrow, smoothed
from ._drawing.axes import nothing_left
from ._drawing.fitted_text import TITLE, wrapped
from ._drawing.labels import ACTIVITY_LABELS
from ._drawing.map_panels import MapStyle, Panel, centred, draw_panels, half_size, panel_axes
from ._drawing.mapped_quantity import Quantity, quantity
from ._drawing.significance import THRESHOLD, is_significant
from ._drawing.slices import slices_of_result, spatial_slot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

#: Kinds of signals with a matrix between cells.
FLOW_KINDS = (LR_PAIRS.name, "modules")
#: Colour map of the cells, and the part of it on which arrows stand out.
CELLS, USED_COLOURS = "YlOrBr", 0.6


def flow(
    adata: AnnData,
    pair: str | tuple[str, str] | None = None,
    *,
    kind: str = LR_PAIRS.name,
    style: str = "arrows",
    n_arrows: int | None = None,
    sample_key: str | None = None,
    stage_key: str | None = None,
    sample: str | Sequence[str] | None = None,
    key: str = _keys.RESULT,
    size: float | None = None,
    ncols: int | None = None,
    invert_y: bool = True,
    scale_bar: float | None = None,
    ax: Axes | Sequence[Axes] | None = None,
) -> Axes | NDArray[Any]:
    """Draw in which direction a signal crosses the tissue, with one panel per slice.

    Every receiver i has the direction from its senders j, weighted by what each gives it, minus the
    direction that is expected if all senders around it gave the same signal
    (:func:`spatrace_sc.get.signal_direction`)::

        v_i = sum over j of (C[j, i] - expected C[j, i]) * (x_i - x_j) / |x_i - x_j|

    An arrow is the mean of v over the receivers around a grid point. It starts where more of the
    signal comes from, and is short if the signal comes from all sides alike. Without the
    expectation, all arrows at the edge of a slice would point outwards, away from the tissue.
    Cells are coloured by the signal that they receive. The arrows are not tested.

    Parameters
    ----------
    adata
        With a result of :func:`spatrace_sc.tl.infer_ccc`.
    pair
        ``"ligand^receptor"`` or ``(ligand, receptor)``: a pair whose matrix
        ``st.tl.communication(adata, pairs=...)`` stored. With ``kind="modules"`` the module, by its
        name or number. None: all pairs together; the strongest module.
    kind
        ``"lr_pairs"`` or, after :func:`spatrace_sc.tl.modules`, ``"modules"``, for which the
        matrices of all main pairs must be stored.
    style
        ``"arrows"``: arrows on a grid. ``"stream"``: streamlines, which are wide where the arrows
        would be long.
    n_arrows
        Arrows along the longer side of a panel. None: 22 for one panel, fewer for several.
    sample_key, stage_key, sample
        As in :func:`spatrace_sc.pl.spatial`.
    key
        Name of the result.
    size
        Area of a cell in points². None: most neighbours touch.
    ncols, invert_y, scale_bar
        As in :func:`spatrace_sc.pl.spatial`.
    ax
        Axes to draw in, one per panel. None: a new figure.

    Returns
    -------
    The Axes, or an array of Axes for several panels.

    Raises
    ------
    MissingKeyError
        ``adata`` has no such result, column or slot, or the matrix was not stored.
    InvalidArgumentError
        An argument is out of range, or names something that is not in the result.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata, sample_key="sample", stage_key="stage")
    >>> axes = st.pl.flow(adata)
    >>> [ax.get_title() for ax in axes]
    ['E1_slice1', 'E2_slice1', 'E3_slice1']
    """
    _check(size, scale_bar, n_arrows, ncols)
    one_of(style, "style", STYLES)
    flag(invert_y, "invert_y")
    kind = public_word(kind, FLOW_KINDS)
    cells = get.activity(adata, kind, key=key)
    if not cells.n_vars:
        empty = panel_axes(ax, 1, ncols, np.ones(2))[0]
        return nothing_left(empty, f"No {ACTIVITY_LABELS[kind].noun} has an activity")
    mapped, vectors = _signal(adata, cells, pair, kind, key)
    chosen = sample_key, stage_key, sample
    arguments = get.params(adata, key=key)
    groups = slices_of_result(cells, chosen, arguments, get.stages(adata, key=key))
    spatial_key = spatial_slot(adata, arguments)
    xy = coordinates(cells, spatial_key)[:, :2]
    panels = [Panel(title, centred(xy[mask]), mapped.value[mask]) for title, mask in groups]
    half = half_size([panel.xy for panel in panels])
    n = n_arrows or arrows_along(len(panels))
    receives = np.isfinite(mapped.value)
    fields = [
        smoothed(panel.xy[receives[mask]], vectors[mask & receives], half, n)
        for panel, (_, mask) in zip(panels, groups, strict=True)
    ]
    longest = long_arrow(fields)
    axes = panel_axes(ax, len(panels), ncols, half)
    unit = f"{mapped.unit}{_length_note(longest, style)}"
    if ax is None:
        lines = [f"{mapped.name}: {mapped.significance}"]
        room = 72 * axes[0].figure.get_figwidth()
        axes[0].figure.suptitle(wrapped(lines, room, TITLE), fontsize=TITLE)
    map_style = MapStyle(spatial_key, _light_part(), size, None, invert_y, scale_bar)
    draw_panels(axes, panels, half, replace(mapped, unit=unit), map_style, titled=ax is None)
    for one, field in zip(axes, fields, strict=True):
        draw_field(one, field, longest, style)
    return axes[0] if len(panels) == 1 else axes


def _check(
    size: float | None, scale_bar: float | None, n_arrows: int | None, ncols: int | None
) -> None:
    """Check the arguments that are numbers."""
    for value, argument in ((size, "size"), (scale_bar, "scale_bar")):
        if value is not None:
            positive(value, argument)
    count(n_arrows, "n_arrows")
    count(ncols, "ncols")


def _signal(
    adata: AnnData, cells: AnnData, pair: str | tuple[str, str] | None, kind: str, key: str
) -> tuple[Quantity, NDArray[np.float64]]:
    """Return the signal that every cell receives, and (cells, 2) its direction."""
    if kind == LR_PAIRS.name and pair is None:
        pairs = get.lr_pairs(adata, key=key)
        n = int(is_significant(pairs).sum())
        significance = f"{n} of {len(pairs)} pairs significant ({THRESHOLD})"
        mapped = Quantity(f"sum of {cells.n_vars} pairs", significance, "", False, np.empty(0))
        table = get.signal_direction(adata, key=key)
    else:
        mapped = quantity(adata, cells, kind, pair, key)
        named = {"pair" if kind == LR_PAIRS.name else "module": mapped.column}
        table = get.signal_direction(adata, **named, key=key)
    ends = ["x", "y"]
    vectors = table[ends].to_numpy() - table[[f"expected_{end}" for end in ends]].to_numpy()
    received = table["received"].to_numpy(dtype=np.float64)
    unit = "signal received (SD of the targets)"
    return replace(mapped, unit=unit, value=received), vectors


def _length_note(longest: float, style: str) -> str:
    """Return what the length of an arrow, or the width of a line, means."""
    if longest <= 0:
        return ""
    if style == "stream":
        return f";\nnet flow of the widest lines: {longest:.2g} SD"
    return f";\nnet flow of an arrow that spans one step: {longest / LONGEST:.2g} SD"


def _light_part() -> Colormap:
    """Return the part of the colour map of the cells on which arrows stand out."""
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    return ListedColormap(colormaps[CELLS](np.linspace(0.0, USED_COLOURS, 256)))
