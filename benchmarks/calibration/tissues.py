"""Tissues with a known truth, each a function of the seed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

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

#: Nuisances of real tissue, each at its medium strength unless the name says another.
NUISANCES: dict[str, tuple[dict[str, Any], str]] = {
    "undisturbed": ({}, "2 400 receivers, 144 candidate pairs, 12 TFs, 60 targets"),
    "fields 1": ({"field_length": 1.0}, "three hidden smooth fields; length scale 1 radius"),
    "fields": ({"field_length": 4.0}, "the same, 4 radii"),
    "fields 10": ({"field_length": 10.0}, "the same, 10 radii"),
    "leakage 5 %": ({"leakage": 0.05, "markers": True}, "molecules counted in a neighbour"),
    "leakage": ({"leakage": 0.1, "markers": True}, "the same, 10 %"),
    "leakage 20 %": ({"leakage": 0.2, "markers": True}, "the same, 20 %"),
    "wrong types": ({"wrong_types": 0.1}, "a tenth of the cells has another cell's type"),
    "depth gradient": ({"capture": 1 / 3}, "capture falls to a third across every slice"),
    "shallow cells": ({"shallow": 0.04}, "4 % of the cells keep ten molecules, 2 % none"),
    "overdispersion": ({"overdispersion": 0.25}, "negative-binomial counts"),
    "overdispersion .5": ({"overdispersion": 0.5}, "the same, stronger"),
    "noisy time": ({"time_noise": 0.15}, "pseudotime with an error of .15 of its range"),
    "courses": ({"courses": True}, "TFs and targets rise and fall together in time"),
    "batches": ({"batches": True}, "every gene has another level in every slice"),
    "all": (
        {
            **{"field_length": 4.0, "leakage": 0.1, "markers": True, "wrong_types": 0.1},
            **{"capture": 1 / 3, "shallow": 0.04, "overdispersion": 0.25, "time_noise": 0.1},
            **{"courses": True, "batches": True},
        },
        "all of these together",
    ),
}
#: Sizes of candidate lists, without nuisances: names of the data sets and arguments.
LISTS: dict[str, dict[str, int]] = {
    "50 TFs": {"n_tfs": 50, "n_targets": 100},
    "200 TFs": {"n_tfs": 200, "n_targets": 100},
    "40 x 40 pairs": {"n_ligands": 40, "n_receptors": 40, "n_pairs": 20},
    "100 x 100 pairs": {"n_ligands": 100, "n_receptors": 100, "n_pairs": 20},
    "50 TFs, 12 000 receivers": {"n_cells": 20_000, "n_tfs": 50, "n_targets": 200},
    "200 TFs, 12 000 receivers": {"n_cells": 20_000, "n_tfs": 200, "n_targets": 200},
}
#: Cells of real tissue, under the expression of the simulator and medium fields.
REAL_CELLS = ("midbrain cells", "embryo cells")


def nuisance_tissue(seed: int, name: str, *, acting: bool) -> Tissue:
    """Return a tissue of the nuisance suite, with or without acting ligands."""
    from benchmarks.calibration.nuisances import Nuisances, disturbed, embryo_layout
    from benchmarks.recovery.datasets import LAYOUT_RECEIVERS, midbrain_layout

    strength = {} if acting else {"signal_strength": 0.0}
    if name in LISTS:
        return from_truth(disturbed(seed, Nuisances(), **strength, **LISTS[name]))
    if name in REAL_CELLS:
        layout: dict[str, Any] = {"layout": embryo_layout()}
        if name == "midbrain cells":
            layout = {"layout": midbrain_layout(seed), "receivers": LAYOUT_RECEIVERS}
        return from_truth(disturbed(seed, Nuisances(field_length=4.0), **strength, **layout))
    return from_truth(disturbed(seed, Nuisances(**NUISANCES[name][0]), **strength))


for _name in (*NUISANCES, *LISTS, *REAL_CELLS):
    TISSUES[_name] = partial(nuisance_tissue, name=_name, acting=True)
    TISSUES[f"{_name}, null"] = partial(nuisance_tissue, name=_name, acting=False)
#: Data sets of the nuisance suite with acting ligands, and those at medium strength. Every one
#: has a partner without acting ligands, "<name>, null".
SUITE = [*NUISANCES, *LISTS, *REAL_CELLS]
MEDIUM = [name for name in SUITE if not any(character.isdigit() for character in name)]
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
