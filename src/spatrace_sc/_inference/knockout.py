"""What a stored model says will happen when ligands, receptors, TFs or senders are removed. This module imports torch; the verb imports it when it is called."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from anndata import AnnData
from numpy.typing import NDArray
from tqdm.auto import tqdm

from .._core.knockout import Paths, agreement, damped, group_means, roll_forward
from .._model.evidence.errors_in_variables import noise_share
from .._settings import settings
from .._study import histories
from .ensemble import Ensemble, read_ensemble
from .restore import Restored, restore

#: Pairs whose signals are held in memory at a time.
PAIRS = 500


class Removed(NamedTuple):
    """Names of what is removed, by role. A ligand and a receptor together: only the pairs of the two."""

    ligand: list[str]
    receptor: list[str]
    tf: list[str]
    sender: list[str]


@dataclass(frozen=True)
class Outcome:
    """``cells`` (cells, G) change of the targets in standard deviations, NaN in cells that do not receive; (1 + stages, G), all receivers first: ``change``, ``direct``, ``se``, ``agreed``."""

    cells: NDArray[np.float32]
    change: NDArray[np.float64]
    direct: NDArray[np.float64]
    se: NDArray[np.float64]
    agreed: NDArray[np.float64]
    targets: NDArray[np.str_]
    target_sd: NDArray[np.float64]
    stages: list[str]


@torch.no_grad()
def remove(adata: AnnData, key: str, removed: Removed, rounds: int) -> Outcome:
    """Remove and roll forward, with the weights of the result and with those of every refit."""
    model = restore(adata, key)
    study, problem = model.study, model.problem
    pairs = _touched(model, removed)
    ensemble = read_ensemble(model.result, noise_share(problem).numpy(), pairs)
    pairs = ensemble.pairs
    held = np.isin(study.genes["tfs"], removed.tf)
    level, gate = _tf_levels(model)
    direct_tf = np.where(held, np.minimum(-level, 0.0) * gate, 0.0).astype(np.float32)
    paths = Paths(study.backward, model.fit.look.tf.numpy())
    n_groups = len(study.stages)

    on_tfs = [direct_tf.copy() for _ in ensemble.members]
    signal = np.zeros((1 + n_groups, len(pairs)))
    for some, change in _signal_changes(model, removed, pairs):
        signal[:, some] = group_means(change, study.stage, n_groups)
        for total, member in zip(on_tfs, ensemble.members, strict=True):
            total += change @ member.pair_on_tf[some]
    lowest = np.minimum(-level, 0.0)
    outcomes: list[tuple[NDArray[np.float64], ...]] = []
    cells: NDArray[np.floating] = np.empty(0)
    bar = tqdm(
        zip(on_tfs, ensemble.members, strict=True),
        total=len(on_tfs),
        desc="rolling forward",
        disable=not (settings.progress and model.config.progress),
        leave=False,
    )
    for number, (onto, member) in enumerate(bar):
        onto[:, held] = direct_tf[:, held]
        tf = roll_forward(onto, damped(member.tf_on_tf), held, paths, lowest=lowest, rounds=rounds)
        mean = group_means(tf, study.stage, n_groups)
        direct = mean[:, held] @ member.tf_on_target[held] + signal @ member.pair_on_target
        outcomes.append((mean, direct, direct + mean[:, ~held] @ member.tf_on_target[~held]))
        if not number:
            cells = tf @ member.tf_on_target
    for some, change in _signal_changes(model, removed, pairs):
        cells += change @ ensemble.members[0].pair_on_target[some]
    return _outcome(adata, model, removed, ensemble, outcomes, signal, cells)


def _outcome(
    adata: AnnData,
    model: Restored,
    removed: Removed,
    ensemble: Ensemble,
    outcomes: list[tuple[NDArray[np.float64], ...]],
    signal: NDArray[np.float64],
    cells: NDArray[np.floating],
) -> Outcome:
    """Centre, spread and agreement; a removed gene that is a target itself falls to 0."""
    study = model.study
    mean, direct, change = (v.copy() for v in outcomes[0])
    members = np.stack([o[2] for o in outcomes[1:]])
    se = np.sqrt(ensemble.spread**2 * members.var(axis=0) + ensemble.unseen(mean, signal))
    agreed = agreement(change, members)
    sd = model.fit.target_sd.numpy().astype(np.float64)
    sd = np.where(np.isfinite(sd), sd, 0.0)
    gone = np.flatnonzero(np.isin(study.genes["targets"], _genes_gone(removed)))
    if len(gone):
        fall = -study.target[:, gone] / np.where(sd[gone] > 0, sd[gone], np.inf)
        cells[:, gone] = fall
        change[:, gone] = direct[:, gone] = group_means(fall, study.stage, len(study.stages))
        se[:, gone], agreed[:, gone] = 0.0, 1.0
    every = np.full((adata.n_obs, len(sd)), np.nan, dtype=np.float32)
    every[model.rows] = cells
    return Outcome(every, change, direct, se, agreed, study.genes["targets"], sd, study.stages)


def _genes_gone(removed: Removed) -> list[str]:
    """Genes whose expression is gone; none when only a pair is blocked or senders are silent."""
    if removed.ligand and removed.receptor:
        return []
    return [*removed.ligand, *removed.receptor, *removed.tf]


def _touched(model: Restored, removed: Removed) -> NDArray[np.intp]:
    """Numbers of the pairs whose signal the removal changes."""
    problem, genes = model.problem, model.study.genes
    if removed.sender:
        return np.arange(problem.n_pairs)
    left = np.isin(genes["ligands"], removed.ligand)[problem.pair_ligand.numpy()]
    right = np.isin(genes["receptors"], removed.receptor)[problem.pair_receptor.numpy()]
    return np.flatnonzero(left & right if removed.ligand and removed.receptor else left | right)


def _tf_levels(model: Restored) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(receivers, F) how far every TF is above 0, in standard deviations of its noise-free level, and the gate of its level now.

    Its mean over its standard deviation, plus the filtered level of the cell in standard deviations.
    """
    problem, fit = model.problem, model.fit
    n = problem.n_tf_genes
    count = problem.tf_count.double()
    sd = count[problem.usable].std(0, correction=0) * torch.sqrt(1.0 - noise_share(problem))
    above = torch.where(sd > 1e-6, count.mean(0) / sd.clamp_min(1e-6), 0.0).numpy()
    now = fit.attended.tf[:, n:].double().numpy()
    spread = now.std(axis=0)
    own = (now - now.mean(axis=0)) / np.where(spread > 1e-6, spread, np.inf)
    gate = 1.0 + fit.network.gate(fit.look.context, torch.arange(n, problem.n_tfs))
    return (above + own).astype(np.float32), gate.numpy()


