"""Predicted knockouts, compared with a simulation without the gene.

python -m benchmarks.road.knockout [seed ...] [--setting default deep] [--csv scores.csv]
                                   [--figure docs/_static/knockout.png]

For every seed a tissue is simulated and inferred. Then genes are removed one at a time, in the
model (``st.tl.knockout``) and in the simulator (``knockout=``, with the same random numbers). The
true change of a target is the mean over receivers of the change of its log-normalised counts, in
its standard deviations; counts are normalised by the totals of the intact cells. A target with a
change of at least .1 is *affected*. Genes are ligands and receptors of acting pairs, TFs and, as
controls, decoy ligands and receptors, which have no effect. Two other predictions are scored: the
same without effects of TFs on TFs (``max_chain=0``), and a naive one. The latter is minus the
correlation of the target with the gene (for a ligand: with its exposure) × mean over standard
deviation of the gene's level.

Columns, medians over seeds:

- ``rho_gene``: Spearman correlation of predicted and true change over the affected targets of one
  gene, median over genes with at least five. ``rho``: the same over all genes of the kind together.
- ``sign``: share of affected targets with the correct sign (a prediction of exactly 0 is wrong).
- ``found``: AUROC of the size of the predicted change, affected against other targets.
- ``slope``: predicted over true change of the affected targets, by least squares through 0.
- ``false``: mean size of the predicted change of targets that truly change by less than .02.
- ``cover``: share of affected targets whose true change lies within 1.96 standard errors.
- ``stage``: as ``rho``, by stage. ``cells``: Spearman correlation over receivers of predicted and
  true size of the change of a cell, median over genes.

For controls only ``false`` and ``largest``, the largest predicted change, are meaningful. About 70
s per seed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from benchmarks._scores import machine
from scipy.stats import rankdata, spearmanr

import spatrace_sc as st

SETTINGS = {"default": {}, "deep": {"depth": 4000, "decoy_fraction": 0.1, "noise": 0.1}}
#: Targets are affected from the first and unaffected below the second change, in standard
#: deviations.
AFFECTED, UNAFFECTED = 0.1, 0.02
#: Number of removed genes of every kind.
NUMBER = {"ligand": 4, "receptor": 3, "tf": 5, "decoy ligand": 1, "decoy receptor": 1}
#: Fewest affected targets for the correlation of one gene.
MIN_AFFECTED = 5
METHODS = ("knockout", "max_chain=0", "correlation")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("seeds", nargs="*", type=int, default=[550, 551, 552, 553, 554])
    parser.add_argument("--setting", nargs="*", default=list(SETTINGS), choices=list(SETTINGS))
    parser.add_argument("--csv", type=Path, help="write the scores of every seed")
    parser.add_argument(
        "--figure", type=Path, help="draw a ligand of the first seed of the last setting"
    )
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(machine())
    for setting in given.setting:
        rows = []
        for seed in given.seeds:
            adata = st.datasets.simulated(seed, **SETTINGS[setting])
            st.tl.infer_ccc(
                adata,
                sample_key="sample",
                stage_key="stage",
                config=st.Config(progress=False),
                device="cpu",
            )
            rows.append(compare(adata, seed, SETTINGS[setting]).assign(seed=seed))
            groups = rows[-1][rows[-1]["method"] == METHODS[0]].groupby("kind")
            scores_of = {kind: scores(part) for kind, part in groups}
            print(
                f"{setting}, seed {seed}: rho "
                + ", ".join(
                    f"{kind} {s['rho']:.2f}" for kind, s in scores_of.items() if "rho" in s
                ),
                flush=True,
            )
        table = report(setting, pd.concat(rows))
        if given.csv:
            table.to_csv(given.csv.with_stem(f"{given.csv.stem}_{setting}"))
    if given.figure:
        draw(st.datasets.simulated(given.seeds[0], **SETTINGS[setting]), given.figure)


def chosen_genes(adata: AnnData) -> dict[str, list[str]]:
    """Return the genes to remove by kind, the first in alphabetical order."""
    pairs, decoy = adata.uns["truth"]["lr_pairs"], adata.var["decoy"]
    kinds = {
        "ligand": pairs["ligand"],
        "receptor": pairs["receptor"],
        "tf": adata.uns["truth"]["tf_targets"]["tf"],
        "decoy ligand": adata.var_names[decoy & adata.var["ligand"]],
        "decoy receptor": adata.var_names[decoy & adata.var["receptor"]],
    }
    return {kind: sorted(set(map(str, names)))[: NUMBER[kind]] for kind, names in kinds.items()}


def compare(adata: AnnData, seed: int, setting: dict[str, float]) -> pd.DataFrame:
    """Return one row per removed gene and method."""
    receives = adata.obs["dpt_pseudotime"].notna().to_numpy()
    targets = sorted(adata.var_names[adata.var["target"]])
    total = np.asarray(adata.layers["counts"].sum(1))[receives]

    def logged(data: AnnData) -> np.ndarray:
        return np.log1p(data[receives, targets].layers["counts"].toarray() * (1e4 / total))

    before = logged(adata)
    sd = before.std(axis=0)
    stage = adata.obs["stage"].cat.codes.to_numpy()[receives]
    rows = []
    for kind, names in chosen_genes(adata).items():
        role = kind.split()[-1]
        for gene in names:
            change = (logged(st.datasets.simulated(seed, knockout=gene, **setting)) - before) / sd
            true = np.stack(
                [change.mean(axis=0), *(change[stage == s].mean(axis=0) for s in np.unique(stage))]
            )
            st.tl.knockout(adata, **{role: gene}, name="now")
            st.tl.knockout(adata, **{role: gene}, name="short", max_chain=0, max_values=0)
            short = (
                st.get.knockout(adata, "short")
                .set_index("target")["change"]
                .loc[targets]
                .to_numpy()
            )
            order = [
                st.get.knockout(adata, "now", s).set_index("target").loc[targets]
                for s in (None, *adata.obs["stage"].cat.categories)
            ]
            predictions = {
                "knockout": np.stack([t["change"] for t in order]),
                "max_chain=0": short[None],
                "correlation": naive(adata, gene, role, before),
            }
            inside = (
                np.abs(order[0]["change"].to_numpy() - true[0]) <= 1.96 * order[0]["se"].to_numpy()
            )
            size = adata.obs["spatrace_knockout_now"].to_numpy()[receives]
            cells = spearmanr(size, np.linalg.norm(change, axis=1))[0] if np.ptp(size) else np.nan
            for method, predicted in predictions.items():
                extra = (
                    {"inside": inside, "cells": cells}
                    if method == "knockout"
                    else {"inside": None, "cells": np.nan}
                )
                rows.append(
                    {
                        "kind": kind,
                        "gene": gene,
                        "method": method,
                        "true": true,
                        "predicted": predicted,
                    }
                    | extra
                )
    return pd.DataFrame(rows)


def naive(adata: AnnData, gene: str, role: str, targets: np.ndarray) -> np.ndarray:
    """Return (1, G) minus correlation × mean / standard deviation of the gene in receivers."""
    receives = adata.obs["dpt_pseudotime"].notna().to_numpy()
    if role == "ligand":
        exposure = st.pp.ligand_exposure(
            adata,
            ligands=[gene],
            radius=st.get.params(adata)["radius"],
            sample_key="sample",
            copy=True,
        )
        level = np.log1p(exposure.to_numpy()[receives, 0])
    else:
        level = adata[receives, gene].X.toarray()[:, 0]
    z, y = (
        (level - level.mean()) / level.std(),
        (targets - targets.mean(axis=0)) / targets.std(axis=0),
    )
    return -(z @ y / len(z))[None] * level.mean() / level.std()


def scores(rows: pd.DataFrame) -> dict[str, float]:
    """Return the scores of one kind, method and seed."""
    true, predicted = (np.concatenate([v[0] for v in rows[c]]) for c in ("true", "predicted"))
    hit, quiet = np.abs(true) >= AFFECTED, np.abs(true) < UNAFFECTED
    values = {
        "false": np.abs(predicted[quiet]).mean(),
        "largest": np.median([np.abs(v[0]).max() for v in rows["predicted"]]),
    }
    if not hit.any():
        return values
    each = [
        (t[0], p[0], np.abs(t[0]) >= AFFECTED)
        for t, p in zip(rows["true"], rows["predicted"], strict=True)
    ]
    by_gene = [
        spearmanr(p[h], t[h])[0] if np.ptp(p[h]) else 0.0
        for t, p, h in each
        if h.sum() >= MIN_AFFECTED
    ]
    rank = rankdata(np.abs(predicted))
    n, m = hit.sum(), (~hit).sum()
    values |= {
        "genes": len(rows),
        "affected": int(n),
        "rho_gene": np.median(by_gene) if by_gene else np.nan,
        "rho": spearmanr(predicted[hit], true[hit])[0],
        "sign": (np.sign(predicted[hit]) == np.sign(true[hit])).mean(),
        "found": (rank[hit].sum() - n * (n + 1) / 2) / (n * m),
        "slope": (predicted[hit] @ true[hit]) / (true[hit] @ true[hit]),
    }
    if rows["method"].iloc[0] == METHODS[0]:
        staged, true_staged = (
            np.concatenate([v[1:].ravel() for v in rows[c]]) for c in ("predicted", "true")
        )
        large = np.abs(true_staged) >= AFFECTED
        values |= {
            "stage": spearmanr(staged[large], true_staged[large])[0],
            "cells": rows["cells"].median(),
            "cover": np.concatenate(list(rows["inside"]))[hit].mean(),
        }
    return values


def report(setting: str, rows: pd.DataFrame) -> pd.DataFrame:
    """Print medians over seeds, and return the scores of every seed."""
    table = pd.DataFrame(
        {
            (kind, method, seed): scores(part)
            for (kind, method, seed), part in rows.groupby(["kind", "method", "seed"])
        }
    ).T
    table.index.names = ["kind", "method", "seed"]
    columns = [
        "genes",
        "affected",
        "rho_gene",
        "rho",
        "sign",
        "found",
        "slope",
        "false",
        "largest",
        "cover",
        "stage",
        "cells",
    ]
    order = pd.MultiIndex.from_product([list(NUMBER), METHODS])
    print(f"\n{setting}: median over {rows['seed'].nunique()} seeds")
    print(
        table.groupby(["kind", "method"])
        .median()
        .reindex(order)[columns]
        .round(2)
        .to_string(na_rep="")
    )
    worst = table[["rho_gene", "rho", "sign"]].groupby(["kind", "method"]).min().reindex(order)
    print("lowest over seeds\n" + worst.dropna().round(2).to_string(), flush=True)
    return table


def draw(adata: AnnData, path: Path) -> None:
    """Draw the first ligand by name that acts on a TF."""
    st.tl.infer_ccc(
        adata,
        sample_key="sample",
        stage_key="stage",
        config=st.Config(progress=False),
        device="cpu",
    )
    st.tl.knockout(adata, ligand=min(map(str, adata.uns["truth"]["lr_tfs"]["ligand"])))
    st.pl.knockout(adata).figure.savefig(path, dpi=110, bbox_inches="tight")


if __name__ == "__main__":
    main()
