"""The truth of a simulated tissue as flat tables."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ._wiring import Wiring


def truth_tables(wiring: Wiring, names: dict[str, np.ndarray]) -> dict[str, pd.DataFrame]:
    """Flat tables of every true edge, with its sign and strength.

    An indirect LR→TG edge is a chain pair → TF (→ TF …) → target. Its strength is the sum over
    chains of the product of strengths. It is listed only if the same pair and target have no direct
    edge.
    """
    ligand, receptor = names["ligand"][wiring.pairs[:, 0]], names["receptor"][wiring.pairs[:, 1]]
    acts = (wiring.pair_target != 0).any(axis=1) | (wiring.pair_tf != 0).any(axis=1)

    def pair_edges(matrix: np.ndarray, column: str, regulated: np.ndarray) -> pd.DataFrame:
        p, g = np.nonzero(matrix)
        return _table(
            {"ligand": ligand[p], "receptor": receptor[p], column: regulated[g]}, matrix[p, g]
        )

    def tf_edges(matrix: np.ndarray, regulated: np.ndarray) -> pd.DataFrame:
        f, g = np.nonzero(matrix)
        return _table({"tf": names["tf"][f], "target": regulated[g]}, matrix[f, g])

    # sum over chains of any length: 1 + A + A² + ... = (1 - A)^-1
    downstream = np.linalg.inv(np.eye(len(wiring.tf_tf)) - wiring.tf_tf)
    indirect = wiring.pair_tf @ downstream @ wiring.tf_target
    indirect = np.where(wiring.pair_target == 0, indirect, 0.0)
    direct_table = pair_edges(wiring.pair_target, "target", names["target"])
    indirect_table = pair_edges(indirect, "target", names["target"])
    lr_targets = pd.concat(
        [direct_table.assign(kind="direct"), indirect_table.assign(kind="indirect")],
        ignore_index=True,
    )
    pairs = pd.DataFrame(
        {"ligand": ligand[acts].astype(str), "receptor": receptor[acts].astype(str)}
    )
    return {
        "tf_targets": tf_edges(wiring.tf_target, names["target"]),
        "tf_tfs": tf_edges(wiring.tf_tf, names["tf"]),
        "lr_targets": lr_targets,
        "lr_tfs": pair_edges(wiring.pair_tf, "tf", names["tf"]),
        "lr_pairs": pairs,
    }


def _table(columns: dict[str, np.ndarray], strength: np.ndarray) -> pd.DataFrame:
    table = pd.DataFrame({k: v.astype(str) for k, v in columns.items()})
    table["sign"] = np.sign(strength).astype(int)
    table["strength"] = strength
    return table
