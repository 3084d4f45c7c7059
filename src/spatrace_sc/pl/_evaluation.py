"""Performance of a ranking compared with random networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .._check import shorten
from .._errors import InvalidArgumentError
from ._drawing.axes import NEUTRAL, UP, new_axes
from ._drawing.marks import fit_title
from ._drawing.significance import RINGED, ring_handle, rings

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Measures between 0 and 1, and their names in the figure.
NAMES = {"auroc": "AUROC", "auprc": "AUPRC", "early_precision": "early precision"}
#: Largest p of a value with a ring, its entry in the legend, and the diameter of dots in points.
MAX_P, DOT = 0.05, 6.0
BETTER = f"better than random networks\n(p ≤ {MAX_P:g})"
REQUIRED_COLUMNS = ["measure", "value", "random_mean", "random_sd"]


def evaluation(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the performance of ranked edges next to that of random networks.

    A dot is the value of a measure. A grey bar is the mean over random networks with the same
    degrees, with two standard deviations to each side. A ring marks a value that at most 5 % of
    the random networks reach (column ``p_value``), and the title counts them.

    Parameters
    ----------
    table
        Result of :func:`spatrace_sc.tl.evaluate`.
    ax
        Axes to draw in. None: a new figure.

    Returns
    -------
    The Axes.

    Raises
    ------
    InvalidArgumentError
        ``table`` is not a table of :func:`spatrace_sc.tl.evaluate`.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata)
    >>> table = st.tl.evaluate(adata, adata.uns["truth"]["tf_targets"], n_random=9)
    >>> st.pl.evaluation(table).get_xlabel()
    'value (1 = perfect ranking)'
    """
    if not isinstance(table, pd.DataFrame) or not set(REQUIRED_COLUMNS) <= set(table):
        is_table = isinstance(table, pd.DataFrame)
        finding = shorten(table.columns) if is_table else type(table).__name__
        raise InvalidArgumentError(
            "`table` must be what `st.tl.evaluate` returns, "
            f"with columns {shorten(REQUIRED_COLUMNS)}; found {finding}."
        )
    rows = table.set_index("measure").reindex(list(NAMES))
    ax = new_axes(ax, 6.2, 2.2)
    position = np.arange(len(rows))[::-1]
    mean, sd = (rows[c].to_numpy(dtype=float) for c in ("random_mean", "random_sd"))
    ax.errorbar(
        mean,
        position,
        xerr=2 * sd,
        fmt="|",
        ms=12,
        lw=5,
        color=NEUTRAL,
        alpha=0.5,
        label="random networks with the\nsame degrees (mean ± 2 SD)",
    )
    ax.plot(
        rows["value"].to_numpy(dtype=float), position, "o", ms=DOT, color=UP, label="inferred edges"
    )
    ax.set_yticks(position, list(NAMES.values()))
    ax.set_ylim(-0.6, len(rows) - 0.4)
    ax.set_xlim(0, 1.02)
    ax.set_xlabel("value (1 = perfect ranking)")
    handles, _ = ax.get_legend_handles_labels()
    better = rows["p_value"].to_numpy(dtype=float) <= MAX_P if "p_value" in rows else sd < 0
    if better.any():
        rings(ax, rows["value"].to_numpy(dtype=float)[better], position[better], DOT**2)
        handles.append(ring_handle(BETTER, DOT**2))
    ax.legend(
        handles=handles, frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0)
    )
    fit_title(ax, _title(table, better if "p_value" in rows else None))
    return ax


def _title(table: pd.DataFrame, better: NDArray[np.bool_] | None) -> str:
    """Return the number of true edges, and of measures that are better than random networks."""
    lines = []
    if "n_true" in table:
        n_true, n_candidates = (int(table[c].iloc[0]) for c in ("n_true", "n_candidates"))
        lines.append(f"{n_true} of {n_candidates} candidate edges are true")
    if better is not None:
        mark = f" ({RINGED})" if better.any() else ""
        share = f"{int(better.sum())} of {len(better)} measures"
        lines.append(f"{share} better than random networks at p ≤ {MAX_P:g}{mark}")
    return "\n".join(lines)
