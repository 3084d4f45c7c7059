"""A ranking against a reference network and against chance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .._check import shorten
from .._errors import InvalidArgumentError
from ._shared import NEUTRAL, UP, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: What is between 0 and 1, and how it is called in the figure.
NAMES = {"auroc": "AUROC", "auprc": "AUPRC", "early_precision": "early precision"}
NEEDED = ["measure", "value", "random_mean", "random_sd"]


def evaluation(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """How well edges rank, beside random networks of the same degrees.

    A dot is the value of a measure, a grey bar the mean of the random networks, two standard deviations to either side.

    Parameters
    ----------
    table
        What :func:`spatrace_sc.tl.evaluate` returned.
    ax
        Axes to draw in. None: a new figure.

    Returns
    -------
    The Axes.

    Raises
    ------
    InvalidArgumentError

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata)
    >>> found = st.tl.evaluate(adata, adata.uns["truth"]["tf_targets"], n_random=9)
    >>> st.pl.evaluation(found).get_xlabel()
    'value'
    """
    if not isinstance(table, pd.DataFrame) or not set(NEEDED) <= set(table):
        found = shorten(table.columns) if isinstance(table, pd.DataFrame) else type(table).__name__
        raise InvalidArgumentError(
            f"`table` must be what `st.tl.evaluate` returns, with columns {shorten(NEEDED)}; found {found}."
        )
    rows = table.set_index("measure").reindex(list(NAMES))
    ax = new_axes(ax, 4.8, 2.2)
    place = np.arange(len(rows))[::-1]
    mean, spread = (rows[c].to_numpy(dtype=float) for c in ("random_mean", "random_sd"))
    ax.errorbar(
        mean,
        place,
        xerr=2 * spread,
        fmt="|",
        ms=12,
        lw=5,
        color=NEUTRAL,
        alpha=0.5,
        label="same degrees, random",
    )
    ax.plot(rows["value"].to_numpy(dtype=float), place, "o", color=UP, label="edges")
    ax.set_yticks(place, list(NAMES.values()))
    ax.set_ylim(-0.6, len(rows) - 0.4)
    ax.set_xlim(0, 1.02)
    ax.set_xlabel("value")
    ax.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    if "n_true" in table:
        ax.set_title(
            f"{int(table['n_true'].iloc[0])} of {int(table['n_candidates'].iloc[0])} candidates true",
            fontsize=10,
        )
    return ax
