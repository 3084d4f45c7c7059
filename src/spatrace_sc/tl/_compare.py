"""What differs between stages, conditions or bins of pseudotime."""

from __future__ import annotations

import logging
import numbers
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData

from .. import _keys, get
from .._check import share_of_one, whole
from .._data.table import as_table, check_copy
from .._errors import InvalidArgumentError
from .._result import stored
from ._comparison_groups import Groups, comparisons, enough_cells, read_groups, read_replicates

if TYPE_CHECKING:
    from spatialdata import SpatialData

    from .._inference.group_differences import Plan
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
    result = stored(adata, key)
    _check_numbers(max_q, top_n, smallest_share)
    names = str(result["params"]["stage_key"]) or str(result["params"]["sample_key"])
    cells = (
        np.isfinite(np.asarray(adata.obsm[result["obsm_tf"]])).all(axis=1)
        if result["obsm_tf"] in adata.obsm
        else np.ones(adata.n_obs, dtype=bool)
    )
    found = read_groups(
        adata, groups, categories, n_bins, (names, [str(s) for s in result["stages"]]), cells
    )
    pairs = comparisons(found, reference)

    from .._inference.restore import restore

    restored = restore(adata, key)
    plan = _plan(adata, restored, found, pairs, (groups, replicate_key), (smallest_share, max_q))
    tables = _tables(adata, restored, plan, key, top_n)
    if copy:
        adata = adata.copy()
    params = {
        "groups": groups,
        "names": np.array(found.names, dtype=object),
        "unit": plan.unit,
        "max_q": float(max_q),
    }
    params |= {"replicate_key": replicate_key or ""}
    adata.uns[key] = dict(adata.uns[key]) | {"comparison": params | tables}
    return adata if copy else None


def _check_numbers(max_q: object, top_n: object, smallest_share: object) -> None:
    share_of_one(max_q, "max_q")
    whole(top_n, "top_n", low=0)
    if (
        isinstance(smallest_share, bool)
        or not isinstance(smallest_share, numbers.Real)
        or not 0 <= float(smallest_share) < 1
    ):
        raise InvalidArgumentError(
            f"`smallest_share` must be at least 0 and below 1, found {smallest_share!r}."
        )


def _plan(
    adata: AnnData,
    restored: Restored,
    found: Groups,
    pairs: list[tuple[int, int]],
    names: tuple[str, str | None],
    limits: tuple[float, float],
) -> Plan:
    """Cells that are compared, with group, replicate and stage."""
    from .._inference.group_differences import Plan

    study, usable = restored.study, restored.problem.usable.numpy()
    code = np.full(adata.n_obs, -1, dtype=np.intp)
    kept = restored.rows[usable]
    code[kept] = found.code[kept]
    enough_cells(found, code, names[0])
    default = str(restored.result["params"]["sample_key"]) or None
    replicate = read_replicates(adata, names[1], default, code, found.names)
    if replicate is not None:
        code = np.where(replicate >= 0, code, -1)
    rows = np.flatnonzero(code[restored.rows] >= 0)
    if replicate is None:
        logger.info(
            "Fewer than two slices in a group: blocks of space are the unit, and p is about these slices only."
        )
    return Plan(
        rows=rows,
        group=code[restored.rows][rows],
        names=found.names,
        pairs=pairs,
        replicate=None if replicate is None else replicate[restored.rows][rows],
        stage=np.unique(study.stage[rows], return_inverse=True)[1],
        share=float(limits[0]),
        max_q=float(limits[1]),
    )


def _tables(
    adata: AnnData, restored: Restored, plan: Plan, key: str, top_n: int
) -> dict[str, pd.DataFrame]:
    from .._inference.group_differences import responses

    genes = restored.study.genes
    number = {role: {g: k for k, g in enumerate(names)} for role, names in genes.items()}
    edges = {}
    for kind in ("tf_targets", "lr_targets"):
        table = getattr(get, kind)(adata, key=key)
        table = table[
            (table["score"] > 0)
            & ((table["q_value"] <= plan.max_q) | (np.arange(len(table)) < top_n))
        ]
        at = table["target"].map(number["targets"])
        regulator = (
            table["tf"].map(number["tfs"])
            if kind == "tf_targets"
            else table["ligand"].map(number["ligands"]) * len(genes["receptors"])
            + table["receptor"].map(number["receptors"])
        )
        edges[kind] = table.assign(at=at.astype(int), regulator=regulator.astype(int)).reset_index(
            drop=True
        )
    tables: dict[str, Any] = dict(responses(restored, edges, plan))
    tables |= {
        kind: _levels(adata, restored, plan, key, kind, edges, top_n)
        for kind in ("tf_activity", "pair_activity")
    }
    for kind, table in tables.items():
        n = int((table["q_value"] <= plan.max_q).sum())
        if len(table):
            logger.info(
                "%s: %d of %d differences with q ≤ %g (unit: %s).",
                kind,
                n,
                len(table),
                plan.max_q,
                plan.unit,
            )
        else:
            logger.info(
                "%s: nothing to compare, no edge has q ≤ %g; `top_n` takes the strongest.",
                kind,
                plan.max_q,
            )
    return tables


def _levels(
    adata: AnnData,
    restored: Restored,
    plan: Plan,
    key: str,
    kind: str,
    edges: dict[str, pd.DataFrame],
    top_n: int,
) -> pd.DataFrame:
    """Activities of the regulators of compared edges, of supported pairs, and of the strongest."""
    from .._inference.group_differences import levels

    columns = _keys.COMPARED[kind]
    activity = get.activity(adata, "tfs" if kind == "tf_activity" else "pairs", key=key)
    names = (
        activity.var.reset_index(names="tf")
        if kind == "tf_activity"
        else activity.var.reset_index(drop=True)
    )
    wanted = edges["tf_targets" if kind == "tf_activity" else "lr_targets"][columns]
    if kind == "pair_activity":
        pairs = get.lr_pairs(adata, key=key)
        wanted = pd.concat(
            [wanted, pairs.loc[(pairs["q_value"] <= plan.max_q) & (pairs["score"] > 0), columns]]
        )
    listed = pd.MultiIndex.from_frame(names[columns].astype(str)).isin(
        pd.MultiIndex.from_frame(wanted.astype(str))
    )
    chosen = np.flatnonzero(
        (listed | (np.arange(len(names)) < top_n)) & (names["score"] > 0).to_numpy()
    )
    values = np.asarray(activity.X, dtype=float)[restored.rows][plan.rows][:, chosen]
    block = restored.problem.block.numpy()[plan.rows]
    names = names.iloc[chosen].reset_index(drop=True)
    return levels(values, names, names["score"].to_numpy(dtype=float), block, plan, kind)
