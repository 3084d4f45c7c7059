"""Tables of edges and pairs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys
from .._edges import LR_PAIRS, LR_TARGETS, TF_TARGETS, EdgeKind
from .._result import Result
from ._direction import add_direction
from ._effect_parts import present_effect_parts
from ._evidence import add_evidence
from ._limits import add_limited_by
from ._mediation import add_mediation


def tf_targets(
    adata: AnnData, stage: str | None = None, *, key: str = _keys.RESULT
) -> pd.DataFrame:
    """Return the TF → target edges, strongest first.

    Parameters
    ----------
    adata
        With a result of :func:`spatrace_sc.tl.infer_ccc`.
    stage
        None: the full data set. A stage: ``effect`` and ``score`` are multiplied by the TF's
        mean level in the stage relative to its mean over all receivers. That factor is shrunk
        towards 1 where the stage has few cells, and ``effect_se`` includes its uncertainty. All
        other columns remain those of the full data set. :func:`stages` lists
        the stages; without a ``stage_key`` the slices are the stages.
    key
        Name of the result.

    Returns
    -------
    Table with one row per candidate edge. If there are more than ``config.max_edges`` candidates,
    only edges with an effect are listed, at most that many. Columns about reliability come last,
    where a narrow screen shows them, too.

    - ``tf``, ``target``: names of the genes.
    - ``effect``: change of the target, in its standard deviations, when the TF rises by one of
      its own. Positive: the TF activates the target. Negative: it represses it.
    - ``score``: absolute value of ``effect``. Rows are ranked by it.
    - ``p_value``: p of this single edge. Small if the edge beats decoy TFs *and* its effect
      exceeds ``minimum_effect`` (:func:`spatrace_sc.tl.infer_ccc`, Notes).
    - ``effect_se``: standard error of ``effect``, over refits and of the correction for count
      noise. NaN if no refit selected the edge and nothing was corrected.
    - ``minimum_effect``: minimum meaningful effect on this target, a share
      (``config.evidence.smallest_share``) of the joint effect of all TFs on it. NaN if no TF's
      effect on the target exceeds its own error, or if there are too many TFs for the test. No
      edge to such a target is significant.
    - ``robustness``: share of the residual variance of TF and target, 0 to 1, that a confounder
      would have to explain to remove the effect (``docs/method/confounders.md``).
    - ``benchmark``: the same for the strongest measured covariate (cell type, slice, time,
      neighbourhood or one that you named). An edge whose ``robustness`` is below it could be
      explained by a confounder no stronger than that. Both are NaN where they are unknown, and for
      TFs that fewer than half of the refits select for the target.
    - ``effect_within``, ``effect_between``: effect within cell type, slice and time, and effect of
      what these predict of the TF on what they predict of the target, in the units of ``effect``.
      They come from ridge regressions of their own and do not change score, p or q
      (``docs/method/confounders.md``). NaN without a score and in results of earlier versions.
    - ``effect_within_se``, ``effect_between_se``: their standard errors.
    - ``rests_on``: "within", "between" or "both" where that part has the sign of ``effect`` and
      p ≤ 0.05 for this one edge, "neither" otherwise. Few types, slices and times vary
      independently, so the part between them is rarely significant. A confounder that differs
      between them can explain it, too.
    - ``group``: regulators that the data cannot distinguish, this one included, separated by
      " | ". Read it as "one of these acts". Determined for edges with q ≤ 0.1 and for the 100
      strongest; empty for other edges, and where there is no such regulator. Of more than 12,
      the first 12 are named. A pair is written ``ligand^receptor``.
    - ``lead``: how far the TF changes before the target along the transitions, −1 to 1; negative
      if the target changes first. ``lead_se``: its standard error (``docs/method/location.md``).
    - ``direction``: "forward" if the TF changes first, ``lead`` > 1.28 ``lead_se`` (level 10 %);
      "reverse as likely" if the target does, ``lead`` < −1.28 ``lead_se``; else "not determined".
      No edge has a direction if the order in time explains less than half of all leads, as in a
      steady state, or if an earlier version stored the result. q does not use the direction.
    - ``limited_by``: why the edge is not significant, a categorical; "" if it is. The first of
      these that holds:

      - "not tested (same gene)": the target is the TF itself, or the ligand, the receptor or a
        subunit of the pair. A gene is never used to predict itself.
      - "no effect": the score is 0.
      - "noise not known" (TF edges only): the count noise is unknown, so nothing was tested.
      - "list too short": q against decoys is above 0.1, although the edge exceeds every decoy in
        more than half of the refits and, of a TF, passes the test against ``minimum_effect``. A
        list of n such edges alone has q = 1 / n. One or two such edges arise by chance.
      - "weaker than decoys": q against decoys is above 0.1.
      - "below the minimum effect" (TF edges only): p of the test against ``minimum_effect``,
        for this edge alone, is above 0.1.
      - "too many candidates" (TF edges only): that p is at most 0.1, but not after
        Benjamini-Hochberg adjustment for all candidates.
      - "location explains it": among neighbouring cells the effect is not clearly larger than two
        thirds (of a TF, half) of the effect across the tissue. A hidden spatial field could have
        caused it.
      - "a rival explains it" (pairs and their edges): another pair would explain the targets
        equally well (``group``, ``group_q_value``); or the pair is weaker than a fifth of all pairs
        together that share its ligand or its receptor.
      - "not recorded": an earlier version stored the result.
    - ``q_value``: estimated false discovery rate at this rank, i.e. the expected share of false
      edges among all edges with at most this q. An edge with q ≤ 0.1 is significant. q is 1
      for all TF edges where the count noise is unknown.
    - ``stability``: selection frequency, i.e. the share of refits that select the edge with the
      same sign of effect.
    - ``evidence``: summary of the columns above, an ordered categorical from "none" to
      "supported":

      - "supported": significant, q ≤ 0.1.
      - "group" (pairs only): q is above 0.1, but ``group_q_value`` ≤ 0.1. One regulator of the
        group acts; the data cannot identify which.
      - "ranked": an effect that is not significant. Use it for ranking only.
      - "noise unknown" (TF edges only): an effect that could not be tested, because the data are
        not log1p of normalised counts. p is that of the test without a correction for count
        noise, q is 1. Use it for ranking only.
      - "co-variation" (pairs only): an effect that no refit selected. The receptor follows the
        TFs, and its ligands are ranked by the correlation of their exposure with it. Or the
        pair acts on other targets of a TF that regulates this one
        (:func:`spatrace_sc.tl.infer_ccc`, Notes).
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
    table = add_direction(present_effect_parts(table))
    return _presented(table, result, TF_TARGETS, stage)


