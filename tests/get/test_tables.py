from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from _helpers import NOTHING_SIGNIFICANT, ONE_SLICE, small_config, small_result, tiny_config, tissue

import spatrace_sc as st
from spatrace_sc import _keys

pytestmark = pytest.mark.filterwarnings(NOTHING_SIGNIFICANT, ONE_SLICE)

EVIDENCE = ["q_value", "stability", "evidence"]
ROUTE = ["mediated", "direct_share", "route", "through"]
COLUMNS = {
    "tf_targets": [
        "tf",
        "target",
        "effect",
        "score",
        "p_value",
        "effect_se",
        "minimum_effect",
        *("robustness", "benchmark"),
        *("effect_within", "effect_within_se", "effect_between", "effect_between_se", "rests_on"),
        "group",
        *("lead", "lead_se", "direction"),
        "limited_by",
        *EVIDENCE,
    ],
    "lr_targets": [
        *(
            "ligand",
            "receptor",
            "target",
            "effect",
            "score",
            "p_value",
            "effect_se",
            "group_q_value",
        ),
        *("mediated", "direct_share", "through", "group", "route", "limited_by", *EVIDENCE),
    ],
    "lr_pairs": [
        "ligand",
        "receptor",
        "score",
        "p_value",
        "score_se",
        "group_q_value",
        "group",
        "limited_by",
        *EVIDENCE,
    ],
    "communication": [
        *("sender", "receiver", "ligand", "receptor", "score", "p_value", "q_value"),
        *("score_se", "n_slices", "slices_above", "type_p_value", "pair_q_value"),
    ],
}
NAMES = {
    name: [c for c in columns if c in {"tf", "target", "ligand", "receptor", "sender", "receiver"}]
    for name, columns in COLUMNS.items()
}
CANDIDATES = ["tf_targets", "lr_targets", "lr_pairs"]
READERS = {name: getattr(st.get, name) for name in COLUMNS}
STAGES = ["E1", "E2", "E3"]


def genes(adata, role):
    return list(adata.var_names[adata.var[role]])


def types(adata):
    timed = adata.obs["dpt_pseudotime"].notna()
    return sorted(set(adata.obs["cell_type"])), sorted(set(adata.obs.loc[timed, "cell_type"]))


@pytest.mark.parametrize("name", COLUMNS)
def test_columns(result, name):
    assert list(READERS[name](result).columns) == COLUMNS[name]
    assert getattr(_keys, name.upper()) == COLUMNS[name]
    for stage in STAGES:
        assert list(READERS[name](result, stage).columns) == COLUMNS[name]


@pytest.mark.parametrize("stage", [None, *STAGES])
@pytest.mark.parametrize("name", CANDIDATES)
def test_every_candidate_is_listed_once(result, name, stage):
    table = READERS[name](result, stage)
    every = set(itertools.product(*(genes(result, role) for role in NAMES[name])))
    listed = list(table[NAMES[name]].itertuples(index=False, name=None))
    assert len(listed) == len(every)
    assert set(listed) == every


@pytest.mark.parametrize("stage", [None, *STAGES])
def test_communication_lists_every_sender_receiver_and_stored_pair_once(result, stage):
    table = st.get.communication(result, stage)
    senders, receivers = types(result)
    pairs = st.get.activity(result).var[["ligand", "receptor"]].itertuples(index=False, name=None)
    every = {(s, r, *pair) for pair in pairs for s in senders for r in receivers}
    listed = list(table[NAMES["communication"]].itertuples(index=False, name=None))
    assert len(listed) == len(every)
    assert set(listed) == every


