"""What differs between stages, conditions or bins of pseudotime."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys, get
from .._check import share_below_one, share_of_one, whole
from .._data.table import as_table, check_copy
from .._edges import COMPARED_COLUMNS, LEVELS, TARGET_KINDS
from .._result import Comparison, Result, add_comparison
from ._comparison_groups import Groups, comparisons, enough_cells, read_groups, read_replicates

if TYPE_CHECKING:
    from spatialdata import SpatialData

    from .._inference.group_slopes import Plan
    from .._inference.restore import Restored

logger = logging.getLogger("spatrace_sc")


def compare(
    data: AnnData | SpatialData,
    groups: str,
    *,
    categories: Sequence[str] | None = None,
    n_bins: int | None = None,
    reference: str | None = None,
    replicate_key: str | None = None,
    max_q: float = 0.1,
    top_n: int = 0,
    smallest_share: float = 0.15,
    key: str = _keys.RESULT,
    table_key: str = _keys.TABLE,
    copy: bool = False,
) -> AnnData | None:
    r"""Compare edges and activities between groups of receivers: stages, conditions or bins of pseudotime.

    Two questions are kept apart. *Response*: does a target answer differently to the same level of a regulator? *Level*: is there more of the regulator, or of the signal? For a target *g* with the regulators
    *r* that are supported in the whole, and the strongest others of the model,

    .. math::
        y_{ig} = G_g(\eta_{ig}), \qquad \eta_{ig} = \sum_r \beta_{rg,h(i)}\, x_{ir} + \sum_c B_{cg,h(i)}\, c_i

    where *h* is the cell's group, *x* the level of a TF (without the noise of counting) or the saturating signal of a pair, and *c* slices, cell types and time with coefficients of their own in every group. *G* is one curve for all groups, because a gene
    near its floor or ceiling answers less to the same regulator. Levels and targets are standardised over *all* compared cells: slopes of all groups are in the same units. The test asks whether the
    difference :math:`d = \beta_{group} - \beta_{reference}` is larger than :math:`m` = ``smallest_share`` of the larger of the two,

    .. math::
        p = P\big(t > (|d| - m) / se\big) + P\big(t > (|d| + m) / se\big)

    *Unit*: with two or more replicates in every group, slopes and means are taken replicate by replicate, all slices of one together, and the replicates are the unit (variances of all edges drawn together,
    Smyth 2004; levels within stages where conditions are compared). Without ``replicate_key`` every slice counts as one; where slices are serial sections of one animal, p is then far too small. Otherwise blocks of space are: p then says whether *these slices* differ, not whether such tissues do. That is weak for levels, which always differ a little from place to place.

    Parameters
    ----------
    data
        AnnData, or SpatialData with ``table_key``, with a result of :func:`spatrace_sc.tl.infer_ccc`, unchanged since but for the order of genes and cells.
    groups
        Column of ``obs``. Numbers with more than ten values are cut into bins with equally many cells.
    categories
        Groups to compare, in this order. None: all.
    n_bins
        Bins of a numeric column. None: 3 where it has more than ten values, otherwise its values are the groups.
    reference
        Group with which all others are compared. None: the one before it where groups have an order (stages of the inference, ordered categories, numbers), otherwise the first.
    replicate_key
        Column of ``obs`` with the animal, embryo or donor, each in one group: the unit of the test. Several slices of one are one unit, for what makes animals differ they share. None: the slices of the inference if
        every group has two, logged as an assumption, otherwise blocks.
    max_q
        Edges with at most this q in the whole are compared, and a change is named if its own q is at most this.
    top_n
        So many of the strongest edges of each kind are compared too, supported or not: an edge of one small group need not be supported in the whole.
    smallest_share
        A difference below this share of the larger effect, or of a standard deviation of a level, is not worth naming; at least 0 and below 1.
    key
        Name of the result.
    table_key
        Table of a SpatialData.
    copy
        Return an annotated copy instead of changing the data.

    Returns
    -------
    None, or with ``copy=True`` an AnnData. Writes ``uns[key]["comparison"]``; read it with :func:`spatrace_sc.get.comparison`.

    Raises
    ------
    MissingKeyError, InvalidArgumentError
        One group, an unknown one, and the like.
    DataError
        Groups with too few receivers, or data that have changed since the inference.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata, sample_key="sample", stage_key="stage")
    >>> st.tl.compare(adata, "stage", max_q=1.0)
    >>> list(st.get.comparison(adata).columns)[:4]
    ['tf', 'target', 'group', 'reference']
    """
    adata = as_table(data, table_key)
    check_copy(adata, copy)
    result = Result.read(adata, key)
    share_of_one(max_q, "max_q")
    whole(top_n, "top_n", low=0)
    share_below_one(smallest_share, "smallest_share")
    receivers: NDArray[np.bool_] = np.asarray(
        np.isfinite(result.per_cell("tf_activity")).all(axis=1)
    )
    compared = read_groups(
        *(adata, groups, categories, n_bins),
        stages=(result.source.stage_column or "", result.stages),
        cells=receivers,
    )
    pairs = comparisons(compared, reference)

    from .._inference.restore import restore

    restored = restore(adata, key)
    plan = _plan(
        *(adata, restored, compared, pairs),
        groups=groups,
        replicate_key=replicate_key,
        share=float(smallest_share),
        max_q=float(max_q),
    )
    tables = _tables(adata, restored, plan, top_n)
    if copy:
        adata = adata.copy()
    comparison = Comparison(
        *(groups, compared.names, plan.unit, float(max_q), replicate_key), tables
    )
    add_comparison(adata, key, comparison)
    return adata if copy else None


def _plan(
    adata: AnnData,
    restored: Restored,
    compared: Groups,
    pairs: list[tuple[int, int]],
    *,
    groups: str,
    replicate_key: str | None,
    share: float,
    max_q: float,
) -> Plan:
    """Return the cells that are compared, with group, replicate and stage."""
    from .._inference.group_slopes import Plan

    study, usable = restored.study, restored.problem.usable.numpy()
    code = np.full(adata.n_obs, -1, dtype=np.intp)
    rows_with_past = restored.rows[usable]
    code[rows_with_past] = compared.code[rows_with_past]
    enough_cells(compared, code, groups)
    sample_key = restored.result.source.sample_key
    replicate = read_replicates(adata, replicate_key, sample_key, code, compared.names)
    if replicate is not None:
        code = np.where(replicate >= 0, code, -1)
    rows = np.flatnonzero(code[restored.rows] >= 0)
    if replicate is None:
        logger.info(
            "Fewer than two slices in a group: spatial blocks are the unit of replication, and p "
            "speaks of these slices only."
        )
    return Plan(
        rows=rows,
        group=code[restored.rows][rows],
        names=compared.names,
        pairs=pairs,
        replicate=None if replicate is None else replicate[restored.rows][rows],
        stage=np.unique(study.stage[rows], return_inverse=True)[1],
        share=share,
        max_q=max_q,
    )


def _tables(adata: AnnData, restored: Restored, plan: Plan, top_n: int) -> dict[str, pd.DataFrame]:
    """Return the tables of responses and levels, with a line in the log for each."""
    from .._inference.group_differences import response_tables

    genes, key = restored.genes, restored.result.key
    edges = {}
    for kind in TARGET_KINDS:
        table = getattr(get, kind.name)(adata, key=key)
        compared = (table["q_value"] <= plan.max_q) | (np.arange(len(table)) < top_n)
        table = table[(table["score"] > 0) & compared]
        regulator = genes.pair_of_names(table) if kind.of_pairs else genes.index("tfs", table["tf"])
        edges[kind.name] = table.assign(
            target_index=genes.index("targets", table["target"]), regulator=regulator
        ).reset_index(drop=True)
    tables = response_tables(restored, edges, plan)
    for level, activity in LEVELS.items():
        tables[level] = _levels(adata, restored, plan, (level, activity), edges, top_n=top_n)
    for name, table in tables.items():
        n = int((table["q_value"] <= plan.max_q).sum())
        if len(table):
            logger.info(
                "%s: %d of %d differences with q ≤ %g (unit: %s).",
                *(name, n, len(table), plan.max_q, plan.unit),
            )
        else:
            logger.info(
                "%s: nothing to compare, no edge has q ≤ %g; `top_n` takes the strongest.",
                name,
                plan.max_q,
            )
    return tables


def _levels(
    adata: AnnData,
    restored: Restored,
    plan: Plan,
    level: tuple[str, str],
    edges: dict[str, pd.DataFrame],
    *,
    top_n: int,
) -> pd.DataFrame:
    """Compare the activity of regulators of compared edges, significant pairs and the strongest.

    ``level`` has the kind of level and the kind of activity that it is the mean of.
    """
    from .._inference.group_differences import level_table

    kind, activity_kind = level
    columns, key = COMPARED_COLUMNS[kind], restored.result.key
    activity = get.activity(adata, activity_kind, key=key)
    if activity_kind == "tfs":
        names, regulators = activity.var.reset_index(names="tf"), edges["tf_targets"][columns]
    else:
        names, pairs = activity.var.reset_index(drop=True), get.lr_pairs(adata, key=key)
        significant = (pairs["q_value"] <= plan.max_q) & (pairs["score"] > 0)
        regulators = pd.concat([edges["lr_targets"][columns], pairs.loc[significant, columns]])
    compared = pd.MultiIndex.from_frame(names[columns].astype(str)).isin(
        pd.MultiIndex.from_frame(regulators.astype(str))
    )
    compared |= np.arange(len(names)) < top_n
    chosen = np.flatnonzero(compared & (names["score"] > 0).to_numpy())
    values = np.asarray(activity.X, dtype=float)[restored.rows][plan.rows][:, chosen]
    block = restored.problem.block.numpy()[plan.rows]
    return level_table(values, names.iloc[chosen].reset_index(drop=True), block, plan, kind)
