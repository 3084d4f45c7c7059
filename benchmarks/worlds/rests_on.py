"""What the strongest TF edges rest on, and how many of them are true.

python -m benchmarks.worlds.rests_on [--data sergio_ds4 C-medium ...] [--seeds 2]

``--data`` names worlds, or data sets of ``benchmarks.recovery``. The package runs with its defaults
and as many of the strongest edges are read as there are true ones. For each level of ``rests_on``
the table has the number of these edges and the share that is true, over all seeds together.
"""

from __future__ import annotations

import argparse
import logging
import warnings

import pandas as pd
from benchmarks._scores import KEYS, label, machine
from benchmarks.recovery.datasets import DATASETS
from benchmarks.recovery.methods.own import ours
from benchmarks.recovery.tissue import Tissue
from benchmarks.worlds.tissues import WORLDS
from benchmarks.worlds.tissues_shared import as_tissue

import spatrace_sc as st

DATA = ["sergio_ds4", "sergio_like_poisson", "sergio_differentiation_clean", "boolean", "agents"]
DATA += ["reference_poisson", "reference_b65", "beeline_gsd", "C-medium", "C-hard", "E"]
LEVELS = ["within", "between", "both", "neither"]


def tissue_of(name: str, seed: int) -> Tissue:
    """Return a world or a data set of the recovery benchmark."""
    return as_tissue(WORLDS[name](seed)) if name in WORLDS else DATASETS[name](seed)


def strongest(tissue: Tissue, seed: int) -> pd.DataFrame:
    """Return as many of the strongest edges as are true, with ``true`` and ``rests_on``."""
    keys, truth = KEYS["tf_targets"], tissue.truth["tf_targets"]
    table = ours(tissue, seed)["tf_targets"]
    table = label(table, truth, keys)
    table = table[table["tf"] != table["target"]]
    return table.nlargest(int(table["true"].sum()), "score")


def report(name: str, seeds: list[int]) -> str:
    """Return a row of the table."""
    edges = pd.concat([strongest(tissue_of(name, seed), seed) for seed in seeds])
    cells = [name, f"{len(edges)} · {edges['true'].mean():.2f}"]
    for level in LEVELS:
        true = edges.loc[(edges["rests_on"] == level).to_numpy(), "true"]
        cells.append(f"{len(true)} · {true.mean():.2f}" if len(true) else "0")
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", nargs="+", choices=[*WORLDS, *DATASETS], default=DATA)
    parser.add_argument("--seeds", nargs="+", type=int, default=[2])
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    st.settings.progress = False
    print(f"{machine()}; seeds {given.seeds}; number of edges · share that is true")
    print(f"| data | strongest | {' | '.join(LEVELS)} |")
    print(f"| --- {'| --- ' * (len(LEVELS) + 1)}|")
    for name in given.data:
        print(report(name, given.seeds), flush=True)


if __name__ == "__main__":
    main()
