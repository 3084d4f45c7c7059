"""The report and the figures of ``python -m spatrace_sc``."""

from __future__ import annotations

import pytest
from _helpers import small_result

import spatrace_sc as st
from spatrace_sc._cli.demo import draw, report
from spatrace_sc._edges import TESTED_KINDS, EdgeKind


@pytest.mark.parametrize("kind", TESTED_KINDS, ids=lambda kind: kind.name)
def test_the_report_fits_a_terminal_and_states_the_truth(capsys, kind: EdgeKind):
    adata = small_result()
    edges, truth = getattr(st.get, kind.name)(adata), adata.uns["truth"][kind.name]
    report("The title", kind, edges, truth, top_n=4)
    lines = capsys.readouterr().out.splitlines()
    keys, size = kind.columns, "score" if kind.name == "lr_pairs" else "effect"
    assert lines[:2] == ["", "The title"]
    assert lines[2].split() == [*keys, size, "q_value", "evidence", "truth"]
    assert max(map(len, lines)) <= 100
    known = set(map(tuple, truth[keys].astype(str).to_numpy()))
    rows = [line.split() for line in lines[3:7]]
    for row, (_, edge) in zip(rows, edges.head(4).iterrows(), strict=True):
        assert row[: len(keys)] == list(edge[keys])
        assert float(row[len(keys)]) == pytest.approx(edge[size], abs=6e-4)
        assert row[len(keys) + 2] == edge["evidence"]
        assert (row[len(keys) + 3] != "false") == (tuple(row[: len(keys)]) in known)
    n = int((truth["kind"] == "direct").sum()) if "kind" in truth else len(truth)
    ranking = [tuple(edge) for edge in edges[keys].astype(str).head(n).to_numpy()]
    direct = truth[truth["kind"] == "direct"] if "kind" in truth else truth
    true = set(map(tuple, direct[keys].astype(str).to_numpy()))
    precision = sum(edge in true for edge in ranking) / n
    assert lines[7].startswith(f"There are {n} true edges. Of the {n} strongest, {precision:.0%} ")


def test_four_figures_are_saved(tmp_path):
    draw(small_result(), tmp_path)
    names = ["activity_map", "effect_heatmap", "top_edges", "training_history"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{name}.png" for name in names]
