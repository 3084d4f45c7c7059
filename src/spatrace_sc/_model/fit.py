"""Fitting: exact sparse weights and gradient-trained attention, in turn."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from .config import Config, TrainingConfig
from .network.signal_network import Attended, Look, SignalNetwork
from .network.training import gates_of, train
from .records import Problem, Weights
from .regression.choose_penalty import LARGEST, choose_penalty, covariate_error, strength_factors
from .regression.design import Columns, Design, Pairs, Plain, Signals
from .regression.lasso import Penalty, solve
from .runtime.distributed import shows

logger = logging.getLogger("spatrace_sc")

#: Parts of a fit that progress is shown for, about as long each with many pairs: the penalty, three times the weights of the training cells, the gates, and the weights of all cells.
PARTS = 6
#: Held-out R² below which the user is warned.
NOTHING_LEARNT = 0.01
#: Doses sorted for the half-saturations; of more every so many cells are taken.
MOST_DOSES = 200_000_000


@dataclass
class Fit:
    """A fitted model and what it says of the cells it was fitted on."""

    network: SignalNetwork
    weights: Weights
    look: Look
    attended: Attended
    target_mean: Tensor
    target_sd: Tensor
    held_out: Tensor
    r2: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, float | str]] = field(default_factory=list)


def fit(problem: Problem, config: Config, *, seed: int) -> Fit:
    """Fit network and weights to one data set on the device its tensors are on. Same seed, same machine: same result.

    1. Weights for the initial attention; λ by folds of blocks within the training cells.
    2. Attention by Adam on what the targets' own past does not predict (:func:`beyond_past`), stopped by the held-out blocks, and the weights again.
    3. Weights with the pair-level second pass; then the gates by Adam, everything else fixed.
    4. Weights on all cells, training and held out, at the same λ.
    """
    rng = np.random.default_rng(seed)
    device = problem.targets.device
    shown = shows(config.progress)
    bar = tqdm(total=PARTS, desc="first fit", disable=not shown, leave=False, delay=5)
    with bar, torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(int(rng.integers(2**31)))
        held_out = hold_out(problem.block, config.training.held_out, rng) & problem.usable
        training = problem.usable & ~held_out
        y, mean, sd = _standardised(problem.targets, training)
        network = build_network(problem, config, training).to(device)
        base = base_penalty(problem)
        log: list[dict[str, float | str]] = []
        r2: dict[str, float] = {}

        design, _, _ = observe(network, problem, training)
        lam = choose_penalty(design, y, problem, training, base, config.training, progress=shown)
        bar.update()
        weights = _solve(design, y, training, lam, base, config.training)
        r2["initial"] = score(design, weights, y, held_out)
        unexpected = beyond_past(problem, y, training)
        news = _solve(design, unexpected, training, lam / 2.0, base, config.training)
        bar.update()
        train(
            network, problem, unexpected, design, news, training, held_out, config, "attention", log
        )
        design, look, _ = observe(network, problem, training)
        weights = _solve(design, y, training, lam, base, config.training, weights)
        r2["attention"] = score(design, weights, y, held_out)
        bar.update()
        r2 |= without_pairs(design, problem, y, training, held_out, lam, base, config.training)
        factor = strength_factors(weights, problem, config.training.adaptation)
        weights = second_pass(design, y, training, weights, base, factor, config.training)
        r2["pairs"] = score(design, weights, y, held_out)
        bar.update()
        train(network, problem, y, design, weights, training, held_out, config, "gates", log)
        r2["gates"] = score(
            design,
            weights,
            y,
            held_out,
            gate=lambda rows: gates_of(network, look.context, rows, problem),
        )

        design, look, attended = observe(network, problem, problem.usable)
        bar.update()
        weights = _solve(design, y, problem.usable, lam, base, config.training, weights)
        factor = strength_factors(weights, problem, config.training.adaptation)
        weights = second_pass(design, y, problem.usable, weights, base, factor, config.training)
        bar.update()
    _report(r2, lam)
    return Fit(network, weights, look, attended, mean, sd, held_out, r2, log)


@torch.no_grad()
def without_pairs(
    design: Design,
    problem: Problem,
    y: Tensor,
    training: Tensor,
    held_out: Tensor,
    lam: float,
    penalty: Penalty,
    config: TrainingConfig,
) -> dict[str, float]:
    """Held-out R² of cell type, slice and time alone (``covariates``), and with TFs at the same λ but no pair (``tfs``)."""
    n_f = problem.n_tfs
    columns = torch.arange(design.n_columns, device=y.device)
    among = columns[(columns < n_f) | (columns >= n_f + problem.n_pairs)]
    weights = _solve(design, y, training, lam, penalty, config, among=among)
    left = covariate_error(problem.covariates, y, training, held_out)
    spread = (y[held_out] - y[held_out].mean(0)).square().mean()
    return {"covariates": 1.0 - float(left / spread), "tfs": score(design, weights, y, held_out)}


def _report(r2: dict[str, float], lam: float) -> None:
    """What the held-out cells say of the model, in the log."""
    best = max(r2.values())
    if best < NOTHING_LEARNT:
        logger.warning(
            "Held-out cells are predicted hardly better than by their mean (R² %.3f): read nothing into these edges.",
            best,
        )
    logger.info(
        "Held-out R²: %.3f by cell type, slice and time alone, %.3f with TFs, %.3f with pairs as well, %.3f in the end; λ = %.3g.",
        *(r2[k] for k in ("covariates", "tfs", "attention", "gates")),
        lam,
    )
    if r2["attention"] <= r2["tfs"]:
        logger.info(
            "Pairs do not improve the prediction of held-out cells: no sign of signals in the whole."
        )


def beyond_past(problem: Problem, y: Tensor, training: Tensor) -> Tensor:
    """(N, G) what the targets' own past does not predict, standardised; zero where a target is constant.

    Earlier cells are chosen for being alike, targets included, so whatever is averaged over them tells the cell's state and predicts its targets, whether or not it acts. When the network
    may choose its steps by plain error it therefore looks back too far. What the same earlier cells' targets predict is taken out first: y − β · past, β by least squares per target.
    """
    past = problem.target_past - problem.target_past[training].mean(0)
    slope = (past[training] * y[training]).sum(0) / past[training].square().sum(0).clamp_min(1e-12)
    return _standardised(y - slope * past, training)[0]


def base_penalty(problem: Problem) -> Penalty:
    """Penalty of real regulators before the second pass."""
    tf_of = torch.full((problem.n_regulators,), -1, dtype=torch.long, device=problem.penalty.device)
    tf_of[: problem.n_tfs] = problem.tf_gene
    return Penalty(problem.penalty, problem.forbidden, problem.tf_penalty, tf_of)


def hold_out(block: Tensor, share: float, rng: np.random.Generator) -> Tensor:
    """(N,) mask of whole blocks, drawn at random until they hold the share of cells."""
    codes, counts = np.unique(block.cpu().numpy(), return_counts=True)
    order = rng.permutation(len(codes))
    needed = int(np.searchsorted(np.cumsum(counts[order]), share * counts.sum())) + 1
    chosen = codes[order[: min(needed, len(codes) - 1)]]
    return torch.isin(block, torch.as_tensor(chosen, device=block.device))


def build_network(problem: Problem, config: Config, training: Tensor) -> SignalNetwork:
    """Network with scales from the training cells; the half-saturation of a pair is a quantile of its positive doses there."""
    past = problem.history[torch.nonzero(training)[:, 0]]
    scale = {}
    logged = {
        "tf": past.tf,
        "receptor": torch.log1p(past.receptor),
        "exposure": torch.log1p(past.exposure),
    }
    for name, values in logged.items():
        exists = past.exists[:, : values.shape[1]]
        flat = values[exists]
        scale[f"{name}_mean"], scale[f"{name}_sd"] = (
            flat.mean(0),
            flat.std(0, correction=0).clamp_min(1e-3),
        )
    scale["half_dose"] = torch.ones(problem.n_pairs, device=training.device)
    sizes = (past.tf.shape[2], past.receptor.shape[2], past.exposure.shape[2], problem.n_tfs)
    network = SignalNetwork(
        config.model, sizes, (problem.pair_ligand, problem.pair_receptor), scale
    ).to(training.device)
    network.eval()
    with torch.no_grad():
        seen = network.gather(network.look(past), past)
        step = max(1, len(past) * problem.n_pairs // MOST_DOSES)
        exposure, receptor = seen.exposure[::step], seen.receptor[::step]
        for pairs in torch.arange(problem.n_pairs, device=training.device).split(2000):
            dose = (
                exposure[:, problem.pair_ligand[pairs]] * receptor[:, problem.pair_receptor[pairs]]
            )
            ordered, zeros = dose.sort(0).values, (dose <= 0).sum(0)
            rank = zeros + (config.model.hill_quantile * (len(dose) - 1 - zeros)).long()
            network.half_dose[pairs] = ordered.gather(0, rank.clamp(0, len(dose) - 1)[None])[
                0
            ].clamp_min(1e-8)
    return network


def observe(
    network: SignalNetwork, problem: Problem, fit_on: Tensor
) -> tuple[Design, Look, Attended]:
    """Run the network over all cells and lay out its regulators: TFs, pairs, covariates."""
    look = network.look_all(problem.history)
    seen = network.gather(look, problem.history)
    with torch.no_grad():
        signals = signals_of(network, seen.exposure, seen.receptor)
        design = Design([Plain(seen.tf), signals, Plain(problem.covariates)], fit_on, problem.kept)
    return design, look, seen


def signals_of(network: SignalNetwork, exposure: Tensor, receptor: Tensor) -> Columns:
    """Signals of all pairs as columns of a design, from exposures (N, L) and receptors (N, R); the values of :meth:`SignalNetwork.signal`."""
    pairs = Pairs(
        network.pair_ligand, network.pair_receptor, network.half_dose, network.config.hill_exponent
    )
    return Signals(pairs, exposure, receptor)


@torch.no_grad()
def score(
    design: Design,
    weights: Weights,
    y: Tensor,
    rows: Tensor,
    gate: Callable[[Tensor], Tensor] | None = None,
) -> float:
    """Share of the targets' variance that is predicted in the given rows."""
    x = design[weights.rows]
    if gate is not None:
        x = x * (1.0 + gate(weights.rows))
    residual = y[rows] - x[rows] @ weights.values
    return 1.0 - float(residual.square().mean() / (y[rows] - y[rows].mean(0)).square().mean())


