"""Paths pair → TF → target of simulated tissues, compared with the truth.

python -m benchmarks.road.cascades [seed ...] [--figure docs/_static/cascades.png]

Printed are, for every seed, the number of paths with both steps at q ≤ .1, the number of them with
two true steps, and the number of true paths. About 10 s per seed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import pandas as pd
import torch
from benchmarks._scores import machine

import spatrace_sc as st

STEPS = (["ligand", "receptor", "tf"], "lr_tfs"), (["tf", "target"], "tf_targets")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("seeds", nargs="*", type=int, default=[520, 521, 522, 523, 524])
    parser.add_argument("--figure", type=Path, help="draw the paths of the first seed")
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(machine())
    for seed in given.seeds:
        adata = st.datasets.simulated(seed, depth=4000, decoy_fraction=0.1, noise=0.1)
        st.tl.infer_ccc(
            adata,
            sample_key="sample",
            stage_key="stage",
            config=st.Config(progress=False),
            device="cpu",
        )
        st.tl.cascades(adata)
        paths, truth = st.get.cascades(adata), adata.uns["truth"]
        true = pd.Series(True, index=paths.index)
        for columns, table in STEPS:
            true &= names(paths, columns).isin(names(truth[table], columns))
        every = len(truth["lr_tfs"][STEPS[0][0]].merge(truth["tf_targets"][STEPS[1][0]], on="tf"))
        print(f"seed {seed}: {len(paths)} paths, {int(true.sum())} true, of {every} in truth")
        if given.figure and seed == given.seeds[0]:
            st.pl.cascades(adata).figure.savefig(given.figure, dpi=110, bbox_inches="tight")


def names(table: pd.DataFrame, columns: list[str]) -> pd.MultiIndex:
    """Return the rows as an index."""
    return pd.MultiIndex.from_frame(table[columns].astype(str))


if __name__ == "__main__":
    main()
