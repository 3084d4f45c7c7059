"""Colours of cells by a column of ``obs``, with their colour bar or legend."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from ... import _keys
from ..._data.cells import label_text, obs_column, time_column
from .colours import category_colours
from .fitted_text import LABEL, WIDTH, ellipsis
from .map_panels import MARGIN_RIGHT, NO_RECEIVER, SEQUENTIAL

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Size of a legend, in points, its line height as a multiple, and the longest name in it.
LEGEND, LINE, LONGEST_NAME = 7.0, 1.5, 28
#: Number of categories above which their names are shorter, and the longest of these.
MANY, LONGEST_OF_MANY = 15, 19
#: Width of the marks of a legend, height of the lowest figure, and room for the label of the
#: second axis and the gap before the legend, in inches.
MARK, LOWEST, SIDES = 0.35, 2.75, 0.4


@dataclass(frozen=True)
class CellColours:
    """(cells, 4) colours, and what explains them.

    ``names`` are the colours of categories; ``limits`` those of a number, None for categories.
    """

    rgba: NDArray[np.float64]
    label: str
    names: dict[str, str]
    limits: tuple[float, float] | None

    def of(self, mask: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return the colours of some cells."""
        return self.rgba[mask]

    def margin(self) -> float:
        """Return the width of the legend or colour bar next to the axes, in inches."""
        if not self.names:
            return MARGIN_RIGHT
        longest = max(len(name) for name in self.legend_names())
        columns = math.ceil(len(self.names) / _rows(LOWEST))
        return SIDES + columns * (MARK + longest * WIDTH * LEGEND / 72)

    def legend_names(self) -> list[str]:
        """Return the names of the categories as the legend shows them."""
        length = LONGEST_OF_MANY if len(self.names) > MANY else LONGEST_NAME
        return [ellipsis(name, length) for name in self.names]

    def explain(self, axes: NDArray[Any]) -> None:
        """Add a colour bar for a number, or a legend of categories."""
        if self.limits is not None:
            _colour_bar(axes, self.label, self.limits)
        elif self.names:
            named = zip(self.legend_names(), self.names.values(), strict=True)
            _legend(axes[-1], list(named), self.label)


def cell_colours(adata: AnnData, column: str | None, shown: NDArray[np.bool_]) -> CellColours:
    """Return colours by a column of ``obs``; by pseudotime, if there is one, for None.

    The legend lists the categories of the cells that are ``shown``.
    """
    from matplotlib import colormaps
    from matplotlib.colors import to_rgba

    if column is None and _keys.TIME in adata.obs:
        column = _keys.TIME
    if column is None:
        return CellColours(np.tile(to_rgba(NO_RECEIVER), (adata.n_obs, 1)), "", {}, None)
    stored = obs_column(adata, column, "color")
    if pd.api.types.is_numeric_dtype(stored) and not pd.api.types.is_bool_dtype(stored):
        value = time_column(adata, column, "color")
        known = np.isfinite(value)
        low, high = (value[known].min(), value[known].max()) if known.any() else (0.0, 1.0)
        rgba = colormaps[SEQUENTIAL](np.nan_to_num((value - low) / ((high - low) or 1.0)))
        rgba[~known] = to_rgba(NO_RECEIVER)
        return CellColours(rgba, column, {}, (float(low), float(high)))
    text = label_text(adata, column, "color")
    categories = [str(name) for name in pd.Categorical(stored).categories]
    names = category_colours(adata, column, categories)
    rgba = np.array([to_rgba(names.get(name, NO_RECEIVER)) for name in text]).reshape(-1, 4)
    present = set(text[shown])
    named = {name: colour for name, colour in names.items() if name in present}
    return CellColours(rgba, column, named, None)


def draw_coloured(
    ax: Axes, xy: NDArray[np.float64], rgba: NDArray[np.float64], area: float, opacity: float
) -> None:
    """Draw cells in their colours."""
    x, y = xy.T
    style: dict[str, Any] = {"linewidths": 0, "rasterized": True, "clip_on": False, "zorder": 1}
    ax.scatter(x, y, c=rgba, s=area, alpha=opacity, **style)


def _colour_bar(axes: NDArray[Any], label: str, limits: tuple[float, float]) -> None:
    """Draw the colour bar of a number."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    mappable = ScalarMappable(norm=Normalize(*limits), cmap=SEQUENTIAL)
    bar = axes[0].figure.colorbar(mappable, ax=list(axes), shrink=0.8)
    bar.set_label(ellipsis(label, LONGEST_NAME), fontsize=LABEL)


def _rows(height: float) -> int:
    """Return the number of rows of a legend next to a figure of this height in inches."""
    return max(3, int(72 * height / (LINE * LEGEND)) - 3)


def _legend(ax: Axes, names: list[tuple[str, str]], title: str) -> None:
    """Draw the legend of categories next to the axes, in columns no longer than the figure."""
    from matplotlib.lines import Line2D

    rows = _rows(ax.figure.figure.get_figheight())
    handles = [Line2D([], [], ls="", marker="o", ms=5, color=c, label=n) for n, c in names]
    spacing: dict[str, Any] = {"handletextpad": 0.1, "borderaxespad": 0, "columnspacing": 0.8}
    ax.legend(
        handles=handles,
        title=ellipsis(title, LONGEST_NAME),
        title_fontsize=LABEL,
        fontsize=LEGEND,
        loc="upper left",
        bbox_to_anchor=(1.02, 1),
        frameon=False,
        ncols=math.ceil(len(handles) / rows),
        **spacing,
    )
