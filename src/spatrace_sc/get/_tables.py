"""Tidy tables from what was stored."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys
from .._edges import LR_PAIRS, LR_TARGETS, TF_TARGETS, EdgeKind
from .._result import Result
from ._evidence import add_evidence
from ._mediation import add_mediation


def tf_targets(
    adata: AnnData, stage: str | None = None, *, key: str = _keys.RESULT
) -> pd.DataFrame:
    """Which TF drives which target.

    Parameters
    ----------
    adata
        With a result of :func:`spatrace_sc.tl.infer_ccc`.
    stage
        None: the whole data set. A stage: the effect times how strong the TF's level there is relative to its mean, drawn towards 1 where the stage has few cells; ``effect_se`` then holds the
        uncertainty of both. p, q, stability, group and evidence stay those of the whole. Stages are the slices where the inference was told no ``stage_key`` (:func:`stages`).
    key
        Name of the result.

    Returns
    -------
    Table, strongest first. Every candidate is listed, unless there are more than ``config.max_edges``. How far to believe a row stands in the last columns, which a narrow screen shows too.

    - ``tf, target``
    - ``effect``: signed, in standard deviations of the target per standard deviation of the TF; ``score`` its absolute value.
    - ``p_value, q_value``: small when the edge beats decoy TFs *and* is larger than ``minimum_effect`` (:func:`spatrace_sc.tl.infer_ccc`, Notes). p tests an edge, q is the expected share of false
      ones among those with at most this q.
    - ``effect_se``: standard error of the effect, over refits and of the correction for noise; NaN where no refit kept the edge and nothing was corrected.
    - ``minimum_effect``: the smallest effect on this target that is worth naming, a share (``config.evidence.smallest_share``) of what TFs do to it together. NaN where no TF's effect on the target exceeds its
      own error, or there are too many TFs for the test: there is nothing to take a share of, and no edge of the target is supported.
    - ``group``: "" or the regulators that the data cannot tell apart here, this one among them, separated by " | ": read "one of these". Sought for edges with q ≤ 0.1 and the 100 strongest. A pair in it is
      written ``ligand^receptor``.
    - ``stability``: share of the refits that keep the edge with its sign.
    - ``evidence``: what the columns say together, an ordered categorical, from "none" to "supported":

      - "supported": q ≤ 0.1;
      - "group" (of pairs): q above 0.1, but ``group_q_value`` ≤ 0.1: one of the group acts, which one is open;
      - "ranked": an effect without support, good for a ranking and no more;
      - "co-variation" (of pairs): an effect that no refit kept. The receptor follows the TFs, and its ligands are ranked by how their exposure goes with it (:func:`spatrace_sc.tl.infer_ccc`, Notes);
      - "none": no effect.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata)
    >>> len(st.get.tf_targets(adata))
    240
    """
    result = Result.read(adata, key)
    table = _every_candidate(result, TF_TARGETS)
    minimum = result.minimum_effect
    table["minimum_effect"] = np.where(minimum > 0, minimum, np.nan)[table["target"].to_numpy()]
    return _presented(table, result, TF_TARGETS, stage)


def lr_targets(
    adata: AnnData, stage: str | None = None, *, key: str = _keys.RESULT
) -> pd.DataFrame:
    r"""Which ligand–receptor pair changes which target.

    Parameters and units as in :func:`tf_targets`; a pair's level is its saturating signal.

    Returns
    -------
    Table, strongest first: ``ligand, receptor, target, effect, score, p_value, effect_se, group, q_value, stability, evidence`` as in :func:`tf_targets`, where ``effect`` is the *direct* one, and

    - ``group_q_value``: q of "one of the group acts". Where another pair would explain a pair's targets as well in its place, ``q_value`` of the pair and of its edges is that of this comparison, and ``group`` names the others: what acts is one of them.
    - ``mediated``: effect through measured TFs, signed, the sum over TFs of (effect of the pair on the TF) × (effect of the TF on the target), both in standard deviations and both with q ≤ 0.1.
    - ``direct_share``: \|effect\| / (\|effect\| + \|mediated\|); 0 where both are 0.
    - ``route``: "direct" (share of at least 0.8), "mediated" (at most 0.2), "both", or "" where there is no effect. "Direct" means: not through a measured TF that the data support; it may
      run through one that was not measured or not found.
    - ``through``: the TFs that carry at least a quarter of the mediated effect, strongest first, separated by " | ".

    ``effect_se`` and ``stability`` are those of the weight in the joint model. They know nothing of credit by co-variation, so an edge that has nothing else (``evidence``) has stability 0, q = 1, no standard error, and
    the p of its strength against decoys.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata)
    >>> len(st.get.lr_targets(adata))
    2880
    """
    result = Result.read(adata, key)
    table = add_mediation(_every_candidate(result, LR_TARGETS), result)
    return _presented(table, result, LR_TARGETS, stage)


def lr_pairs(adata: AnnData, stage: str | None = None, *, key: str = _keys.RESULT) -> pd.DataFrame:
    """Which ligand acts through which receptor.

    Parameters as in :func:`tf_targets`.

    Returns
    -------
    Table ``ligand, receptor, score, p_value, score_se, group_q_value, group, q_value, stability, evidence``, strongest first. ``score`` is the Euclidean norm of the pair's effects on all targets, averaged over refits,
    with the credit that is shared among ligands of receptors that follow the TFs (:func:`spatrace_sc.tl.infer_ccc`, Notes). p and q compare the pair's norm in the first pass with decoys, q is 1 for a pair that is less than a fifth of those that share its ligand or receptor; they
    know nothing of that credit, so they need not fall with the score. A pair must also explain its targets better than any that resembles it would in its place (``docs/method.md``, section 6): ``group`` are those that would do as well, written ``ligand^receptor``, and
    ``group_q_value`` is the q of "one of them acts" (:func:`lr_targets`). ``evidence`` as in :func:`tf_targets`.

    ``stability`` is, as q, of the first pass: the share of refits in which it gives the pair any weight. ``score_se`` is the standard error over refits of the second pass, which is sparser and makes the score. A pair that the second pass has
    dropped from every refit has a stability, but no standard error (NaN), and what score it has is co-variation.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata)
    >>> len(st.get.lr_pairs(adata))
    144
    """
    result = Result.read(adata, key)
    return _presented(_every_candidate(result, LR_PAIRS), result, LR_PAIRS, stage)


def training_history(adata: AnnData, *, key: str = _keys.RESULT) -> pd.DataFrame:
    """Mean squared error by epoch, in variances of the targets.

    Returns
    -------
    Table ``phase`` (attention, gates), ``epoch``, ``train``, ``held_out``.
    """
    return Result.read(adata, key).history


def params(adata: AnnData, *, key: str = _keys.RESULT) -> dict[str, Any]:
    """Arguments of the inference, with None where none was given.

    Returns
    -------
    Dictionary of the keys, the cell types that send and receive, the radius in the units of the coordinates, the seed, the device and the configuration.
    """
    values = Result.read(adata, key).params
    values |= {role: [str(name) for name in values[role]] for role in ("senders", "receivers")}
    return {
        name: None if isinstance(value, str) and not value else value
        for name, value in values.items()
    }


def stages(adata: AnnData, *, key: str = _keys.RESULT) -> list[str]:
    """Stages of a result, in order of time; its slices where the inference was told no ``stage_key``, one "all" where it was told neither."""
    return list(Result.read(adata, key).stages)


def _every_candidate(result: Result, kind: EdgeKind) -> pd.DataFrame:
    """Return all candidates of a kind, those that are not stored with score 0, genes as indices.

    Only the stored ones where there are more than the limit. Groups are names.
    """
    table = result.table(kind).copy()
    table["group"] = result.group_names[table["group"].to_numpy()]
    if not result.lists_all(kind):
        return add_evidence(table)
    absent = np.ones(result.genes.n_candidates(kind), dtype=bool)
    absent[result.genes.candidate(table, kind)] = False
    candidates = np.flatnonzero(absent)
    empty: dict[str, Any] = dict.fromkeys(table.columns, 0.0)
    empty |= result.genes.candidate_genes(candidates, kind) | {"q_value": 1.0, "group": ""}
    if "group_q_value" in table:
        empty["group_q_value"] = 1.0
    empty["p_value"] = result.p_values(kind)[candidates]
    without_score = pd.DataFrame(empty, columns=table.columns)
    return add_evidence(pd.concat([table, without_score], ignore_index=True))


def _presented(
    table: pd.DataFrame, result: Result, kind: EdgeKind, stage: str | None
) -> pd.DataFrame:
    """Return the table with names of genes, its effects and scores those of a stage."""
    genes = result.genes
    if stage is not None:
        pairs = kind is not TF_TARGETS
        factor, error = result.stage_factor(stage, pairs=pairs)
        regulator = genes.pair_of_rows(table) if pairs else table["tf"].to_numpy()
        table = _scaled(table, kind, factor[regulator], error[regulator])
    return genes.with_names(table, kind.columns)[list(kind.table_columns)]


def _scaled(
    table: pd.DataFrame, kind: EdgeKind, factor: NDArray[np.float64], error: NDArray[np.float64]
) -> pd.DataFrame:
    """Effects and scores times the factor of a stage; standard errors of the product."""
    scaled = table.assign(
        **{
            column: table[column].to_numpy() * factor
            for column in ("effect", "score", "mediated")
            if column in table
        }
    )
    se = f"{kind.size}_se"
    scaled[se] = np.hypot(table[se].to_numpy() * factor, table[kind.size].to_numpy() * error)
    return scaled.sort_values("score", ascending=False, kind="stable", ignore_index=True)
