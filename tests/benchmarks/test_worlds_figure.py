"""The figure of the worlds has all marks, and differences from the best method are right."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[2]))

from benchmarks.worlds import figure, report
from benchmarks.worlds.tissues import WORLDS


def rows_of(worlds, methods):
    """Rows with an AUPRC between the base rate and 1 for three seeds."""
    values = np.random.default_rng(0).uniform(0.2, 1, (len(worlds), len(methods), 3))
    return [
        {"data": world, "seed": seed, "method": method, "status": "ok", "cpu": 1.0}
        | {"scores": {"tf_targets": {"AUPRC": values[w, m, seed], "base": 0.1}}}
        for w, world in enumerate(worlds)
        for m, method in enumerate(methods)
        for seed in range(3)
    ]


def test_the_figure_has_a_mark_for_every_world_and_method(tmp_path):
    assert sorted(w for kinds in figure.COLUMNS for k in kinds.values() for w in k) == sorted(
        WORLDS
    )
    names = list(figure.STYLES)
    rows = rows_of(list(WORLDS), names)
    drawn = figure.draw(rows, tmp_path / "worlds.png")
    assert (tmp_path / "worlds.png").stat().st_size > 10_000
    marks = {line.get_gid(): line for ax in drawn.axes for line in ax.lines if line.get_gid()}
    assert set(marks) == {f"{world}:{name}" for world in WORLDS for name in names}
    values = [r["scores"]["tf_targets"]["AUPRC"] for r in rows[:3]]
    assert marks[f"{rows[0]['data']}:{rows[0]['method']}"].get_xdata()[0] == np.median(values)
    labels = [text.get_text() for ax in drawn.axes for text in ax.get_yticklabels()]
    assert sorted(labels) == sorted(WORLDS)
    legend = [text.get_text() for text in drawn.legends[0].get_texts()]
    assert legend == [*(style[0] for style in figure.STYLES.values()), figure.RANDOM]


def test_the_figure_of_a_few_rows(tmp_path):
    drawn = figure.draw(rows_of(["heart"], ["ours", "ridge"]), tmp_path / "worlds.png")
    labels = [text.get_text() for ax in drawn.axes for text in ax.get_yticklabels()]
    assert labels == ["heart"]
    assert len(drawn.legends[0].get_texts()) == 3


def test_differences_from_the_best_other_method():
    rows = rows_of(["agents", "boolean", "heart"], ["ours", "ridge", "trees"])
    given = {
        "agents": ([0.9, 0.8, 0.7], [0.5, 0.6, 0.1], [0.4, 0.4, 0.4]),
        "boolean": ([0.5, 0.5, 0.5], [0.4, 0.6, 0.6], [0.3, 0.3, 0.3]),
        "heart": ([0.2, 0.2, 0.2], [0.1, 0.1, 0.1], [0.3, 0.4, 0.5]),
    }
    for row in rows:
        method = ["ours", "ridge", "trees"].index(row["method"])
        row["scores"]["tf_targets"]["AUPRC"] = given[row["data"]][method][row["seed"]]
    table = report.frame(rows)
    differences = report.compared(table[table["measure"] == "AUPRC"])
    assert differences["result"].to_dict() == {
        "agents": "better",
        "boolean": "tie",
        "heart": "worse",
    }
    assert differences["best other method"].tolist() == ["ridge", "ridge", "trees"]
    numbers = differences.loc["agents", ["median", "lowest", "highest"]].tolist()
    assert numbers == pytest.approx([0.4, 0.2, 0.6])
