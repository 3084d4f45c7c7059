"""One inference from end to end: fit, resample, test, summarise.

This module imports torch: import it when it is called.
"""

from __future__ import annotations

import logging
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from .. import _keys
from .._edges import LR_PAIRS, LR_TARGETS
from .._model.config import Config
from .._model.evidence.pair_tokens import pair_tokens
from .._model.evidence.prior_trust import calibrate_prior
from .._model.evidence.resample import refits_at_a_time, resample
from .._model.evidence.screen_pairs import screen
from .._model.evidence.silencing import SilencingEffects, silencing_effects
from .._model.fit import Fit
from .._model.network.checkpoint import to_arrays
from .._model.records import Problem
from .._model.runtime.memory import Sizes, check_memory
from .._model.runtime.stored_steps import ArrayStore
from .._model.runtime.threads import threads_for
from .._model.stored_fit import stored_fit
from .._regulators import Regulators
from .._result import NewResult, Restoration
from .._study.histories import decoy_drawer
from .._study.prior_penalties import Prior
from .._study.problem import build_problem
from .._study.records import Study
from .activity import activity_of, tf_activity_of
from .attention import attention_of_pairs, attention_of_regulators
from .communication import (
    BLOCK_SIDE_IN_RADII,
    CommunicationInput,
    cells_matrix,
    communication_input,
    communication_tables,
)
from .edge_tables import (
    Values,
    refit_weights,
)
from .edge_tests import EdgeEvidence, assess_edges
from .restore import MAX_STORED_TRANSITIONS, target_moments
from .stage_levels import stage_factors_of

logger = logging.getLogger("spatrace_sc")

#: Number of candidate pair → target edges from which the log warns of a long run.
MANY_EDGES = 20_000_000
#: Columns of the table of pairs with a stored activity.
ACTIVITY_PAIRS = ["ligand", "receptor", "score", "p_value", "q_value"]


def run(
    study: Study,
    config: Config,
    seed: int,
    device: torch.device,
    prior: Prior | None,
    store: ArrayStore | None = None,
) -> NewResult:
    """Return the result of an inference: fit, refits, tests and summaries.

    The fit and the refits are kept in the ``store``, and read from it if they are there.
    """
    with threads_for(len(study.time), study.genes.n_targets, device):
        return _run(study, config, seed, device, prior, store)


def _run(
    study: Study,
    config: Config,
    seed: int,
    device: torch.device,
    prior: Prior | None,
    store: ArrayStore | None,
) -> NewResult:
    """Return the result, as :func:`run` with the present number of threads."""
    started = _start(study, config, seed, device, prior, store)
    problem, fitted, streams = started.problem, started.fit, started.streams
    silenced = silencing_effects(problem, fitted, config, seed=streams["silence"])
    tokens = pair_tokens(problem, fitted, config, seed=streams["pair_tokens"])
    edges = _test(study, started, silenced, config, store)
    evidence = edges.evidence
    top = _strongest_pairs(evidence.pair_score, config.max_activity)
    strength = evidence.pair_score[top].astype(np.float32)
    activity, activity_se = activity_of(study, problem, fitted, top, strength)
    tf_activity, tf_strength = tf_activity_of(problem, fitted, evidence.tf.effect)
    scene = _communication_input(study, edges.values, top, activity)
    tables = edges.tables | communication_tables(
        scene,
        block_size=BLOCK_SIDE_IN_RADII * study.radius,
        n_permutations=config.evidence.n_permutations,
        rng=np.random.default_rng(streams["permute"]),
        progress=config.progress,
    )
    values = {
        "p_values": edges.p_values,
        "minimum_effect": edges.minimum_effect,
        "noise_known": study.noise_known,
        "target_moments": target_moments(study),
        "refits": refit_weights(evidence.refits, config.max_edges),
        "stage_factors": stage_factors_of(study, problem, fitted, edges.tables[LR_PAIRS.name]),
        "fit": _fit_summary(fitted, silenced, started.trust) | {"order_share": edges.order_share},
        "attention": attention_of_regulators(study, silenced, config.max_edges),
        "attention_to_pairs": attention_of_pairs(study, tokens, config.max_edges),
        "history": pd.DataFrame(fitted.history, columns=_keys.HISTORY),
        "model": to_arrays(fitted),
        "activity_pairs": scene.pairs.assign(score=strength.astype(float))[ACTIVITY_PAIRS],
        "tf_scores": tf_strength.astype(float),
    }
    return NewResult(
        genes=study.genes,
        stages=study.stages,
        senders=study.sender_rows,
        receivers=study.receiver_rows,
        tables=tables,
        groups=edges.groups,
        activity=activity,
        activity_se=activity_se,
        tf_activity=tf_activity,
        matrix=cells_matrix(scene),
        restoration=_restoration(study, fitted, streams),
        values=values,
    )


def run_tests(
    study: Study, config: Config, seed: int, device: torch.device, prior: Prior | None
) -> tuple[EdgeEvidence, dict[str, float]]:
    """Return the tested edges, and held-out R² by stage of the fit, of a shorter inference.

    p and q are those of :func:`run`. What does not enter them is left out: networks in which TFs
    are silenced, activity and communication.
    """
    with threads_for(len(study.time), study.genes.n_targets, device):
        started = _start(study, config, seed, device, prior)
        shape = (started.problem.n_tf_genes, started.problem.targets.shape[1])
        silenced = SilencingEffects(np.zeros(shape), np.full(shape, np.inf))
        edges = _test(study, started, silenced, config)
    return edges, {stage: float(value) for stage, value in started.fit.r2.items()}


