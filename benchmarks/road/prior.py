"""Correct and wrong prior knowledge on simulated tissues.

python -m benchmarks.road.prior [seed ...] [--kind lr tf] [--share 0 0.5 1] [--weight 1 3]
                                [--ablation] [--csv scores.csv]

For every seed a tissue is simulated, and inferred without a prior and with priors made of its
truth. A share of the edges of a prior is replaced by false candidates: 0 is a perfect prior, 1 one
without a true edge. Medians over seeds are printed, and mean FDPs over seeds with a discovery:

- ``LR AUPRC``: of pair → target edges; ``pair AUROC``: of ligand–receptor pairs; ``TF AUPRC``: of
  TF → target edges.
- ``LR``, ``pair``, ``TF`` ``found`` and ``FDP``: edges at q ≤ .1 and their false share.
- ``trusted``: mean size of edges that the prior does not name over that of edges that it names, in
  a fit without the prior; 1: the prior is not used.

``--ablation`` adds two rows each: the prior *as given*, not calibrated on the data, and the same
*with free decoys*, which do not carry the penalty of their edges. About 20 s per inference.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from benchmarks._scores import KEYS, discoveries, machine, rank_scores

import spatrace_sc as st
from spatrace_sc._model.evidence import refit
from spatrace_sc._model.records import Problem
from spatrace_sc._model.regression.penalty import Penalty

TABLES = {"lr": ("lr_pairs", ["ligand", "receptor"]), "tf": ("tf_targets", ["tf", "target"])}
USED, GIVEN, FREE = "", "as given", "as given, free decoys"
SHORT = {"lr_targets": "LR", "lr_pairs": "pair", "tf_targets": "TF"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("seeds", nargs="*", type=int, default=[580, 581, 582, 583, 584])
    parser.add_argument("--kind", nargs="*", default=["lr"], choices=list(TABLES))
    parser.add_argument(
        "--share", nargs="*", type=float, default=[0.0, 0.5, 1.0], help="of the prior that is wrong"
    )
    parser.add_argument("--weight", nargs="*", type=float, default=[1.0, 3.0])
    parser.add_argument("--ablation", action="store_true")
    parser.add_argument("--csv", type=Path, help="write the scores of every seed")
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(machine())
    rows = []
    for seed in given.seeds:
        adata = st.datasets.simulated(seed)
        rows.append({"seed": seed, "kind": "none", **inferred(adata, None, USED)})
        for kind, weight, share in product(given.kind, given.weight, given.share):
            prior = noisy(adata, kind, share, seed).assign(weight=weight)
            for how in [USED, GIVEN, FREE] if given.ablation else [USED]:
                head = {"seed": seed, "kind": kind, "weight": weight, "wrong": share, "how": how}
                rows.append(head | inferred(adata, prior, how))
                if given.csv:
                    pd.DataFrame(rows).to_csv(given.csv, index=False)
        print(f"seed {seed} done", flush=True)
    print(summary(pd.DataFrame(rows)).to_string(index=False, float_format="%.3f", na_rep=""))


def noisy(adata: AnnData, kind: str, share: float, seed: int) -> pd.DataFrame:
    """Return the true edges, a share of which is replaced by false candidates."""
    name, columns = TABLES[kind]
    true = adata.uns["truth"][name][columns].astype(str).drop_duplicates().reset_index(drop=True)
    genes = [sorted(adata.var_names[adata.var[c]]) for c in columns]
    others = pd.DataFrame(list(product(*genes)), columns=columns)
    others = others[~pd.MultiIndex.from_frame(others).isin(pd.MultiIndex.from_frame(true))]
    rng = np.random.default_rng(seed)
    n = round(share * len(true))
    correct = true.iloc[np.sort(rng.permutation(len(true))[n:])]
    return pd.concat([correct, others.iloc[rng.permutation(len(others))[:n]]], ignore_index=True)


def inferred(adata: AnnData, prior: pd.DataFrame | None, how: str) -> dict[str, float]:
    """Return the scores of one inference."""
    with ablated(how):
        st.tl.infer_ccc(
            adata,
            sample_key="sample",
            stage_key="stage",
            prior=prior,
            config=st.Config(progress=False),
            device="cpu",
        )
    scores: dict[str, float] = {}
    for task, short in SHORT.items():
        table, truth = getattr(st.get, task)(adata), adata.uns["truth"][task]
        ranked = rank_scores(table, truth, KEYS[task])
        scores[f"{short} AUPRC"], scores[f"{short} AUROC"] = ranked["AUPRC"], ranked["AUROC"]
        scores[f"{short} found"], scores[f"{short} FDP"] = discoveries(table, truth, KEYS[task])
    fit = adata.uns["spatrace"]["fit"]
    return scores | {
        "trusted": min((v for k, v in fit.items() if k.startswith("prior_")), default=float("nan"))
    }


@contextmanager
def ablated(how: str) -> Iterator[None]:
    """Use the prior calibrated, as given, or as given with decoys that go without it."""
    if how == USED:
        yield
        return
    with mock.patch(
        "spatrace_sc._inference.run.calibrate_prior", lambda problem, config, *, seed: (problem, {})
    ):
        if how == GIVEN:
            yield
            return
        with mock.patch.object(refit, "penalty_with_decoys", free_decoys):
            yield


_inherited = refit.penalty_with_decoys


def free_decoys(problem: Problem, forbidden: torch.Tensor) -> Penalty:
    """Return penalties in which decoys have no prior."""
    inherited = _inherited(problem, forbidden)
    n, n_f = problem.n_regulators, problem.n_tfs
    row, tf_of = inherited.row.clone(), inherited.tf_of.clone()
    row[n + n_f :] = 1.0
    tf_of[n : n + n_f] = -1
    return replace(inherited, row=row, tf_of=tf_of)


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Return medians over seeds, and means of FDP."""
    by = ["kind", "weight", "wrong", "how"]
    rows = rows.reindex(columns=[*by, *(c for c in rows if c not in by)])
    rows["how"] = rows["how"].fillna(USED)
    chosen = {
        "seeds": ("seed", "nunique"),
        "LR AUPRC": ("LR AUPRC", "median"),
        "LR found": ("LR found", "median"),
        "LR FDP": ("LR FDP", "mean"),
        "pair AUROC": ("pair AUROC", "median"),
        "pair found": ("pair found", "median"),
        "pair FDP": ("pair FDP", "mean"),
        "TF AUPRC": ("TF AUPRC", "median"),
        "TF found": ("TF found", "median"),
        "TF FDP": ("TF FDP", "mean"),
        "trusted": ("trusted", "median"),
    }
    return rows.groupby(by, dropna=False, sort=False).agg(**chosen).reset_index()


if __name__ == "__main__":
    main()
