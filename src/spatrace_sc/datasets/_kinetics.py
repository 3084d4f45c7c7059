"""Kinetics of receivers: TFs and targets integrated over latent time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from ._fields import resemble
from ._removal import ActiveGenes
from ._wiring import Wiring

#: Euler–Maruyama steps from latent time 0 to 1.
N_STEPS = 80


@dataclass(frozen=True)
class Trends:
    """Course of ligands and receptors over latent time, at the steps of integration."""

    ligand: np.ndarray
    """(steps + 1, L) multiplies every sender's expression."""
    receptor: np.ndarray
    """(steps + 1, R)"""


def draw_trends(rng: np.random.Generator, wiring: Wiring) -> Trends:
    """Smooth bumps over time; a decoy has the bump of the gene it copies."""
    grid = np.linspace(0, 1, N_STEPS + 1)[:, None]

    def bumps(copied: np.ndarray) -> np.ndarray:
        centre = rng.uniform(0, 1, len(copied))
        height = rng.uniform(0.5, 1.5, len(copied))
        centre, height = (np.where(copied >= 0, v[copied], v) for v in (centre, height))
        return np.exp(height * np.exp(-((grid - centre) ** 2) / (2 * 0.25**2)) - height / 2)

    return Trends(ligand=bumps(wiring.ligand_mimics), receptor=bumps(wiring.receptor_mimics))


@dataclass(frozen=True)
class Receivers:
    """State of the receivers at their latent time."""

    tf: np.ndarray
    """(receivers, F)"""
    target: np.ndarray
    """(receivers, G)"""
    receptor: np.ndarray
    """(receivers, R)"""
    signal: np.ndarray
    """(receivers, P) saturating signal of every acting pair, 0 to 1."""


