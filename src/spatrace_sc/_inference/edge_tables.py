"""From a fit and its evidence to what is stored."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from .._core.statistics import benjamini_hochberg, decoy_q_values, median_over_draws
from .._model.evidence.errors_in_variables import Corrected
from .._model.evidence.latent_levels import Joint
from .._model.fit import Fit
from .._model.records import Draw, Edges, Evidence, Member, Problem
from .._study.records import Study

#: p and q of all candidates of a task.
Values = tuple[NDArray[np.float64], NDArray[np.float64]]


def p_and_q(
    evidence: Evidence, corrected: Corrected, smallest_share: float, n_receptors: int
) -> dict[str, Values]:
    """P and q of the tasks ``tf`` and ``lr``, of the edges that the evidence lists, and ``pair``.

    LR edges and pairs have to beat decoys, and a pair must be at least ``smallest_share`` of all pairs together that share its ligand or its receptor: a small one beside a strong one is what the strong one's
    shape leaves over. A TF edge has to do that *and* be larger than what is worth naming once the noise of counting is taken out: the larger of the two p and of the two q.
    """
    q = {
        "tf": _q_against_decoys(evidence.draws["tf"], evidence.tf.number),
        "lr": _q_against_decoys(evidence.draws["lr"], evidence.lr.number),
        "pair": _q_against_decoys(evidence.draws["pair"], np.arange(len(evidence.pair_score))),
    }
    flat = corrected.p_value.ravel()
    small = evidence.pair_score < smallest_share * beside(evidence.pair_score, n_receptors)
    return {
        "tf": (
            np.maximum(evidence.tf.p_value, flat),
            np.maximum(q["tf"], benjamini_hochberg(flat)),
        ),
        "lr": (evidence.lr.p_value, q["lr"]),
        "pair": (evidence.pair_p_value, np.where(small, 1.0, q["pair"])),
    }


def beside(strength: NDArray[np.floating], n_receptors: int) -> NDArray[np.float64]:
    """(P,) norm of the strengths of all pairs that share a pair's ligand or receptor, itself among them; pairs are ordered ligand by ligand."""
    square = strength.reshape(-1, n_receptors).astype(np.float64) ** 2
    together: NDArray[np.float64] = (
        square.sum(1, keepdims=True) + square.sum(0, keepdims=True) - square
    )
    return np.sqrt(together).ravel()


def combined(evidence: Evidence, corrected: Corrected, joint: Joint) -> Evidence:
    """Evidence with TF effects that are the mean of the sparse model's and the noise-corrected ones, weighted by :attr:`Corrected.weight`, and then of that and the joint ones, weighted by :attr:`Joint.weight` where there are any."""
    tf = evidence.tf
    always, where = (
        np.full(joint.se.shape, corrected.weight),
        np.where(np.isfinite(joint.se), joint.weight, 0.0),
    )
    for weights, found, errors in (
        (always, corrected.effect, corrected.se),
        (where, joint.effect, joint.se),
    ):
        weight, error = weights.ravel(), np.where(np.isfinite(errors), errors, 0.0).ravel()
        effect = np.where(
            weight > 0, (1.0 - weight) * tf.effect + weight * found.ravel(), tf.effect
        )
        se = np.where(
            weight > 0, np.hypot((1.0 - weight) * tf.effect_se, weight * error), tf.effect_se
        )
        tf = replace(
            tf, effect=effect.astype(tf.effect.dtype), effect_se=se.astype(tf.effect_se.dtype)
        )
    return replace(evidence, tf=tf)


