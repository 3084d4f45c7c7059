"""Genes that one slice lacks: what zeros in their place cost, and what stating it by NaN gains.

python -m benchmarks.road.unmeasured [seed ...] [--share 0.33] [--cells 3000]
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
from anndata import AnnData
from benchmarks._scores import KEYS, discoveries, machine, rank_scores

import spatrace_sc as st

ROLES = ("ligand", "receptor", "tf", "target")
KEYS_OF_OBS = {"sample_key": "sample", "stage_key": "stage"}


def lacking(adata: AnnData, seed: int, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Return masks of the cells of a random slice, and of a random share of each role's genes."""
    rng = np.random.default_rng(seed + 1000)
    sample = adata.obs["sample"].astype(str)
    name = rng.choice(sorted(sample.unique()))
    genes: list[str] = []
    for role in ROLES:
        flagged = sorted(adata.var_names[adata.var[role].to_numpy(bool)])
        n = max(1, round(share * len(flagged)))
        genes += list(rng.choice(flagged, n, replace=False))
    return (sample == name).to_numpy(), adata.var_names.isin(genes)


def variants(adata: AnnData, cells: np.ndarray, genes: np.ndarray) -> dict[str, AnnData]:
    """Return the tissue as it is, and four ways to treat genes that some cells lack."""
    result = {"complete": adata, "slice left out": adata[~cells].copy()}
    types = adata.obs["cell_type"].astype(str).to_numpy()
    values = adata.X.toarray()
    means = values.copy()
    for name in np.unique(types[cells]):
        donors = ~cells & (types == name)
        means[np.ix_(cells & (types == name), genes)] = values[np.ix_(donors, genes)].mean(axis=0)
    for title, filling in (("zeros", 0.0), ("NaN", np.nan), ("means in X", means)):
        filled = means.copy() if isinstance(filling, np.ndarray) else values.copy()
        if not isinstance(filling, np.ndarray):
            filled[np.ix_(cells, genes)] = filling
        result[title] = adata.copy()
        result[title].X = filled
    return result


def run(seed: int, share: float, n_cells: int) -> list[dict[str, object]]:
    """Return a row for every task and variant of one seed."""
    tissue = st.datasets.simulated(seed, n_cells=n_cells)
    rows: list[dict[str, object]] = []
    for title, adata in variants(tissue, *lacking(tissue, seed, share)).items():
        st.tl.infer_ccc(adata, **KEYS_OF_OBS, config=st.Config(progress=False), device="cpu")
        for task, keys in KEYS.items():
            table, truth = getattr(st.get, task)(adata), tissue.uns["truth"][task]
            hits, false = discoveries(table, truth, keys)
            scores = rank_scores(table, truth, keys)
            row = {"task": task, "variant": title, "seed": seed, "q<=.1": hits, "FDP": false}
            rows.append(row | {k: scores[k] for k in ("AUROC", "AUPRC")})
        print(*(list(row.values()) for row in rows[-len(KEYS) :]), flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seeds", nargs="*", type=int, default=[10, 11, 12, 13, 14])
    parser.add_argument("--share", type=float, default=1 / 3)
    parser.add_argument("--cells", type=int, default=3000)
    given = parser.parse_args()
    print(machine())
    frame = pd.DataFrame([r for seed in given.seeds for r in run(seed, given.share, given.cells)])
    frame["false"] = (frame["q<=.1"] * frame["FDP"]).fillna(0.0)
    means = frame.groupby(["task", "variant"], sort=False)[
        ["AUROC", "AUPRC", "q<=.1", "false"]
    ].mean()
    means["false share"] = means.pop("false") / means["q<=.1"]
    print(f"\nMeans over seeds {given.seeds}; a slice lacks {given.share:.2f} of each role's genes")
    print(means.sort_index(level=0, sort_remaining=False).to_string(float_format="%.3f"))


if __name__ == "__main__":
    main()
