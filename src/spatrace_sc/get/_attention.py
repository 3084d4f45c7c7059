"""Attention of targets to TFs, as the transformer of regulators reads the network."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from .. import _keys
from .._check import closest, shorten
from .._errors import InvalidArgumentError
from .._result import Result


def attention(
    adata: AnnData,
    stage: str | None = None,
    *,
    cell_type: str | None = None,
    key: str = _keys.RESULT,
) -> pd.DataFrame:
    """Return how much every target attends to every TF, and what silencing the TF changes.

    A transformer whose tokens are the TFs of the cell computes the attention
    (``docs/method.md``, section 9). It shows where the network looks, not what acts: read it
    beside ``silencing_effect``, and use :func:`tf_targets` for evidence.

    Parameters
    ----------
    adata
        With a result of :func:`spatrace_sc.tl.infer_ccc`.
    stage, cell_type
        None: all receivers. The name of a stage or of a cell type: the attention in its cells.
        Only one of them can be named, and it must have at least 10 receivers.
    key
        Name of the result.

    Returns
    -------
    Table with one row per TF and target, largest attention first.

    - ``tf``, ``target``: names of the genes.
    - ``attention``: mean share of the target's attention, over heads, networks and cells. The
      shares of a target sum to at most 1 over the TFs; the rest goes to a token that stands for
      none of them. 0 for a gene's attention to itself.
    - ``silencing_effect``: signed effect of silencing the TF, over all cells, in standard
      deviations of the target. For a network it is the square root of the rise in the mean
      squared error. The column is the mean over two networks and a ridge regression. NaN if it
      was not computed because count noise outweighs the information in single cells.

    Raises
    ------
    MissingKeyError
        If there is no result, or it holds no attention: version 0.1.0 stored none, and fewer than
        100 receivers train no network.
    InvalidArgumentError
        If both a stage and a cell type are named, or one that has no attention of its own.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata, sample_key="sample")
    >>> list(st.get.attention(adata).columns)
    ['tf', 'target', 'attention', 'silencing_effect']
    """
    result = Result.read(adata, key)
    stored = result.attention
    share = stored.share[_group(stored.groups, stage, cell_type)]
    genes, (n_tfs, n_targets) = result.genes, share.shape
    effect = stored.effect if np.any(stored.effect) else np.full_like(stored.effect, np.nan)
    table = pd.DataFrame(
        {
            "tf": np.repeat(np.asarray(genes.tfs, dtype=object), n_targets),
            "target": np.tile(np.asarray(genes.targets, dtype=object), n_tfs),
            "attention": share.ravel().astype(float),
            "silencing_effect": effect.ravel().astype(float),
        }
    )
    return table.sort_values("attention", ascending=False, kind="stable", ignore_index=True)


def _group(groups: pd.DataFrame, stage: str | None, cell_type: str | None) -> int:
    """Return the row of the group that is asked for."""
    if stage is not None and cell_type is not None:
        raise InvalidArgumentError("name a `stage` or a `cell_type`, not both.")
    if stage is None and cell_type is None:
        return 0
    kind, name = ("stage", stage) if cell_type is None else ("cell_type", cell_type)
    names = groups.loc[groups["kind"] == kind, "name"]
    chosen = names.index[names == str(name)]
    if not len(chosen):
        available = shorten(names) if len(names) else "none: there were too many edges"
        raise InvalidArgumentError(
            f"`{kind}={name!r}` has no attention of its own; available: {available}."
            f"{closest(str(name), list(names))}"
        )
    return int(chosen[0])
