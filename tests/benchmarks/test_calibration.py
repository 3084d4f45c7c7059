from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from benchmarks.calibration.measure import measured, membership, worth
from benchmarks.calibration.naive import shuffled
from benchmarks.calibration.report import draw, frame, null_shares, printed, read_rows
from benchmarks.calibration.tissues import TISSUES, true_edges
from benchmarks.recovery.tissue import Tissue

import spatrace_sc as st

#: Range of the share of null LR edges with p ≤ .05 on a tissue in which ligands do nothing.
BAND = (0.01, 0.06)


@pytest.fixture(scope="module")
def null():
    """Ligands do nothing."""
    tissue = TISSUES["null"](107)
    st.tl.infer_ccc(
        tissue.adata, **tissue.arguments, config=st.Config(progress=False), device="cpu"
    )
    return tissue


@pytest.fixture(scope="module")
def acting(easy):
    """Tissue of the easy kind."""
    tissue = TISSUES["easy"](107)
    np.testing.assert_array_equal(tissue.adata.X.data, easy.X.data)
    return replace(tissue, adata=easy)


@pytest.mark.slow
def test_nothing_is_discovered_where_ligands_do_nothing(null):
    assert (st.get.lr_targets(null.adata)["q_value"] > 0.1).all()
    assert (st.get.lr_pairs(null.adata)["q_value"] > 0.1).all()
    assert (st.get.lr_targets(null.adata)["route"] != "mediated").all()


@pytest.mark.slow
def test_p_of_edges_that_do_not_exist_is_nearly_uniform(null):
    p = st.get.lr_targets(null.adata)["p_value"].to_numpy()
    low, high = BAND
    assert low < (p <= 0.05).mean() < high
    assert 0.35 < (p <= 0.5).mean() < 0.65


@pytest.mark.parametrize(
    ("task", "found", "false"),
    [("tf_targets", 0.4, 0.25), ("lr_targets", 0.4, 0.2), ("lr_pairs", 0.5, 0.25)],
)
def test_most_discoveries_are_true(acting, task, found, false):
    scores = worth(getattr(st.get, task)(acting.adata), acting, task)
    assert scores["power"]["0.1"] > found
    assert scores["false"]["0.1"] <= false
    assert scores["false_any"]["0.1"] <= scores["false"]["0.1"]


def test_decoys_alone_would_call_many_false_tf_edges(acting):
    """What the second test of TF edges is for: without it a third is false."""
    table = st.get.tf_targets(acting.adata)
    strong = table.assign(q_value=np.where(table["stability"] >= 0.9, 0.05, 1.0))
    assert (
        worth(strong, acting, "tf_targets")["false"]["0.1"]
        > worth(table, acting, "tf_targets")["false"]["0.1"] + 0.1
    )


def tiny():
    var = pd.DataFrame(
        {
            "ligand": [True, False, False, False, False, False],
            "receptor": [False, True, False, False, False, False],
            "tf": [False, False, True, True, True, False],
            "target": [False, False, False, False, False, True],
        },
        index=["L", "R", "a", "b", "c", "g"],
    )
    truth = {
        "tf_targets": pd.DataFrame({"tf": ["c"], "target": ["g"]}),
        "tf_tfs": pd.DataFrame({"tf": ["a", "b"], "target": ["b", "c"]}),
        "lr_targets": pd.DataFrame(
            {"ligand": ["L"], "receptor": ["R"], "target": ["g"], "kind": ["indirect"]}
        ),
        "lr_pairs": pd.DataFrame({"ligand": ["L"], "receptor": ["R"]}),
    }
    return Tissue(AnnData(np.zeros((2, 6), dtype=np.float32), var=var), {}, truth)


def test_chains_of_tfs_count_as_true_when_indirect_edges_do():
    direct, every = true_edges(tiny(), "tf_targets")
    assert list(direct["tf"]) == ["c"]
    assert sorted(every["tf"]) == ["a", "b", "c"]
    direct, every = true_edges(tiny(), "lr_targets")
    assert (len(direct), len(every)) == (0, 1)


def test_worth_by_hand():
    table = pd.DataFrame(
        {
            "tf": ["a", "b", "c"],
            "target": "g",
            "p_value": [0.01, 0.9, 0.001],
            "q_value": [0.05, 1.0, 0.02],
        }
    )
    scores = worth(table, tiny(), "tf_targets")
    assert scores["found"] == {"0.01": 0, "0.02": 1, "0.05": 2, "0.1": 2, "0.2": 2, "0.3": 2}
    assert (scores["false"]["0.02"], scores["false"]["0.1"]) == (0.0, 0.5)
    assert (scores["false_any"]["0.1"], scores["power"]["0.1"]) == (0.0, 1.0)


def test_unmeasured_edges_do_not_count():
    tissue = tiny()
    tissue.adata.var.loc["c", "tf"] = False
    assert len(measured(tissue.truth["tf_targets"], tissue)) == 0
    table = pd.DataFrame({"tf": ["a", "b"], "target": "g", "p_value": 0.5, "q_value": [0.05, 1.0]})
    assert worth(table, tissue, "tf_targets")["power"]["0.1"] is None


def test_membership_looks_at_all_keys():
    table = pd.DataFrame({"tf": ["a", "c"], "target": ["g", "x"]})
    assert list(
        membership(table, pd.DataFrame({"tf": ["a", "c"], "target": ["g", "g"]}), ["tf", "target"])
    ) == [
        True,
        False,
    ]


def test_shuffled_keeps_strata_and_moves_cells():
    stratum = np.repeat([0, 1, 2], 50)
    order = shuffled(stratum, np.random.default_rng(0))
    assert (stratum[order] == stratum).all()
    assert sorted(order) == list(range(150))
    assert (order != np.arange(150)).mean() > 0.9


def test_hidden_tissue_lists_no_acting_gene():
    tissue = TISSUES["hidden"](107)
    var, pairs = tissue.adata.var, tissue.truth["lr_pairs"]
    assert not set(pairs["ligand"]) & set(var.index[var["ligand"]])
    assert not set(pairs["receptor"]) & set(var.index[var["receptor"]])
    assert var["ligand"].any()
    assert var["receptor"].any()
    assert var["tf"].sum() == 6
    assert "truth" not in tissue.adata.uns


def test_report_prints_and_draws(tmp_path):
    task = {"found": 4, "false": 0.25, "false_any": 0.0, "power": 0.5}
    levels = ("0.01", "0.02", "0.05", "0.1", "0.2", "0.3")
    shares = dict.fromkeys(("0.01", "0.05", "0.1", "0.25", "0.5", "0.75", "0.9"), 0.1)
    found = {k: dict.fromkeys(levels, v) for k, v in task.items()} | {
        "null_p": shares,
        "grouped": 1,
        "grouped_true": 1,
    }
    routes = {"called_direct": [3, 4, 5], "called_mediated": [1, 1, 2]}
    row = {"data": "null", "seed": 1, "cpu": 2.0, "naive permutation": {"lr_targets": found}}
    row["ours"] = {"tf_targets": found, "lr_pairs": found, "lr_targets": found | routes}
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join([pd.Series(row).to_json()] * 2) + "\n")
    rows = read_rows(file)
    assert len(rows) == 1
    assert frame(rows)["false"].eq(0.25).all()
    assert null_shares(rows)["share"].eq(0.1).all()
    text = printed(rows)
    assert "called direct 5: 3 direct, 1 indirect" in text
    assert draw(rows, tmp_path / "figure.png").stat().st_size > 10_000
