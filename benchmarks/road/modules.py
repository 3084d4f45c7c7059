"""Signaling modules of simulated tissues, compared with the truth.

python -m benchmarks.road.modules [seed ...] [--figure docs/_static/modules.png]

There are three tissues per seed. *planted*: four groups of three pairs. The ligands of a group
share type, stage and location (likeness .7), and its pairs draw their targets from nine genes of
the group. *shallow*: the same with a quarter of the molecules and twice the noise (the defaults of
the simulator). *random*: the wiring of the simulator, where pairs share targets by chance alone.

Several ways to group the significant pairs are scored. All have the number of groups that
`st.tl.modules` chose, except "ligand":

- planted, shallow: adjusted Rand index with the planted groups.
- random: mean similarity of true pairs within groups minus that between groups. Similarity is the
  cosine of the true signed effects on targets (direct and through TFs), and the correlation of the
  true signal over receivers.

"shuffled" is the mean over 1000 random groupings of the same sizes; the last column is the share of
them that is at least as good as the modules. Only pairs that act in the simulator are scored. About
a minute per seed.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from unittest import mock

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pandas as pd
import torch
from benchmarks._scores import machine
from scipy.cluster.hierarchy import fcluster, linkage
from sklearn.metrics import adjusted_rand_score

import spatrace_sc as st
from spatrace_sc.datasets import _simulated, _wiring

#: Groups, targets of a group, and the chance that a pair acts on one of them.
GROUPS, TARGETS, CHANCE = 4, 9, 0.6
N_SHUFFLES = 1000
DEEP = {"depth": 4000, "noise": 0.1}


def planted_wiring(rng: np.random.Generator, **options) -> _wiring.Wiring:
    """Return a wiring with one-to-one pairs in four groups, without effects on TFs.

    Pairs of a group share ligand profiles and targets.
    """
    drawn = _wiring.random_wiring(rng, **options)
    n, group = options["n_pairs"], np.arange(options["n_pairs"]) % GROUPS
    effect = np.zeros((n, drawn.pair_target.shape[1]))
    order = rng.permutation(effect.shape[1])
    for k in range(GROUPS):
        targets, sign = (
            order[k * TARGETS : (k + 1) * TARGETS],
            np.where(rng.random(TARGETS) < 0.7, 1, -1),
        )
        for pair in np.flatnonzero(group == k):
            effect[pair, targets] = np.where(
                rng.random(TARGETS) < CHANCE, sign * rng.uniform(0.7, 1.3, TARGETS), 0.0
            )
    return replace(
        drawn,
        pairs=np.stack([np.arange(n), np.arange(n)], axis=1),
        ligand_mimics=np.where(
            np.arange(options["n_ligands"]) < GROUPS, -1, np.arange(options["n_ligands"]) % GROUPS
        ),
        receptor_mimics=np.full(options["n_receptors"], -1),
        pair_target=effect,
        pair_tf=np.zeros((n, drawn.pair_tf.shape[1])),
    )


def tissue(seed: int, kind: str):
    """Return a tissue with its result and modules."""
    if kind != "random":
        with mock.patch.object(_simulated, "random_wiring", planted_wiring):
            depth = DEEP if kind == "planted" else {}
            adata = st.datasets.simulated(seed, decoy_fraction=0.0, decoy_likeness=0.7, **depth)
    else:
        adata = st.datasets.simulated(seed, decoy_fraction=0.1, **DEEP)
    st.tl.infer_ccc(
        adata,
        sample_key="sample",
        stage_key="stage",
        config=st.Config(progress=False),
        device="cpu",
    )
    st.tl.modules(adata, progress=False)
    return adata


def groupings(adata) -> dict[str, pd.Series]:
    """Return the group of every pair ligand^receptor, by each way."""
    summary = st.get.modules(adata, "summary")
    ways = {"modules": main_modules(adata)}
    names = ways["modules"].index
    k = len(summary)
    alone = st.tl.modules(adata, n_modules=k, target_share=1.0, progress=False, copy=True)
    ways["targets alone"] = main_modules(alone).reindex(names)
    edges = st.get.lr_targets(adata).assign(total=lambda t: t["effect"] + t["mediated"])
    edges["pair"] = edges["ligand"] + "^" + edges["receptor"]
    effect = edges.pivot(index="pair", columns="target", values="total").reindex(names)
    cells = st.get.activity(adata)[:, names].X
    shown = pd.DataFrame(cells[np.isfinite(cells).all(axis=1)].T, index=names)
    ways["linkage: effects"] = clustered(effect, k, "cosine")
    ways["linkage: activity"] = clustered(shown, k, "correlation")
    ways["ligand"] = pd.Series(names.str.split("^").str[0], index=names)
    return ways


def main_modules(adata) -> pd.Series:
    """Return the main module of every pair."""
    table = st.get.modules(adata).query("main")
    return pd.Series(
        table["module"].to_numpy(), index=table["ligand"] + "^" + table["receptor"]
    ).sort_index()


def clustered(table: pd.DataFrame, k: int, metric: str) -> pd.Series:
    """Return k clusters of the rows by average linkage."""
    return pd.Series(
        fcluster(linkage(table.to_numpy(), "average", metric=metric), k, "maxclust"),
        index=table.index,
    )


def similarities(adata, names: pd.Index) -> dict[str, np.ndarray]:
    """Return (pairs, pairs) similarities of true targets and of true signals."""
    truth = adata.uns["truth"]["lr_targets"]
    pair = truth["ligand"] + "^" + truth["receptor"]
    effect = (
        pd.crosstab(pair, truth["target"], values=truth["strength"], aggfunc="sum")
        .reindex(names)
        .fillna(0.0)
    )
    length = np.linalg.norm(effect, axis=1, keepdims=True)
    unit = effect.to_numpy() / np.where(length > 0, length, 1.0)
    return {
        "shared targets": unit @ unit.T,
        "shared signal": adata.obsm["true_signal"][names].dropna().corr().to_numpy(),
    }


def contrast(similarity: np.ndarray, group: np.ndarray) -> float:
    """Return the mean similarity within groups minus that between groups.

    NaN where there is one group or every pair is alone.
    """
    same = (group[:, None] == group)[np.triu_indices(len(group), 1)]
    values = similarity[np.triu_indices(len(group), 1)]
    return (
        float(values[same].mean() - values[~same].mean())
        if same.any() and not same.all()
        else float("nan")
    )


def row(score, ways: dict[str, pd.Series], seed: int) -> dict[str, float]:
    """Return the scores of all ways and of shuffled groups, and the share of these as good."""
    scores = {way: score(pd.factorize(group)[0]) for way, group in ways.items()}
    rng, modules = np.random.default_rng(seed), pd.factorize(ways["modules"])[0]
    null = np.array([score(rng.permutation(modules)) for _ in range(N_SHUFFLES)])
    better = float(1 + (null >= scores["modules"] - 1e-12).sum()) / (1 + N_SHUFFLES)
    return scores | {
        "shuffled": float(null.mean()),
        "p": better if np.isfinite(scores["modules"]) else float("nan"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("seeds", nargs="*", type=int, default=[530, 531, 532, 533, 534])
    parser.add_argument("--figure", type=Path, help="draw the modules of the first planted tissue")
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(machine())
    rows = []
    for seed in given.seeds:
        for kind in ("planted", "shallow", "random"):
            adata = tissue(seed, kind)
            true = adata.obsm["true_signal"].columns
            ways = groupings(adata)
            judged = ways["modules"].index.intersection(true)
            n_pairs, k = len(ways["modules"]), len(st.get.modules(adata, "summary"))
            head = {"seed": seed, "pairs": n_pairs, "true": len(judged), "modules chosen": k}
            ways = {way: group[judged] for way, group in ways.items()}
            if kind != "random":
                group = true.get_indexer(judged) % GROUPS
                score = lambda g, group=group: adjusted_rand_score(group, g)
                rows.append({"measure": f"{kind}: ARI"} | head | row(score, ways, seed))
                if given.figure and kind == "planted" and seed == given.seeds[0]:
                    st.pl.modules(adata)[0].figure.savefig(
                        given.figure, dpi=110, bbox_inches="tight"
                    )
                continue
            for name, similarity in similarities(adata, judged).items():
                score = lambda g, similarity=similarity: contrast(similarity, g)
                rows.append({"measure": f"random: {name}"} | head | row(score, ways, seed))
    for measure, table in pd.DataFrame(rows).groupby("measure"):
        print(f"\n{measure}\n{table.drop(columns='measure').round(3).to_string(index=False)}")
        print("mean:", table.drop(columns=["measure", "seed"]).mean().round(3).to_dict())


if __name__ == "__main__":
    main()
