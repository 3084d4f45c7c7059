"""Regulators against targets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys, get
from ._shared import ARROW, count, draw_matrix, label_width, new_axes, nothing_left, one_of
from ._significance import at_stage, counted, hollow, is_supported, up_to

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Table and name of the regulators.
KINDS = {"lr": ("lr_targets", "ligand–receptor pair"), "tf": ("tf_targets", "TF")}


def effect_heatmap(
    adata: AnnData,
    kind: str = "lr",
    *,
    top_regulators: int | None = 20,
    top_targets: int | None = 30,
    max_q: float | None = None,
    stage: str | None = None,
    key: str = _keys.RESULT,
    cmap: str = "RdBu_r",
    ax: Axes | None = None,
) -> Axes:
    """Signed effects of the strongest regulators on the targets they change most.

    Regulators are ranked by the Euclidean norm of their effects on all targets, targets by the norm of the effects of the drawn regulators. Rows and columns that resemble
    each other (cosine, average linkage) are put side by side. Fields of effects with q > 0.1 are hollow: a ranking, no findings. A line under the title says how many are supported.

    Parameters
    ----------
    adata
        With a result of :func:`spatrace_sc.tl.infer_ccc`.
    kind
        ``"lr"``: ligand–receptor pairs, from :func:`spatrace_sc.get.lr_targets`. ``"tf"``: TFs, from :func:`spatrace_sc.get.tf_targets`.
    top_regulators, top_targets
        Rows and columns to draw. None: all that have an effect.
    max_q
        Only effects with at most this q. None: all.
    stage
        None: the whole data set. A stage: effects there; q stays that of the whole.
    key
        Name of the result.
    cmap
        Diverging colour map; its middle is no effect.
    ax
        Axes to draw in. None: a new figure.

    Returns
    -------
    The Axes; the heatmap is ``ax.images[0]``.

    Raises
    ------
    MissingKeyError, InvalidArgumentError

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata, sample_key="sample", stage_key="stage")
    >>> ax = st.pl.effect_heatmap(adata, "tf", top_regulators=5, top_targets=10)
    >>> ax.images[0].get_array().shape
    (5, 10)
    """
    one_of(kind, KINDS, "kind")
    count(top_regulators, "top_regulators")
    count(top_targets, "top_targets")
    reader, regulator = KINDS[kind]
    table = getattr(get, reader)(adata, stage, key=key)
    table, within = up_to(table[table["score"].to_numpy() > 0], max_q)
    where = within + at_stage(adata, stage, key)
    effects = _prepare(table, regulator, top_regulators, top_targets)
    n, m = effects.shape
    wide, high = label_width(effects.index), label_width(effects.columns)
    ax = new_axes(ax, 1.9 + wide + 0.19 * max(m, 12), 1.2 + high + 0.19 * max(n, 8))
    if effects.empty:
        return nothing_left(ax, f"No {regulator} has an effect{where}")
    limit = float(np.abs(effects.to_numpy()).max())
    drawn = effects.to_numpy() != 0
    supported = _pivot(_edges(table[is_supported(table)])).reindex_like(effects).notna().to_numpy()
    image = draw_matrix(
        ax,
        effects,
        limits=(-limit, limit),
        cmap=cmap,
        label=f"effect (SD of the target\nper SD of the {'pair' if kind == 'lr' else 'TF'})",
        title=f"{n} strongest {regulator}s, {m} of {table['target'].nunique()} targets{where}\n"
        + counted(supported[drawn], "effects"),
    )
    hollow(ax, drawn & ~supported, image.cmap(0.5))
    return ax


def _prepare(
    table: pd.DataFrame, name: str, top_regulators: int | None, top_targets: int | None
) -> pd.DataFrame:
    """Regulators × targets, the strongest, in the order of the clustering."""
    edges = _edges(table)
    edges = edges[edges["regulator"].isin(_strongest(edges, "regulator", top_regulators))]
    edges = edges[edges["target"].isin(_strongest(edges, "target", top_targets))]
    if edges.empty:
        return pd.DataFrame()
    wide = _pivot(edges).fillna(0.0).rename_axis(index=name)
    values = wide.to_numpy(dtype=np.float64)
    return wide.iloc[_leaves(values), _leaves(values.T)]


def _edges(table: pd.DataFrame) -> pd.DataFrame:
    """Table ``regulator, target, effect``."""
    if "tf" in table:
        regulator = table["tf"].astype(str)
    else:
        regulator = table["ligand"].astype(str) + ARROW + table["receptor"].astype(str)
    return pd.DataFrame(
        {"regulator": regulator, "target": table["target"].astype(str), "effect": table["effect"]}
    )


def _pivot(edges: pd.DataFrame) -> pd.DataFrame:
    return edges.pivot(index="regulator", columns="target", values="effect")


def _strongest(edges: pd.DataFrame, column: str, n: int | None) -> list[str]:
    norm = (
        (edges["effect"] ** 2)
        .groupby(edges[column])
        .sum()
        .sort_values(ascending=False, kind="stable")
    )
    return list(norm.index[:n])


def _leaves(rows: NDArray[np.float64]) -> NDArray[np.intp]:
    """Order in which rows that point the same way are neighbours. No row is 0."""
    from scipy.cluster.hierarchy import leaves_list, linkage

    if len(rows) < 3:
        return np.arange(len(rows))
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    order: NDArray[np.intp] = leaves_list(
        linkage(unit, method="average", optimal_ordering=len(rows) <= 200)
    )
    return order.astype(np.intp)
