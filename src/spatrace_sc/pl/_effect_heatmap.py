"""Effects of regulators on targets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys, get
from .._check import count
from .._edges import EDGE_KINDS, TARGET_KINDS, public_word
from ._drawing.axes import draw_matrix, label_width, new_axes, nothing_left
from ._drawing.labels import ACTIVITY_LABELS, EDGE_LABELS, edge_names
from ._drawing.significance import at_stage, counted, dots, is_significant, up_to

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Largest number of rows or columns whose clustering is ordered optimally.
MAX_ROWS_ORDERED = 200


def effect_heatmap(
    adata: AnnData,
    kind: str = "lr_targets",
    *,
    top_regulators: int | None = 20,
    top_targets: int | None = 30,
    max_q: float | None = None,
    stage: str | None = None,
    key: str = _keys.RESULT,
    cmap: str = "RdBu_r",
    ax: Axes | None = None,
) -> Axes:
    """Draw a heatmap of the signed effects of the strongest regulators on their main targets.

    Regulators are ranked by the Euclidean norm of their effects on all targets, and targets by the
    norm of the effects of the drawn regulators. Similar rows and columns are adjacent (cosine
    distance, average linkage). A dot marks an effect that is significant (q ≤ 0.1); the others rank
    regulators, but are not findings. A line under the title counts the significant effects,
    and another those that are ranked by co-variation only.

    Parameters
    ----------
    adata
        With a result of :func:`spatrace_sc.tl.infer_ccc`.
    kind
        ``"lr_targets"``: ligand–receptor pairs, from :func:`spatrace_sc.get.lr_targets`.
        ``"tf_targets"``: TFs, from :func:`spatrace_sc.get.tf_targets`.
    top_regulators, top_targets
        Rows and columns to draw. None: all that have an effect.
    max_q
        Only effects with at most this q. None: all.
    stage
        None: the whole data set. A stage: effects there, with the q of the whole data set.
    key
        Name of the result.
    cmap
        Diverging colour map; its middle means no effect.
    ax
        Axes to draw in. None: a new figure.

    Returns
    -------
    The Axes; the heatmap is ``ax.images[0]``.

    Raises
    ------
    MissingKeyError
        ``adata`` has no such result.
    InvalidArgumentError
        An argument is out of range, or the result has no such stage.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata, sample_key="sample", stage_key="stage")
    >>> ax = st.pl.effect_heatmap(adata, "tf_targets", top_regulators=5, top_targets=10)
    >>> ax.images[0].get_array().shape
    (5, 10)
    """
    edge_kind = EDGE_KINDS[public_word(kind, [k.name for k in TARGET_KINDS])]
    count(top_regulators, "top_regulators")
    count(top_targets, "top_targets")
    table = getattr(get, edge_kind.name)(adata, stage, key=key)
    table, limit = up_to(table[table["score"].to_numpy() > 0], max_q)
    suffix = limit + at_stage(adata, stage, key)
    edges = table.assign(regulator=edge_names(table, edge_kind.source))
    edges = edges.astype({"target": str})
    regulators = ACTIVITY_LABELS["lr_pairs" if edge_kind.of_pairs else "tfs"]
    effects = _prepare(edges, top_regulators, top_targets).rename_axis(index=regulators.noun)
    n, m = effects.shape
    width, height = label_width(effects.index), label_width(effects.columns)
    ax = new_axes(ax, 1.9 + width + 0.19 * max(m, 12), 1.2 + height + 0.19 * max(n, 8))
    if effects.empty:
        return nothing_left(ax, f"No {regulators.noun} has an effect{suffix}")
    drawn = effects.to_numpy() != 0
    significant = _where(effects, edges[is_significant(edges)])
    covaries = drawn & _where(effects, edges[edges["evidence"].astype(str) == "co-variation"])
    limit_of_colours = float(np.abs(effects.to_numpy()).max())
    title = f"{n} strongest {regulators.plural}, {m} of {table['target'].nunique()} targets{suffix}"
    draw_matrix(
        ax,
        effects,
        limits=(-limit_of_colours, limit_of_colours),
        cmap=cmap,
        label=EDGE_LABELS[edge_kind.name].axis.replace(" per", "\nper"),
        title=f"{title}\n{counted(significant[drawn], 'effects')}{_covariation_line(covaries)}",
    )
    dots(ax, drawn & significant)
    return ax


def _where(effects: pd.DataFrame, edges: pd.DataFrame) -> NDArray[np.bool_]:
    """Return regulators × targets: where one of these edges is."""
    fields: NDArray[np.bool_] = _pivot(edges).reindex_like(effects).notna().to_numpy()
    return fields


def _covariation_line(covaries: NDArray[np.bool_]) -> str:
    """Return the line that counts the effects ranked by co-variation only; nothing without any."""
    n = int(covaries.sum())
    return f"\n{n} ranked by co-variation only" if n else ""


def _prepare(
    edges: pd.DataFrame, top_regulators: int | None, top_targets: int | None
) -> pd.DataFrame:
    """Return the strongest regulators × targets of ``regulator, target, effect``, clustered."""
    edges = edges[edges["regulator"].isin(_strongest(edges, "regulator", top_regulators))]
    edges = edges[edges["target"].isin(_strongest(edges, "target", top_targets))]
    if edges.empty:
        return pd.DataFrame()
    effects = _pivot(edges).fillna(0.0)
    values = effects.to_numpy(dtype=np.float64)
    return effects.iloc[_leaves(values), _leaves(values.T)]


def _pivot(edges: pd.DataFrame) -> pd.DataFrame:
    """Return regulators × targets with the effects; NaN where there is none."""
    return edges.pivot(index="regulator", columns="target", values="effect")


def _strongest(edges: pd.DataFrame, column: str, n: int | None) -> list[str]:
    """Return the names in a column whose effects have the largest norms."""
    squares = (edges["effect"] ** 2).groupby(edges[column]).sum()
    return list(squares.sort_values(ascending=False, kind="stable").index[:n])


def _leaves(rows: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return an order in which rows with similar directions are neighbours. No row may be 0."""
    from scipy.cluster.hierarchy import leaves_list, linkage

    if len(rows) < 3:
        return np.arange(len(rows))
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    tree = linkage(unit, method="average", optimal_ordering=len(rows) <= MAX_ROWS_ORDERED)
    order: NDArray[np.intp] = leaves_list(tree).astype(np.intp)
    return order
