"""How figures mark significance: what is not significant is hollow or pale, and is counted.

A row is significant at q ≤ :data:`spatrace_sc._keys.MAX_SIGNIFICANT_Q`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys, get
from .._check import share_of_one

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: The condition for significance in titles, and the legend of what does not meet it.
THRESHOLD = f"q ≤ {_keys.MAX_SIGNIFICANT_Q:g}"
NOT_SIGNIFICANT = f"not significant (q > {_keys.MAX_SIGNIFICANT_Q:g})"
#: Opacity of what is not significant.
PALE = 0.3
#: Side of the hole in a field of a heatmap, as a share of the field.
HOLE = 0.6


def up_to(table: pd.DataFrame, max_q: float | None) -> tuple[pd.DataFrame, str]:
    """Return the rows with at most this q, and the words for it in a title."""
    if max_q is None:
        return table, ""
    share_of_one(max_q, "max_q")
    return table[table["q_value"].to_numpy() <= max_q], f" with q ≤ {max_q:g}"


def is_significant(table: pd.DataFrame) -> NDArray[np.bool_]:
    """Return which rows of a table have a q-value at or below the threshold."""
    return table["q_value"].to_numpy(dtype=np.float64) <= _keys.MAX_SIGNIFICANT_Q


def counted(
    significant: NDArray[np.bool_],
    noun: str = "",
    *,
    mark: str = "hollow",
    predicate: str = "significant",
) -> str:
    """Return the line under a title: how many are significant, and how the others are drawn."""
    n, total = int(np.sum(significant)), int(np.size(significant))
    name = f" {noun}" if noun else ""
    if n == 0:
        return f"none{' of the' + name if noun else ''} {predicate} at {THRESHOLD} (all {mark})"
    if n == total:
        return f"all{name} {predicate} at {THRESHOLD}"
    return f"{n} of {total}{name} {predicate} at {THRESHOLD} (others {mark})"


def hollow(ax: Axes, fields: NDArray[np.bool_], colour: Any = "white") -> None:
    """Draw holes in some fields of a heatmap, rows × columns.

    Give the colour of 0, so that the hole of a value near 0 does not stand out.
    """
    from matplotlib.collections import PolyCollection

    row, column = np.nonzero(fields)
    corner = HOLE / 2 * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    squares = np.stack([column, row], axis=1)[:, None, :] + corner
    ax.add_collection(
        PolyCollection(list(squares), facecolors=[colour], edgecolors="none", zorder=2),
        autolim=False,
    )


def stage_word(adata: AnnData, key: str) -> str:
    """Return ``"slice"`` for a result that was given slices but no stages, else ``"stage"``."""
    arguments = get.params(adata, key=key)
    without_stages = arguments["stage_key"] is None and arguments["sample_key"] is not None
    return "slice" if without_stages else "stage"


def at_stage(adata: AnnData, stage: str | None, key: str) -> str:
    """Return ``", stage E2"`` for a title, or nothing."""
    return "" if stage is None else f", {stage_word(adata, key)} {stage}"