def integrate(
    rng: np.random.Generator,
    *,
    wiring: Wiring,
    trends: Trends,
    exposure: np.ndarray,
    receptor: np.ndarray,
    time: np.ndarray,
    lineage: np.ndarray,
    noise: float,
    likeness: float,
    active: ActiveGenes,
) -> Receivers:
    """Integrate every receiver from latent time 0 to its own (Euler–Maruyama, all cells at once).

    Signal s of pair p, level x of TF f and level y of target g::

        s_p   = d^n_p / (K_p^n_p + d^n_p), with the dose d = E_l(t) * R_r(t)
        dx_f  = gamma_f * [sigmoid(b_f + u_f(t, lineage) + 0.8 * omega_f(t)
                           + 3 * sum over TFs f2 of A[f2, f] * (x_f2 - 1/2)
                           + 1.6 * sum over pairs p of B[p, f] * (s_p - 1/2)) - x_f] * dt + noise
        dy_g  = gamma_g * [sigmoid(b_g + h_g(t, lineage)
                           + 3 * sum over TFs f of W[f, g] * (x_f - 1/2)
                           + 1.6 * sum over pairs p of V[p, g] * (s_p - 1/2)) - y_g] * dt + noise

    - The noise is ``noise * sqrt(gamma * dt * x)`` times a standard normal number; gamma is 8 to
      20 per unit of time.
    - omega are Ornstein–Uhlenbeck processes of the cell with standard deviation 1. Their
      relaxation time is 0.15 for TFs, 0.25 for receptors and ligands.
    - u and h are waves of latent time that differ between lineages: strong for root TFs and for
      targets without regulators, a fifth of it for the others.
    - ``R_r(t) = exp(base_r + 0.7 * omega_r(t)) * m_r(t)``, m the trend. The omega of a decoy
      correlates with that of the gene it copies at ``likeness``.
    - ``E_l(t) = m_l(t) / m_l(T) * [rho * E_l + (1 - rho) * mean(E_l)] * exp(0.3 * (1 - rho) *
      omega_l(t))`` with ``rho = exp(-3 * (T - t))`` and T the cell's latent time: the further
      back, the less the neighbourhood was the cell's present one.
    - A gene that is not ``active`` has level 0 at all times (a ligand: exposure 0). K and every
      random number are those of the intact tissue.
    """
    n_f, n_g = wiring.tf_target.shape
    n, dt = len(time), 1.0 / N_STEPS
    ligand_of, receptor_of = wiring.pairs[:, 0], wiring.pairs[:, 1]
    steps = np.maximum(1, np.round(time * N_STEPS).astype(int))
    level_now = exposure / trends.ligand[steps]
    mean_level = level_now.mean(0)
    typical = np.exp(receptor) * trends.receptor[steps]
    hill = rng.choice([1.0, 1.5, 2.0], len(ligand_of))
    half = np.quantile(exposure[:, ligand_of] * typical[:, receptor_of], 0.6, axis=0) + 1e-9
    rate_f, rate_g = rng.uniform(8, 20, n_f), rng.uniform(8, 20, n_g)
    is_root = ~(wiring.tf_tf != 0).any(0)
    is_free = ~((wiring.tf_target != 0).any(0) | (wiring.pair_target != 0).any(0))
    wave_f, wave_g = (_waves(rng, lineage, strong=strong) for strong in (is_root, is_free))
    bias_f, bias_g = rng.normal(-0.3, 0.4, n_f), rng.normal(-0.3, 0.4, n_g)
    x, y = np.full((n, n_f), 0.4) * active.tf, np.full((n, n_g), 0.4)
    tf_state = _Wander(rng, n, n_f, relaxation=0.15, dt=dt)
    receptor_state = _Wander(rng, n, receptor.shape[1], relaxation=0.25, dt=dt)
    ligand_state = _Wander(rng, n, exposure.shape[1], relaxation=0.25, dt=dt)
    signal, level_r = np.zeros((n, len(ligand_of))), np.zeros_like(receptor)
    for step in range(int(steps.max())):
        running = (step < steps)[:, None]
        # exposure, receptors and signals at this time
        rho = np.exp(-3.0 * np.maximum(steps - step, 0) * dt)[:, None]
        e_t = trends.ligand[step] * (rho * level_now + (1 - rho) * mean_level)
        e_t = e_t * np.exp(0.3 * ligand_state.value * (1 - rho)) * active.ligand
        fluctuation = resemble(receptor_state.value, wiring.receptor_mimics, likeness)
        r_t = np.exp(receptor + 0.7 * fluctuation) * trends.receptor[step] * active.receptor
        dose = (e_t[:, ligand_of] * r_t[:, receptor_of] / half) ** hill
        s = dose / (1 + dose)
        signal, level_r = np.where(running, s, signal), np.where(running, r_t, level_r)
        # regulation by TFs and signals
        drive_f = bias_f + wave_f(step * dt) + 0.8 * tf_state.value
        drive_f = drive_f + 3.0 * (x - 0.5) @ wiring.tf_tf + 1.6 * (s - 0.5) @ wiring.pair_tf
        drive_g = bias_g + wave_g(step * dt) + 3.0 * (x - 0.5) @ wiring.tf_target
        drive_g = drive_g + 1.6 * (s - 0.5) @ wiring.pair_target
        jump_f, jump_g = rng.normal(size=x.shape), rng.normal(size=y.shape)
        new_x = x + rate_f * (expit(drive_f) - x) * dt + noise * np.sqrt(rate_f * dt * x) * jump_f
        new_y = y + rate_g * (expit(drive_g) - y) * dt + noise * np.sqrt(rate_g * dt * y) * jump_g
        x = np.where(running, np.maximum(new_x, 1e-3) * active.tf, x)
        y = np.where(running, np.maximum(new_y, 1e-3), y)
        for process in (tf_state, receptor_state, ligand_state):
            process.advance()
    return Receivers(tf=x, target=y, receptor=level_r, signal=signal)


class _Wander:
    """Ornstein–Uhlenbeck processes with mean 0 and standard deviation 1, (cells, genes)."""

    def __init__(
        self, rng: np.random.Generator, n_cells: int, n_genes: int, *, relaxation: float, dt: float
    ) -> None:
        self._rng = rng
        self._persistence = np.exp(-dt / relaxation)
        self.value = rng.normal(size=(n_cells, n_genes))

    def advance(self) -> None:
        kick = self._rng.normal(size=self.value.shape)
        self.value = self._persistence * self.value + np.sqrt(1 - self._persistence**2) * kick


def _waves(
    rng: np.random.Generator, lineage: np.ndarray, *, strong: np.ndarray
) -> Callable[[float], np.ndarray]:
    """Function of time → (cells, genes) drive by lineage; a fifth of it where not ``strong``."""
    shape = (int(lineage.max()) + 1, len(strong))
    centre = rng.uniform(0, 1, shape)
    height = rng.choice([-1.0, 1.0], shape) * rng.uniform(1.0, 2.5, shape)
    height = height * np.where(strong, 1.0, 0.2)
    return lambda t: (height * np.exp(-((t - centre) ** 2) / (2 * 0.2**2)))[lineage]
