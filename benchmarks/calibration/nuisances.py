"""Nuisances of real tissue, planted into simulated tissue one at a time or together.

tissue = disturbed(seed, Nuisances(field_length=4.0, leakage=0.1))

Each acts where it would in reality: hidden fields on the expression of all cells before ligands
spread, courses in time and batches on levels, overdispersion in the counts, and leakage, a
depth gradient and lost cells on the counts. Wrong types and a noisy pseudotime change annotations.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
from anndata import AnnData
from benchmarks._data import data_file
from benchmarks.recovery.signals import dense
from benchmarks.worlds.tissues_shared import log_normalised
from scipy import sparse
from scipy.spatial import cKDTree

import spatrace_sc as st
from spatrace_sc._core.exposure import nearest_neighbour_distance
from spatrace_sc.datasets import _expression, _simulated
from spatrace_sc.datasets._fields import smooth_field
from spatrace_sc.datasets._wiring import Wiring

#: Hidden fields, standard deviation of their loadings on the logarithm of expression, and the
#: radius of the model in units of the distance between nearest cells.
N_FIELDS, LOADING, RADIUS = 3, 0.5, 5.0
#: Peaks of a course in time, and its amplitude on the logarithm of expression.
PEAKS, AMPLITUDE = (1.0, 3.0), 0.4
#: Spread of a gene's log level between slices.
BATCH_SPREAD = 0.3
#: Molecules of a shallow cell.
FEW_MOLECULES = 10
MARKERS_PER_TYPE = 2


@dataclass(frozen=True)
class Nuisances:
    """What disturbs a tissue; the defaults disturb nothing.

    - ``field_length``: length scale of hidden fields, in radii;
    - ``leakage``: share of the molecules that are counted in a neighbouring cell;
    - ``markers``: whether markers of senders are among the targets;
    - ``wrong_types``: share of the cells whose type is that of another cell of the same role;
    - ``capture``: capture at one end of a slice relative to the other;
    - ``shallow``: share of the cells that keep ten molecules, and half as many that keep none;
    - ``overdispersion``: of the negative binomial, variance = mean + overdispersion × mean²;
    - ``time_noise``: standard deviation of the pseudotime, whose range is 1;
    - ``courses``: whether TFs and targets rise and fall together in time;
    - ``batches``: whether every gene has another level in every slice.
    """

    field_length: float = 0.0
    leakage: float = 0.0
    markers: bool = False
    wrong_types: float = 0.0
    capture: float = 1.0
    shallow: float = 0.0
    overdispersion: float = 0.1
    time_noise: float = 0.03
    courses: bool = False
    batches: bool = False


def disturbed(seed: int, nuisances: Nuisances, **arguments: Any) -> AnnData:
    """Return a simulated tissue with nuisances; ``arguments`` are those of the simulator."""
    rng = np.random.default_rng([seed, 7])
    with _disturbed_levels(rng, nuisances):
        adata = st.datasets.simulated(seed, dispersion=1.0 / nuisances.overdispersion, **arguments)
    counts = dense(adata.layers["counts"]).astype(int)
    sample = adata.obs["sample"].astype(str).to_numpy()
    xy = adata.obsm["spatial"]
    if nuisances.capture < 1.0:
        counts = rng.binomial(counts, _gradient(xy, sample, nuisances.capture)[:, None])
    if nuisances.leakage > 0.0:
        counts = _leak(rng, counts, xy, sample, nuisances.leakage)
    if nuisances.shallow > 0.0:
        counts = _lose(rng, counts, nuisances.shallow)
    adata.layers["counts"] = sparse.csr_matrix(counts.astype(np.float32))
    adata.X = sparse.csr_matrix(log_normalised(counts).astype(np.float32))
    if nuisances.markers:
        _add_markers(adata)
    if nuisances.wrong_types > 0.0:
        _confuse_types(rng, adata, nuisances.wrong_types)
    noise = np.sqrt(max(nuisances.time_noise**2 - 0.03**2, 0.0))
    adata.obs["dpt_pseudotime"] += noise * rng.normal(size=adata.n_obs)
    return adata


@contextmanager
def _disturbed_levels(rng: np.random.Generator, nuisances: Nuisances) -> Iterator[None]:
    """Plant fields, courses and batches into the levels of the simulator."""
    express, ligand, receptor = (
        _simulated.express,
        _expression._ligand_expression,
        _expression._receptor_base,
    )
    fields: dict[str, np.ndarray] = {}

    def load(cells: pd.DataFrame, n_genes: int) -> np.ndarray:
        if not nuisances.field_length:
            return np.zeros((len(cells), n_genes))
        if "fields" not in fields:
            fields["fields"] = _fields(rng, cells, nuisances.field_length)
        return np.asarray(fields["fields"] @ rng.normal(0, LOADING, (N_FIELDS, n_genes)))

    def ligand_with_fields(
        stream: np.random.Generator, cells: pd.DataFrame, *rest: Any
    ) -> np.ndarray:
        level = ligand(stream, cells, *rest)
        return np.asarray(level * np.exp(load(cells, level.shape[1])))

    def receptor_with_fields(
        stream: np.random.Generator, cells: pd.DataFrame, *rest: Any
    ) -> np.ndarray:
        base = receptor(stream, cells, *rest)
        return np.asarray(base + load(cells, base.shape[1]))

    def express_disturbed(
        streams: dict[str, np.random.Generator],
        cells: pd.DataFrame,
        wiring: Wiring,
        **arguments: Any,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        level, time, signal = express(streams, cells, wiring, **arguments)
        n_pairs = len(wiring.ligand_mimics) + len(wiring.receptor_mimics)
        n_responding = sum(wiring.tf_target.shape)
        responding = slice(n_pairs, n_pairs + n_responding)
        level[:, responding] *= np.exp(load(cells, n_responding))
        if nuisances.courses:
            level[:, responding] *= np.exp(_courses(rng, time, n_responding))
        if nuisances.batches:
            code = pd.factorize(cells["sample"])[0]
            shift = rng.normal(0, BATCH_SPREAD, (code.max() + 1, level.shape[1]))
            level = level * np.exp(shift[code])
        return level, time, signal

    with (
        patch.object(_simulated, "express", express_disturbed),
        patch.object(_expression, "_ligand_expression", ligand_with_fields),
        patch.object(_expression, "_receptor_base", receptor_with_fields),
    ):
        yield


def _fields(rng: np.random.Generator, cells: pd.DataFrame, length: float) -> np.ndarray:
    """(cells, N_FIELDS) smooth fields of every slice, with standard deviation 1."""
    xy = cells[["x", "y"]].to_numpy(dtype=float)
    sample = pd.factorize(cells["sample"])[0]
    scale = length * RADIUS * nearest_neighbour_distance(xy, sample)
    field = np.empty((len(cells), N_FIELDS))
    for code in np.unique(sample):
        rows = sample == code
        field[rows] = np.stack([smooth_field(rng, xy[rows], scale) for _ in range(N_FIELDS)], 1)
    return field


def _courses(rng: np.random.Generator, time: np.ndarray, n_genes: int) -> np.ndarray:
    """(cells, genes) sums of two waves over time with random loadings; 0 in senders."""
    known = np.nan_to_num(time)
    phase = rng.uniform(0, 2 * np.pi, len(PEAKS))
    waves = np.stack(
        [np.sin(2 * np.pi * k * known + p) for k, p in zip(PEAKS, phase, strict=True)], axis=1
    )
    course = waves @ rng.normal(0, AMPLITUDE, (len(PEAKS), n_genes))
    return np.where(np.isnan(time)[:, None], 0.0, course)


def _gradient(xy: np.ndarray, sample: np.ndarray, end: float) -> np.ndarray:
    """(cells,) capture, which falls from 1 to ``end`` along the first axis of every slice."""
    x = pd.Series(xy[:, 0]).groupby(sample)
    low, high = x.transform("min").to_numpy(), x.transform("max").to_numpy()
    return np.asarray(1.0 - (1.0 - end) * (xy[:, 0] - low) / (high - low))


def _leak(
    rng: np.random.Generator, counts: np.ndarray, xy: np.ndarray, sample: np.ndarray, share: float
) -> np.ndarray:
    """Counts after a share of the molecules of every cell moved to one of its six neighbours."""
    leaving = rng.binomial(counts, share)
    result = counts - leaving
    for code in np.unique(sample):
        rows = np.flatnonzero(sample == code)
        neighbours = rows[cKDTree(xy[rows]).query(xy[rows], k=7)[1][:, 1:]]
        left = leaving[rows]
        for k in range(neighbours.shape[1]):
            gone = rng.binomial(left, 1.0 / (neighbours.shape[1] - k))
            np.add.at(result, neighbours[:, k], gone)
            left = left - gone
    return np.asarray(result)


def _lose(rng: np.random.Generator, counts: np.ndarray, share: float) -> np.ndarray:
    """Counts in which a share of the cells keeps ten molecules, and half as many keep none."""
    draw, total = rng.random(len(counts)), counts.sum(axis=1)
    kept = np.where(draw < share, np.minimum(FEW_MOLECULES / np.maximum(total, 1), 1.0), 1.0)
    kept[draw > 1.0 - share / 2] = 0.0
    return np.asarray(rng.binomial(counts, kept[:, None]))


def _add_markers(adata: AnnData) -> None:
    """Make markers of the types that send targets; nothing regulates them."""
    sends = adata.obs["dpt_pseudotime"].isna().to_numpy()
    role = adata.var[["ligand", "receptor", "tf", "target"]].to_numpy(dtype=bool).any(axis=1)
    types = adata.obs["cell_type"].astype(str).to_numpy()
    x = dense(adata.X)
    for name in np.unique(types[sends]):
        excess = x[types == name].mean(axis=0) - x[~sends].mean(axis=0)
        strongest = np.argsort(-np.where(role, -np.inf, excess), kind="stable")[:MARKERS_PER_TYPE]
        adata.var.loc[adata.var_names[strongest], "target"] = True


def _confuse_types(rng: np.random.Generator, adata: AnnData, share: float) -> None:
    """Give a share of the cells the type of another cell that sends or receives as they do."""
    types = adata.obs["cell_type"].astype(str).to_numpy().copy()
    sends = adata.obs["dpt_pseudotime"].isna().to_numpy()
    for role in (sends, ~sends):
        rows = np.flatnonzero(role)
        wrong = rows[rng.random(len(rows)) < share]
        types[wrong] = types[rng.choice(rows, len(wrong))]
    adata.obs["cell_type"] = pd.Categorical(types)


def embryo_layout() -> pd.DataFrame:
    """Return positions and types of the cells of a real mouse embryo, as three stages."""
    import anndata as ad

    embryo = ad.read_h5ad(data_file("mouse_embryo_seqfish", "embryo.h5ad"), backed="r")
    layout = pd.DataFrame(np.asarray(embryo.obsm["spatial"])[:, :2], columns=["x", "y"])
    layout["cell_type"] = embryo.obs["cell_type"].astype(str).to_numpy()
    layout["sample"] = layout["stage"] = embryo.obs["embryo"].astype(str).to_numpy()
    counts = layout["cell_type"].value_counts()
    return layout[layout["cell_type"].isin(counts.index[counts >= 100])].reset_index(drop=True)
