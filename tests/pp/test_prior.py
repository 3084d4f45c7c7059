"""Priors out of resources: complexes, names, roles, reports and errors."""

from __future__ import annotations

import builtins
import importlib
import logging
import types

import numpy as np
import pandas as pd
import pytest
from _helpers import NOTHING_SIGNIFICANT, assert_unchanged, snapshot, tiny_config, tissue
from anndata import AnnData

import spatrace_sc as st

pytestmark = pytest.mark.filterwarnings(NOTHING_SIGNIFICANT)


def data(genes=("A", "B", "C", "R", "S", "T", "G_1"), **var):
    return AnnData(
        np.ones((3, len(genes)), dtype=np.float32), var=pd.DataFrame(var, index=list(genes))
    )


def rows(table):
    return [tuple(r) for r in table.itertuples(index=False)]


def lr(*pairs, **columns):
    return pd.DataFrame(pairs, columns=["ligand", "receptor"]).assign(**columns)


def test_every_subunit_with_every_subunit_at_full_weight():
    known = lr(("A_B", "R_S"), ("C", "R_elsewhere"))
    edges = st.pp.prior(data(), known, weight=2)
    assert rows(edges) == [
        ("A", "R", 2.0),
        ("A", "S", 2.0),
        ("B", "R", 2.0),
        ("B", "S", 2.0),
        ("C", "R", 2.0),
    ]
    assert list(edges.columns) == ["ligand", "receptor", "weight"]


def test_a_name_that_is_a_gene_is_not_split():
    assert rows(st.pp.prior(data(), lr(("G_1", "R")))) == [("G_1", "R", 1.0)]


def test_an_edge_named_several_times_keeps_its_largest_weight():
    known = lr(("A", "R"), ("A_B", "R"), ("A", "R"), weight=[0.5, 3.0, 1.0])
    assert rows(st.pp.prior(data(), known, weight=2.0)) == [("A", "R", 6.0), ("B", "R", 6.0)]


def test_only_flagged_genes_are_used():
    adata = data(ligand=[True, False, False, False, False, False, False])
    known = lr(("A", "R"), ("B", "S"))
    assert rows(st.pp.prior(adata, known)) == [("A", "R", 1.0)]
    with pytest.raises(st.DataError, match="not flagged"):
        st.pp.prior(data(ligand=[True] + [False] * 6, receptor=[False] * 7), lr(("B", "R")))


def test_tf_tables_and_those_of_decoupler_whose_weight_is_a_sign():
    known = pd.DataFrame({"source": ["A", "B"], "target": ["R", "S"], "weight": [-1.0, 0.5]})
    edges = st.pp.prior(data(), known, weight=3)
    assert list(edges.columns) == ["tf", "target", "weight"]
    assert rows(edges) == [("A", "R", 3.0), ("B", "S", 1.5)]
    weighted = known.rename(columns={"source": "tf"})
    with pytest.raises(st.InvalidArgumentError, match="at least 0"):
        st.pp.prior(data(), weighted)


def test_orthologs_one_to_many_both_ways():
    # two genes of the data are X of the resource; one gene of the data is both Y and Z
    orthologs = pd.DataFrame(
        {"source": ["A", "B", "R", "R", "lost"], "target": ["X", "X", "Y", "Z", "X"]}
    )
    edges = st.pp.prior(
        data(), lr(("X", "Y"), ("X", "Z"), ("A", "Y"), weight=[1.0, 2.0, 9.0]), orthologs=orthologs
    )
    assert rows(edges) == [("A", "R", 2.0), ("B", "R", 2.0)]  # A by itself is not in the mapping
    complexes = st.pp.prior(data(), lr(("X", "Y_elsewhere")), orthologs=orthologs)
    assert rows(complexes) == [("A", "R", 1.0), ("B", "R", 1.0)]


@pytest.mark.parametrize(
    ("orthologs", "says"),
    [
        ("table", "found str"),
        (pd.DataFrame({"source": ["A"]}), r"found \['source'\]"),
        (pd.DataFrame({"source": ["other"], "target": ["X"]}), "none of its sources"),
        (pd.DataFrame({"source": ["A"], "target": ["other"]}), "none of its targets"),
        (
            pd.DataFrame({"source": ["X"], "target": ["A"]}),
            "columns seem to be swapped: source is the name in the data",
        ),
    ],
)
def test_orthologs_without_a_match(orthologs, says):
    with pytest.raises(st.InvalidArgumentError, match=says):
        st.pp.prior(data(), lr(("X", "Y")), orthologs=orthologs)


def test_symbols_are_the_labels_of_results():
    adata = data(symbol=["Wnt5a", "Wnt5a", None, "Fzd1", "Fzd2", "x", "y"])
    edges = st.pp.prior(adata, lr(("Wnt5a", "Fzd1"), ("C", "Fzd2")), gene_symbols="symbol")
    assert rows(edges) == [
        ("Wnt5a (A)", "Fzd1", 1.0),
        ("Wnt5a (B)", "Fzd1", 1.0),
        ("C", "Fzd2", 1.0),
    ]


def test_names_of_infer_ccc_and_of_the_prior_agree():
    adata = tissue()
    adata.var["symbol"] = [n.replace("LIG", "lig").replace("REC", "rec") for n in adata.var_names]
    edges = st.pp.prior(adata, lr(("lig000", "rec000")), gene_symbols="symbol")
    st.tl.infer_ccc(
        adata, sample_key="sample", gene_symbols="symbol", prior=edges, config=tiny_config()
    )
    assert adata.uns["spatrace"]["params"]["prior"] == "1 ligand, receptor"


