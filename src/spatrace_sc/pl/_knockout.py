"""Targets that change after a knockout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys, get
from .._check import count
from ._drawing.axes import DOWN, NEUTRAL, UP, label_ticks, label_width, new_axes, nothing_left
from ._drawing.marks import fit_title
from ._drawing.significance import RINGED, THRESHOLD, at_stage, counted, rings

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Standard errors over refits on each side of a change.
INTERVAL = 1.96
#: Height of a target, in inches.
ROW = 0.21
#: Opacity of the bar of the effect through other TFs.
MEDIATED_OPACITY = 0.4
#: Diameter of dots, in points.
DOT = 3.5
#: Labels of the legend, in order.
DIRECT, MEDIATED, TOTAL, WITH_EDGE = LEGEND = (
    "direct effect",
    "effect through other TFs",
    "total effect ± 1.96 standard errors over\nrefits, not a confidence interval",
    f"significant edge to the target ({THRESHOLD})",
)


def knockout(
    adata: AnnData,
    name: str | None = None,
    stage: str | None = None,
    *,
    top_n: int | None = 25,
    key: str = _keys.RESULT,
    ax: Axes | None = None,
) -> Axes:
    """Draw the targets that change most after a knockout, one row each.

    The full bar is the direct effect, the pale bar the effect through other TFs, and the dot their
    sum, with 1.96 standard errors over refits on each side. They measure reproducibility;
    they are not a confidence interval of the true change (``docs/knockout.md``). Red is up, blue is
    down. A ring around the dot marks a target to which an edge with q ≤ 0.1 leads (column
    ``evidence`` of :func:`spatrace_sc.get.knockout`). A line under the title counts these targets,
    or says that the changes are hypotheses because no such edge exists.

    Parameters
    ----------
    adata
        After :func:`spatrace_sc.tl.knockout`.
    name
        Name of the knockout. None: the only one that is stored.
    stage
        Mean over the receivers of this stage. None: over all receivers.
    top_n
        Targets to draw. None: all that change.
    key
        Name of the result.
    ax
        Axes to draw in. None: a new figure.

    Returns
    -------
    The Axes.

    Raises
    ------
    MissingKeyError
        ``adata`` has no such result, or no knockout.
    InvalidArgumentError
        An argument is out of range, or several knockouts are stored and none is named.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata)
    >>> st.tl.knockout(adata, tf="TF000")
    >>> st.pl.knockout(adata, top_n=10).get_title().split(":")[0]
    'Without tf'
    """
    count(top_n, "top_n")
    table = get.knockout(adata, name, stage, key=key)
    label = get.knockouts(adata, key=key)[0] if name is None else name
    changed = table[table["change"] != 0]
    top = changed.head(len(changed) if top_n is None else top_n)
    targets = [str(target) for target in top["target"]]
    ax = new_axes(ax, 4.2 + label_width(targets), 1.7 + ROW * max(len(top), 6))
    if top.empty:
        return nothing_left(ax, f"No target changes without {label}")
    significant = (top["evidence"] == "supported").to_numpy()
    _draw_bars(ax, top)
    _draw_totals(ax, top, significant)
    _legend(ax, len(top))
    ax.set_xlabel("change of the target (SD)")
    number = f"{len(top)} of {len(changed)} targets that change"
    title = f"Without {label}: {number}{at_stage(adata, stage, key)}"
    line = _evidence_line(table, significant)
    ax.axvline(0.0, color=NEUTRAL, lw=0.8)
    ax.set_ylim(len(top) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.set_title("\n".join(" " * (2 + line.count("\n"))), fontsize=10)  # room for the title
    label_ticks(ax, y=targets)
    fit_title(ax, f"{title}\n{line}")
    return ax


def _evidence_line(table: pd.DataFrame, significant: NDArray[np.bool_]) -> str:
    """Return the count of drawn targets with a significant edge, or that all are hypotheses."""
    if (table["evidence"] == "supported").any():
        return counted(significant, mark=RINGED, predicate="with an edge significant")
    return f"no edge to a target is significant at {THRESHOLD}:\nthe changes are hypotheses"


def _draw_bars(ax: Axes, top: pd.DataFrame) -> None:
    """Draw both effects from 0, the mediated one after the direct one where the signs agree."""
    position = np.arange(len(top))
    direct, mediated = (top[c].to_numpy(dtype=float) for c in ("direct", "mediated"))
    same_sign = np.sign(direct) == np.sign(mediated)
    for values, start, opacity, label in (
        (direct, 0.0, 1.0, DIRECT),
        (mediated, np.where(same_sign, direct, 0.0), MEDIATED_OPACITY, MEDIATED),
    ):
        style: dict[str, Any] = {"color": list(np.where(values > 0, UP, DOWN)), "lw": 0}
        style |= {"alpha": opacity}
        ax.barh(position, values, left=start, height=0.66, **style)
        ax.barh([0], [0.0], color=NEUTRAL, alpha=opacity, label=label, lw=0)


def _draw_totals(ax: Axes, top: pd.DataFrame, significant: NDArray[np.bool_]) -> None:
    """Draw the sum of both effects with its spread, and a ring around what is significant."""
    position = np.arange(len(top))
    change, se = (top[c].to_numpy(dtype=float) for c in ("change", "se"))
    ax.errorbar(
        change,
        position,
        xerr=INTERVAL * np.nan_to_num(se, posinf=0.0),
        fmt="o",
        ms=DOT,
        color="black",
        elinewidth=0.8,
        label=TOTAL,
    )
    if significant.any():
        rings(ax, change[significant], position[significant], DOT**2, label=WITH_EDGE)


def _legend(ax: Axes, n_rows: int) -> None:
    """Put a legend in a fixed order, with foreign labels last, below the axis label."""
    handles = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    ordered = [handles.pop(label) for label in LEGEND if label in handles]
    ax.legend(
        handles=[*ordered, *handles.values()],
        fontsize=7,
        frameon=False,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.55 / (0.3 + ROW * max(n_rows, 6))),
        ncols=2,
    )
