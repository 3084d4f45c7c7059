"""The human embryonic heart (Asp et al. 2019) within ten minutes and 6 GB on two cores.

python -m benchmarks.road.heart [--share 0.2] [--variable 700] [--seed 0]
"""

from __future__ import annotations

import argparse

import anndata as ad
import liana
import numpy as np
import pandas as pd
import scanpy as sc
from anndata import AnnData
from benchmarks._data import data_file, gene_list
from benchmarks._figures import save, tissue_maps
from benchmarks._scores import KEYS, Cost, machine
from scipy.spatial import cKDTree

import spatrace_sc as st

#: The outflow tract grows from second-heart-field progenitors, is added last to the heart tube and
#: still holds undifferentiated mesenchyme; the walls of the ventricles are working myocardium. So
#: time is a pseudotime of the state of a spot, from mesenchyme to working muscle in hearts of one
#: age, and not development.
ROOT = "outflow tract"
#: Distance between neighbouring spots of a Spatial Transcriptomics array, in µm.
PITCH = 200.0
#: Fewest genes of every role.
MIN_GENES = {"ligand": 100, "receptor": 100, "tf": 150, "target": 500}


def read_heart() -> AnnData:
    """Return log1p of counts per 10 000, the most expressed gene of every symbol."""
    adata = ad.read_h5ad(data_file("human_heart", "human_heart_ST.h5ad"))
    adata.obs["depth"] = np.asarray(adata.X.sum(axis=1)).ravel()
    sc.pp.normalize_total(adata, target_sum=1e4)
    symbol = adata.var["symbol"].astype(str).replace({"": np.nan, "nan": np.nan})
    total = np.asarray(adata.X.sum(axis=0)).ravel()
    order = pd.Series(symbol.to_numpy()).iloc[np.argsort(-total, kind="stable")].dropna()
    adata = adata[:, np.sort(order.drop_duplicates().index.to_numpy())].copy()
    adata.var_names = adata.var["symbol"].astype(str)
    sc.pp.log1p(adata)
    adata.obs["region"] = (
        adata.obs["region"].astype(str).replace({"nan": "unassigned"}).astype("category")
    )
    adata.obs["section"] = adata.obs["section"].astype(str).astype("category")
    rescale(adata)
    return adata


def rescale(adata: AnnData) -> None:
    """Turn pixels into µm, section by section.

    Neighbouring spots lie 200 µm apart; two sections come from images of half the size.
    """
    spatial = np.asarray(adata.obsm["spatial"], dtype=float)
    for section in adata.obs["section"].cat.categories:
        in_section = (adata.obs["section"] == section).to_numpy()
        distance = cKDTree(spatial[in_section]).query(spatial[in_section], k=2)[0][:, 1]
        spatial[in_section] *= PITCH / np.median(distance)
    adata.obsm["spatial"] = spatial


def flag_roles(adata: AnnData, share: float, n_variable: int) -> AnnData:
    """Return the genes detected in a share of the spots, with their roles.

    Ligands and receptors are those of liana's consensus resource; its pairs are not used. Targets
    are highly variable genes without another role.
    """
    resource = liana.resource.select_resource("consensus")
    ligands, receptors = (
        {g for name in resource[c] for g in name.split("_")} for c in ("ligand", "receptor")
    )
    detected = np.asarray((adata.X > 0).mean(axis=0)).ravel() >= share
    adata = adata[:, detected].copy()
    sc.pp.highly_variable_genes(adata, n_top_genes=n_variable, batch_key="section")
    tfs = gene_list("gene_lists", "human_tfs_lambert2018.txt")
    st.pp.gene_roles(adata, ligands=sorted(ligands), receptors=sorted(receptors), tfs=tfs)
    sizes = {role: int(adata.var[role].sum()) for role in MIN_GENES}
    both = int((adata.var["ligand"] & adata.var["receptor"]).sum())
    print(
        f"{adata.n_vars} genes in at least {share:.0%} of {adata.n_obs} spots; {sizes}, "
        f"{both} are both ligand and receptor"
    )
    if any(sizes[role] < n for role, n in MIN_GENES.items()):
        raise SystemExit(f"too few genes of some role; this benchmark needs at least {MIN_GENES}.")
    return adata


