"""Tests of all edges: from the evidence of refits to tables with p, q, groups and reasons."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .. import _keys
from .._edges import LR_PAIRS, LR_TARGETS, LR_TFS, TESTED_KINDS, TF_TARGETS
from .._model.config import Config
from .._model.evidence.errors_in_variables import noise_share
from .._model.evidence.pooled_effects import pool_effects
from .._model.evidence.rivals import find_rivals
from .._model.evidence.shared_credit import share_credit
from .._model.evidence.silencing import SilencingEffects
from .._model.evidence.within_between import within_between
from .._model.fit import Fit
from .._model.records import Evidence, Problem
from .._study.records import Study
from .direction import add_leads, leads_of_tfs
from .edge_tables import (
    Values,
    combine_effects,
    edge_tables,
    log_short_lists,
    p_and_q,
    pair_tf_table,
)
from .effect_parts import add_effect_parts
from .indistinguishable import add_groups, apply_rival_test, edges_to_test, pairs_to_test
from .limits import add_limits, limits
from .local_test import apply_local_test
from .robustness import add_robustness
from .tf_effects import tf_effects

logger = logging.getLogger("spatrace_sc")


@dataclass(frozen=True)
class EdgeEvidence:
    """Evidence with shared credit, and the tables made of it.

    ``values`` are p and q of the pairs after the rival test; ``p_values`` those of every candidate
    by kind, empty where they are too many; ``minimum_effect`` (G,); ``order_share`` of the leads
    of TFs (:class:`spatrace_sc._core.leads.Leads`).
    """

    evidence: Evidence
    tables: dict[str, pd.DataFrame]
    groups: list[str]
    values: Values
    p_values: dict[str, NDArray[np.float32]]
    minimum_effect: NDArray[np.float64]
    order_share: float


def assess_edges(
    study: Study,
    problem: Problem,
    fitted: Fit,
    evidence: Evidence,
    silenced: SilencingEffects,
    config: Config,
    *,
    seed: int,
) -> EdgeEvidence:
    """Correct, combine and test the effects; return the tables with p, q, groups and leads."""
    options, genes, noise_known = config.evidence, study.genes, study.noise_known
    of_tfs = tf_effects(problem, fitted, evidence, options.smallest_share)
    corrected, test = of_tfs.corrected, of_tfs.test
    values, against_decoys = p_and_q(
        evidence, test, options.smallest_pair_share, genes, noise_known=noise_known
    )
    log_short_lists(evidence, values)
    edge_significant, pair_significant = (
        values[task][1] <= _keys.MAX_SIGNIFICANT_Q for task in ("lr", "pair")
    )
    pair_significant[evidence.lr.regulator[edge_significant]] = True
    evidence = combine_effects(evidence, corrected, of_tfs.joint, silenced)
    significant = edge_significant, pair_significant
    evidence = pool_effects(problem, evidence, *significant)
    evidence = share_credit(problem, fitted, evidence, *significant)
    local = apply_local_test(study, problem, fitted, evidence, values)
    edges = edges_to_test(evidence, local, genes)
    pairs = pairs_to_test(evidence, local, genes, edges)
    rivals = find_rivals(problem, fitted, edges, pairs, evidence.refits)
    tested, rivals, floor = apply_rival_test(evidence, local, rivals, genes)
    tables = edge_tables(genes, evidence, tested, local, config.max_edges)
    stages = values, local, tested
    codes = limits(evidence, test, against_decoys, stages, noise_known=noise_known)
    add_limits(tables, genes, evidence, codes)
    groups = add_groups(tables, genes, rivals)
    by_part = add_effect_parts(tables[TF_TARGETS.name], within_between(problem))
    tables[TF_TARGETS.name] = add_robustness(by_part, corrected)
    noise = noise_share(problem).cpu().numpy()
    tables[LR_TFS.name] = pair_tf_table(genes, evidence, noise, floor)
    logger.info(
        "At q ≤ %g: %d TF → target edges, %d pair → target edges, %d pairs.",
        _keys.MAX_SIGNIFICANT_Q,
        *(int((tables[k.name]["q_value"] <= _keys.MAX_SIGNIFICANT_Q).sum()) for k in TESTED_KINDS),
    )
    p_values = _p_of_candidates(study, evidence, values, config.max_edges)
    minimum_effect = np.asarray(test.minimum, dtype=np.float64)
    leads = leads_of_tfs(study, problem.block.cpu().numpy(), seed)
    tables[TF_TARGETS.name] = add_leads(tables[TF_TARGETS.name], leads)
    return EdgeEvidence(
        *(evidence, tables, groups, tested["pair"]), p_values, minimum_effect, leads.order_share
    )


def _p_of_candidates(
    study: Study, evidence: Evidence, values: dict[str, Values], max_edges: int
) -> dict[str, NDArray[np.float32]]:
    """Return p of all candidates by kind; empty if they exceed ``max_edges``."""
    genes = study.genes
    listed = {
        TF_TARGETS: (values["tf"], evidence.tf.index),
        LR_TARGETS: (values["lr"], evidence.lr.index),
        LR_PAIRS: (values["pair"], np.arange(genes.n_pairs)),
    }
    p_values = {}
    for kind, ((p, _), candidate) in listed.items():
        stored = genes.n_candidates(kind) <= max_edges
        p_values[kind.name] = np.ones(genes.n_indices(kind) if stored else 0, dtype=np.float32)
        if stored:
            p_values[kind.name][candidate] = p
    return p_values
