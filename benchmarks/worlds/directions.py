"""Direction of all true TF edges of a world, called or not, without an inference.

python -m benchmarks.worlds.directions [--worlds boolean ...] [--seeds 0 1 2]

The sign of an edge is the true one, or that of the correlation within cell types where the truth
has none; an inference uses the sign of its effect. The lead of a reversed edge is that of the true
one with the opposite sign, so "forward of reversed" is the share of true edges that go backward.
The last column has the shares of forward and backward edges with the threshold of the order left
out. Set OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
import logging
import warnings

import numpy as np
import pandas as pd
from anndata import AnnData
from benchmarks.worlds.methods import centred
from benchmarks.worlds.tissues import UPSTREAM_WORLDS, WORLDS

import spatrace_sc as st
from spatrace_sc._inference.direction import MIN_ORDER_SHARE, leads_of_tfs
from spatrace_sc._study.problem import spatial_blocks
from spatrace_sc._study.read import read_study
from spatrace_sc._study.records import Study
from spatrace_sc._study.source import Source
from spatrace_sc.get._direction import ONE_SIDED

#: Arguments of ``st.tl.infer_ccc`` where a world gives none.
KEYS = {
    "cell_type_key": "cell_type",
    "sample_key": None,
    "stage_key": None,
    "time_key": "dpt_pseudotime",
    "spatial_key": "spatial",
    "layer": None,
    "transitions_key": None,
    "gene_symbols": None,
    "senders": None,
    "receivers": None,
    "radius": None,
}
#: Worlds with a complete truth of different kinds.
CHOSEN = [
    *("sergio_ds4", "beeline_gsd", "sergio_like_poisson", "sergio_differentiation", "boolean"),
    *("agents", "agents_deep", "reference_poisson", "reference_b65", "simulated"),
]
ROLES = ("ligands", "receptors", "tfs", "targets")


def read(adata: AnnData) -> Study:
    """Return the arrays that an inference would read."""
    source = Source(**KEYS | adata.uns["arguments"], homophilic=False)
    return read_study(adata, dict.fromkeys(ROLES), source)


def true_edges(study: Study, truth: dict[str, pd.DataFrame]) -> tuple[np.ndarray, np.ndarray]:
    """Return (2, edges) TF and target of the true edges, and their signs.

    Edges that are true in both directions are left out.
    """
    table = truth["tf_targets"].drop_duplicates(["tf", "target"])
    names = table[["tf", "target"]].astype(str)
    pairs = set(map(tuple, names.to_numpy()))
    one_way = [(b, a) not in pairs for a, b in names.to_numpy()]
    edges = np.stack(
        [study.genes.index("tfs", names["tf"]), study.genes.index("targets", names["target"])]
    )
    chosen = (edges >= 0).all(axis=0) & np.array(one_way, dtype=bool)
    tf, target = edges = edges[:, chosen]
    levels = (centred(values, study.receiver_types) for values in (study.tf, study.target))
    regulators, targets = levels
    together = np.sign((regulators[:, tf] * targets[:, target]).sum(axis=0))
    sign = table["sign"].to_numpy(float)[chosen] if "sign" in table else np.full(len(tf), np.nan)
    return edges, np.where(np.isnan(sign), together, sign)


def directions(adata: AnnData, seed: int) -> dict[str, float]:
    """Return the share of the order, the number of true edges, and their directions."""
    study = read(adata)
    measured = leads_of_tfs(study, spatial_blocks(study, st.Config().n_blocks), seed)
    (tf, target), sign = true_edges(study, adata.uns["truth"])
    z = measured.lead[tf, target] * sign / measured.se[tf, target]
    ordered = measured.order_share >= MIN_ORDER_SHARE
    forward, backward = (z > ONE_SIDED).mean(), (z < -ONE_SIDED).mean()
    return {
        "order share": measured.order_share,
        "ordered": ordered,
        "edges": len(z),
        "forward": forward * ordered,
        "backward": backward * ordered,
        "forward without threshold": forward,
        "backward without threshold": backward,
    }


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a line per world: seeds together, of equal weight."""
    worlds = rows.groupby("world", sort=False)
    table = worlds[["order share", "forward", "backward"]].mean()
    table.insert(1, "seeds with an order", worlds["ordered"].sum().astype(int))
    table.insert(2, "true edges", worlds["edges"].sum().astype(int))
    for name in ("forward", "backward"):
        table[f"{name} without threshold"] = worlds[f"{name} without threshold"].mean()
    return table


def main() -> None:
    every = WORLDS | UPSTREAM_WORLDS
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--worlds", nargs="+", choices=list(every), default=CHOSEN)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    lines = [
        {"world": world} | directions(every[world](seed), seed)
        for world in given.worlds
        for seed in given.seeds
    ]
    table = summary(pd.DataFrame(lines)).reset_index()
    print("| " + " | ".join(table.columns) + " |")
    print("|" + " --- |" * table.shape[1])
    for line in table.itertuples(index=False):
        cells = [f"{v:.2f}".replace("0.", ".", 1) if isinstance(v, float) else str(v) for v in line]
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
