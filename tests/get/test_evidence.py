"""The column evidence, unknown standard errors, and their display on a narrow screen."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from _helpers import FEW_GENES, NOTHING_SIGNIFICANT, small_result, tissue
from anndata import AnnData

import spatrace_sc as st
from spatrace_sc import _keys
from spatrace_sc._model.evidence import shared_credit
from spatrace_sc._result import Knockout, Result
from spatrace_sc.get._evidence import add_evidence, evidence_of_knockout

pytestmark = pytest.mark.filterwarnings(NOTHING_SIGNIFICANT)

PAIR = ["ligand", "receptor"]
SE = {"tf_targets": "effect_se", "lr_targets": "effect_se", "lr_pairs": "score_se"}


@pytest.fixture
def mixed():
    """A copy of the result with a few significant edges, one group, and two of co-variation."""
    adata = small_result().copy()
    found = adata.uns["spatrace"] = dict(adata.uns["spatrace"])
    for name in ("lr_targets", "lr_pairs", "tf_targets"):
        found[name] = (
            found[name]
            .assign(q_value=1.0)
            .assign(**({} if name == "tf_targets" else {"group_q_value": 1.0}))
        )
        found[name].loc[[0, 2], "q_value"] = [0.1, 0.03]
    for name, error in (("lr_targets", "effect_se"), ("lr_pairs", "score_se")):
        found[name].loc[1, "group_q_value"] = 0.1
        found[name].loc[4, ["stability", error]] = 0.0
    found["lr_pairs"].loc[5, ["stability", "score_se"]] = [0.5, 0.0]
    return adata


def by_hand(table: pd.DataFrame) -> list[str]:
    out = []
    for row in table.to_dict("records"):
        error = row.get("effect_se", row.get("score_se"))
        if row["score"] == 0:
            out.append("none")
        elif row["q_value"] <= 0.1:
            out.append("supported")
        elif row.get("group_q_value", 1.0) <= 0.1:
            out.append("group")
        elif "tf" not in row and (row["stability"] == 0 or np.isnan(error)):
            out.append("co-variation")
        else:
            out.append("ranked")
    return out


@pytest.mark.parametrize("name", SE)
def test_evidence_agrees_with_the_columns(mixed, name):
    table = getattr(st.get, name)(mixed)
    assert table["evidence"].tolist() == by_hand(table)
    assert table["evidence"].cat.ordered
    assert list(table["evidence"].cat.categories) == [
        "none",
        "co-variation",
        "noise unknown",
        "ranked",
        "group",
        "supported",
    ]
    assert table["evidence"].tolist()[:3] == [
        "supported",
        "ranked" if name == "tf_targets" else "group",
        "supported",
    ]
    if name == "lr_pairs":
        assert table["evidence"].tolist()[4:6] == ["co-variation"] * 2
    assert (table["evidence"] >= "group").sum() == (2 if name == "tf_targets" else 3)
    by_stage = getattr(st.get, name)(mixed, "E2")
    keys = [c for c in ("ligand", "receptor", "tf", "target") if c in table]
    pd.testing.assert_series_equal(
        by_stage.set_index(keys)["evidence"].sort_index(),
        table.set_index(keys)["evidence"].sort_index(),
    )


@pytest.mark.parametrize("name", SE)
@pytest.mark.parametrize("stage", [None, "E1"])
def test_no_standard_error_where_no_refit_selected_the_edge(mixed, name, stage):
    table = getattr(st.get, name)(mixed, stage)
    stored = mixed.uns["spatrace"][name]
    known = table[SE[name]].notna()
    assert known.sum() == (stored[SE[name]] > 0).sum() > 10
    assert (table.loc[known, SE[name]] > 0).all()
    if name == "lr_targets":
        assert (known == (table["stability"] > 0)).all()


def test_a_pair_that_the_second_pass_drops_has_a_stability_but_no_error(mixed):
    row = st.get.lr_pairs(mixed).iloc[5]
    assert row["stability"] == 0.5
    assert np.isnan(row["score_se"])
    assert row["evidence"] == "co-variation"


def test_a_target_on_which_tfs_do_nothing_has_no_smallest_effect(mixed):
    minimum = np.array(mixed.uns["spatrace"]["minimum_effect"], dtype=float)
    minimum[3] = 0.0
    mixed.uns["spatrace"]["minimum_effect"] = minimum
    target = str(mixed.uns["spatrace"]["genes"]["targets"][3])
    table = st.get.tf_targets(mixed)
    unknown = table["minimum_effect"].isna()
    assert (unknown == (table["target"] == target)).all()
    np.testing.assert_allclose(table.loc[~unknown, "minimum_effect"].max(), minimum.max())


def test_no_edge_of_a_target_without_minimum_effect_is_significant():
    """The share is of what exceeds its own error: where that is 0, so is the test's power."""
    from spatrace_sc._model.evidence.minimum_effect import minimum_effect_test

    rng = np.random.default_rng(0)
    se = rng.uniform(0.1, 0.3, size=(6, 40))
    b = se * rng.uniform(-1.0, 1.0, size=se.shape)
    b[0, :20] = 8 * se[0, :20]
    found = minimum_effect_test(b, se, 0.2, 2000, 29)
    assert (found.minimum[:20] > 0).all()
    assert (found.minimum[20:] == 0).all()
    assert found.p_value[:, 20:].min() > 0.3 > found.p_value[0, :20].max()


