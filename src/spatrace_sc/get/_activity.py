"""Per-cell results as AnnData."""

from __future__ import annotations

import numpy as np
from anndata import AnnData

from .. import _keys
from .._validate import stored


def activity(adata: AnnData, *, key: str = _keys.RESULT) -> AnnData:
    """Activity of the strongest pairs in every cell.

    Activity is the pair's signal in the cell (attended exposure × receptor, saturating, times the cell's gate) in standard deviations, times the pair's score: about how far,
    in standard deviations, the pair moves its targets in this cell. 0 where the ligand or the receptor is absent.

    Parameters
    ----------
    adata
        With a result of :func:`spatrace_sc.tl.infer_ccc`.
    key
        Name of the result.

    Returns
    -------
    AnnData, cells × pairs, named ``ligand^receptor``, strongest first, with the cells' ``obs`` and ``obsm``, and ``var`` columns ``ligand``, ``receptor``, ``score``. NaN in cells that
    do not receive. Every scanpy and squidpy plot works on it.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata)
    >>> st.get.activity(adata).n_obs
    600
    """
    result = stored(adata, key)
    pairs = result["activity_pairs"].astype({"ligand": str, "receptor": str}).reset_index(drop=True)
    pairs.index = (pairs["ligand"] + "^" + pairs["receptor"]).to_numpy()
    values = np.asarray(adata.obsm[result["obsm"]], dtype=np.float32)
    slots = {k: v for k, v in adata.obsm.items() if k != result["obsm"]}
    return AnnData(X=values.copy(), obs=adata.obs.copy(), var=pairs, obsm=slots)
