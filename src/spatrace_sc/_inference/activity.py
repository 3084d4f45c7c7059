"""Per-cell activity of pairs and how sure it is."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from .._core.uncertainty import counted_sd
from .._model.fit import Fit
from .._model.records import Problem
from .._study.records import Study
from .edge_tables import regulator_levels


def activity_of(
    study: Study,
    problem: Problem,
    fit: Fit,
    pairs: NDArray[np.integer],
    strength: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(receivers, A) activity, level in standard deviations of the pair's signal × strength of the pair, so the size of the change of the targets in their standard deviations; and its standard error."""
    levels = regulator_levels(problem, fit, problem.n_tfs + pairs)
    spread = levels.std(axis=0)
    scale = np.divide(strength, spread, out=np.zeros_like(spread), where=spread > 0)
    return levels * scale, signal_errors(study, problem, fit, pairs) * scale


def tf_activity_of(
    problem: Problem, fit: Fit, effect: NDArray[np.floating]
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """(receivers, TF genes) level now (filtered, with the cell's gate) in standard deviations × strength of the TF, and the strengths, the norms of the effects (TF genes, G)."""
    levels = regulator_levels(problem, fit, np.arange(problem.n_tf_genes, problem.n_tfs))
    spread, strength = levels.std(axis=0), np.linalg.norm(effect, axis=1)
    centred = levels - levels.mean(axis=0)
    return (
        centred * np.divide(strength, spread, out=np.zeros_like(strength), where=spread > 0)
    ).astype(np.float32), strength


@torch.no_grad()
def signal_errors(
    study: Study, problem: Problem, fit: Fit, pairs: NDArray[np.integer]
) -> NDArray[np.float32]:
    r"""(receivers, A) standard error of a pair's signal, times its gate, from the counting of molecules in the receiver and its senders; NaN where the data are not counts.

    Half the distance between the signals at exposure ± its error and at receptor ± its error, the two added in squares. With :math:`u_j` the value of one molecule in cell *j*, the error of
    an exposure is :math:`\big[\sum_j w_{ij}^2 u_j^2 (n_j + 3/8)\big]^{1/2}` times the weight of the present step, that of a receptor :math:`u_i (n_i + 3/8)^{1/2}` times its weight; earlier steps, means over many cells, are
    taken to be exact.
    """
    if study.unit is None:
        return np.full((len(study.time), len(pairs)), np.nan, dtype=np.float32)
    device = problem.targets.device
    sender, receiver = study.unit[study.senders], study.unit[study.receivers]
    exposure_sd = np.sqrt(study.weights.power(2) @ counted_sd(study.sender_ligand, sender) ** 2)
    receptor_sd = counted_sd(study.receptor, receiver)
    now = [look[:, -1:].cpu().numpy() for look in (fit.look.exposure, fit.look.receptor)]
    errors = [
        torch.as_tensor((sd * share).astype(np.float32), device=device)
        for sd, share in zip((exposure_sd, receptor_sd), now, strict=True)
    ]
    chosen = torch.as_tensor(pairs, device=device)
    seen = fit.attended

    def signal(exposure: torch.Tensor, receptor: torch.Tensor) -> torch.Tensor:
        return fit.network.signal(exposure.clamp_min(0.0), receptor.clamp_min(0.0), chosen)

    by_exposure = signal(seen.exposure + errors[0], seen.receptor) - signal(
        seen.exposure - errors[0], seen.receptor
    )
    by_receptor = signal(seen.exposure, seen.receptor + errors[1]) - signal(
        seen.exposure, seen.receptor - errors[1]
    )
    gate = 1.0 + fit.network.gate(fit.look.context, problem.n_tfs + chosen)
    return (torch.hypot(by_exposure, by_receptor) / 2.0 * gate).cpu().numpy()
