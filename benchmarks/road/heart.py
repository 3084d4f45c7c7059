"""The human embryonic heart (Asp et al. 2019): a real tissue within ten minutes and 6 GB on two cores.

python -m benchmarks.road.heart [--share 0.2] [--variable 1000] [--seed 0]
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
from benchmarks._figures import activity_maps, save, tissue_maps, top_edge_bars
from benchmarks._scores import KEYS, Cost, machine
from scipy.stats import spearmanr

import spatrace_sc as st

#: The outflow tract grows from second-heart-field progenitors, is added last to the heart tube and still holds undifferentiated mesenchyme, while the walls of the ventricles are
#: working myocardium. So time here is a pseudotime of the state of a spot, from mesenchyme to working muscle in hearts of one age; it is not development.
ROOT = "outflow tract"
SMALLEST = {"ligand": 100, "receptor": 100, "tf": 150, "target": 500}


def read_heart() -> AnnData:
    """Named genes, one row per symbol (the most expressed), log1p of counts per 10 000."""
    adata = ad.read_h5ad(data_file("human_heart", "human_heart_ST.h5ad"))
    adata.obs["depth"] = np.asarray(adata.X.sum(axis=1)).ravel()
    sc.pp.normalize_total(adata, target_sum=1e4)
    symbol = adata.var["symbol"].astype(str).replace({"": np.nan, "nan": np.nan})
    total = np.asarray(adata.X.sum(axis=0)).ravel()
    order = pd.Series(symbol.to_numpy()).iloc[np.argsort(-total, kind="stable")].dropna()
    adata = adata[:, np.sort(order.drop_duplicates().index.to_numpy())].copy()
    adata.var_names = adata.var["symbol"].astype(str)
    sc.pp.log1p(adata)
    region = adata.obs["region"].astype(str).replace({"nan": "unassigned"})
    adata.obs["region"] = region.astype("category")
    adata.obs["section"] = adata.obs["section"].astype(str).astype("category")
    return adata


def flag_roles(adata: AnnData, share: float, n_variable: int) -> AnnData:
    """Genes seen in a share of the spots, with their roles. liana gives two lists of genes; which ligand goes with which receptor is not read from it."""
    resource = liana.resource.select_resource("consensus")
    ligands, receptors = ({g for name in resource[c] for g in name.split("_")} for c in ("ligand", "receptor"))
    seen = np.asarray((adata.X > 0).mean(axis=0)).ravel() >= share
    adata = adata[:, seen].copy()
    sc.pp.highly_variable_genes(adata, n_top_genes=n_variable, batch_key="section")
    tfs = gene_list("gene_lists", "human_tfs_lambert2018.txt")
    st.pp.gene_roles(adata, ligands=sorted(ligands), receptors=sorted(receptors), tfs=tfs)
    sizes = {role: int(adata.var[role].sum()) for role in SMALLEST}
    both = int((adata.var["ligand"] & adata.var["receptor"]).sum())
    print(
        f"{adata.n_vars} genes in at least {share:.0%} of {adata.n_obs} spots; roles {sizes}; {both} ligand and receptor"
    )
    if any(sizes[role] < least for role, least in SMALLEST.items()):
        raise SystemExit(f"too few genes of some role; the test wants at least {SMALLEST}.")
    return adata


def describe_time(adata: AnnData) -> None:
    """What pseudotime follows: regions as it should, or the depth and the section of a spot."""
    time = adata.obs["dpt_pseudotime"]
    print(
        "\nMedian pseudotime:",
        time.groupby(adata.obs["region"], observed=True).median().sort_values().round(2).to_dict(),
    )
    explained = {c: _explained(time, adata.obs[c]) for c in ("region", "section")}
    depth = spearmanr(time, adata.obs["depth"], nan_policy="omit").statistic
    print(
        f"Variance of pseudotime between regions {explained['region']:.2f}, between sections {explained['section']:.2f}; Spearman with depth {depth:.2f}"
    )


def _explained(values: pd.Series, groups: pd.Series) -> float:
    means = values.groupby(groups, observed=True).transform("mean")
    return float(means.var() / values.var())


def describe_result(adata: AnnData) -> dict[str, pd.DataFrame]:
    """Print the strongest edges; return the tables."""
    tables = {name: getattr(st.get, name)(adata) for name in KEYS}
    for name, table in tables.items():
        counts = f"{int((table['score'] > 0).sum())} edges of {adata.uns['spatrace']['candidates'][name]} candidates"
        print(f"\n{name}: {counts}, {int((table['q_value'] <= 0.1).sum())} at q <= .1")
        print(table.head(15).to_string(index=False, float_format="%.3g"))
    talk = st.get.communication(adata)
    print(f"\ncommunication: {len(talk)} rows, {int((talk['q_value'] <= 0.1).sum())} at q <= .1")
    print(talk.head(15).to_string(index=False, float_format="%.3g"))
    activity = st.get.activity(adata)
    depth = [
        spearmanr(activity[:, p].X.ravel(), adata.obs["depth"], nan_policy="omit").statistic
        for p in activity.var_names[:3]
    ]
    parts = [
        [_explained(pd.Series(activity[:, p].X.ravel(), adata.obs_names), adata.obs[c]) for c in ("region", "section")]
        for p in activity.var_names[:3]
    ]
    print("\nTop pairs: Spearman of activity with depth, variance between regions, between sections:")
    for name, r, (region, section) in zip(activity.var_names, depth, parts, strict=False):
        print(f"  {name}: {r:.2f}, {region:.2f}, {section:.2f}")
    return tables


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=0.2, help="smallest share of spots that see a gene")
    parser.add_argument(
        "--variable", type=int, default=1000, help="highly variable genes; those without another role are targets"
    )
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    print(machine())
    with Cost() as whole:
        adata = flag_roles(read_heart(), given.share, given.variable)
        with Cost() as preparing:
            st.pp.transitions(adata, root=ROOT, cell_type_key="region")
        describe_time(adata)
        with Cost() as inferring:
            st.tl.infer_ccc(adata, cell_type_key="region", sample_key="section", seed=given.seed, device="cpu")
    print(f"\ntransitions: {preparing}\ninfer_ccc:   {inferring}\nall:         {whole}")
    print(
        f"radius {adata.uns['spatrace']['params']['radius']:.0f} px;",
        {k: round(v, 3) for k, v in adata.uns["spatrace"]["fit"].items()},
    )
    tables = describe_result(adata)
    figures = {
        "heart_tissue": tissue_maps(adata, "section", "region", "dpt_pseudotime"),
        "heart_activity": activity_maps(adata, "section"),
        "heart_top_edges": top_edge_bars(tables),
    }
    for name, figure in figures.items():
        print("wrote", save(figure, name).name)


if __name__ == "__main__":
    main()
