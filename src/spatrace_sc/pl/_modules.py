"""Signaling modules at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys, get
from .._errors import InvalidArgumentError
from ._shared import ARROW, count, label_ticks, label_width, new_axes, nothing_left
from ._significance import counted, hollow, is_supported, stage_word

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Inches of a column and of a row.
COLUMN, ROW = 0.24, 0.34
#: Colours of the three panels: share, sign, amount.
SHARES, SIGNS, AMOUNTS = "Purples", "RdBu_r", "Greens"


def modules(
    adata: AnnData,
    *,
    top_pairs: int | None = 30,
    top_targets: int | None = 20,
    key: str = _keys.RESULT,
    ax: Sequence[Axes] | None = None,
) -> NDArray[Any] | Axes:
    """Modules as rows of three heatmaps: which pairs they are made of, which targets they change, and how strong they are in each stage.

    Pairs stand in the order of the module that has most of them, strongest first; so do targets, by the module that changes them most. Colours: share of a pair that belongs to the module, 0–1; signed effect of all pairs of the module together, in standard
    deviations of the target; mean score over receiving cells, in standard deviations of the pairs' targets. Rows are named by number, strongest pair and strongest target (:func:`spatrace_sc.get.modules`).

    Pairs with q > 0.1 are hollow, and so are targets and stages of modules in which no pair is supported; that needs a ``max_q`` above 0.1 in :func:`spatrace_sc.tl.modules`. Stages are slices where the inference was told no ``stage_key``. For maps of the cells use ``st.get.activity(adata, "modules")`` with scanpy or squidpy.

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
    Array of the three Axes; the heatmap of each is ``images[0]``. One Axes with a text where there are no modules.

    Raises
    ------
    MissingKeyError, InvalidArgumentError

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
    if ax is not None and len(np.ravel(np.array(ax, dtype=object))) != 3:
        raise InvalidArgumentError(
            f"`ax` has {len(np.ravel(np.array(ax, dtype=object)))} axes, but there are 3 panels; give 3 axes or none."
        )
    names = get.modules(adata, "summary", key=key)["module"].astype(str).tolist()
    if not names:
        first = None if ax is None else np.ravel(np.array(ax, dtype=object))[0]
        return nothing_left(
            new_axes(first, 5.0, 2.0), "There are no modules: no pair was supported"
        )
    pairs, targets, stages = _prepare(adata, names, top_pairs, top_targets, key)
    supported = _supported(adata, pairs, key)
    holes = (pairs.to_numpy() > 0) & ~supported
    empty = ~((pairs.to_numpy() > 0) & supported).any(axis=1, keepdims=True)
    axes = _grid(ax, [pairs, targets, stages])
    largest = float(np.abs(targets.to_numpy()).max(initial=0.0)) or 1.0
    strongest = float(stages.to_numpy().max(initial=0.0)) or 1.0
    _draw(axes[0], pairs, (0.0, 1.0), SHARES, "share of the pair")
    _draw(axes[1], targets, (-largest, largest), SIGNS, "effect (SD)")
    _draw(axes[2], stages, (0.0, strongest), AMOUNTS, "mean score (SD)")
    for panel, fields in zip(
        axes,
        (holes, empty & (targets.to_numpy() != 0), empty & (stages.to_numpy() > 0)),
        strict=True,
    ):
        image = panel.images[0]
        hollow(panel, fields, image.cmap(image.norm(0.0)))
    for panel in axes[1:]:
        panel.set_yticklabels([])
    every = (
        _size(adata, "pairs", ["ligand", "receptor"], key),
        _size(adata, "targets", ["target"], key),
    )
    for panel, what, shown, n in zip(
        axes[:2], ("pairs", "targets"), (pairs, targets), every, strict=True
    ):
        panel.set_title(
            f"{n} {what}" if shown.shape[1] == n else f"{shown.shape[1]} of {n} {what}", fontsize=10
        )
    word = f"{stage_word(adata, key)}s"
    axes[2].set_title(word if stages.shape[1] > 1 else "all cells", fontsize=10)
    axes[0].set_title(f"{axes[0].get_title()}\n{counted(supported)}", fontsize=10)
    return axes