@pytest.mark.parametrize("stage", [None, *STAGES])
@pytest.mark.parametrize("name", COLUMNS)
def test_values(result, name, stage):
    table = READERS[name](result, stage)
    errors = ("effect_se", "score_se", "effect_within_se", "effect_between_se")
    unknown = [c for c in (*errors, "minimum_effect", "lead", "lead_se") if c in table]
    partly = [c for c in (*_keys.ROBUSTNESS, "effect_within", "effect_between") if c in table]
    known = table.drop(columns=unknown + partly).select_dtypes("number")
    assert np.isfinite(known).all(axis=None)
    assert not (table[unknown] == 0).any(axis=None)
    assert (
        table.loc[table["score"] > 0, [c for c in partly if "effect" in c]].notna().all(axis=None)
    )
    assert (table["score"] >= 0).all()
    assert (table["score"] > 0).any()
    assert (np.diff(table["score"]) <= 0).all()
    assert list(table.index) == list(range(len(table)))
    for column in ("p_value", "q_value"):
        assert (table[column] > 0).all()
        assert (table[column] <= 1).all()
    if "stability" in table:
        assert table["stability"].between(0, 1).all()
    if "effect" in table:
        np.testing.assert_allclose(table["score"], table["effect"].abs(), rtol=1e-6)


@pytest.mark.parametrize("name", ["lr_targets", "lr_pairs"])
def test_without_a_score_there_is_a_p_but_no_evidence(result, name):
    table = READERS[name](result)
    rest, scored = table[table["score"] == 0], table[table["score"] > 0]
    assert len(rest)
    assert (rest[["q_value", "group_q_value"]] == 1).all(axis=None)
    assert (rest["stability"] == 0).all()
    assert (rest["group"] == "").all()
    assert rest["score_se" if name == "lr_pairs" else "effect_se"].isna().all()
    assert (rest["evidence"] == "none").all()
    assert rest["p_value"].nunique() > 10, "what has no weight is compared with decoys too"
    assert rest["p_value"].median() > scored["p_value"].median()


def test_what_a_refit_selects_has_an_effect(result):
    table = st.get.tf_targets(result)
    assert (table.loc[table["stability"] > 0, "score"] > 0).all()
    selects_none = table["stability"] == 0
    assert (table.loc[selects_none, "score"] > 0).any(), "the model of all targets adds some"


@pytest.mark.parametrize("name", ["tf_targets", "lr_targets"])
def test_effects_have_both_signs_in_the_tables(result, name):
    effect = READERS[name](result)["effect"]
    assert (effect > 0).any()
    assert (effect < 0).any()


def test_a_pair_is_scored_where_it_has_targets(result):
    edges, pairs = st.get.lr_targets(result), st.get.lr_pairs(result)
    key = ["ligand", "receptor"]
    norm = edges.assign(square=edges["effect"] ** 2).groupby(key)["square"].sum().pow(0.5)
    score = pairs.set_index(key)["score"].reindex(norm.index)
    # the score averages norms over refits, the effects are averaged before their norm is taken
    assert (score >= norm - 1e-6).all()
    assert (norm[score == 0] == 0).all()


def test_stability_is_a_share_of_refits(result):
    for name in CANDIDATES:
        share = READERS[name](result)["stability"] * 3
        np.testing.assert_allclose(share, np.round(share), atol=1e-5)


def test_stages_are_in_order_of_time(result):
    assert st.get.stages(result) == STAGES


@pytest.mark.parametrize("name", CANDIDATES)
def test_a_stage_changes_scores_but_not_signs_nor_evidence(result, name):
    key = NAMES[name]
    whole = READERS[name](result).set_index(key)
    for stage in STAGES:
        part = READERS[name](result, stage).set_index(key).reindex(whole.index)
        kept = [c for c in ("p_value", "q_value", "stability") if c in whole]
        pd.testing.assert_frame_equal(part[kept], whole[kept])
        assert not np.allclose(part["score"], whole["score"])
        assert (part.loc[whole["score"] == 0, "score"] == 0).all()
        if "effect" in whole:
            assert (part["effect"] * whole["effect"] >= 0).all()


