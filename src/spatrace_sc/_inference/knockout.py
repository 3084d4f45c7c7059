"""Predict what happens when ligands, receptors, TFs or senders are removed.

This module imports torch: import it when it is called.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from anndata import AnnData
from numpy.typing import NDArray
from tqdm.auto import tqdm

from .._core.knockout import Paths, agreement, group_means, limit_growth, roll_forward
from .._regulators import Regulators
from .._settings import settings
from .._study.histories import build_history
from .ensemble import Ensemble, read_ensemble
from .level_scales import MIN_SD
from .restore import Restored, restore

#: Pairs whose signals are held in memory at a time.
PAIRS_AT_A_TIME = 500


class Removed(NamedTuple):
    """Names of what is removed, by role. A ligand and a receptor: the pairs of the two only."""

    ligand: list[str]
    receptor: list[str]
    tf: list[str]
    sender: list[str]

    @property
    def genes(self) -> list[str]:
        """Removed genes; none when a pair is blocked or senders are silent."""
        if self.ligand and self.receptor:
            return []
        return [*self.ligand, *self.receptor, *self.tf]


@dataclass(frozen=True)
class Outcome:
    """Predicted changes, in standard deviations of the targets.

    ``cells`` (cells, G), NaN in cells that do not receive; ``change``, ``direct``, ``se`` and
    ``agreement`` (1 + stages, G), all receivers first.
    """

    cells: NDArray[np.float32]
    change: NDArray[np.float64]
    direct: NDArray[np.float64]
    se: NDArray[np.float64]
    agreement: NDArray[np.float64]
    targets: NDArray[np.str_]
    target_sd: NDArray[np.float64]
    stages: list[str]


class _MemberOutcome(NamedTuple):
    """Mean changes of TFs (S, F), and direct and total changes of targets (S, G), of one fit."""

    tf: NDArray[np.float64]
    direct: NDArray[np.float64]
    change: NDArray[np.float64]


@torch.no_grad()
def remove(adata: AnnData, key: str, removed: Removed, rounds: int) -> Outcome:
    """Return the changes after a removal, with the weights of the result and of every refit."""
    model = restore(adata, key, applied=True)
    study = model.study
    pairs = _changed_pairs(model, removed)
    ensemble = read_ensemble(model.result, model.scales.noise_share, pairs)
    is_removed = np.isin(study.genes.tfs, removed.tf)
    level, gate = _tf_levels(model)
    lowest = np.minimum(-level, 0.0)
    direct_tf = np.where(is_removed, lowest * gate, 0.0).astype(np.float32)
    on_tfs, signal = _changes_by_pairs(model, removed, ensemble, direct_tf)
    paths = Paths(study.backward, model.fit.attention.tf.numpy())
    outcomes: list[_MemberOutcome] = []
    cells: NDArray[np.floating] = np.empty(0)
    bar = tqdm(
        zip(on_tfs, ensemble.members, strict=True),
        total=len(on_tfs),
        desc="rolling forward",
        disable=not (settings.progress and model.config.progress),
        leave=False,
    )
    for number, (onto, member) in enumerate(bar):
        onto[:, is_removed] = direct_tf[:, is_removed]
        tf = roll_forward(
            onto, limit_growth(member.tf_on_tf), is_removed, paths, lowest=lowest, rounds=rounds
        )
        mean = group_means(tf, study.stage, len(study.stages))
        direct = mean[:, is_removed] @ member.tf_on_target[is_removed]
        direct = direct + signal @ member.pair_on_target
        mediated = mean[:, ~is_removed] @ member.tf_on_target[~is_removed]
        outcomes.append(_MemberOutcome(mean, direct, direct + mediated))
        if not number:
            cells = tf @ member.tf_on_target
    for batch, change in _signal_changes(model, removed, ensemble.pairs):
        cells += change @ ensemble.members[0].pair_on_target[batch]
    summary = _summary(model, removed, ensemble, outcomes, signal)
    if len(summary.removed_targets):
        cells[:, summary.removed_targets] = summary.fall
    every = np.full((adata.n_obs, study.genes.n_targets), np.nan, dtype=np.float32)
    every[model.rows] = cells
    return Outcome(
        *(every, summary.change, summary.direct, summary.se, summary.agreement),
        *(study.genes.targets, summary.target_sd, study.stages),
    )


def _changes_by_pairs(
    model: Restored, removed: Removed, ensemble: Ensemble, direct_tf: NDArray[np.float32]
) -> tuple[list[NDArray[np.float32]], NDArray[np.float64]]:
    """(receivers, F) changes of TFs by pairs, per member, and (S, A) mean changes of signals."""
    study = model.study
    on_tfs = [direct_tf.copy() for _ in ensemble.members]
    signal = np.zeros((1 + len(study.stages), len(ensemble.pairs)))
    for batch, change in _signal_changes(model, removed, ensemble.pairs):
        signal[:, batch] = group_means(change, study.stage, len(study.stages))
        for total, member in zip(on_tfs, ensemble.members, strict=True):
            total += change @ member.pair_on_tf[batch]
    return on_tfs, signal


@dataclass(frozen=True)
class _Summary:
    """Centre, spread and agreement of the members, and the fall of targets that are removed."""

    change: NDArray[np.float64]
    direct: NDArray[np.float64]
    se: NDArray[np.float64]
    agreement: NDArray[np.float64]
    target_sd: NDArray[np.float64]
    removed_targets: NDArray[np.intp]
    fall: NDArray[np.floating]


def _summary(
    model: Restored,
    removed: Removed,
    ensemble: Ensemble,
    outcomes: list[_MemberOutcome],
    signal: NDArray[np.float64],
) -> _Summary:
    """Summarise the members; a removed gene that is a target itself falls to 0."""
    study, centre = model.study, outcomes[0]
    change, direct = centre.change.copy(), centre.direct.copy()
    members = np.stack([outcome.change for outcome in outcomes[1:]])
    variance = ensemble.spread**2 * members.var(axis=0)
    se = np.sqrt(variance + ensemble.unresampled_variance(centre.tf, signal))
    agreed = agreement(change, members)
    sd = model.fit.target_sd.numpy().astype(np.float64)
    sd = np.where(np.isfinite(sd), sd, 0.0)
    removed_targets = np.flatnonzero(np.isin(study.genes.targets, removed.genes))
    removed_sd = sd[removed_targets]
    fall = -study.target[:, removed_targets] / np.where(removed_sd > 0, removed_sd, np.inf)
    if len(removed_targets):
        mean_fall = group_means(fall, study.stage, len(study.stages))
        change[:, removed_targets] = direct[:, removed_targets] = mean_fall
        se[:, removed_targets], agreed[:, removed_targets] = 0.0, 1.0
    return _Summary(change, direct, se, agreed, sd, removed_targets, fall)


def _changed_pairs(model: Restored, removed: Removed) -> NDArray[np.int64]:
    """Return the pairs whose signal the removal changes."""
    genes = model.genes
    pair = np.arange(genes.n_pairs)
    if removed.sender:
        return pair
    ligand = _without(genes, genes.ligands, removed.ligand)[genes.ligand_of(pair)]
    receptor = _without(genes, genes.receptors, removed.receptor)[genes.receptor_of(pair)]
    both = removed.ligand and removed.receptor
    return np.flatnonzero(ligand & receptor if both else ligand | receptor)


def _without(genes: Regulators, names: NDArray[np.str_], removed: list[str]) -> NDArray[np.bool_]:
    """Return which names are removed; a complex is if it or one of its subunits is."""
    gone = [bool({name, *genes.genes_of(name)} & set(removed)) for name in map(str, names)]
    return np.array(gone, dtype=bool)


def _tf_levels(model: Restored) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(receivers, F) distance of every TF from 0, and the gate of its current level.

    In standard deviations of its noise-free level: its mean over its standard deviation, plus the
    filtered level of the cell.
    """
    problem, fit, scales = model.problem, model.fit, model.scales
    n, sd, spread = problem.n_tf_genes, scales.tf_sd, scales.tf_spread
    mean = problem.tf_count.double().mean(0).numpy()
    mean_level = np.where(sd > MIN_SD, mean / np.maximum(sd, MIN_SD), 0.0)
    current = fit.attended.tf[:, n:].double().numpy()
    deviation = (current - current.mean(axis=0)) / np.where(spread > MIN_SD, spread, np.inf)
    gate = 1.0 + fit.network.gate(fit.attention.context, torch.arange(n, problem.n_tfs))
    return (mean_level + deviation).astype(np.float32), gate.numpy()


