"""A mechanistic tissue of agents: secretion, diffusion, binding, activation, transcription.

1. *Cells* lie in patches. Progenitors differentiate into two fates; stroma and vessels do not.
   Every type has a programme of ligands, receptors and TFs of its own, and all types secrete.
2. *Diffusion*: the concentration of a ligand is the steady state of secretion, diffusion and
   degradation in a plane, ``c(x) = sum_j s_j K0(|x - x_j| / λ_l)``, the cell itself included.
3. *Binding*: ligands compete for a receptor, ``C_p = R c_l/K_p / (1 + sum over ligands of c/K)``.
4. *Activation*: a signalling TF is active in proportion to its own level and to the receptors
   that are occupied, ``A_f = x_f (0.1 + 0.9 S² / (1 + S²))``. Its transcription does not change.
5. *Transcription*: targets respond to active TFs by Hill functions, which add up or, in three
   tenths of the targets, are all needed. Some TFs are transcribed in response to others.
6. *Time*: differentiation, receptors, TFs and neighbourhoods change while the levels of mRNA
   follow, with Langevin noise. *Counts* are negative binomial.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from anndata import AnnData
from benchmarks.recovery.lineages import _patches as patches
from benchmarks.recovery.lineages import _positions as positions
from benchmarks.worlds.tissues_shared import quiet_levels
from scipy.spatial.distance import cdist
from scipy.special import k0

from spatrace_sc.datasets._annotated import SimulatedTissue, assemble
from spatrace_sc.datasets._counts import draw_counts
from spatrace_sc.datasets._fields import smooth_field
from spatrace_sc.datasets._wiring import Wiring

SIZES = {"ligand": 16, "receptor": 16, "tf": 14, "target": 70, "background": 150}
#: Genes that act, pairs among them, TFs that signals activate, and TFs that other TFs transcribe.
ACTING, PAIRS, SIGNALLING, REGULATED = 8, 10, 8, 4
TYPES = ("progenitor", "fateA", "fateB", "stroma", "vessel")
CELLS_OF_SLICE, STAGES, DEVELOPING = 800, 3, 0.6
#: Simulated time, its step, the time of a whole differentiation, and relaxation times.
PAST, DT, LENGTH, CELL_TIME, NEIGHBOUR_TIME = 12.0, 0.1, 14.0, 3.0, 6.0
#: Radius of a cell, in units in which cells are about 10 apart.
CELL_RADIUS = 4.0
NEIGHBOUR_NOISE, CELL_NOISE = 0.4, 0.6


@dataclass(frozen=True)
class Mechanism:
    """Who binds, activates and transcribes whom, and at which rates.

    - ``pairs`` (P, 2) ligand and receptor, ``pair_tf`` (P,) the TF that a pair activates;
    - ``strength`` (TFs, TFs + targets): signed rates of transcription;
    - ``all_needed`` (TFs + targets,): whether all regulators are needed;
    - ``basal``, ``decay`` (TFs + targets,);
    - ``reach`` (ligands,): length λ of diffusion;
    - ``programme`` (types, ligands + receptors + TFs): log expression;
    - ``affinity`` (P,), ``half_signal`` (TFs,), ``half`` (TFs,): half-saturations of binding,
      of activation and of transcription.
    """

    pairs: np.ndarray
    pair_tf: np.ndarray
    strength: np.ndarray
    all_needed: np.ndarray
    basal: np.ndarray
    decay: np.ndarray
    reach: np.ndarray
    programme: np.ndarray
    affinity: np.ndarray
    half_signal: np.ndarray
    half: np.ndarray

    def bound(self, concentration: np.ndarray, receptor: np.ndarray) -> np.ndarray:
        """Return (cells, P) occupied receptors."""
        left, right = self.pairs.T
        share = concentration[:, left] / self.affinity
        same = (right[:, None] == right[None]).astype(float)
        return np.asarray(receptor[:, right] * share / (1 + share @ same))

    def signal(self, bound: np.ndarray) -> np.ndarray:
        """Return (cells, TFs) occupied receptors that activate each TF."""
        return np.asarray(bound @ np.eye(SIZES["tf"])[self.pair_tf])

    def active(self, level: np.ndarray, bound: np.ndarray) -> np.ndarray:
        """Return (cells, TFs) active TFs, from their levels and the occupied receptors."""
        square = self.signal(bound) ** 2
        response = 0.1 + 0.9 * square / (square + self.half_signal**2)
        response[:, SIGNALLING:] = 1.0
        return np.asarray(level[:, : SIZES["tf"]] * response)

    def production(self, active: np.ndarray) -> np.ndarray:
        """Return (cells, TFs + targets) rates of transcription without the programme of TFs."""
        power = (active / self.half) ** 2
        hill = power / (1 + power)
        up, down = np.maximum(self.strength, 0), np.maximum(-self.strength, 0)
        added = hill @ up + (1 - hill) @ down
        logs = np.log(hill + 1e-9) @ (up > 0) + np.log(1 - hill + 1e-9) @ (down > 0)
        joint = np.abs(self.strength).sum(axis=0) * np.exp(logs)
        return np.asarray(self.basal + np.where(self.all_needed, joint, added))


def random_mechanism(rng: np.random.Generator) -> Mechanism:
    """Draw a mechanism; half-saturations are set later, from the tissue."""
    n_l, n_r, n_f, n_g, _ = SIZES.values()
    left, right = (np.concatenate([rng.permutation(ACTING), [0, 0]]) for _ in range(2))
    while len({*zip(left, right, strict=True)}) < PAIRS:
        left[ACTING:], right[ACTING:] = rng.integers(0, ACTING, (2, PAIRS - ACTING))
    strength = np.zeros((n_f, n_f + n_g))
    for gene in range(n_f - REGULATED, n_f + n_g):
        parents = rng.choice(min(gene, n_f), rng.integers(1, 4), replace=False)
        sign = np.where(rng.random(len(parents)) < 0.7, 1.0, -1.0)
        strength[parents, gene] = sign * rng.uniform(2.0, 5.0, len(parents))
    genes = n_l + n_r + n_f
    on = rng.random((len(TYPES), genes)) < 0.45
    programme = np.where(on, rng.normal(1.0, 0.4, on.shape), rng.normal(-1.2, 0.4, on.shape))
    return Mechanism(
        pairs=np.column_stack([left, right]).astype(np.intp),
        pair_tf=np.concatenate(
            [rng.permutation(SIGNALLING), rng.integers(0, SIGNALLING, PAIRS - SIGNALLING)]
        ),
        strength=strength,
        all_needed=rng.random(n_f + n_g) < 0.3,
        basal=rng.uniform(0.1, 0.5, n_f + n_g),
        decay=rng.uniform(0.5, 1.2, n_f + n_g),
        reach=rng.uniform(6.0, 25.0, n_l),
        programme=programme,
        affinity=np.ones(PAIRS),
        half_signal=np.ones(n_f),
        half=np.ones(n_f),
    )


def draw_cells(rng: np.random.Generator) -> pd.DataFrame:
    """Return one row per cell of three slices; support cells have no progress."""
    slices = []
    for stage in range(STAGES):
        xy = positions(rng, CELLS_OF_SLICE)
        developing = patches(rng, xy, 2, 0.7) == 0
        fate, support = patches(rng, xy, 2, 1.0), patches(rng, xy, 2, 1.5)
        mean = 0.3 + 0.2 * stage
        progress = rng.beta(6 * mean, 6 * (1 - mean), len(xy))
        frame = pd.DataFrame(xy, columns=["x", "y"]).assign(fate=1 + fate)
        frame["kind"] = np.where(developing, np.where(progress < 0.45, 0, 1 + fate), 3 + support)
        frame["progress"] = np.where(developing, progress, np.nan)
        frame["sample"] = frame["stage"] = f"day{stage + 1}"
        slices.append(frame.assign(stage_time=stage + 1.0))
    cells = pd.concat(slices, ignore_index=True)
    return cells.assign(cell_type=np.take(TYPES, cells["kind"]))


def programmes(mechanism: Mechanism, cells: pd.DataFrame, lag: float) -> np.ndarray:
    """Return (cells, ligands + receptors + TFs) log expression of the type, ``lag`` ago."""
    progress = cells["progress"].to_numpy() - lag / LENGTH
    share = np.clip((progress - 0.3) / 0.4, 0, 1)[:, None]
    root, end = mechanism.programme[0], mechanism.programme[cells["fate"]]
    fixed = mechanism.programme[cells["kind"]]
    return np.where(np.isnan(share), fixed, (1 - share) * root + share * end)


def concentrations(mechanism: Mechanism, cells: pd.DataFrame, secreted: np.ndarray) -> np.ndarray:
    """Return (cells, ligands) steady-state concentrations."""
    field = np.zeros_like(secreted)
    xy = cells[["x", "y"]].to_numpy()
    for rows in cells.groupby("sample").indices.values():
        distance = np.maximum(cdist(xy[rows], xy[rows]), CELL_RADIUS)
        for ligand, reach in enumerate(mechanism.reach):
            field[rows, ligand] = k0(distance / reach) @ secreted[rows, ligand]
    return field


def fields(rng: np.random.Generator, cells: pd.DataFrame, n: int) -> np.ndarray:
    """Return (cells, n) smooth fields of each slice, with standard deviation 1."""
    field, xy = np.empty((len(cells), n)), cells[["x", "y"]].to_numpy()
    for rows in cells.groupby("sample").indices.values():
        field[rows] = np.stack([smooth_field(rng, xy[rows], 90.0) for _ in range(n)], axis=1)
    return field


class Fluctuation:
    """An Ornstein–Uhlenbeck process with standard deviation 1."""

    def __init__(self, rng: np.random.Generator, shape: tuple[int, int], relaxation: float) -> None:
        self._rng, self.value = rng, rng.normal(size=shape)
        self._kept = float(np.exp(-DT / relaxation))

    def step(self) -> None:
        """Advance by one step of time."""
        new = self._rng.normal(size=self.value.shape)
        self.value = self._kept * self.value + np.sqrt(1 - self._kept**2) * new


def integrate(
    rng: np.random.Generator, mechanism: Mechanism, cells: pd.DataFrame
) -> tuple[np.ndarray, np.ndarray]:
    """Return (cells, ligands + receptors + TFs + targets) levels, and (cells, P) occupied ones."""
    n_l, n_r, n_f, n_g, _ = SIZES.values()
    niche = 0.4 * fields(rng, cells, n_l + n_r)
    now = programmes(mechanism, cells, 0.0)
    ligand = np.exp(now[:, :n_l] + niche[:, :n_l] + 0.5 * rng.normal(size=(len(cells), n_l)))
    field = concentrations(mechanism, cells, ligand)
    own = Fluctuation(rng, (len(cells), n_r + n_f), CELL_TIME)
    around = Fluctuation(rng, field.shape, NEIGHBOUR_TIME)
    driven = np.arange(n_f + n_g) < n_f - REGULATED
    x = np.ones((len(cells), n_f + n_g))
    for lag in np.arange(round(PAST / DT))[::-1] * DT:
        programme = programmes(mechanism, cells, lag)[:, n_l:] + CELL_NOISE * own.value
        receptor = np.exp(programme[:, :n_r] + niche[:, n_l:])
        # the neighbours of earlier times differ the more, the longer ago
        new = np.sqrt(1 - np.exp(-2 * lag / NEIGHBOUR_TIME))
        bound = mechanism.bound(field * np.exp(NEIGHBOUR_NOISE * new * around.value), receptor)
        rate = mechanism.production(mechanism.active(x, bound))
        rate[:, driven] = np.exp(programme[:, n_r:])[:, driven[:n_f]]
        lost = mechanism.decay * x
        kick = np.sqrt((rate + lost) * DT / 4) * rng.normal(size=x.shape)
        x = np.maximum(x + (rate - lost) * DT + kick, 0.0)
        own.step()
        around.step()
    return np.hstack([ligand, receptor, x]), bound


def calibrated(rng: np.random.Generator, mechanism: Mechanism, cells: pd.DataFrame) -> Mechanism:
    """Return the mechanism with half-saturations at the median of the tissue."""
    n_l, n_r, _, _, _ = SIZES.values()
    levels = np.exp(programmes(mechanism, cells, 0.0))
    field = concentrations(mechanism, cells, levels[:, :n_l])
    half = np.median(field, axis=0)
    model = replace(mechanism, affinity=half[mechanism.pairs[:, 0]])
    signal = model.signal(model.bound(field, levels[:, n_l : n_l + n_r]))
    half_signal = np.maximum(np.median(signal, axis=0), 1e-3)
    model = replace(model, half_signal=half_signal)
    for _ in range(2):
        level, bound = integrate(rng, model, cells)
        model = replace(model, half=np.median(model.active(level[:, n_l + n_r :], bound), axis=0))
    return model


def wiring_of(mechanism: Mechanism) -> Wiring:
    """Return the true network: a pair acts directly on the targets of the TF that it activates."""
    n_f = SIZES["tf"]
    pair_tf = np.zeros((PAIRS, n_f))
    pair_tf[np.arange(PAIRS), mechanism.pair_tf] = 1.0
    return Wiring(
        pairs=mechanism.pairs,
        ligand_mimics=np.full(SIZES["ligand"], -1),
        receptor_mimics=np.full(SIZES["receptor"], -1),
        tf_tf=mechanism.strength[:, :n_f],
        pair_tf=pair_tf,
        tf_target=mechanism.strength[:, n_f:],
        pair_target=pair_tf @ mechanism.strength[:, n_f:],
    )


def agents(seed: int, depth: float = 2000.0, dispersion: float = 8.0) -> AnnData:
    """Return a tissue of three days, 2 400 cells and 256 candidate pairs, 10 of which act."""
    rng = np.random.default_rng(seed)
    cells = draw_cells(rng)
    mechanism = calibrated(rng, random_mechanism(rng), cells)
    levels, bound = integrate(rng, mechanism, cells)
    scaled = levels * rng.lognormal(0, 0.4, levels.shape[1])
    level = np.hstack([scaled, quiet_levels(rng, scaled, SIZES["background"], 1.0, 0.4)])
    counts = draw_counts(rng, level, depth=depth, dispersion=dispersion, dropout=0.0)
    time = cells["progress"].to_numpy()
    developing = np.isfinite(time)[:, None]
    tissue = SimulatedTissue(
        cells, counts, wiring_of(mechanism), SIZES, time, np.where(developing, bound, np.nan)
    )
    adata = assemble(rng, tissue, {"seed": seed, "depth": depth, "dispersion": dispersion})
    adata.uns["arguments"] = {
        "sample_key": "sample",
        "stage_key": "stage",
        "time_key": "dpt_pseudotime",
    }
    return adata


def agents_deep(seed: int) -> AnnData:
    """Return the same tissue with hardly any noise of counting."""
    return agents(seed, depth=200_000.0, dispersion=1000.0)
