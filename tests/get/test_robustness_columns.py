"""Columns for the strength of a confounder that would explain a TF edge."""

from __future__ import annotations

import anndata as ad
import pandas as pd
import pytest
from _helpers import NOTHING_SIGNIFICANT, ONE_SLICE, tiny_config, tissue

import spatrace_sc as st
from spatrace_sc._inference.restore import restore

pytestmark = pytest.mark.filterwarnings(NOTHING_SIGNIFICANT)

COLUMNS = ["robustness", "benchmark"]
EDGE = ["tf", "target"]


def stored(adata):
    return adata.uns["spatrace"]["tf_targets"]


def test_they_are_shares_and_grow_with_the_effect(adata):
    table = st.get.tf_targets(adata)
    selected = table["stability"] >= 0.5
    assert table.loc[~selected, COLUMNS].isna().all(axis=None)
    table = table[selected]
    assert table[COLUMNS].notna().all(axis=None)
    assert ((table[COLUMNS] >= 0) & (table[COLUMNS] < 1)).all(axis=None)
    assert (table["benchmark"] > 0).all()
    assert table["robustness"].corr(table["score"], method="spearman") > 0.5


def test_a_stage_leaves_them_as_they_are(adata):
    whole = st.get.tf_targets(adata).set_index(EDGE)
    part = st.get.tf_targets(adata, "E1").set_index(EDGE).reindex(whole.index)
    pd.testing.assert_frame_equal(part[COLUMNS], whole[COLUMNS])


def test_they_survive_a_file(adata, tmp_path):
    adata.write_h5ad(tmp_path / "a.h5ad")
    back = ad.read_h5ad(tmp_path / "a.h5ad")
    pd.testing.assert_frame_equal(
        st.get.tf_targets(back)[COLUMNS], st.get.tf_targets(adata)[COLUMNS]
    )


def test_a_result_stored_without_them_has_missing_values(adata):
    before = st.get.tf_targets(adata)
    adata.uns["spatrace"]["tf_targets"] = stored(adata).drop(columns=COLUMNS)
    table = st.get.tf_targets(adata)
    assert table[COLUMNS].isna().all(axis=None)
    pd.testing.assert_frame_equal(table.drop(columns=COLUMNS), before.drop(columns=COLUMNS))


def test_an_edge_without_a_score_has_missing_values(adata):
    adata.uns["spatrace"]["tf_targets"] = stored(adata).iloc[1:].reset_index(drop=True)
    del adata.uns["spatrace"]["contents"]
    table = st.get.tf_targets(adata)
    absent = table["score"] == 0
    assert absent.any()
    assert table.loc[absent, COLUMNS].isna().all(axis=None)
    assert table.loc[table["stability"] >= 0.5, COLUMNS].notna().all(axis=None)


@pytest.mark.filterwarnings(ONE_SLICE)
def test_covariates_are_compared_one_by_one():
    """Types, slices, time, neighbourhood and each named covariate have columns of their own."""
    adata = tissue()
    adata.obs["side"] = ["left", "right", "middle"] * (adata.n_obs // 3) + ["left"] * (
        adata.n_obs % 3
    )
    adata.obs["depth"] = range(adata.n_obs)
    st.tl.infer_ccc(adata, covariates=["side", "depth"], config=tiny_config())
    problem = restore(adata, "spatrace").problem
    assert sum(problem.covariate_sizes) == problem.covariates.shape[1]
    assert len(problem.covariate_sizes) == 6
    assert problem.covariate_sizes[3] == problem.n_neighbourhood_covariates
    assert problem.covariate_sizes[4:] == (1, 3), "sorted by name: depth, side"
    assert sum(problem.covariate_sizes[4:]) == problem.n_named_covariates
