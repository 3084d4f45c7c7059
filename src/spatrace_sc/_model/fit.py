"""Fitting: exact sparse weights and gradient-trained attention, in turn."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from .config import Config, TrainingConfig
from .design import Design
from .network import Attended, Look, SignalNetwork
from .records import History, Problem, Weights
from .selection import choose_penalty, pair_factors
from .sparse import Penalty, solve

logger = logging.getLogger("spatrace_sc")


@dataclass
class Fit:
    """A fitted model and what it says of the cells it was fitted on."""

    network: SignalNetwork
    weights: Weights
    penalty: Penalty
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
    2. Attention and saturation by Adam with these weights, stopped by the held-out blocks.
    3. Weights again, with the pair-level second pass; then the gates by Adam, everything else fixed.
    4. Weights on all cells, training and held out, at the same λ.
    """
    rng = np.random.default_rng(seed)
    device = problem.targets.device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(int(rng.integers(2**31)))
        held_out = hold_out(problem.block, config.training.held_out, rng) & problem.usable
        training = problem.usable & ~held_out
        y, mean, sd = _standardised(problem.targets, training)
        network = build_network(problem, config, training).to(device)
        base = base_penalty(problem)
        log: list[dict[str, float | str]] = []
        r2: dict[str, float] = {}

        design, _, _ = observe(network, problem, training)
        lam = choose_penalty(design, y, problem.block, training, base, config.training)
        weights = _solve(design, y, training, lam, base, config.training)
        r2["initial"] = score(design, weights, y, held_out)
        _train(network, problem, y, design, weights, training, held_out, config, "attention", log)

        design, look, attended = observe(network, problem, training)
        lam = choose_penalty(design, y, problem.block, training, base, config.training)
        weights = _solve(design, y, training, lam, base, config.training)
        r2["attention"] = score(design, weights, y, held_out)
        penalty = base.scaled(pair_factors(weights, problem, config.training.pair_adaptation))
        weights = _solve(design, y, training, lam, penalty, config.training, weights)
        r2["pairs"] = score(design, weights, y, held_out)
        _train(network, problem, y, design, weights, training, held_out, config, "gates", log)
        r2["gates"] = score(
            design, weights, y, held_out, gate=lambda rows: _gates(network, look.context, rows, problem)
        )

        design, look, attended = observe(network, problem, problem.usable)
        weights = _solve(design, y, problem.usable, lam, base, config.training, weights)
        penalty = base.scaled(pair_factors(weights, problem, config.training.pair_adaptation))
        weights = _solve(design, y, problem.usable, lam, penalty, config.training, weights)
    logger.info("Held-out R²: %s; λ = %.3g.", ", ".join(f"{k} {v:.3f}" for k, v in r2.items()), lam)
    return Fit(network, weights, penalty, look, attended, mean, sd, held_out, r2, log)


def base_penalty(problem: Problem) -> Penalty:
    """Penalty of real regulators before the second pass."""
    tf_of = torch.full((problem.n_regulators,), -1, dtype=torch.long, device=problem.penalty.device)
    tf_of[: problem.n_tfs] = torch.arange(problem.n_tfs, device=tf_of.device)
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
    logged = {"tf": past.tf, "receptor": torch.log1p(past.receptor), "exposure": torch.log1p(past.exposure)}
    for name, values in logged.items():
        exists = past.exists[:, : values.shape[1]]
        flat = values[exists]
        scale[f"{name}_mean"], scale[f"{name}_sd"] = flat.mean(0), flat.std(0, correction=0).clamp_min(1e-3)
    scale["half_dose"] = torch.ones(problem.n_pairs, device=training.device)
    sizes = (problem.n_tfs, past.receptor.shape[2], past.exposure.shape[2])
    network = SignalNetwork(config.model, sizes, (problem.pair_ligand, problem.pair_receptor), scale).to(
        training.device
    )
    network.eval()
    with torch.no_grad():
        seen = network.gather(network.look(past), past)
        for pairs in torch.arange(problem.n_pairs, device=training.device).split(2000):
            dose = seen.exposure[:, problem.pair_ligand[pairs]] * seen.receptor[:, problem.pair_receptor[pairs]]
            ordered, zeros = dose.sort(0).values, (dose <= 0).sum(0)
            rank = zeros + (config.model.hill_quantile * (len(dose) - 1 - zeros)).long()
            network.half_dose[pairs] = ordered.gather(0, rank.clamp(0, len(dose) - 1)[None])[0].clamp_min(1e-8)
    return network


@torch.no_grad()
def look_all(network: SignalNetwork, history: History, batch: int = 8192) -> Look:
    """Where every cell looks, in batches."""
    network.eval()
    parts = [network.look(history[i]) for i in torch.arange(len(history), device=history.exists.device).split(batch)]
    return Look(*(torch.cat(p) for p in zip(*parts, strict=True)))


def observe(network: SignalNetwork, problem: Problem, fit_on: Tensor) -> tuple[Design, Look, Attended]:
    """Run the network over all cells and lay out its regulators: TFs, pairs, covariates."""
    look = look_all(network, problem.history)
    seen = network.gather(look, problem.history)
    with torch.no_grad():
        design = Design(
            [
                (problem.n_tfs, lambda c: seen.tf[:, c]),
                (problem.n_pairs, lambda c: network.signal(seen.exposure, seen.receptor, c).detach()),
                (problem.covariates.shape[1], lambda c: problem.covariates[:, c]),
            ],
            fit_on,
        )
    return design, look, seen


