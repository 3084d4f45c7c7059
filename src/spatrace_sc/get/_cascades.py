"""Pairs, TFs and the paths through them."""

from __future__ import annotations

import pandas as pd
from anndata import AnnData

from .. import _keys
from .._edges import LR_TFS
from .._result import Result


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
    result = Result.read(adata, key)
    table = result.table(LR_TFS).assign(score=lambda t: t["effect"].abs())
    table = _at_stage(table, result, stage, ["effect", "score"], by_name=False)
    table = result.genes.with_names(table, LR_TFS.columns)
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
    result = Result.read(adata, key)
    table = _at_stage(
        result.cascades,
        result,
        stage,
        ["effect", "score", "pair_on_tf", "direct_effect"],
        by_name=True,
    )
    return table.sort_values("score", ascending=False, kind="stable", ignore_index=True)[
        _keys.CASCADES
    ]


def _at_stage(
    table: pd.DataFrame, result: Result, stage: str | None, columns: list[str], *, by_name: bool
) -> pd.DataFrame:
    """Return the table with columns times the factor of each row's pair in a stage.

    Pairs that are not listed have the factor 1.
    """
    if stage is None:
        return table.copy()
    genes = result.genes
    factor, _ = result.stage_factor(stage, pairs=True)
    pair = genes.pair_of_names(table) if by_name else genes.pair_of_rows(table)
    return table.assign(**{column: table[column].to_numpy() * factor[pair] for column in columns})
