"""Scores of ligands and receptors, with the strongest pairs next to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys, get
from .._check import count
from .._edges import LR_PAIRS
from .._errors import InvalidArgumentError
from ._drawing.axes import LARGEST, label_ticks, label_width, new_axes, nothing_left
from ._drawing.labels import edge_names
from ._drawing.marks import SIGNIFICANT, count_line, fit_title, mark_fields
from ._drawing.names import LONGEST, shortened
from ._drawing.significance import at_stage, is_significant, up_to

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Inches of a field, and of the bars without their labels.
FIELD, BARS = 0.17, 1.6
#: Size of a label as a share of the side of its field.
LABEL_SHARE = 0.65
#: Shade of pairs that are not candidates.
ABSENT = "0.92"
#: Diameter of the mark of a significant bar in points.
MARK = 4.0


def pair_heatmap(
    adata: AnnData,
    *,
    top_n: int | None = 15,
    top_ligands: int | None = 30,
    top_receptors: int | None = 30,
    max_q: float | None = None,
    stage: str | None = None,
    key: str = _keys.RESULT,
    cmap: str = "viridis",
    ax: Sequence[Axes] | None = None,
) -> NDArray[Any] | Axes:
    """Draw a heatmap of ligands × receptors and bars of the strongest pairs.

    Significant pairs (q ≤ 0.1) have a dot, in the heatmap and at their bar; the others are a
    ranking. A line under the title counts them. Pairs that are not candidates, or have a q above
    ``max_q``, are grey. Bars have the colour of their square; a line through the end of a bar is
    the standard error of the score over refits.

    Ligands are ranked by their largest score, strongest on top. Receptors are grouped by the ligand
    with which their score is largest.

    Parameters
    ----------
    adata
        With a result of :func:`spatrace_sc.tl.infer_ccc`.
    top_n
        Pairs to draw as bars, the strongest first. Pairs with score 0 have no bar. None: all.
    top_ligands, top_receptors
        Rows and columns of the heatmap. None: all with a score above 0.
    max_q
        Only pairs with at most this q. None: all.
    stage
        None: the whole data set. A stage: scores there, with the q of the whole data set.
    key
        Name of the result.
    cmap
        Sequential colour map.
    ax
        Two axes to draw in, for the heatmap and for the bars. None: a new figure.

    Returns
    -------
    Array of the two Axes; the heatmap is ``[0].images[0]``, the bars are ``[1].patches``. One Axes
    with a text if there is nothing to draw.

    Raises
    ------
    MissingKeyError
        ``adata`` has no such result.
    InvalidArgumentError
        An argument is out of range, the result has no such stage, or ``ax`` does not have two
        axes.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata, sample_key="sample", stage_key="stage")
    >>> axes = st.pl.pair_heatmap(adata, top_n=5)
    >>> len(axes[1].patches)
    5
    """
    for value, name in (
        *((top_n, "top_n"), (top_ligands, "top_ligands")),
        (top_receptors, "top_receptors"),
    ):
        count(value, name)
    given = None if ax is None else np.ravel(np.array(ax, dtype=object))
    if given is not None and len(given) != 2:
        raise InvalidArgumentError(
            f"`ax` has {len(given)} axes, but there are 2 panels; give 2 axes or none."
        )
    table, limit = up_to(get.lr_pairs(adata, stage, key=key), max_q)
    table = table.assign(significant=is_significant(table))
    pairs = table[table["score"].to_numpy() > 0].astype({"ligand": str, "receptor": str})
    suffix = limit + at_stage(adata, stage, key)
    if pairs.empty:
        return nothing_in(given, _nothing(adata, suffix, max_q, key))
    scores, significant = score_matrices(
        table.astype({"ligand": str, "receptor": str}), top_ligands, top_receptors
    )
    bars = pairs.head(len(pairs) if top_n is None else top_n)
    labels = shortened(list(edge_names(bars)), LONGEST)
    axes = _panels(scores, labels) if given is None else given
    image = draw_scores(axes[0], scores, significant, (0.0, float(pairs["score"].max())), cmap)
    axes[0].figure.colorbar(image, ax=axes[0], label="score (SD)", shrink=0.8, aspect=25)
    line = count_line(
        *(int(table["significant"].sum()), len(table), "pairs", "dots"),
        drawn=int(significant.sum()),
    )
    _draw_bars(axes[1], bars, labels, image)
    fit_title(axes[1], f"{len(bars)} strongest of {len(pairs)} pairs")
    fit_title(axes[0], f"{_sizes(scores, pairs)}{suffix}\n{line}")
    return np.asarray(axes)


def nothing_in(given: NDArray[Any] | None, text: str) -> Axes:
    """Write in the first of the given axes, or in new ones, that there is nothing to draw."""
    for spare in () if given is None else given[1:]:
        spare.set_axis_off()
    return nothing_left(new_axes(None if given is None else given[0], 5.0, 2.0), text)


def score_matrices(
    table: pd.DataFrame, top_ligands: int | None, top_receptors: int | None
) -> tuple[pd.DataFrame, NDArray[np.bool_]]:
    """Return the strongest ligands × receptors: scores, NaN without a row, and significance.

    ``table`` has the columns ``ligand, receptor, score, significant``, strongest first.
    """
    scored = table[table["score"].to_numpy() > 0]
    ligands = list(dict.fromkeys(scored["ligand"]))[:top_ligands]
    receptors = list(dict.fromkeys(scored["receptor"]))[:top_receptors]
    wide = table.pivot(index="ligand", columns="receptor", values="score")
    wide = wide.reindex(index=ligands, columns=receptors)
    main = wide.fillna(-1.0).to_numpy().argmax(axis=0) if wide.size else []
    wide = wide.iloc[:, np.argsort(main, kind="stable")]
    marks = table.pivot(index="ligand", columns="receptor", values="significant")
    return wide, marks.reindex_like(wide).eq(True).to_numpy(dtype=bool)


def draw_scores(
    ax: Axes,
    scores: pd.DataFrame,
    significant: NDArray[np.bool_],
    limits: tuple[float, float],
    cmap: str,
    *,
    names: bool = True,
    side: float | None = None,
) -> Any:
    """Draw a heatmap of ligands × receptors with dots; return its image.

    ``side`` is the side of a field in points. If it is None, it is measured, which is slow.
    """
    ax.set_facecolor(ABSENT)
    style: dict[str, Any] = {"vmin": limits[0], "vmax": limits[1], "cmap": cmap}
    image = ax.imshow(scores.to_numpy(), aspect="auto", interpolation="nearest", **style)
    ax.set_xlabel(LR_PAIRS.target)
    ax.set_ylabel(LR_PAIRS.source[0] if names else "")
    ax.tick_params(length=0)
    rows = shortened(scores.index) if names else [""] * len(scores)
    columns = shortened(scores.columns)
    if side is None:
        label_ticks(ax, x=columns, y=rows)
    else:
        size = min(LABEL_SHARE * side, LARGEST)
        ax.set_xticks(range(len(columns)), columns, rotation=90, fontsize=size)
        ax.set_yticks(range(len(rows)), rows, fontsize=size)
    mark_fields(ax, significant, side=side)
    return image


def _sizes(scores: pd.DataFrame, pairs: pd.DataFrame) -> str:
    """Return how many ligands and receptors are drawn."""
    words = []
    for n, column in zip(scores.shape, ("ligand", "receptor"), strict=True):
        total = pairs[column].nunique()
        words.append(f"{'' if n == total else f'{n} of '}{total} {column}{'s' * (total != 1)}")
    return " × ".join(words)


def _nothing(adata: AnnData, suffix: str, max_q: float | None, key: str) -> str:
    """Return why there is no pair to draw."""
    text = f"No pair{suffix or ' with a score above 0'}"
    if max_q is None:
        return text
    table = get.lr_pairs(adata, key=key)
    grouped = table["group"].astype(str)[table["group_q_value"].to_numpy() <= max_q]
    n = grouped[grouped != ""].nunique()
    if n:
        return (
            f"{text}; {n} group{'s have' if n > 1 else ' has'}:\nsee st.get.lr_pairs, column group"
        )
    return f"{text}:\nthe smallest q is {table['q_value'].min():.2g}" if len(table) else text


def _panels(scores: pd.DataFrame, labels: list[str]) -> NDArray[Any]:
    """Return new axes for the heatmap and the bars, next to each other."""
    import matplotlib.pyplot as plt

    n, m = scores.shape
    left = FIELD * max(m, 10) + label_width(shortened(scores.index)) + 0.9
    right = BARS + label_width(labels)
    height = 0.9 + max(
        FIELD * max(n, 8) + label_width(shortened(scores.columns)), FIELD * len(labels) + 0.4
    )
    figure = plt.figure(figsize=(left + right + 0.4, height), layout="constrained")
    engine: Any = figure.get_layout_engine()
    engine.set(w_pad=0.08)
    return np.asarray(figure.subplots(1, 2, width_ratios=[left, right]))


def _draw_bars(ax: Axes, bars: pd.DataFrame, labels: list[str], image: Any) -> None:
    """Draw a bar for every pair, the strongest on top."""
    score = bars["score"].to_numpy(dtype=np.float64)
    row = np.arange(len(bars))
    error = bars["score_se"].to_numpy(dtype=np.float64)
    ax.barh(row, score, color=image.to_rgba(score), edgecolor="0.3", linewidth=0.4, height=0.75)
    ax.errorbar(score, row, xerr=error, fmt="none", ecolor="0.3", elinewidth=0.8, capsize=0)
    marked = bars["significant"].to_numpy()
    ax.scatter(
        *(score[marked], row[marked]),
        s=MARK**2,
        c="white",
        edgecolors="black",
        linewidths=0.8,
        zorder=4,
        label=SIGNIFICANT,
    )
    ax.set_ylim(len(bars) - 0.4, -0.6)
    ax.set_xlim(left=0.0)
    ax.set_xlabel("score (SD)")
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(axis="y", length=0)
    label_ticks(ax, y=labels)
