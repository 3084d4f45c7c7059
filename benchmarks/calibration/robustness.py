"""False share and power of significant TF edges by how robust they are to confounding.

python -m benchmarks.calibration.robustness [--data hidden fields all] [--seeds 840 841 842]

Among the TF edges with q ≤ .1, those of at least some robustness are counted, and those at least
as robust as the benchmark. A threshold on robustness also prefers strong edges, so the same number
of edges with the largest score is counted as well. A run takes 15 to 30 CPU seconds.
"""

from __future__ import annotations

import argparse
import logging
import warnings

import numpy as np
import pandas as pd
from benchmarks.calibration.measure import measured, membership
from benchmarks.calibration.tissues import TISSUES, true_edges

import spatrace_sc as st

MAX_Q = 0.1
THRESHOLDS = (0.1, 0.125, 0.15, 0.2)
KEYS = ["tf", "target"]
COLUMNS = ["edges", "false", "power", "false by score"]


def selections(table: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return masks of the significant edges by the robustness that is required of them."""
    robustness = table["robustness"].to_numpy()
    above = {f"robustness ≥ {level:g}": robustness >= level for level in THRESHOLDS}
    return {
        "q ≤ .1": np.ones(len(table), dtype=bool),
        "robustness ≥ benchmark": robustness >= table["benchmark"].to_numpy(),
    } | above


def run(data: str, seed: int) -> pd.DataFrame:
    """Return the numbers of edges, of true ones and of possible true ones by selection."""
    tissue = TISSUES[data](seed)
    config = st.Config(progress=False)
    st.tl.infer_ccc(tissue.adata, **tissue.arguments, rng=seed, device="cpu", config=config)
    table = st.get.tf_targets(tissue.adata)
    table = table[table["q_value"] <= MAX_Q].reset_index(drop=True)
    direct = true_edges(tissue, "tf_targets")[0]
    true = membership(table, direct, KEYS)
    rows = []
    for name, chosen in selections(table).items():
        n = int(chosen.sum())
        listed = len(measured(direct, tissue)[KEYS].drop_duplicates())
        # rows come strongest first
        rows.append((data, name, n, int(true[chosen].sum()), listed, int(true[:n].sum())))
    return pd.DataFrame(rows, columns=["data", "selection", "n", "true", "listed", "true_by_score"])


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Return false shares and power over all seeds, by data and selection."""
    total = rows.groupby(["data", "selection"], sort=False).sum()
    edges = total["n"].clip(lower=1)
    values = (
        *(total["n"], 1 - total["true"] / edges, total["true"] / total["listed"]),
        1 - total["true_by_score"] / edges,
    )
    return pd.DataFrame(dict(zip(COLUMNS, values, strict=True)))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", nargs="+", choices=list(TISSUES), default=["hidden", "fields", "all"]
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[840, 841, 842])
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    parts = [run(data, seed) for data in given.data for seed in given.seeds]
    print(summary(pd.concat(parts)).to_string(float_format=lambda value: f"{value:.2f}"))


if __name__ == "__main__":
    main()
