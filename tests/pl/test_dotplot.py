from __future__ import annotations

from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pytest
from _type_table import LONG, inside, names, read_instead, type_table, with_score
from anndata import AnnData

import spatrace_sc as st


def drawn(ax) -> dict[tuple[str, str], tuple[float, float]]:
    """Pair and combination of every dot → its score and its size."""
    dots = ax.collections[0]
    place = np.asarray(dots.get_offsets()).astype(int)
    labels = names(ax.yaxis), names(ax.xaxis)
    values = zip(place, np.asarray(dots.get_array()), dots.get_sizes(), strict=True)
    return {(labels[0][y], labels[1][x]): (float(s), float(a)) for (x, y), s, a in values}


def test_dots_are_the_rows_of_the_table(monkeypatch) -> None:
    table = type_table(["a", "b", "c"])
    table.loc[5, "q_value"] = 0.3
    ax = st.pl.dotplot(read_instead(monkeypatch, table))
    found = drawn(ax)
    assert len(found) == len(table)
    evidence = np.minimum(-np.log10(table["q_value"]), 3)
    for row, level in zip(table.itertuples(), evidence, strict=True):
        score, area = found[f"{row.ligand} → {row.receptor}", f"{row.sender} → {row.receiver}"]
        assert score == pytest.approx(row.score)
        largest = ax.collections[0].get_sizes().max()
        top = 0.15 + 0.85 * evidence.max() / 3
        assert area / largest == pytest.approx((0.15 + 0.85 * level / 3) / top)
    rings = {tuple(p) for p in np.asarray(ax.collections[1].get_offsets()).astype(int)}
    significant = table[table["q_value"] <= 0.1]
    rows, columns = names(ax.yaxis), names(ax.xaxis)
    assert rings == {
        (columns.index(f"{r.sender} → {r.receiver}"), rows.index(f"{r.ligand} → {r.receptor}"))
        for r in significant.itertuples()
    }
    assert ax.get_title().splitlines() == [
        "4 pairs, 9 combinations of types",
        f"{len(significant)} of {len(table)} rows significant at q ≤ 0.1 (ringed)",
    ]
    words = [text.get_text() for text in ax.get_legend().get_texts()]
    assert words == ["q = 1", "q = 0.1", "q = 0.01", "q ≤ 0.001", "significant"]
    shown = [handle.get_markersize() ** 2 for handle in ax.get_legend().legend_handles[:4]]
    np.testing.assert_allclose(np.array(shown) / shown[3], [0.15, 1.3 / 3, 2.15 / 3, 1.0])
    assert inside(ax)


def test_columns_name_the_sender_first(monkeypatch) -> None:
    table = with_score(type_table(["a", "b", "c"], 2), "a", "b", 9.0)
    scores = drawn(st.pl.dotplot(read_instead(monkeypatch, table), top_n=None, top_types=None))
    assert scores["LIG0 → REC0", "a → b"][0] == pytest.approx(9.0)
    assert scores["LIG0 → REC0", "b → a"][0] < 1


def test_significant_pairs_come_first_and_all_are_counted(monkeypatch) -> None:
    table = type_table(["a", "b"], 4).assign(q_value=1.0)
    weak = (table["ligand"] == "LIG3") & (table["sender"] == "a")
    table["score"] = table["score"].mask(weak, 1e-4)
    table["q_value"] = table["q_value"].mask(weak, 0.02)
    adata = read_instead(monkeypatch, table)
    ax = st.pl.dotplot(adata, top_n=2, top_types=1)
    assert names(ax.yaxis)[0] == "LIG3 → REC3"
    assert ax.get_title().splitlines() == [
        "2 of 4 pairs, 1 of 4 combinations of types",
        "2 of 16 rows significant at q ≤ 0.1 (ringed; 1 drawn)",
    ]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]


def test_types_are_selected(monkeypatch) -> None:
    adata = read_instead(monkeypatch, type_table(["alpha", "beta", "gamma"]))
    ax = st.pl.dotplot(adata, senders="beta", receivers=["alpha", "gamma"])
    assert names(ax.xaxis) == ["beta → alpha", "beta → gamma"]
    with pytest.raises(st.InvalidArgumentError, match=r"`senders='betta'`.*Did you mean 'beta'"):
        st.pl.dotplot(adata, senders="betta")
    with pytest.raises(st.InvalidArgumentError, match="`top_types`"):
        st.pl.dotplot(adata, top_types=0)


def test_long_names_are_written_in_full(monkeypatch) -> None:
    types = ["Surface ectoderm / neural crest", "Haematoendothelial progenitors"]
    table = type_table(types, 2).replace({"LIG0": "Bmp4", "REC0": "Acvr1+Acvr2a+Bmpr2"})
    ax = st.pl.dotplot(read_instead(monkeypatch, table))
    assert f"{types[0]} → {types[1]}" in names(ax.xaxis)
    assert "Bmp4 → Acvr1+Acvr2a+Bmpr2" in names(ax.yaxis)
    assert inside(ax)


@pytest.mark.parametrize("n", [3, 40])
def test_dots_fit_into_their_fields(monkeypatch, n: int) -> None:
    adata = read_instead(monkeypatch, type_table([f"{LONG[:38]}{k:02d}" for k in range(n)], 6))
    ax = st.pl.dotplot(adata)
    ax.figure.draw_without_rendering()
    box = ax.get_window_extent()
    across = len(np.unique(np.asarray(ax.collections[0].get_offsets())[:, 0]))
    field = 72 / ax.figure.dpi * min(box.width / across, box.height / 6)
    assert np.sqrt(ax.collections[1].get_sizes().max()) < field
    assert inside(ax)


def test_without_a_significant_row_nothing_is_hidden(result: AnnData) -> None:
    ax = st.pl.dotplot(result, top_n=None, top_types=None)
    table = st.get.communication(result)
    n = int((table["score"] > 0).sum())
    assert len(ax.collections[0].get_offsets()) == n
    assert ax.get_title().splitlines()[1:] == [
        f"0 of {n} rows significant at q ≤ 0.1:",
        "colours rank hypotheses, not findings",
    ]
    assert ax.get_legend().get_texts()[-1].get_text() == "significant: none"


def test_given_axes_and_an_empty_table(result: AnnData, silent: AnnData, caplog) -> None:
    ax = plt.subplots()[1]
    assert st.pl.dotplot(result, ax=ax) is ax
    empty = st.pl.dotplot(silent)
    assert empty.texts[0].get_text().startswith("No communication with a score above 0")
    assert "the table of communication is empty" in caplog.text
    assert not empty.collections


@pytest.mark.slow
def test_small_axes_hold_what_can_be_read(monkeypatch) -> None:
    table = type_table([f"{LONG[:38]}{k:02d}" for k in range(40)], 6)
    figure, ax = plt.subplots(figsize=(85 / 25.4, 3.0), layout="constrained")
    st.pl.dotplot(read_instead(monkeypatch, table), ax=ax)
    figure.draw_without_rendering()
    shown = [label.get_window_extent() for label in ax.get_xticklabels() if label.get_text()]
    assert 5 < len(shown) < 24
    assert all(b.x0 > a.x0 + 0.7 * a.width for a, b in pairwise(shown))
    assert f"{len(shown)} of 1600 combinations" in ax.get_title()
    assert ax.get_window_extent().width > 0.35 * figure.bbox.width
    every = st.pl.dotplot(AnnData(), top_types=None, ax=figure.subplots())
    assert "1600 combinations" in every.get_title()
    assert " of 1600 combinations" not in every.get_title()
