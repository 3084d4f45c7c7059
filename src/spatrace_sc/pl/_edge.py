"""The evidence of one edge, compared with its strongest rival."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys, get
from .._edges import LR_TARGETS, PAIR_SEPARATOR, TF_TARGETS
from .._errors import InvalidArgumentError
from ._drawing.axes import NEUTRAL, nothing_left
from ._drawing.colours import OKABE_ITO, category_colours
from ._drawing.labels import elided, readable
from ._drawing.significance import RINGED, THRESHOLD, is_significant, ring_handle, rings, stage_word

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Markers of slices; further slices begin again.
MARKERS = "osD^vP*X<>"
#: Area of the marks of slices and of all cells, in points².
AREA, AREA_ALL = 18.0, 34.0
#: Means of fewer cells of a slice are not drawn.
MIN_CELLS = 10
#: Largest number of slices that the legend names.
MAX_SLICES_NAMED = 10
#: What the line is, beside the effect in the title.
SLOPE = "slope of the measured values\n(effects are shrunk, those of\nTFs corrected for noise)"
#: Width of a panel and height of the figure, in inches.
PANEL, HEIGHT = 3.0, 3.5


def edge(
    adata: AnnData,
    regulator: str | tuple[str, str] | None = None,
    target: str | None = None,
    *,
    key: str = _keys.RESULT,
    ax: Sequence[Axes] | None = None,
) -> NDArray[Any]:
    """Draw the partial residuals of a target against the signal of its regulator.

    Black dots are means over all receivers in bins of the signal, with two standard errors over
    spatial blocks to each side; they are ringed if the edge is significant (q ≤ 0.1). The line is
    fitted to all cells. Small marks are the means of at least 10 cells of a single slice (marker)
    at a stage (colour): an edge that rests on one of them alone is doubtful.

    The right panel shows the same partial residuals against the signal of a rival: one that the
    data cannot distinguish (column ``group``), or the strongest other regulator of the target. A
    rival that explains as much could replace the regulator.

    The slope is not the effect in the tables. The effect of a TF is corrected for count noise, so
    for significant edges it is usually larger than the slope. All effects are shrunk towards 0, so
    for edges that are not significant the slope is usually larger, often many times.

    Parameters
    ----------
    adata
        After :func:`spatrace_sc.tl.partial_residuals`.
    regulator, target
        The edge. A pair is ``"ligand^receptor"`` or ``(ligand, receptor)``. None: the only one
        that is stored.
    key
        Name of the result.
    ax
        Two axes to draw in, from left to right. None: a new figure.

    Returns
    -------
    Array of the two Axes.

    Raises
    ------
    MissingKeyError
        ``adata`` has no such result, or no partial residuals.
    InvalidArgumentError
        The edge is not stored, several are and none is named, or ``ax`` does not have two axes.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata, sample_key="sample", stage_key="stage")
    >>> st.tl.partial_residuals(adata, "TF000", "TG000")
    >>> len(st.pl.edge(adata))
    2
    """
    table = get.partial_residuals(adata, regulator, target, key=key)
    given = None if ax is None else np.ravel(np.array(ax, dtype=object))
    if given is not None and len(given) != 2:
        raise InvalidArgumentError(
            f"`ax` has {len(given)} axes, but there are 2 panels; give 2 axes or none."
        )
    axes = _new_axes() if given is None else given
    row = _row(adata, str(table["regulator"].iloc[0]), str(table["target"].iloc[0]), key)
    colours, markers = _appearance(adata, table, key)
    parts = [part for _, part in table.groupby("against", sort=False)]
    limits = _limits(table)
    for panel, part in zip(axes, parts, strict=False):
        _draw(panel, part, colours, markers)
        panel.set_ylim(*limits)
    first = parts[0]
    if bool(is_significant(row).all()):
        means = first[first["stage"].eq("") & first["sample"].eq("")]
        rings(axes[0], means["signal"].to_numpy(), means["residual"].to_numpy(), AREA_ALL)
    axes[0].set_ylabel(f"{elided(str(first['target'].iloc[0]))} without everything else (SD)")
    axes[0].set_title(_title(first, row.iloc[0]), fontsize=9)
    if len(parts) > 1:
        axes[1].set_title(_rival_title(parts[1]), fontsize=9)
        _legend(axes[1], colours, markers, bool(is_significant(row).all()), stage_word(adata, key))
    else:
        nothing_left(axes[1], "No other regulator of this target has an effect")
    return axes


def _new_axes() -> NDArray[Any]:
    """Return two new axes side by side."""
    import matplotlib.pyplot as plt

    size = (2 * PANEL + 1.4, HEIGHT)
    return np.asarray(plt.subplots(1, 2, figsize=size, sharey=True, layout="constrained")[1])


def _row(adata: AnnData, regulator: str, target: str, key: str) -> pd.DataFrame:
    """Return the row of the edge in its table."""
    kind = LR_TARGETS if PAIR_SEPARATOR in regulator else TF_TARGETS
    table: pd.DataFrame = getattr(get, kind.name)(adata, key=key)
    same = (kind.source_names(table) == regulator) & (table["target"].astype(str) == target)
    return table[same].head(1)


def _appearance(
    adata: AnnData, table: pd.DataFrame, key: str
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the colour of every stage and the marker of every slice."""
    groups = table[table["stage"].ne("") | table["sample"].ne("")]
    stages = [name for name in get.stages(adata, key=key) if name in set(groups["stage"])]
    stages += [name for name in dict.fromkeys(groups["stage"]) if name not in stages]
    column = get.params(adata, key=key)["stage_key"]
    colours = category_colours(adata, column, stages) if stages else {}
    if stages == [""]:
        colours = {"": OKABE_ITO[1]}
    slices = dict.fromkeys(groups["sample"])
    return colours, {name: MARKERS[k % len(MARKERS)] for k, name in enumerate(slices)}


