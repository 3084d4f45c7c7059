"""Mean activity of pairs, TFs and modules along stages or pseudotime, with standard errors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys
from .._check import closest, labels, shorten, whole
from .._core.communication import square_blocks
from .._data.cells import coordinates, label_text, time_column
from .._edges import ACTIVITY_KINDS, LR_PAIRS, joined, public_word
from .._errors import DataError, InvalidArgumentError
from .._result import Result
from ._modules import module_scores

#: Side of the squares of tissue that count as one observation, in radii of signaling.
BLOCK_SIDE_IN_RADII = 2.0


def trend(
    adata: AnnData,
    kind: str = "lr_pairs",
    names: str | Sequence[str] | None = None,
    *,
    time_key: str | None = None,
    n_bins: int = 10,
    key: str = _keys.RESULT,
) -> pd.DataFrame:
    """Return the mean activity of pairs, TFs or modules along stages or pseudotime.

    Neighbouring cells share senders, so cells are not independent observations. The standard error
    is therefore computed between local squares of tissue, whose side is twice the radius of
    signaling; squares never cross slices. For B squares with n_b cells and mean m_b::

        se = sqrt(B / (B - 1) * sum(n_b² (m_b - mean)²)) / sum(n_b)

    It does not include variation between slices that affects all squares of a slice alike.

    Parameters
    ----------
    adata
        With a result of :func:`spatrace_sc.tl.infer_ccc`.
    kind
        ``"lr_pairs"``, ``"tfs"`` or, after :func:`spatrace_sc.tl.modules`, ``"modules"``.
    names
        Pairs ``"ligand^receptor"``, TFs or modules. None: all.
    time_key
        None: one group per stage. A numeric column of ``obs``, such as pseudotime: groups are
        its quantiles among the receivers.
    n_bins
        Number of quantiles; it has no effect without ``time_key``.
    key
        Name of the result.

    Returns
    -------
    Table with one row per name and group, in order of time within a name; names are ordered by
    their strength in the result.

    - ``name``: pair, TF or module.
    - ``group``: stage, or the number of the quantile from "1".
    - ``time``: index of the stage, or mean time of the cells.
    - ``mean``: mean activity of the receivers, in standard deviations of the targets. That of a
      TF is relative to the mean receiver.
    - ``se``: its standard error between squares. NaN with a single square.
    - ``n_cells``, ``n_squares``: numbers of receivers and of squares.

    Raises
    ------
    MissingKeyError
        ``adata`` has no such result, column or modules.
    InvalidArgumentError
        An argument is out of range, or names something that is not in the result.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata, sample_key="sample", stage_key="stage")
    >>> table = st.get.trend(adata, "tfs", "TF000")
    >>> list(table["group"])
    ['E1', 'E2', 'E3']
    """
    whole(n_bins, "n_bins", low=2)
    result = Result.read(adata, key, of_cells=True)
    values, available = _activity(result, public_word(kind, ACTIVITY_KINDS))
    selected = available if names is None else labels(names, "names")
    unknown = [name for name in selected if name not in available]
    if unknown:
        raise InvalidArgumentError(
            f"`names` has {unknown[0]!r}, which has no activity in the result; it has "
            f"{shorten(available)}.{closest(unknown[0], available)}"
        )
    selected = [name for name in available if name in selected]
    if not selected:
        columns = ["name", "group", "time", "mean", "se", "n_cells", "n_squares"]
        return pd.DataFrame(columns=columns)
    values = values[:, [available.index(name) for name in selected]].astype(np.float64)
    group, titles, time = _groups(adata, result, np.isfinite(values).all(axis=1), time_key, n_bins)
    block = _squares(adata, result)
    tables = [
        _estimates(values[cells], block[cells]).assign(name=selected, group=title, time=t)
        for k, (title, t) in enumerate(zip(titles, time, strict=True))
        if (cells := group == k).any()
    ]
    table = pd.concat(tables)
    order = np.argsort(table.index.to_numpy(), kind="stable")
    columns = ["name", "group", "time", "mean", "se", "n_cells", "n_squares"]
    return table.iloc[order].reset_index(drop=True)[columns]


def _activity(result: Result, kind: str) -> tuple[NDArray[np.floating], list[str]]:
    """Return (cells, names) activity of a kind, and the names, strongest first."""
    if kind == LR_PAIRS.name:
        return result.per_cell("activity"), list(joined(result.activity_pairs, LR_PAIRS.columns))
    if kind == "tfs":
        order = np.argsort(-result.tf_scores, kind="stable")
        names = [str(result.genes.tfs[k]) for k in order]
        return result.per_cell("tf_activity")[:, order], names
    values, summary = module_scores(result)
    return values, [str(name) for name in summary.index]


def _groups(
    adata: AnnData, result: Result, receives: NDArray[np.bool_], time_key: str | None, n_bins: int
) -> tuple[NDArray[np.intp], list[str], list[float]]:
    """Return (cells,) index of the group, −1 for none, with title and time of every group."""
    group = np.full(adata.n_obs, -1, dtype=np.intp)
    if time_key is None:
        column = result.source.stage_column
        stage = ["all"] * adata.n_obs if column is None else label_text(adata, column, "stage_key")
        group[receives] = pd.Index(result.stages).get_indexer(pd.Index(stage))[receives]
        return group, result.stages, [float(k) for k in range(len(result.stages))]
    time = time_column(adata, time_key)
    known = receives & np.isfinite(time)
    if not known.any():
        raise DataError(f"`adata.obs[{time_key!r}]` (`time_key`) is NaN in every receiver.")
    ends = np.unique(np.quantile(time[known], np.linspace(0, 1, n_bins + 1)[1:-1]))
    found, index = np.unique(np.searchsorted(ends, time[known]), return_inverse=True)
    group[known] = index
    means = [float(time[group == k].mean()) for k in range(len(found))]
    return group, [str(k + 1) for k in range(len(found))], means


def _squares(adata: AnnData, result: Result) -> NDArray[np.intp]:
    """Return (cells,) code of the local square of tissue that a cell is in."""
    source = result.source
    column, n = source.slice_column, adata.n_obs
    name = np.zeros(n, dtype=object) if column is None else label_text(adata, column, "sample_key")
    side = BLOCK_SIDE_IN_RADII * float(source.radius or np.inf)
    return square_blocks(coordinates(adata, source.spatial_key), pd.factorize(name)[0], side)


def _estimates(values: NDArray[np.float64], block: NDArray[np.intp]) -> pd.DataFrame:
    """Return mean and standard error of every column (cells, names) between blocks of cells."""
    code = np.unique(block, return_inverse=True)[1].reshape(-1)
    n_cells, n_blocks = len(values), int(code.max()) + 1
    mean = values.mean(axis=0)
    sums = np.zeros((n_blocks, values.shape[1]))
    np.add.at(sums, code, values - mean)
    spread = (sums**2).sum(axis=0)
    factor = n_blocks / (n_blocks - 1) if n_blocks > 1 else np.nan
    se = np.sqrt(factor * spread) / n_cells
    return pd.DataFrame({"mean": mean, "se": se, "n_cells": n_cells, "n_squares": n_blocks})