def follows(adata: AnnData, values: np.ndarray) -> str:
    """Return how far a value per spot follows region, section and sequencing depth."""
    table = adata.obs.assign(value=np.asarray(values, dtype=float)).dropna(subset="value")
    parts = {
        c: table.groupby(c, observed=True)["value"].transform("mean") for c in ("region", "section")
    }
    shares = ", ".join(
        f"{mean.var() / table['value'].var():.2f} between {c}s" for c, mean in parts.items()
    )
    depth = table["value"].corr(table["depth"], method="spearman")
    return f"variance {shares}; Spearman with depth {depth:.2f}"


def describe_time(adata: AnnData) -> None:
    """Print the pseudotime of every region."""
    time = adata.obs["dpt_pseudotime"]
    medians = time.groupby(adata.obs["region"], observed=True).median().sort_values()
    print(
        "\nMedian pseudotime:",
        ", ".join(f"{region} {value:.2f}" for region, value in medians.items()),
    )
    print("Pseudotime:", follows(adata, time.to_numpy()))


def describe_result(adata: AnnData) -> None:
    """Print the strongest edges, and what the activity of the first three pairs follows."""
    for name in KEYS:
        table = getattr(st.get, name)(adata)
        n_scored, n_called = int((table["score"] > 0).sum()), int((table["q_value"] <= 0.1).sum())
        n_candidates = adata.uns["spatrace"]["candidates"][name]
        print(f"\n{name}: {n_scored} of {n_candidates} candidates have a score, {n_called} q <= .1")
        print(table.head(15).to_string(index=False, float_format="%.3g"))
    communication = st.get.communication(adata)
    n_called = int((communication["q_value"] <= 0.1).sum())
    print(f"\ncommunication: {len(communication)} rows, {n_called} at q <= .1")
    print(communication.head(15).to_string(index=False, float_format="%.3g"))
    activity = st.get.activity(adata)
    print("\nActivity of the strongest pairs")
    for pair in activity.var_names[:3]:
        print(f"  {pair}: {follows(adata, activity[:, pair].X.ravel())}")


def draw(adata: AnnData) -> None:
    """Draw regions and pseudotime, the three strongest pairs over sections, and top edges."""
    figures = {"heart_tissue": tissue_maps(adata, "section", "region", "dpt_pseudotime")}
    for rank, pair in enumerate(st.get.activity(adata).var_names[:3], start=1):
        figures[f"heart_activity_{rank}"] = st.pl.spatial(
            adata, pair, sample_key="section", ncols=5
        )[0].figure
    for name in KEYS:
        figures[f"heart_{name}"] = st.pl.top_edges(adata, name, top_n=15).figure
    print("\nfigures:", ", ".join(save(figure, name).name for name, figure in figures.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--share", type=float, default=0.2, help="smallest share of spots with a gene"
    )
    parser.add_argument("--variable", type=int, default=700, help="number of highly variable genes")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    print(machine())
    with Cost() as all_steps:
        adata = flag_roles(read_heart(), given.share, given.variable)
        with Cost() as preparing:
            st.pp.transitions(adata, root=ROOT, cell_type_key="region")
        describe_time(adata)
        with Cost() as inferring:
            st.tl.infer_ccc(
                adata, cell_type_key="region", sample_key="section", rng=given.seed, device="cpu"
            )
    print(f"\ntransitions: {preparing}\ninfer_ccc:   {inferring}\nall:         {all_steps}")
    fit = {name: round(float(value), 3) for name, value in adata.uns["spatrace"]["fit"].items()}
    print(f"radius {adata.uns['spatrace']['params']['radius']:.0f} µm; {fit}")
    describe_result(adata)
    draw(adata)


if __name__ == "__main__":
    main()
