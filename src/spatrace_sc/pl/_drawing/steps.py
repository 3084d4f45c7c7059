"""Steps between columns of names: their order, heights and curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .axes import DOWN, UP
from .significance import MARK, SIGNIFICANT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Widest and thinnest line, in points, and the opacity of steps.
WIDEST, THINNEST, OPACITY = 5.0, 0.6, 0.55
#: Dashes and gaps of a step that is not significant, in line widths.
DASHED = (0, (2.0, 0.7))
#: Diameter of the dot of a significant step, in points.
DOT = 4.5
#: Number of times that all columns are ordered, forwards and backwards.
SWEEPS = 8


def heights_of(names: Sequence[str], rows: int) -> dict[str, float]:
    """Return the height of every name, evenly spaced, the first at the top."""
    return dict(zip(names, rows - (np.arange(len(names)) + 0.5) * rows / len(names), strict=True))


def ordered_columns(
    columns: Sequence[Sequence[str]], steps: Sequence[pd.DataFrame]
) -> list[list[str]]:
    """Return the columns of names in an order in which few steps cross.

    ``steps[k]`` has ``begin`` and ``end``, names of the columns k and k + 1. Every column is sorted
    by the mean position of the neighbours in the column before and, backwards, in the one after it
    (barycentre method). The order with the fewest crossings is returned.
    """
    best = current = [list(names) for names in columns]
    fewest = _crossings(best, steps)
    for sweep in range(SWEEPS):
        current = list(current)
        forwards = sweep % 2 == 0
        for k in range(len(steps)) if forwards else reversed(range(len(steps))):
            near, far = ("begin", "end") if forwards else ("end", "begin")
            column, neighbour = (k + 1, k) if forwards else (k, k + 1)
            position = _positions(current[neighbour])
            mean = steps[k][near].map(position).astype(float).groupby(steps[k][far]).mean()
            own = {name: (i + 0.5) / len(current[column]) for i, name in enumerate(current[column])}
            current[column] = sorted(own, key=(own | mean.to_dict()).__getitem__)
        crossings = _crossings(current, steps)
        if crossings < fewest:
            best, fewest = current, crossings
    return best


def _positions(names: Sequence[str]) -> dict[str, float]:
    """Return the position of every name in its column, from 0 to 1."""
    return {name: (k + 0.5) / len(names) for k, name in enumerate(names)}


def _crossings(columns: Sequence[Sequence[str]], steps: Sequence[pd.DataFrame]) -> int:
    """Return the number of pairs of steps that cross."""
    total = 0
    for k, table in enumerate(steps):
        x = table["begin"].map(_positions(columns[k])).to_numpy(dtype=float)
        y = table["end"].map(_positions(columns[k + 1])).to_numpy(dtype=float)
        total += int(((x[:, None] < x) & (y[:, None] > y)).sum())
    return total


def draw_steps(
    ax: Axes,
    steps: pd.DataFrame,
    left: dict[str, float],
    right: dict[str, float],
    position: int,
    colour: str | None = None,
) -> None:
    """Draw ``begin, end, effect, significant`` as curves from one column to the next.

    Widths are relative to the strongest step. Without a ``colour`` it shows the sign.
    """
    across = np.linspace(0.0, 1.0, 40)
    ease = across * across * (3.0 - 2.0 * across)
    largest = steps["effect"].abs().max()
    ordered = steps.sort_values("effect", key=abs)[["begin", "end", "effect", "significant"]]
    for begin, end, effect, significant in ordered.itertuples(index=False, name=None):
        width = WIDEST * abs(effect) / largest if largest > 0 else THINNEST
        ax.plot(
            position + 0.04 + 0.92 * across,
            left[begin] + (right[end] - left[begin]) * ease,
            color=colour or (UP if effect > 0 else DOWN),
            lw=max(width, THINNEST),
            linestyle="-" if significant else DASHED,
            alpha=OPACITY,
            solid_capstyle="butt",
            dash_capstyle="butt",
        )
        if significant:
            middle = position + 0.5, (left[begin] + right[end]) / 2
            ax.plot(*middle, "o", color=MARK, ms=DOT, mec="white", mew=0.6, gid=SIGNIFICANT)
