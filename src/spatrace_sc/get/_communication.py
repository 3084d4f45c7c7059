"""Who talks to whom: types and cells."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from .. import _keys
from .._check import closest, shorten
from .._edges import PAIR_SEPARATOR
from .._errors import MissingKeyError
from .._result import Result


def communication(
    adata: AnnData, stage: str | None = None, *, key: str = _keys.RESULT
) -> pd.DataFrame:
    """Which cell type talks to which, through which pair.

    Parameters
    ----------
    adata
        With a result of :func:`spatrace_sc.tl.infer_ccc`, which fills the table with default settings; :func:`spatrace_sc.tl.communication` computes it anew with yours.
    stage
        None: the whole data set. A stage: scores, p and q there.
    key
        Name of the result.

    Returns
    -------
    Table, strongest first, of every sender type × receiver type × listed pair (the ``config.max_activity`` strongest pairs):

    - ``sender, receiver, ligand, receptor``
    - ``score``: mean over the receivers of the pair's activity times the share of the ligand exposure that comes from the sender type, in standard deviations of the targets.
    - ``p_value, q_value``: of "the pair acts, and between these types": the larger of the pair's and the types' (:func:`spatrace_sc.tl.communication`). q is 1 for pairs with a q above 0.1 of their own.
    - ``score_se``: standard error between slices; NaN with a single one. ``n_slices`` in which there are receivers of the type, ``slices_above`` the share of them with a score above what labels (or
      positions) exchanged there give on average.
    - ``type_p_value``, ``pair_q_value``: the two parts. No ``type_p_value`` is below 1 / (1 + n) with n permutations.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata)
    >>> list(st.get.communication(adata).columns)[:4]
    ['sender', 'receiver', 'ligand', 'receptor']
    """
    result = Result.read(adata, key)
    if stage is None:
        return result.communication()[_keys.COMMUNICATION].copy()
    result.stage_index(stage)
    table = result.communication(by_stage=True)
    return table.loc[table["stage"].astype(str) == str(stage), _keys.COMMUNICATION].reset_index(
        drop=True
    )


def sent_received(
    adata: AnnData, pair: str | tuple[str, str] | None = None, *, key: str = _keys.RESULT
) -> pd.DataFrame:
    """How much signal every cell sends and receives.

    Row and column sums of the sender → receiver matrix.

    Parameters
    ----------
    adata
        With a result of :func:`spatrace_sc.tl.infer_ccc`.
    pair
        ``"ligand^receptor"`` or ``(ligand, receptor)``, of which :func:`spatrace_sc.tl.communication` stored the matrix. None: all listed pairs together.
    key
        Name of the result.

    Returns
    -------
    Table ``sent``, ``received``, one row a cell, in standard deviations of the targets: how far a cell moves the targets of its neighbours, summed over them, and how far its own are moved. NaN in cells that do not send, or
    receive. Put it into ``obs`` to plot it.

    Raises
    ------
    MissingKeyError
        If the matrix of the pair was not stored.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata)
    >>> adata.obs[["sent", "received"]] = st.get.sent_received(adata)
    """
    result = Result.read(adata, key)
    name = ""
    if pair is not None:
        name = pair if isinstance(pair, str) else PAIR_SEPARATOR.join(map(str, pair))
    slot = _keys.communication_key(key, name)
    if slot not in adata.obsp:
        raise MissingKeyError(_missing_matrix(adata, key, slot, name))
    matrix, source = adata.obsp[slot], result.source
    types = adata.obs[source.cell_type_key].astype(str).to_numpy()
    sums = {
        "sent": (source.senders, matrix.sum(axis=1)),
        "received": (source.receivers, matrix.sum(axis=0)),
    }
    columns = {
        name: np.where(np.isin(types, list(chosen or ())), np.asarray(total).ravel(), np.nan)
        for name, (chosen, total) in sums.items()
    }
    return pd.DataFrame(columns, index=adata.obs_names)


def _missing_matrix(adata: AnnData, key: str, slot: str, name: str) -> str:
    """Message about a matrix that is not in ``obsp``."""
    if not name:
        return f"`adata.obsp[{slot!r}]` is gone; call `st.tl.communication(adata, key={key!r})`."
    prefix = f"{_keys.communication_key(key)}_"
    available = [s.removeprefix(prefix) for s in adata.obsp if s.startswith(prefix)]
    return (
        f"`adata.obsp[{slot!r}]` is not stored; of single pairs there are {shorten(available)}."
        f"{closest(name, available)} "
        f"Call `st.tl.communication(adata, pairs=[{name!r}], key={key!r})` first."
    )
