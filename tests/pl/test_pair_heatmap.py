"""Heatmaps of ligands and receptors, of all cells and by stage."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from _type_table import inside, names, read_instead, type_table
from anndata import AnnData

import spatrace_sc as st


def pairs(n: int = 5, seed: int = 0) -> pd.DataFrame:
    """Pairs of n ligands and n + 1 receptors, without the pairs of the last of both."""
    random = np.random.default_rng(seed)
    rows = [(f"L{i}", f"R{j}") for i in range(n) for j in range(n + 1) if i < n - 1 or j < n]
    table = pd.DataFrame(rows, columns=["ligand", "receptor"])
    table["score"] = np.where(random.random(len(table)) < 0.5, random.random(len(table)), 0.0)
    table["score_se"] = 0.1
    table = table.sort_values("score", ascending=False, kind="stable", ignore_index=True)
    return table.assign(q_value=np.where(np.arange(len(table)) < 3, 0.05, 1.0), group="")


def reading(monkeypatch, table: pd.DataFrame) -> AnnData:
    table = table.assign(group_q_value=table["q_value"])
    monkeypatch.setattr(st.get, "lr_pairs", lambda adata, *_, **__: table)
    return AnnData()


def marked(ax) -> set[tuple[int, int]]:
    dots = [c for c in ax.collections if c.get_label() == "significant"]
    return {(round(y), round(x)) for c in dots for x, y in np.asarray(c.get_offsets())}


def test_fields_and_bars_are_the_table(monkeypatch) -> None:
    table = pairs()
    heat, bars = st.pl.pair_heatmap(reading(monkeypatch, table), top_n=6)
    rows, columns = names(heat.yaxis), names(heat.xaxis)
    wide = table.pivot(index="ligand", columns="receptor", values="score").loc[rows, columns]
    drawn = np.ma.filled(heat.images[0].get_array(), np.nan)
    np.testing.assert_allclose(drawn, wide)
    assert (np.diff(np.nanmax(drawn, axis=1)) <= 0).all()
    assert marked(heat) == {
        (rows.index(r.ligand), columns.index(r.receptor)) for r in table.head(3).itertuples()
    }
    top = table.head(6)
    np.testing.assert_allclose([bar.get_width() for bar in bars.patches], top["score"])
    assert names(bars.yaxis) == [f"{r.ligand} → {r.receptor}" for r in top.itertuples()]
    assert bars.get_ylim()[0] > bars.get_ylim()[1]
    assert {row for row, _ in marked(bars)} == {0, 1, 2}
    assert heat.get_title().splitlines()[-1] == (
        f"3 of {len(table)} pairs significant at q ≤ 0.1 (dots)"
    )
    assert (heat.get_ylabel(), heat.get_xlabel()) == ("ligand", "receptor")
    assert inside(heat)
    assert bars.title.get_window_extent().x1 <= bars.figure.bbox.x1


def test_the_result_of_a_stage(result: AnnData) -> None:
    table = st.get.lr_pairs(result, "body")
    heat, bars = st.pl.pair_heatmap(result, stage="body", top_n=4)
    np.testing.assert_allclose([bar.get_width() for bar in bars.patches], table["score"][:4])
    assert heat.get_title().splitlines()[0].endswith(", stage body")
    assert f"of {len(table)} pairs" in heat.get_title()
    given = plt.subplots(1, 2)[1]
    assert list(st.pl.pair_heatmap(result, ax=given)) == list(given)
    with pytest.raises(st.InvalidArgumentError, match="`ax` has 1 axes"):
        st.pl.pair_heatmap(result, ax=[given[0]])
    with pytest.raises(st.InvalidArgumentError, match="`top_ligands`"):
        st.pl.pair_heatmap(result, top_ligands=0)
    with pytest.raises(st.InvalidArgumentError, match="Did you mean 'body'"):
        st.pl.pair_heatmap(result, stage="bodi")


def test_without_a_pair_the_figure_names_the_groups(monkeypatch, caplog) -> None:
    table = pairs().assign(q_value=0.3, group="L0^R0 | L1^R1", group_q_value=0.05)
    monkeypatch.setattr(st.get, "lr_pairs", lambda adata, *_, **__: table)
    given = plt.subplots(1, 2)[1]
    ax = st.pl.pair_heatmap(AnnData(), max_q=0.1, ax=given)
    assert ax is given[0]
    text = "No pair with q ≤ 0.1; 1 group has:\nsee st.get.lr_pairs, column group"
    assert ax.texts[0].get_text() == text
    assert text in caplog.text
    assert not given[1].axison


def stages(monkeypatch, n: int = 3) -> tuple[AnnData, dict[str, pd.DataFrame]]:
    tables = {f"E{k}": type_table(["a", "b"], 6, seed=k) for k in range(n)}
    return read_instead(monkeypatch, tables["E0"], tables), tables


def test_panels_are_the_stages(monkeypatch) -> None:
    adata, tables = stages(monkeypatch)
    axes = st.pl.communication_stages(adata, "a", "b", top_ligands=None, top_receptors=None)
    assert len(axes) == 3
    rows, columns = names(axes[0].yaxis), names(axes[0].xaxis)
    clim = axes[0].images[0].get_clim()
    for ax, (stage, table) in zip(axes, tables.items(), strict=True):
        chosen = table[(table["sender"] == "a") & (table["receiver"] == "b")]
        wide = chosen.pivot(index="ligand", columns="receptor", values="score")
        drawn = np.ma.filled(ax.images[0].get_array(), np.nan)
        np.testing.assert_allclose(drawn, wide.loc[rows, columns])
        assert names(ax.xaxis) == columns
        assert ax.images[0].get_clim() == clim
        significant = chosen[chosen["q_value"] <= 0.1]
        assert len(significant)
        assert marked(ax) == {
            (rows.index(r.ligand), columns.index(r.receptor)) for r in significant.itertuples()
        }
        assert ax.get_title() == f"{stage}\n{len(significant)} of 6 pairs significant"
    assert axes[0].figure.get_suptitle().startswith("a → b, by stage")


def test_the_strongest_combination_is_the_default(monkeypatch) -> None:
    adata, tables = stages(monkeypatch)
    table = tables["E0"].assign(q_value=1.0)
    sums = table.groupby(["sender", "receiver"])["score"].sum()
    monkeypatch.setattr(
        st.get, "communication", lambda adata, stage=None, **_: tables.get(stage, table)
    )
    axes = st.pl.communication_stages(adata)
    assert axes[0].figure.get_suptitle().startswith(" → ".join(sums.idxmax()))
    axes = st.pl.communication_stages(adata, receiver="a")
    assert axes[0].figure.get_suptitle().startswith(f"{sums[:, 'a'].idxmax()} → a")


def test_many_stages_and_given_axes(monkeypatch) -> None:
    adata, _ = stages(monkeypatch, 7)
    axes = st.pl.communication_stages(adata, top_ligands=2)
    assert len(axes) == 7
    assert axes[0].get_position().y0 > axes[5].get_position().y1
    adata, _ = stages(monkeypatch)
    given = plt.subplots(3, 1)[1]
    assert list(st.pl.communication_stages(adata, ax=given)) == list(given)
    with pytest.raises(st.InvalidArgumentError, match="`ax` has 2 axes, but there are 3 stages"):
        st.pl.communication_stages(adata, ax=given[:2])
    with pytest.raises(st.InvalidArgumentError, match=r"`sender='x'`.*not a sender type"):
        st.pl.communication_stages(adata, "x")


def test_stages_of_a_result(result: AnnData, silent: AnnData, caplog) -> None:
    assert len(st.pl.communication_stages(result)) == 3
    assert st.pl.communication_stages(silent).texts[0].get_text().startswith("No communication")
    st.pl.communication_stages(result, max_q=0.1)
    assert "with q ≤ 0.1 at any stage" in caplog.text
