"""False share and power of edges and pairs with and without the test among neighbours.

python -m benchmarks.calibration.location [--data "embryo cells" ...] [--seeds 620 621 622]

Each inference is tested twice, once with the test of :mod:`spatrace_sc._inference.local_test` left
out. Edges through a TF count as true. A run takes 30 to 60 CPU seconds.
"""

from __future__ import annotations

import argparse
import logging
import warnings
from typing import Any
from unittest.mock import patch

import pandas as pd
import torch
from benchmarks.calibration.measure import measured, membership
from benchmarks.calibration.tissues import TISSUES, true_edges

import spatrace_sc as st
from spatrace_sc._inference import edge_tests
from spatrace_sc._inference import run as inference

MAX_Q = 0.1
KEYS = {
    "tf_targets": ["tf", "target"],
    "lr_targets": ["ligand", "receptor", "target"],
    "lr_pairs": ["ligand", "receptor"],
}
ROLES = {"tf": "tfs", "ligand": "ligands", "receptor": "receptors", "target": "targets"}
DATA = [
    name + null
    for name in ("undisturbed", "fields", "midbrain cells", "embryo cells")
    for null in ("", ", null")
    if name + null != "undisturbed, null"
]


def tables_of(data: str, seed: int) -> tuple[Any, dict[str, dict[str, pd.DataFrame]]]:
    """Return the tissue, and the tables of one inference without and with the test."""
    tissue = TISSUES[data](seed)
    assess, tables = inference.assess_edges, {}

    def twice(study: Any, *arguments: Any, **options: Any) -> Any:
        with patch.object(edge_tests, "apply_local_test", lambda *given: given[-1]):
            before = assess(study, *arguments, **options)
        after = assess(study, *arguments, **options)
        for name, result in (("without", before), ("with", after)):
            tables[name] = {
                kind: result.tables[kind].assign(
                    **{
                        key: getattr(study.genes, ROLES[key])[result.tables[kind][key]]
                        for key in keys
                    }
                )
                for kind, keys in KEYS.items()
            }
        return after

    with patch.object(inference, "assess_edges", twice):
        st.tl.infer_ccc(
            tissue.adata,
            **tissue.arguments,
            device="cpu",
            config=st.Config(progress=False),
        )
    return tissue, tables


def run(data: str, seed: int) -> list[dict[str, object]]:
    """Return the numbers of edges that are called, false, found and true, by table and test."""
    tissue, tables = tables_of(data, seed)
    rows = []
    for test, by_kind in tables.items():
        for kind, keys in KEYS.items():
            called = by_kind[kind][by_kind[kind]["q_value"] <= MAX_Q]
            direct, indirect = true_edges(tissue, kind)
            if data.endswith(", null") and kind != "tf_targets":
                direct, indirect = direct[:0], indirect[:0]
            row = {
                "called": len(called),
                "false": len(called) - int(membership(called, indirect, keys).sum()),
                "found": int(membership(called, direct, keys).sum()),
                "true": len(measured(direct, tissue)[keys].drop_duplicates()),
            }
            rows.append({"data": data, "seed": seed, "table": kind, "test": test, **row})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", nargs="+", choices=list(TISSUES), default=DATA)
    parser.add_argument("--seeds", nargs="+", type=int, default=[620, 621, 622])
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    frame = pd.DataFrame([row for d in given.data for s in given.seeds for row in run(d, s)])
    print(frame.to_string(index=False))
    total = frame.groupby(["table", "data", "test"], sort=False)[
        ["called", "false", "found", "true"]
    ]
    sums = total.sum()
    sums["false share"] = sums["false"] / sums["called"].clip(lower=1)
    sums["power"] = sums["found"] / sums["true"].clip(lower=1)
    print(sums.to_string(float_format=lambda value: f"{value:.2f}"))


if __name__ == "__main__":
    main()
