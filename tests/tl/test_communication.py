from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import spatialdata
from _helpers import (
    FEW_GENES,
    assert_unchanged,
    dense,
    slow,
    small_config,
    small_result,
    snapshot,
    written_and_read,
)

import spatrace_sc as st
from spatrace_sc import _keys

OPTIONS = {"n_permutations": 19, "progress": False}


@pytest.fixture
def result():
    """A small tissue with a result; a copy."""
    return small_result().copy()


def strongest(adata, n=1):
    return list(st.get.activity(adata).var_names[:n])


def test_scores_and_matrix_are_those_of_the_inference(result):
    before, matrix = st.get.communication(result), result.obsp["spatrace_communication"].copy()
    st.tl.communication(result, **OPTIONS)
    after = st.get.communication(result)
    columns = [
        "sender",
        "receiver",
        "ligand",
        "receptor",
        "score",
        "score_se",
        "n_slices",
        "pair_q_value",
    ]
    pd.testing.assert_frame_equal(after[columns], before[columns], rtol=1e-5)
    np.testing.assert_allclose(
        dense(result.obsp["spatrace_communication"]), dense(matrix), rtol=1e-5, atol=1e-7
    )
    assert set(np.round(after["type_p_value"] * 20).astype(int)) <= set(range(1, 21))
    assert result.uns["spatrace"]["communication_params"] == {
        "null": "labels",
        "block_size": pytest.approx(2 * result.uns["spatrace"]["params"]["radius"]),
        "n_permutations": 19,
        "seed": 0,
    }


def naive_bh(p):
    ranked, lowest = sorted(range(len(p)), key=lambda i: -p[i]), 1.0
    q = np.empty(len(p))
    for place, i in enumerate(ranked):
        lowest = min(lowest, p[i] * len(p) / (len(p) - place))
        q[i] = lowest
    return q


def test_q_is_benjamini_hochberg_among_significant_pairs(result):
    pairs = result.uns["spatrace"]["activity_pairs"]
    pairs.loc[:, "q_value"] = np.where(np.arange(len(pairs)) < 4, 0.03, 0.4)
    st.tl.communication(result, **OPTIONS)
    for table in (
        st.get.communication(result),
        pd.concat([st.get.communication(result, s) for s in st.get.stages(result)]),
    ):
        supported = (table["pair_q_value"] <= 0.1).to_numpy()
        assert 0 < supported.sum() < len(table)
        expected = np.maximum(naive_bh(table["type_p_value"].to_numpy()[supported]), 0.03)
        np.testing.assert_allclose(table["q_value"][supported], expected)
        assert (table["q_value"][~supported] == 1).all()
        np.testing.assert_array_equal(
            table["p_value"], np.maximum(table["type_p_value"], pairs_p(table, pairs)), strict=False
        )


def pairs_p(table, pairs):
    return (
        pairs.set_index(["ligand", "receptor"])["p_value"]
        .loc[pd.MultiIndex.from_frame(table[["ligand", "receptor"]])]
        .to_numpy()
    )


def test_matrices_of_pairs_add_up(result):
    names = list(st.get.activity(result).var_names)
    st.tl.communication(result, pairs=names, **OPTIONS)
    total = sum(dense(result.obsp[_keys.communication_key("spatrace", name)]) for name in names)
    np.testing.assert_allclose(
        total, dense(result.obsp["spatrace_communication"]), rtol=1e-3, atol=1e-5
    )
    one = st.get.sent_received(result, names[0])
    received = st.get.activity(result)[:, names[0]].X.ravel()
    there = np.isfinite(received) & (one["received"] > 0)
    np.testing.assert_allclose(one["received"][there], received[there], rtol=1e-3)
    assert st.get.sent_received(result, tuple(names[0].split("^"))).equals(one)


@pytest.mark.parametrize("form", ["name", "tuple", "bare"])
def test_pairs_may_be_given_in_several_forms(result, form):
    name = strongest(result)[0]
    pairs = {"name": name, "tuple": [tuple(name.split("^"))], "bare": tuple(name.split("^"))}[form]
    st.tl.communication(result, pairs=pairs, **OPTIONS)
    assert _keys.communication_key("spatrace", name) in result.obsp


def test_positions_give_the_same_scores_and_other_p(result):
    before = st.get.communication(result)
    st.tl.communication(result, null="positions", **OPTIONS)
    after = st.get.communication(result)
    np.testing.assert_allclose(after["score"], before["score"], rtol=1e-5)
    assert (after["type_p_value"].to_numpy() != before["type_p_value"].to_numpy()).any()
    again = result.copy()
    st.tl.communication(again, null="positions", **OPTIONS)
    pd.testing.assert_frame_equal(st.get.communication(again), after)


def test_positions_that_cannot_move_have_p_one(result):
    """In squares that hold one cell each, labels and positions stay."""
    for null in ("labels", "positions"):
        st.tl.communication(result, null=null, block_size=1e-3, **OPTIONS)
        assert (st.get.communication(result)["type_p_value"] == 1).all()


def test_changed_data_are_refused_where_the_model_is_needed(result):
    result.X = result.X * 0.5
    with pytest.raises(st.DataError, match="not those"):
        st.tl.communication(result, null="positions", **OPTIONS)


