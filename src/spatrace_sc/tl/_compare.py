"""Compare edges and activities between stages, conditions or bins of pseudotime."""

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
from ._comparison_groups import Groups, enough_cells, read_replicates
from ._crossed_groups import SEPARATOR, comparisons_of, read_any_groups

if TYPE_CHECKING:
    from spatialdata import SpatialData

    from .._inference.group_slopes import Plan
    from .._inference.restore import Restored

logger = logging.getLogger("spatrace_sc")


def compare(
    data: AnnData | SpatialData,
    groups: str | Sequence[str],
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
    """Compare edges and activities between groups of receivers.

    Groups are stages, conditions or bins of pseudotime. The comparison answers two questions:

    - *Response*: does a target respond differently to the same level of a regulator?
    - *Level*: is there more of the regulator, or more of the signal?

    Responses are slopes along one response curve per target. For a target *g* with its
    significant regulators *r*, and the strongest others of the model::

        y[i, g]   = G_g(eta[i, g])
        eta[i, g] = sum_r beta[r, g, h(i)] * x[i, r] + sum_c B[c, g, h(i)] * c[i]

    Here ``h(i)`` is the group of cell *i*. ``x`` is the level of a TF without count noise, or
    the saturating signal of a pair. The covariates ``c`` (slice, cell type, time) have their own
    coefficients in every group. All groups share the curve ``G``, because a gene near its floor
    or ceiling responds less to the same regulator. Levels and targets are standardised over
    *all* compared cells, so the slopes of all groups have the same units.

    The test asks whether a difference exceeds a minimum ``m``::

        d = beta[group] - beta[reference]
        m = smallest_share * max(|beta[group]|, |beta[reference]|)
        p = P(t > (|d| - m) / se) + P(t > (|d| + m) / se)

    The unit of replication depends on the data:

    - *Replicates*, named by ``replicate_key``; every group needs at least two. Slopes and means
      are estimated per replicate, from all its slices together. Their variances are moderated
      over all edges (Smyth 2004). Levels of conditions are compared within stages.
    - *Slices*, without ``replicate_key``, if every group has at least two: each counts as a
      replicate. For serial sections of one animal p is then far too small.
    - *Spatial blocks* otherwise. p then says whether *these slices* differ, not whether such
      tissues do. This is weak evidence for levels, which always vary a little from location to
      location.

    ``docs/method/derived.md`` has the equations; ``docs/compare.md`` has the error rates.

    Parameters
    ----------
    data
        AnnData, or SpatialData with ``table_key``, with a result of
        :func:`spatrace_sc.tl.infer_ccc`. Only the order of genes and cells may have changed since
        the inference.
    groups
        Column of ``obs``. A numeric column with more than ten values is cut into bins with equal
        numbers of cells. Several columns, such as ``["stage", "condition"]``, are crossed: groups
        that differ in only one of them are compared, conditions within every stage and stages
        within every condition. Such groups are called e.g. ``"E2, treated"``.
    categories
        Groups to compare, in this order. None: all.
    n_bins
        Number of bins of a numeric column. None: 3 if it has more than ten values; otherwise
        each value is a group.
    reference
        Group that all others are compared with. None: the preceding group if groups have an
        order (stages of the inference, ordered categories, numbers), otherwise the first group.
        Of crossed columns: a group of one of them.
    replicate_key
        Column of ``obs`` with the animal, embryo or donor: the unit of the test. Each replicate
        lies in one group. All slices of a replicate form one unit, because they are not
        independent. None: the slices of the inference if every group has two (logged as an
        assumption), otherwise spatial blocks.
    max_q
        Largest q in the full data set of an edge that is compared. A change is named if its own
        q is at most ``max_q``, too.
    top_n
        Number of strongest edges of each kind that are compared whatever their q. An edge that
        acts in one small group need not be significant in the full data set.
    smallest_share
        Minimum meaningful difference, as a share of the larger slope, or of a standard deviation
        of a level. At least 0 and below 1.
    key
        Name of the result.
    table_key
        Table of a SpatialData.
    copy
        Return an annotated copy instead of changing the data.

    Returns
    -------
    None, or with ``copy=True`` an AnnData. Writes ``uns[key]["comparison"]``; read it with
    :func:`spatrace_sc.get.comparison`.

    Raises
    ------
    MissingKeyError, InvalidArgumentError
        If there is no result under ``key``, there is only one group, a group is unknown, or
        another argument is invalid.
    DataError
        If a group has too few receivers, or the data have changed since the inference.

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
    result = Result.read(adata, key, of_cells=True)
    share_of_one(max_q, "max_q")
    whole(top_n, "top_n", low=0)
    share_below_one(smallest_share, "smallest_share")
    receivers: NDArray[np.bool_] = np.asarray(
        np.isfinite(result.per_cell("tf_activity")).all(axis=1)
    )
    compared = read_any_groups(
        *(adata, groups, categories, n_bins),
        stages=(result.source.stage_column or "", result.stages),
        cells=receivers,
    )
    pairs = comparisons_of(compared, reference)
    column = groups if isinstance(groups, str) else SEPARATOR.join(map(str, groups))

    from .._inference.restore import restore

    restored = restore(adata, key)
    plan = _plan(
        *(adata, restored, compared, pairs),
        groups=column,
        replicate_key=replicate_key,
        share=float(smallest_share),
        max_q=float(max_q),
    )
    tables = _tables(adata, restored, plan, top_n)
    if copy:
        adata = adata.copy()
    comparison = Comparison(
        *(column, compared.names, plan.unit, float(max_q), replicate_key), tables
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
    """Return the compared cells with their group, replicate and stage."""
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
            "refers to these slices only."
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
    """Return the tables of responses and levels, and log the number of differences in each."""
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
                "%s: nothing to compare: no edge has q ≤ %g; `top_n` adds the strongest edges.",
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
    """Compare the mean activity of regulators between groups.

    These are the regulators of compared edges, significant pairs, and the ``top_n`` strongest.
    ``level`` names the kind of level and the kind of activity that it averages.
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
