"""Per-cell activity of pairs and TFs, with standard errors."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from .._core.uncertainty import count_noise_sd
from .._model.fit import Fit
from .._model.records import Problem
from .._study.records import Study
from .levels import per_standard_deviation, regulator_levels


def activity_of(
    study: Study,
    problem: Problem,
    fit: Fit,
    pairs: NDArray[np.integer],
    strength: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(receivers, A) activity of pairs and its standard error.

    Activity is the signal in its standard deviations times the strength of the pair: the size of
    the change of the targets, in their standard deviations.
    """
    levels = regulator_levels(problem, fit, study.genes.column_of_pair(pairs))
    scale = per_standard_deviation(levels, strength)
    return levels * scale, signal_errors(study, problem, fit, pairs) * scale


def tf_activity_of(
    problem: Problem, fit: Fit, effect: NDArray[np.floating]
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """(receivers, F) activity of TFs, and their strengths (F,).

    Activity is the filtered level, with the gate of the cell, in standard deviations from the mean
    times the strength: the norm of ``effect``, which is (F, G) or flat.
    """
    levels = regulator_levels(problem, fit, np.arange(problem.n_tf_genes, problem.n_tfs))
    strength = np.linalg.norm(effect.reshape(problem.n_tf_genes, -1), axis=1)
    centred = levels - levels.mean(axis=0)
    activity = centred * per_standard_deviation(levels, strength)
    return activity.astype(np.float32), strength


@torch.no_grad()
def signal_errors(
    study: Study, problem: Problem, fit: Fit, pairs: NDArray[np.integer]
) -> NDArray[np.float32]:
    """(receivers, A) standard error of pair signals, times the gate, from count noise.

    It is half the distance between the signals at exposure ± its error, and at receptor ± its
    error, added in quadrature. With u_j the value of one molecule in cell j and n_j its number of
    molecules, the errors of exposure and receptor are, times the weight of the present step::

        sqrt(sum_j w_ij^2 u_j^2 (n_j + 3/8))   and   u_i sqrt(n_i + 3/8)

    Earlier steps are means over many cells and count as exact. NaN if the data are not counts.
    """
    if study.unit is None:
        return np.full((len(study.time), len(pairs)), np.nan, dtype=np.float32)
    device = problem.targets.device
    sender_unit, receiver_unit = study.unit[study.senders], study.unit[study.receivers]
    ligand_variance = count_noise_sd(study.sender_ligand, sender_unit) ** 2
    exposure_sd = np.sqrt(study.weights.power(2) @ ligand_variance)
    receptor_sd = count_noise_sd(study.receptor, receiver_unit)
    exposure_error, receptor_error = (
        torch.as_tensor((sd * share[:, -1:].cpu().numpy()).astype(np.float32), device=device)
        for sd, share in (
            (exposure_sd, fit.attention.exposure),
            (receptor_sd, fit.attention.receptor),
        )
    )
    chosen = torch.as_tensor(pairs, device=device)
    exposure, receptor = fit.attended.exposure, fit.attended.receptor

    def signal(exposure: torch.Tensor, receptor: torch.Tensor) -> torch.Tensor:
        return fit.network.signal(exposure.clamp_min(0.0), receptor.clamp_min(0.0), chosen)

    by_exposure = signal(exposure + exposure_error, receptor) - signal(
        exposure - exposure_error, receptor
    )
    by_receptor = signal(exposure, receptor + receptor_error) - signal(
        exposure, receptor - receptor_error
    )
    gate = 1.0 + fit.network.gate(fit.attention.context, problem.n_tfs + chosen)
    return (torch.hypot(by_exposure, by_receptor) / 2.0 * gate).cpu().numpy()
