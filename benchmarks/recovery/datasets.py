"""The data sets, each a function of the seed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from anndata import AnnData
from benchmarks._data import data_file
from benchmarks._scores import KEYS
from benchmarks.recovery.tissue import Tissue
from benchmarks.road.bundle import BUNDLE, RADIUS, SENDERS, TRUTH, read_bundle

import spatrace_sc as st

#: Users know a noisy pseudotime, not the latent time.
TIMED = {"sample_key": "sample", "stage_key": "stage", "time_key": "dpt_pseudotime"}
LAYOUT = ("mosta_midbrain_layout", "stereo_input.csv")
#: Receivers of the midbrain layout are its glutamatergic lineage; all other types only send.
LAYOUT_RECEIVERS = ["RGC", "GluNeuB", "GluNeu"]
LAYOUT_CELLS = 7000


def bundle(seed: int) -> Tissue:
    """Return the simulation of the SpaTRACE authors with all 36 pairs, whatever the seed."""
    truth = {task: pd.read_csv(data_file(BUNDLE, file), dtype=str) for task, file in TRUTH.items()}
    return Tissue(read_bundle(), {"radius": RADIUS, "senders": SENDERS}, truth)


def thinned_bundle(seed: int, zeros: float) -> Tissue:
    """Return the simulation of the authors with thinned counts, a share ``zeros`` of which is 0.

    The file holds no counts: receivers are log1p of values per 10 000. Their ``expm1``, divided by
    the smallest positive value of the cell and rounded, is count-like (a few thousand molecules per
    cell). These counts are thinned binomially and normalised to log1p per 10 000 again. Senders are
    on the scale of the tissue file. The median ratio of the two files turns them into molecules,
    which are thinned by the same share and returned to their scale. The pseudotime is unchanged.
    """
    original, rng = bundle(seed), np.random.default_rng(seed)
    adata = original.adata.copy()
    receiver = adata.obs["dpt_pseudotime"].notna().to_numpy()
    linear = np.expm1(adata.X[receiver].astype(float))
    smallest = np.where(linear > 0, linear, np.inf).min(axis=1, keepdims=True)
    counts = np.rint(linear / smallest).astype(int)
    share = _share_for(counts, zeros)
    thin = rng.binomial(counts, share)
    adata.X[receiver] = np.log1p(1e4 * thin / np.maximum(thin.sum(axis=1, keepdims=True), 1))
    tissue = ad.read_h5ad(data_file(BUNDLE, "simulation_st_adata.h5ad"))
    raw = np.asarray(tissue.X.toarray() if hasattr(tissue.X, "toarray") else tissue.X)[
        : len(linear)
    ]
    shared = ~adata.var["ligand"].to_numpy()
    molecules = float(np.median(counts[:, shared] / raw[:, shared]))
    sent = np.rint(molecules * np.expm1(adata.X[~receiver].astype(float))).astype(int)
    adata.X[~receiver] = np.log1p(rng.binomial(sent, share) / (share * molecules))
    return Tissue(adata, original.arguments, original.truth)


def _share_for(counts: np.ndarray, zeros: float) -> float:
    """Return the share of molecules that gives an expected share of zeros, by bisection."""
    low, high = 1e-6, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if np.mean((1 - middle) ** counts) > zeros else (low, middle)
    return (low + high) / 2


def from_truth(adata: AnnData) -> Tissue:
    """Return a simulated tissue, its truth removed from the AnnData."""
    truth = {task: adata.uns["truth"][task] for task in KEYS}
    for slot, names in {
        "uns": ("truth", "simulation"),
        "obsm": ("true_signal",),
        "obs": ("latent_time",),
        "var": ("decoy",),
    }.items():
        for name in names:
            if name in getattr(adata, slot):
                del getattr(adata, slot)[name]
    return Tissue(adata, dict(TIMED), truth)


def simulated(**changes: Any) -> Callable[[int], Tissue]:
    """Return :func:`spatrace_sc.datasets.simulated` with arguments, as a function of the seed."""
    return lambda seed: from_truth(st.datasets.simulated(seed, **changes))


def on_real_layout(seed: int) -> Tissue:
    """Return simulated expression on cells of the mouse dorsal midbrain."""
    layout = midbrain_layout(seed)
    return from_truth(st.datasets.simulated(seed, layout=layout, receivers=LAYOUT_RECEIVERS))


def midbrain_layout(seed: int) -> pd.DataFrame:
    """Return cells of the mouse dorsal midbrain (E12.5–E16.5, five slices).

    From each slice one square window around a random cell is taken, so that cells are as dense as
    in the tissue. All stages have the same number of cells.
    """
    cells = pd.read_csv(data_file(*LAYOUT)).rename(
        columns={"Cell_Type": "cell_type", "Sample": "sample"}
    )
    cells["stage"] = cells["sample"].str.split("_").str[0]
    slices = cells.groupby("stage")["sample"].nunique().to_dict()
    rng = np.random.default_rng(seed)
    windows = []
    for _, slice_cells in cells.groupby(["stage", "sample"]):
        n = min(
            len(slice_cells), LAYOUT_CELLS // (len(slices) * slices[slice_cells["stage"].iloc[0]])
        )
        xy = slice_cells[["x", "y"]].to_numpy(dtype=float)
        distance = np.abs(xy - xy[rng.integers(len(xy))]).max(axis=1)
        windows.append(slice_cells.iloc[np.sort(np.argsort(distance, kind="stable")[:n])])
    return pd.concat(windows)[["x", "y", "cell_type", "sample", "stage"]]


def lineages(seed: int) -> Tissue:
    """Return branching lineages of another simulator."""
    from benchmarks.recovery.lineages import lineage_tissue

    return from_truth(lineage_tissue(seed, n_cells=3000))


DATASETS: dict[str, Callable[[int], Tissue]] = {
    "A": bundle,
    "B65": lambda seed: thinned_bundle(seed, 0.65),
    "B84": lambda seed: thinned_bundle(seed, 0.84),
    "C-easy": simulated(n_cells=4000, depth=4000, decoy_fraction=0.1, noise=0.1),
    "C-medium": simulated(n_cells=8300),
    "C-hard": simulated(
        n_cells=4000, depth=500, decoy_fraction=0.4, decoy_likeness=0.95, noise=0.3
    ),
    "C-large": simulated(
        n_cells=6000, n_ligands=40, n_receptors=40, n_pairs=40, n_tfs=30, n_targets=300
    ),
    "D": on_real_layout,
    "E": lineages,
    "F": simulated(n_cells=4000, signal_strength=0.0),
}
#: Descriptions for the head of a report.
NOTES = {
    "A": "authors' simulation, 36 pairs",
    "B65": "A with 65 % zeros",
    "B84": "A with 84 % zeros",
    "C-easy": "simulated: deep, few decoys, little noise",
    "C-medium": "simulated: 5 000 receivers, 144 pairs",
    "C-hard": "simulated: shallow, many near-perfect decoys, noisy",
    "C-large": "simulated: 1 600 pairs × 300 targets",
    "D": "simulated on a real layout (mouse midbrain)",
    "E": "another simulator: branching lineages",
    "F": "null: ligands do nothing",
}
