"""The usual job beside an earlier version: turns, medians, ratios and the limit."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2]))

from benchmarks.performance import usual


def row(version, cpu, size="small"):
    parts = {"fit": cpu / 4, "refits": cpu / 2}
    verbs = {"modules, all pairs": 3.0}
    return {"version": version, "size": size, "cpu": cpu, "wall": cpu, "peak": 0.7} | {
        "stages": parts,
        "verbs": verbs,
    }


ROWS = [row("before", c) for c in (20.0, 90.0, 30.0)] + [row("now", c) for c in (9.0, 12.0, 10.0)]


def test_medians_and_their_ratio():
    shown = usual.table(ROWS)
    assert shown.loc["inference"].tolist() == pytest.approx([30.0, 10.0, 3.0])
    assert shown.loc["refits"].tolist() == pytest.approx([15.0, 5.0, 3.0])
    assert usual.ratio(ROWS) == pytest.approx(1 / 3)
    lines = usual.markdown(shown).splitlines()
    assert lines[0] == "| CPU seconds | before | now | before / now |"
    assert "| inference | 30.0 | 10.0 | 3.0 |" in lines
    assert list(usual.table(ROWS[3:])) == ["now"]


def test_versions_take_turns_and_the_limit_fails(monkeypatch, tmp_path, capsys):
    seen = []

    def run(checkout, size):
        seen.append((Path(checkout), size))
        return row("?", 5.0 if Path(checkout) == usual.ROOT else 4.0) | {"size": size}

    def noted(checkout, size):
        made = run(checkout, size)
        return {k: v for k, v in made.items() if k != "version"}

    monkeypatch.setattr(usual, "run", noted)
    out = tmp_path / "rows.jsonl"
    options = ["--before", str(tmp_path), "--size", "small", "--repeats", "2", "--out", str(out)]
    usual.main([*options, "--max-ratio", "1.3"])
    assert seen == [(tmp_path, "small"), (usual.ROOT, "small")] * 2
    assert len([json.loads(line) for line in out.read_text().splitlines()]) == 4
    assert "before / now" in capsys.readouterr().out
    with pytest.raises(SystemExit, match=r"1\.25 times"):
        usual.main([*options, "--report", "--max-ratio", "1.2"])


def test_the_usual_job_has_the_sizes_of_its_page():
    sizes = usual.SIZES["usual"]
    page = (usual.ROOT / "docs" / "performance.md").read_text()
    assert f"{sizes['n_cells']:,} cells".replace(",", " ") in page
    assert f"{sizes['n_ligands']} × {sizes['n_receptors']} pairs" in page
    assert f"{sizes['n_targets']} targets and {sizes['n_tfs']} TFs" in page
