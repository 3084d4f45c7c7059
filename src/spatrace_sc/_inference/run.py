"""One inference from end to end: fit, resample, test, summarise."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from .. import _keys
from .._core.uncertainty import shrink, stage_factors
from .._model.config import Config
from .._model.evidence.errors_in_variables import corrected_effects, noise_share
from .._model.evidence.latent_levels import joint_effects
from .._model.evidence.prior_trust import borne_out
from .._model.evidence.resample import refits_at_a_time, resample
from .._model.evidence.rivals import find_rivals
from .._model.evidence.screen_pairs import screen
from .._model.evidence.shared_credit import share_credit
from .._model.fit import Fit, fit
from .._model.network.checkpoint import to_arrays
from .._model.records import Evidence, Problem
from .._model.runtime.memory import Sizes, check_memory
from .._study.histories import decoy_drawer
from .._study.prior_penalties import Prior
from .._study.problem import build_problem
from .._study.records import Study
from .activity import activity_of, tf_activity_of
from .communication import BLOCK_RADII, Talk, cells_matrix, talk
from .edge_tables import (
    Values,
    combined,
    edge_tables,
    first_steps,
    p_and_q,
    refit_weights,
    regulator_levels,
)
from .indistinguishable import add_groups, edges_to_check, only_told_apart, pairs_to_check
from .restore import target_moments

logger = logging.getLogger("spatrace_sc")

#: Candidate edges of pairs from which on the user is told that it takes long.
MANY = 20_000_000
#: What is known of pairs that have an activity.
SCORED = ["score", "p_value", "q_value"]


def run(
    study: Study, config: Config, seed: int, device: torch.device, prior: Prior | None
) -> dict[str, Any]:
    """Everything that is stored, from a study. This module imports torch; the verb imports it when it is called."""
    n_f, n_l, n_r, n_g = (
        len(study.genes[role]) for role in ("tfs", "ligands", "receptors", "targets")
    )
    sizes = Sizes(len(study.time), config.model.n_lags, n_f, n_l, n_r, n_g, config.max_edges)
    check_memory(sizes, refits_at_a_time(config, device), device)
    problem = build_problem(study, config, prior).to(device)
    logger.info(
        "%d receivers, %d senders; %d TFs and %d ligand–receptor pairs on %d targets; device %s.",
        *(len(study.time), int(study.senders.sum()), len(study.genes["tfs"])),
        *(problem.n_pairs, problem.targets.shape[1], device),
    )
    if problem.n_pairs * n_g > MANY:
        logger.warning(
            "%.0f million candidate pair → target edges: this takes minutes to hours. Fewer targets (%d here) or genes that can signal (%d × %d) shorten it.",
            *(problem.n_pairs * n_g / 1e6, n_g, n_l, n_r),
        )
    fit_seed, resample_seed, permute_seed = (
        int(s) for s in np.random.default_rng(seed).integers(2**31, size=3)
    )
    problem, trust = borne_out(problem, config, seed=fit_seed)
    fitted = fit(problem, config, seed=fit_seed)
    draw = decoy_drawer(study, problem.covariates.cpu().numpy(), config.model.n_lags)
    evidence = resample(screen(problem, fitted, config), fitted, draw, config, seed=resample_seed)
    evidence, edges = _edges(study, problem, fitted, evidence, config)
    ranked = np.argsort(-evidence.pair_score, kind="stable")[: int((evidence.pair_score > 0).sum())]
    top = ranked[: config.max_activity].astype(np.int64)
    strength = evidence.pair_score[top].astype(np.float32)
    activity, activity_se = activity_of(study, problem, fitted, top, strength)
    tf_activity, tf_strength = tf_activity_of(
        problem, fitted, evidence.tf.effect.reshape(problem.n_tf_genes, -1)
    )
    said = _talk(study, edges.pop("pair_values"), top, activity)
    edges["tables"] |= talk(
        said,
        block_size=BLOCK_RADII * study.radius,
        n_permutations=config.evidence.n_permutations,
        rng=np.random.default_rng(permute_seed),
        progress=config.progress,
    )
    return {
        **edges,
        "target_moments": target_moments(study),
        "refits": refit_weights(evidence.members, config.max_edges),
        "stage_factors": _stage_factors(study, problem, fitted, edges["tables"]["lr_pairs"]),
        "fit": {f"r2_{k}": float(v) for k, v in fitted.r2.items()}
        | {"penalty": fitted.weights.penalty, "held_out_cells": int(fitted.held_out.sum())}
        | {f"prior_{kind}": least for kind, least in trust.items()},
        "history": pd.DataFrame(fitted.history, columns=_keys.HISTORY),
        "model": to_arrays(fitted),
        "activity": activity,
        "activity_se": activity_se,
        "tf_activity": tf_activity,
        "tf_scores": tf_strength.astype(float),
        "activity_pairs": said.pairs.assign(score=strength.astype(float))[
            ["ligand", "receptor", *SCORED]
        ],
        "matrix": cells_matrix(said),
    }


def _talk(
    study: Study, values: Values, top: NDArray[np.int64], activity: NDArray[np.float32]
) -> Talk:
    """The strongest pairs between the cells of a study."""
    n_r, genes = len(study.genes["receptors"]), study.genes
    pairs = pd.DataFrame(
        {
            "ligand": genes["ligands"].astype(object)[top // n_r],
            "receptor": genes["receptors"].astype(object)[top % n_r],
            "p_value": values[0][top],
            "q_value": values[1][top],
        }
    )
    return Talk(
        pairs=pairs,
        activity=activity,
        ligand=top // n_r,
        sender_ligand=study.sender_ligand,
        weights=study.weights,
        sender_type=study.types[study.senders],
        receiver_type=study.types[study.receivers],
        sender_sample=study.sample[study.senders],
        receiver_sample=study.sample[study.receivers],
        stage=study.stage,
        stages=study.stages,
        sender_coords=study.sender_coords,
        receiver_coords=study.coords,
    )


def _edges(
    study: Study, problem: Problem, fitted: Fit, evidence: Evidence, config: Config
) -> tuple[Evidence, dict[str, Any]]:
    """Evidence with every share of credit in it, and the tables of edges with their p, q, groups and mediators."""
    share, n_tfs = config.evidence.smallest_share, len(study.genes["tfs"])
    corrected = corrected_effects(problem, fitted, share)
    values = p_and_q(evidence, corrected, share, len(study.genes["receptors"]))
    supported, pairs = (values[task][1] <= _keys.SUPPORTED for task in ("lr", "pair"))
    pairs[evidence.lr.regulator[supported]] = True
    evidence = combined(evidence, corrected, joint_effects(problem, fitted))
    evidence = share_credit(problem, fitted, evidence, supported, pairs)
    to_check = edges_to_check(evidence, values, n_tfs, _keys.SUPPORTED)
    whole = pairs_to_check(evidence, values, n_tfs, to_check)
    rivals = find_rivals(problem, fitted, to_check, whole, evidence.members)
    alone, rivals, floor = only_told_apart(evidence, values, rivals, n_tfs, _keys.SUPPORTED)
    tables = edge_tables(study, evidence, alone, values, config.max_edges)
    groups = add_groups(tables, study, rivals)
    tables["lr_tfs"] = first_steps(study, evidence, noise_share(problem).cpu().numpy(), floor)
    logger.info(
        "At q ≤ %g: %d TF → target edges, %d pair → target edges, %d pairs.",
        _keys.SUPPORTED,
        *(
            int((tables[name]["q_value"] <= _keys.SUPPORTED).sum())
            for name in ("tf_targets", "lr_targets", "lr_pairs")
        ),
    )
    names = {"tf": "tf_targets", "lr": "lr_targets", "pair": "lr_pairs"}
    n_targets = problem.targets.shape[1]
    candidates = {
        "tf": n_tfs * n_targets,
        "lr": problem.n_pairs * n_targets,
        "pair": problem.n_pairs,
    }
    numbers = {
        "tf": evidence.tf.number,
        "lr": evidence.lr.number,
        "pair": np.arange(problem.n_pairs),
    }
    listed = {name: np.empty(0, dtype=np.float32) for name in names.values()}
    for task, (p, _) in values.items():
        if candidates[task] <= config.max_edges:
            listed[names[task]] = np.ones(candidates[task], dtype=np.float32)
            listed[names[task]][numbers[task]] = p
    found = {
        "tables": tables,
        "groups": groups,
        "p_values": listed,
        "minimum_effect": corrected.minimum,
    }
    return evidence, found | {"pair_values": alone["pair"]}


def _stage_factors(
    study: Study, problem: Problem, fitted: Fit, pairs: pd.DataFrame
) -> dict[str, Any]:
    """Factors of TFs and of the listed pairs by stage, with their standard errors, those of a kind drawn towards 1 together."""
    n_f, n_r = problem.n_tfs, len(study.genes["receptors"])
    number = n_f + (pairs["ligand"] * n_r + pairs["receptor"]).to_numpy(dtype=np.int64)
    block = problem.block.cpu().numpy()
    out: dict[str, Any] = {}
    for kind, regulators in (("tf", np.arange(problem.n_tf_genes)), ("pair", number)):
        parts = [
            stage_factors(
                regulator_levels(problem, fitted, part), study.stage, block, len(study.stages)
            )
            for part in np.array_split(regulators, max(1, len(regulators) // 500))
        ]
        raw, raw_se = (np.hstack([p[k] for p in parts]) for k in range(2))
        factor, se = shrink(raw, raw_se, 1.0, axis=1)
        out |= {kind: factor.astype(np.float32), f"{kind}_se": se.astype(np.float32)}
    return out
