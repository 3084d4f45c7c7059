"""Recovery of pairs whose receptors are complexes: listed as complexes, or as their subunits.

python -m benchmarks.road.complexes 701 702 703

Every receptor of a simulated tissue is replaced by two subunits. Each has the counts of the
receptor and, in its own random half of the cells, further counts at the mean rate of the receptor,
so that only the lower of the two equals the receptor. The receptor itself is hidden, except in
the first row of the table.
"""

from __future__ import annotations

import sys

import anndata as ad
import numpy as np
import pandas as pd
import scanpy as sc
from anndata import AnnData
from benchmarks._scores import machine
from sklearn.metrics import average_precision_score

import spatrace_sc as st

KEYS = {"sample_key": "sample", "stage_key": "stage", "time_key": "dpt_pseudotime"}
FORMS = ("receptors themselves", "complexes", "geometric mean", "subunits")


def with_subunits(seed: int) -> tuple[AnnData, dict[str, list[str]]]:
    """Return log1p of normalised counts with subunits of every receptor, and the genes by role."""
    made = st.datasets.simulated(
        seed, n_cells=1500, n_slices=2, n_targets=20, depth=4000, decoy_fraction=0.5
    )
    rng = np.random.default_rng(seed)
    roles = {role: list(made.var_names[made.var[role]]) for role in ("ligand", "receptor")}
    roles |= {role: list(made.var_names[made.var[role]]) for role in ("tf", "target")}
    counts = made[:, roles["receptor"]].layers["counts"]
    counts = np.asarray(counts.toarray() if hasattr(counts, "toarray") else counts)
    half = rng.random(counts.shape) < 0.5
    further = rng.poisson(counts.mean(axis=0), counts.shape)
    parts = []
    for letter, chosen in (("A", half), ("B", ~half)):
        names = [f"{name}{letter}" for name in roles["receptor"]]
        parts.append(
            AnnData(
                (counts + further * chosen).astype(np.float32),
                obs=made.obs[[]].copy(),
                var=pd.DataFrame(index=names),
            )
        )
    whole = AnnData(
        np.asarray(
            made.layers["counts"].toarray()
            if hasattr(made.layers["counts"], "toarray")
            else made.layers["counts"]
        ).astype(np.float32),
        obs=made.obs.copy(),
        var=made.var[[]].copy(),
        obsm={"spatial": made.obsm["spatial"]},
    )
    adata = ad.concat([whole, *parts], axis=1, merge="first")
    adata.uns["truth"] = made.uns["truth"]["lr_pairs"]
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    return adata, {f"{role}s": names for role, names in roles.items()}


def scores(adata: AnnData, roles: dict[str, list[str]], form: str, seed: int) -> tuple[float, ...]:
    """Return the average precision of pairs, and those with q ≤ 0.1: true ones and all."""
    listed = {
        "receptors themselves": roles["receptors"],
        "subunits": [f"{name}{letter}" for name in roles["receptors"] for letter in "AB"],
    }.get(form, [f"{name}A_{name}B" for name in roles["receptors"]])
    level = "geometric mean" if form == "geometric mean" else "minimum"
    hidden = [] if form == "receptors themselves" else roles["receptors"]
    data = adata[:, ~adata.var_names.isin(hidden)].copy()
    st.tl.infer_ccc(
        data, **roles | {"receptors": listed}, **KEYS, complex_level=level, rng=seed, device="cpu"
    )
    table = st.get.lr_pairs(data)
    receptor = table["receptor"].astype(str).str.split("_").str[0]
    table["receptor"] = receptor if form == "receptors themselves" else receptor.str[:-1]
    best = table.groupby(["ligand", "receptor"], observed=True)
    pairs = pd.DataFrame({"score": best["score"].max(), "q": best["q_value"].min()})
    truth = pd.MultiIndex.from_frame(adata.uns["truth"][["ligand", "receptor"]].astype(str))
    true = pairs.index.isin(truth)
    called = (pairs["q"] <= 0.1).to_numpy()
    precision = average_precision_score(true, pairs["score"])
    return precision, int((called & true).sum()), int(called.sum()), int(true.sum())


def main() -> None:
    """Print one row per form, over all seeds."""
    st.settings.progress = False
    rows = []
    for seed in map(int, sys.argv[1:]):
        adata, roles = with_subunits(seed)
        for form in FORMS:
            rows.append((seed, form, *scores(adata, roles, form, seed)))
            print(*rows[-1], flush=True)
    columns = ["seed", "form", "average precision", "true at q ≤ 0.1", "at q ≤ 0.1", "true pairs"]
    table = pd.DataFrame(rows, columns=columns).drop(columns="seed")
    sums = table.groupby("form", sort=False).sum().drop(columns="average precision")
    precision = table.groupby("form", sort=False)["average precision"].median().round(2)
    print(machine())
    print(pd.concat([precision, sums], axis=1).to_string())


if __name__ == "__main__":
    main()
