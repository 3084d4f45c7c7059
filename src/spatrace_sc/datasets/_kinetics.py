"""Expression of senders and receivers in a simulated tissue."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.special import expit

from ._layout import smooth_field
from ._removal import Left, coupled_counts
from ._wiring import Wiring

#: Length over which a ligand spreads, and over which expression varies in space, in coordinate units per cell spacing.
SPREAD = 1.6
FIELD = 8.0
#: Euler–Maruyama steps from latent time 0 to 1.
N_STEPS = 80


@dataclass(frozen=True)
class Trends:
    """Course of ligands and receptors over latent time, at the grid of integration."""

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


def latent_time(rng: np.random.Generator, cells: pd.DataFrame, spacing: float) -> np.ndarray:
    """Latent time in (0, 1): the stage, a front through space and the cell's own pace. NaN for senders."""
    stages = np.unique(cells["stage_time"])
    position = np.searchsorted(stages, cells["stage_time"]) / len(stages)
    own = rng.random(len(cells))
    for sample in cells["sample"].unique():
        here = (cells["sample"] == sample).to_numpy()
        front = smooth_field(rng, cells.loc[here, ["x", "y"]].to_numpy(), FIELD * spacing)
        own[here] = 0.65 * own[here] + 0.35 / (1 + np.exp(-front))
    time = np.clip(position + own * 1.3 / len(stages), 0.02, 1.0)
    return np.where(cells["is_receiver"], time, np.nan)


def ligand_expression(
    rng: np.random.Generator,
    cells: pd.DataFrame,
    wiring: Wiring,
    trends: Trends,
    spacing: float,
    likeness: float,
) -> np.ndarray:
    """(cells, L) linear expression: type × stage × smooth field within the slice × cell noise; 2 % of it in receivers.

    A decoy has the type profile and stage course of the ligand it copies, and a field that correlates with its at ``likeness``.
    """
    names, kind = np.unique(cells["cell_type"], return_inverse=True)
    n_l = len(wiring.ligand_mimics)
    profile = rng.normal(0, 1.0, (len(names), n_l))
    profile[rng.integers(0, len(names), n_l), np.arange(n_l)] += 1.0
    copied = wiring.ligand_mimics
    profile = np.where(copied >= 0, profile[:, copied] + rng.normal(0, 0.3, profile.shape), profile)
    field = copied_fields(rng, cells, copied, spacing, likeness)
    stages = np.unique(cells["stage_time"])
    middle = (np.searchsorted(stages, cells["stage_time"]) + 0.5) / len(stages)
    course = trends.ligand[np.round(middle * N_STEPS).astype(int)]
    level = np.exp(profile[kind] + 0.7 * field + 0.4 * rng.normal(size=field.shape)) * course
    expressed: np.ndarray = np.where(cells["is_receiver"].to_numpy()[:, None], 0.02 * level, level)
    return expressed


def receptor_base(
    rng: np.random.Generator, cells: pd.DataFrame, wiring: Wiring, spacing: float, likeness: float
) -> np.ndarray:
    """(cells, R) logarithm of the receptor level before its course over time and the cell's own fluctuation: type and place.

    A decoy has the type profile of the receptor it copies and a field that correlates with its at ``likeness``.
    """
    names, kind = np.unique(cells["cell_type"], return_inverse=True)
    copied = wiring.receptor_mimics
    profile = rng.normal(0, 0.5, (len(names), len(copied)))
    profile = np.where(copied >= 0, profile[:, copied], profile)
    base = profile[kind] + 0.4 * copied_fields(rng, cells, copied, spacing, likeness)
    return np.where(cells["is_receiver"].to_numpy()[:, None], base, base - 3.0)


def copied_fields(
    rng: np.random.Generator,
    cells: pd.DataFrame,
    copied: np.ndarray,
    spacing: float,
    likeness: float,
) -> np.ndarray:
    """(cells, genes) one smooth field per gene and slice; a copying gene's field correlates with its model's at ``likeness``."""
    field = np.empty((len(cells), len(copied)))
    for sample in cells["sample"].unique():
        here = (cells["sample"] == sample).to_numpy()
        xy = cells.loc[here, ["x", "y"]].to_numpy()
        own = np.stack([smooth_field(rng, xy, FIELD * spacing) for _ in copied], axis=1)
        field[here] = _alike(own, copied, likeness)
    return field