def test_a_stage_factor_belongs_to_the_regulator(result):
    whole = st.get.tf_targets(result).set_index(["tf", "target"])["effect"]
    part = (
        st.get.tf_targets(result, "E1").set_index(["tf", "target"])["effect"].reindex(whole.index)
    )
    ratio = (part / whole)[whole != 0].groupby("tf")
    assert (ratio.max() - ratio.min() < 1e-5).all()
    pair = ["ligand", "receptor"]
    strength = st.get.lr_pairs(result).set_index(pair)["score"]
    factor = st.get.lr_pairs(result, "E1").set_index(pair)["score"].reindex(
        strength.index
    ) / strength.where(strength > 0)
    whole = st.get.lr_targets(result).set_index([*pair, "target"])["effect"]
    part = (
        st.get.lr_targets(result, "E1").set_index([*pair, "target"])["effect"].reindex(whole.index)
    )
    acting = whole != 0
    expected = factor.reindex(whole.index.droplevel("target")).to_numpy()
    np.testing.assert_allclose((part / whole)[acting], expected[acting], rtol=1e-5)


def test_a_stage_scales_a_pair_by_its_level_at_that_stage(result):
    """Before shrinkage, the factor is the mean activity in a stage relative to all receivers."""
    activity = st.get.activity(result)
    score = st.get.lr_pairs(result).set_index(["ligand", "receptor"])["score"]
    names = list(activity.var[["ligand", "receptor"]].itertuples(index=False, name=None))
    for stage in STAGES:
        here = (activity.obs["stage"] == stage).to_numpy()
        factor = np.nanmean(activity.X[here], axis=0) / np.nanmean(activity.X, axis=0)
        part = st.get.lr_pairs(result, stage).set_index(["ligand", "receptor"])["score"]
        drawn = (part[names] / score[names]).to_numpy()
        kept = (drawn - 1) / (factor - 1)
        clear = np.abs(factor - 1) > 0.02
        assert clear.sum() > 20
        assert ((kept[clear] > 0) & (kept[clear] < 1)).all()
        # kept = τ² / (τ² + se²) and left = √kept · se, so τ² = left² / (1 − kept), one for all
        left = result.uns["spatrace"]["stage_factors"]["pair_se"][STAGES.index(stage)][: len(names)]
        spread = (left**2 / (1 - kept))[clear]
        np.testing.assert_allclose(spread, np.median(spread), rtol=0.05)


@pytest.mark.parametrize("name", COLUMNS)
def test_unknown_stage_lists_the_stages(result, name):
    with pytest.raises(st.InvalidArgumentError) as caught:
        READERS[name](result, "E9")
    for text in ("`stage='E9'`", *map(repr, STAGES)):
        assert text in str(caught.value)


def test_a_stage_may_be_a_number():
    adata = tissue()
    adata.obs["day"] = adata.obs["stage_time"].astype(int)
    with pytest.warns(st.SpatraceWarning, match="several stages"):
        st.tl.infer_ccc(adata, stage_key="day", config=tiny_config())
    assert st.get.stages(adata) == ["1", "2", "3"]
    pd.testing.assert_frame_equal(st.get.tf_targets(adata, 2), st.get.tf_targets(adata, "2"))


def test_stage_names_without_alphabetical_order():
    adata = tissue()
    adata.obs["when"] = adata.obs["stage"].astype(str).map({"E1": "P9", "E2": "P10", "E3": "adult"})
    with pytest.warns(st.SpatraceWarning, match="several stages"):
        st.tl.infer_ccc(adata, stage_key="when", config=tiny_config())
    assert st.get.stages(adata) == ["P9", "P10", "adult"]


ALL_READERS = [
    *READERS.values(),
    st.get.activity,
    st.get.training_history,
    st.get.stages,
    st.get.params,
]


@pytest.mark.parametrize("reader", ALL_READERS, ids=lambda r: r.__name__)
def test_reading_before_inference_names_the_verb_to_call(reader):
    with pytest.raises(st.MissingKeyError) as caught:
        reader(tissue())
    assert "st.tl.infer_ccc" in str(caught.value)
    assert "adata.uns['spatrace']" in str(caught.value)


