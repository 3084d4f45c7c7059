"""Slices in different units brought to one."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from _helpers import assert_unchanged, snapshot, tissue

import spatrace_sc as st


def spots(*steps: float, as_type: type = float):
    """A grid of six by six spots a slice, so many pixels apart."""
    grid = np.array([(x, y) for x in range(6) for y in range(6)], dtype=float)
    place = np.vstack([grid * step + 1000 * k for k, step in enumerate(steps)]).astype(as_type)
    obs = pd.DataFrame(
        {"section": np.repeat([f"s{k}" for k in range(len(steps))], 36)},
        index=[f"c{k}" for k in range(len(place))],
    )
    return ad.AnnData(np.ones((len(place), 3), np.float32), obs=obs, obsm={"spatial": place})


@pytest.mark.parametrize("as_type", [float, int, np.float32])
def test_neighbours_are_as_far_apart_as_stated(as_type):
    adata = spots(310, 692, as_type=as_type)
    before = adata.obsm["spatial"].copy()
    st.pp.scale_positions(adata, 200, sample_key="section")
    scaled = adata.obsm["spatial_scaled"]
    assert scaled.dtype == np.float64
    for k, step in enumerate((310, 692)):
        mask = slice(36 * k, 36 * (k + 1))
        np.testing.assert_allclose(scaled[mask], before[mask] * (200 / step))
    np.testing.assert_array_equal(adata.obsm["spatial"], before)
    scale = adata.uns["spatial_scaled_scale"]
    np.testing.assert_allclose(scale.loc[["s0", "s1"], "distance"], [310, 692])
    np.testing.assert_allclose(scale["factor"] * scale["distance"], 200)


def test_the_inference_takes_them_and_no_longer_warns_of_units(recwarn):
    adata = tissue()
    first = (adata.obs["sample"] == adata.obs["sample"].iloc[0]).to_numpy()
    adata.obsm["spatial"] = np.where(first[:, None], 3.0, 1.0) * np.asarray(adata.obsm["spatial"])
    with pytest.warns(st.SpatraceWarning, match=r"scale_positions\(adata"):
        st.pp.ligand_exposure(adata, sample_key="sample")
    st.pp.scale_positions(adata, 100, sample_key="sample")
    recwarn.clear()
    st.pp.ligand_exposure(adata, sample_key="sample", spatial_key="spatial_scaled")
    assert not [w for w in recwarn if "differs between samples" in str(w.message)]


def test_a_copy_leaves_everything_as_it_is():
    adata = spots(10, 30)
    before = snapshot(adata)
    scaled = st.pp.scale_positions(adata, 100, sample_key="section", copy=True)
    assert_unchanged(adata, before)
    assert scaled.shape == (72, 2)


def test_one_slice_round_trip_and_again(tmp_path):
    adata = spots(10)
    st.pp.scale_positions(adata, 100, key_added="spatial")
    np.testing.assert_allclose(adata.obsm["spatial"][1], [0, 100])
    st.pp.scale_positions(adata, 50, key_added="spatial")
    np.testing.assert_allclose(adata.obsm["spatial"][1], [0, 50])
    adata.write_h5ad(tmp_path / "a.h5ad")
    back = ad.read_h5ad(tmp_path / "a.h5ad")
    assert list(back.uns["spatial_scale"].index) == ["all"]
    view = spots(10, 30)[:50]
    st.pp.scale_positions(view, 100, sample_key="section")
    assert view.obsm["spatial_scaled"].shape == (50, 2)


@pytest.mark.parametrize("spacing", [0, -1, float("nan"), None, "far", True])
def test_no_distance(spacing):
    with pytest.raises(st.InvalidArgumentError, match="`spacing` must be a positive number"):
        st.pp.scale_positions(spots(10), spacing)


def test_unusable_arguments_are_refused():
    adata = spots(10, 30)
    adata.obsm["spatial_scaled"] = adata.obsm["spatial"] * 2
    before = snapshot(adata)
    with pytest.raises(st.InvalidArgumentError, match="would be lost"):
        st.pp.scale_positions(adata, 100, sample_key="section")
    adata_one = spots(10, 30)
    adata_one.obsm["spatial"][:36] = 5.0
    with pytest.raises(st.DataError, match="slice 's0' share one position"):
        st.pp.scale_positions(adata_one, 100, sample_key="section")
    with pytest.raises(st.MissingKeyError, match="sectoin"):
        st.pp.scale_positions(adata, 100, sample_key="sectoin", key_added="other")
    with pytest.raises(st.MissingKeyError, match="spatial_key"):
        st.pp.scale_positions(adata, 100, spatial_key="place", key_added="other")
    assert_unchanged(adata, before)


def test_an_entry_of_uns_of_the_users_is_not_lost():
    adata = spots(10, 30)
    adata.uns["spatial_scale"] = "mine"
    before = snapshot(adata)
    with pytest.raises(st.InvalidArgumentError, match=r"adata.uns\['spatial_scale'\]"):
        st.pp.scale_positions(adata, 100, sample_key="section", key_added="spatial")
    assert_unchanged(adata, before)
