"""Join pair → TF and TF → target edges to signalling paths."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from anndata import AnnData

from .. import _keys, get
from .._check import share_of_one, whole
from .._core.cascades import Steps, join
from .._data.table import as_table, check_copy
from .._result import Result, add_cascades

if TYPE_CHECKING:
    from spatialdata import SpatialData

logger = logging.getLogger("spatrace_sc")

#: Added to the message where TF → target edges were not tested.
NOISE_UNKNOWN = (
    " The count noise of these data is unknown, so every TF → target edge has q = 1; infer from "
    "log1p of normalised counts."
)


def cascades(
    data: AnnData | SpatialData,
    *,
    max_q: float = 0.1,
    max_paths: int = 100_000,
    key: str = _keys.RESULT,
    table_key: str = _keys.TABLE,
    copy: bool = False,
) -> AnnData | None:
    """Join ligand → receptor → TF edges with TF → target edges to paths.

    The effect of a path is the product of its two steps::

        path[lr, f, g] = M[lr, f] * W[f, g]

    ``M`` is the effect of the pair on the TF, ``W`` the effect of the TF on the target. Both are
    signed, in standard deviations per standard deviation. A pair that raises a repressor of the
    target therefore lowers the target.

    A path is listed if both of its steps have ``q_value`` ≤ ``max_q``. Chains of several TFs are
    not joined: if a TF acts through another one, each has its own paths.

    Parameters
    ----------
    data
        AnnData, or SpatialData with ``table_key``, with a result of
        :func:`spatrace_sc.tl.infer_ccc`.
    max_q
        Largest q of either step, above 0 and at most 1. A path needs both steps, so its false
        discovery rate can be twice as large.
    max_paths
        Largest number of paths; the strongest are listed. The log says if there are more.
    key
        Name of the result.
    table_key
        Table of a SpatialData.
    copy
        Return an annotated copy instead of changing the data.

    Returns
    -------
    None, or with ``copy=True`` an AnnData. Writes ``uns[key]["cascades"]``; read it with
    :func:`spatrace_sc.get.cascades`.

    Raises
    ------
    MissingKeyError, InvalidArgumentError
        If there is no result under ``key``, or an argument is invalid.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata)
    >>> st.tl.cascades(adata, max_q=1.0)
    >>> list(st.get.cascades(adata).columns)[:4]
    ['ligand', 'receptor', 'tf', 'target']
    """
    adata = as_table(data, table_key)
    check_copy(adata, copy)
    share_of_one(max_q, "max_q")
    whole(max_paths, "max_paths", low=1)
    first, second = get.lr_tfs(adata, key=key), get.tf_targets(adata, key=key)
    first, second = (
        first[first["q_value"] <= max_q],
        second[(second["q_value"] <= max_q) & (second["score"] > 0)],
    )
    table = _paths(
        first.reset_index(drop=True), second.reset_index(drop=True), get.lr_targets(adata, key=key)
    )
    if len(table) > max_paths:
        logger.info("%d paths; the strongest %d are listed (`max_paths`).", len(table), max_paths)
    elif not len(table):
        logger.info(
            "No path: no TF has both a pair → TF and a TF → target edge with q ≤ %g.%s",
            max_q,
            "" if Result.read(adata, key, of_cells=None).noise_known else NOISE_UNKNOWN,
        )
    if copy:
        adata = adata.copy()
    add_cascades(adata, key, table.head(max_paths).copy())
    return adata if copy else None


def _paths(first: pd.DataFrame, second: pd.DataFrame, direct: pd.DataFrame) -> pd.DataFrame:
    """Return every path, strongest first, with its steps and the direct effect of its pair."""
    names = pd.Index(np.union1d(first["tf"].astype(str), second["tf"].astype(str)))
    one, two = (names.get_indexer(t["tf"]) for t in (first, second))
    paths = join(
        Steps(np.arange(len(first)), one, first["effect"].to_numpy()),
        Steps(two, np.arange(len(second)), second["effect"].to_numpy()),
    )
    begin, end = (
        first.iloc[paths.first].reset_index(drop=True),
        second.iloc[paths.second].reset_index(drop=True),
    )
    table = begin[["ligand", "receptor", "tf"]].assign(
        target=end["target"],
        effect=paths.effect,
        score=np.abs(paths.effect),
        pair_on_tf=begin["effect"],
        tf_on_target=end["effect"],
        q_value=np.maximum(begin["q_value"], end["q_value"]),
    )
    keys = ["ligand", "receptor", "target"]
    known = direct[[*keys, "effect"]].rename(columns={"effect": "direct_effect"})
    table = table.merge(known, on=keys, how="left").fillna({"direct_effect": 0.0})
    together = table["direct_effect"].abs() + table.groupby(keys)["effect"].transform("sum").abs()
    table["direct_share"] = table["direct_effect"].abs() / together.where(together > 0, 1.0)
    return table.sort_values("score", ascending=False, kind="stable", ignore_index=True)[
        _keys.CASCADES
    ]
