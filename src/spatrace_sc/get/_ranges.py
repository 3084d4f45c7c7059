"""How far each ligand reaches."""

from __future__ import annotations

import pandas as pd
from anndata import AnnData

from .. import _keys
from .._check import flag
from .._result import Result


def ranges(adata: AnnData, *, profile: bool = False, key: str = _keys.RESULT) -> pd.DataFrame:
    """Return the range of every ligand, or the likelihood at every radius.

    Parameters
    ----------
    adata
        With the ranges of :func:`spatrace_sc.tl.ranges`.
    profile
        Return the likelihood at every radius instead.
    key
        Name of the result.

    Returns
    -------
    One row per ligand:

    - ``ligand``, ``n_edges``: name, and number of edges used.
    - ``radius``: preferred radius, in the units of the coordinates.
    - ``low``, ``high``: 95 % interval over bootstrap samples of spatial blocks.
    - ``determined``: False if the interval contains every radius, or if no radius predicts targets
      in held-out blocks.

    With ``profile=True`` one row per ligand and ``radius``: ``log_likelihood`` in held-out blocks,
    relative to no signal, and ``preferred``, the share of the draws in which the radius is best.

    Raises
    ------
    MissingKeyError
        If :func:`spatrace_sc.tl.ranges` has not been called.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata, sample_key="sample", stage_key="stage")
    >>> st.tl.ranges(adata, max_q=1.0)
    >>> list(st.get.ranges(adata, profile=True).columns)
    ['ligand', 'radius', 'log_likelihood', 'preferred']
    """
    flag(profile, "profile")
    name = "range_profile" if profile else "ranges"
    result = Result.read(adata, key)
    table = result.derived_table(name, "st.tl.ranges(adata, ").reset_index(drop=True)
    return table.astype({"ligand": object})
