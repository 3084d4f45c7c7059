"""Training and held-out error by epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData

from .. import _keys, get
from ._drawing.axes import DOWN, LARGEST, NEUTRAL, UP, new_axes, nothing_left, points, settle
from ._drawing.fitted_text import wrapped
from ._drawing.marks import fit_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Columns, their names and colours.
CURVES = (("train", "training cells", DOWN), ("held_out", "held-out cells", UP))
#: Steps between ticks, in epochs, of which the first that leaves enough room is taken.
TICK_STEPS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
#: Room of a tick, and distance of a tick from the start of the next phase, in points.
TICK_ROOM, TICK_DISTANCE = 30, 18


def training_history(adata: AnnData, *, key: str = _keys.RESULT, ax: Axes | None = None) -> Axes:
    """Draw the error by epoch on training cells and on held-out cells, one phase after the other.

    Epoch 0 is the state before a phase. The sparse weights are solved again between the phases, so
    the curves need not join. The title gives the held-out error at the start and the lowest of the
    last phase. A circle marks the epoch with the lowest held-out error. A phase keeps the state of
    this epoch unless that of an earlier one is practically as good.

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
    The Axes. Phases follow each other along x; ticks count the epochs of each phase.

    Raises
    ------
    MissingKeyError
        ``adata`` has no such result.

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
        return nothing_left(ax, "No training: there were no epochs, or no regulator has a weight")
    phases = _prepare(history)
    for position, phase in enumerate(phases):
        _draw_phase(ax, phase, first=position == 0)
    ax.set_xlabel("epoch")
    unit = "(1 = variance of the targets in training cells)"
    settle(ax)
    label = wrapped(["mean squared error", unit], points(ax)[1], LARGEST)
    ax.set_ylabel(label, fontsize=LARGEST)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(fontsize=8, edgecolor="none", framealpha=0.9)
    settle(ax)
    fit_title(ax, _title(phases))
    ticks = _ticks(phases, points(ax)[0])
    ax.set_xticks(list(ticks), list(ticks.values()))
    return ax


def _title(phases: list[pd.DataFrame]) -> str:
    """Return the held-out error before and after, and an empty line for the names of phases."""
    first, last = phases[0]["held_out"].iloc[0], phases[-1]["held_out"].min()
    n = sum(len(phase) - 1 for phase in phases)
    return f"held-out error {first:.3g} before, {last:.3g} after {n} epochs (lowest)\n "


def _prepare(history: pd.DataFrame) -> list[pd.DataFrame]:
    """Return one table per phase, with its position along x."""
    phases, start = [], 0.0
    for _, table in history.groupby("phase", sort=False):
        phase = table.sort_values("epoch", ignore_index=True)
        phases.append(phase.assign(x=start + phase["epoch"] - phase["epoch"].iloc[0]))
        start = float(phases[-1]["x"].iloc[-1]) + 2.0
    return phases


def _draw_phase(ax: Axes, phase: pd.DataFrame, *, first: bool) -> None:
    """Draw the curves of a phase, its best epoch and its name; only the first has labels."""
    curve: dict[str, Any] = {"marker": "o", "markersize": 3, "linewidth": 1.2}
    for column, name, colour in CURVES:
        label = name if first else None
        ax.plot(phase["x"], phase[column], color=colour, label=label, **curve)
    best = phase.iloc[int(phase["held_out"].to_numpy().argmin())]
    ring: dict[str, Any] = {"marker": "o", "markersize": 9, "linestyle": "none"}
    ring |= {"markerfacecolor": "none", "markeredgecolor": "black"}
    label = "lowest held-out error" if first else None
    ax.plot(best["x"], best["held_out"], label=label, **ring)
    start, end = phase["x"].iloc[0], phase["x"].iloc[-1]
    above: dict[str, Any] = {"transform": ax.get_xaxis_transform(), "ha": "center", "va": "bottom"}
    ax.text((start + end) / 2, 1.01, str(phase["phase"].iloc[0]), **above)
    if not first:
        ax.axvline(start - 1, color=NEUTRAL, linewidth=0.8, linestyle=":")


def _ticks(phases: list[pd.DataFrame], width: float) -> dict[float, str]:
    """Return epochs at a round step that leave room for their labels, by position.

    The first epoch of every phase has a tick; others keep a distance from the next phase.
    """
    span = float(phases[-1]["x"].iloc[-1] - phases[0]["x"].iloc[0]) or 1.0
    scale = width / span
    step = next((s for s in TICK_STEPS if s * scale >= TICK_ROOM), TICK_STEPS[-1])
    starts = [float(phase["x"].iloc[0]) for phase in phases]
    ticks = {}
    for x, epoch in pd.concat(phases)[["x", "epoch"]].itertuples(index=False, name=None):
        distance = min((start - x for start in starts if start > x), default=span)
        if x in starts or (np.isclose(epoch % step, 0) and distance * scale >= TICK_DISTANCE):
            ticks[float(x)] = f"{epoch:g}"
    return ticks
