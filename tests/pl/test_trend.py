"""Strength along stages and pseudotime."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from anndata import AnnData

import spatrace_sc as st


def drawn(ax) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """x, mean and standard error of every line, by its label."""
    lines = {}
    for container in ax.containers:
        line, _, (bars,) = container
        ends = np.array([segment[:, 1] for segment in bars.get_segments()])
        x, y = np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)
        lines[container.get_label()] = x, y, np.ptp(ends, axis=1) / 2
    return lines


@pytest.mark.parametrize("kind", ["lr_pairs", "tfs"])
def test_lines_are_the_table(result: AnnData, kind: str) -> None:
    ax = st.pl.trend(result, kind=kind, top_n=3)
    table = st.get.trend(result, kind)
    names = list(dict.fromkeys(table["name"]))[:3]
    assert [n.replace("^", " → ") for n in names] == list(drawn(ax))
    for name, (x, mean, se) in zip(names, drawn(ax).values(), strict=True):
        rows = table[table["name"] == name]
        assert list(rows["group"]) == ["early", "body", "adult"]
        np.testing.assert_allclose(mean, rows["mean"])
        np.testing.assert_allclose(se, rows["se"])
        np.testing.assert_allclose(x, rows["time"], atol=0.11)
    assert [t.get_text() for t in ax.get_xticklabels()] == ["early", "body", "adult"]


def test_means_are_those_of_the_cells(result: AnnData) -> None:
    cells = st.get.activity(result)
    table = st.get.trend(result)
    for _, row in table.groupby("group").head(2).iterrows():
        values = cells[(result.obs["stage"] == row["group"]).to_numpy(), row["name"]].X.ravel()
        values = values[np.isfinite(values)]
        assert row["mean"] == pytest.approx(values.mean(), rel=1e-5)
        assert row["n_cells"] == len(values)


def test_along_pseudotime(result: AnnData) -> None:
    pair = str(st.get.activity(result).var_names[1])
    ax = st.pl.trend(result, pair, time_key="dpt_pseudotime", n_bins=4)
    rows = st.get.trend(result, names=pair, time_key="dpt_pseudotime", n_bins=4)
    assert len(rows) == 4
    assert rows["time"].is_monotonic_increasing
    assert rows["n_cells"].sum() == np.isfinite(st.get.activity(result)[:, pair].X).sum()
    ((x, mean, _),) = drawn(ax).values()
    np.testing.assert_allclose(x, rows["time"])
    np.testing.assert_allclose(mean, rows["mean"])
    assert ax.get_xlabel().startswith("dpt_pseudotime")


def test_significant_pairs_have_a_ring(result: AnnData) -> None:
    adata = result.copy()
    table = adata.uns["spatrace"]["lr_pairs"].copy()
    table["q_value"] = 1.0
    table.loc[table.index[0], "q_value"] = 0.05
    adata.uns["spatrace"] = adata.uns["spatrace"] | {"lr_pairs": table}
    first = st.get.lr_pairs(adata).query("q_value < 0.1").iloc[0]
    ax = st.pl.trend(adata, top_n=4)
    ringed = {c.get_label() for c in ax.containers if c[0].get_markeredgewidth() > 0}
    assert ringed == {f"{first['ligand']} → {first['receptor']}"}
    assert "1 of 4 significant" in ax.get_title()
    assert "q ≤ 0.1" in ax.get_title()


def test_wrong_names_and_arguments(result: AnnData, silent: AnnData) -> None:
    name = str(st.get.activity(result).var_names[0])
    with pytest.raises(st.InvalidArgumentError, match=f"Did you mean '{name[:5]}"):
        st.pl.trend(result, name.lower())
    with pytest.raises(st.MissingKeyError, match="time_key='pseudo'"):
        st.pl.trend(result, time_key="pseudo")
    with pytest.raises(st.MissingKeyError, match=r"st\.tl\.modules"):
        st.pl.trend(result, kind="modules")
    with pytest.raises(st.InvalidArgumentError, match="n_bins"):
        st.pl.trend(result, time_key="dpt_pseudotime", n_bins=1)
    with pytest.raises(st.InvalidArgumentError, match="top_n"):
        st.pl.trend(result, top_n=0)
    assert st.pl.trend(silent).texts[0].get_text() == "No ligand–receptor pair has an activity"


def test_given_axes_and_long_names(result: AnnData, monkeypatch: pytest.MonkeyPatch) -> None:
    table = st.get.trend(result, "tfs")
    long = table.assign(name="A" * 20 + table["name"] + "B" * 20)
    monkeypatch.setattr(st.get, "trend", lambda *args, **options: long)
    _, given = plt.subplots()
    ax = st.pl.trend(result, kind="tfs", ax=given)
    assert ax is given
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert all("…" in label and len(label) <= 34 for label in labels)