def _limits(table: pd.DataFrame) -> tuple[float, float]:
    """Return limits that hold all means, and the errors of those over all cells."""
    every = table["stage"].eq("") & table["sample"].eq("")
    table = table[every | table["n_cells"].ge(MIN_CELLS)]
    error = 2.0 * table["residual_se"].where(every, 0.0).fillna(0.0)
    low, high = (table["residual"] - error).min(), (table["residual"] + error).max()
    margin = 0.06 * (high - low or 1.0)
    return float(low - margin), float(high + margin)


def _draw(ax: Axes, part: pd.DataFrame, colours: dict[str, str], markers: dict[str, str]) -> None:
    """Draw the means of slices, those of all cells with their errors, and the line."""
    every = part["stage"].eq("") & part["sample"].eq("")
    of_slices = part[~every & part["n_cells"].ge(MIN_CELLS)]
    for (stage, sample), group in of_slices.groupby(["stage", "sample"], sort=False):
        style: dict[str, Any] = {
            "color": colours[str(stage)],
            "marker": markers[str(sample)],
            "linewidths": 0,
        }
        ax.scatter(group["signal"], group["residual"], s=AREA, alpha=0.75, **style)
    means = part[every]
    x, y = means["signal"].to_numpy(), means["residual"].to_numpy()
    error = 2.0 * np.nan_to_num(means["residual_se"].to_numpy())
    style = {"fmt": "o", "color": "black", "ms": AREA_ALL**0.5, "elinewidth": 1.2, "zorder": 3}
    ax.errorbar(x, y, yerr=error, **style)
    centre = np.average(y, weights=means["n_cells"])
    slope = float(means["slope"].iloc[0])
    mean_x = np.average(x, weights=means["n_cells"])
    ends = np.array([x.min(), x.max()])
    ax.plot(ends, centre + slope * (ends - mean_x), color="black", lw=1.0, zorder=2)
    ax.axhline(0.0, color=NEUTRAL, lw=0.6, ls=":", zorder=0)
    ax.set_xlabel(f"signal of {_short(str(part['against'].iloc[0]))} (SD)")
    ax.spines[["top", "right"]].set_visible(False)


def _short(name: str) -> str:
    """Return a regulator for a label."""
    return readable(elided(name, 14))


def _fit(part: pd.DataFrame) -> str:
    """Return the slope with its error, and what it explains."""
    slope, se, r2 = part[list(_keys.FITTED_LINE)].iloc[0]
    return f"slope {slope:.2g} ± {se:.1g}, explains {100 * r2:.2g} %"


def _title(part: pd.DataFrame, row: pd.Series) -> str:
    """Return the edge with its effect, error, q, stability and what limits it."""
    name = f"{_short(str(part['regulator'].iloc[0]))} → {elided(str(part['target'].iloc[0]), 14)}"
    error = "" if np.isnan(row["effect_se"]) else f" ± {row['effect_se']:.1g}"
    limit = str(row["limited_by"])
    judged = f"limited by: {limit}" if limit else f"not significant at {THRESHOLD}"
    if row["q_value"] <= _keys.MAX_SIGNIFICANT_Q:
        judged = f"significant at {THRESHOLD} ({RINGED})"
    return (
        f"{name}\neffect {row['effect']:.2g}{error}, q = {row['q_value']:.2g}, "
        f"stability {row['stability']:.2g}\n{judged}\n{_fit(part)}"
    )


def _rival_title(part: pd.DataFrame) -> str:
    """Return the name of the rival, why it is drawn, and what it explains."""
    name = _short(str(part["against"].iloc[0]))
    return f"{name}\n{part['role'].iloc[0]}\nthe same residuals\n{_fit(part)}"


def _legend(
    ax: Axes, colours: dict[str, str], markers: dict[str, str], ringed: bool, word: str
) -> None:
    """Name stages and slices, and explain the black dots."""
    from matplotlib.lines import Line2D

    def entry(label: str, **style: Any) -> Line2D:
        return Line2D([], [], linestyle="none", label=label, **style)

    handles = [entry("all cells, ± 2 se", marker="o", color="black")]
    handles += [Line2D([], [], color="black", lw=1.0, label=SLOPE)]
    handles += [ring_handle(f"significant edge ({THRESHOLD})", 20.0)] if ringed else []
    small: dict[str, Any] = {"markersize": AREA**0.5 + 1}
    handles += [
        entry(f"{word} {elided(name)}", marker="o", color=colour, **small)
        for name, colour in colours.items()
        if name
    ]
    if max(1, len(colours)) < len(markers) <= MAX_SLICES_NAMED:
        handles += [
            entry(elided(name), marker=marker, color=NEUTRAL, **small)
            for name, marker in markers.items()
        ]
    style: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0), "frameon": False}
    ax.legend(handles=handles, fontsize=7, borderaxespad=0, **style)
