"""Exports: what other packages read, and that they read it."""

from __future__ import annotations

import importlib
import logging

import numpy as np
import pandas as pd
import pytest
from _helpers import assert_unchanged, small_result, snapshot

import spatrace_sc as st
from spatrace_sc import _keys

nx = pytest.importorskip("networkx")

GENE_KINDS = ["tf_targets", "lr_targets", "lr_tfs", "lr_pairs"]
SOURCES = {
    "tf_targets": ["tf"],
    "lr_targets": ["ligand", "receptor"],
    "lr_tfs": ["ligand", "receptor"],
}
ENDS = {"tf_targets": "target", "lr_targets": "target", "lr_tfs": "tf"}


def by_hand(result, kind, max_q, stage=None):
    """{(source, target): effect} in a loop."""
    found = {}
    for row in getattr(st.get, kind)(result, stage).to_dict("records"):
        if row["effect"] != 0 and (max_q is None or row["q_value"] <= max_q):
            found["^".join(row[c] for c in SOURCES[kind]), row[ENDS[kind]]] = row["effect"]
    return found


@pytest.mark.parametrize("stage", [None, "E2"])
@pytest.mark.parametrize("max_q", [0.1, 0.5, None])
@pytest.mark.parametrize("kind", SOURCES)
def test_decoupler_network(result, kind, max_q, stage):
    net = st.get.to_decoupler(result, kind, stage, max_q=max_q)
    assert list(net.columns) == ["source", "target", "weight"]
    assert not net.duplicated(["source", "target"]).any()
    expected = by_hand(result, kind, max_q, stage)
    assert {(s, t): w for s, t, w in net.itertuples(index=False)} == expected
    assert (net["weight"].abs().diff().dropna() <= 0).all()
    assert list(net.index) == list(range(len(net)))
    if max_q is None:
        assert len(net) > 10


def test_decoupler_scores_cells_with_the_network(result):
    decoupler = pytest.importorskip("decoupler")
    adata = result.copy()
    net = st.get.to_decoupler(adata, max_q=None)
    cells = pd.DataFrame(
        adata.X.toarray() if hasattr(adata.X, "toarray") else adata.X, columns=adata.var_names
    )
    score, p = decoupler.mt.ulm(data=cells, net=net, tmin=3)
    assert set(score.columns) <= set(net["source"])
    assert score.shape == (adata.n_obs, len(score.columns)) == p.shape
    assert len(score.columns) > 3


def test_liana_table(result):
    table = st.get.to_liana(result)
    assert list(table.columns) == _keys.LIANA
    own = st.get.communication(result)
    own = own[own["score"] > 0]
    for theirs, ours in zip(
        ["source", "target", "ligand_complex", "receptor_complex", "score", "q_value"],
        ["sender", "receiver", "ligand", "receptor", "score", "q_value"],
        strict=True,
    ):
        assert list(table[theirs]) == list(own[ours])
    few = st.get.to_liana(result, "E2", max_q=0.3)
    assert (few["q_value"] <= 0.3).all()
    keys = ["source", "target", "ligand_complex", "receptor_complex"]
    assert not table.duplicated(keys).any()


@pytest.mark.filterwarnings("ignore")
def test_liana_draws_the_table(result, tmp_path):
    liana = pytest.importorskip("liana")
    adata = result.copy()
    adata.uns["liana_res"] = st.get.to_liana(adata)
    drawn = liana.pl.dotplot(
        adata,
        colour="score",
        size="q_value",
        inverse_size=True,
        top_n=5,
        orderby="score",
        orderby_ascending=False,
    )
    drawn.save(tmp_path / "dots.png", verbose=False, dpi=60)
    assert (tmp_path / "dots.png").stat().st_size > 5000
    assert drawn.data["interaction"].nunique() == 5
    adata.write_h5ad(tmp_path / "kept.h5ad")


@pytest.mark.parametrize("max_q", [0.1, None])
@pytest.mark.parametrize("kind", GENE_KINDS)
def test_graph_has_the_edges_of_the_table(result, kind, max_q):
    graph = st.get.to_networkx(result, kind, max_q=max_q)
    assert isinstance(graph, nx.DiGraph)
    table = getattr(st.get, kind)(result)
    kept = table[
        (table["score"] > 0) & ((table["q_value"] <= max_q) if max_q is not None else True)
    ]
    assert graph.number_of_edges() == len(kept)
    for row in kept.head(50).to_dict("records"):
        source = row["ligand"] if kind == "lr_pairs" else "^".join(row[c] for c in SOURCES[kind])
        edge = graph.edges[source, row["receptor"] if kind == "lr_pairs" else row[ENDS[kind]]]
        assert edge["weight"] == row["score"] > 0
        assert edge["q_value"] == row["q_value"]
        assert edge["kind"] == kind
        if kind != "lr_pairs":
            assert edge["effect"] == row["effect"]
    assert {d["role"] for _, d in graph.nodes(data=True)} <= {
        "tf",
        "target",
        "pair",
        "ligand",
        "receptor",
    }


@pytest.mark.parametrize("kind", [*GENE_KINDS, "communication", ["lr_tfs", "tf_targets"]], ids=str)
@pytest.mark.parametrize("max_q", [0.1, None])
def test_graphml_gives_back_the_same_graph(result, kind, max_q, tmp_path):
    graph = st.get.to_networkx(result, kind, max_q=max_q)
    for *_, data in [*graph.nodes(data=True), *graph.edges(data=True)]:
        for value in data.values():
            assert type(value) in {str, float}
            assert value == value  # no NaN
    nx.write_graphml(graph, tmp_path / "graph.graphml")
    back = nx.read_graphml(tmp_path / "graph.graphml", force_multigraph=graph.is_multigraph())
    assert back.is_directed()
    assert dict(back.nodes(data=True)) == dict(graph.nodes(data=True))
    assert sorted(back.edges(data=True), key=str) == sorted(graph.edges(data=True), key=str)
    if graph.is_multigraph():
        assert set(back.edges(keys=True)) == set(graph.edges(keys=True))
    assert back.graph["kind"] == graph.graph["kind"]


