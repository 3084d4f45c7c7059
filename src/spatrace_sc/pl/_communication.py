"""Who talks to whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys, get
from .._errors import InvalidArgumentError
from ._shared import ARROW, count, draw_matrix, label_width, new_axes, nothing_left, pair_name
from ._significance import at_stage, counted, hollow, is_supported, up_to

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

#: Scores are written into the fields up to this many types on a side.
WRITTEN = 12


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
    """Sender types against receiver types, coloured by the score summed over pairs.

    A field is hollow when none of the rows that are summed in it has q ≤ 0.1: nothing is known to act between these types. A line under the title counts the others. ``max_q`` sums only what is supported.

    Parameters
    ----------
    adata
        With a result of :func:`spatrace_sc.tl.infer_ccc`.
    pair
        Only this pair: ``"ligand^receptor"`` or ``(ligand, receptor)``. None: the sum over pairs.
    top_n
        Pairs to sum, those with the largest sum over types first. None: all of :func:`spatrace_sc.get.communication`. Not with ``pair``.
    max_q
        Only rows sender × receiver × pair with ``q_value`` of at most this: the pair acts, and between these types. None: all.
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
    MissingKeyError, InvalidArgumentError

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
    kept, limit = up_to(table, max_q)
    table = table.assign(score=table["score"].where(table.index.isin(kept.index), 0.0))
    scores, known, what = _prepare(table, pair, top_n)
    where = limit + at_stage(adata, stage, key)
    n, m = scores.shape
    wide, high = label_width(scores.index), label_width(scores.columns)
    ax = new_axes(ax, 1.5 + wide + 0.45 * max(m, 5), 1.2 + high + 0.36 * max(n, 5))
    if not (scores.to_numpy() > 0).any():
        one = f" {what}" if pair is not None else ""
        return nothing_left(ax, f"No communication{one}{where or ' above 0'}")
    some = scores.to_numpy() > 0
    hollow(ax, some & ~known)
    fields = "" if pair is not None else "fields"
    image = draw_matrix(
        ax,
        scores,
        limits=(0.0, float(scores.to_numpy().max())),
        cmap=cmap,
        label="score (SD of the targets)"
        if pair is not None
        else "summed score (SD of the targets)",
        title=f"{what}{where}\n{counted(known[some], fields)}",
    )
    if max(n, m) <= WRITTEN:
        _write(ax, image, scores.to_numpy(), some & ~known)
    return ax


def _prepare(
    table: pd.DataFrame, pair: str | tuple[str, str] | None, top_n: int | None
) -> tuple[pd.DataFrame, NDArray[np.bool_], str]:
    """Sender × receiver sums, every type listed, which of them hold anything supported, and what was summed."""
    name = table["ligand"].astype(str) + "^" + table["receptor"].astype(str)
    total = table["score"].groupby(name).sum().sort_values(ascending=False, kind="stable")
    total = total[total > 0] if pair is None else total
    if pair is not None:
        one = pair_name(pair, total.index, "of the communication table")
        kept, what = [one], one.replace("^", ARROW)
    else:
        kept = list(total.index[:top_n])
        what = (
            f"sum of {len(kept)} of {len(total)} pairs"
            if len(kept) < len(total)
            else f"sum of all {len(kept)} pairs"
        )
    score = table["score"].where(name.isin(kept), 0.0)
    types = [table["sender"], table["receiver"]]
    scores, known = (
        s.groupby(types, observed=True).sum().unstack(fill_value=0)
        for s in (score, score.where(is_supported(table), 0.0))
    )
    return scores, known.to_numpy() > 0, what


def _write(ax: Axes, image: AxesImage, values: np.ndarray, holes: np.ndarray) -> None:
    """The score in every field, dark on light and on white holes, light on dark."""
    colours = np.asarray(image.to_rgba(values))[..., :3]
    light = (colours @ np.array([0.299, 0.587, 0.114]) > 0.5) | holes
    for (row, column), value in np.ndenumerate(values):
        ink = "black" if light[row, column] else "white"
        ax.text(column, row, f"{value:.2g}", ha="center", va="center", color=ink, fontsize=8)