def lr_targets(
    adata: AnnData, stage: str | None = None, *, key: str = _keys.RESULT
) -> pd.DataFrame:
    """Return the effects of ligand–receptor pairs on targets, strongest first.

    Parameters, units and the list of candidates are as in :func:`tf_targets`. The level of a
    pair is its saturating signal. The pair of a gene with itself is a candidate only with
    ``homophilic=True`` in :func:`spatrace_sc.tl.infer_ccc`.

    Returns
    -------
    Table with one row per ligand, receptor and target. ``score``, ``p_value``, ``effect_se``,
    ``group``, ``limited_by``, ``q_value``, ``stability`` and ``evidence`` are as in
    :func:`tf_targets`. Other columns:

    - ``ligand``, ``receptor``, ``target``: names of the genes.
    - ``effect``: *direct* effect of the pair, i.e. the change of the target, in its standard
      deviations, per standard deviation of the signal, with all measured TFs held fixed. Signed.
    - ``group_q_value``: estimated false discovery rate of "one pair of the group acts".
      ``q_value`` is larger where another pair would explain the targets equally well if
      substituted: it is then the q of that comparison, and ``group`` lists the pairs one of
      which acts.
    - ``mediated``: effect through measured TFs, signed. It is the sum over TFs of (effect of the
      pair on the TF) × (effect of the TF on the target), both with q ≤ 0.1, in standard
      deviations.
    - ``direct_share``: abs(effect) / (abs(effect) + abs(mediated)); 0 if both are 0.
    - ``through``: TFs that carry at least a quarter of the mediated effect, strongest first,
      separated by " | ".
    - ``route``: "direct" (direct share of at least 0.8), "mediated" (at most 0.2), "both", or ""
      without an effect. A direct effect bypasses the measured TFs whose edges are significant.
      It may pass through a TF that was not measured or whose edges are not significant.

    ``effect_se`` and ``stability`` describe the weight in the joint model. They do not cover
    pooled effects or credit that is shared by co-variation. An edge with ``evidence``
    "co-variation" therefore has stability 0, q = 1, no standard error, and the p of its strength
    against decoys.

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
    """Return the ligand–receptor pairs, strongest first.

    Parameters are as in :func:`tf_targets`.

    Returns
    -------
    Table with one row per candidate pair. A gene is paired with itself only with
    ``homophilic=True`` in :func:`spatrace_sc.tl.infer_ccc`.

    - ``ligand``, ``receptor``: names of the genes.
    - ``score``: Euclidean norm of the pair's effects on all targets, averaged over refits. It
      includes pooled effects, and credit that is shared among the ligands of receptors that
      follow the TFs (:func:`spatrace_sc.tl.infer_ccc`, Notes).
    - ``p_value``, ``q_value``: p of this pair alone, and the estimated false discovery rate at
      its rank. Both compare the norm of the pair in the first pass of the fit with decoy pairs.
      Shared credit does not enter them, so they need not decrease with ``score``. q is 1 for a
      pair that is weaker than a fifth of all pairs together that share its ligand or its
      receptor.
    - ``score_se``: standard error of ``score`` over refits of the second pass, which is sparser
      and yields the score. NaN if no refit of the second pass selected the pair: its score is
      then co-variation only.
    - ``group``: pairs that the data cannot distinguish, written ``ligand^receptor``. Any of them
      would explain the targets equally well if substituted (``docs/method/pairs.md``).
    - ``group_q_value``: estimated false discovery rate of "one pair of the group acts".
    - ``stability``: selection frequency in the first pass, i.e. the share of refits that give
      the pair any weight.
    - ``limited_by``, ``evidence``: as in :func:`tf_targets`.

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


