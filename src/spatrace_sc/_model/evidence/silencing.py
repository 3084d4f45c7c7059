"""Effects of TFs in models of the TFs alone: what a prediction loses when a TF is silenced."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm.auto import tqdm

from ..config import Config
from ..fit import Fit, standardise_targets
from ..network.regulator_attention import Readings, RegulatorAttention
from ..network.regulator_reading import attention_by_group, predict, silence
from ..network.regulator_training import Effort, train
from ..records import Problem
from ..regression.ridge import ridge_coefficients
from ..runtime.distributed import shows

#: Share of the blocks that a network is trained on; the rest stops its training.
TRAINED_SHARE = 0.75
#: Most cells to train on, to stop by, and most predictions in reading a network.
MAX_CELLS, MAX_STOP_CELLS, MAX_READ, MIN_CELLS_READ = 6000, 1000, 10_000_000, 200
#: Training where only the attention is read, and the most cells that stop it: many small steps.
BRIEF, MAX_STOP_CELLS_BRIEF = Effort(max_epochs=8, max_steps=200, batch=16), 300
#: Fewest cells and blocks to train on.
MIN_CELLS, MIN_BLOCKS = 100, 4
#: Below this weight by ridge regression, networks are not silenced, because nothing would change.
MIN_WEIGHT = 0.01
#: Ridge penalty, as a share of a column's variance, in adjusting for named covariates.
COVARIATE_RIDGE = 1e-3
#: Power of the share of the held-out R² that counts alone reach.
WEIGHT_POWER = 4


@dataclass(frozen=True)
class SilencingEffects:
    """Effects of TFs on targets as models of the TFs alone see them."""

    effect: NDArray[np.float64]
    """(TF genes, G) standard deviations of the target."""
    se: NDArray[np.float64]
    """(TF genes, G) standard errors over the three models."""
    weight: float = 0.0
    """Weight of these effects relative to those of the sparse model."""
    r2: dict[str, float] = field(default_factory=dict)
    """Held-out R² of ``ridge``, ``network`` and their mean (``counts``), and of ``sparse``."""
    networks: list[tuple[RegulatorAttention, Readings]] = field(default_factory=list)
    """Trained networks, each with the data that it reads."""


def silencing_effects(problem: Problem, fit: Fit, config: Config, *, seed: int) -> SilencingEffects:
    """Effects of TFs by silencing them in transformers, and by ridge regression.

    The models see TFs only. Cell type, slice and time are no covariates: what differs between cell
    types may well be caused by TFs. Levels and targets are adjusted for covariates that the user
    named. A network (:class:`.RegulatorAttention`) reads either the counts of the cell,
    or the mean of earlier cells of the same state, which holds less noise. A TF is silenced by
    hiding its token, as training does at random. Its effect is the square root of the rise in
    the mean squared error, with the sign of the covariance of its level and the change of the
    prediction. In ridge regression on the counts the effect is the coefficient. All are in
    standard deviations of the target, and the result is the mean of the three models.

    These effects are not corrected for the noise of counting, which attenuates them and lets TFs
    that follow a true one take its credit. So their ``weight`` is the fourth power of a share:
    the held-out R² that the counts alone reach, relative to the R² that the sparse model reaches
    with denoised histories and pairs, both without covariates.
    """
    shape = (problem.n_tf_genes, problem.targets.shape[1])
    training = training_cells(problem, fit)
    if training is None:
        return SilencingEffects(np.zeros(shape), np.full(shape, np.inf))
    return _silencing_effects(problem, fit, config, training, torch.Generator().manual_seed(seed))


def training_cells(problem: Problem, fit: Fit) -> Tensor | None:
    """Return the cells that a network may see; None if they, or their blocks, are too few."""
    training = torch.nonzero(problem.usable & ~fit.held_out)[:, 0]
    blocks = torch.unique(problem.block[training])
    if len(training) < MIN_CELLS or len(blocks) < MIN_BLOCKS or not bool(fit.held_out.any()):
        return None
    return training


def _silencing_effects(
    problem: Problem, fit: Fit, config: Config, training: Tensor, generator: torch.Generator
) -> SilencingEffects:
    """Train, silence and weigh the models; ``training`` are the cells that they may see."""
    counts = readings(problem, problem.tf_count, training)
    states = replace(counts, levels=adjusted(problem.tf_state, problem, training))
    held_out = torch.nonzero(fit.held_out)[:, 0]
    y = counts.targets[held_out]
    total = (y - y.mean(0)).square().mean()

    def r2(predicted: Tensor) -> float:
        return 1.0 - float((y - predicted).square().mean() / total)

    sparse = 1.0 - float(fit.error_without_covariates.mean() / total)

    ridge = ridge_coefficients(counts.levels[training], counts.targets[training], counts.allowed)
    linear = counts.levels[held_out] @ ridge
    matters = _weight(r2(linear), sparse) >= MIN_WEIGHT
    kinds = [counts, states] if matters else [counts]
    networks, effects = [], [ridge]
    for data in tqdm(kinds, "regulator attention", disable=not shows(config.progress), leave=False):
        rows, stop_rows = split_blocks(problem, training, generator)
        if not matters:
            stop_rows = thinned(stop_rows, generator, MAX_STOP_CELLS_BRIEF)
        effort = Effort() if matters else BRIEF
        network = train(data, rows, stop_rows, config, generator, effort=effort)
        networks.append((network, data))
        if matters:
            effects.append(_silence(network, data, training, generator))
    by_network = predict(networks[0][0], counts, held_out)
    both = r2((linear + by_network) / 2.0)
    scores = {"ridge": r2(linear), "network": r2(by_network), "counts": both, "sparse": sparse}
    if not matters:
        zero = np.zeros(ridge.shape)
        return SilencingEffects(zero, zero, 0.0, scores, networks)
    models = torch.stack(effects).double().cpu().numpy()
    se = models.std(axis=0, ddof=1) / np.sqrt(len(models))
    return SilencingEffects(models.mean(axis=0), se, _weight(both, sparse), scores, networks)


def _weight(counts: float, sparse: float) -> float:
    """Return the power of the share of the R² of the sparse model that the counts reach."""
    return float(np.clip(counts / max(sparse, 1e-6), 0.0, 1.0) ** WEIGHT_POWER)


def readings(problem: Problem, levels: Tensor, rows: Tensor) -> Readings:
    """Return levels of the TFs and the targets, standardised and adjusted on some cells."""
    return Readings(
        adjusted(levels, problem, rows),
        adjusted(problem.targets, problem, rows),
        problem.may_regulate,
    )


def adjusted(values: Tensor, problem: Problem, rows: Tensor) -> Tensor:
    """Return standardised columns less what the covariates that the user named explain in them.

    Both are taken from the cells ``rows``.
    """
    standardised = standardise_targets(values, rows)[0]
    if not problem.n_named_covariates:
        return standardised
    x = problem.covariates[:, -problem.n_named_covariates :].double()
    x = x - x[rows].mean(0)
    gram = x[rows].T @ x[rows] / len(rows) + COVARIATE_RIDGE * torch.eye(x.shape[1]).to(x)
    slope = torch.linalg.solve(gram, x[rows].T @ standardised[rows].double() / len(rows))
    remainder: Tensor = standardised - (x @ slope).to(standardised)
    return remainder


def split_blocks(
    problem: Problem, training: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return the cells that train a network, and those that stop its training."""
    blocks = torch.unique(problem.block[training])
    order = torch.randperm(len(blocks), generator=generator).to(blocks.device)
    chosen = blocks[order[: round(TRAINED_SHARE * len(blocks))]]
    inside = torch.isin(problem.block[training], chosen)
    return (
        thinned(training[inside], generator, MAX_CELLS),
        thinned(training[~inside], generator, MAX_STOP_CELLS),
    )


def thinned(rows: Tensor, generator: torch.Generator, n: int) -> Tensor:
    """Return at most ``n`` of the rows, drawn at random, in ascending order."""
    if len(rows) <= n:
        return rows
    drawn = torch.randperm(len(rows), generator=generator)[:n].sort()[0]
    return rows[drawn.to(rows.device)]


def _silence(
    network: RegulatorAttention, data: Readings, rows: Tensor, generator: torch.Generator
) -> Tensor:
    """(F, G) signed effects of silencing every TF in a network."""
    rows = thinned(rows, generator, max(MIN_CELLS_READ, MAX_READ // data.allowed.numel()))
    return silence(network, data, rows, range(data.levels.shape[1]))


def mean_attention(effects: SilencingEffects, members: Tensor) -> NDArray[np.float32]:
    """(groups, TF genes, G) attention of every target to every TF, over groups and all networks.

    ``members`` (groups, N) is whether a cell belongs to a group.
    """
    shares = [
        attention_by_group(network, data, members, range(data.levels.shape[1]))
        for network, data in effects.networks
    ]
    return np.asarray(torch.stack(shares).mean(0).cpu().numpy(), dtype=np.float32)