@pytest.mark.parametrize("reader", ALL_READERS, ids=lambda r: r.__name__)
def test_a_wrong_key_lists_the_results(reader):
    adata = small_result().copy()
    adata.uns["mine"] = adata.uns.pop("spatrace")
    with pytest.raises(st.MissingKeyError) as caught:
        reader(adata)
    assert "'mine'" in str(caught.value)
    with pytest.raises(st.MissingKeyError) as caught:
        reader(adata, key="simulation")  # something else lives there
    assert "'mine'" in str(caught.value)


def test_another_key():
    adata = tissue()
    options = {
        "sample_key": "sample",
        "config": tiny_config(),
    }
    st.tl.infer_ccc(adata, **options)
    st.tl.infer_ccc(adata, key_added="mine", **options)
    assert {"mine_activity", "spatrace_activity"} <= set(adata.obsm)
    assert {"mine_communication", "spatrace_communication"} <= set(adata.obsp)
    for reader in READERS.values():
        pd.testing.assert_frame_equal(reader(adata, key="mine"), reader(adata))
    np.testing.assert_array_equal(st.get.activity(adata, key="mine").X, st.get.activity(adata).X)


def test_returned_tables_can_be_changed(result):
    for name, reader in READERS.items():
        before = reader(result)
        changed = reader(result)
        changed.loc[:, "score"] = -1.0
        pd.testing.assert_frame_equal(reader(result), before, obj=name)
    history = st.get.training_history(result)
    history.loc[:, "train"] = -1.0
    assert not (st.get.training_history(result)["train"] == -1).any()


def test_training_history(result):
    table = st.get.training_history(result)
    assert list(table.columns) == ["phase", "epoch", "train", "held_out"]
    assert set(table["phase"]) == {"attention", "gates"}
    for _, part in table.groupby("phase"):
        np.testing.assert_array_equal(part["epoch"], np.arange(len(part)))
        assert len(part) <= 4
    assert np.isfinite(table["held_out"]).all()
    assert np.isfinite(table.loc[table["epoch"] > 0, "train"]).all()


def test_params(result):
    found = st.get.params(result)
    assert found["sample_key"] == "sample"
    assert found["stage_key"] == "stage"
    assert found["layer"] is None
    assert found["transitions_key"] is None
    assert found["seed"] == 0
    assert found["radius"] > 0
    assert found["config"] == small_config().to_dict()


def test_returned_params_can_be_changed():
    adata = small_result().copy()
    st.get.params(adata)["config"]["n_blocks"] = -1
    assert st.get.params(adata)["config"]["n_blocks"] == 8


@pytest.fixture(scope="module")
def cut():
    adata = st.datasets.simulated(n_cells=700, n_targets=20)
    st.tl.infer_ccc(
        adata, sample_key="sample", stage_key="stage", config=small_config(max_edges=50)
    )
    return adata


@pytest.mark.parametrize("name", CANDIDATES)
def test_more_candidates_than_the_limit_lists_the_strongest_only(result, cut, name):
    table, full = READERS[name](cut), READERS[name](result)
    assert len(table) <= 50
    assert (table["score"] > 0).all()
    strongest = full[full["score"] > 0].head(50)
    # a route is the sum over the TF edges that are listed, fewer here
    own = [c for c in table if c not in ROUTE]
    pd.testing.assert_frame_equal(table[own], strongest[own])


def test_the_limit_holds_by_stage(cut):
    for name in CANDIDATES:
        part = READERS[name](cut, "E2")
        assert len(part) == len(READERS[name](cut))
        assert (np.diff(part["score"]) <= 0).all()


def test_the_limit_holds_for_edges_alone(result, cut):
    pd.testing.assert_frame_equal(st.get.communication(cut), st.get.communication(result))
    np.testing.assert_array_equal(st.get.activity(cut).X, st.get.activity(result).X)
