"""Communication between cell types."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys
from ._drawing.axes import draw_matrix, label_width, new_axes, nothing_left
from ._drawing.marks import count_line, fit_title, mark_fields
from ._drawing.names import LONGEST, name_length, shortened
from ._drawing.signals import read_signals

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

#: Largest number of types on a side for which scores are written into the fields.
MAX_TYPES_WRITTEN = 12
#: Weights of red, green and blue in the brightness of a colour (ITU-R BT.601).
BRIGHTNESS = np.array([0.299, 0.587, 0.114])
#: Inches of a field with a number, width and height, and of one without.
WRITTEN, EMPTY = (0.45, 0.36), (0.14, 0.14)
#: Inches of the colour bar and its label.
BAR = 1.2


def communication(
    adata: AnnData,
    *,
    pair: str | tuple[str, str] | None = None,
    top_n: int | None = None,
    max_q: float | None = None,
    stage: str | None = None,
    key: str = _keys.RESULT,
    cmap: str = "viridis",
    ax: Axes | None = None,
) -> Axes:
    """Draw a heatmap of sender types × receiver types with the score summed over pairs.

    A square has a dot if one of the rows that it sums is significant (q ≤ 0.1); the others are a
    ranking. A line under the title counts them. Up to twelve types, the scores are written into the
    squares. With ``max_q`` only significant rows are summed.

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
        Only rows sender × receiver × pair with ``q_value`` of at most this: the pair acts, and
        between these types. None: all.
    stage
        None: the whole data set. A stage: scores there.
    key
        Name of the result.
    cmap
        Sequential colour map.
    ax
        Axes to draw in. None: a new figure.

    Returns
    -------
    The Axes; the heatmap is ``ax.images[0]``, row = sender, column = receiver.

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
    >>> st.pl.communication(adata, top_n=5).get_ylabel()
    'sender'
    """
    signals = read_signals(adata, key, pair=pair, top_n=top_n, max_q=max_q, stage=stage)
    scores, significant = signals.matrices()
    n, m = scores.shape
    written = max(n, m) <= MAX_TYPES_WRITTEN
    side = WRITTEN if written else EMPTY
    width = BAR + label_width(shortened(scores.index), LONGEST) + max(side[0] * m, 2.5)
    height = 0.9 + label_width(shortened(scores.columns), LONGEST) + max(side[1] * n, 1.8)
    given = ax is not None
    ax = new_axes(ax, width, height)
    if signals.nothing:
        return nothing_left(ax, signals.nothing)
    length = name_length(ax) if given else LONGEST
    rows, columns = (shortened(types, length) for types in (scores.index, scores.columns))
    names = scores.set_axis(rows).set_axis(columns, axis=1)
    names = names.rename_axis(index="sender", columns="receiver")
    values = scores.to_numpy()
    line = count_line(int(significant.sum()), int((values > 0).sum()), "fields", "dots")
    image = draw_matrix(
        ax,
        names,
        limits=(0.0, float(values.max())),
        cmap=cmap,
        label=f"{'score' if pair is not None else 'summed score'} (SD)",
        title=" \n ",  # room for the title
        longest=LONGEST,
    )
    mark_fields(ax, significant, corner=written)
    if written:
        _write_scores(ax, image, values)
    fit_title(ax, f"{signals.summed}{signals.suffix}\n{line}")
    return ax


def _write_scores(ax: Axes, image: AxesImage, values: NDArray[np.float64]) -> None:
    """Write the score in every field: black on bright colours, white on dark ones."""
    bright = np.asarray(image.to_rgba(values))[..., :3] @ BRIGHTNESS > 0.5
    for (row, column), value in np.ndenumerate(values):
        colour = "black" if bright[row, column] else "white"
        ax.text(column, row, f"{value:.2g}", ha="center", va="center", color=colour, fontsize=8)
