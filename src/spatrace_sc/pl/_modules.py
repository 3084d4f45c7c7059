"""Heatmaps of signaling modules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys, get
from .._check import count
from .._errors import InvalidArgumentError
from ._drawing.axes import label_ticks, label_width, new_axes, nothing_left
from ._drawing.labels import edge_names
from ._drawing.significance import counted, dots, is_significant, stage_word

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Inches of a column and of a row.
COLUMN, ROW = 0.24, 0.34
#: Panels from left to right: what the columns are, label of the colour bar, colour map.
PANELS = (
    ("pairs", "share of the pair", "Purples"),
    ("targets", "effect (SD)", "RdBu_r"),
    ("stages", "mean score\n(SD)", "Greens"),
)


def modules(
    adata: AnnData,
    *,
    top_pairs: int | None = 30,
    top_targets: int | None = 20,
    key: str = _keys.RESULT,
    ax: Sequence[Axes] | None = None,
) -> NDArray[Any] | Axes:
    """Draw modules as rows of three heatmaps: their pairs, their targets and their stages.

    Colours show, from left to right: the share of a pair that belongs to the module, 0 to 1; the
    signed effect of all pairs of the module together, in standard deviations of the target; and the
    mean score over receiving cells, in standard deviations of the pairs' targets. Pairs are in the
    order of the module with their largest share, strongest first. Targets are in the order of the
    module that changes them most. Rows are named by number, strongest pair and strongest target
    (:func:`spatrace_sc.get.modules`).

    A dot marks a significant pair (q ≤ 0.1) in the modules that contain it; a row without a dot is
    a module without a significant pair, which needs a ``max_q`` above 0.1 in
    :func:`spatrace_sc.tl.modules`. Stages are slices if the inference got no ``stage_key``. Long
    names are shortened in the middle; the tables hold them in full. For maps of the cells use
    ``st.get.activity(adata, "modules")`` with scanpy or squidpy.

    Parameters
    ----------
    adata
        After :func:`spatrace_sc.tl.modules`.
    top_pairs, top_targets
        Columns to draw, the strongest first. None: all.
    key
        Name of the result.
    ax
        Three axes to draw in, from left to right. None: a new figure.

    Returns
    -------
    Array of the three Axes; the heatmap of each is ``images[0]``. One Axes with a text if there are
    no modules.

    Raises
    ------
    MissingKeyError
        ``adata`` has no such result, or no modules.
    InvalidArgumentError
        An argument is out of range, or ``ax`` does not have three axes.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata, sample_key="sample", stage_key="stage")
    >>> st.tl.modules(adata, max_q=1.0, n_modules=2)
    >>> axes = st.pl.modules(adata, top_pairs=10)
    >>> axes[0].images[0].get_array().shape
    (2, 10)
    """
    count(top_pairs, "top_pairs")
    count(top_targets, "top_targets")
    given = None if ax is None else np.ravel(np.array(ax, dtype=object))
    if given is not None and len(given) != len(PANELS):
        raise InvalidArgumentError(
            f"`ax` has {len(given)} axes, but there are 3 panels; give 3 axes or none."
        )
    names = get.modules(adata, "summary", key=key)["module"].astype(str).tolist()
    if not names:
        first = new_axes(None if given is None else given[0], 5.0, 2.0)
        return nothing_left(first, "There are no modules: no pair is significant")
    every = [_shares(adata, key), _effects(adata, key)]
    tables = [
        *(_wide(t, names, n) for t, n in zip(every, (top_pairs, top_targets), strict=True)),
        _by_stage(adata, names, key),
    ]
    axes = _panel_axes(tables) if given is None else given
    for panel, table, (noun, label, cmap) in zip(axes, tables, PANELS, strict=True):
        _draw(panel, table, noun, label, cmap)
    # labels come last: those of a panel take room from the others
    for panel, table in zip(axes, tables, strict=True):
        columns = [str(c) for c in table.columns] or None
        label_ticks(panel, x=columns, y=[str(r) for r in table.index] if panel is axes[0] else None)
    for panel, table, long, (noun, *_) in zip(axes, tables, every, PANELS, strict=False):
        n, total = table.shape[1], long["column"].nunique()
        panel.set_title(f"{'' if n == total else f'{n} of '}{total} {noun}", fontsize=10)
    stages = f"{stage_word(adata, key)}s" if tables[2].shape[1] > 1 else "all cells"
    axes[2].set_title(stages, fontsize=10)
    significant = _significant(adata, tables[0], key)
    if tables[0].size:
        dots(axes[0], (tables[0].to_numpy() > 0) & significant)
    axes[0].set_title(f"{axes[0].get_title()}\n{counted(significant)}", fontsize=10)
    return axes


def _significant(adata: AnnData, shares: pd.DataFrame, key: str) -> NDArray[np.bool_]:
    """Return which columns of the first panel are significant pairs."""
    pairs = get.lr_pairs(adata, key=key)
    return np.asarray(shares.columns.isin(edge_names(pairs[is_significant(pairs)])))


def _shares(adata: AnnData, key: str) -> pd.DataFrame:
    """Return ``module, column, value, size`` of pairs; the size is their score over all modules."""
    table = get.modules(adata, "lr_pairs", key=key)
    long = pd.DataFrame(
        {
            "module": table["module"].astype(str),
            "column": edge_names(table),
            "value": table["weight"],
        }
    )
    return long.assign(size=table["score"].groupby(long["column"]).transform("sum"))


def _effects(adata: AnnData, key: str) -> pd.DataFrame:
    """Return ``module, column, value, size`` of targets; the size is their largest effect."""
    table = get.modules(adata, "targets", key=key)
    long = pd.DataFrame(
        {
            "module": table["module"].astype(str),
            "column": table["target"].astype(str),
            "value": table["effect"],
        }
    )
    return long.assign(size=table["score"].groupby(long["column"]).transform("max"))


def _by_stage(adata: AnnData, names: list[str], key: str) -> pd.DataFrame:
    """Return modules × stages with the mean scores, in order of time."""
    table = get.modules(adata, "stages", key=key).astype({"module": str, "stage": str})
    scores = table.pivot(index="module", columns="stage", values="score")
    return scores.reindex(index=names, columns=list(dict.fromkeys(table["stage"])))


def _wide(long: pd.DataFrame, names: list[str], top_n: int | None) -> pd.DataFrame:
    """Return modules × the strongest columns.

    Columns are in the order of the module where their value is largest, strongest first.
    """
    ranked = long.drop_duplicates("column").sort_values("size", ascending=False, kind="stable")
    strongest = ranked["column"][:top_n]
    selected = long[long["column"].isin(strongest)]
    wide = selected.pivot(index="module", columns="column", values="value")
    wide = wide.reindex(index=names, columns=list(strongest)).fillna(0.0)
    module = np.abs(wide.to_numpy()).argmax(axis=0) if wide.size else np.empty(0, dtype=np.intp)
    return wide.iloc[:, np.argsort(module, kind="stable")]


def _panel_axes(tables: list[pd.DataFrame]) -> NDArray[Any]:
    """Return three new axes in a row, as wide as their tables."""
    import matplotlib.pyplot as plt

    widths = [COLUMN * max(table.shape[1], 3) for table in tables]
    height = max(label_width([str(c) for c in table.columns]) for table in tables)
    size = (
        sum(widths) + label_width(tables[0].index) + 3 * 0.35,
        ROW * max(len(tables[0]), 3) + height + 1.2,
    )
    grid = plt.subplots(1, 3, figsize=size, width_ratios=widths, layout="constrained")[1]
    return np.asarray(grid)


def _draw(ax: Axes, table: pd.DataFrame, noun: str, label: str, cmap: str) -> None:
    """Draw a heatmap with its colour bar below."""
    limits = _limits(table, noun)
    style: dict[str, Any] = {"vmin": limits[0], "vmax": limits[1], "cmap": cmap, "aspect": "auto"}
    if table.empty:
        nothing_left(ax, f"No {noun}")
        ax.imshow(np.zeros((len(table), 1)), **style)
        return
    image = ax.imshow(table.to_numpy(), **style)
    shrink = min(1.0, 9 / table.shape[1])
    bar = ax.figure.colorbar(image, ax=ax, location="bottom", shrink=shrink, aspect=12)
    bar.set_label(label, fontsize=8)
    bar.ax.tick_params(labelsize=7)
    bar.ax.locator_params(nbins=3)
    ax.tick_params(length=0)
    ax.set_yticks([])


def _limits(table: pd.DataFrame, noun: str) -> tuple[float, float]:
    """Return the values at the ends of the colours: 0 to 1 for shares, symmetric for effects."""
    if noun == "pairs":
        return 0.0, 1.0
    if noun == "stages":
        return 0.0, float(table.to_numpy().max(initial=0.0)) or 1.0
    largest = float(np.abs(table.to_numpy()).max(initial=0.0)) or 1.0
    return -largest, largest