@torch.no_grad()
def score(
    design: Design, weights: Weights, y: Tensor, rows: Tensor, gate: Callable[[Tensor], Tensor] | None = None
) -> float:
    """Share of the targets' variance that is predicted in the given rows."""
    x = design[weights.rows]
    if gate is not None:
        x = x * (1.0 + gate(weights.rows))
    residual = y[rows] - x[rows] @ weights.values
    return 1.0 - float(residual.square().mean() / (y[rows] - y[rows].mean(0)).square().mean())


def _solve(
    design: Design,
    y: Tensor,
    rows: Tensor,
    lam: float,
    penalty: Penalty,
    config: TrainingConfig,
    start: Weights | None = None,
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
        )


def _standardised(targets: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    mean, sd = targets[rows].mean(0), targets[rows].std(0, correction=0)
    sd = torch.where(sd > 1e-6, sd, torch.inf)
    return (targets - mean) / sd, mean, sd


def _gates(network: SignalNetwork, context: Tensor, rows: Tensor, problem: Problem) -> Tensor:
    """(N, A) gates of the given regulators; covariates have none."""
    gate = context.new_zeros((len(context), len(rows)))
    regulated = rows < problem.n_tfs + problem.n_pairs
    gate[:, regulated] = network.gate(context, rows[regulated])
    return gate


def _train(
    network: SignalNetwork,
    problem: Problem,
    y: Tensor,
    design: Design,
    weights: Weights,
    training: Tensor,
    held_out: Tensor,
    config: Config,
    phase: str,
    log: list[dict[str, float | str]],
) -> None:
    """Adam on one part of the network, early-stopped on the held-out cells; the best state is kept. No epochs or no weights: nothing to train."""
    options = config.training
    loss_of = (_attention_loss if phase == "attention" else _gate_loss)(network, problem, y, design, weights, options)
    gated = {"gates", "modulate.weight", "modulate.bias"}
    parameters = [p for name, p in network.named_parameters() if (name in gated) == (phase == "gates")]
    if not options.max_epochs or not len(weights.rows):
        return
    optimiser = torch.optim.AdamW(parameters, lr=options.learning_rate, weight_decay=options.weight_decay)
    train_rows, test_rows = torch.nonzero(training)[:, 0], torch.nonzero(held_out)[:, 0]
    if phase == "gates":  # break the symmetry of a product of two zeros
        torch.nn.init.normal_(network.gates, std=0.01)

    def held_out_error() -> float:
        network.eval()
        with torch.no_grad():
            return sum(float(loss_of(i)[0]) * len(i) for i in test_rows.split(4096)) / len(test_rows)

    best, waited = held_out_error(), 0
    state = {k: v.clone() for k, v in network.state_dict().items()}
    log.append({"phase": phase, "epoch": 0.0, "train": float("nan"), "held_out": best})
    for epoch in tqdm(
        range(1, options.max_epochs + 1), desc=f"training {phase}", disable=not config.progress, leave=False
    ):
        network.train()
        total = 0.0
        for batch in _batches(train_rows, options.batch_size):
            error, penalty = loss_of(batch)
            optimiser.zero_grad(set_to_none=True)
            (error + penalty).backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimiser.step()
            total += float(error.detach()) * len(batch)
        now = held_out_error()
        log.append({"phase": phase, "epoch": float(epoch), "train": total / len(train_rows), "held_out": now})
        if now < best * (1 - 1e-5):
            best, waited = now, 0
            state = {k: v.clone() for k, v in network.state_dict().items()}
        else:
            waited += 1
            if waited >= options.patience:
                break
    network.load_state_dict(state)
    network.eval()


def _batches(rows: Tensor, size: int) -> Iterator[Tensor]:
    yield from rows[torch.randperm(len(rows)).to(rows.device)].split(size)


Loss = Callable[[Tensor], tuple[Tensor, Tensor]]


def _attention_loss(
    network: SignalNetwork, problem: Problem, y: Tensor, design: Design, weights: Weights, options: TrainingConfig
) -> Loss:
    """Squared error as a function of attention and saturation; only columns with a weight are computed."""
    n_f, n_p = problem.n_tfs, problem.n_pairs
    rows = weights.rows
    is_tf, is_pair, is_cov = rows < n_f, (rows >= n_f) & (rows < n_f + n_p), rows >= n_f + n_p
    tfs, pairs = rows[is_tf], rows[is_pair] - n_f
    with torch.no_grad():
        left = y - design[rows[is_cov]] @ weights.values[is_cov] if bool(is_cov.any()) else y
    active = rows[is_tf | is_pair]
    mean, sd, w = design.mean[active], design.sd[active], weights.values[is_tf | is_pair]

    def loss(batch: Tensor) -> tuple[Tensor, Tensor]:
        history = problem.history[batch]
        seen = network.gather(network.look(history), history)
        x = torch.cat([seen.tf[:, tfs], network.signal(seen.exposure, seen.receptor, pairs)], dim=1)
        error = (left[batch] - ((x - mean) / sd) @ w).square().mean()
        return error, options.shape_penalty * (
            network.shift_ligand.square().mean() + network.shift_receptor.square().mean()
        )

    return loss


def _gate_loss(
    network: SignalNetwork, problem: Problem, y: Tensor, design: Design, weights: Weights, options: TrainingConfig
) -> Loss:
    """Squared error as a function of the gates; attention and weights are fixed, so their columns are computed once."""
    context = look_all(network, problem.history).context
    with torch.no_grad():
        x = design[weights.rows]

    def loss(batch: Tensor) -> tuple[Tensor, Tensor]:
        gate = _gates(network, context[batch], weights.rows, problem)
        error = (y[batch] - (x[batch] * (1.0 + gate)) @ weights.values).square().mean()
        return error, options.gate_penalty * gate.square().mean()

    return loss
