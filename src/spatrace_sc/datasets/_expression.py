"""Expression of senders and receivers in a simulated tissue."""

from __future__ import annotations

import numpy as np
import pandas as pd

from .._core.exposure import ligand_exposure, nearest_neighbour_distance, neighbour_weights
from ._fields import FIELD_LENGTH, copied_fields, smooth_field
from ._kinetics import N_STEPS, Trends, draw_trends, integrate
from ._removal import ActiveGenes
from ._wiring import Wiring

#: Length over which a ligand spreads, in units of the cell spacing.
SPREAD = 1.6


def express(
    streams: dict[str, np.random.Generator],
    cells: pd.DataFrame,
    wiring: Wiring,
    *,
    noise: float,
    likeness: float,
    n_background: int,
    active: ActiveGenes,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Linear expression of all genes, latent time, and the true signal.

    Returns
    -------
    (cells, genes in the order of their roles), (cells,) and (cells, P); latent time and signal are
    NaN in senders.
    """
    receiver = cells["is_receiver"].to_numpy()
    xy = cells[["x", "y"]].to_numpy(dtype=np.float64)
    sample = pd.factorize(cells["sample"])[0]
    spacing = nearest_neighbour_distance(xy, sample)
    spread = SPREAD * spacing
    trends = draw_trends(streams["trends"], wiring)
    time = _latent_time(streams["time"], cells, spacing)
    ligand = _ligand_expression(streams["ligand"], cells, wiring, trends, spacing, likeness)
    weights = neighbour_weights(
        xy, sample, receiver, ~receiver, radius=5 * spread, kernel=lambda d: np.exp(-d / spread)
    )
    base = _receptor_base(streams["receptor"], cells, wiring, spacing, likeness)
    state = integrate(
        streams["kinetics"],
        wiring=wiring,
        trends=trends,
        exposure=ligand_exposure(weights, np.log1p(ligand))[receiver].astype(np.float64),
        receptor=base[receiver],
        time=time[receiver],
        lineage=pd.factorize(cells["cell_type"][receiver])[0],
        noise=noise,
        likeness=likeness,
        active=active,
    )
    n, rng = len(cells), streams["background"]
    tf, target = (0.05 * rng.random((n, n_genes)) for n_genes in wiring.tf_target.shape)
    receptor = np.exp(base)
    tf[receiver], target[receiver], receptor[receiver] = state.tf, state.target, state.receptor
    signal = np.full((n, len(wiring.pairs)), np.nan, dtype=np.float32)
    signal[receiver] = state.signal
    by_role = [0.3 * ligand * active.ligand, 0.15 * receptor * active.receptor]
    modelled = np.hstack([*by_role, 0.5 * tf * active.tf, target])
    background = _background(rng, cells, n_background)
    if n_background:
        background *= 7 / 3 * modelled.sum(1).mean() / background.sum(1).mean()
    return np.hstack([modelled, background]), time, signal


def _latent_time(rng: np.random.Generator, cells: pd.DataFrame, spacing: float) -> np.ndarray:
    """Latent time in (0, 1): the stage, a front through space, the cell's pace; NaN in senders."""
    stages = np.unique(cells["stage_time"])
    position = np.searchsorted(stages, cells["stage_time"]) / len(stages)
    pace = rng.random(len(cells))
    for sample in cells["sample"].unique():
        members = (cells["sample"] == sample).to_numpy()
        xy = cells.loc[members, ["x", "y"]].to_numpy()
        front = smooth_field(rng, xy, FIELD_LENGTH * spacing)
        # scipy's expit differs in the last digit, and a seed must keep its draws
        pace[members] = 0.65 * pace[members] + 0.35 / (1 + np.exp(-front))
    time = np.clip(position + pace * 1.3 / len(stages), 0.02, 1.0)
    return np.where(cells["is_receiver"], time, np.nan)


def _ligand_expression(
    rng: np.random.Generator,
    cells: pd.DataFrame,
    wiring: Wiring,
    trends: Trends,
    spacing: float,
    likeness: float,
) -> np.ndarray:
    """(cells, L) linear expression: type × stage × smooth field of the slice × noise of the cell.

    Receivers have 2 % of it. A decoy has the type profile and stage course of the ligand it
    copies, and a field that correlates with that ligand's at ``likeness``.
    """
    names, code = np.unique(cells["cell_type"], return_inverse=True)
    copied = wiring.ligand_mimics
    profile = rng.normal(0, 1.0, (len(names), len(copied)))
    profile[rng.integers(0, len(names), len(copied)), np.arange(len(copied))] += 1.0
    profile = np.where(copied >= 0, profile[:, copied] + rng.normal(0, 0.3, profile.shape), profile)
    field = copied_fields(rng, cells, copied, spacing, likeness)
    stages = np.unique(cells["stage_time"])
    middle = (np.searchsorted(stages, cells["stage_time"]) + 0.5) / len(stages)
    course = trends.ligand[np.round(middle * N_STEPS).astype(int)]
    level = np.exp(profile[code] + 0.7 * field + 0.4 * rng.normal(size=field.shape)) * course
    expressed: np.ndarray = np.where(cells["is_receiver"].to_numpy()[:, None], 0.02 * level, level)
    return expressed


def _receptor_base(
    rng: np.random.Generator, cells: pd.DataFrame, wiring: Wiring, spacing: float, likeness: float
) -> np.ndarray:
    """(cells, R) logarithm of the receptor level that depends on type and location.

    The course over time and the cell's fluctuation come later. A decoy has the type profile of the
    receptor it copies and a field that correlates with that receptor's at ``likeness``.
    """
    names, code = np.unique(cells["cell_type"], return_inverse=True)
    copied = wiring.receptor_mimics
    profile = rng.normal(0, 0.5, (len(names), len(copied)))
    profile = np.where(copied >= 0, profile[:, copied], profile)
    base = profile[code] + 0.4 * copied_fields(rng, cells, copied, spacing, likeness)
    return np.where(cells["is_receiver"].to_numpy()[:, None], base, base - 3.0)


def _background(rng: np.random.Generator, cells: pd.DataFrame, n_genes: int) -> np.ndarray:
    """(cells, genes) levels of genes without a role: by type, with noise."""
    code = pd.factorize(cells["cell_type"])[0]
    overall = rng.normal(0, 1.0, n_genes)
    mean = np.exp(overall + 0.3 * rng.normal(size=(code.max() + 1, n_genes)))
    background: np.ndarray = mean[code] * np.exp(0.2 * rng.normal(size=(len(cells), n_genes)))
    return background
