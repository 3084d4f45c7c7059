"""Which cells receive a signal, and how well edges rank: simulated tissues beside the truth.

python -m benchmarks.road.activity [seed ...] [--map docs/_static/activity.png] [--evaluate docs/_static/evaluate.png]

For every seed and tissue:

- AUROC, per acting pair, of a cell's activity for cells whose true signal is above its median among the receivers; median over pairs. Beside it the same of plain products: exposure × receptor of the cell as counted, and the receptor alone.
- the table of st.tl.evaluate for TF → target edges, beside |Pearson| of the same candidates.

About 20 s a seed and tissue.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from benchmarks._pearson import pearson_tables
from benchmarks._scores import machine
from benchmarks.road.communication import SETTINGS
from sklearn.metrics import precision_recall_curve, roc_auc_score

import spatrace_sc as st


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("seeds", nargs="*", type=int, default=[590, 591, 592, 593, 594])
    parser.add_argument(
        "--map", type=Path, help="draw truth and activity of a pair of the first deep tissue"
    )
    parser.add_argument(
        "--evaluate", type=Path, help="draw precision against recall of the first default tissue"
    )
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(machine())
    cells, edges = [], []
    for name, options in SETTINGS.items():
        for seed in given.seeds:
            adata = st.datasets.simulated(seed, **options)
            config = st.Config(progress=False)
            st.tl.infer_ccc(
                adata, sample_key="sample", stage_key="stage", config=config, device="cpu"
            )
            cells.append({"tissue": name, "seed": seed} | heard(adata))
            edges.append({"tissue": name, "seed": seed} | ranked(adata))
            first = seed == given.seeds[0]
            if first and name == "deep" and given.map:
                beside_truth(adata, given.map)
            if first and name == "default" and given.evaluate:
                precision(adata, given.evaluate)
    for rows in (cells, edges):
        frame = pd.DataFrame(rows).drop(columns="seed").groupby("tissue", sort=False)
        print(frame.agg(["median", "min", "max"]).round(3).T.to_string())


def heard(adata) -> dict[str, float]:
    """Median AUROC over acting pairs that have an activity, for the activity, its shrunken values, and plain products."""
    activity, true = st.get.activity(adata), adata.obsm["true_signal"]
    here = true.notna().all(axis=1).to_numpy()
    exposure = st.pp.ligand_exposure(
        adata, radius=st.get.params(adata)["radius"], sample_key="sample", copy=True
    )
    found = []
    for pair in true.columns.intersection(activity.var_names):
        ligand, receptor = pair.split("^")
        above = (true[pair] > true[pair][here].median()).to_numpy()[here]
        level = np.expm1(adata[:, receptor].X.toarray().ravel())
        values = {
            "activity": activity[:, pair].X.ravel(),
            "shrunken": np.asarray(activity[:, pair].layers["shrunk"]).ravel(),
            "exposure × receptor": exposure[ligand].to_numpy() * level,
            "receptor": level,
        }
        found.append({name: roc_auc_score(above, value[here]) for name, value in values.items()})
    return pd.DataFrame(found).median().to_dict() | {"pairs": len(found)}


def ranked(adata) -> dict[str, float]:
    """AUPRC of TF → target edges, of random networks with the same degrees, and of |Pearson|."""
    truth = adata.uns["truth"]["tf_targets"]
    found = st.tl.evaluate(adata, truth).set_index("measure").loc["auprc"]
    plain = st.tl.evaluate(pearson(adata), truth).set_index("measure").loc["auprc"]
    return {
        "AUPRC": found["value"],
        "same degrees, random": found["random_mean"],
        "p": found["p_value"],
        "|Pearson|": plain["value"],
    }


def pearson(adata) -> pd.DataFrame:
    """|Pearson| of every TF with every target, in the receivers."""
    receives = adata.obs["dpt_pseudotime"].notna().to_numpy()
    return pearson_tables(adata, receives, sample_key="sample")["tf_targets"]


def beside_truth(adata, path: Path) -> None:
    """The strongest acting pair: true signal, activity, sent signal."""
    activity, true = st.get.activity(adata), adata.obsm["true_signal"]
    pair = next(p for p in activity.var_names if p in true.columns)
    st.tl.communication(adata, pairs=[pair], n_permutations=9, progress=False)
    adata.obs["sent"] = st.get.sent_received(adata, pair)["sent"].to_numpy()
    here = (adata.obs["stage"] == st.get.stages(adata)[1]).to_numpy()
    xy = adata.obsm["spatial"][here]
    values = [
        true[pair].to_numpy()[here],
        activity[:, pair].X.ravel()[here],
        adata.obs["sent"].to_numpy()[here],
    ]
    titles = ["true signal", "activity (SD of the targets)", "sent (SD of the targets)"]
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.7), layout="constrained")
    for ax, value, title in zip(axes, values, titles, strict=True):
        known = np.isfinite(value)
        ax.scatter(*xy.T, s=9, color="#dddddd", lw=0)
        drawn = ax.scatter(
            *xy[known].T,
            c=value[known],
            s=13,
            cmap="viridis",
            lw=0,
            vmax=np.quantile(value[known], 0.99),
        )
        figure.colorbar(drawn, ax=ax, shrink=0.8)
        ax.set_title(title, fontsize=10)
        ax.set_aspect("equal")
        ax.set_axis_off()
    figure.suptitle(pair.replace("^", " → "), fontsize=11)
    figure.savefig(path, dpi=110)


def precision(adata, path: Path) -> None:
    """Precision against recall of TF → target edges."""
    truth = set(
        map(tuple, adata.uns["truth"]["tf_targets"][["tf", "target"]].astype(str).to_numpy())
    )
    figure, ax = plt.subplots(figsize=(4.6, 3.6), layout="constrained")
    for label, table in (("spatrace-sc", st.get.tf_targets(adata)), ("|Pearson|", pearson(adata))):
        true = [
            edge in truth for edge in map(tuple, table[["tf", "target"]].astype(str).to_numpy())
        ]
        height, recall, _ = precision_recall_curve(true, table["score"])
        ax.plot(recall, height, label=label)
    value = (
        st.tl.evaluate(adata, adata.uns["truth"]["tf_targets"]).set_index("measure").loc["auprc"]
    )
    ax.axhline(value["random_mean"], color="#888888", ls=":", label="same degrees, random")
    ax.set_xlabel("recall")
    ax.set_ylabel("precision")
    ax.set_ylim(0, 1.02)
    ax.legend(frameon=False, fontsize=8)
    ax.set_title("TF → target", fontsize=10)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
