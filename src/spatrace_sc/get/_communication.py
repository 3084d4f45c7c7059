"""Communication between cell types and between cells."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from .. import _keys
from .._check import closest, shorten
from .._data.cell_matrices import stored_matrix
from .._edges import LR_PAIRS, PAIR_SEPARATOR, joined
from .._errors import InvalidArgumentError, MissingKeyError
from .._result import Result


def communication(
    adata: AnnData, stage: str | None = None, *, key: str = _keys.RESULT
) -> pd.DataFrame:
    """Return which cell type signals to which, through which pair, strongest first.

    Parameters
    ----------
    adata
        With a result of :func:`spatrace_sc.tl.infer_ccc`, which fills the table with default
        settings. :func:`spatrace_sc.tl.communication` recomputes it with other settings.
    stage
        None: the full data set. A stage: scores, p and q in this stage.
    key
        Name of the result.

    Returns
    -------
    Table with one row per sender type, receiver type and listed pair. Listed are the
    ``config.max_activity`` strongest pairs.

    - ``sender``, ``receiver``: cell types. ``ligand``, ``receptor``: names of the genes.
    - ``score``: mean over the receivers of the pair's activity times the share of the ligand
      exposure that comes from the sender type, in standard deviations of the targets.
    - ``p_value``, ``q_value``: p, and estimated false discovery rate, of the claim "the pair
      acts, and between these types". Each is the larger of the pair's value and the cell types'
      value (:func:`spatrace_sc.tl.communication`). q is 1 if the pair itself has q > 0.1.
    - ``score_se``: standard error of ``score`` between slices. NaN with a single slice.
    - ``n_slices``: number of slices with receivers of the type.
    - ``slices_above``: share of these slices whose score is above the mean of their
      permutations.
    - ``type_p_value``: p of the cell types alone, at least 1 / (1 + n) with n permutations.
    - ``pair_q_value``: q of the pair alone, as in :func:`lr_pairs`.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata)
    >>> list(st.get.communication(adata).columns)[:4]
    ['sender', 'receiver', 'ligand', 'receptor']
    """
    result = Result.read(adata, key, of_cells=None)
    if not result.has_new_communication:  # its cells may be a part of those of the inference
        Result.read(adata, key)
    if stage is None:
        return result.communication()[_keys.COMMUNICATION].copy()
    name = result.stages[result.stage_index(stage)]
    table = result.communication(by_stage=True)
    return table.loc[table["stage"].astype(str) == name, _keys.COMMUNICATION].reset_index(drop=True)


def sent_received(
    adata: AnnData, pair: str | tuple[str, str] | None = None, *, key: str = _keys.RESULT
) -> pd.DataFrame:
    """Return how much signal every cell sends and receives.

    These are the row and column sums of the sender → receiver matrix.

    Parameters
    ----------
    adata
        With a result of :func:`spatrace_sc.tl.infer_ccc`.
    pair
        ``"ligand^receptor"`` or ``(ligand, receptor)``: a pair whose matrix
        :func:`spatrace_sc.tl.communication` stored. None: all listed pairs together.
    key
        Name of the result.

    Returns
    -------
    Table with one row per cell, in standard deviations of the targets. Assign it to ``obs`` to
    plot it.

    - ``sent``: how far the cell moves the targets of its neighbours, summed over them. NaN in
      cells that do not send.
    - ``received``: how far its own targets are moved. NaN in cells that do not receive.

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
    result = Result.read(adata, key, of_cells=True)
    matrix, source = _stored(adata, pair, key), result.source
    masks = source.roles(adata, source.types(adata, fill=True))
    sums = zip(("sent", "received"), masks, (1, 0), strict=True)
    columns = {
        name: np.where(mask, np.asarray(matrix.sum(axis=axis)).ravel(), np.nan)
        for name, mask, axis in sums
    }
    return pd.DataFrame(columns, index=adata.obs_names)


def cell_communication(
    adata: AnnData,
    pair: str | tuple[str, str] | None = None,
    *,
    module: str | None = None,
    key: str = _keys.RESULT,
) -> sparse.csr_matrix:
    """Return the signal that every cell gives every other cell.

    Parameters
    ----------
    adata
        With a result of :func:`spatrace_sc.tl.infer_ccc`.
    pair
        ``"ligand^receptor"`` or ``(ligand, receptor)``: a pair whose matrix
        :func:`spatrace_sc.tl.communication` stored. None: all listed pairs together.
    module
        Name of a module of :func:`spatrace_sc.tl.modules`: the sum over its main pairs, each
        weighted by its share in the module. It cannot be combined with ``pair``.
    key
        Name of the result.

    Returns
    -------
    Sparse cells × cells matrix, row = sender, column = receiver, in standard deviations of the
    targets. A column sums to the receiver's activity.

    Raises
    ------
    MissingKeyError
        If the matrix of the pair, or of a main pair of the module, was not stored.
    InvalidArgumentError
        If there is no such module, or ``pair`` and ``module`` are both given.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata)
    >>> st.get.cell_communication(adata).shape
    (600, 600)
    """
    result = Result.read(adata, key, of_cells=True)
    if module is None:
        return _stored(adata, pair, key)
    if pair is not None:
        raise InvalidArgumentError(
            f"`pair={pair!r}` and `module={module!r}` exclude each other; leave one of them None."
        )
    table = result.modules["lr_pairs"]
    modules = list(dict.fromkeys(table["module"].astype(str)))
    if module not in modules:
        raise InvalidArgumentError(
            f"`module={module!r}` is not a module of the result; it has "
            f"{shorten(modules)}.{closest(module, modules)}"
        )
    main = table[(table["module"].astype(str) == module) & table["main"].astype(bool)]
    names = joined(main, LR_PAIRS.columns)
    missing = [n for n in names if _keys.communication_key(key, n) not in adata.obsp]
    if missing:
        raise MissingKeyError(
            f"the matrices of {len(missing)} of the {len(main)} main pairs of {module!r} are not "
            f"stored; call `st.tl.communication(adata, pairs={list(names)}, key={key!r})` first."
        )
    total = sparse.csr_matrix((adata.n_obs, adata.n_obs))
    for name, weight in zip(names, main["weight"].to_numpy(dtype=np.float64), strict=True):
        total = total + weight * _stored(adata, name, key)
    return sparse.csr_matrix(total)


def _stored(adata: AnnData, pair: str | tuple[str, str] | None, key: str) -> sparse.csr_matrix:
    """Return the stored matrix of a pair, of all pairs together for None."""
    name = ""
    if pair is not None:
        name = pair if isinstance(pair, str) else PAIR_SEPARATOR.join(map(str, pair))
    slot = _keys.communication_key(key, name)
    if slot not in adata.obsp:
        raise MissingKeyError(_missing_matrix(adata, key, slot, name))
    return stored_matrix(adata, slot)


def _missing_matrix(adata: AnnData, key: str, slot: str, name: str) -> str:
    """Return the message about a matrix that is not in ``obsp``."""
    if not name:
        return (
            f"`adata.obsp[{slot!r}]` has been removed; "
            f"call `st.tl.communication(adata, key={key!r})`."
        )
    prefix = f"{_keys.communication_key(key)}_"
    available = [s.removeprefix(prefix) for s in adata.obsp if s.startswith(prefix)]
    return (
        f"`adata.obsp[{slot!r}]` is not stored; stored are the pairs {shorten(available)}."
        f"{closest(name, available)} "
        f"Call `st.tl.communication(adata, pairs=[{name!r}], key={key!r})` first."
    )