class _Started(NamedTuple):
    """A fitted problem, the trust in its prior, and the seeds of all steps."""

    problem: Problem
    fit: Fit
    trust: dict[str, float]
    streams: dict[str, int]


def _start(
    study: Study,
    config: Config,
    seed: int,
    device: torch.device,
    prior: Prior | None,
    store: ArrayStore | None = None,
) -> _Started:
    """Check the memory, build the problem and fit the model."""
    genes = study.genes
    sizes = Sizes(
        *(len(study.time), config.model.n_lags, genes.n_tfs),
        *(genes.n_ligands, genes.n_receptors, genes.n_targets, config.max_edges),
    )
    check_memory(sizes, refits_at_a_time(config, device), device)
    problem = build_problem(study, config, prior).to(device)
    _log_sizes(study, problem, device)
    streams = _random_streams(seed)
    problem, trust = calibrate_prior(problem, config, seed=streams["fit"])
    fitted = stored_fit(problem, config, seed=streams["fit"], store=store)
    return _Started(problem, fitted, trust, streams)


def _test(
    study: Study,
    started: _Started,
    silenced: SilencingEffects,
    config: Config,
    store: ArrayStore | None = None,
) -> EdgeEvidence:
    """Refit against decoys and test all edges."""
    problem, fitted, _, streams = started
    draw = decoy_drawer(study, config.model.n_lags)
    screened = screen(problem, fitted, config)
    evidence = resample(screened, fitted, draw, config, seed=streams["resample"], store=store)
    return assess_edges(study, problem, fitted, evidence, silenced, config, seed=streams["order"])


def _log_sizes(study: Study, problem: Problem, device: torch.device) -> None:
    """Log the numbers of cells, genes and edges; warn if there are very many edges."""
    genes = study.genes
    logger.info(
        "%d receivers, %d senders; %d TFs and %d ligand–receptor pairs on %d targets; device %s.",
        *(len(study.time), int(study.senders.sum()), genes.n_tfs),
        *(genes.n_candidates(LR_PAIRS), genes.n_targets, device),
    )
    n_edges = genes.n_candidates(LR_TARGETS)
    if n_edges > MANY_EDGES:
        logger.warning(
            "%.0f million candidate pair → target edges (%d ligands × %d receptors × %d targets): "
            "this takes minutes to hours. A shorter list of %s shortens it most.",
            *(n_edges / 1e6, genes.n_ligands, genes.n_receptors, genes.n_targets),
            _longest_list(genes),
        )


def _longest_list(genes: Regulators) -> str:
    """Return the role whose list is the longest of those that make candidate edges."""
    sizes = {
        "ligands": genes.n_ligands,
        "receptors": genes.n_receptors,
        "targets": genes.n_targets,
    }
    return max(sizes, key=lambda role: sizes[role])


def _random_streams(seed: int) -> dict[str, int]:
    """Return the seeds of the steps that draw random numbers, by name."""
    steps = ("fit", "resample", "permute", "silence", "order", "pair_tokens")
    seeds = np.random.default_rng(seed).integers(2**31, size=len(steps))
    return dict(zip(steps, map(int, seeds), strict=True))


def _strongest_pairs(score: NDArray[np.floating], n: int) -> NDArray[np.int64]:
    """Return pairs with a score above 0, strongest first, at most ``n``."""
    ranked = np.argsort(-score, kind="stable")[: int((score > 0).sum())]
    return ranked[:n].astype(np.int64)


def _fit_summary(
    fitted: Fit, silenced: SilencingEffects, trust: dict[str, float]
) -> dict[str, float]:
    """Return held-out R² by stage of the fit, weights, the penalty, and the trust in a prior."""
    return {
        **{f"r2_{stage}": float(value) for stage, value in fitted.r2.items()},
        **{f"r2_{model}_of_tfs": value for model, value in silenced.r2.items()},
        "silencing_weight": silenced.weight,
        "penalty": fitted.weights.penalty,
        "held_out_cells": int(fitted.held_out.sum()),
        **{f"prior_{kind}": least for kind, least in trust.items()},
    }


def _restoration(study: Study, fitted: Fit, streams: dict[str, int]) -> Restoration:
    """Return what restoring the model needs besides the data."""
    stored = study.backward.nnz + study.state.nnz <= MAX_STORED_TRANSITIONS
    return Restoration(
        held_out=fitted.held_out.cpu().numpy(),
        backward=study.backward if stored else None,
        state=study.state if stored else None,
        streams=streams,
        overdispersion=study.noise.overdispersion,
    )


def _communication_input(
    study: Study, values: Values, pairs: NDArray[np.int64], activity: NDArray[np.float32]
) -> CommunicationInput:
    """Return the input of the communication tables: the strongest pairs in the cells."""
    table = study.genes.pair_genes(pairs)
    table["p_value"], table["q_value"] = (column[pairs] for column in values)
    return communication_input(
        *(study.cells, study.stages, study.genes),
        pairs=table,
        activity=activity,
        sender_ligand=study.sender_ligand,
        weights=study.weights,
        rows=study.rows,
        receiver_receptor=study.receptor,
    )