def _alike(values: np.ndarray, copied: np.ndarray, likeness: float) -> np.ndarray:
    """Columns that copy another become ``likeness`` parts of it and the rest their own, at the same variance."""
    return np.where(
        copied >= 0, likeness * values[:, copied] + np.sqrt(1 - likeness**2) * values, values
    )


@dataclass(frozen=True)
class Receivers:
    """State of the receivers at their latent time."""

    tf: np.ndarray
    target: np.ndarray
    receptor: np.ndarray
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
    left: Left,
) -> Receivers:
    r"""Integrate every receiver from latent time 0 to its own (Euler–Maruyama, all cells at once).

    .. math::
        s_p(t)   &= \frac{(E_l(t) R_r(t))^{n_p}}{K_p^{n_p} + (E_l(t) R_r(t))^{n_p}} \\
        dx_f     &= \gamma_f [\sigma(b_f + u_f(t, lineage) + \omega_f(t) + 3 \textstyle\sum_{f'} A_{f'f} (x_{f'} - ½) + 1.6 \sum_p B_{pf} (s_p - ½)) - x_f] dt + noise \\
        dy_g     &= \gamma_g [\sigma(b_g + h_g(t, lineage) + 3 \textstyle\sum_f W_{fg} (x_f - ½) + 1.6 \sum_p V_{pg} (s_p - ½)) - y_g] dt + noise

    - ``noise`` is :math:`noise\,\sqrt{\gamma\,dt\,x}\,\xi`; :math:`\gamma` is 8 to 20 per unit of time.
    - :math:`\omega_f` is an Ornstein–Uhlenbeck process of the cell (sd 0.8, relaxation 0.15).
    - :math:`u_f, h_g` are waves of latent time that differ between lineages: strong for root TFs and for targets without regulators, weak (a fifth) for the others.
    - :math:`R_r(t) = e^{base_r + 0.7\,\omega_r(t)} m_r(t)` with :math:`\omega_r` an Ornstein–Uhlenbeck process (sd 1, relaxation 0.25); a decoy's correlates with its model's at ``likeness``.
    - A gene that is not ``left`` has level 0 at all times (a ligand: exposure 0); :math:`K_p` and every random number are those of the intact tissue.
    - :math:`E_l(t) = m_l(t)/m_l(\tau)\,[\rho E_l + (1-\rho)\bar E_l]\,e^{0.3\,\omega_l(t)}`, :math:`\rho = e^{-3(\tau - t)}`: a cell's neighbourhood was less its own the further back.
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
    wave_f = _waves(rng, n_f, lineage, strong=~(wiring.tf_tf != 0).any(0))
    wave_g = _waves(
        rng,
        n_g,
        lineage,
        strong=~((wiring.tf_target != 0).any(0) | (wiring.pair_target != 0).any(0)),
    )
    bias_f, bias_g = rng.normal(-0.3, 0.4, n_f), rng.normal(-0.3, 0.4, n_g)
    x, y = np.full((n, n_f), 0.4) * left.tf, np.full((n, n_g), 0.4)
    own = _Wander(rng, n, n_f, relaxation=0.15, dt=dt)
    state = _Wander(rng, n, receptor.shape[1], relaxation=0.25, dt=dt)
    place = _Wander(rng, n, exposure.shape[1], relaxation=0.25, dt=dt)
    signal, level_r = np.zeros((n, len(ligand_of))), np.zeros_like(receptor)
    for step in range(int(steps.max())):
        active = (step < steps)[:, None]
        rho = np.exp(-3.0 * np.maximum(steps - step, 0) * dt)[:, None]
        e_t = (
            trends.ligand[step]
            * (rho * level_now + (1 - rho) * mean_level)
            * np.exp(0.3 * place.value * (1 - rho))
        )
        r_t = (
            np.exp(receptor + 0.7 * _alike(state.value, wiring.receptor_mimics, likeness))
            * trends.receptor[step]
        )
        e_t, r_t = e_t * left.ligand, r_t * left.receptor
        dose = (e_t[:, ligand_of] * r_t[:, receptor_of] / half) ** hill
        s = dose / (1 + dose)
        signal, level_r = np.where(active, s, signal), np.where(active, r_t, level_r)
        drive_f = (
            bias_f
            + wave_f(step * dt)
            + 0.8 * own.value
            + 3.0 * (x - 0.5) @ wiring.tf_tf
            + 1.6 * (s - 0.5) @ wiring.pair_tf
        )
        drive_g = (
            bias_g
            + wave_g(step * dt)
            + 3.0 * (x - 0.5) @ wiring.tf_target
            + 1.6 * (s - 0.5) @ wiring.pair_target
        )
        jump_f, jump_g = rng.normal(size=x.shape), rng.normal(size=y.shape)
        new_x = x + rate_f * (expit(drive_f) - x) * dt + noise * np.sqrt(rate_f * dt * x) * jump_f
        new_y = y + rate_g * (expit(drive_g) - y) * dt + noise * np.sqrt(rate_g * dt * y) * jump_g
        x = np.where(active, np.maximum(new_x, 1e-3) * left.tf, x)
        y = np.where(active, np.maximum(new_y, 1e-3), y)
        for process in (own, state, place):
            process.advance()
    return Receivers(tf=x, target=y, receptor=level_r, signal=signal)


class _Wander:
    """Ornstein–Uhlenbeck processes with mean 0 and sd 1, (cells, genes)."""

    def __init__(
        self, rng: np.random.Generator, n_cells: int, n_genes: int, *, relaxation: float, dt: float
    ) -> None:
        self._rng = rng
        self._keep = np.exp(-dt / relaxation)
        self.value = rng.normal(size=(n_cells, n_genes))

    def advance(self) -> None:
        kick = self._rng.normal(size=self.value.shape)
        self.value = self._keep * self.value + np.sqrt(1 - self._keep**2) * kick


def _waves(
    rng: np.random.Generator, n_genes: int, lineage: np.ndarray, *, strong: np.ndarray
) -> Callable[[float], np.ndarray]:
    """Function of time → (cells, genes) drive by latent time, by lineage; a fifth of it where not ``strong``."""
    n_lineages = int(lineage.max()) + 1
    centre = rng.uniform(0, 1, (n_lineages, n_genes))
    height = (
        rng.choice([-1.0, 1.0], (n_lineages, n_genes))
        * rng.uniform(1.0, 2.5, (n_lineages, n_genes))
        * np.where(strong, 1.0, 0.2)
    )
    return lambda t: (height * np.exp(-((t - centre) ** 2) / (2 * 0.2**2)))[lineage]


def draw_counts(
    rng: np.random.Generator,
    level: np.ndarray,
    *,
    depth: float,
    dispersion: float,
    dropout: float,
    changed: np.ndarray | None = None,
    extra: np.random.Generator | None = None,
) -> sparse.csr_matrix:
    """Negative-binomial counts: mean ``depth_i · level_ig / Σ_g level_ig``, variance ``μ + μ² / dispersion``, then entries lost at random.

    With ``changed`` levels: the counts of these, each molecule seen with the probability it has in the intact cell, coupled to those of ``level`` (:func:`coupled_counts` with ``extra``), so that a gene whose level is the same has the same counts.
    """
    per_cell = depth * np.exp(0.35 * rng.normal(size=(len(level), 1)))
    mean = per_cell * level / level.sum(1, keepdims=True)
    rate = rng.gamma(dispersion, mean / dispersion)
    counts = rng.poisson(rate)
    if changed is not None and extra is not None:
        share = np.divide(changed, level, out=np.ones_like(level), where=level > 0)
        counts = coupled_counts(extra, counts, rate, rate * share)
    if dropout > 0:
        counts = counts * (rng.random(counts.shape) >= dropout)
    return sparse.csr_matrix(counts.astype(np.float32))
