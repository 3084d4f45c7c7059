"""Transitions between cells as arrows over an embedding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray
from scipy import sparse

from .. import _keys, get
from .._check import count, flag, one_of, positive
from .._data.basis import basis_positions
from .._data.cells import samples
from ._drawing.arrows import STYLES, arrows_along, draw_field, long_arrow, smoothed
from ._drawing.axes import nothing_left, settle
from ._drawing.cell_colours import CellColours, cell_colours, draw_coloured
from ._drawing.fitted_text import TITLE, wrapped
from ._drawing.map_panels import MapStyle, centred, frame_panels, half_size, panel_axes, touching
from ._drawing.slices import in_natural_order

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Opacity of the cells, so that arrows stand out.
OPACITY = 0.55
#: Smallest area of a cell, in points².
SMALLEST = 3.0
#: Smallest number of cells of a slice whose pull to the middle is estimated.
MIN_CELLS = 10


def trajectory(
    adata: AnnData,
    basis: str = "umap",
    *,
    color: str | None = None,
    style: str = "arrows",
    n_arrows: int | None = None,
    sample_key: str | None = None,
    key: str = _keys.TRANSITIONS,
    size: float | None = None,
    ncols: int | None = None,
    invert_y: bool | None = None,
    ax: Axes | Sequence[Axes] | None = None,
) -> Axes | NDArray[Any]:
    """Draw transitions between cells as arrows over an embedding or over the tissue.

    Every cell i has the displacement to its expected successor, with the transitions T::

        v_i = (sum over j != i of T[i, j] * x_j) / (sum over j != i of T[i, j]) - x_i

    Arrows are its mean over the cells around a grid point. Their length is relative: the longest
    are a little longer than one step between arrows. Cells without a successor have no
    displacement. An embedding distorts distances, so compare directions rather than lengths. In a
    cloud of cells of one state, arrows point to its middle, because successors are averaged. Only
    cells with transitions are drawn in an embedding, and all cells with ``sample_key``.

    Parameters
    ----------
    adata
        With transitions of :func:`spatrace_sc.pp.transitions`.
    basis
        Slot of ``obsm`` with two or more columns, of which the first two are drawn: ``"umap"``,
        ``"pca"`` (with or without ``"X_"``) or ``"spatial"``.
    color
        Column of ``obs``: a number (colour bar) or a category (legend). None:
        ``"dpt_pseudotime"`` if it exists, otherwise cells are grey.
    style
        ``"arrows"`` or ``"stream"`` (streamlines).
    n_arrows
        Arrows along the longer side of a panel. None: 22 for one panel, fewer for several.
    sample_key
        Column of ``obs`` with the slice. Every slice then has a panel, in which only transitions
        within the slice are drawn; positions in different slices cannot be compared. Transitions do
        not depend on positions, and a successor at a random position is, on average, in the middle
        of the slice. That pull, b (m - x_i) with the mean position m and 0 ≤ b ≤ 1 fitted by least
        squares, is subtracted, and the title says how large b is. With it, a movement of all cells
        to the middle is removed, too.
    key
        Name of the transitions, ``key_added`` of :func:`spatrace_sc.pp.transitions`.
    size
        Area of a cell in points². None: most neighbours touch.
    ncols
        Panels in a row. None: chosen by their number.
    invert_y
        Whether the second coordinate points downwards. None: only for ``basis="spatial"``.
    ax
        Axes to draw in, one per panel. None: a new figure.

    Returns
    -------
    The Axes, or an array of Axes for several panels.

    Raises
    ------
    MissingKeyError
        There are no such transitions, or no such basis or column.
    InvalidArgumentError
        An argument is out of range.

    Examples
    --------
    >>> import scanpy as sc
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=300)
    >>> st.pp.transitions(adata)
    >>> sc.pp.pca(adata, n_comps=5)
    >>> st.pl.trajectory(adata, "pca").get_xlabel()
    'pca 1'
    """
    if size is not None:
        positive(size, "size")
    count(n_arrows, "n_arrows")
    count(ncols, "ncols")
    one_of(style, "style", STYLES)
    if invert_y is not None:
        flag(invert_y, "invert_y")
    matrix = get.transitions(adata, key=key)
    position = basis_positions(adata, basis)
    sample = _slice_of_cells(adata, basis, sample_key)
    names = in_natural_order(sample)
    vectors, used = _displacements(matrix, position, sample)
    shown = np.isfinite(position[:, 0])
    if sample_key is None:
        shown &= np.diff(matrix.indptr) > 0
    colours = cell_colours(adata, color, shown)
    masks = [(sample == name) & shown for name in names]
    drawn = [(n, m) for n, m in zip(names, masks, strict=True) if m.any()]
    if not drawn or not np.isfinite(vectors).any():
        empty = panel_axes(ax, max(len(drawn), 1), ncols, np.ones(2))[0]
        where = " within a slice" if sample_key is not None else ""
        return nothing_left(empty, f"No transition of {key!r} leads to a later cell{where}")
    title = f"{key}: mean displacement over {basis}"
    if sample_key is not None:
        vectors, pull = _without_pull(vectors, position, sample)
        title += f"\n{used:.0%} of the transitions stay within their slice and are drawn"
        title += f"; pull to the middle removed (b = {pull:.2f})"
    return _draw(
        ax,
        [("" if sample_key is None else name, mask) for name, mask in drawn],
        (position, vectors, colours),
        (style, n_arrows, ncols, title),
        MapStyle(basis, size=size, invert_y=basis == "spatial" if invert_y is None else invert_y),
    )


def _draw(
    ax: Axes | Sequence[Axes] | None,
    drawn: list[tuple[str, NDArray[np.bool_]]],
    values: tuple[NDArray[np.float64], NDArray[np.float64], CellColours],
    options: tuple[str, int | None, int | None, str],
    map_style: MapStyle,
) -> Axes | NDArray[Any]:
    """Draw the panels."""
    (position, vectors, colours), (style, n_arrows, ncols, title) = values, options
    xy = [centred(position[mask]) for _, mask in drawn]
    half = half_size(xy)
    axes = panel_axes(ax, len(drawn), ncols, half, colours.margin())
    if ax is None:
        room = 72 * axes[0].figure.get_figwidth()
        axes[0].figure.suptitle(wrapped([title], room, TITLE), fontsize=TITLE)
    frame_panels(axes, [name for name, _ in drawn], half, map_style, bar=False)
    for one in axes if len(drawn) == 1 else []:
        one.set_xlabel(f"{map_style.spatial_key} 1", fontsize=8)
        one.set_ylabel(f"{map_style.spatial_key} 2", fontsize=8)
    colours.explain(axes)
    settle(axes[0])
    area = map_style.size or touching(axes[0], xy, half, SMALLEST)
    known: NDArray[np.bool_] = np.asarray(np.isfinite(vectors).all(axis=1))
    n = n_arrows or arrows_along(len(drawn))
    fields = [
        smoothed(points[known[mask]], vectors[mask & known], half, n)
        for points, (_, mask) in zip(xy, drawn, strict=True)
    ]
    for one, points, (_, mask), field in zip(axes, xy, drawn, fields, strict=True):
        draw_coloured(one, points, colours.of(mask), area, OPACITY)
        draw_field(one, field, long_arrow(fields), style)
    return axes[0] if len(drawn) == 1 else axes


def _slice_of_cells(adata: AnnData, basis: str, sample_key: str | None) -> NDArray[np.object_]:
    """Return the slice of every cell; one for all without a key, with a warning in space."""
    if sample_key is None and basis != "spatial":
        return np.full(adata.n_obs, "all", dtype=object)
    return samples(adata, sample_key)


def _displacements(
    matrix: sparse.csr_matrix, position: NDArray[np.float64], sample: NDArray[np.object_]
) -> tuple[NDArray[np.float64], float]:
    """Return (cells, 2) displacements, NaN without a successor, and the share of mass used.

    Transitions of a cell to itself, between slices, and of cells without a position are left out.
    """
    entries = matrix.tocoo()
    start, end = entries.row, entries.col
    placed = np.isfinite(position[:, 0])
    moves = (start != end) & placed[start] & placed[end]
    within = moves & (sample[start] == sample[end])
    mass, start, end = entries.data[within], start[within], end[within]
    total = np.bincount(start, mass, minlength=len(position))
    way = position[end] - position[start]
    summed = np.stack(
        [np.bincount(start, mass * part, minlength=len(position)) for part in way.T], axis=1
    )
    vectors = np.full(summed.shape, np.nan)
    has = total > 0
    vectors[has] = summed[has] / total[has, None]
    return vectors, float(mass.sum() / max(entries.data[moves].sum(), 1e-300))


def _without_pull(
    vectors: NDArray[np.float64], position: NDArray[np.float64], sample: NDArray[np.object_]
) -> tuple[NDArray[np.float64], float]:
    """Return displacements without their pull to the middle of the slice, and its mean size."""
    rest, pulls, sizes = vectors.copy(), [], []
    for name in dict.fromkeys(sample):
        cells = (sample == name) & np.isfinite(vectors).all(axis=1)
        if cells.sum() < MIN_CELLS:
            continue
        inward = position[cells].mean(axis=0) - position[cells]
        pull = float((vectors[cells] * inward).sum() / max((inward**2).sum(), 1e-300))
        pull = min(max(pull, 0.0), 1.0)
        rest[cells] -= pull * inward
        pulls.append(pull)
        sizes.append(int(cells.sum()))
    return rest, float(np.average(pulls, weights=sizes)) if pulls else 0.0
