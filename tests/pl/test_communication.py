"""Heatmaps of many cell types stay visible, and significance is added to them."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from _type_table import LONG, inside, names, read_instead, type_table, with_score

import spatrace_sc as st
from spatrace_sc.pl._drawing.names import shortened


def marked(ax) -> set[tuple[int, int]]:
    """Row and column of the fields with a dot; those in a corner are a third of a field away."""
    dots = [c for c in ax.collections if c.get_label() == "significant"]
    return {(round(y), round(x)) for c in dots for x, y in np.asarray(c.get_offsets())}


@pytest.mark.parametrize("n", [3, 23, 40])
def test_fields_are_sums_and_significant_ones_have_a_dot(monkeypatch, n: int) -> None:
    types = [f"type {k:02d}" for k in range(n)]
    table = type_table(types)
    ax = st.pl.communication(read_instead(monkeypatch, table))
    wide = table.groupby(["sender", "receiver"])["score"].sum().unstack()
    np.testing.assert_allclose(ax.images[0].get_array(), wide)
    assert names(ax.yaxis) == names(ax.xaxis) == types
    of_q = table.groupby(["sender", "receiver"])["q_value"].min().unstack().to_numpy() <= 0.1
    assert 0 < of_q.sum() < of_q.size
    assert marked(ax) == set(zip(*map(list, np.nonzero(of_q)), strict=True))
    line = f"{of_q.sum()} of {of_q.size} fields significant at q ≤ 0.1 (dots)"
    assert ax.get_title().splitlines()[-1] == line
    assert len(ax.texts) == (n * n if n <= 12 else 0)
    assert inside(ax)


@pytest.mark.parametrize("n", [23, 40])
def test_dots_leave_the_colours_of_their_fields_visible(monkeypatch, n: int) -> None:
    types = [f"type {k:02d}" for k in range(n)]
    table = type_table(types).assign(q_value=0.01)
    adata = read_instead(monkeypatch, table)
    for given in (None, plt.subplots(figsize=(3.35, 3.0), layout="constrained")[1]):
        ax = st.pl.communication(adata, ax=given)
        ax.figure.draw_without_rendering()
        box = ax.get_window_extent()
        field = 72 / ax.figure.dpi * min(box.width, box.height) / n
        assert np.pi / 4 * ax.collections[0].get_sizes()[0] < 0.45 * field**2


def test_rows_send_and_columns_receive(monkeypatch) -> None:
    table = with_score(type_table(["a", "b", "c"]), "a", "b", 9.0)
    image = np.asarray(st.pl.communication(read_instead(monkeypatch, table)).images[0].get_array())
    assert image.argmax() == np.ravel_multi_index((0, 1), (3, 3))
    assert image[0, 1] == pytest.approx(36.0)


def test_long_names_have_an_ellipsis_in_the_middle(monkeypatch) -> None:
    types = [f"{LONG[:38]}{k:02d}" for k in range(20)]
    ax = st.pl.communication(read_instead(monkeypatch, type_table(types, 1)))
    assert len(set(names(ax.yaxis))) == 20
    assert all("…" in name and len(name) <= 32 for name in names(ax.yaxis))
    assert [name[-2:] for name in names(ax.yaxis)] == [f"{k:02d}" for k in range(20)]
    assert inside(ax)


def test_shortened_names_stay_different() -> None:
    assert shortened(["short", LONG]) == ["short", f"{LONG[:16]}…{LONG[-15:]}"]
    twins = [f"{'x' * 19}{k}{'y' * 20}" for k in range(3)]
    assert len(set(shortened(twins))) == 3
    assert shortened([]) == []


def test_a_figure_without_rows_says_why(monkeypatch, caplog) -> None:
    table = type_table(["a", "b"]).assign(q_value=0.4)
    adata = read_instead(monkeypatch, table)
    groups = {"group": ["x | y", "x | y", ""], "group_q_value": [0.05, 0.05, 0.05]}
    pairs = type_table(["a"], 3).assign(**groups)
    monkeypatch.setattr(st.get, "lr_pairs", lambda adata, **_: pairs)
    text = st.pl.communication(adata, max_q=0.1).texts[0].get_text()
    assert text == (
        "No communication with q ≤ 0.1:\nthe smallest q is 0.4; 1 group of pairs has q ≤ 0.1, "
        "see st.get.lr_pairs, column group"
    )
    assert text in caplog.text


def test_a_title_stays_inside_a_narrow_figure(monkeypatch) -> None:
    adata = read_instead(monkeypatch, type_table([f"type {k:02d}" for k in range(23)]))
    for width in (3.35, 2.4):
        ax = plt.subplots(figsize=(width, 3.0), layout="constrained")[1]
        assert inside(st.pl.communication(adata, ax=ax))
