from __future__ import annotations

import builtins

import matplotlib.pyplot as plt
import numpy as np
import pytest
from _type_table import LONG, inside, read_instead, type_table, with_score
from anndata import AnnData

import spatrace_sc as st


def test_dots_are_the_sums_of_both_sides(monkeypatch) -> None:
    types = ["a", "b", "c"]
    table = with_score(type_table(types), "a", "b", 9.0)
    table = table[(table["sender"] != "c") | (table["ligand"] == "LIG0")]
    table = table[(table["receiver"] != "c") | (table["ligand"] == "LIG0")]
    table = table.assign(q_value=np.where(table["sender"] == "a", 0.05, 1.0))
    table = table[(table["sender"] != "a") | (table["receiver"] != "c")]
    ax = st.pl.roles(read_instead(monkeypatch, table))
    sent = table.groupby("sender")["score"].sum().reindex(types)
    received = table.groupby("receiver")["score"].sum().reindex(types)
    place = np.asarray(ax.collections[0].get_offsets())
    np.testing.assert_allclose(place, np.stack([sent, received], axis=1))
    assert place[0, 0] > 30 > place[0, 1]  # a sends to b
    sizes = ax.collections[0].get_sizes()
    np.testing.assert_allclose((sizes - 3.5**2) / (12.0**2 - 3.5**2), [1, 1, 0.25])
    rings = np.asarray(ax.collections[1].get_offsets())
    np.testing.assert_allclose(rings, place[:2])
    n = int((table["q_value"] <= 0.1).sum())
    line = f"{n} of {len(table)} rows significant at q ≤ 0.1 (their types ringed)"
    assert ax.get_title().splitlines()[-1] == line
    assert sorted(t.get_text() for t in ax.texts) == types
    assert inside(ax)


@pytest.mark.parametrize("installed", [True, False])
def test_names_are_inside(monkeypatch, installed: bool) -> None:
    real = builtins.__import__

    def refuse(name, *args, **options):
        if name == "adjustText" and not installed:
            raise ImportError(name)
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    adata = read_instead(monkeypatch, type_table([f"{LONG[:38]}{k:02d}" for k in range(23)], 2))
    ax = st.pl.roles(adata)
    assert len({t.get_text() for t in ax.texts if t.get_text()}) == 23
    ax.figure.draw_without_rendering()
    assert all(t.get_window_extent().x0 >= 0 for t in ax.texts)
    assert ax.title.get_window_extent().x1 <= ax.figure.bbox.x1


def test_given_axes_are_used(result: AnnData) -> None:
    ax = plt.subplots()[1]
    assert st.pl.roles(result, ax=ax, stage="adult") is ax
    assert ax.get_title().splitlines()[0].endswith("stage adult")


def test_small_axes_name_the_strongest_types(monkeypatch) -> None:
    adata = read_instead(monkeypatch, type_table([f"{LONG[:38]}{k:02d}" for k in range(40)], 2))
    ax = plt.subplots(figsize=(85 / 25.4, 3.0), layout="constrained")[1]
    st.pl.roles(adata, ax=ax)
    named = [text for text in ax.texts if text.get_text()]
    place = np.asarray(ax.collections[0].get_offsets())
    assert len(named) == 6
    assert ax.get_title().splitlines()[-1].startswith("the 6 of 40 types")
    strongest = np.argsort(-(place / place.max(axis=0)).max(axis=1))[:6]
    assert {text.get_text()[-2:] for text in named} == {f"{k:02d}" for k in strongest}
    assert inside(ax)
