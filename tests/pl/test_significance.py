"""What is not significant is hollow or pale, and a line under the title counts the rest."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from anndata import AnnData
from matplotlib.collections import PolyCollection

import spatrace_sc as st
from spatrace_sc.pl._significance import counted

TABLES = (
    "lr_targets",
    "tf_targets",
    "lr_pairs",
    "lr_tfs",
    "communication",
    "communication_by_stage",
)


def with_q(result: AnnData, first: int) -> AnnData:
    """Return a copy where the strongest ``first`` rows of every table have q = 0.05, others 1."""
    adata = result.copy()
    stored = adata.uns["spatrace"] = dict(adata.uns["spatrace"])
    for name in TABLES:
        q = np.where(np.arange(len(stored[name])) < first, 0.05, 1.0)
        stored[name] = stored[name].assign(q_value=q)
        if "group_q_value" in stored[name]:
            stored[name] = stored[name].assign(group_q_value=q)
    return adata


@pytest.fixture(scope="module")
def null(result: AnnData) -> AnnData:
    return with_q(result, 0)


@pytest.fixture(scope="module")
def some(result: AnnData) -> AnnData:
    return with_q(result, 4)


def under(ax) -> str:
    return ax.get_title().splitlines()[-1]


def holes(ax) -> set[tuple[int, int]]:
    """Row and column of the hollow fields of a heatmap."""
    squares = [
        path.vertices[:4]
        for c in ax.collections
        if isinstance(c, PolyCollection)
        for path in c.get_paths()
    ]
    return {(round(float(s[:, 1].mean())), round(float(s[:, 0].mean()))) for s in squares}


def legend(ax) -> list[str]:
    return [t.get_text() for t in ax.get_legend().get_texts()]


@pytest.mark.parametrize(
    ("significant", "noun", "text"),
    [
        ([False, False], "", "none significant at q ≤ 0.1 (all hollow)"),
        ([False], "effects", "none of the effects significant at q ≤ 0.1 (all hollow)"),
        ([True, True], "", "all significant at q ≤ 0.1"),
        ([True, False, False], "fields", "1 of 3 fields significant at q ≤ 0.1 (others hollow)"),
    ],
)
def test_the_line_counts(significant: list[bool], noun: str, text: str) -> None:
    assert counted(np.array(significant), noun) == text


@pytest.mark.parametrize("kind", ["lr_targets", "tf_targets", "lr_pairs"])
def test_edges_that_are_not_significant_are_hollow_and_pale(
    null: AnnData, some: AnnData, kind: str
) -> None:
    ax = st.pl.top_edges(null, kind, top_n=6)
    assert under(ax) == "none significant at q ≤ 0.1 (all hollow)"
    np.testing.assert_allclose(ax.collections[0].get_facecolors(), 1.0)
    assert "not significant (q > 0.1)" in legend(ax)
    ax = st.pl.top_edges(some, kind, top_n=6)
    assert under(ax) == "4 of 6 significant at q ≤ 0.1 (others hollow)"
    white = (np.asarray(ax.collections[0].get_facecolors()) == 1.0).all(axis=1)
    assert white.tolist() == [False] * 4 + [True] * 2
    darkness = [1 - np.mean(bar.get_facecolor()[:3]) for bar in ax.patches]
    assert min(darkness[:4]) > max(darkness[4:])
    ax = st.pl.top_edges(some, kind, top_n=4)
    assert under(ax) == "all significant at q ≤ 0.1"
    assert "not significant (q > 0.1)" not in legend(ax)


def test_edges_of_a_significant_group_are_pale(null: AnnData) -> None:
    adata = null.copy()
    table = adata.uns["spatrace"]["lr_targets"].copy()
    table.loc[1, "group_q_value"] = 0.05
    adata.uns["spatrace"] = adata.uns["spatrace"] | {"lr_targets": table}
    ax = st.pl.top_edges(adata, top_n=3)
    assert under(ax) == "none significant at q ≤ 0.1 (all pale or hollow)"
    assert "only its group significant (q ≤ 0.1)" in legend(ax)
    white = (np.asarray(ax.collections[0].get_facecolors()) == 1.0).all(axis=1)
    assert white.tolist() == [True, False, True]


def test_largest_q_of_what_is_drawn(some: AnnData, null: AnnData) -> None:
    ax = st.pl.top_edges(some, max_q=0.1)
    assert len(ax.patches) == 4
    assert (
        ax.get_title().splitlines()[0]
        == "4 strongest of 4 ligand–receptor → target edges with q ≤ 0.1"
    )
    ax = st.pl.top_edges(null, max_q=0.1)
    assert ax.texts[0].get_text() == "No ligand–receptor → target edges with q ≤ 0.1"
    ax = st.pl.effect_heatmap(some, "tf_targets", max_q=0.1)
    assert np.count_nonzero(ax.images[0].get_array()) == 4
    assert not holes(ax)
    ax = st.pl.effect_heatmap(null, "tf_targets", max_q=0.1)
    assert "with q ≤ 0.1" in ax.texts[0].get_text()
    for draw in (st.pl.top_edges, st.pl.effect_heatmap):
        with pytest.raises(st.InvalidArgumentError, match="max_q"):
            draw(some, max_q=0)


@pytest.mark.parametrize("kind", ["lr_targets", "tf_targets"])
def test_fields_that_are_not_significant_are_hollow(
    null: AnnData, some: AnnData, kind: str
) -> None:
    ax = st.pl.effect_heatmap(null, kind)
    drawn = set(zip(*map(list, np.nonzero(np.asarray(ax.images[0].get_array()))), strict=True))
    assert holes(ax) == drawn
    assert under(ax) == "none of the effects significant at q ≤ 0.1 (all hollow)"
    ax = st.pl.effect_heatmap(some, kind)
    image = np.asarray(ax.images[0].get_array())
    assert len(holes(ax)) == np.count_nonzero(image) - 4
    full = [
        abs(image[k])
        for k in zip(*np.nonzero(image), strict=True)
        if tuple(map(int, k)) not in holes(ax)
    ]
    assert min(full) >= max(abs(image[k]) for k in holes(ax))


def test_types_that_are_significant_have_a_dot(null: AnnData, some: AnnData) -> None:
    ax = st.pl.communication(null)
    n = np.count_nonzero(ax.images[0].get_array())
    assert len(ax.collections[0].get_offsets()) == 0
    assert under(ax) == f"0 of {n} fields significant at q ≤ 0.1"
    table = st.get.communication(some)
    table = table[(table["q_value"] <= 0.1) & (table["score"] > 0)]
    ax = st.pl.communication(some)
    names = [[t.get_text() for t in axis.get_ticklabels()] for axis in (ax.yaxis, ax.xaxis)]
    marked = {(names[0].index(r.sender), names[1].index(r.receiver)) for r in table.itertuples()}
    assert {(round(y), round(x)) for x, y in ax.collections[0].get_offsets()} == marked
    assert under(ax) == f"{len(marked)} of {n} fields significant at q ≤ 0.1 (dots)"
    one = st.pl.communication(null, pair=st.get.activity(null).var_names[0])
    assert under(one).endswith("fields significant at q ≤ 0.1")
    ax = st.pl.communication(null, max_q=0.1)
    assert ax.texts[0].get_text() == "No communication with q ≤ 0.1:\nthe smallest q is 1"


def test_steps_that_are_not_significant_are_dashed(null: AnnData, some: AnnData) -> None:
    adata = st.tl.cascades(null, max_q=1.0, copy=True)
    ax = st.pl.cascades(adata, top_n=5)
    assert under(ax) == "none with both steps significant at q ≤ 0.1 (all dashed)"
    assert all(line.get_linestyle() == "--" for line in ax.lines)
    assert any("dashed = not significant (q > 0.1)" in t.get_text() for t in ax.texts)
    adata = st.tl.cascades(some, max_q=1.0, copy=True)
    ax = st.pl.cascades(adata, top_n=None)
    first = st.get.lr_tfs(some)
    second = st.get.tf_targets(some)
    both = set(first.loc[first["q_value"] <= 0.1, "tf"]) | set(
        second.loc[second["q_value"] <= 0.1, "tf"]
    )
    assert both
    assert 0 < sum(line.get_linestyle() == "-" for line in ax.lines) <= 8


def test_modules_without_a_significant_pair_are_hollow(null: AnnData, some: AnnData) -> None:
    axes = st.pl.modules(st.tl.modules(null, max_q=1.0, n_modules=2, copy=True))
    for ax in axes:
        assert len(holes(ax)) == np.count_nonzero(ax.images[0].get_array())
    assert under(axes[0]) == "none significant at q ≤ 0.1 (all hollow)"
    axes = st.pl.modules(st.tl.modules(some, max_q=1.0, n_modules=2, copy=True), top_pairs=None)
    known = st.get.lr_pairs(some).head(4)
    known = set(known["ligand"] + " → " + known["receptor"])
    names = [t.get_text() for t in axes[0].xaxis.get_ticklabels()]
    image = np.asarray(axes[0].images[0].get_array())
    if len(names) == image.shape[1]:
        assert {names[column] for _, column in holes(axes[0])} == set(names) - known
    assert under(axes[0]).startswith("4 of ")


def test_targets_without_a_significant_edge_are_hollow(null: AnnData, some: AnnData) -> None:
    tf = str(st.get.tf_targets(some)["tf"][0])
    for adata, word in ((null, "none"), (some, "of 8")):
        done = st.tl.knockout(adata, tf=tf, copy=True)
        axes = plt.subplots()[1]
        axes.plot([0], [0], label="a foreign label")
        ax = st.pl.knockout(done, top_n=8, ax=axes)
        assert word in under(ax)
        table = st.get.knockout(done).head(8)
        bars = next(c for c in ax.containers if type(c).__name__ == "BarContainer" and len(c) == 8)
        assert [bar.get_facecolor()[3] == 0 for bar in bars] == (
            table["evidence"] != "supported"
        ).tolist()
        assert all(bar.get_edgecolor()[3] > 0 for bar in bars)
        assert legend(ax)[0] == "direct effect"
        label = "no significant edge to the target (q ≤ 0.1)"
        assert legend(ax)[-2:] == [label, "a foreign label"]


def test_changes_that_are_not_significant_are_pale(null: AnnData, some: AnnData) -> None:
    for adata, kind, first in (
        (null, "lr_pair_activity", 0),
        (some, "lr_pair_activity", 4),
        (some, "tf_targets", 4),
    ):
        done = st.tl.compare(adata, "stage", top_n=10, copy=True)
        stored = done.uns["spatrace"]["comparison"]
        stored[kind] = stored[kind].assign(change="changed", q_value=0.01)
        ax = st.pl.comparison(done, kind, top_n=None)
        table = st.get.comparison(done, kind)
        overall = getattr(st.get, "lr_pairs" if kind == "lr_pair_activity" else kind)(done).head(
            first
        )
        keys = [c for c in ("tf", "target", "ligand", "receptor") if c in table]
        known = [
            tuple(r) in set(map(tuple, overall[keys].to_numpy())) for r in table[keys].to_numpy()
        ]
        assert any(known) == bool(first)
        assert [bool(c[3] == 1) for c in ax.collections[-1].get_facecolors()] == known
        assert "not significant (q > 0.1):\nthe change, or the overall effect" in legend(ax)
        assert under(ax).startswith(
            f"{sum(known)} of " if first else "none significant at q ≤ 0.1 (all pale)"
        )


def test_a_map_states_the_q_of_its_pair(null: AnnData, some: AnnData) -> None:
    name = str(st.get.activity(null).var_names[0]).replace("^", " → ")
    figure = st.pl.spatial(null)[0].figure
    assert figure.get_suptitle() == f"{name}: q = 1 (not significant)"
    assert "q = 1 (not significant)" in figure.axes[-1].get_ylabel()
    assert st.pl.spatial(some)[0].figure.get_suptitle() == f"{name}: q = 0.05"
    figure = plt.subplots(2, 3)[0]
    st.pl.spatial(null, ax=figure.axes)
    assert figure.get_suptitle() == ""
    assert "q = 1" in figure.axes[-1].get_ylabel()


def test_a_map_of_a_tf(some: AnnData, null: AnnData) -> None:
    cells = st.get.activity(some, "tfs")
    tf = str(st.get.tf_targets(some)["tf"][0])
    axes = st.pl.spatial(some, tf, kind="tfs")
    n = (st.get.tf_targets(some).head(4)["tf"] == tf).sum()
    assert (
        axes[0].figure.get_suptitle()
        == f"{tf}: {n} significant target{'s' if n > 1 else ''} (q ≤ 0.1)"
    )
    drawn = np.concatenate([np.asarray(ax.collections[1].get_array()) for ax in axes])
    value = cells[:, tf].X.ravel()
    np.testing.assert_allclose(np.sort(drawn), np.sort(value[np.isfinite(value)]))
    low, high = axes[0].collections[1].get_clim()
    assert low == -high < 0
    assert axes[0].collections[1].get_cmap().name == "RdBu_r"
    strongest = st.pl.spatial(null, kind="tfs")[0].figure.get_suptitle()
    assert strongest == f"{cells.var_names[0]}: no significant targets (q ≤ 0.1)"


def test_a_map_of_a_module(some: AnnData) -> None:
    adata = st.tl.modules(some, max_q=1.0, n_modules=2, copy=True)
    cells = st.get.activity(adata, "modules")
    axes = st.pl.spatial(adata, "M2", kind="modules")
    assert axes[0].figure.get_suptitle().startswith(str(cells.var_names[1]).replace("^", " → "))
    assert "pairs significant (q ≤ 0.1)" in axes[0].figure.get_suptitle()
    drawn = np.concatenate([np.asarray(ax.collections[1].get_array()) for ax in axes])
    assert drawn.max() == pytest.approx(np.nanmax(cells.X[:, 1]))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"pair": "TF003"}, r"is a TF.*st\.pl\.spatial\(adata, 'TF003', kind='tfs'\)"),
        ({"pair": "tf003"}, "Did you mean 'TF003'.*kind='tfs'"),
        ({"pair": "LIG003"}, r"is a ligand, not a pair"),
        ({"pair": "REC003"}, r"is a receptor, not a pair"),
        ({"pair": "lig003^REC001"}, "Did you mean 'LIG003'"),
        ({"pair": "GATA4"}, "no ligand, receptor or TF"),
        ({"pair": "TF03", "kind": "tfs"}, r"no TF of the result.*Did you mean 'TF00"),
        ({"pair": "LIG003", "kind": "tfs"}, "It is a ligand"),
        ({"kind": "tf"}, "Did you mean 'tfs'"),
    ],
)
def test_names_of_other_kinds_are_recognised(result: AnnData, arguments: dict, text: str) -> None:
    with pytest.raises(st.InvalidArgumentError, match=text):
        st.pl.spatial(result, **arguments)


def test_a_pair_without_effect_has_no_map(result: AnnData) -> None:
    table = st.get.lr_pairs(result)
    row = table[table["score"] == 0].iloc[0]
    with pytest.raises(st.InvalidArgumentError, match="no effect on any target"):
        st.pl.spatial(result, (row["ligand"], row["receptor"]))
    with pytest.raises(st.MissingKeyError, match=r"st\.tl\.modules"):
        st.pl.spatial(result, kind="modules")
