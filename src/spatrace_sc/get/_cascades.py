"""Pairs, TFs and the paths through them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from .. import _keys
from .._errors import MissingKeyError
from .._validate import stored


def lr_tfs(adata: AnnData, *, key: str = _keys.RESULT) -> pd.DataFrame:
    """Which ligand–receptor pair changes which TF.

    Parameters
    ----------
    adata
        With a result of :func:`spatrace_sc.tl.infer_ccc`.
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
        table[column] = np.asarray(result["genes"][role], dtype=object)[table[column].to_numpy(dtype=np.intp)]
    return table.sort_values("score", ascending=False, kind="stable", ignore_index=True)[_keys.LR_TFS]


def cascades(adata: AnnData, *, key: str = _keys.RESULT) -> pd.DataFrame:
    """Paths ligand → receptor → TF → target.

    Parameters
    ----------
    adata
        After :func:`spatrace_sc.tl.cascades`.
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
        raise MissingKeyError(f"`adata.uns[{key!r}]` has no cascades; call `st.tl.cascades(adata, key={key!r})` first.")
    return result["cascades"][_keys.CASCADES].copy()