def edge_tables(
    study: Study,
    evidence: Evidence,
    values: dict[str, Values],
    of_groups: dict[str, Values],
    max_edges: int,
) -> dict[str, Any]:
    """Compact tables of every edge with a score above 0, with its q and that of its group; genes as numbers. Readers expand them."""
    n_r = len(study.genes["receptors"])
    tf, _ = _edges(evidence.tf, values["tf"], max_edges)
    lr, kept = _edges(evidence.lr, values["lr"], max_edges)
    lr["group_q_value"] = of_groups["lr"][1][kept]
    pairs = pd.DataFrame(
        {"regulator": np.arange(len(evidence.pair_score)), "score": evidence.pair_score}
    )
    pairs["p_value"], pairs["q_value"] = values["pair"]
    pairs["stability"] = evidence.pair_stability
    pairs["score_se"] = evidence.pair_se
    pairs["group_q_value"] = of_groups["pair"][1]
    pairs = pairs[pairs["score"] > 0].nlargest(max_edges, "score")
    for table in (lr, pairs):
        table.insert(0, "ligand", table["regulator"] // n_r)
        table.insert(1, "receptor", table.pop("regulator") % n_r)
    tables = {
        "tf_targets": tf.rename(columns={"regulator": "tf"}),
        "lr_targets": lr,
        "lr_pairs": pairs,
    }
    return {name: _compact(table) for name, table in tables.items()}


def first_steps(
    study: Study, evidence: Evidence, noise: NDArray[np.floating], floor: NDArray[np.float64]
) -> pd.DataFrame:
    """Table ligand, receptor, tf, effect, q_value of what pairs do to TFs, every effect that is not 0; genes as numbers.

    In standard deviations of the TF's noise-free level: measured with a share ``noise`` (F,) of noise, effects come out too small by the square root of the rest. They are few, so q is that of the edges of
    pairs on targets and on TFs together, and at least the pair's ``floor`` (P,).
    """
    n_r, n_f = len(study.genes["receptors"]), len(study.genes["tfs"])
    kept = np.flatnonzero(evidence.on_tfs)
    pair, tf = kept // n_f, kept % n_f
    n_edges = len(evidence.on_tfs) * evidence.lr.n_targets
    together = [
        _merged(a, b, n_edges)
        for a, b in zip(evidence.draws["lr"], evidence.draws["lr_tf"], strict=True)
    ]
    frame = pd.DataFrame(
        {
            "ligand": pair // n_r,
            "receptor": pair % n_r,
            "tf": tf,
            "effect": evidence.on_tfs.ravel()[kept] / np.sqrt(1.0 - noise[tf]),
            "q_value": np.maximum(_q_against_decoys(together, n_edges + kept), floor[pair]),
        }
    )
    return frame.astype({c: "int32" if frame[c].dtype.kind in "iu" else "float64" for c in frame})


def refit_weights(members: list[Member], max_edges: int) -> dict[str, NDArray[Any]]:
    """Weights of every refit: ``edge`` (A,) numbered as in :class:`spatrace_sc._model.records.Member`, and ``weight`` (refits, A) float16; with more than ``max_edges`` the largest on average."""
    edge = np.unique(np.concatenate([m.edge for m in members]))
    weight = np.zeros((len(members), len(edge)), dtype=np.float16)
    for row, member in zip(weight, members, strict=True):
        row[np.searchsorted(edge, member.edge)] = member.weight
    if len(edge) > max_edges:
        size = np.abs(weight).mean(axis=0, dtype=np.float32)
        kept = np.sort(np.argsort(-size, kind="stable")[:max_edges])
        edge, weight = edge[kept], weight[:, kept]
    return {"edge": edge, "weight": weight}


def _merged(first: Draw, second: Draw, offset: int) -> Draw:
    """Two tasks as one, the items of the second numbered after those of the first."""
    null = np.concatenate([first.null_score, second.null_score])
    order = np.argsort(null, kind="stable")
    return Draw(
        np.concatenate([first.items, second.items + offset]),
        np.concatenate([first.score, second.score]),
        null[order],
        np.concatenate([first.null_weight, second.null_weight])[order],
    )


def _edges(edges: Edges, values: Values, max_edges: int) -> tuple[pd.DataFrame, NDArray[np.intp]]:
    """The strongest edges, and which of the listed they are."""
    score = np.abs(edges.effect)
    kept = np.flatnonzero(score > 0)
    kept = kept[np.argsort(-score[kept], kind="stable")][:max_edges]
    p, q = values
    table = pd.DataFrame(
        {
            "regulator": edges.regulator[kept],
            "target": edges.target[kept],
            "effect": edges.effect[kept],
            "score": score[kept],
            "p_value": p[kept],
            "q_value": q[kept],
            "stability": edges.stability[kept],
            "effect_se": edges.effect_se[kept],
        }
    )
    return table, kept


def _q_against_decoys(draws: list[Draw], wanted: NDArray[np.integer]) -> NDArray[np.float64]:
    """Q of the candidates ``wanted``, ascending: computed in each refit against its own decoys, then the median over refits."""
    q = [decoy_q_values(d.score, (d.null_score, d.null_weight)) for d in draws]
    return median_over_draws([d.items for d in draws], q, wanted)


def _compact(table: pd.DataFrame) -> pd.DataFrame:
    table = table.sort_values("score", ascending=False, kind="stable").reset_index(drop=True)
    return table.astype({c: "int32" if table[c].dtype.kind in "iu" else "float64" for c in table})


@torch.no_grad()
def regulator_levels(
    problem: Problem, fit: Fit, regulators: NDArray[np.integer]
) -> NDArray[np.float32]:
    """(receivers, A) level of TFs (log expression) or pairs (saturating signal) as attended, times the cell's gate."""
    index = torch.as_tensor(regulators, device=problem.targets.device)
    n_f = problem.n_tfs
    is_tf = index < n_f
    level = torch.cat(
        [
            fit.attended.tf[:, index[is_tf]],
            fit.network.signal(fit.attended.exposure, fit.attended.receptor, index[~is_tf] - n_f),
        ],
        dim=1,
    )
    return (level * (1.0 + fit.network.gate(fit.look.context, index))).cpu().numpy()
