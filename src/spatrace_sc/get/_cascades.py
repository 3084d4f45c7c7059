"""Pairs, TFs and the paths through them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys
from .._errors import MissingKeyError
from .._result import stored
from ._tables import _factor


def lr_tfs(adata: AnnData, stage: str | None = None, *, key: str = _keys.RESULT) -> pd.DataFrame:
    """Which ligand–receptor pair changes which TF.

    Parameters
    ----------
    adata
        With a result of :func:`spatrace_sc.tl.infer_ccc`.
    stage
        None: the whole data set. A stage: effects times how strong the pair's signal there is relative to its mean, as in :func:`lr_targets`. q stays that of the whole.
    key
        Name of the result.

    Returns
    -------
    Table ``ligand, receptor, tf, effect, score, q_value``, strongest first, of every effect that is not 0. ``effect`` is signed, in standard deviations of the TF's noise-free level per standard deviation of the
    pair's signal; ``score`` its size. q is that of the effects of pairs on targets and on TFs together, against decoy genes.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata)
    >>> list(st.get.lr_tfs(adata).columns)
    ['ligand', 'receptor', 'tf', 'effect', 'score', 'q_value']
    """
    result = stored(adata, key)
    table = result["lr_tfs"].assign(score=lambda t: t["effect"].abs())
    for column, role in (("ligand", "ligands"), ("receptor", "receptors"), ("tf", "tfs")):
        table[column] = np.asarray(result["genes"][role], dtype=object)[
            table[column].to_numpy(dtype=np.intp)
        ]
    table = _at_stage(table, result, stage, ["effect", "score"])
    return table.sort_values("score", ascending=False, kind="stable", ignore_index=True)[
        _keys.LR_TFS
    ]


def cascades(adata: AnnData, stage: str | None = None, *, key: str = _keys.RESULT) -> pd.DataFrame:
    """Paths ligand → receptor → TF → target.

    Parameters
    ----------
    adata
        After :func:`spatrace_sc.tl.cascades`.
    stage
        None: the whole data set. A stage: ``effect``, ``score``, ``pair_on_tf`` and ``direct_effect`` times how strong the pair's signal there is relative to its mean; the rest stays that of the whole.
    key
        Name of the result.

    Returns
    -------
    Table, strongest first:

    - ``ligand, receptor, tf, target``
    - ``effect``: of the path, signed, the product of ``pair_on_tf`` and ``tf_on_target``, in standard deviations of the target per standard deviation of the signal; ``score`` its size.
    - ``q_value``: the larger of those of its two steps.
    - ``direct_effect``: what the pair does to the target beside all measured TFs; ``direct_share``: its size over its size plus that of all paths of the pair to the target together.

    Raises
    ------
    MissingKeyError
        Before :func:`spatrace_sc.tl.cascades`.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata)
    >>> st.tl.cascades(adata)
    >>> list(st.get.cascades(adata).columns)[-2:]
    ['direct_effect', 'direct_share']
    """
    result = stored(adata, key)
    if "cascades" not in result:
        raise MissingKeyError(
            f"`adata.uns[{key!r}]` has no cascades; call `st.tl.cascades(adata, key={key!r})` first."
        )
    table = _at_stage(
        result["cascades"], result, stage, ["effect", "score", "pair_on_tf", "direct_effect"]
    )
    return table.sort_values("score", ascending=False, kind="stable", ignore_index=True)[
        _keys.CASCADES
    ]


def _at_stage(
    table: pd.DataFrame, result: dict[str, Any], stage: str | None, columns: list[str]
) -> pd.DataFrame:
    """Columns times the factor of the row's pair in a stage; pairs that are not listed have factor 1."""
    if stage is None:
        return table.copy()
    factor: NDArray[np.float64] = _factor(result, stage, "pair")[0]
    pairs, genes = result["lr_pairs"], result["genes"]
    names = (
        np.asarray(genes[r], dtype=object)[pairs[r[:-1]].to_numpy(dtype=np.intp)]
        for r in ("ligands", "receptors")
    )
    known = pd.Series(
        factor, index=pd.MultiIndex.from_arrays([n.astype(str) for n in names]), dtype=float
    )
    mine = pd.MultiIndex.from_frame(table[["ligand", "receptor"]].astype(str))
    scale = known.reindex(mine).fillna(1.0).to_numpy()
    return table.assign(**{c: table[c].to_numpy() * scale for c in columns})
