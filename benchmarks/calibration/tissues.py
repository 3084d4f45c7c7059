"""Tissues with a known truth, each a function of the seed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from anndata import AnnData
from benchmarks.recovery.tissue import Tissue

import spatrace_sc as st

#: Users know a noisy pseudotime, not the latent time.
TIMED = {"sample_key": "sample", "stage_key": "stage", "time_key": "dpt_pseudotime"}


def from_truth(adata: AnnData) -> Tissue:
    """Return a simulated tissue, its truth removed from the AnnData."""
    truth = dict(adata.uns.pop("truth"))
    adata.uns.pop("simulation", None)
    return Tissue(adata, dict(TIMED), truth)


def hidden(seed: int) -> Tissue:
    """Return a tissue with unmeasured regulators.

    The acting ligands and receptors and half of the TFs are in no list of genes. All listed ligands
    and receptors are decoys that resemble acting ones.
    """
    tissue = from_truth(st.datasets.simulated(seed))
    adata = tissue.adata
    rng = np.random.default_rng(seed)
    for role in ("ligand", "receptor"):
        adata.var[role] &= adata.var["decoy"]
    tfs = np.flatnonzero(adata.var["tf"])
    adata.var.iloc[
        rng.choice(tfs, len(tfs) // 2, replace=False), adata.var.columns.get_loc("tf")
    ] = False
    return tissue


def lineages(seed: int) -> Tissue:
    """Return branching lineages of another simulator."""
    from benchmarks.recovery.lineages import lineage_tissue

    return from_truth(lineage_tissue(seed, n_cells=3000))


def many_targets(seed: int, **other: float) -> Tissue:
    """Return a tissue with a thousand targets, which makes decoys hard to distinguish.

    What a decoy shares with an acting gene adds up over all targets.
    """
    genes = {"n_ligands": 30, "n_receptors": 30, "n_pairs": 10, "n_targets": 1000, "n_tfs": 50}
    return from_truth(st.datasets.simulated(seed, **genes | other))


TISSUES: dict[str, Callable[[int], Tissue]] = {
    "null": lambda seed: from_truth(st.datasets.simulated(seed, signal_strength=0.0)),
    "easy": lambda seed: from_truth(
        st.datasets.simulated(seed, depth=4000, decoy_fraction=0.1, noise=0.1)
    ),
    "medium": lambda seed: from_truth(st.datasets.simulated(seed, n_cells=8300)),
    "hard": lambda seed: from_truth(
        st.datasets.simulated(seed, depth=500, decoy_fraction=0.4, decoy_likeness=0.95, noise=0.3)
    ),
    "lineages": lineages,
    "hidden": hidden,
    "many": lambda seed: many_targets(seed, depth=13_000),
    "many, shallow": lambda seed: many_targets(seed, depth=3_000),
    "many, shared": lambda seed: many_targets(
        seed, depth=13_000, n_pairs=60, n_targets=500, n_tfs=30
    ),
}
#: Data sets that are run by default.
USUAL = [name for name in TISSUES if not name.startswith("many")]
NOTES = {
    "null": "ligands do nothing",
    "easy": "deep, few decoys, little noise; 2 400 receivers",
    "medium": "5 000 receivers, a quarter of ligands and receptors copy one that acts",
    "hard": "shallow, 40 % near-perfect copies, noisy; 2 400 receivers",
    "lineages": "another simulator: branching lineages; 1 800 receivers",
    "hidden": "acting ligands and receptors, and half of the TFs, are not measured",
    "many": "1 000 targets, 900 candidate pairs, 10 act; 13 000 molecules a cell, 2 400 receivers",
    "many, shallow": "the same with 3 000 molecules a cell",
    "many, shared": (
        "500 targets, 60 of 900 pairs act and share their genes; 13 000 molecules a cell"
    ),
}


def true_edges(tissue: Tissue, task: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the direct edges, and all edges when indirect ones count as true.

    Indirect edges are pair → TF (→ TF …) → target and TF → TF (→ TF …) → target.
    """
    truth = tissue.truth
    if task == "lr_pairs":
        return truth[task], truth[task]
    if task == "lr_targets":
        return truth[task][truth[task]["kind"] == "direct"], truth[task]
    direct = truth["tf_targets"][["tf", "target"]]
    chains, onto = (
        truth["tf_tfs"][["tf", "target"]].rename(columns={"tf": "above", "target": "tf"}),
        direct,
    )
    edges = [direct]
    while len(onto):
        onto = (
            chains.merge(onto, on="tf")[["above", "target"]]
            .rename(columns={"above": "tf"})
            .drop_duplicates()
        )
        edges.append(onto)
    return direct, pd.concat(edges).drop_duplicates()
