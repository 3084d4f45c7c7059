"""Communication between cell types on simulated tissues, compared with the truth.

python -m benchmarks.road.communication [seed ...] [--figure docs/_static/communication.png]

Rows are sender × receiver × stage × pair. The true strength of a row is the mean over its receivers
of the pair's true signal times the share of the ligand that comes from the sender type (with the
kernel of the simulator), times the norm of the pair's true effects. It is 0 for pairs that do not
act. The strongest rows that hold 90 % of all strength count as true. Methods:

- ours: score of st.get.communication, by stage;
- means: mean ligand of the sender type × mean receptor of the receiver type in the stage (what
  CellPhoneDB scores);
- neighbours: mean exposure of the receivers to the sender type × mean receptor;
- correlation: norm over targets of the Pearson correlation, among the receivers, of exposure to the
  sender type × receptor with the target;
- LIANA+: magnitude rank of its rank aggregate by stage, given all pairs (if liana is installed).

About 40 s per seed without LIANA+, two minutes with it.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pandas as pd
import torch
from benchmarks._scores import machine
from scipy.stats import spearmanr

import spatrace_sc as st
from spatrace_sc._core.exposure import nearest_neighbour_distance, neighbour_weights
from spatrace_sc._core.networks import ranking_scores
from spatrace_sc.datasets._expression import SPREAD

ROW = ["stage", "sender", "receiver", "ligand", "receptor"]
SETTINGS = {"default": {}, "deep": {"depth": 4000, "decoy_fraction": 0.1, "noise": 0.1}}
#: Share of all strength that the true rows hold.
TRUE_SHARE = 0.9


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("seeds", nargs="*", type=int, default=[570, 571, 572, 573, 574])
    parser.add_argument("--figure", type=Path, help="draw the first seed of the deep tissue")
    given = parser.parse_args()
    torch.set_num_threads(1)
    logging.getLogger("spatrace_sc").setLevel(logging.WARNING)  # LIANA+ turns logging on
    print(machine())
    scores, called = [], []
    for name, options in SETTINGS.items():
        for seed in given.seeds:
            adata = st.datasets.simulated(seed, **options)
            config = st.Config(progress=False)
            st.tl.infer_ccc(
                adata, sample_key="sample", stage_key="stage", config=config, device="cpu"
            )
            truth = true_rows(adata)
            for method, table in methods(adata).items():
                scores.append(
                    {"tissue": name, "seed": seed, "method": method} | judge(truth, table)
                )
            called.append({"tissue": name, "seed": seed} | judge_calls(truth, ours(adata)))
            if given.figure and name == "deep" and seed == given.seeds[0]:
                ax = st.pl.communication(adata, stage=st.get.stages(adata)[1])
                ax.figure.savefig(given.figure, dpi=110, bbox_inches="tight")
    frame = pd.DataFrame(scores).drop(columns="seed").groupby(["tissue", "method"], sort=False)
    print(frame.median().join(frame.agg(["min", "max"])["AUPRC"]).round(3).to_string())
    print(pd.DataFrame(called).round(3).to_string(index=False))


def true_rows(adata) -> pd.DataFrame:
    """Return every row of senders, receivers, stages and candidate pairs with its strength."""
    kind = adata.obs["cell_type"].astype(str).to_numpy()
    receives = np.char.startswith(kind.astype(str), "receiver")
    xy, sample = adata.obsm["spatial"], pd.factorize(adata.obs["sample"])[0]
    spread = SPREAD * nearest_neighbour_distance(xy, sample)
    weights = neighbour_weights(
        xy, sample, receives, ~receives, radius=5 * spread, kernel=lambda d: np.exp(-d / spread)
    )
    truth = adata.uns["truth"]
    edges = truth["lr_targets"]
    norm = (
        edges.assign(pair=edges["ligand"] + "^" + edges["receptor"])
        .groupby("pair")["strength"]
        .agg(np.linalg.norm)
    )
    signal = adata.obsm["true_signal"]
    acting = [p for p in signal.columns if p in norm.index]
    ligand = np.expm1(np.asarray(adata[:, [p.split("^")[0] for p in acting]].X.todense()))
    exposure = np.asarray(weights @ ligand)
    keys = [adata.obs["stage"].astype(str).to_numpy()[receives], kind[receives]]
    parts = []
    for sender in np.unique(kind[~receives]):
        share = np.asarray(weights[:, kind == sender] @ ligand[kind == sender]) / np.maximum(
            exposure, 1e-12
        )
        received = pd.DataFrame(
            signal[acting].to_numpy()[receives] * share[receives], columns=acting
        )
        mean = received.groupby(keys).mean().mul(norm[acting])
        mean.index.names = ["stage", "receiver"]
        parts.append(
            mean.stack()
            .rename("strength")
            .rename_axis(["stage", "receiver", "pair"])
            .reset_index()
            .assign(sender=sender)
        )
    rows = pd.concat(parts)
    rows[["ligand", "receptor"]] = (
        rows.pop("pair").str.split("^", expand=True, regex=False).to_numpy()
    )
    roles = [adata.var_names[adata.var[r]] for r in ("ligand", "receptor")]
    every = pd.MultiIndex.from_product(
        [*(np.unique(k) for k in (keys[0], kind[~receives], keys[1])), *roles], names=ROW
    )
    strength = rows.set_index(ROW)["strength"].reindex(every, fill_value=0.0)
    ordered = strength.sort_values(ascending=False)
    cumulative = ordered.cumsum() / ordered.sum()
    return pd.DataFrame(
        {
            "strength": strength,
            "true": strength.index.isin(
                cumulative.index[cumulative.shift(fill_value=0.0) < TRUE_SHARE]
            ),
        }
    )


def ours(adata) -> pd.DataFrame:
    """Return the rows of st.get.communication of all stages."""
    tables = [
        st.get.communication(adata, stage).assign(stage=stage) for stage in st.get.stages(adata)
    ]
    return pd.concat(tables).set_index(ROW)


def methods(adata) -> dict[str, pd.Series]:
    """Return the score of every row by every method."""
    kind, stage = (adata.obs[k].astype(str).to_numpy() for k in ("cell_type", "stage"))
    names = [list(adata.var_names[adata.var[r]]) for r in ("ligand", "receptor", "target")]
    ligand, receptor, target = (np.asarray(adata[:, n].X.todense()) for n in names)
    receives = np.char.startswith(kind.astype(str), "receiver")
    sample, radius = pd.factorize(adata.obs["sample"])[0], st.get.params(adata)["radius"]
    weights = neighbour_weights(adata.obsm["spatial"], sample, receives, ~receives, radius=radius)
    by_method: dict[str, dict] = {"means": {}, "neighbours": {}, "correlation": {}}
    for sender in np.unique(kind[~receives]):
        exposure = np.asarray(weights[:, kind == sender] @ np.expm1(ligand[kind == sender]))
        for time_point in np.unique(stage):
            sends = ligand[(kind == sender) & (stage == time_point)].mean(axis=0)
            for receiver in np.unique(kind[receives]):
                rows_of_type = (kind == receiver) & (stage == time_point)
                receives_mean, reached = receptor[rows_of_type].mean(axis=0), exposure[rows_of_type]
                signal = np.log1p(
                    (reached[:, :, None] * np.expm1(receptor[rows_of_type])[:, None]).reshape(
                        rows_of_type.sum(), -1
                    )
                )
                strength = np.linalg.norm(correlation(signal, target[rows_of_type]), axis=1)
                grids = (
                    np.outer(sends, receives_mean),
                    np.outer(reached.mean(axis=0), receives_mean),
                    strength,
                )
                for method, values in zip(by_method, grids, strict=True):
                    rows = pd.MultiIndex.from_product(
                        [[time_point], [sender], [receiver], *names[:2]], names=ROW
                    )
                    by_method[method] |= dict(zip(rows, values.ravel(), strict=True))
    scores = {"ours": ours(adata)["score"]}
    scores |= {name: pd.Series(values).rename_axis(ROW) for name, values in by_method.items()}
    return scores | liana(adata, names, stage)


def correlation(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return (columns of x, columns of y) Pearson correlations, 0 for constant columns."""
    x, y = (
        (v - v.mean(axis=0)) / np.where(v.std(axis=0) > 0, v.std(axis=0), np.inf) for v in (x, y)
    )
    return x.T @ y / len(x)


