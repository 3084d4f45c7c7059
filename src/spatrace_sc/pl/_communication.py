"""Communication between cell types."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys, get
from .._check import count
from .._edges import LR_PAIRS, joined
from .._errors import InvalidArgumentError
from ._labels import readable
from ._pair_name import pair_name
from ._shared import draw_matrix, label_width, new_axes, nothing_left
from ._significance import at_stage, counted, dots, is_significant, up_to

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

#: Largest number of types on a side for which scores are written into the fields.
MAX_TYPES_WRITTEN = 12
#: Shift of a dot beside a written score, to the right and down, in fields.
BESIDE_SCORE = (0.36, -0.32)
#: Weights of red, green and blue in the brightness of a colour (ITU-R BT.601).
BRIGHTNESS = np.array([0.299, 0.587, 0.114])


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

    A dot marks a field if one of the rows that it sums is significant (q ≤ 0.1). A line under the
    title counts these fields. With ``max_q`` only significant rows are summed.

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
        An argument is out of range, or names nothing in the result.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata, sample_key="sample", stage_key="stage")
    >>> st.pl.communication(adata, top_n=5).get_ylabel()
    'sender'
    """
    count(top_n, "top_n")
    if pair is not None and top_n is not None:
        raise InvalidArgumentError(
            f"`pair={pair!r}` and `top_n={top_n}` exclude each other; leave one of them None."
        )
    table = get.communication(adata, stage, key=key)
    rows, limit = up_to(table, max_q)
    table = table.assign(score=table["score"].where(table.index.isin(rows.index), 0.0))
    scores, significant, summed = _prepare(table, pair, top_n)
    suffix = limit + at_stage(adata, stage, key)
    n, m = scores.shape
    width, height = label_width(scores.index), label_width(scores.columns)
    ax = new_axes(ax, 1.5 + width + 0.45 * max(m, 5), 1.2 + height + 0.36 * max(n, 5))
    values = scores.to_numpy()
    if not (values > 0).any():
        name = f" {summed}" if pair is not None else ""
        return nothing_left(ax, f"No communication{name}{suffix or ' with a score above 0'}")
    significant &= values > 0
    line = counted(significant[values > 0], "" if pair is not None else "fields")
    image = draw_matrix(
        ax,
        scores,
        limits=(0.0, float(values.max())),
        cmap=cmap,
        label=f"{'score' if pair is not None else 'summed score'} (SD of the targets)",
        title=f"{summed}{suffix}\n{line}",
    )
    written = max(n, m) <= MAX_TYPES_WRITTEN
    dots(ax, significant, BESIDE_SCORE if written else (0.0, 0.0))
    if written:
        _write_scores(ax, image, values)
    return ax


def _prepare(
    table: pd.DataFrame, pair: str | tuple[str, str] | None, top_n: int | None
) -> tuple[pd.DataFrame, NDArray[np.bool_], str]:
    """Return sender × receiver sums, which fields are significant, and the words for the sum."""
    name = joined(table, LR_PAIRS.columns)
    total = table["score"].groupby(name).sum().sort_values(ascending=False, kind="stable")
    if pair is not None:
        selected = [pair_name(pair, total.index, "of the communication table")]
        summed = readable(selected[0])
    else:
        total = total[total > 0]
        selected = list(total.index[:top_n])
        every = len(selected) == len(total)
        summed = f"sum of {'all ' if every else f'{len(selected)} of '}{len(total)} pairs"
    score = table["score"].where(name.isin(selected), 0.0)
    types = [table["sender"], table["receiver"]]
    scores, of_significant_rows = (
        s.groupby(types, observed=True).sum().unstack(fill_value=0)
        for s in (score, score.where(is_significant(table), 0.0))
    )
    return scores, of_significant_rows.to_numpy() > 0, summed


def _write_scores(ax: Axes, image: AxesImage, values: NDArray[np.float64]) -> None:
    """Write the score in every field: black on bright colours, white on dark ones."""
    bright = np.asarray(image.to_rgba(values))[..., :3] @ BRIGHTNESS > 0.5
    for (row, column), value in np.ndenumerate(values):
        colour = "black" if bright[row, column] else "white"
        ax.text(column, row, f"{value:.2g}", ha="center", va="center", color=colour, fontsize=8)
