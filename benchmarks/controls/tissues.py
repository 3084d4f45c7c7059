"""Simulated tissues in which genes without a role resemble those with one."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData
from benchmarks.calibration.nuisances import Nuisances, disturbed
from benchmarks.calibration.tissues import NUISANCES, from_truth, true_edges
from benchmarks.controls.edge_shares import edge_shares
from benchmarks.recovery.tissue import Tissue
from benchmarks.worlds.tissues import WORLDS
from benchmarks.worlds.tissues_shared import as_tissue

#: Genes of the simulation. Half of the ligands and receptors do not act.
GENES: dict[str, Any] = {
    "n_ligands": 20,
    "n_receptors": 20,
    "n_pairs": 12,
    "decoy_fraction": 0.45,
    "n_targets": 80,
}
#: Share of the ligands and receptors that do not act, and of the targets, that lose their role.
HIDDEN_SHARE = {"ligand": 0.6, "receptor": 0.6, "target": 0.25}


class ControlledTissue(NamedTuple):
    """A tissue, and for every direct true edge the share of its target's variance.

    ``sizes`` has columns ``table``, ``regulator``, ``target`` and ``share``.
    """

    tissue: Tissue
    sizes: pd.DataFrame


def controlled_tissue(name: str, seed: int) -> ControlledTissue:
    """Return a tissue of the nuisance suite, or a world, with a pool of genes for sham genes.

    In real tissue, genes that cannot signal are as structured as those that can. Genes without a
    role are noise in this simulator. So some ligands and receptors that do not act, and some
    targets, lose their role.
    """
    if name in WORLDS:
        return _controlled_world(name, seed)
    nuisances = Nuisances(**NUISANCES[name][0])
    adata = disturbed(seed, nuisances, **GENES)
    sizes = edge_shares(adata, seed, nuisances, GENES)
    _hide(adata, np.random.default_rng([seed, 11]))
    tissue = from_truth(adata)
    targets = set(adata.var_names[adata.var["target"]])
    tissue.truth.update({k: _known(v, targets) for k, v in tissue.truth.items()})
    return ControlledTissue(tissue, sizes[sizes["target"].isin(targets)].reset_index(drop=True))


def _controlled_world(name: str, seed: int) -> ControlledTissue:
    """Return a world with such a pool; the sizes of its edges are not known."""
    world = WORLDS[name](seed)
    truth = dict(world.uns["truth"])
    _hide(world, np.random.default_rng([seed, 11]))
    tissue = as_tissue(world)
    targets = set(world.var_names[world.var["target"]])
    tissue.truth.update({k: _known(v, targets) for k, v in truth.items()})
    return ControlledTissue(tissue, pd.DataFrame(columns=["table", "regulator", "target", "share"]))


def _known(table: pd.DataFrame, targets: set[str]) -> pd.DataFrame:
    """Return the true edges whose target still is one; edges onto TFs stay."""
    onto_targets = "target" in table and not table["target"].str.startswith("TF").all()
    return table[table["target"].isin(targets)] if onto_targets else table


def _hide(adata: AnnData, rng: np.random.Generator) -> None:
    """Take the role of some genes: ligands and receptors that do not act, and targets."""
    pairs = adata.uns["truth"]["lr_pairs"]
    for role, share in HIDDEN_SHARE.items():
        genes = adata.var_names[adata.var[role]]
        if role != "target":
            genes = genes[~genes.isin(pairs[role])]
        hidden = rng.choice(genes, round(share * len(genes)), replace=False)
        adata.var.loc[hidden, role] = False


__all__ = ["ControlledTissue", "controlled_tissue", "true_edges"]
