"""Stored transitions, and how far they reach back in time."""

from __future__ import annotations

import pandas as pd
from anndata import AnnData
from scipy import sparse

from .. import _keys
from .._check import shorten
from .._data.cell_matrices import stored_matrix
from .._data.table import with_annotations_in_memory
from .._data.transitions import written_transitions
from .._errors import InvalidArgumentError, MissingKeyError


def transitions(adata: AnnData, *, key: str = _keys.TRANSITIONS) -> sparse.csr_matrix:
    """Return the probabilities that cells turn into later cells.

    Parameters
    ----------
    adata
        With transitions of :func:`spatrace_sc.pp.transitions`.
    key
        Name of the transitions, ``key_added`` of that call.

    Returns
    -------
    Sparse cells × cells matrix, row = earlier cell, column = later cell. Rows of analysed cells
    sum to 1; a cell without a later neighbour has 1 on its diagonal. Other rows are empty.

    Raises
    ------
    MissingKeyError
        If there are no such transitions; the message lists those that exist.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=300)
    >>> st.pp.transitions(adata)
    >>> st.get.transitions(adata).shape
    (300, 300)
    """
    _require(adata, key)
    if key not in adata.obsp:
        raise MissingKeyError(
            f"`adata.obsp[{key!r}]` has been removed; "
            f"call `st.pp.transitions(adata, key_added={key!r})` again."
        )
    return stored_matrix(adata, key)


def transition_reach(adata: AnnData, *, key: str = _keys.TRANSITIONS) -> pd.DataFrame:
    """Return how far paths can be followed back through transitions.

    :func:`spatrace_sc.tl.infer_ccc` looks back three steps by default, and predicts only cells
    that have at least one earlier step.

    Parameters
    ----------
    adata
        With transitions of :func:`spatrace_sc.pp.transitions`.
    key
        Name of the transitions, ``key_added`` of that call.

    Returns
    -------
    Table with one row per number of steps, from 1 to 8:

    - ``steps``: number of steps back.
    - ``cells``: share of the analysed cells that have this many earlier steps, 0 to 1.
    - ``time_back``: how much earlier the cells that many steps back are, on average, in units of
      ``time_key``. NaN if no cell has that many steps.

    Raises
    ------
    MissingKeyError
        If there are no such transitions; the message lists those that exist.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=300)
    >>> st.pp.transitions(adata)
    >>> reach = st.get.transition_reach(adata)
    >>> reach["steps"].tolist()
    [1, 2, 3, 4, 5, 6, 7, 8]
    """
    _require(adata, key)
    table: pd.DataFrame = adata.uns[key][_keys.REACH]
    return table[_keys.REACH_COLUMNS].reset_index(drop=True)


def _require(adata: AnnData, key: str) -> None:
    """Require that transitions have been written under a key."""
    if not isinstance(adata, AnnData):
        hint = (
            " Pass the table that holds them, e.g. `sdata['table']`."
            if hasattr(adata, "tables")
            else ""
        )
        raise InvalidArgumentError(f"`adata` must be AnnData, found {type(adata).__name__}.{hint}")
    stored = written_transitions(with_annotations_in_memory(adata))
    if key not in stored:
        hint = "call `st.pp.transitions(adata)` first"
        if stored:
            hint = f"transitions are stored under {shorten(stored)}"
        raise MissingKeyError(
            f"`adata.uns[{key!r}]` holds no transitions of `st.pp.transitions`; {hint}."
        )