def _signal_changes(
    model: Restored, removed: Removed, pairs: NDArray[np.integer]
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Batches of pairs, and (receivers, batch) changes of their signals times the gate.

    In standard deviations of the signal.
    """
    network, attended, problem = model.fit.network, model.fit.attended, model.problem
    exposure = _exposure_without(model, removed.sender) if removed.sender else None
    for low in range(0, len(pairs), PAIRS_AT_A_TIME):
        batch = slice(low, min(low + PAIRS_AT_A_TIME, len(pairs)))
        chosen = torch.as_tensor(pairs[batch])
        before = network.signal(attended.exposure, attended.receptor, chosen)
        after = torch.zeros_like(before)
        if exposure is not None:
            after = network.signal(exposure, attended.receptor, chosen)
        sd = model.scales.sd_of(problem.n_tfs + pairs[batch])
        gate = 1.0 + network.gate(model.fit.attention.context, problem.n_tfs + chosen)
        change = (after - before) * gate / sd
        yield batch, change.numpy()


def _exposure_without(model: Restored, silent: list[str]) -> torch.Tensor:
    """(receivers, L) attended exposure when senders of these types send nothing."""
    study = model.study
    mixture = study.cells.mixture_of(study.senders)
    sending = 1.0 - mixture.values[:, np.isin(mixture.names, silent)].sum(axis=1)
    ligand = (study.sender_ligand * sending[:, None]).astype(np.float32)
    history = build_history(
        *(study, ligand, study.receptor, study.tf),
        model.config.model.n_lags,
        lambda tf: tf,
    )
    return torch.einsum("bs,bsl->bl", model.fit.attention.exposure, history.exposure)