def _every_candidate(result: Result, kind: EdgeKind) -> pd.DataFrame:
    """Return a row for every candidate of a kind, genes as indices and groups as names.

    Candidates that are not stored have score 0. If there are more candidates than the limit,
    only the stored ones are returned.
    """
    table = result.table(kind).copy()
    table["group"] = result.group_names[table["group"].to_numpy()]
    if not result.lists_all(kind):
        return add_evidence(table, noise_known=result.noise_known)
    absent = np.ones(result.genes.n_indices(kind), dtype=bool)
    absent[result.genes.candidate(table, kind)] = False
    absent[result.genes.excluded(kind)] = False
    candidates = np.flatnonzero(absent)
    empty: dict[str, Any] = dict.fromkeys(table.columns, 0.0)
    empty |= result.genes.candidate_genes(candidates, kind) | {"q_value": 1.0, "group": ""}
    if "group_q_value" in table:
        empty["group_q_value"] = 1.0
    empty["p_value"] = result.p_values(kind)[candidates]
    without_score = pd.DataFrame(empty, columns=table.columns)
    table = pd.concat([table, without_score], ignore_index=True)
    return add_evidence(table, noise_known=result.noise_known)


def _presented(
    table: pd.DataFrame, result: Result, kind: EdgeKind, stage: str | None
) -> pd.DataFrame:
    """Return the table with gene names, scaled to a stage if one is given."""
    genes = result.genes
    table = add_limited_by(table, genes.regulates_itself(table))
    if stage is not None:
        pairs = kind is not TF_TARGETS
        factor, error = result.stage_factor(stage, pairs=pairs)
        regulator = genes.pair_of_rows(table) if pairs else table["tf"].to_numpy()
        table = _scaled(table, kind, factor[regulator], error[regulator])
    return genes.with_names(table, kind.columns)[list(kind.table_columns)]


def _scaled(
    table: pd.DataFrame, kind: EdgeKind, factor: NDArray[np.float64], error: NDArray[np.float64]
) -> pd.DataFrame:
    """Multiply effects and scores by the factors of a stage; propagate the standard errors."""
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
