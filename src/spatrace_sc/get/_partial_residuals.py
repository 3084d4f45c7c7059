"""Partial residuals of single edges."""

from __future__ import annotations

import pandas as pd
from anndata import AnnData

from .. import _keys
from .._check import closest, shorten
from .._edges import PAIR_SEPARATOR
from .._errors import InvalidArgumentError
from .._result import Result


def partial_residuals(
    adata: AnnData,
    regulator: str | tuple[str, str] | None = None,
    target: str | None = None,
    *,
    key: str = _keys.RESULT,
) -> pd.DataFrame:
    """Return the partial residuals of an edge, in bins of its signal and of that of a rival.

    Parameters
    ----------
    adata
        After :func:`spatrace_sc.tl.partial_residuals`.
    regulator, target
        The edge. A pair is ``"ligand^receptor"`` or ``(ligand, receptor)``. None: the only one
        that is stored.
    key
        Name of the result.

    Returns
    -------
    Table with one row per bin over all cells, where ``stage`` and ``sample`` are "", and one per
    bin, stage and slice:

    - ``regulator``, ``target``: the edge. ``against``: the regulator whose signal is binned.
    - ``role``: "regulator" of the edge itself, "rival of the group" or "strongest other
      regulator".
    - ``stage``, ``sample``, ``bin``: name of the stage and of the slice, and number of the bin.
    - ``signal``: mean signal in the bin, in its standard deviations over all receivers.
    - ``residual``, ``residual_se``: mean partial residual, in standard deviations of the target,
      and its standard error over spatial blocks; NaN in a single block.
    - ``n_cells``: number of cells in the bin.
    - ``slope``, ``slope_se``, ``r2``: line through all cells, its standard error over blocks, and
      the share of the variance of the partial residual that it explains. Equal in all rows of one
      signal.

    Raises
    ------
    MissingKeyError
        If :func:`spatrace_sc.tl.partial_residuals` has not been called.
    InvalidArgumentError
        If the edge is not stored, or several are and none is named. The message lists them.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata)
    >>> st.tl.partial_residuals(adata, "TF000", "TG000")
    >>> int((st.get.partial_residuals(adata)["stage"] == "").sum())
    20
    """
    call = "st.tl.partial_residuals(adata, regulator, target, "
    table = Result.read(adata, key).derived_table("partial_residuals", call)
    if regulator is not None and not isinstance(regulator, str):
        regulator = PAIR_SEPARATOR.join(map(str, regulator))
    chosen = pd.Series(True, index=table.index)
    for column, value in (("regulator", regulator), ("target", target)):
        if value is not None:
            chosen &= table[column].astype(str) == str(value)
    edges = table[["regulator", "target"]].astype(str).drop_duplicates()
    names = list(edges["regulator"] + " → " + edges["target"])
    n = len(table[chosen][["regulator", "target"]].drop_duplicates())
    if n != 1:
        wanted = f"`regulator={regulator!r}, target={target!r}`"
        finding = "is not stored" if not n else f"fits {n} edges; name one"
        hint = closest(f"{regulator} → {target}", names) if not n else ""
        raise InvalidArgumentError(
            f"{wanted} {finding}. Stored are {shorten(names)}.{hint} "
            "`st.tl.partial_residuals(adata, regulator, target)` adds one."
        )
    return table.loc[chosen, _keys.PARTIAL_RESIDUALS].reset_index(drop=True)
