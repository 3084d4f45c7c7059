"""The report of ``python -m spatrace_sc``."""

from __future__ import annotations

import pytest
from _helpers import small_result

import spatrace_sc as st
from spatrace_sc.__main__ import report


@pytest.mark.parametrize(
    ("table", "keys", "size"),
    [
        ("lr_targets", ["ligand", "receptor", "target"], "effect"),
        ("tf_targets", ["tf", "target"], "effect"),
        ("lr_pairs", ["ligand", "receptor"], "score"),
    ],
)
def test_the_report_fits_a_terminal_and_states_the_truth(capsys, table, keys, size):
    adata = small_result()
    edges, truth = getattr(st.get, table)(adata), adata.uns["truth"][table]
    report("The title", edges, truth, keys, top=4)
    lines = capsys.readouterr().out.splitlines()
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
