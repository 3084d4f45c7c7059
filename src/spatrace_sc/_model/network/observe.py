"""The network on all cells: its construction, and the design of its regulators."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..config import Config
from ..records import History, Problem
from ..regression.design import Columns, Design, PairParameters, SignalColumns, StoredColumns
from .signal_network import Attended, AttentionWeights, SignalNetwork

#: Largest number of doses that are sorted for the half-saturations. Beyond it, cells are
#: subsampled evenly.
MAX_DOSES = 200_000_000
#: Pairs whose doses are sorted together.
PAIR_BATCH = 2000


def build_network(problem: Problem, config: Config, training: Tensor) -> SignalNetwork:
    """Untrained network with scales and half-saturations from the training cells (N,) mask."""
    past = problem.history[torch.nonzero(training)[:, 0]]
    scale = _scales(past)
    scale["half_dose"] = torch.ones(problem.n_pairs, device=training.device)
    sizes = (past.tf.shape[2], past.receptor.shape[2], past.exposure.shape[2], problem.n_tfs)
    pairs = (problem.pair_ligand, problem.pair_receptor)
    network = SignalNetwork(config.model, sizes, pairs, scale).to(training.device)
    network.eval()
    with torch.no_grad():
        attended = network.gather(network.attend(past), past)
        network.half_dose[:] = _half_doses(problem, attended, config.model.hill_quantile)
    return network


def _scales(past: History) -> dict[str, Tensor]:
    """Mean and standard deviation of log TFs, receptors and exposures over existing steps."""
    logged = {
        "tf": past.tf,
        "receptor": torch.log1p(past.receptor),
        "exposure": torch.log1p(past.exposure),
    }
    scale = {}
    for name, values in logged.items():
        flat = values[past.exists[:, : values.shape[1]]]
        scale[f"{name}_mean"] = flat.mean(0)
        scale[f"{name}_sd"] = flat.std(0, correction=0).clamp_min(1e-3)
    return scale


def _half_doses(problem: Problem, attended: Attended, quantile: float) -> Tensor:
    """(P,) quantile of the positive doses of every pair."""
    step = max(1, len(attended.exposure) * problem.n_pairs // MAX_DOSES)
    exposure, receptor = attended.exposure[::step], attended.receptor[::step]
    half_dose = exposure.new_ones(problem.n_pairs)
    for pairs in torch.arange(problem.n_pairs, device=exposure.device).split(PAIR_BATCH):
        ligand, partner = problem.pair_ligand[pairs], problem.pair_receptor[pairs]
        dose = exposure.T[ligand] * receptor.T[partner]
        n_cells, n_zero = dose.shape[1], (dose <= 0).sum(1)
        rank = n_zero + (quantile * (n_cells - 1 - n_zero)).long()
        chosen = _sorted_rows(dose).gather(1, rank.clamp(0, n_cells - 1)[:, None])[:, 0]
        half_dose[pairs] = chosen.clamp_min(1e-8)
    return half_dose


def _sorted_rows(values: Tensor) -> Tensor:
    """Every row in ascending order; on a CPU numpy sorts several times as fast as torch."""
    if values.device.type == "cpu":
        return torch.from_numpy(np.sort(values.numpy(), axis=1))
    return values.sort(1).values


def observe(
    network: SignalNetwork, problem: Problem, fit_on: Tensor
) -> tuple[Design, AttentionWeights, Attended]:
    """Design of TFs, pairs and covariates from the network on all cells, and how it came about.

    Columns of the design are standardised on the cells of the mask ``fit_on`` (N,).
    """
    attention, attended = attend(network, problem)
    with torch.no_grad():
        signals = signals_of(network, attended.exposure, attended.receptor)
        columns = [StoredColumns(attended.tf), signals, StoredColumns(problem.covariates)]
        design = Design(columns, fit_on, problem.may_act)
    return design, attention, attended


def attend(network: SignalNetwork, problem: Problem) -> tuple[AttentionWeights, Attended]:
    """Return the attention of all cells over their past, and the levels under it."""
    attention = network.attend_all(problem.history)
    return attention, network.gather(attention, problem.history)


def signals_of(network: SignalNetwork, exposure: Tensor, receptor: Tensor) -> Columns:
    """Signals of all pairs as columns of a design, from exposures (N, L) and receptors (N, R).

    The values are those of :meth:`SignalNetwork.signal`.
    """
    pairs = PairParameters(
        network.pair_ligand, network.pair_receptor, network.half_dose, network.config.hill_exponent
    )
    return SignalColumns(pairs, exposure, receptor)