@pytest.mark.slow
def test_types_of_no_meaning_are_called_rarely():
    """Types drawn at random: whatever acts, no type sends more than another."""
    adata = st.datasets.simulated(102, n_cells=900, n_targets=20, depth=4000, noise=0.1)
    rng, kind = np.random.default_rng(0), adata.obs["cell_type"].astype(str).to_numpy()
    receives = np.char.startswith(kind.astype(str), "receiver")
    kind[receives] = rng.choice(["r0", "r1"], receives.sum())
    kind[~receives] = rng.choice(["s0", "s1", "s2"], (~receives).sum())
    adata.obs["cell_type"] = pd.Categorical(kind)
    st.tl.infer_ccc(
        adata,
        sample_key="sample",
        stage_key="stage",
        senders=["s0", "s1", "s2"],
        config=small_config(),
    )
    st.tl.communication(adata, n_permutations=99, progress=False)
    p = st.get.communication(adata)["type_p_value"]
    assert 0.35 < p.median() < 0.65
    assert (p <= 0.05).mean() < 0.12


def test_only_the_type_that_expresses_the_ligands_sends():
    adata = st.datasets.simulated(
        102, n_cells=900, n_targets=20, depth=4000, noise=0.1, **FEW_GENES
    )
    x = adata.X.toarray()
    silent = (adata.obs["cell_type"].astype(str) != "sender_1").to_numpy()
    x[np.ix_(silent, adata.var["ligand"].to_numpy(dtype=bool))] = 0.0
    adata.X = x
    st.tl.infer_ccc(
        adata, sample_key="sample", stage_key="stage", config=small_config(max_activity=500)
    )
    st.tl.communication(adata, n_permutations=49, progress=False)
    table = st.get.communication(adata)
    table = table[table["score"] > 0]
    assert len(table)
    assert set(table["sender"]) == {"sender_1"}
    assert (table["type_p_value"] <= 0.1).mean() > 0.7


def test_order_of_genes_and_cells_does_not_matter(result):
    st.tl.communication(result, block_size=np.inf, **OPTIONS)
    rng = np.random.default_rng(0)
    mixed = small_result().copy()[:, rng.permutation(result.n_vars)].copy()
    st.tl.communication(mixed, block_size=np.inf, **OPTIONS)
    pd.testing.assert_frame_equal(st.get.communication(mixed), st.get.communication(result))
    turned = small_result().copy()[rng.permutation(result.n_obs)].copy()
    st.tl.communication(turned, block_size=np.inf, **OPTIONS)
    columns = ["sender", "receiver", "ligand", "receptor"]
    one, other = (
        st.get.communication(a).sort_values(columns).reset_index() for a in (result, turned)
    )
    np.testing.assert_allclose(one["score"], other["score"], rtol=1e-4, atol=1e-6)


def test_a_part_of_the_cells_will_do(result):
    part = result[(result.obs["stage"] == "E2").to_numpy()].copy()
    st.tl.communication(part, **OPTIONS)
    assert len(st.get.communication(part, "E2"))
    assert (st.get.communication(part, "E1")["score"] == 0).all()


@pytest.mark.parametrize("form", ["h5ad", slow("zarr"), slow("spatialdata")])
def test_round_trip(result, tmp_path, form):
    name = strongest(result)[0]
    st.tl.communication(result, pairs=[name], **OPTIONS)
    back = written_and_read(result, form, tmp_path)
    for stage in (None, "E2"):
        pd.testing.assert_frame_equal(
            st.get.communication(back, stage),
            st.get.communication(result, stage),
            check_dtype=False,
        )
    pd.testing.assert_frame_equal(
        st.get.sent_received(back, name), st.get.sent_received(result, name), check_index_type=False
    )


def test_spatialdata_and_copy(result):
    sdata = spatialdata.SpatialData(tables={"cells": result})
    before = snapshot(sdata["cells"])
    found = st.tl.communication(sdata, table_key="cells", copy=True, **OPTIONS)
    assert_unchanged(sdata["cells"], before)
    assert "communication_params" in found.uns["spatrace"]
    st.tl.communication(sdata, table_key="cells", **OPTIONS)
    pd.testing.assert_frame_equal(st.get.communication(sdata["cells"]), st.get.communication(found))


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"null": "label"}, st.InvalidArgumentError, "Did you mean 'labels'"),
        ({"block_size": 0}, st.InvalidArgumentError, "`block_size`"),
        ({"block_size": -np.inf}, st.InvalidArgumentError, "`block_size`"),
        ({"n_permutations": 0}, st.InvalidArgumentError, "`n_permutations`"),
        ({"rng": -1}, st.InvalidArgumentError, "`rng`"),
        ({"pairs": ["LIG^REC"]}, st.InvalidArgumentError, r"'LIG\^REC', not among the \d+ pairs"),
        ({"key": "other"}, st.MissingKeyError, "results are under 'spatrace'"),
    ],
)
def test_bad_input(result, options, error, text):
    before = snapshot(result)
    with pytest.raises(error, match=text):
        st.tl.communication(result, **(OPTIONS | options))
    assert_unchanged(result, before)


def test_before_the_inference():
    with pytest.raises(st.MissingKeyError, match="infer_ccc"):
        st.tl.communication(st.datasets.simulated(n_cells=300))


def test_a_stage_without_senders(result):
    kind, stage = (result.obs[c].astype(str) for c in ("cell_type", "stage"))
    result.uns["spatrace"]["params"]["senders"] = np.array(["sender_0"], dtype=object)
    gone = result[~((kind == "sender_0") & (stage == "E2")).to_numpy()].copy()
    with pytest.raises(
        st.DataError, match=r"the stages 'E2' have receivers but no cell that sends.*'E1', 'E3'"
    ):
        st.tl.communication(gone, **OPTIONS)
