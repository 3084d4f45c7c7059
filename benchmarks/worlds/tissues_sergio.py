"""Gene networks as SERGIO simulates them (Dibaeinia & Sinha, Cell Systems 2020), own code.

A random acyclic network of master regulators, regulators and targets. A gene is produced at
``P_g = sum_f K_fg H(x_f)``, with ``H = x² / (h² + x²)`` or ``1 - H`` and h the mean level of the
TF over states, and decays at ``0.8 x_g``. Chemical Langevin noise is
``sqrt(P_g + 0.8 x_g) dW``. Technical noise: outlier genes, library sizes, dropout that is logistic
in log expression, Poisson counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData
from benchmarks.recovery.lineages import _technical as technical_noise
from benchmarks.worlds.tissues_shared import (
    N_BACKGROUND,
    World,
    from_counts,
    from_levels,
    with_inert_genes,
)

N_CELLS, N_GENES, N_TYPES, DEPTH = 1500, 100, 4, 1800.0
DECAY, HILL, DT = 0.8, 2, 0.05
#: Time that is simulated, in steady states and along the trajectory, and that of the trajectory.
STEADY, PAST, LENGTH = 10.0, 14.0, 14.0
#: Progress at the root, at the fork and at the ends.
KNOTS = np.array([0.0, 0.4, 1.0])


@dataclass(frozen=True)
class Network:
    """Rates ``strength`` (TFs, genes), negative where the TF represses; TFs come first.

    The first ``n_masters`` TFs are produced at given rates instead.
    """

    strength: np.ndarray
    n_masters: int

    @property
    def n_tfs(self) -> int:
        """Number of TFs."""
        return len(self.strength)


def random_network(rng: np.random.Generator) -> Network:
    """Draw 10–20 TFs, a third of them masters, and 1–4 regulators for every other gene."""
    n_tfs = int(rng.integers(10, 21))
    n_masters = n_tfs // 3
    hub = rng.lognormal(0.0, 0.8, n_tfs)
    strength = np.zeros((n_tfs, N_GENES))
    for gene in range(n_masters, N_GENES):
        known = min(gene, n_tfs)
        size = min(int(rng.integers(1, 5)), known)
        parents = rng.choice(known, size, replace=False, p=hub[:known] / hub[:known].sum())
        sign = np.where(rng.random(size) < 0.65, 1.0, -1.0)
        strength[parents, gene] = sign * rng.uniform(1.0, 5.0, size)
    return Network(strength, n_masters)


def production(
    network: Network, x: np.ndarray, half: np.ndarray, masters: np.ndarray
) -> np.ndarray:
    """Return (cells, genes) rates of production; those of masters are given."""
    power = x[:, : network.n_tfs] ** HILL
    bound = power / (power + half**HILL)
    rate = bound @ network.strength + np.maximum(-network.strength, 0).sum(axis=0)
    rate[:, : network.n_masters] = masters
    return np.asarray(rate)


def steady_state(network: Network, masters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (states, genes) levels without noise and (TFs,) half-response levels."""
    x, half = np.ones((len(masters), N_GENES)), np.ones(network.n_tfs)
    # a TF is regulated by earlier ones only, so that its level is final when it is reached
    for tf in range(network.n_tfs):
        x = production(network, x, half, masters) / DECAY
        half[tf] = x[:, tf].mean()
    return production(network, x, half, masters) / DECAY, half


def langevin(
    rng: np.random.Generator,
    network: Network,
    x: np.ndarray,
    half: np.ndarray,
    masters: list[np.ndarray],
) -> np.ndarray:
    """Return (cells, genes) levels after one step for each (cells, masters) rate of masters."""
    for rates in masters:
        made = production(network, x, half, rates)
        noise = np.sqrt((made + DECAY * x) * DT) * rng.normal(size=x.shape)
        x = np.maximum(x + (made - DECAY * x) * DT + noise, 0.0)
    return x


