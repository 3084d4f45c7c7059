"""How figures say what the data support: what has q above :data:`spatrace_sc._keys.SUPPORTED` is hollow or pale, and a line under the title counts the rest."""

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

#: What legends and titles call the two.
SUPPORTED, UNSUPPORTED = f"q ≤ {_keys.SUPPORTED:g}", f"q > {_keys.SUPPORTED:g}"
#: Opacity of what is not supported.
PALE = 0.3
#: Side of the hole in a field of a heatmap, as a share of the field.
HOLE = 0.6


def up_to(table: pd.DataFrame, max_q: float | None) -> tuple[pd.DataFrame, str]:
    """The rows with at most this q, and what titles say of it."""
    if max_q is None:
        return table, ""
    share_of_one(max_q, "max_q")
    return table[table["q_value"].to_numpy() <= max_q], f" with q ≤ {max_q:g}"


def is_supported(table: pd.DataFrame) -> NDArray[np.bool_]:
    """Rows of a table with a small enough q."""
    return table["q_value"].to_numpy(dtype=np.float64) <= _keys.SUPPORTED


def counted(supported: NDArray[np.bool_], what: str = "", mark: str = "hollow") -> str:
    """The line under a title: none, all, or how many are supported, and how the others are drawn."""
    n, every = int(np.sum(supported)), int(np.size(supported))
    name = f" {what}" if what else ""
    if not n:
        return f"none{' of the' + name if what else ''} with {SUPPORTED} (all {mark})"
    return (
        f"all{name} with {SUPPORTED}"
        if n == every
        else f"{n} of {every}{name} with {SUPPORTED} ({mark}: {UNSUPPORTED})"
    )


def hollow(ax: Axes, fields: NDArray[np.bool_], colour: Any = "white") -> None:
    """Holes in some fields of a heatmap, rows × columns. In the colour of 0, fields that are next to 0 do not stand out by their hole."""
    from matplotlib.collections import PolyCollection

    row, column = np.nonzero(fields)
    corner = HOLE / 2 * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    squares = np.stack([column, row], axis=1)[:, None, :] + corner
    ax.add_collection(
        PolyCollection(list(squares), facecolors=[colour], edgecolors="none", zorder=2),
        autolim=False,
    )


def stage_word(adata: AnnData, key: str) -> str:
    """What the stages of a result are: slices where the inference was told of no stages."""
    used = get.params(adata, key=key)
    return "slice" if used["stage_key"] is None and used["sample_key"] is not None else "stage"


def at_stage(adata: AnnData, stage: str | None, key: str) -> str:
    """``", stage E2"`` for a title, or nothing."""
    return "" if stage is None else f", {stage_word(adata, key)} {stage}"
