"""Real tissues, with curated resources as a weak truth.

TF edges are those of DoRothEA A–C, L–R pairs those of liana's consensus. Both are free of context
and favour well-known genes, so their scores compare methods and say little on their own; a "false"
edge is only one that is not listed. The seed leaves out a fifth of the cells.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from anndata import AnnData
from benchmarks._data import data_file
from benchmarks._scores import KEYS
from benchmarks.recovery.signals import dense
from benchmarks.recovery.tissue import SkipMethod
from benchmarks.worlds.tissues_shared import log_normalised, no_edges
from scipy import sparse

import spatrace_sc as st

#: Lineages of the mouse embryo, the root first.
SOMITE = (
    *("NMP", "Presomitic mesoderm", "Anterior somitic tissues"),
    *("Sclerotome", "Dermomyotome"),
)
BLOOD = ("Haematoendothelial progenitors", "Blood progenitors", "Endothelium", "Erythroid")
KEPT = 0.8
#: Genes of each role in the heart, the most variable listed ones, and the least share of spots.
HEART_GENES = {"ligand": 30, "receptor": 30, "tf": 40, "target": 100}
HEART_DETECTED = 0.2
#: Distance between neighbouring spots of the heart, in µm.
PITCH = 200.0


def known_pairs(resource: str, genes: Collection[str]) -> pd.DataFrame:
    """Return the pairs of one of liana's resources among the genes, complexes by subunit."""
    package = find_spec("liana")
    folder = Path(str(package.origin)).parent if package else Path("liana")
    file = folder / "resource" / "omni_resource.csv"
    if not file.exists():
        raise SkipMethod("liana's resource is not installed (`pip install --no-deps liana`)")
    table = pd.read_csv(file)
    table = table.loc[table["resource"] == resource, ["source_genesymbol", "target_genesymbol"]]
    pairs = {
        pair
        for ligand, receptor in table.astype(str).to_numpy()
        for pair in product(ligand.split("_"), receptor.split("_"))
        if set(pair) <= set(genes)
    }
    return pd.DataFrame(sorted(pairs), columns=KEYS["lr_pairs"])


def known_tf_targets(species: str, genes: Collection[str]) -> pd.DataFrame:
    """Return DoRothEA's edges among the genes, without those of a gene on itself."""
    table = pd.read_csv(data_file("regulons", f"dorothea_{species}_ABC.csv.gz"))
    table = table[table["tf"].isin(genes) & table["target"].isin(genes)]
    table = table[table["tf"] != table["target"]].drop_duplicates(KEYS["tf_targets"])
    return table.assign(sign=np.sign(table["mor"]))[[*KEYS["tf_targets"], "sign"]]


def embryo(seed: int, lineage: tuple[str, ...]) -> AnnData:
    """Return a lineage of the mouse embryo; all types send."""
    adata = part(seed, embryo_cells())
    normalise(adata)
    edges = known_tf_targets("mouse", adata.var_names)
    pairs = known_pairs("mouseconsensus", adata.var_names)
    return finish(adata, edges, pairs, list(lineage))


def embryo_cells() -> AnnData:
    """Return the counts of the mouse embryos, without cells of low quality."""
    adata = ad.read_h5ad(data_file("mouse_embryo_seqfish", "embryo.h5ad"))
    adata = adata[(adata.obs["cell_type"] != "Low quality").to_numpy()].copy()
    adata.obs["sample"] = adata.obs["embryo"]
    return adata


def embryo_somite(seed: int) -> AnnData:
    """Return the path from neuromesodermal progenitors to somites."""
    return embryo(seed, SOMITE)


def embryo_blood(seed: int) -> AnnData:
    """Return the path from haematoendothelial progenitors to blood and endothelium."""
    return embryo(seed, BLOOD)


def heart(seed: int) -> AnnData:
    """Return spots of the human heart, with the most variable genes of every role."""
    adata = heart_genes(part(seed, heart_spots()))
    edges = known_tf_targets("human", adata.var_names)
    pairs = most_variable_pairs(adata, known_pairs("consensus", adata.var_names))
    edges = edges[edges["tf"].isin(most_variable(adata, edges["tf"], HEART_GENES["tf"]))]
    targets = most_variable(adata, edges["target"], HEART_GENES["target"])
    edges = edges[edges["target"].isin(targets)]
    return finish(adata, edges, pairs, heart_regions(adata))


