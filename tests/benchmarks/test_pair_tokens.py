"""The table of how well silencing pairs ranks true edges."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

sys.path.append(str(Path(__file__).parents[2]))

from benchmarks.worlds import pair_tokens

EDGE = ["ligand", "receptor", "target"]


def labelled():
    """Six candidates, of which the first four belong to tokens; edges 0, 2 and 4 are true."""
    edges = pd.DataFrame([["A", "R", f"t{k}"] for k in range(4)], columns=EDGE)
    others = pd.DataFrame([["B", "R", f"t{k}"] for k in range(2)], columns=EDGE)
    edges = pd.concat([edges, others], ignore_index=True)
    return edges.assign(
        score=[0.9, 0.1, 0.0, 0.5, 0.8, 0.0],
        true=[True, False, True, False, True, False],
        true_sign=[1, np.nan, 1, np.nan, -1, np.nan],
    )


def test_scores_by_hand():
    tokens = labelled()[EDGE].head(4).assign(silencing_effect=[0.4, 0.0, -0.3, 0.2], attention=0.1)
    row = pair_tokens.scores(labelled(), tokens.sample(frac=1, random_state=0))
    assert row["tokens"] == 1
    assert (row["true"], row["all true"], row["base"]) == (2, 3, 0.5)
    assert row["silencing"] == pytest.approx(1.0)
    assert row["score"] == pytest.approx((1 + 2 / 4) / 2)
    assert row["signs"] == 0.5
    assert row["all: silencing"] < 1
    assert set(row) | {"CPU"} == set(pair_tokens.COLUMNS)


def test_a_row_has_medians():
    rows = [dict.fromkeys(pair_tokens.COLUMNS, float(value)) for value in (1, 2, 9)]
    cells = pair_tokens.report("world", rows).split(" | ")
    assert len(cells) == 1 + len(pair_tokens.COLUMNS)
    assert cells[:2] == ["| world", "2"]
    assert cells[4] == "2.000"


def test_steps_are_timed_and_restored(monkeypatch):
    monkeypatch.setattr(pair_tokens.run, "pair_tokens", lambda x, *, seed: sum(range(x)) + seed)
    before = pair_tokens.run.pair_tokens
    with pair_tokens.timed(("pair_tokens",)) as spent:
        assert pair_tokens.run.pair_tokens(200_000, seed=1) == sum(range(200_000)) + 1
    assert len(spent) == 1
    assert spent[0] > 0
    assert pair_tokens.run.pair_tokens is before
