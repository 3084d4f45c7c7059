"""The simulation of the SpaTRACE authors, with every ligand × receptor pair a candidate.

python -m benchmarks.road.bundle [seed ...]
"""

from __future__ import annotations

import sys

import anndata as ad
import numpy as np
import pandas as pd
from anndata import AnnData
from benchmarks._data import data_file, gene_list
from benchmarks._pearson import pearson_tables
from benchmarks._scores import KEYS, Cost, discoveries, machine, rank_scores

import spatrace_sc as st

BUNDLE = "reference_simulation"
TRUTH = {"tf_targets": "tf_tg.csv", "lr_targets": "lr_tg.csv", "lr_pairs": "lr_pairs.csv"}
SENDERS = ["S_0", "S_1", "S_2", "S_3"]
#: Radius of the authors, in the units of the coordinates.
RADIUS = 5.0


def read_bundle() -> AnnData:
    """Return receivers (log1p of counts per 10 000) and senders (log1p), with roles flagged.

    Senders have six genes, so counts per 10 000 would turn their levels into shares; only the
    logarithm is taken. The tissue file also has ligand values of the receivers, which are not used:
    only the S_* types send. Coordinates of the receivers come from the tissue file too, because the
    other file numbers the grid.
    """
    cells = ad.read_h5ad(data_file(BUNDLE, "simulation_sc_adata.h5ad"))
    tissue = ad.read_h5ad(data_file(BUNDLE, "simulation_st_adata.h5ad"))
    n = cells.n_obs
    sending = tissue.obs["Cell Types"].astype(str).isin(SENDERS).to_numpy()
    if (
        list(cells.obs_names) != list(tissue.obs_names[:n])
        or sending[:n].any()
        or not sending[n:].all()
    ):
        raise SystemExit("the tissue file does not begin with the receivers in the same order.")
    kind = tissue.obs["Cell Types"].astype(str).to_numpy()
    time = np.concatenate(
        [cells.obs["dpt_pseudotime"].to_numpy(dtype=float), np.full(sending.sum(), np.nan)]
    )
    x = np.vstack([_dense(cells.X), np.log1p(_dense(tissue.X[n:]))]).astype(np.float32)
    adata = AnnData(
        X=x,
        obs=pd.DataFrame(
            {"cell_type": pd.Categorical(kind), "dpt_pseudotime": time}, index=tissue.obs_names
        ),
        var=pd.DataFrame(index=cells.var_names.astype(str)),
        obsm={"spatial": np.asarray(tissue.obsm["spatial"], dtype=float)},
    )
    roles = {r: gene_list(BUNDLE, f"simulation_{r}.txt") for r in ("ligand", "receptor", "tf")}
    others = set(adata.var_names) - {g for genes in roles.values() for g in genes}
    st.pp.gene_roles(
        adata,
        ligands=roles["ligand"],
        receptors=roles["receptor"],
        tfs=roles["tf"],
        targets=sorted(others),
    )
    return adata


def _dense(matrix: object) -> np.ndarray:
    return np.asarray(matrix.toarray() if hasattr(matrix, "toarray") else matrix)


def what_targets_follow(
    adata: AnnData, receiver: np.ndarray, truth: dict[str, pd.DataFrame]
) -> pd.DataFrame:
    """Return for each true pair mean |r| over its targets with several regulators.

    They are the TF of the targets, the receptor alone, the saturating signal of the pair, and the
    best signal of that receptor with a wrong ligand.
    """
    exposure = st.pp.ligand_exposure(adata, radius=RADIUS, senders=SENDERS, copy=True)[receiver]
    cells = pd.DataFrame(adata[receiver].X, columns=adata.var_names)
    rows = []
    for ligand, receptor in truth["lr_pairs"][["ligand", "receptor"]].to_numpy():
        edges = truth["lr_targets"]
        targets = edges.loc[(edges["ligand"] == ligand) & (edges["receptor"] == receptor), "target"]
        tfs = truth["tf_targets"].loc[truth["tf_targets"]["target"].isin(targets), "tf"].unique()
        signals = {
            name: saturating(exposure[name] * np.expm1(cells[receptor]).to_numpy())
            for name in exposure
        }
        value = {name: mean_correlation(signal, cells[targets]) for name, signal in signals.items()}
        wrong = max((name for name in value if name != ligand), key=value.__getitem__)
        row = {"TF": max(mean_correlation(cells[tf], cells[targets]) for tf in tfs)}
        row |= {
            "receptor alone": mean_correlation(cells[receptor], cells[targets]),
            "pair": value[ligand],
        }
        rows.append(
            row
            | {"true pair": f"{ligand}^{receptor}", "wrong pair": value[wrong], "its ligand": wrong}
        )
    return pd.DataFrame(rows)[
        ["true pair", "TF", "receptor alone", "pair", "wrong pair", "its ligand"]
    ]


def saturating(dose: pd.Series) -> np.ndarray:
    """Return the saturating signal with the default quantile of positive doses at half."""
    return (dose / (dose + np.quantile(dose[dose > 0], st.ModelConfig().hill_quantile))).to_numpy()


def mean_correlation(regulator: np.ndarray, targets: pd.DataFrame) -> float:
    """Return the mean absolute correlation with the targets."""
    return float(np.mean([abs(np.corrcoef(regulator, targets[gene])[0, 1]) for gene in targets]))


def main() -> None:
    seeds = [int(s) for s in sys.argv[1:]] or [0, 1, 2]
    adata = read_bundle()
    truth = {task: pd.read_csv(data_file(BUNDLE, file), dtype=str) for task, file in TRUTH.items()}
    print(machine())
    print(
        {role: int(adata.var[role].sum()) for role in ("ligand", "receptor", "tf", "target")},
        adata.shape,
    )
    rows = []
    receiver = adata.obs["dpt_pseudotime"].notna().to_numpy()
    plain = pearson_tables(adata, receiver, radius=RADIUS, senders=SENDERS)
    for task, table in plain.items():
        rows.append(
            {
                "task": task,
                "method": "|Pearson|",
                "seed": "",
                **rank_scores(table, truth[task], KEYS[task]),
            }
        )
    for seed in seeds:
        with Cost() as cost:
            st.tl.infer_ccc(adata, radius=RADIUS, senders=SENDERS, rng=seed, device="cpu")
        print(
            f"seed {seed}: {cost}; held-out R²",
            {k: round(v, 3) for k, v in adata.uns["spatrace"]["fit"].items()},
        )
        for task in KEYS:
            table = getattr(st.get, task)(adata)
            hits, false = discoveries(table, truth[task], KEYS[task])
            scores = rank_scores(table, truth[task], KEYS[task]) | {"q<=.1": hits, "FDP": false}
            rows.append({"task": task, "method": "infer_ccc", "seed": seed, **scores})
    frame = pd.DataFrame(rows).drop(columns="signs").sort_values(["task", "method"], kind="stable")
    print(frame.to_string(index=False, float_format="%.3f", na_rep=""))
    print("\nMean |r| over the targets of a true pair with different regulators:")
    print(what_targets_follow(adata, receiver, truth).to_string(index=False, float_format="%.2f"))


if __name__ == "__main__":
    main()
