"""How training went."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData

from .. import _keys, get
from ._shared import DOWN, NEUTRAL, UP, new_axes, nothing_left, points, settle

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Columns, their names and colours.
CURVES = (("train", "training cells", DOWN), ("held_out", "held-out cells", UP))


def training_history(adata: AnnData, *, key: str = _keys.RESULT, ax: Axes | None = None) -> Axes:
    """Error by epoch on training and on held-out cells, one phase after the other.

    Epoch 0 is the state before a phase. The sparse weights are solved again between the phases, so the curves need not join. The epoch with the lowest held-out error, whose
    state a phase keeps unless an earlier one is practically as good, is circled.

    Parameters
    ----------
    adata
        With a result of :func:`spatrace_sc.tl.infer_ccc`.
    key
        Name of the result.
    ax
        Axes to draw in. None: a new figure.

    Returns
    -------
    The Axes. Phases follow each other along x; ticks count the epochs of each.

    Raises
    ------
    MissingKeyError

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata, sample_key="sample", stage_key="stage")
    >>> st.pl.training_history(adata).get_xlabel()
    'epoch'
    """
    history = get.training_history(adata, key=key)
    ax = new_axes(ax, 6.5, 3.2)
    if history.empty:
        return nothing_left(ax, "Nothing was trained: no epochs, or no regulator with a weight")
    _draw(ax, _prepare(history))
    return ax


def _prepare(history: pd.DataFrame) -> list[pd.DataFrame]:
    """One table for each phase, with its place along x."""
    phases, start = [], 0.0
    for _, part in history.groupby("phase", sort=False):
        part = part.sort_values("epoch", ignore_index=True)
        phases.append(part.assign(x=start + part["epoch"] - part["epoch"].iloc[0]))
        start = float(phases[-1]["x"].iloc[-1]) + 2.0
    return phases


def _draw(ax: Axes, phases: list[pd.DataFrame]) -> None:
    for k, part in enumerate(phases):
        for column, name, colour in CURVES:
            label = name if k == 0 else None
            ax.plot(
                part["x"],
                part[column],
                color=colour,
                marker="o",
                markersize=3,
                linewidth=1.2,
                label=label,
            )
        best = part.iloc[int(part["held_out"].to_numpy().argmin())]
        ring: dict[str, Any] = {
            "marker": "o",
            "markersize": 9,
            "markerfacecolor": "none",
            "markeredgecolor": "black",
        }
        ax.plot(
            best["x"],
            best["held_out"],
            linestyle="none",
            label=None if k else "lowest held-out error",
            **ring,
        )
        middle = (part["x"].iloc[0] + part["x"].iloc[-1]) / 2
        ax.text(
            middle,
            1.01,
            str(part["phase"].iloc[0]),
            transform=ax.get_xaxis_transform(),
            ha="center",
            va="bottom",
        )
        if k:
            ax.axvline(part["x"].iloc[0] - 1, color=NEUTRAL, linewidth=0.8, linestyle=":")
    ax.set_xlabel("epoch")
    ax.set_ylabel("mean squared error\n(1 = variance of the targets in training cells)")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(fontsize=8, edgecolor="none", framealpha=0.9)
    settle(ax)
    ticks = _ticks(phases, points(ax)[0])
    ax.set_xticks(list(ticks), list(ticks.values()))


def _ticks(phases: list[pd.DataFrame], width: float) -> dict[float, str]:
    """Epochs at a round step, about 30 points apart, and none that would run into the start of the next phase."""
    span = float(phases[-1]["x"].iloc[-1] - phases[0]["x"].iloc[0]) or 1.0
    step = next((s for s in (1, 2, 5, 10, 20, 50, 100, 200, 500) if s * width / span >= 30), 1000)
    starts = [float(part["x"].iloc[0]) for part in phases]
    ticks = {}
    for x, epoch in pd.concat(phases)[["x", "epoch"]].itertuples(index=False, name=None):
        room = min((start - x for start in starts if start > x), default=span)
        if x in starts or (np.isclose(epoch % step, 0) and room * width / span >= 18):
            ticks[float(x)] = f"{epoch:g}"
    return ticks
