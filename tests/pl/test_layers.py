from __future__ import annotations

from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from matplotlib.colors import to_hex

import spatrace_sc as st
from spatrace_sc.pl import _layers
from spatrace_sc.pl._drawing.significance import SIGNIFICANT
from spatrace_sc.pl._drawing.steps import _crossings, ordered_columns


def tables(length: int = 4) -> dict[str, pd.DataFrame]:
    """Two ligands on one receptor, one TF that both change, and two targets of two TFs."""

    def name(text: str) -> str:
        return text.ljust(length, "x")

    pairs = pd.DataFrame(
        {
            "ligand": [name("L0"), name("L1"), name("L2")],
            "receptor": [name("R0"), name("R0"), name("R1")],
            "score": [1.0, 0.5, 0.4],
            "q_value": [0.05, 0.5, 1.0],
        }
    )
    on_tfs = pd.DataFrame(
        {
            "ligand": [name("L0"), name("L1")],
            "receptor": [name("R0"), name("R0")],
            "tf": [name("T0"), name("T0")],
            "effect": [-0.9, 0.3],
            "score": [0.9, 0.3],
            "q_value": [0.01, 0.02],
        }
    )
    edges = pd.DataFrame(
        {
            "tf": [name("T0"), name("T1"), name("T1")],
            "target": [name("G0"), name("G1"), name("G2")],
            "effect": [0.8, -0.4, 0.0],
            "score": [0.8, 0.4, 0.0],
            "q_value": [0.03, 0.9, 1.0],
        }
    )
    return {"lr_pairs": pairs, "lr_tfs": on_tfs, "tf_targets": edges}


@pytest.fixture
def draw(monkeypatch):
    """Draw tables that were made up."""
    monkeypatch.setattr(_layers, "at_stage", lambda *_: "")

    def layers(made_up: dict[str, pd.DataFrame], **arguments):
        for name, table in made_up.items():
            monkeypatch.setattr(st.get, name, lambda *_, t=table, **__: t)
        return st.pl.layers(AnnData(), **arguments)

    return layers


def curves(ax) -> list[tuple[str, str, float]]:
    """Layer of the beginning, colour, line style and width of every line."""
    return [
        (round(float(line.get_xdata()[0])), to_hex(line.get_color()), line.get_linestyle())
        for line in ax.lines
        if line.get_gid() != SIGNIFICANT
    ]


def heights(ax) -> dict[str, float]:
    return {text.get_text(): text.get_position()[1] for text in ax.texts}


def test_lines_are_the_tables(draw) -> None:
    ax = draw(tables())
    up, down, grey = "#d55e00", "#0072b2", "#555555"
    assert sorted(curves(ax)) == sorted(
        [
            (0, grey, "-"),  # L0 -> R0
            (0, grey, "--"),  # L1 -> R0
            (1, down, "-"),  # R0 -> T0, the stronger of two
            (2, up, "-"),  # T0 -> G0
            (2, down, "--"),  # T1 -> G1
        ]
    )
    drawn = heights(ax)
    assert {"L0xx", "L1xx", "R0xx", "T0xx", "T1xx", "G0xx", "G1xx"} <= set(drawn)
    assert not {"L2xx", "R1xx", "G2xx"} & set(drawn)
    dots = [line for line in ax.lines if line.get_gid() == SIGNIFICANT]
    assert [line.get_xdata()[0] for line in dots] == [0.5, 1.5, 2.5]
    middle = (drawn["T0xx"] + drawn["G0xx"]) / 2
    assert dots[-1].get_ydata()[0] == pytest.approx(middle)
    first, second = ax.get_title().splitlines()
    assert first == "2 TF → target edges, 1 effect on their TFs"
    assert second == "3 of 5 lines significant at q ≤ 0.1 (dot)"
    ends = {t.get_text(): t.get_position()[0] for t in ax.texts}
    assert [ends[w] for w in ("ligand", "receptor", "TF", "target")] == [0, 1, 2, 3]


def test_lines_end_at_their_names(draw) -> None:
    ax = draw(tables())
    drawn = heights(ax)
    line = next(
        line for line in ax.lines if round(line.get_xdata()[0]) == 1 and len(line.get_xdata()) > 1
    )
    assert line.get_ydata()[0] == pytest.approx(drawn["R0xx"])
    assert line.get_ydata()[-1] == pytest.approx(drawn["T0xx"])


def test_largest_q_and_top_n(draw) -> None:
    assert [c for c in curves(draw(tables(), max_q=0.1)) if c[0] == 2] == [(2, "#d55e00", "-")]
    assert len([c for c in curves(draw(tables(), top_n=1)) if c[0] == 2]) == 1
    empty = {k: v.iloc[:0] for k, v in tables().items()}
    ax = draw(empty, max_q=0.1)
    assert ax.texts[0].get_text() == "No TF → target edges with q ≤ 0.1"
    assert len(curves(draw(tables() | {"lr_tfs": tables()["lr_tfs"].iloc[:0]}))) == 2


def test_long_names_are_shortened(draw) -> None:
    names = [t.get_text() for t in draw(tables(length=40)).texts]
    assert sum("…" in name for name in names) == 7
    assert max(len(name) for name in names if "…" in name) == 24


def test_names_are_ordered_so_that_few_lines_cross() -> None:
    rng = np.random.default_rng(0)
    columns = [[f"{layer}{k}" for k in range(9)] for layer in "ab"]
    shuffled = list(rng.permutation(9))
    steps = [pd.DataFrame({"begin": columns[0], "end": [f"b{k}" for k in shuffled]})]
    assert _crossings(columns, steps) > 5
    assert _crossings(ordered_columns(columns, steps), steps) == 0
    crossed = [("a0", "b1"), ("a1", "b0")]
    two = [pd.DataFrame(crossed, columns=["begin", "end"])]
    assert _crossings([["a0", "a1"], ["b0", "b1"]], two) == 1
    every = [pd.DataFrame(product(columns[0], columns[1]), columns=["begin", "end"])]
    ordered = ordered_columns(columns, every)
    assert [sorted(column) for column in ordered] == columns


def test_of_a_result(result: AnnData) -> None:
    figure, ax = plt.subplots()
    assert st.pl.layers(result, top_n=6, stage="body", ax=ax) is ax
    assert plt.get_fignums() == [figure.number]
    assert "stage body" in ax.get_title()
    table = st.get.tf_targets(result, "body").head(6)
    assert set(table["target"]) <= {t.get_text() for t in ax.texts}
    with pytest.raises(st.InvalidArgumentError, match="`top_n`"):
        st.pl.layers(result, top_n=0)
    with pytest.raises(st.InvalidArgumentError, match="Did you mean 'early'"):
        st.pl.layers(result, stage="erly")
