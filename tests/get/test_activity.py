from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from _helpers import dense, small_config, tissue
from anndata import AnnData

import spatrace_sc as st


def receiving(adata):
    return adata.obs["dpt_pseudotime"].notna().to_numpy()


def test_shape_and_names(result):
    activity = st.get.activity(result)
    assert isinstance(activity, AnnData)
    pairs = st.get.lr_pairs(result)
    strongest = pairs[pairs["score"] > 0]
    assert activity.shape == (result.n_obs, len(strongest))
    assert list(activity.var_names) == [f"{p.ligand}^{p.receptor}" for p in strongest.itertuples()]
    assert list(activity.var.columns) == ["ligand", "receptor", "score"]
    np.testing.assert_allclose(activity.var["score"], strongest["score"])
    np.testing.assert_array_equal(activity.var["ligand"], strongest["ligand"])


def test_cells_are_kept(result):
    activity = st.get.activity(result)
    pd.testing.assert_frame_equal(activity.obs, result.obs)
    np.testing.assert_array_equal(activity.obsm["spatial"], result.obsm["spatial"])
    assert "spatrace_activity" not in activity.obsm


def test_nan_exactly_where_nothing_is_received(result):
    values = st.get.activity(result).X
    np.testing.assert_array_equal(np.isnan(values), np.broadcast_to(~receiving(result)[:, None], values.shape))
    assert (values[receiving(result)] >= 0).all()
    assert values.dtype == np.float32


def test_activity_is_in_standard_deviations_times_the_score(result):
    activity = st.get.activity(result)
    spread = activity.X[receiving(result)].std(axis=0)
    np.testing.assert_allclose(spread, activity.var["score"], rtol=1e-3)


def test_the_copy_is_the_callers_own(result):
    activity = st.get.activity(result)
    activity.X[:] = -1
    activity.obs["extra"] = 0
    assert (st.get.activity(result).X != -1).all()
    assert "extra" not in result.obs


def test_a_view_and_a_subset_of_cells(result):
    part = result[receiving(result)]
    activity = st.get.activity(part)
    assert not np.isnan(activity.X).any()
    np.testing.assert_array_equal(activity.X, st.get.activity(result).X[receiving(result)])
    pd.testing.assert_frame_equal(st.get.lr_pairs(part.copy()), st.get.lr_pairs(result))


def test_only_the_strongest_pairs_are_stored():
    adata, full = tissue(), tissue()
    options = {"training": st.TrainingConfig(max_epochs=0)}
    st.tl.infer_ccc(full, config=small_config(**options))
    st.tl.infer_ccc(adata, config=small_config(max_activity=2, **options))
    assert st.get.activity(adata).n_vars == 2
    np.testing.assert_array_equal(st.get.activity(adata).X, st.get.activity(full).X[:, :2])
    assert st.get.communication(adata)[["ligand", "receptor"]].drop_duplicates().shape[0] == 2


@pytest.fixture(scope="module")
def chosen():
    """One sender type to one receiver type."""
    adata = tissue()
    st.tl.infer_ccc(
        adata,
        sample_key="sample",
        senders=["sender_0", "receiver_0"],
        receivers=["receiver_1"],
        config=small_config(training=st.TrainingConfig(max_epochs=0)),
    )
    return adata


def test_communication_is_from_senders_to_receivers(chosen):
    matrix = dense(chosen.obsp["spatrace_communication"])
    kind = chosen.obs["cell_type"]
    assert matrix.shape == (chosen.n_obs, chosen.n_obs)
    assert matrix.any()
    assert (matrix[~kind.isin(["sender_0", "receiver_0"])] == 0).all()
    assert (matrix[:, kind != "receiver_1"] == 0).all()
    np.testing.assert_array_equal(np.isnan(st.get.activity(chosen).X).all(axis=1), kind != "receiver_1")
    table = st.get.communication(chosen)
    assert set(table["sender"]) == {"sender_0", "receiver_0"}
    assert set(table["receiver"]) == {"receiver_1"}


def test_communication_stays_within_slices_and_the_radius(result):
    entries = result.obsp["spatrace_communication"].tocoo()
    sample = result.obs["sample"].to_numpy()
    assert (sample[entries.row] == sample[entries.col]).all()
    assert (entries.row != entries.col).all()
    assert (entries.data > 0).all()
    xy, radius = result.obsm["spatial"], result.uns["spatrace"]["params"]["radius"]
    assert np.linalg.norm(xy[entries.row] - xy[entries.col], axis=1).max() <= radius * (1 + 1e-9)


def test_senders_share_out_the_activity_of_a_receiver(result):
    """Column sums are the activity of the pairs whose ligand reaches the cell."""
    activity = st.get.activity(result)
    radius = result.uns["spatrace"]["params"]["radius"]
    exposure = st.pp.ligand_exposure(result, radius=radius, sample_key="sample", copy=True)
    reached = exposure[activity.var["ligand"]].to_numpy() > 0
    here = receiving(result)
    expected = np.where(reached, activity.X, 0)[here].sum(axis=1)
    found = np.asarray(result.obsp["spatrace_communication"].sum(axis=0)).ravel()
    np.testing.assert_allclose(found[here], expected, rtol=1e-3, atol=1e-5)
    assert (found[~here] == 0).all()
    assert reached[here].mean() > 0.5
