"""Attention of targets to TFs and pairs, as the transformers of regulators compute it."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
from anndata import AnnData

from .. import _keys
from .._check import closest, shorten
from .._edges import EDGE_KINDS, TARGET_KINDS, TF_TARGETS, public_word
from .._errors import InvalidArgumentError
from .._result import Result

logger = logging.getLogger("spatrace_sc")


def attention(
    adata: AnnData,
    stage: str | None = None,
    *,
    cell_type: str | None = None,
    kind: str = TF_TARGETS.name,
    key: str = _keys.RESULT,
) -> pd.DataFrame:
    """Return how much every target attends to TFs or pairs, and what silencing them changes.

    Transformers whose tokens are the TFs of the cell, or TFs and ligand–receptor pairs, compute the
    attention (``docs/method/attention.md``). It shows where the network looks, not what acts: read
    it together with ``silencing_effect``, and use :func:`tf_targets` and :func:`lr_targets` for
    evidence.

    Parameters
    ----------
    adata
        With a result of :func:`spatrace_sc.tl.infer_ccc`.
    stage, cell_type
        None: all receivers. The name of a stage or of a cell type: the attention in its cells.
        Only one of them can be named, and it must have at least 10 receivers.
    kind
        ``"tf_targets"``: all TFs, by two networks that see TFs only. ``"lr_targets"``: the pairs
        that have a weight in the sparse fit, at most the 100 strongest, by one more network that
        sees them beside all TFs. Other pairs are not tokens and are not listed.
    key
        Name of the result.

    Returns
    -------
    Table with one row per regulator and target, largest attention first.

    - ``tf``, or ``ligand`` and ``receptor``: names of the regulator's genes.
    - ``target``: name of the gene.
    - ``attention``: mean share of the target's attention, over heads, networks and cells, 500
      evenly spaced cells where there are more. The shares of a target sum to at most 1 over all
      tokens; the rest goes to a token that stands for no regulator. 0 for a gene's attention to
      itself and to pairs that it belongs to.
    - ``silencing_effect``: signed effect of silencing the regulator, over all cells, in standard
      deviations of the target. For a network it is the square root of the rise in the mean
      squared error. For TFs it is the mean over two networks and a ridge regression, and NaN if it
      was not computed because count noise outweighs the information in single cells.

    The table of pairs is empty if the sparse fit keeps none; the log says so.

    Raises
    ------
    MissingKeyError
        If there is no result, or it holds no attention of this kind: version 0.1.0 stored none,
        and fewer than 100 receivers train no network.
    InvalidArgumentError
        If both a stage and a cell type are named, one of them has no attention of its own, or the
        kind is unknown.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata, sample_key="sample")
    >>> list(st.get.attention(adata).columns)
    ['tf', 'target', 'attention', 'silencing_effect']
    >>> list(st.get.attention(adata, kind="lr_targets").columns)
    ['ligand', 'receptor', 'target', 'attention', 'silencing_effect']
    """
    edge_kind = EDGE_KINDS[public_word(kind, [k.name for k in TARGET_KINDS])]
    result = Result.read(adata, key)
    stored = result.attention(edge_kind)
    share = stored.share[_group(stored.groups, stage, cell_type)]
    effect = stored.effect
    if edge_kind is TF_TARGETS and not np.any(effect):
        effect = np.full_like(effect, np.nan)
    if not len(share):
        logger.info("No pair has attention: the sparse fit keeps no ligand–receptor pair.")
    genes, (n_regulators, n_targets) = result.genes, share.shape
    if stored.pairs is None:
        regulators = pd.DataFrame({"tf": np.asarray(genes.tfs, dtype=object)})
    else:
        regulators = genes.pair_genes(stored.pairs)
    table = regulators.loc[np.repeat(np.arange(n_regulators), n_targets)].assign(
        target=np.tile(np.asarray(genes.targets, dtype=object), n_regulators),
        attention=share.ravel().astype(float),
        silencing_effect=effect.ravel().astype(float),
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