@pytest.mark.parametrize("width", [80, 100])
@pytest.mark.parametrize("name", SE)
def test_a_narrow_screen_shows_how_far_to_believe_a_row(mixed, name, width, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    with pd.option_context("display.max_columns", 0, "display.width", width):
        text = repr(getattr(st.get, name)(mixed).head())
    head = text.splitlines()[0].split()
    assert head[-3:] == ["q_value", "stability", "evidence"]
    assert "..." in head
    if width == 100:
        assert {"score" if name == "lr_pairs" else "effect", "q_value"} <= set(head)


def test_co_variation_ranks_with_q_1_and_a_p_of_co_variation(monkeypatch):
    """Edges with shared credit only have q = 1 and the p of their strength against decoys.

    Receptors are declared to follow the TFs and to replace them.
    """
    for condition in ("_followed", "_substitution"):
        monkeypatch.setattr(
            shared_credit, condition, lambda problem, fit: torch.ones(len(problem.receptor_level.T))
        )
    adata = st.datasets.simulated(n_cells=500, n_targets=10, signal_strength=0, **FEW_GENES)
    config = st.Config(
        evidence=st.EvidenceConfig(n_resamples=3, n_permutations=1),
        training=st.TrainingConfig(max_epochs=0),
        progress=False,
    )
    st.tl.infer_ccc(adata, sample_key="sample", stage_key="stage", config=config)
    table = st.get.lr_targets(adata)
    alone = table[table["evidence"] == "co-variation"]
    assert len(alone) > 20
    assert (alone["q_value"] == 1).all()
    assert (alone["stability"] == 0).all()
    assert alone["effect_se"].isna().all()
    assert (alone["p_value"] < 1).all()
    assert alone["p_value"].nunique() > 10


def test_exports_stand_unknown_errors(mixed, tmp_path):
    import networkx

    for name in ("lr_targets", "tf_targets"):
        table = st.get.to_decoupler(mixed, name, max_q=None)
        assert np.isfinite(table["weight"]).all()
        assert len(table) == (getattr(st.get, name)(mixed)["score"] > 0).sum()
    assert len(st.get.to_liana(mixed)) > 0
    graph = st.get.to_networkx(mixed, ["lr_targets", "tf_targets"], max_q=None)
    networkx.write_graphml(graph, tmp_path / "graph.graphml")
    mixed.uns["edges"] = st.get.lr_targets(mixed)
    mixed.write_h5ad(tmp_path / "told.h5ad")
    assert st.get.lr_pairs(mixed).dropna().shape[0] < len(st.get.lr_pairs(mixed))


def test_comparison_and_modules_stand_unknown_errors(mixed):
    st.tl.compare(mixed, "stage", top_n=5)
    assert len(st.get.comparison(mixed, "lr_targets")) > 0
    st.tl.modules(mixed, max_q=1.0, n_modules=2)
    assert np.isfinite(st.get.modules(mixed)["weight"]).all()


SLOTS = {
    "genes": {
        "ligands": ["la", "lb"],
        "receptors": ["ra"],
        "tfs": ["ta", "tb"],
        "targets": ["g0", "g1", "g2", "g3"],
    },
    "lr_targets": pd.DataFrame(
        {
            "ligand": [0, 1, 1],
            "receptor": 0,
            "target": [0, 1, 2],
            "score": 0.5,
            "q_value": [0.05, 1, 1],
            "group_q_value": [0.05, 0.1, 1],
            "stability": [1.0, 1.0, 0.0],
            "effect_se": [0.1, 0.1, 0.0],
        }
    ),
    "lr_tfs": pd.DataFrame(
        {"ligand": 1, "receptor": 0, "tf": [0, 1], "effect": 0.3, "q_value": [0.1, 0.2]}
    ),
    "tf_targets": pd.DataFrame(
        {
            "tf": [0, 0, 1, 1],
            "target": [3, 2, 0, 1],
            "score": 0.4,
            "q_value": [0.01, 0.5, 0.02, 0.3],
            "stability": 1.0,
            "effect_se": 0.1,
        }
    ),
    "communication": pd.DataFrame(
        {
            "sender": ["s", "t"],
            "receiver": "r",
            "ligand": ["la", "lb"],
            "receptor": "ra",
            "score": [0.2, 0.0],
        }
    ),
}


@pytest.mark.parametrize(
    ("removed", "expected"),
    [
        ({"ligand": ["la"]}, ["supported", "none", "none", "none"]),
        ({"ligand": ["lb"]}, ["none", "group", "co-variation", "supported"]),
        ({"receptor": ["ra"]}, ["supported", "group", "co-variation", "supported"]),
        ({"ligand": ["lb"], "receptor": ["ra"]}, ["none", "group", "co-variation", "supported"]),
        ({"tf": ["ta"]}, ["none", "none", "ranked", "supported"]),
        ({"tf": ["tb"]}, ["supported", "ranked", "none", "none"]),
        ({"sender": ["s"]}, ["supported", "none", "none", "none"]),
        ({"sender": ["t"]}, ["none", "none", "none", "none"]),
    ],
)
def test_evidence_of_a_knockout_is_that_of_the_edges_on_its_paths(removed, expected):
    nothing = pd.DataFrame()
    knockout = Knockout("name", removed, nothing, nothing, "", "", max_chain=3)
    result = Result(AnnData(), "spatrace", SLOTS)
    assert evidence_of_knockout(result, knockout).tolist() == expected


def test_a_change_by_co_variation_has_no_error(mixed):
    found = mixed.uns["spatrace"]
    edge = found["lr_targets"].loc[4]
    genes = found["genes"]
    pair = (
        str(genes["ligands"][int(edge["ligand"])]),
        str(genes["receptors"][int(edge["receptor"])]),
    )
    st.tl.knockout(mixed, ligand=pair[0], receptor=pair[1])
    table = st.get.knockout(mixed)
    changed = table["change"] != 0
    assert ((table["evidence"] == "none") == ~changed).all()
    blind = table["evidence"] == "co-variation"
    assert table.loc[blind, ["se", "agreement"]].isna().all(axis=None)
    assert table.loc[~blind, ["se", "agreement"]].notna().all(axis=None)
    assert str(genes["targets"][int(edge["target"])]) in set(table.loc[changed, "target"])


def test_add_evidence_leaves_its_table_alone():
    table = SLOTS["lr_targets"]
    before = table.copy()
    add_evidence(table, noise_known=True)
    pd.testing.assert_frame_equal(table, before)


def test_names_that_differ_in_case_are_suggested():
    from spatrace_sc._check import closest

    assert closest("Wnt3", ["WNT3", "FZD1"]) == " Did you mean 'WNT3'?"
    assert closest("WNT3A", ["Wnt3", "wnt3a", "Wnt3a"]) == " Did you mean 'wnt3a'?"
    assert closest("xyz", ["WNT3"]) == ""
    with pytest.raises(st.InvalidArgumentError, match="Did you mean 'LIG003'"):
        st.tl.knockout(small_result().copy(), ligand="lig003")


def test_stages_without_a_stage_key_are_slices():
    adata = tissue()
    config = st.Config(
        evidence=st.EvidenceConfig(n_resamples=2, n_permutations=1),
        training=st.TrainingConfig(max_epochs=0),
        progress=False,
    )
    st.tl.infer_ccc(adata, sample_key="sample", config=config)
    assert st.get.stages(adata) == sorted(set(adata.obs["sample"]))
    assert _keys.MAX_SIGNIFICANT_Q == 0.1
    title = st.pl.effect_heatmap(adata, "tf_targets", stage="E1_slice1").get_title()
    assert ", slice E1_slice1" in title
    st.tl.modules(adata, max_q=1.0, n_modules=1)
    assert st.pl.modules(adata)[2].get_title() == "slices"
