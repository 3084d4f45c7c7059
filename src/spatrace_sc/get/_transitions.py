"""What is stored of transitions."""

from __future__ import annotations

import pandas as pd
from anndata import AnnData

from .. import _keys
from .._check import shorten
from .._data.transitions import written_transitions
from .._errors import InvalidArgumentError, MissingKeyError


def transition_reach(adata: AnnData, *, key: str = _keys.TRANSITIONS) -> pd.DataFrame:
    """How far paths can be followed back through transitions.

    Parameters
    ----------
    adata
        With transitions of :func:`spatrace_sc.pp.transitions`.
    key
        Their name, ``key_added`` there.

    Returns
    -------
    Table, a row for every number of steps from 1 to 8.

    - ``steps``
    - ``cells``: share of the cells that take part which have so many earlier steps, 0 to 1.
    - ``time_back``: how much earlier than they are the cells so many steps back, on average, in units of ``time_key``; NaN where no cell has so many.

    :func:`spatrace_sc.tl.infer_ccc` looks back three steps by default and predicts only cells that have one.

    Raises
    ------
    MissingKeyError
        There are no such transitions; the message lists those that there are.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=300)
    >>> st.pp.transitions(adata)
    >>> reach = st.get.transition_reach(adata)
    >>> reach["steps"].tolist()
    [1, 2, 3, 4, 5, 6, 7, 8]
    """
    if not isinstance(adata, AnnData):
        hint = (
            " Pass the table that holds them, e.g. `sdata['table']`."
            if hasattr(adata, "tables")
            else ""
        )
        raise InvalidArgumentError(f"`adata` must be AnnData, found {type(adata).__name__}.{hint}")
    there = written_transitions(adata)
    if key not in there:
        hint = (
            f"those of {shorten(there)} are there"
            if there
            else "call `st.pp.transitions(adata)` first"
        )
        raise MissingKeyError(
            f"`adata.uns[{key!r}]` holds no transitions of `st.pp.transitions`; {hint}."
        )
    table: pd.DataFrame = adata.uns[key][_keys.REACH]
    return table[_keys.REACH_COLUMNS].copy()
