"""What is significant has a dot or a ring, nothing else is hidden, and a line counts it."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from anndata import AnnData

import spatrace_sc as st
from spatrace_sc.pl._drawing.significance import SIGNIFICANT, counted

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


def marked(ax) -> list[tuple[int, int]]:
    """Column and row of the dots in fields, or rounded positions of rings."""
    marks = [c for c in ax.collections if c.get_gid() == SIGNIFICANT]
    offsets = np.concatenate([np.asarray(c.get_offsets()) for c in marks] or [np.empty((0, 2))])
    return [(round(float(x)), round(float(y))) for x, y in offsets]


def dotted(ax) -> set[tuple[int, int]]:
    """Row and column of the fields with a dot."""
    return {(row, column) for column, row in marked(ax)}


def legend(ax) -> list[str]:
    return [t.get_text() for t in ax.get_legend().get_texts()]


@pytest.mark.parametrize(
    ("significant", "noun", "text"),
    [
        ([False, False], "", "none significant at q ≤ 0.1"),
        ([False], "effects", "none of the effects significant at q ≤ 0.1"),
        ([True, True], "", "all 2 significant at q ≤ 0.1 (dot)"),
        ([True, False, False], "fields", "1 of 3 fields significant at q ≤ 0.1 (dot)"),
    ],
)
def test_the_line_counts(significant: list[bool], noun: str, text: str) -> None:
    assert counted(np.array(significant), noun) == text


@pytest.mark.parametrize("kind", ["lr_targets", "tf_targets", "lr_pairs"])
def test_significant_edges_have_a_ring_and_no_edge_is_hollow(
    null: AnnData, some: AnnData, kind: str
) -> None:
    ax = st.pl.top_edges(null, kind, top_n=6)
    assert under(ax) == "none significant at q ≤ 0.1"
    assert not marked(ax)
    assert "significant (q ≤ 0.1)" not in legend(ax)
    pale = (np.asarray(ax.collections[0].get_facecolors()) > 0.9).all(axis=1)
    assert not pale.any()
    ax = st.pl.top_edges(some, kind, top_n=6)
    n = int((getattr(st.get, kind)(some)["score"] > 0).sum())
    assert under(ax) == f"4 of {n} significant at q ≤ 0.1 (ring)"
    assert sorted(y for _, y in marked(ax)) == [0, 1, 2, 3]
    assert "significant (q ≤ 0.1)" in legend(ax)
    assert len(st.pl.top_edges(some, kind, top_n=4).collections[1].get_offsets()) == 4
    fewer = st.pl.top_edges(some, kind, top_n=3)
    assert under(fewer) == f"4 of {n} significant at q ≤ 0.1 (ring; 3 shown)"


def test_edges_of_a_significant_group_have_a_grey_ring(null: AnnData) -> None:
    adata = null.copy()
    table = adata.uns["spatrace"]["lr_targets"].copy()
    table.loc[1, "group_q_value"] = 0.05
    adata.uns["spatrace"] = adata.uns["spatrace"] | {"lr_targets": table}
    ax = st.pl.top_edges(adata, top_n=3)
    assert under(ax) == "none significant at q ≤ 0.1"
    assert "only its group significant (q ≤ 0.1)" in legend(ax)
    black, grey = (c for c in ax.collections if c.get_gid() == SIGNIFICANT)
    assert len(black.get_offsets()) == 0
    assert [round(float(y)) for _, y in grey.get_offsets()] == [1]


@pytest.mark.parametrize(("kind", "sign"), [("tf_targets", " ‡"), ("lr_targets", "")])
def test_the_dagger_marks_no_significant_edge(
    some: AnnData, null: AnnData, kind: str, sign: str
) -> None:
    for adata, expected in ((some, sign), (null, " †")):
        changed = adata.copy()
        stored = changed.uns["spatrace"]
        names = np.array(stored["groups"], dtype=object)
        names[1:] = "A | B"
        table = stored[kind].assign(group=1)
        changed.uns["spatrace"] = stored | {kind: table, "groups": names}
        labels = [t.get_text() for t in st.pl.top_edges(changed, kind, top_n=3).get_yticklabels()]
        for label in labels:
            assert label.endswith(expected)
            assert ("†" in label) == (expected == " †")


def test_largest_q_of_what_is_drawn(some: AnnData, null: AnnData) -> None:
    ax = st.pl.top_edges(some, max_q=0.1)
    assert len(ax.patches) == 4
    candidates = len(st.get.lr_targets(some))
    assert ax.get_title().splitlines() == [
        "4 strongest of 4 ligand–receptor → target edges",
        f"with nonzero effect and q ≤ 0.1, of {candidates} candidates",
        "all 4 significant at q ≤ 0.1 (ring)",
    ]
    ax = st.pl.top_edges(null, max_q=0.1)
    assert ax.texts[0].get_text() == "No ligand–receptor → target edges with q ≤ 0.1"
    ax = st.pl.effect_heatmap(some, "tf_targets", max_q=0.1)
    assert np.count_nonzero(ax.images[0].get_array()) == 4 == len(dotted(ax))
    ax = st.pl.effect_heatmap(null, "tf_targets", max_q=0.1)
    assert "with q ≤ 0.1" in ax.texts[0].get_text()
    for draw in (st.pl.top_edges, st.pl.effect_heatmap):
        with pytest.raises(st.InvalidArgumentError, match="max_q"):
            draw(some, max_q=0)


@pytest.mark.parametrize("kind", ["lr_targets", "tf_targets"])
def test_significant_fields_have_a_dot(null: AnnData, some: AnnData, kind: str) -> None:
    ax = st.pl.effect_heatmap(null, kind)
    assert not dotted(ax)
    assert under(ax) == "none of the effects significant at q ≤ 0.1"
    ax = st.pl.effect_heatmap(some, kind)
    image = np.asarray(ax.images[0].get_array())
    assert len(dotted(ax)) == 4
    others = set(zip(*map(list, np.nonzero(image)), strict=True)) - dotted(ax)
    assert min(abs(image[k]) for k in dotted(ax)) >= max(abs(image[k]) for k in others)


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


def test_significant_steps_are_solid_with_a_dot(null: AnnData, some: AnnData) -> None:
    adata = st.tl.cascades(null, max_q=1.0, copy=True)
    ax = st.pl.cascades(adata, top_n=5)
    assert under(ax) == "none with both steps significant at q ≤ 0.1"
    assert all(line.get_linestyle() == "--" for line in ax.lines)
    assert len({line.get_alpha() for line in ax.lines}) == 1
    assert not any("solid with a dot" in t.get_text() for t in ax.texts)
    adata = st.tl.cascades(some, max_q=1.0, copy=True)
    ax = st.pl.cascades(adata, top_n=None)
    curves = [line for line in ax.lines if line.get_gid() != SIGNIFICANT]
    dots = [line for line in ax.lines if line.get_gid() == SIGNIFICANT]
    solid = sum(line.get_linestyle() == "-" for line in curves)
    assert 0 < solid == len(dots) <= 8
    assert any("solid with a dot = significant (q ≤ 0.1)" in t.get_text() for t in ax.texts)


def test_significant_pairs_of_modules_have_a_dot(null: AnnData, some: AnnData) -> None:
    axes = st.pl.modules(st.tl.modules(null, max_q=1.0, n_modules=2, copy=True))
    assert not any(dotted(ax) for ax in axes)
    assert under(axes[0]) == "none significant at q ≤ 0.1"
    axes = st.pl.modules(st.tl.modules(some, max_q=1.0, n_modules=2, copy=True), top_pairs=None)
    known = st.get.lr_pairs(some).head(4)
    known = set(known["ligand"] + " → " + known["receptor"])
    names = [t.get_text() for t in axes[0].xaxis.get_ticklabels()]
    image = np.asarray(axes[0].images[0].get_array())
    assert len({column for _, column in dotted(axes[0])}) == 4
    assert all(image[field] > 0 for field in dotted(axes[0]))
    if len(names) == image.shape[1]:
        assert {names[column] for _, column in dotted(axes[0])} == known
    assert under(axes[0]).startswith("4 of ")


def test_targets_with_a_significant_edge_have_a_ring(null: AnnData, some: AnnData) -> None:
    tf = str(st.get.tf_targets(some)["tf"][0])
    for adata, word in ((null, "hypotheses"), (some, "of 8")):
        done = st.tl.knockout(adata, tf=tf, copy=True)
        axes = plt.subplots()[1]
        axes.plot([0], [0], label="a foreign label")
        ax = st.pl.knockout(done, top_n=8, ax=axes)
        assert word in under(ax)
        supported = (st.get.knockout(done).head(8)["evidence"] == "supported").to_numpy()
        assert sorted(y for _, y in marked(ax)) == list(np.flatnonzero(supported))
        bars = next(c for c in ax.containers if type(c).__name__ == "BarContainer" and len(c) == 8)
        assert all(bar.get_facecolor()[3] == 1 for bar in bars)
        assert legend(ax)[0] == "direct effect"
        label = "significant edge to the target (q ≤ 0.1)"
        last = [label] * bool(supported.any()) + ["a foreign label"]
        assert legend(ax)[-len(last) :] == last


def test_significant_changes_have_a_ring_and_a_centre(null: AnnData, some: AnnData) -> None:
    for adata, kind, first in (
        (null, "lr_pair_activity", 0),
        (some, "lr_pair_activity", 4),
        (some, "tf_targets", 4),
    ):
        done = st.tl.compare(adata, "stage", top_n=10, copy=True)
        stored = done.uns["spatrace"]["comparison"]
        q = np.where(np.arange(len(stored[kind])) < 3, 0.01, 0.5)
        stored[kind] = stored[kind].assign(change="changed", q_value=q)
        ax = st.pl.comparison(done, kind, top_n=None)
        table = st.get.comparison(done, kind)
        reader = "lr_pairs" if kind == "lr_pair_activity" else kind
        overall = getattr(st.get, reader)(done).head(first)
        keys = [c for c in ("tf", "target", "ligand", "receptor") if c in table]
        known = set(map(tuple, overall[keys].to_numpy()))
        rows = [k for k, r in enumerate(table[keys].to_numpy()) if tuple(r) in known]
        assert bool(rows) == bool(first)
        assert [y for _, y in marked(ax)] == [0, 1, 2]
        centre = ax.collections[-1]
        np.testing.assert_array_equal(np.round(np.asarray(centre.get_offsets())[:, 1]), rows)
        assert ("significant over all cells (q ≤ 0.1)" in legend(ax)) == bool(first)
        line = f"3 of {len(table)} differences significant at q ≤ 0.1 (ring)"
        assert under(ax) == line


def test_a_map_states_the_q_of_its_pair(null: AnnData, some: AnnData) -> None:
    name = str(st.get.activity(null).var_names[0]).replace("^", " → ")
    figure = st.pl.spatial(null)[0].figure
    assert figure.get_suptitle() == f"{name}: q = 1 (not significant)"
    assert figure.axes[-1].get_ylabel().replace("\n", " ") == "activity (SD of its targets)"
    assert st.pl.spatial(some)[0].figure.get_suptitle() == f"{name}: q = 0.05"
    figure = plt.subplots(2, 3)[0]
    st.pl.spatial(null, ax=figure.axes)
    assert figure.get_suptitle() == ""
    assert f"{name}, q = 1" in figure.axes[-1].get_ylabel()


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
        ({"pair": "GATA4"}, "is not a ligand, receptor or TF"),
        ({"pair": "TF03", "kind": "tfs"}, r"is not a TF of the result.*Did you mean 'TF00"),
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
