"""Fitting: exact sparse weights and gradient-trained attention, in turn."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from .config import Config
from .network.fit_state import FitState
from .network.losses import gates_of
from .network.observe import build_network, observe
from .network.signal_network import Attended, AttentionWeights, SignalNetwork
from .network.training import train_attention, train_gates
from .records import Problem, Weights
from .regression.choose_penalty import choose_penalty, covariate_error
from .regression.penalty import base_penalty
from .regression.regression import Regression
from .regression.second_pass import second_pass, strength_factors
from .runtime.distributed import shows

logger = logging.getLogger("spatrace_sc")

#: Steps of a fit that progress is shown for, about as long each if there are many pairs: the
#: penalty, three fits of the weights on training cells, the gates, and the weights on all cells.
N_STEPS = 6
#: Held-out R² below which the user is warned.
MIN_R2 = 0.01


@dataclass
class Fit:
    """A fitted model, and its attention on the cells that it was fitted on."""

    network: SignalNetwork
    weights: Weights
    attention: AttentionWeights
    """Attention weights of all cells over their past."""
    attended: Attended
    """Levels of TFs, receptors and exposures under this attention."""
    target_mean: Tensor
    """(G,) mean of the targets over the training cells."""
    target_sd: Tensor
    """(G,) standard deviation of the targets over the training cells; infinite if constant."""
    held_out: Tensor
    """(N,) boolean mask of the cells that training did not see.

    It marks whole spatial blocks, drawn by :func:`hold_out` from the random stream of the fit,
    without the cells that have no past. The mask cannot be derived afterwards without that
    stream; store it to know the split. Scales, λ and the first weights come from the other
    usable cells; the final weights are solved on all usable cells.
    """
    r2: dict[str, float] = field(default_factory=dict)
    """Held-out R² by step of the fit."""
    error_without_covariates: Tensor = field(default_factory=lambda: torch.empty(0))
    """(held-out cells,) mean squared error of the regulators alone, fitted on training cells."""
    history: list[dict[str, float | str]] = field(default_factory=list)
    """Errors of every epoch of training, by phase."""


def fit(problem: Problem, config: Config, *, seed: int) -> Fit:
    """Fit network and weights to one data set, on the device of its tensors.

    The same seed on the same machine gives the same result.

    1. Weights for the initial attention; λ by folds of blocks within the training cells.
    2. Attention by Adam on what the targets' own past does not predict (:func:`beyond_past`),
       stopped by the held-out blocks, and the weights again.
    3. Weights with the pair-level second pass; then the gates by Adam, everything else fixed.
    4. Weights on all cells, training and held out, at the same λ.
    """
    rng = np.random.default_rng(seed)
    device = problem.targets.device
    shown = shows(config.progress)
    bar = tqdm(total=N_STEPS, desc="first fit", disable=not shown, leave=False, delay=5)
    with bar, torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(int(rng.integers(2**31)))
        held_out = hold_out(problem.block, config.training.held_out, rng) & problem.usable
        training = problem.usable & ~held_out
        y, mean, sd = standardise_targets(problem.targets, training)
        network = build_network(problem, config, training).to(device)

        # 1: weights for the initial attention
        design, _, _ = observe(network, problem, training)
        regression = Regression(design, y, training, base_penalty(problem), config.training)
        regression = regression.with_gram()
        lam = choose_penalty(regression, problem, progress=shown)
        bar.update()
        weights = regression.solve(lam)
        r2 = {"initial": regression.r_squared(weights, held_out)}

        # 2: attention, and the weights again
        unexpected = beyond_past(problem, y, training)
        by_novelty = replace(regression, targets=unexpected).solve(lam / 2.0)
        bar.update()
        state = FitState(
            network, problem, design, unexpected, by_novelty, training, held_out, config
        )
        train_attention(state)
        design, attention, _ = observe(network, problem, training)
        regression = replace(regression, design=design).with_gram()
        weights = regression.solve(lam, start=weights)
        r2["attention"] = regression.r_squared(weights, held_out)
        bar.update()
        r2 |= without_pairs(regression, problem, held_out, lam)
        error_alone = without_covariates(regression, problem, held_out, lam)

        # 3: second pass, and the gates
        weights = _with_second_pass(regression, problem, weights)
        r2["pairs"] = regression.r_squared(weights, held_out)
        bar.update()
        state = replace(state, design=design, targets=y, weights=weights)
        train_gates(state)
        log = state.log
        del state  # it would keep the design of the training cells in memory
        context = attention.context
        gate = lambda rows: gates_of(network, context, rows, problem)
        r2["gates"] = regression.r_squared(weights, held_out, gate)

        # 4: weights on all cells
        design, attention, attended = observe(network, problem, problem.usable)
        bar.update()
        regression = replace(regression, design=design, rows=problem.usable).with_gram()
        weights = regression.solve(lam, start=weights)
        weights = _with_second_pass(regression, problem, weights)
        bar.update()
    _report(r2, lam)
    parts = (network, weights, attention, attended, mean, sd, held_out)
    return Fit(*parts, r2=r2, error_without_covariates=error_alone, history=log)


def _with_second_pass(regression: Regression, problem: Problem, first: Weights) -> Weights:
    """Weights of the second pass, from those of the first."""
    factor = strength_factors(first, problem, regression.options.adaptation)
    return second_pass(regression, first, factor)


@torch.no_grad()
def without_pairs(
    regression: Regression, problem: Problem, held_out: Tensor, lam: float
) -> dict[str, float]:
    """Held-out R² of the covariates alone (``covariates``), and with TFs (``tfs``).

    TFs are fitted at the same λ, without any pair.
    """
    y, pairs = regression.targets, problem.pair_columns
    columns = torch.arange(regression.design.n_columns, device=y.device)
    among = columns[(columns < pairs.start) | (columns >= pairs.stop)]
    weights = regression.solve(lam, among=among)
    error = covariate_error(problem.covariates, y, regression.rows, held_out)
    variance = (y[held_out] - y[held_out].mean(0)).square().mean()
    return {
        "covariates": 1.0 - float(error / variance),
        "tfs": regression.r_squared(weights, held_out),
    }


@torch.no_grad()
def without_covariates(
    regression: Regression, problem: Problem, held_out: Tensor, lam: float
) -> Tensor:
    """(held-out cells,) mean squared error of the regulators, fitted at the same λ.

    Only covariates that the user named remain beside TFs and pairs.
    """
    columns = torch.arange(problem.n_regulators, device=held_out.device)
    first_named = problem.n_regulators - problem.n_named_covariates
    among = columns[(columns < problem.pair_columns.stop) | (columns >= first_named)]
    return regression.errors(regression.solve(lam, among=among), held_out)


def _report(r2: dict[str, float], lam: float) -> None:
    """Log the held-out R² of the model, and warn if it is close to 0."""
    best = max(r2.values())
    if best < MIN_R2:
        logger.warning(
            "The model predicts held-out cells hardly better than their mean (R² %.3f): "
            "do not interpret these edges.",
            best,
        )
    logger.info(
        "Held-out R²: %.3f by the covariates alone, %.3f with TFs, %.3f with pairs "
        "as well, %.3f in the end; λ = %.3g.",
        *(r2[step] for step in ("covariates", "tfs", "attention", "gates")),
        lam,
    )
    if r2["attention"] <= r2["tfs"]:
        logger.info(
            "Pairs do not improve the prediction of held-out cells: overall, there is no sign "
            "of signalling."
        )


def beyond_past(problem: Problem, y: Tensor, training: Tensor) -> Tensor:
    """(N, G) what the targets' own past does not predict, standardised; 0 for constant targets.

    Earlier cells are chosen for being similar, targets included. Any average over them therefore
    reflects the state of the cell and predicts its targets, whether or not it acts. A network
    that may choose its steps by plain error therefore looks back too far. So the prediction from
    the targets of the same earlier cells is subtracted first: y - β · past, with β by least
    squares per target.
    """
    past = problem.target_past - problem.target_past[training].mean(0)
    slope = (past[training] * y[training]).sum(0) / past[training].square().sum(0).clamp_min(1e-12)
    return standardise_targets(y - slope * past, training)[0]


def hold_out(block: Tensor, share: float, rng: np.random.Generator) -> Tensor:
    """(N,) mask of whole blocks, drawn at random until they hold the share of cells."""
    codes, counts = np.unique(block.cpu().numpy(), return_counts=True)
    order = rng.permutation(len(codes))
    needed = int(np.searchsorted(np.cumsum(counts[order]), share * counts.sum())) + 1
    chosen = codes[order[: min(needed, len(codes) - 1)]]
    return torch.isin(block, torch.as_tensor(chosen, device=block.device))


def standardise_targets(targets: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(N, G) targets, standardised on the given cells, with their means and deviations.

    The standard deviation of a constant target is infinite, so that it becomes 0.
    """
    mean, sd = targets[rows].mean(0), targets[rows].std(0, correction=0)
    sd = torch.where(sd > 1e-6, sd, torch.inf)
    return (targets - mean) / sd, mean, sd
