"""The benchmark of the candidates of the neighbour search."""

from __future__ import annotations

import pytest
from _helpers import NOTHING_SIGNIFICANT
from benchmarks.performance import candidates

import spatrace_sc as st
from spatrace_sc._core import neighbour_edges


def test_the_number_of_candidates_is_restored_after_an_error(monkeypatch):
    seen = []

    def fail(adata, **_):
        seen.append(neighbour_edges.MAX_CANDIDATES)
        raise RuntimeError

    monkeypatch.setattr(st.tl, "infer_ccc", fail)
    usual = neighbour_edges.MAX_CANDIDATES
    with pytest.raises(RuntimeError):
        candidates.row("simulated", 1, 100, 17)
    assert seen == [17]
    assert neighbour_edges.MAX_CANDIDATES == usual


@pytest.mark.slow
@pytest.mark.filterwarnings(NOTHING_SIGNIFICANT)
def test_a_row_per_number_of_candidates(capsys):
    candidates.main(["--seeds", "3", "--candidates", "500", "90", "--cells", "800"])
    rows = [line.split("|")[1:-1] for line in capsys.readouterr().out.splitlines()]
    assert [row[2].strip() for row in rows[2:]] == ["500", "90"]
    assert all(0.0 <= float(row[4].split(";")[0]) <= 1.0 for row in rows[2:])
