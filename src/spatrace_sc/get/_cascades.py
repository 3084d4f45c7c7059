"""Effects of pairs on TFs, and paths through TFs."""

from __future__ import annotations

import pandas as pd
from anndata import AnnData

from .. import _keys
from .._edges import LR_TFS
from .._result import Result


def lr_tfs(adata: AnnData, stage: str | None = None, *, key: str = _keys.RESULT) -> pd.DataFrame:
    """Return the effects of ligand–receptor pairs on TFs, strongest first.

    Parameters
    ----------
    adata
        With a result of :func:`spatrace_sc.tl.infer_ccc`.
    stage
        None: the full data set. A stage: effects are multiplied by the mean signal of the pair
        in the stage relative to its mean over all receivers, as in :func:`lr_targets`. q remains
        that of the full data set.
    key
        Name of the result.

    Returns
    -------
    Table with one row per non-zero effect:

    - ``ligand``, ``receptor``, ``tf``: names of the genes.
    - ``effect``: change of the TF's level, in standard deviations of its level without count
      noise, per standard deviation of the pair's signal. Signed.
    - ``score``: absolute value of ``effect``.
    - ``q_value``: estimated false discovery rate at this rank, against decoy genes. It is
      computed over the effects of pairs on targets and on TFs together.

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
    """Return the paths ligand → receptor → TF → target, strongest first.

    Parameters
    ----------
    adata
        With the paths of :func:`spatrace_sc.tl.cascades`.
    stage
        None: the full data set. A stage: ``effect``, ``score``, ``pair_on_tf`` and
        ``direct_effect`` are multiplied by the mean signal of the pair in the stage relative to
        its mean over all receivers. Other columns remain those of the full data set.
    key
        Name of the result.

    Returns
    -------
    Table with one row per path:

    - ``ligand``, ``receptor``, ``tf``, ``target``: names of the genes.
    - ``effect``: effect of the path, the product of ``pair_on_tf`` and ``tf_on_target``. Signed,
      in standard deviations of the target per standard deviation of the signal.
    - ``score``: absolute value of ``effect``.
    - ``pair_on_tf``, ``tf_on_target``: effects of the two steps.
    - ``q_value``: the larger q of the two steps.
    - ``direct_effect``: effect of the pair on the target that bypasses all measured TFs.
    - ``direct_share``: abs(direct effect) relative to the sum of abs(direct effect) and abs(sum
      of all paths of the pair to the target).

    Raises
    ------
    MissingKeyError
        If :func:`spatrace_sc.tl.cascades` has not been called.

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
        result.derived_table("cascades", "st.tl.cascades(adata, "),
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
    """Multiply columns by the stage factor of each row's pair.

    Pairs that are not listed have the factor 1.
    """
    if stage is None:
        return table.copy()
    genes = result.genes
    factor, _ = result.stage_factor(stage, pairs=True)
    pair = genes.pair_of_names(table) if by_name else genes.pair_of_rows(table)
    return table.assign(**{column: table[column].to_numpy() * factor[pair] for column in columns})