def master_rates(rng: np.random.Generator, n_states: int, n_masters: int) -> np.ndarray:
    """Draw (states, masters) rates, low (.2–1) or high (2–4), until all states differ."""
    while True:
        high = rng.random((n_states, n_masters)) < 0.5
        if len({tuple(row) for row in high}) == n_states:
            low = rng.uniform(0.2, 1.0, high.shape)
            return np.where(high, rng.uniform(2.0, 4.0, high.shape), low)


def steady_world(seed: int) -> tuple[np.random.Generator, World]:
    """Return cells in the steady states of four cell types."""
    rng = np.random.default_rng(seed)
    network = random_network(rng)
    kinds = np.arange(N_CELLS) % N_TYPES
    rates = master_rates(rng, N_TYPES, network.n_masters)
    steady, half = steady_state(network, rates)
    steps = [rates[kinds]] * round(STEADY / DT)
    return rng, _world(network, langevin(rng, network, steady[kinds], half, steps), kinds)


def differentiation_world(seed: int) -> tuple[np.random.Generator, World]:
    """Return cells along a trajectory that forks; the rates of masters change on the way."""
    rng = np.random.default_rng(seed)
    network = random_network(rng)
    ends = master_rates(rng, 4, network.n_masters)
    knots = np.stack([[ends[0], ends[1], end] for end in ends[2:]])
    progress, branch = rng.random(N_CELLS), rng.integers(0, 2, N_CELLS)
    _, half = steady_state(network, ends)

    def rates(then: np.ndarray) -> np.ndarray:
        part = np.clip(np.searchsorted(KNOTS, then, side="right") - 1, 0, len(KNOTS) - 2)
        fraction = ((then - KNOTS[part]) / np.diff(KNOTS)[part])[:, None]
        return np.asarray((1 - fraction) * knots[branch, part] + fraction * knots[branch, part + 1])

    lags = np.arange(round(PAST / DT))[::-1] * DT
    steps = [rates(np.maximum(progress - lag / LENGTH, 0.0)) for lag in lags]
    start = production(network, np.tile(half, (N_CELLS, 1)), half, steps[0]) / DECAY
    x = langevin(rng, network, start, half, steps)
    kinds = np.where(progress < KNOTS[1], 0, 1 + branch)
    return rng, _world(network, x, kinds, progress)


def _world(
    network: Network, x: np.ndarray, kinds: np.ndarray, time: np.ndarray | None = None
) -> World:
    genes = [f"g{k}" for k in range(N_GENES)]
    tf, target = np.nonzero(network.strength)
    edges = pd.DataFrame({"tf": np.take(genes, tf), "target": np.take(genes, target)})
    return World(
        values=x,
        genes=genes,
        types=np.char.add("type", kinds.astype(str)),
        tfs=genes[: network.n_tfs],
        targets=genes[network.n_tfs :],
        edges=edges.assign(sign=np.sign(network.strength[tf, target]).astype(int)),
        time=time,
    )


def _counted(rng: np.random.Generator, world: World) -> AnnData:
    level = with_inert_genes(rng, world, background=N_BACKGROUND)
    return from_counts(rng, world, technical_noise(rng, level, DEPTH).toarray())


def sergio_like(seed: int) -> AnnData:
    """Return four cell types in steady state, with technical noise and a diffusion pseudotime."""
    return _counted(*steady_world(seed))


def sergio_like_poisson(seed: int) -> AnnData:
    """Return the same with library sizes and Poisson counts only, as DS4 has them."""
    rng, world = steady_world(seed)
    level = with_inert_genes(rng, world, background=N_BACKGROUND)
    library = rng.lognormal(0, 0.3, (len(level), 1))
    return from_counts(rng, world, rng.poisson(level * library))


def sergio_like_clean(seed: int) -> AnnData:
    """Return the same without technical noise."""
    return from_levels(*steady_world(seed))


def sergio_differentiation(seed: int) -> AnnData:
    """Return a trajectory that forks, with technical noise."""
    return _counted(*differentiation_world(seed))


def sergio_differentiation_clean(seed: int) -> AnnData:
    """Return the same without technical noise."""
    return from_levels(*differentiation_world(seed))