def test_cells_types_are_linked_by_every_pair(result):
    graph = st.get.to_networkx(result, "communication", max_q=None)
    table = st.get.communication(result)
    table = table[table["score"] > 0]
    assert graph.number_of_edges() == len(table)
    top = table.iloc[0]
    edge = graph.edges[top["sender"], top["receiver"], f"{top['ligand']}^{top['receptor']}"]
    assert edge["weight"] == top["score"]
    assert (edge["ligand"], edge["receptor"]) == (top["ligand"], top["receptor"])
    assert set(nx.get_node_attributes(graph, "role").values()) == {"cell type"}


def test_several_tables_in_one_graph_share_their_genes(result):
    both = st.get.to_networkx(result, ["lr_tfs", "tf_targets"], max_q=None)
    parts = [st.get.to_networkx(result, k, max_q=None) for k in ("lr_tfs", "tf_targets")]
    assert both.number_of_edges() == sum(p.number_of_edges() for p in parts)
    shared = set(parts[0]) & set(parts[1])
    assert shared
    assert {both.nodes[n]["role"] for n in shared} == {"tf"}
    assert {d["kind"] for *_, d in both.edges(data=True)} == {"lr_tfs", "tf_targets"}


def test_a_gene_with_two_roles_names_both():
    adata = small_result().copy()
    adata.uns["spatrace"] = dict(adata.uns["spatrace"])
    genes = dict(adata.uns["spatrace"]["genes"])
    genes["targets"] = np.array([genes["tfs"][0], *genes["targets"][1:]], dtype=object)
    adata.uns["spatrace"]["genes"] = genes
    graph = st.get.to_networkx(adata, max_q=None)
    assert set(graph.nodes[genes["tfs"][0]]["role"].split(" | ")) == {"tf", "target"}


@pytest.mark.parametrize("call", [st.get.to_decoupler, st.get.to_liana, st.get.to_networkx])
def test_an_empty_export_is_reported(result, call, caplog):
    with caplog.at_level(logging.INFO, logger="spatrace_sc"):
        found = call(result, max_q=0.0)
    assert len(found) == 0
    assert "nothing is exported" in caplog.text
    if isinstance(found, pd.DataFrame):
        assert len(found.columns) >= 3


@pytest.mark.parametrize("call", [st.get.to_decoupler, st.get.to_liana, st.get.to_networkx])
def test_nothing_is_written(result, call):
    before = snapshot(result)
    call(result, max_q=None)
    assert_unchanged(result, before)


@pytest.mark.parametrize("max_q", [-0.1, 1.5, "small", True, np.nan])
@pytest.mark.parametrize("call", [st.get.to_decoupler, st.get.to_liana, st.get.to_networkx])
def test_bad_q(result, call, max_q):
    with pytest.raises(st.InvalidArgumentError, match="`max_q`"):
        call(result, max_q=max_q)


def test_bad_kinds(result):
    with pytest.raises(st.InvalidArgumentError, match=r"`kind`.*Did you mean 'tf_targets'"):
        st.get.to_decoupler(result, "tf_target")
    with pytest.raises(st.InvalidArgumentError, match="`kind`"):
        st.get.to_decoupler(result, "lr_pairs")  # no sign
    for kind in ("lr_target", [], ["tf_targets", "x"]):
        with pytest.raises(st.InvalidArgumentError, match="`kind`"):
            st.get.to_networkx(result, kind)
    with pytest.raises(st.InvalidArgumentError, match="cannot be joined"):
        st.get.to_networkx(result, ["communication", "lr_tfs"])
    with pytest.raises(st.InvalidArgumentError, match="`stage="):
        st.get.to_decoupler(result, stage="E9")
    with pytest.raises(st.MissingKeyError, match="'other'"):
        st.get.to_liana(result, key="other")


def test_without_networkx(result, monkeypatch):
    real = importlib.import_module

    def blocked(name, *rest):
        if name == "networkx":
            raise ModuleNotFoundError("No module named 'networkx'")
        return real(name, *rest)

    monkeypatch.setattr("spatrace_sc.get._exports.import_module", blocked)
    with pytest.raises(st.MissingPackageError, match="pip install networkx"):
        st.get.to_networkx(result)


@pytest.mark.filterwarnings("ignore")
def test_readers_go_straight_to_seaborn(result):
    """Nothing to convert: every row an observation, every column a variable."""
    seaborn = pytest.importorskip("seaborn")
    import matplotlib.pyplot as plt

    edges = st.get.tf_targets(result).head(40)
    figure, axes = plt.subplots(1, 3)
    seaborn.barplot(edges, x="effect", y="tf", ax=axes[0])
    seaborn.scatterplot(
        st.get.lr_targets(result).head(99), x="effect", y="q_value", hue="route", ax=axes[1]
    )
    talk = st.get.communication(result)
    seaborn.heatmap(
        talk.pivot_table(index="sender", columns="receiver", values="score", aggfunc="sum"),
        ax=axes[2],
    )
    assert len(axes[0].patches) == edges["tf"].nunique()
    assert len(axes[1].collections[0].get_offsets()) == 99
    plt.close(figure)
