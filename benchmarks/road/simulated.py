"""The simulated tissue: rankings compared with Pearson correlation, and false discoveries.

python -m benchmarks.road.simulated [seed ...] [--time latent|stages]
"""

from __future__ import annotations

import argparse

import pandas as pd
from anndata import AnnData
from benchmarks._pearson import pearson_tables
from benchmarks._scores import KEYS, Cost, discoveries, machine, rank_scores

import spatrace_sc as st

#: Value of ``--time`` → arguments of ``infer_ccc``.
CALLS = {
    "latent": {"time_key": "latent_time", "sample_key": "sample"},
    "stages": {"time_key": "stage_time", "sample_key": "sample", "stage_key": "stage"},
}


def truths(adata: AnnData) -> dict[str, tuple[str, pd.DataFrame]]:
    """Return task → name of the scored table, and its truth."""
    truth = adata.uns["truth"]
    every = truth["lr_targets"]
    return {
        "tf_targets": ("tf_targets", truth["tf_targets"]),
        "lr_targets direct": ("lr_targets", every[every["kind"] == "direct"]),
        "lr_targets + indirect": ("lr_targets", every),
        "lr_pairs": ("lr_pairs", truth["lr_pairs"]),
    }


def run(seed: int, time: str) -> list[dict[str, object]]:
    """Return a row for every task and method of one seed."""
    adata = st.datasets.simulated(rng=seed)
    call = dict(CALLS[time])
    receivers = sorted(
        adata.obs.loc[adata.obs["latent_time"].notna(), "cell_type"].astype(str).unique()
    )
    if time == "stages":  # every cell has a stage, senders too
        call["receivers"] = receivers
    with Cost() as cost:
        st.tl.infer_ccc(adata, **call, rng=seed, device="cpu")
    fit = adata.uns["spatrace"]["fit"]
    print(
        f"seed {seed}: {cost}; held-out R² {fit['r2_initial']:.3f} before training, "
        f"{fit['r2_gates']:.3f} after"
    )
    plain = pearson_tables(adata, adata.obs["latent_time"].notna().to_numpy(), sample_key="sample")
    rows: list[dict[str, object]] = []
    for task, (name, truth) in truths(adata).items():
        keys, table = KEYS[name], getattr(st.get, name)(adata)
        hits, false = discoveries(table, truth, keys)
        scores = {"true": len(truth)} | rank_scores(table, truth, keys)
        rows.append({"task": task, "method": "infer_ccc", **scores, "q<=.1": hits, "FDP": false})
        rows.append(
            {
                "task": task,
                "method": "|Pearson|",
                "true": len(truth),
                **rank_scores(plain[name], truth, keys),
            }
        )
    return [{"seed": seed, **row} for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--time", choices=list(CALLS), default="latent")
    given = parser.parse_args()
    print(f"{machine()}; time: {given.time}")
    frame = pd.DataFrame([row for seed in given.seeds for row in run(seed, given.time)])
    order = list(frame["task"].unique())
    medians = (
        frame.drop(columns="seed").groupby(["task", "method"], sort=False).median(numeric_only=True)
    )
    spread = (
        frame[frame["method"] == "infer_ccc"]
        .groupby("task")["FDP"]
        .agg(lambda v: " ".join(f"{x:.2f}" for x in v))
    )
    print(
        f"\nMedians over seeds {given.seeds}; FDP is the false share of the discoveries at q <= .1"
    )
    print(medians.loc[order].to_string(float_format="%.3f", na_rep=""))
    print("\nFDP by seed:", "; ".join(f"{task}: {spread[task]}" for task in order))


if __name__ == "__main__":
    main()