def heart_spots() -> AnnData:
    """Return the counts of the spots of the human heart that have a region."""
    adata = ad.read_h5ad(data_file("human_heart", "human_heart_ST.h5ad"))
    region = adata.obs["region"].astype(str)
    return adata[(region != "nan").to_numpy() & (region != "whole heart").to_numpy()].copy()


def heart_genes(adata: AnnData) -> AnnData:
    """Return log-normalised spots with positions in µm and the detected genes with a symbol."""
    adata.obs["cell_type"] = adata.obs["region"].astype(str).astype("category")
    adata.obs["sample"] = adata.obs["section"].astype(str).astype("category")
    st.pp.scale_positions(adata, PITCH, sample_key="sample", key_added="spatial")
    normalise(adata)
    symbol = adata.var["symbol"].astype(str)
    detected = np.asarray((adata.X > 0).mean(axis=0)).ravel() >= HEART_DETECTED
    named = detected & ~symbol.isin(["", "nan"]).to_numpy() & ~symbol.duplicated(False).to_numpy()
    adata = adata[:, named].copy()
    adata.var_names = pd.Index(adata.var["symbol"].astype(str).to_numpy())
    return adata


def heart_regions(adata: AnnData) -> list[str]:
    """Return the regions of the heart, the root first."""
    return sorted(adata.obs["cell_type"].cat.categories, key=lambda r: r != "outflow tract")


def most_variable(adata: AnnData, genes: Iterable[str], n: int) -> set[str]:
    """Return the ``n`` genes whose log-normalised expression varies most."""
    variance = pd.Series(dense(adata.X).var(axis=0), index=adata.var_names)
    order = variance.sort_values()[::-1].index
    return set(order[order.isin(list(genes))][:n])


def most_variable_pairs(adata: AnnData, pairs: pd.DataFrame) -> pd.DataFrame:
    """Return the pairs of the most variable ligands with the most variable receptors."""
    for role in ("ligand", "receptor"):
        genes = most_variable(adata, pairs[role], HEART_GENES[role])
        pairs = pairs.assign(**{f"has_{role}": pairs[role].isin(genes)})
    return pairs.loc[pairs["has_ligand"] & pairs["has_receptor"], KEYS["lr_pairs"]]


def part(seed: int, adata: AnnData) -> AnnData:
    """Return four fifths of the cells."""
    rng = np.random.default_rng(seed)
    return adata[np.sort(rng.choice(adata.n_obs, round(KEPT * adata.n_obs), replace=False))].copy()


def normalise(adata: AnnData) -> None:
    """Keep the counts in a layer and replace them with log1p of counts per 10 000."""
    counts = dense(adata.X)
    adata.layers["counts"] = sparse.csr_matrix(counts.astype(np.float32))
    adata.X = sparse.csr_matrix(log_normalised(counts).astype(np.float32))


def finish(
    adata: AnnData,
    edges: pd.DataFrame,
    pairs: pd.DataFrame,
    receivers: list[str],
    **genes: Iterable[str],
) -> AnnData:
    """Flag roles, compute the pseudotime from the first receiver, and add truth and arguments.

    ``tfs`` and ``targets`` are by default those of the ``edges``. Receivers that are not connected
    to the root have no pseudotime and are left out.
    """
    st.pp.gene_roles(
        adata,
        ligands=sorted(pairs["ligand"].unique()),
        receptors=sorted(pairs["receptor"].unique()),
        tfs=sorted(genes.get("tfs", edges["tf"].unique())),
        targets=sorted(genes.get("targets", edges["target"].unique())),
    )
    timed = adata.copy()
    st.pp.transitions(timed, root=receivers[0], receivers=receivers)
    adata.obs["dpt_pseudotime"] = timed.obs["dpt_pseudotime"]
    receiving = adata.obs["cell_type"].isin(receivers)
    adata = adata[(adata.obs["dpt_pseudotime"].notna() | ~receiving).to_numpy()].copy()
    adata.uns["truth"] = no_edges() | {"tf_targets": edges, "lr_pairs": pairs}
    adata.uns["arguments"] = {
        "time_key": "dpt_pseudotime",
        "sample_key": "sample",
        "receivers": receivers,
    }
    return adata