def second_pass(
    design: Design,
    y: Tensor,
    rows: Tensor,
    first: Weights,
    penalty: Penalty,
    factor: Tensor,
    config: TrainingConfig,
) -> Weights:
    """Weights with each column's penalty multiplied by its factor, from those of the first pass, among the columns that had a weight there or whose penalty is not at its largest.

    The others cannot enter: their slopes were below λ and would have to exceed three times that.
    """
    may = factor < LARGEST
    may[first.rows] = True
    with torch.no_grad():
        return solve(
            design,
            y[rows],
            rows,
            first.penalty,
            penalty.scaled(factor),
            start=first,
            max_iterations=config.max_iterations,
            tolerance=config.tolerance,
            among=torch.nonzero(may)[:, 0],
        )


def _solve(
    design: Design,
    y: Tensor,
    rows: Tensor,
    lam: float,
    penalty: Penalty,
    config: TrainingConfig,
    start: Weights | None = None,
    among: Tensor | None = None,
) -> Weights:
    with torch.no_grad():
        return solve(
            design,
            y[rows],
            rows,
            lam,
            penalty,
            start=start,
            max_iterations=config.max_iterations,
            tolerance=config.tolerance,
            among=among,
        )


def _standardised(targets: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    mean, sd = targets[rows].mean(0), targets[rows].std(0, correction=0)
    sd = torch.where(sd > 1e-6, sd, torch.inf)
    return (targets - mean) / sd, mean, sd
