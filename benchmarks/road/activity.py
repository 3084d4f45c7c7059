"""Activity per cell and ranking of edges on simulated tissues, compared with the truth.

python -m benchmarks.road.activity [seed ...] [--map docs/_static/activity.png]
                                   [--evaluate docs/_static/evaluate.png]

For every seed and tissue:

- the AUROC of the activity of an acting pair for cells whose true signal is above the median of the
  receivers, as median over pairs; for comparison that of exposure × receptor as counted, and that
  of the receptor alone;
- the table of st.tl.evaluate for TF → target edges, and for |Pearson| of the same candidates.

About 20 s per seed and tissue.
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
        "--map", type=Path, help="draw true signal and activity of a pair of the first deep tissue"
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
            cells.append({"tissue": name, "seed": seed} | activity_scores(adata))
            edges.append({"tissue": name, "seed": seed} | edge_scores(adata))
            first = seed == given.seeds[0]
            if first and name == "deep" and given.map:
                draw_activity(adata, given.map)
            if first and name == "default" and given.evaluate:
                draw_precision(adata, given.evaluate)
    for rows in (cells, edges):
        frame = pd.DataFrame(rows).drop(columns="seed").groupby("tissue", sort=False)
        print(frame.agg(["median", "min", "max"]).round(3).T.to_string())


def activity_scores(adata) -> dict[str, float]:
    """Return median AUROCs over acting pairs with an activity.

    Of the activity, of its shrunken values, and of plain products.
    """
    activity, true = st.get.activity(adata), adata.obsm["true_signal"]
    receives = true.notna().all(axis=1).to_numpy()
    exposure = st.pp.ligand_exposure(
        adata, radius=st.get.params(adata)["radius"], sample_key="sample", copy=True
    )
    scores = []
    for pair in true.columns.intersection(activity.var_names):
        ligand, receptor = pair.split("^")
        above = (true[pair] > true[pair][receives].median()).to_numpy()[receives]
        level = np.expm1(adata[:, receptor].X.toarray().ravel())
        values = {
            "activity": activity[:, pair].X.ravel(),
            "shrunken": np.asarray(activity[:, pair].layers["shrunk"]).ravel(),
            "exposure × receptor": exposure[ligand].to_numpy() * level,
            "receptor": level,
        }
        scores.append(
            {name: roc_auc_score(above, value[receives]) for name, value in values.items()}
        )
    return pd.DataFrame(scores).median().to_dict() | {"pairs": len(scores)}


def edge_scores(adata) -> dict[str, float]:
    """Return AUPRCs of TF → target edges, of random networks and of |Pearson|."""
    truth = adata.uns["truth"]["tf_targets"]
    ours = st.tl.evaluate(adata, truth).set_index("measure").loc["auprc"]
    plain = st.tl.evaluate(pearson(adata), truth).set_index("measure").loc["auprc"]
    return {
        "AUPRC": ours["value"],
        "same degrees, random": ours["random_mean"],
        "p": ours["p_value"],
        "|Pearson|": plain["value"],
    }


def pearson(adata) -> pd.DataFrame:
    """Return |Pearson| of every TF with every target in the receivers."""
    receives = adata.obs["dpt_pseudotime"].notna().to_numpy()
    return pearson_tables(adata, receives, sample_key="sample")["tf_targets"]


def draw_activity(adata, path: Path) -> None:
    """Draw true signal, activity and sent signal of the strongest acting pair."""
    activity, true = st.get.activity(adata), adata.obsm["true_signal"]
    pair = next(p for p in activity.var_names if p in true.columns)
    st.tl.communication(adata, pairs=[pair], n_permutations=9, progress=False)
    adata.obs["sent"] = st.get.sent_received(adata, pair)["sent"].to_numpy()
    in_stage = (adata.obs["stage"] == st.get.stages(adata)[1]).to_numpy()
    xy = adata.obsm["spatial"][in_stage]
    values = [
        true[pair].to_numpy()[in_stage],
        activity[:, pair].X.ravel()[in_stage],
        adata.obs["sent"].to_numpy()[in_stage],
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


def draw_precision(adata, path: Path) -> None:
    """Draw precision against recall of TF → target edges."""
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
