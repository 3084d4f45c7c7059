"""Lineages of the mouse embryo and the human heart, with regulation that is known in them.

The truth is weak: DoRothEA A–C, liana's consensus pairs, and a few edges from the literature that
were chosen before anything was run. All types send. Of a lineage with more than 1 200 receivers a
random 1 200 are used.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData
from benchmarks._data import gene_list
from benchmarks.worlds import tissues_atlas as atlas

#: Least share of the receivers in which a gene is detected.
DETECTED = 0.05
MAX_RECEIVERS = 1200
#: Most TFs, most variable genes and most targets that DoRothEA lists.
N_TFS, N_VARIABLE, N_LISTED = 80, 100, 100


class KnownEdge(NamedTuple):
    """A TF and a target from the literature; ``sign`` is −1 for a repressor."""

    tf: str
    target: str
    sign: int
    reference: str


class KnownSignal(NamedTuple):
    """A ligand–receptor pair and a target from the literature."""

    ligand: str
    receptor: str
    target: str
    reference: str


class Lineage(NamedTuple):
    """Receiving cell types, the root first, and regulation that is known among them.

    ``others`` are TFs of the lineage without a known target among the genes.
    """

    receivers: tuple[str, ...]
    edges: tuple[KnownEdge, ...]
    signals: tuple[KnownSignal, ...] = ()
    others: tuple[str, ...] = ()


LINEAGES = {
    "erythroid": Lineage(
        ("Haematoendothelial progenitors", "Blood progenitors", "Erythroid"),
        (
            KnownEdge("Gata1", "Klf1", 1, "Crossley 1994"),
            KnownEdge("Gata1", "Epor", 1, "Zon 1991"),
            KnownEdge("Gata1", "Alas2", 1, "DoRothEA"),
            KnownEdge("Gata1", "Gfi1b", 1, "Huang 2004"),
            KnownEdge("Gata1", "Hemgn", 1, "Yang 2006"),
            KnownEdge("Gata1", "Nfe2", 1, "DoRothEA"),
            KnownEdge("Klf1", "Slc4a1", 1, "Nilson 2006"),
            KnownEdge("Tal1", "Gypa", 1, "Lahlil 2004"),
            KnownEdge("Tal1", "Cd34", 1, "DoRothEA"),
        ),
    ),
    "somite": Lineage(
        atlas.SOMITE,
        (
            KnownEdge("T", "Tbx6", 1, "Chapman 1996"),
            KnownEdge("T", "Dll1", 1, "Hofmann 2004"),
            KnownEdge("Tbx6", "Dll1", 1, "Hofmann 2004"),
            KnownEdge("Tbx6", "Mesp2", 1, "Yasuhiko 2006"),
            KnownEdge("Mesp2", "Lfng", 1, "Morimoto 2005"),
            KnownEdge("Hes7", "Lfng", -1, "Bessho 2003"),
            KnownEdge("Lef1", "Dll1", 1, "Galceran 2004"),
            KnownEdge("Lef1", "T", 1, "Galceran 2001"),
        ),
        (
            KnownSignal("Dll1", "Notch1", "Lfng", "Cole 2002"),
            KnownSignal("Dll3", "Notch1", "Lfng", "Dunwoodie 2002"),
            KnownSignal("Dll1", "Notch1", "Mesp2", "Yasuhiko 2006"),
        ),
        ("Meox1",),
    ),
    "neural": Lineage(
        ("NMP", "Spinal cord", "Forebrain/Midbrain/Hindbrain"),
        (
            KnownEdge("Sox2", "Notch1", 1, "Taranova 2006"),
            KnownEdge("Pax6", "Sox2", 1, "Wen 2008"),
            KnownEdge("Foxa2", "Shh", 1, "Jeong 2003"),
            KnownEdge("Gbx2", "Otx2", -1, "Millet 1999"),
            KnownEdge("Hoxa1", "Hoxb1", 1, "Studer 1998"),
        ),
    ),
    "cardiac": Lineage(
        ("Splanchnic mesoderm", "Cardiomyocytes"),
        (
            KnownEdge("Gata4", "Hand2", 1, "McFadden 2000"),
            KnownEdge("Gata4", "Mef2c", 1, "Dodou 2004"),
            KnownEdge("Gata4", "Bmp4", 1, "Nemer 2003"),
            KnownEdge("Isl1", "Mef2c", 1, "Dodou 2004"),
            KnownEdge("Isl1", "Fgf10", 1, "Watanabe 2012"),
            KnownEdge("Tbx5", "Osr1", 1, "Xie 2012"),
            KnownEdge("Tbx5", "Wnt2", 1, "Steimle 2018"),
        ),
    ),
    "heart": Lineage(
        (),
        (
            KnownEdge("GATA4", "NPPA", 1, "Lee 1998"),
            KnownEdge("GATA4", "MYH6", 1, "Molkentin 1994"),
            KnownEdge("GATA4", "TNNC1", 1, "Ip 1994"),
            KnownEdge("TBX5", "NPPA", 1, "Bruneau 2001"),
            KnownEdge("TBX5", "GJA5", 1, "Bruneau 2001"),
            KnownEdge("NKX2-5", "NPPA", 1, "Durocher 1996"),
        ),
    ),
}


def tissue(name: str) -> AnnData:
    """Return a lineage, annotated as the worlds are."""
    lineage = LINEAGES[name]
    if name == "heart":
        adata = atlas.heart_genes(atlas.heart_spots())
        receivers = atlas.heart_regions(adata)
        pairs = atlas.known_pairs("consensus", adata.var_names)
        pairs = atlas.most_variable_pairs(adata, pairs)
        listed = atlas.known_tf_targets("human", adata.var_names)
        tfs = gene_list("gene_lists", "human_tfs_lambert2018.txt")
    else:
        adata = atlas.embryo_cells()
        atlas.normalise(adata)
        receivers = list(lineage.receivers)
        adata = fewer_receivers(adata, receivers)
        pairs = atlas.known_pairs("mouseconsensus", adata.var_names)
        listed = atlas.known_tf_targets("mouse", adata.var_names)
        tfs = gene_list("gene_lists", "mouse_tfs.txt")
    receiving = adata[adata.obs["cell_type"].isin(receivers).to_numpy()]
    chosen, targets = candidates(receiving, tfs, listed, lineage)
    edges = listed[listed["tf"].isin(chosen) & listed["target"].isin(targets)]
    return atlas.finish(adata, edges, pairs, receivers, tfs=chosen, targets=targets)


def fewer_receivers(adata: AnnData, receivers: list[str]) -> AnnData:
    """Return the cells with at most ``MAX_RECEIVERS`` receivers, chosen at random."""
    receiving = np.flatnonzero(adata.obs["cell_type"].isin(receivers))
    dropped = np.random.default_rng(0).permutation(receiving)[MAX_RECEIVERS:]
    return adata[np.setdiff1d(np.arange(adata.n_obs), dropped)].copy() if len(dropped) else adata


def candidates(
    receiving: AnnData, tfs: Iterable[str], listed: pd.DataFrame, lineage: Lineage
) -> tuple[set[str], set[str]]:
    """Return the TFs and targets of a lineage.

    TFs are the most variable ones that are detected in the receivers. Targets are the most
    variable detected genes and the most variable targets that DoRothEA lists for these TFs. Genes
    of the known edges are added wherever they are measured.
    """
    names = receiving.var_names
    share = np.asarray((receiving.X > 0).mean(axis=0)).ravel()
    detected = set(names[share >= DETECTED])
    known = [(e.tf, e.target) for e in lineage.edges]
    known_tfs = {tf for tf, _ in known if tf in names}
    known_targets = {gene for _, gene in known} | {s.target for s in lineage.signals}
    chosen = atlas.most_variable(receiving, detected & set(tfs), N_TFS) | known_tfs
    regulated = set(listed.loc[listed["tf"].isin(chosen), "target"])
    targets = atlas.most_variable(receiving, detected, N_VARIABLE)
    targets |= atlas.most_variable(receiving, detected & regulated, N_LISTED)
    return chosen, targets | (known_targets & set(names))