def _supported(adata: AnnData, pairs: pd.DataFrame, key: str) -> NDArray[np.bool_]:
    """Which columns are pairs with a small enough q."""
    table = get.lr_pairs(adata, key=key)
    known = table[is_supported(table)]
    return np.asarray(
        pairs.columns.isin(known["ligand"].astype(str) + ARROW + known["receptor"].astype(str))
    )


def _size(adata: AnnData, kind: str, columns: list[str], key: str) -> int:
    return len(get.modules(adata, kind, key=key)[columns].drop_duplicates())


def _prepare(
    adata: AnnData, names: list[str], top_pairs: int | None, top_targets: int | None, key: str
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Modules × pairs, × targets and × stages."""
    table = get.modules(adata, "pairs", key=key)
    pair = table["ligand"].astype(str) + ARROW + table["receptor"].astype(str)
    pairs = pd.DataFrame(
        {"module": table["module"].astype(str), "column": pair, "value": table["weight"]}
    )
    pairs["size"] = table["score"].groupby(pair).transform("sum")
    table = get.modules(adata, "targets", key=key)
    targets = pd.DataFrame(
        {"module": table["module"], "column": table["target"], "value": table["effect"]}
    ).astype({"module": str, "column": str})
    targets["size"] = table["score"].groupby(targets["column"]).transform("max")
    table = get.modules(adata, "stages", key=key).astype({"module": str, "stage": str})
    order = list(dict.fromkeys(table["stage"]))
    stages = table.pivot(index="module", columns="stage", values="score").reindex(
        index=names, columns=order
    )
    return _wide(pairs, names, top_pairs), _wide(targets, names, top_targets), stages


def _wide(long: pd.DataFrame, names: list[str], top_n: int | None) -> pd.DataFrame:
    """Modules × the strongest columns, these in the order of the module where their value is largest, strongest first."""
    strongest = long.drop_duplicates("column").sort_values("size", ascending=False, kind="stable")[
        "column"
    ][:top_n]
    wide = long[long["column"].isin(strongest)].pivot(
        index="module", columns="column", values="value"
    )
    wide = wide.reindex(index=names, columns=list(strongest)).fillna(0.0)
    place = np.abs(wide.to_numpy()).argmax(axis=0) if wide.size else np.empty(0, dtype=np.intp)
    return wide.iloc[:, np.argsort(place, kind="stable")]


def _grid(ax: Sequence[Axes] | None, tables: list[pd.DataFrame]) -> NDArray[Any]:
    """The given axes or three new ones in a row, as wide as their tables."""
    if ax is not None:
        return np.ravel(np.array(ax, dtype=object))
    import matplotlib.pyplot as plt

    width = [COLUMN * max(table.shape[1], 3) for table in tables]
    high = max(label_width([str(c) for c in table.columns]) for table in tables)
    size = (
        sum(width) + label_width(tables[0].index) + 3 * 0.35,
        ROW * max(len(tables[0]), 3) + high + 1.2,
    )
    return np.asarray(plt.subplots(1, 3, figsize=size, width_ratios=width, layout="constrained")[1])


def _draw(
    ax: Axes, table: pd.DataFrame, limits: tuple[float, float], cmap: str, label: str
) -> None:
    """A heatmap with its colour bar beneath."""
    if table.empty:
        nothing_left(ax, "none")
        ax.imshow(
            np.zeros((len(table), 1)), vmin=limits[0], vmax=limits[1], cmap=cmap, aspect="auto"
        )
        return
    image = ax.imshow(table.to_numpy(), vmin=limits[0], vmax=limits[1], cmap=cmap, aspect="auto")
    bar = ax.figure.colorbar(
        image, ax=ax, location="bottom", shrink=min(1.0, 9 / table.shape[1]), aspect=12
    )
    bar.set_label(label, fontsize=8)
    bar.ax.tick_params(labelsize=7)
    bar.ax.locator_params(nbins=3)
    ax.tick_params(length=0)
    label_ticks(ax, x=[str(c) for c in table.columns], y=[str(r) for r in table.index])