def _signal_changes(
    model: Restored, removed: Removed, pairs: NDArray[np.intp]
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Blocks of pairs, and the change (receivers, block) of their signals in standard deviations, times the gate."""
    network, seen, problem = model.fit.network, model.fit.attended, model.problem
    exposure = _exposure_without(model, removed.sender) if removed.sender else None
    for low in range(0, len(pairs), PAIRS):
        some = slice(low, min(low + PAIRS, len(pairs)))
        chosen = torch.as_tensor(pairs[some])
        before = network.signal(seen.exposure, seen.receptor, chosen)
        after = (
            torch.zeros_like(before)
            if exposure is None
            else network.signal(exposure, seen.receptor, chosen)
        )
        sd = before[problem.usable].std(0, correction=0)
        gate = 1.0 + network.gate(model.fit.look.context, problem.n_tfs + chosen)
        yield some, ((after - before) * gate / torch.where(sd > 1e-6, sd, torch.inf)).numpy()


def _exposure_without(model: Restored, sender: list[str]) -> torch.Tensor:
    """(receivers, L) attended exposure when cells of these types send nothing."""
    study = model.study
    sending = ~np.isin(study.types[study.senders], sender)
    ligand = study.sender_ligand * sending[:, None]
    exposure = np.asarray(study.weights @ ligand, dtype=np.float32)
    n_lags = model.config.model.n_lags
    history = histories.build_history(
        study, exposure, study.receptor, study.tf, n_lags, lambda tf: tf
    )
    return torch.einsum("bs,bsl->bl", model.fit.look.exposure, history.exposure)
