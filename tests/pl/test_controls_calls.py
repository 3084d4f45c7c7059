"""Calls of controls are drawn and named where the tissue has fewer, or none."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from _controls import inferred
from matplotlib.container import BarContainer, ErrorbarContainer

import spatrace_sc as st
from spatrace_sc._inference.controls.false_discoveries import COLUMNS
from spatrace_sc._inference.controls.power import LIMIT_COLUMNS, POWER_COLUMNS
from spatrace_sc._result import Controls, add_controls


@pytest.fixture(autouse=True)
def _thirty_calls(monkeypatch):
    monkeypatch.setattr("spatrace_sc.pl._controls._calls", lambda *_: 30)
    yield
    plt.close("all")


def drawn(false):
    """Left panel of a result with these numbers of false discoveries."""
    adata = inferred()
    tables = {
        "false_discoveries": false,
        "power": pd.DataFrame(columns=POWER_COLUMNS),
        "limits": pd.DataFrame(columns=LIMIT_COLUMNS),
    }
    add_controls(adata, "spatrace", Controls(tables, ["A sentence."], {}))
    return st.pl.controls(adata)[0]


def length(ax, label):
    """Length of the bar with this label."""
    (bar,) = [c for c in ax.containers if isinstance(c, BarContainer) and c.get_label() == label]
    return bar[0].get_width()


def only(table, control, calls, expected):
    """Table of a control with calls in one draw, where the real genes have none."""
    row = (table, control, 0.1, 0.0, calls, 1, expected, np.nan, np.nan, np.nan)
    return pd.DataFrame([row], columns=COLUMNS)


@pytest.mark.parametrize(
    ("table", "control", "label"),
    [
        ("tf_targets", "sham TFs", "expected false, by sham genes"),
        ("lr_targets", "sham genes", "expected false, by sham genes"),
        ("lr_pairs", "sham genes", "expected false, by sham genes"),
        ("lr_pairs", "misplaced senders", "expected false, by misplaced senders"),
        ("lr_targets", "senders of another slice", "expected false, by misplaced senders"),
        ("lr_pairs", "sham genes alone", "at most false, by sham genes alone"),
    ],
)
def test_calls_of_controls_are_drawn_where_the_tissue_has_none(table, control, label, monkeypatch):
    monkeypatch.setattr("spatrace_sc.pl._controls._calls", lambda *_: 0)
    ax = drawn(only(table, control, 2, 8.25))
    assert length(ax, label) == 8.25
    assert ax.get_xlim()[1] > 8.25
    assert not any(isinstance(c, ErrorbarContainer) for c in ax.containers)
    assert ax.get_title().replace("\n", " ") == (
        "Nothing is significant, but the controls have 2 calls in 1 draw"
    )


def test_calls_of_controls_name_their_table_if_there_are_several(monkeypatch):
    monkeypatch.setattr("spatrace_sc.pl._controls._calls", lambda *_: 0)
    both = pd.concat(
        [only("tf_targets", "sham TFs", 1, 3.0), only("lr_pairs", "sham genes", 2, 8.0)]
    )
    ax = drawn(both)
    assert ax.get_title().replace("\n", " ") == (
        "Nothing is significant, but the controls have 1 call in 1 draw (TF → target), "
        "2 calls in 1 draw (pairs)"
    )


def test_more_expected_than_called_is_not_cut_off():
    row = ("tf_targets", "sham TFs", 0.1, 30.0, 9, 2, 45.0, 1.0, 0.7, 1.0)
    ax = drawn(pd.DataFrame([row], columns=COLUMNS))
    assert length(ax, "expected false, by sham genes") == 45.0
    assert ax.get_xlim()[1] > 45.0


def test_sham_genes_alone_give_an_upper_bound():
    row = ("tf_targets", "sham genes alone", 0.1, 30.0, 2, 2, 6.0, 0.2, 0.05, 0.4)
    ax = drawn(pd.DataFrame([row], columns=COLUMNS))
    assert length(ax, "at most false, by sham genes alone") == 6.0
    assert ax.get_title().replace("\n", " ") == "Expected false: at most 20% of TF → target"