def test_report_and_log(caplog):
    with caplog.at_level(logging.INFO, logger="spatrace_sc"):
        edges = st.pp.prior(data(), lr(("A_no", "R"), ("nor", "this")))
    assert edges.attrs["report"] == {
        "rows": 2,
        "used": 1,
        "ligand": {"matched": 1, "missing": ["no", "nor"]},
        "receptor": {"matched": 1, "missing": ["this"]},
    }
    assert "1 edges from 1 of 2 rows; 1 of 3 ligands (missing: 'no', 'nor')" in caplog.text


def test_no_edge_is_an_empty_table_and_a_warning(caplog):
    edges = st.pp.prior(data(), lr(("A", "no"), ("no", "R")))
    assert rows(edges) == []
    assert list(edges.columns) == ["ligand", "receptor", "weight"]
    assert "0 edges from 0 of 2 rows" in caplog.text


@pytest.mark.parametrize(
    ("genes", "says"),
    [(("a", "r"), "upper and lower case"), (("X1", "X2"), "Check species"), (("A", "x"), None)],
)
def test_no_gene_is_an_error_with_a_reason(genes, says):
    if says is None:
        assert not len(st.pp.prior(data(genes), lr(("A", "R"))))
        return
    with pytest.raises(st.DataError, match=says):
        st.pp.prior(data(genes), lr(("A", "R")))


def test_missing_names_are_left_out():
    edges = st.pp.prior(data(), lr(("A", "R"), (None, "R"), ("B", np.nan)))
    assert rows(edges) == [("A", "R", 1.0)]
    assert edges.attrs["report"]["rows"] == 1


@pytest.mark.parametrize("weight", [0, -1.0, np.nan, "much", True, None])
def test_weight_must_be_positive(weight):
    with pytest.raises(st.InvalidArgumentError, match="`weight`"):
        st.pp.prior(data(), lr(("A", "R")), weight=weight)


@pytest.mark.parametrize(
    "resource",
    ["consensus", "omnipath:all", 3, None, pd.DataFrame({"a": [1]}), "decoupler:collectr"],
)
def test_resources_that_are_none(resource, monkeypatch):
    monkeypatch.setattr(
        "spatrace_sc.pp._resources.import_module",
        lambda name: types.SimpleNamespace(op=types.SimpleNamespace()),
    )
    with pytest.raises(st.InvalidArgumentError, match="`resource`"):
        st.pp.prior(data(), resource)


@pytest.mark.parametrize(
    ("resource", "package"), [("liana:consensus", "liana"), ("decoupler:collectri", "decoupler")]
)
def test_without_the_package(resource, package, monkeypatch):
    real = importlib.import_module

    def blocked(name, *rest):
        if name == package:
            raise ModuleNotFoundError(f"No module named '{package}'")
        return real(name, *rest)

    monkeypatch.setattr("spatrace_sc.pp._resources.import_module", blocked)
    with pytest.raises(st.MissingPackageError, match=f"pip install '{package}"):
        st.pp.prior(data(), resource)


def fake_decoupler(monkeypatch, **op):
    module = types.SimpleNamespace(op=types.SimpleNamespace(**op), __version__="2.0")
    monkeypatch.setattr("spatrace_sc.pp._resources.import_module", lambda name: module)


def test_a_network_that_cannot_be_downloaded(monkeypatch):
    def fails():
        raise builtins.ConnectionError("no route to host")

    fake_decoupler(monkeypatch, collectri=fails)
    with pytest.raises(st.DownloadError, match=r"ConnectionError: no route.*pass the table"):
        st.pp.prior(data(), "decoupler:collectri")


def test_a_network_of_decoupler(monkeypatch):
    net = pd.DataFrame({"source": ["A"], "target": ["R"], "weight": [-1.0], "PMID": ["1"]})
    fake_decoupler(monkeypatch, collectri=lambda: net)
    assert rows(st.pp.prior(data(), "decoupler:collectri")) == [("A", "R", 1.0)]


def test_an_old_decoupler(monkeypatch):
    monkeypatch.setattr(
        "spatrace_sc.pp._resources.import_module", lambda name: types.SimpleNamespace()
    )
    with pytest.raises(st.MissingPackageError, match="decoupler 2"):
        st.pp.prior(data(), "decoupler:collectri")


@pytest.mark.parametrize(
    ("resource", "genes", "edge"),
    [
        (
            "liana:consensus",
            ("LGALS9", "PTPRC", "ITGA1", "ITGB1", "SEMA7A"),
            {("SEMA7A", "ITGA1"), ("SEMA7A", "ITGB1")},
        ),
        (
            "liana:mouseconsensus",
            ("Dll1", "Notch1", "Notch2"),
            {("Dll1", "Notch1"), ("Dll1", "Notch2")},
        ),
    ],
)
def test_resources_of_liana(resource, genes, edge):
    pytest.importorskip("liana")
    edges = st.pp.prior(data(genes), resource)
    assert edge <= {r[:2] for r in rows(edges)}
    assert not edges.duplicated(["ligand", "receptor"]).any()
    assert edges.attrs["report"]["rows"] > 1000


def test_an_unknown_resource_of_liana():
    pytest.importorskip("liana")
    with pytest.raises(st.InvalidArgumentError, match="Did you mean 'consensus'"):
        st.pp.prior(data(), "liana:consensu")


def test_nothing_is_written_and_the_order_of_genes_does_not_matter():
    adata = tissue()
    before = snapshot(adata)
    known = adata.uns["truth"]["lr_pairs"][["ligand", "receptor"]]
    edges = st.pp.prior(adata, known)
    assert_unchanged(adata, before)
    turned = st.pp.prior(adata[:, ::-1].copy(), known)
    pd.testing.assert_frame_equal(edges, turned)
    assert len(edges) == len(known)
