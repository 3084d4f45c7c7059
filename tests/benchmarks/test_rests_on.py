"""The table of what the strongest TF edges rest on."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

sys.path.append(str(Path(__file__).parents[2]))

from benchmarks.recovery.tissue import Tissue
from benchmarks.worlds import rests_on


def test_as_many_edges_as_are_true_are_counted_by_level(monkeypatch):
    truth = pd.DataFrame({"tf": ["A", "B", "B"], "target": ["x", "x", "y"], "sign": 1})
    table = pd.DataFrame(
        {
            "tf": ["A", "A", "B", "B"],
            "target": ["x", "y", "x", "y"],
            "score": [0.9, 0.8, 0.7, 0.1],
            "rests_on": ["within", "within", "neither", "between"],
        }
    )
    monkeypatch.setattr(rests_on, "ours", lambda tissue, seed: {"tf_targets": table})
    monkeypatch.setattr(
        rests_on, "tissue_of", lambda name, seed: Tissue(None, {}, {"tf_targets": truth})
    )
    row = rests_on.report("world", [0, 1])
    assert row == "| world | 6 · 0.67 | 4 · 0.50 | 0 | 0 | 2 · 1.00 |"
