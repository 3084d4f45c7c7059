"""False share and power of significant TF edges by their robustness."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

sys.path.append(str(Path(__file__).parents[2]))

from benchmarks.calibration import robustness

import spatrace_sc as st

TABLE = pd.DataFrame(
    {
        "tf": ["A", "A", "B", "B", "C"],
        "target": ["x", "y", "x", "y", "x"],
        "q_value": [0.01, 0.01, 0.05, 0.1, 0.3],
        "robustness": [0.11, 0.3, 0.16, 0.09, 0.9],
        "benchmark": [0.2, 0.05, 0.05, 0.05, 0.05],
    }
)
TRUE = pd.DataFrame({"tf": ["A", "B", "C", "A"], "target": ["y", "x", "x", "unlisted"]})


def test_edges_are_counted_by_their_robustness(monkeypatch):
    roles = {role: [role] * 6 for role in ("ligand", "receptor")}
    var = pd.DataFrame(roles, index=["A", "B", "C", "x", "y", "unlisted"]).assign(
        tf=[True] * 3 + [False] * 3, target=[False] * 3 + [True, True, False]
    )
    scene = SimpleNamespace(adata=SimpleNamespace(var=var), arguments={})
    monkeypatch.setitem(robustness.TISSUES, "hidden", lambda seed: scene)
    monkeypatch.setattr(robustness, "true_edges", lambda tissue, task: (TRUE, TRUE))
    monkeypatch.setattr(st.tl, "infer_ccc", lambda *args, **kwargs: None)
    monkeypatch.setattr(st.get, "tf_targets", lambda adata: TABLE)
    rows = robustness.run("hidden", 0)
    table = robustness.summary(pd.concat([rows, rows])).loc["hidden"]
    # two of four significant edges are true, of three that are listed
    assert table.loc["q ≤ .1"].tolist() == pytest.approx([8, 1 / 2, 2 / 3, 1 / 2])
    assert table.loc["robustness ≥ benchmark"].tolist() == pytest.approx([6, 1 / 3, 2 / 3, 1 / 3])
    assert table.loc["robustness ≥ 0.15"].tolist() == pytest.approx([4, 0, 2 / 3, 1 / 2])
    assert table.loc["robustness ≥ 0.2"].tolist() == pytest.approx([2, 0, 1 / 3, 1])
