from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from _helpers import dense

import spatrace_sc as st

STAGES = ["E1", "E2", "E3"]


def tables(result):
    return {stage: st.get.communication(result, stage) for stage in (None, *STAGES)}


def test_p_of_types_is_a_share_of_permutations(result):
    for table in tables(result).values():
        np.testing.assert_allclose(table["type_p_value"] * 10, np.round(table["type_p_value"] * 10))
        assert (table.loc[table["score"] == 0, "type_p_value"] == 1).all()


def test_the_pair_is_part_of_the_evidence(result):
    pairs = st.get.lr_pairs(result).set_index(["ligand", "receptor"])
    for table in tables(result).values():
        own = pairs.loc[pd.MultiIndex.from_frame(table[["ligand", "receptor"]])]
        np.testing.assert_allclose(table["pair_q_value"], own["q_value"])
        np.testing.assert_allclose(
            table["p_value"], np.maximum(own["p_value"], table["type_p_value"].to_numpy())
        )
        assert (table["q_value"] >= table["pair_q_value"]).all()
        assert (table.loc[table["pair_q_value"] > 0.1, "q_value"] == 1).all()


def test_scores_share_out_the_mean_activity(result):
    """Summed over senders, scores are the mean activity of the pair in the receivers it reaches."""
    activity = st.get.activity(result)
    radius = result.uns["spatrace"]["params"]["radius"]
    exposure = st.pp.ligand_exposure(result, radius=radius, sample_key="sample", copy=True)
    reached = np.where(exposure[activity.var["ligand"]].to_numpy() > 0, activity.X, 0.0)
    frame = pd.DataFrame(reached, columns=activity.var_names)
    for stage, table in tables(result).items():
        here = (
            np.ones(len(frame), bool)
            if stage is None
            else (activity.obs["stage"] == stage).to_numpy()
        )
        mean = frame[here].groupby(activity.obs["cell_type"].astype(str).to_numpy()[here]).mean()
        found = table.assign(pair=table["ligand"] + "^" + table["receptor"])
        found = found.groupby(["receiver", "pair"])["score"].sum()
        for (receiver, pair), score in found.items():
            assert score == pytest.approx(mean.loc[receiver, pair], rel=1e-3, abs=1e-5)


def test_stages_of_one_slice_have_no_standard_error(result):
    found = tables(result)
    assert (found[None]["n_slices"] == 3).all()
    assert found[None]["score_se"].notna().all()
    for stage in STAGES:
        assert (found[stage]["n_slices"] == 1).all()
        assert found[stage]["score_se"].isna().all()


def test_sent_and_received_are_sums_of_the_matrix(result):
    matrix = dense(result.obsp["spatrace_communication"])
    found = st.get.sent_received(result)
    assert list(found.columns) == ["sent", "received"]
    assert list(found.index) == list(result.obs_names)
    np.testing.assert_allclose(found["sent"], matrix.sum(axis=1), rtol=1e-4, atol=1e-5)
    receives = result.obs["cell_type"].astype(str).str.startswith("receiver").to_numpy()
    np.testing.assert_allclose(
        found["received"][receives], matrix.sum(axis=0)[receives], rtol=1e-4, atol=1e-5
    )
    assert found["received"][~receives].isna().all()
    assert found["sent"].sum() == pytest.approx(found["received"].sum(), rel=1e-4)


def test_sent_and_received_of_a_pair_that_is_not_stored(result):
    with pytest.raises(st.MissingKeyError, match=r"st.tl.communication\(adata, pairs=\['A\^B'\]"):
        st.get.sent_received(result, ("A", "B"))
