"""Columns for effects of TFs within and between groups of cells."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from _helpers import NOTHING_SIGNIFICANT
from scipy.stats import t as student

import spatrace_sc as st
from spatrace_sc import _keys
from spatrace_sc._inference.effect_parts import add_effect_parts
from spatrace_sc._model.evidence.within_between import WithinBetween

pytestmark = pytest.mark.filterwarnings(NOTHING_SIGNIFICANT)

COLUMNS = ["effect_within", "effect_within_se", "effect_between", "effect_between_se", "rests_on"]
EDGE = ["tf", "target"]


def stored(adata):
    return adata.uns["spatrace"]["tf_targets"]


def test_levels_are_read_by_their_index(adata):
    adata.uns["spatrace"]["tf_targets"] = stored(adata).assign(
        rests_on=np.arange(len(stored(adata)), dtype=np.int32) % 4
    )
    table = st.get.tf_targets(adata)
    names = ["neither", "within", "between", "both"]
    assert names == _keys.RESTS_ON == list(table["rests_on"].cat.categories)
    assert table["rests_on"].astype(str).tolist()[:6] == [*names, *names[:2]]


def test_edges_are_written_as_they_were_estimated():
    rng = np.random.default_rng(0)
    within, between = rng.normal(size=(2, 3, 4))
    error = np.full((3, 4), 0.1)
    parts = WithinBetween(within, error, between, 2 * error, n_blocks=31, n_directions=5)
    table = pd.DataFrame({"tf": [2, 0], "target": [1, 3], "effect": [0.3, -0.4]})
    written = add_effect_parts(table, parts)
    assert list(written.columns) == ["tf", "target", "effect", *COLUMNS]
    np.testing.assert_array_equal(written["effect_within"], within[[2, 0], [1, 3]])
    np.testing.assert_array_equal(written["effect_between"], between[[2, 0], [1, 3]])
    np.testing.assert_array_equal(written["effect_between_se"], [0.2, 0.2])


def test_what_an_edge_rests_on_by_the_limits_of_student():
    """Just above and below the limits with 30 degrees of freedom (blocks) and 5 (directions)."""
    low, high = 0.99 * student.isf(0.025, [30, 5]), 1.01 * student.isf(0.025, [30, 5])
    within, between = np.array(
        [[low[0], high[0], low[0], high[0]], [low[1], low[1], *high[[1, 1]]]]
    )
    one = np.ones((1, 4))
    parts = WithinBetween(within[None], one, between[None], one, n_blocks=31, n_directions=5)
    table = pd.DataFrame({"tf": 0, "target": range(4), "effect": 0.1})
    assert add_effect_parts(table, parts)["rests_on"].tolist() == [0, 1, 2, 3]
    reversed_ = table.assign(effect=-0.1)
    assert add_effect_parts(reversed_, parts)["rests_on"].tolist() == [0, 0, 0, 0]


def test_an_inference_estimates_both_parts(adata):
    table = st.get.tf_targets(adata)
    table = table[table["score"] > 0]
    assert table[COLUMNS].notna().all(axis=None)
    assert (table[["effect_within_se", "effect_between_se"]] > 0).all(axis=None)
    strong = table["effect_within"].abs() > 4 * table["effect_within_se"]
    agrees = np.sign(table["effect_within"]) == np.sign(table["effect"])
    assert (strong & agrees).any()
    rests_within = table["rests_on"].isin(["within", "both"])
    assert rests_within[strong & agrees].all()
    assert not rests_within[~agrees].any()


def test_a_stage_leaves_them_as_they_are(adata):
    whole = st.get.tf_targets(adata).set_index(EDGE)
    part = st.get.tf_targets(adata, "E1").set_index(EDGE).reindex(whole.index)
    pd.testing.assert_frame_equal(part[COLUMNS], whole[COLUMNS])


def test_they_survive_a_file(adata, tmp_path):
    adata.write_h5ad(tmp_path / "a.h5ad")
    back = ad.read_h5ad(tmp_path / "a.h5ad")
    pd.testing.assert_frame_equal(
        st.get.tf_targets(back)[COLUMNS], st.get.tf_targets(adata)[COLUMNS], check_dtype=False
    )


def test_a_result_stored_without_them_has_missing_values(adata):
    before = st.get.tf_targets(adata)
    adata.uns["spatrace"]["tf_targets"] = stored(adata).drop(columns=COLUMNS)
    for stage in (None, "E1"):
        table = st.get.tf_targets(adata, stage)
        assert list(table.columns) == _keys.TF_TARGETS
        assert table[COLUMNS].isna().all(axis=None)
        assert list(table["rests_on"].cat.categories) == _keys.RESTS_ON
    others = [column for column in before if column not in COLUMNS]
    pd.testing.assert_frame_equal(st.get.tf_targets(adata)[others], before[others])


def test_an_edge_without_a_score_has_missing_values(adata):
    first = stored(adata).iloc[0]
    adata.uns["spatrace"]["tf_targets"] = stored(adata).iloc[1:].reset_index(drop=True)
    del adata.uns["spatrace"]["contents"]
    table = st.get.tf_targets(adata)
    tf, target = (int(first[name]) for name in EDGE)
    genes = adata.uns["spatrace"]["genes"]
    absent = (table["tf"] == genes["tfs"][tf]) & (table["target"] == genes["targets"][target])
    assert absent.sum() == 1
    assert table.loc[absent, COLUMNS].isna().all(axis=None)
    assert table.loc[table["score"] > 0, COLUMNS].notna().all(axis=None)
