"""The benchmark of the number of refits, by hand numbers and on a tiny tissue."""

from __future__ import annotations

import json

import pytest
from _helpers import NOTHING_SIGNIFICANT
from benchmarks.performance import refits
from benchmarks.recovery import datasets


def row(data, seed, n, cpu, auprc):
    scores = {"AUPRC": auprc, "true calls": 4.0, "false": None}
    return {"data": data, "seed": seed, "refits": n, "cpu": cpu} | dict.fromkeys(
        refits.TASKS, scores
    )


def test_medians_over_seeds_by_hand():
    rows = [row("E", 1, 5, 3.0, 0.5), row("E", 2, 5, 5.0, 0.7), row("E", 3, 5, 9.0, 0.6)]
    table = refits.table([*rows, row("E", 1, 10, 8.0, 0.9)])
    assert table.loc[("E", 5), "CPU s"] == 5.0
    assert table.loc[("E", 5), "TF→TG AUPRC"] == 0.6
    assert table.loc[("E", 10), "L–R true calls"] == 4.0


@pytest.mark.slow
@pytest.mark.filterwarnings(NOTHING_SIGNIFICANT)
def test_rows_of_a_tiny_tissue(tmp_path, monkeypatch, capsys):
    tiny = datasets.simulated(n_cells=600, n_targets=12)
    monkeypatch.setitem(refits.DATASETS, "E", tiny)
    out = tmp_path / "rows.jsonl"
    refits.main(["--data", "E", "--seeds", "1", "--refits", "2", "3", "--out", str(out)])
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [r["refits"] for r in rows] == [2, 3]
    assert all(0 <= r["tf_targets"]["AUPRC"] <= 1 for r in rows)
    assert "TF→TG AUPRC" in capsys.readouterr().out