def liana(adata, names: list[list[str]], stage: np.ndarray) -> dict[str, pd.Series]:
    """Return the scores of LIANA+'s consensus of methods, one minus its rank."""
    try:
        import liana as li
    except ImportError:
        return {}
    grid = pd.MultiIndex.from_product(names[:2], names=["ligand", "receptor"]).to_frame(index=False)
    parts = []
    for time_point in np.unique(stage):
        in_stage = adata[stage == time_point].copy()
        in_stage.uns = {}
        options = {
            "resource": grid,
            "use_raw": False,
            "expr_prop": 0.0,
            "min_cells": 1,
            "verbose": False,
        }
        output = li.mt.rank_aggregate(
            in_stage, groupby="cell_type", n_perms=None, inplace=False, **options
        )
        columns = {
            "source": "sender",
            "target": "receiver",
            "ligand_complex": "ligand",
            "receptor_complex": "receptor",
        }
        parts.append(
            output.rename(columns=columns).assign(
                stage=time_point, score=1.0 - output["magnitude_rank"]
            )
        )
    return {"LIANA+": pd.concat(parts).set_index(ROW)["score"]}


def judge(truth: pd.DataFrame, score: pd.Series) -> dict[str, float]:
    """Return how well a method ranks the rows; rows that it does not list come last."""
    listed = score.reindex(truth.index).to_numpy(dtype=float)
    listed = np.where(np.isfinite(listed), listed, np.nanmin(listed) - 1.0)
    scores = ranking_scores(truth["true"].to_numpy(), listed)
    true = truth["true"].to_numpy()
    rank = spearmanr(listed[true], truth["strength"].to_numpy()[true])[0]
    return {
        "AUROC": scores["auroc"],
        "AUPRC": scores["auprc"],
        "x base": scores["auprc_ratio"],
        "rank among true": rank,
    }


def judge_calls(truth: pd.DataFrame, table: pd.DataFrame) -> dict[str, float]:
    """Return the number of rows at q ≤ .1, their false share, and their share of all strength.

    A row is false if its pair does not act.
    """
    called = truth.reindex(table.index[table["q_value"] <= 0.1]).dropna()
    return {
        "rows": len(called),
        "pair does not act": float((called["strength"] == 0).mean()) if len(called) else np.nan,
        "not a true row": float((~called["true"].astype(bool)).mean()) if len(called) else np.nan,
        "strength held": float(called["strength"].sum() / truth["strength"].sum()),
    }


if __name__ == "__main__":
    main()
