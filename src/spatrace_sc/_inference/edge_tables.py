"""P-values, q-values and compact tables of edges, from the evidence of the refits."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import false_discovery_control

from .. import _keys
from .._core.statistics import decoy_q_values, median_over_draws, n_above_decoys
from .._edges import LR_PAIRS, LR_TARGETS, TF_TARGETS
from .._model.evidence.errors_in_variables import CorrectedEffects
from .._model.evidence.joint_effects import JointEffects
from .._model.evidence.minimum_effect import EffectTest
from .._model.evidence.silencing import SilencingEffects
from .._model.records import Draw, Edges, Evidence, RefitWeights
from .._regulators import Regulators

logger = logging.getLogger("spatrace_sc")

#: Fewest hits above all decoys that are worth a message: one or two are so by chance.
MIN_SHORT_LIST = 3
#: p and q of all candidates of a task.
Values = tuple[NDArray[np.float64], NDArray[np.float64]]


def p_and_q(
    evidence: Evidence,
    test: EffectTest,
    smallest_pair_share: float,
    genes: Regulators,
    *,
    noise_known: bool = True,
) -> tuple[dict[str, Values], dict[str, NDArray[np.float64]]]:
    """Return p and q of the tasks ``tf`` and ``lr``, of the listed edges, and ``pair``.

    The second dictionary holds q against decoys alone, before all other conditions.

    Pair edges and pairs have to beat decoys. A pair must also reach ``smallest_pair_share`` of the
    strength of all pairs together that share its ligand or its receptor: a weaker one is likely the
    residue of a strong neighbour's misfit. A TF edge has to beat decoys and exceed the minimum
    effect once count noise is corrected for: its p and q are the larger of the two. Without
    ``noise_known`` nothing can be corrected, and q of every TF edge is 1.
    """
    candidates = {
        "tf": evidence.tf.index,
        "lr": evidence.lr.index,
        "pair": np.arange(len(evidence.pair_score)),
    }
    against_decoys = {
        task: q_against_decoys(evidence.draws[task], index) for task, index in candidates.items()
    }
    q_tf, q_lr, q_pair = against_decoys.values()
    p_effect, ones = test.p_value.ravel(), np.ones(len(q_tf))
    q_effect, tested = ones.copy(), test.tested.ravel()
    q_effect[tested] = false_discovery_control(p_effect[tested])
    neighbours = strength_of_neighbours(evidence.pair_score, genes.n_receptors)
    weak = evidence.pair_score < smallest_pair_share * neighbours
    values = {
        "tf": (
            np.maximum(evidence.tf.p_value, p_effect),
            np.maximum(q_tf, q_effect) if noise_known else ones,
        ),
        "lr": (evidence.lr.p_value, q_lr),
        "pair": (evidence.pair_p_value, np.where(weak, 1.0, q_pair)),
    }
    return values, against_decoys


def log_short_lists(evidence: Evidence, values: dict[str, Values]) -> None:
    """Log where nothing is significant although several hits are stronger than every decoy.

    A list of n such hits alone has q = 1 / n, so fewer than ten cannot be significant.
    """
    for task, noun in (("lr", "pair → target edges"), ("pair", "pairs")):
        above = [
            n_above_decoys(d.score, (d.null_score, d.null_weight)) for d in evidence.draws[task]
        ]
        n = int(np.median(above))
        significant = (values[task][1] <= _keys.MAX_SIGNIFICANT_Q).any()
        if n >= MIN_SHORT_LIST and n * _keys.MAX_SIGNIFICANT_Q < 1 and not significant:
            logger.info(
                "%d %s are stronger than every decoy (median of the refits). A list of n has "
                "q = 1 / n, so this one is too short to be judged at q ≤ %g.",
                *(n, noun, _keys.MAX_SIGNIFICANT_Q),
            )


def strength_of_neighbours(strength: NDArray[np.floating], n_receptors: int) -> NDArray[np.float64]:
    """(P,) norm of the strengths of all pairs that share a pair's ligand or receptor.

    The pair itself is one of them; pairs are ordered ligand by ligand.
    """
    square = strength.reshape(-1, n_receptors).astype(np.float64) ** 2
    total = square.sum(1, keepdims=True) + square.sum(0, keepdims=True) - square
    norm: NDArray[np.float64] = np.sqrt(total).ravel()
    return norm


def combine_effects(
    evidence: Evidence,
    corrected: CorrectedEffects,
    joint: JointEffects,
    silenced: SilencingEffects,
) -> Evidence:
    """Return the evidence with TF effects averaged over four models.

    First the sparse and the noise-corrected effects are averaged, weighted by
    :attr:`CorrectedEffects.weight`; then their mean and the joint effects, weighted by
    :attr:`JointEffects.weight` where there are any; then that mean and the effects of models of
    the TFs alone, which see no covariates, weighted by :attr:`SilencingEffects.weight` times
    :attr:`JointEffects.unconfounded`.
    """
    tf = evidence.tf
    corrected_weight = np.full(joint.se.shape, corrected.weight)
    alone = silenced.weight * joint.unconfounded
    joint_weight = np.where(np.isfinite(joint.se), joint.weight, 0.0)
    for weights, effects, errors in (
        (corrected_weight, corrected.effect, corrected.se),
        (joint_weight, joint.effect, joint.se),
        (np.full(joint.se.shape, alone), silenced.effect, silenced.se),
    ):
        weight, error = weights.ravel(), np.where(np.isfinite(errors), errors, 0.0).ravel()
        mean = (1.0 - weight) * tf.effect + weight * effects.ravel()
        spread = np.hypot((1.0 - weight) * tf.effect_se, weight * error)
        effect = np.where(weight > 0, mean, tf.effect)
        se = np.where(weight > 0, spread, tf.effect_se)
        tf = replace(
            tf, effect=effect.astype(tf.effect.dtype), effect_se=se.astype(tf.effect_se.dtype)
        )
    return replace(evidence, tf=tf)


def edge_tables(
    genes: Regulators,
    evidence: Evidence,
    values: dict[str, Values],
    group_values: dict[str, Values],
    max_edges: int,
) -> dict[str, pd.DataFrame]:
    """Return compact tables of every edge with a score above 0, genes as indices.

    ``group_values`` hold the q of an edge's group. Readers add the edges with score 0.
    """
    tf, _ = _strongest_edges(evidence.tf, values["tf"], max_edges)
    lr, listed = _strongest_edges(evidence.lr, values["lr"], max_edges)
    lr["group_q_value"] = group_values["lr"][1][listed]
    pairs = pd.DataFrame(
        {
            "regulator": np.arange(genes.n_pairs),
            "score": evidence.pair_score,
            "p_value": values["pair"][0],
            "q_value": values["pair"][1],
            "stability": evidence.pair_stability,
            "score_se": evidence.pair_se,
            "group_q_value": group_values["pair"][1],
        }
    )
    pairs = pairs[pairs["score"] > 0].nlargest(max_edges, "score")
    for table in (lr, pairs):
        pair = table.pop("regulator")
        table.insert(0, "ligand", genes.ligand_of(pair))
        table.insert(1, "receptor", genes.receptor_of(pair))
    tables = {
        TF_TARGETS.name: tf.rename(columns={"regulator": "tf"}),
        LR_TARGETS.name: lr,
        LR_PAIRS.name: pairs,
    }
    return {name: _compact(table) for name, table in tables.items()}


def pair_tf_table(
    genes: Regulators,
    evidence: Evidence,
    noise: NDArray[np.floating],
    floor: NDArray[np.float64],
) -> pd.DataFrame:
    """Return the table ``ligand, receptor, tf, effect, q_value`` of effects of pairs on TFs.

    Genes are indices; every effect that is not 0 is listed, in standard deviations of the TF's
    noise-free level. Measured with a share ``noise`` (F,) of noise, effects come out too small by
    the square root of the remaining share. These edges are few, so their q is that of the edges of
    pairs on targets and on TFs together, and at least the ``floor`` (P,) of the pair.
    """
    listed = np.flatnonzero(evidence.on_tfs)
    pair, tf = np.divmod(listed, genes.n_tfs)
    n_edges = genes.n_pairs * evidence.lr.n_targets
    draws = [
        _merge_draws(on_targets, on_tfs, n_edges)
        for on_targets, on_tfs in zip(evidence.draws["lr"], evidence.draws["lr_tf"], strict=True)
    ]
    q = q_against_decoys(draws, n_edges + listed)
    return _small_dtypes(
        pd.DataFrame(
            {
                "ligand": genes.ligand_of(pair),
                "receptor": genes.receptor_of(pair),
                "tf": tf,
                "effect": evidence.on_tfs.ravel()[listed] / np.sqrt(1.0 - noise[tf]),
                "q_value": np.maximum(q, floor[pair]),
            }
        )
    )


def refit_weights(members: list[RefitWeights], max_edges: int) -> dict[str, NDArray[Any]]:
    """Return the weights of every refit: ``edge`` (A,) and ``weight`` (refits, A) float16.

    Edges are numbered as in :class:`spatrace_sc._model.records.RefitWeights`. If there are more
    than ``max_edges``, those that are largest on average are returned.
    """
    edge = np.unique(np.concatenate([member.edge for member in members]))
    weight = np.zeros((len(members), len(edge)), dtype=np.float16)
    for row, member in zip(weight, members, strict=True):
        row[np.searchsorted(edge, member.edge)] = member.weight
    if len(edge) > max_edges:
        size = np.abs(weight).mean(axis=0, dtype=np.float32)
        largest = np.sort(np.argsort(-size, kind="stable")[:max_edges])
        edge, weight = edge[largest], weight[:, largest]
    return {"edge": edge, "weight": weight}


def _merge_draws(first: Draw, second: Draw, offset: int) -> Draw:
    """Join two tasks; items of the second are numbered after those of the first."""
    null = np.concatenate([first.null_score, second.null_score])
    order = np.argsort(null, kind="stable")
    return Draw(
        np.concatenate([first.items, second.items + offset]),
        np.concatenate([first.score, second.score]),
        null[order],
        np.concatenate([first.null_weight, second.null_weight])[order],
    )


def _strongest_edges(
    edges: Edges, values: Values, max_edges: int
) -> tuple[pd.DataFrame, NDArray[np.intp]]:
    """Return the strongest edges as a table, and their positions among the listed ones."""
    score = np.abs(edges.effect)
    position = np.flatnonzero(score > 0)
    position = position[np.argsort(-score[position], kind="stable")][:max_edges]
    p, q = values
    table = pd.DataFrame(
        {
            "regulator": edges.regulator[position],
            "target": edges.target[position],
            "effect": edges.effect[position],
            "score": score[position],
            "p_value": p[position],
            "q_value": q[position],
            "stability": edges.stability[position],
            "effect_se": edges.effect_se[position],
        }
    )
    return table, position


def q_against_decoys(draws: list[Draw], wanted: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return q of the ``wanted`` candidates, in ascending order: the median over refits.

    Each refit is compared with the decoys that were drawn for it.
    """
    q = [decoy_q_values(d.score, (d.null_score, d.null_weight)) for d in draws]
    return median_over_draws([d.items for d in draws], q, wanted)


def _compact(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table in small dtypes, strongest first."""
    return _small_dtypes(
        table.sort_values("score", ascending=False, kind="stable").reset_index(drop=True)
    )


def _small_dtypes(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with indices as int32 and all other values as float64."""
    return table.astype({c: "int32" if table[c].dtype.kind in "iu" else "float64" for c in table})
