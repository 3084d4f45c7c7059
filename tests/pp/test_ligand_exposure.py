from __future__ import annotations

import math
import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from _helpers import ONE_SLICE, assert_unchanged, slow, snapshot, tissue
from scipy import sparse

import spatrace_sc as st

pytestmark = pytest.mark.filterwarnings(ONE_SLICE)


def line(
    x=(0.0, 10.0, 20.0, 40.0),
    counts=((1, 0), (2, 5), (0, 7), (4, 0)),
    types=("a", "b", "b", "a"),
    sample=None,
):
    """Cells on a line that express two ligands at the given linear levels, and another gene."""
    levels = np.column_stack([np.asarray(counts, dtype=float), np.ones(len(x))])
    return ad.AnnData(
        np.log1p(levels).astype(np.float32),
        obs=pd.DataFrame(
            {"cell_type": list(types), "sample": list(sample or ["s"] * len(x))},
            index=[f"c{k}" for k in range(len(x))],
        ),
        var=pd.DataFrame({"ligand": [True, True, False]}, index=["L1", "L2", "G"]),
        obsm={"spatial": np.column_stack([np.asarray(x), np.zeros(len(x))])},
    )


def kernel(distance, radius):
    return math.exp(-3.0 * distance / radius)


def test_a_tissue_by_hand():
    adata = line()
    st.pp.ligand_exposure(adata, radius=20.0)
    near, far = kernel(10, 20), kernel(20, 20)
    expected = [
        [2 * near + 0 * far, 5 * near + 7 * far],
        [1 * near, 7 * near],
        [1 * far + 2 * near + 4 * far, 5 * near],
        [0, 7 * far],
    ]
    np.testing.assert_allclose(adata.obsm["ligand_exposure"], expected, rtol=1e-6)
    assert list(adata.obsm["ligand_exposure"].columns) == ["L1", "L2"]
    assert list(adata.obsm["ligand_exposure"].index) == list(adata.obs_names)
    assert (adata.obsm["ligand_exposure"].dtypes == np.float32).all()


def test_senders_and_receivers():
    adata = line()
    table = st.pp.ligand_exposure(adata, radius=20.0, senders=["a"], receivers=["b"], copy=True)
    expected = [[np.nan, np.nan], [kernel(10, 20), 0], [5 * kernel(20, 20), 0], [np.nan, np.nan]]
    np.testing.assert_allclose(table, expected, rtol=1e-6)


def test_samples_are_apart():
    adata = line(sample=["s", "t", "s", "t"])
    table = st.pp.ligand_exposure(adata, radius=30.0, sample_key="sample", copy=True)
    np.testing.assert_allclose(
        table["L2"], [7 * kernel(20, 30), 0, 0, 5 * kernel(30, 30)], rtol=1e-6
    )


def test_ligands_and_layer_and_slots_can_be_chosen():
    adata = line()
    adata.layers["double"] = np.log1p(2 * np.expm1(adata.X))
    adata.obsm["xyz"] = np.column_stack([adata.obsm["spatial"], np.zeros(4)])
    st.pp.ligand_exposure(
        adata, radius=20.0, ligands=["L2"], layer="double", spatial_key="xyz", key_added="mine"
    )
    np.testing.assert_allclose(
        adata.obsm["mine"]["L2"],
        2 * st.pp.ligand_exposure(adata, radius=20.0, copy=True)["L2"],
        rtol=1e-5,
    )
    assert list(adata.obsm["mine"].columns) == ["L2"]
    assert set(adata.uns) == {"mine"}


@pytest.mark.parametrize(
    "form", [sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array, np.asfortranarray]
)
def test_any_form_of_matrix(form):
    adata, expected = line(), st.pp.ligand_exposure(line(), radius=20.0, copy=True)
    adata.X = form(adata.X)
    pd.testing.assert_frame_equal(st.pp.ligand_exposure(adata, radius=20.0, copy=True), expected)


def test_radius_by_default_is_five_times_the_distance_to_the_nearest_cell():
    adata = line(x=(0.0, 2.0, 4.0, 6.0))
    st.pp.ligand_exposure(adata)
    assert adata.uns["ligand_exposure"]["params"]["radius"] == pytest.approx(10.0)
    pd.testing.assert_frame_equal(
        adata.obsm["ligand_exposure"], st.pp.ligand_exposure(adata, radius=10.0, copy=True)
    )


def test_radius_by_default_ignores_duplicated_positions():
    adata = line(x=(0.0, 0.0, 2.0, 2.0))
    st.pp.ligand_exposure(adata)
    assert adata.uns["ligand_exposure"]["params"]["radius"] == pytest.approx(10.0)


def test_no_radius_can_be_derived_from_one_position():
    with pytest.raises(st.DataError, match=r"radius.*coordinates"):
        st.pp.ligand_exposure(line(x=(1.0, 1.0, 1.0, 1.0)))


@pytest.mark.parametrize(("radius", "says"), [(410.0, "of its slice"), (9.94, "no neighbour")])
def test_absurd_radius_warns(radius, says):
    adata = line(x=(0.0, 10.0, 20.0, 29.9))
    with pytest.warns(st.SpatraceWarning) as caught:
        st.pp.ligand_exposure(adata, radius=radius)
    assert len(caught) == 1
    assert f"`radius={radius:g}`" in str(caught[0].message)
    assert says in str(caught[0].message)
    assert caught[0].filename == __file__


@pytest.mark.parametrize("radius", [10.0, 399.0, np.float32(50), 50])
def test_sensible_radius_does_not_warn(radius):
    with warnings.catch_warnings():
        warnings.simplefilter("error", st.SpatraceWarning)
        st.pp.ligand_exposure(line(x=(0.0, 10.0, 20.0, 30.0)), radius=radius)


def test_copy_leaves_the_data_alone():
    adata = line()
    before = snapshot(adata)
    table = st.pp.ligand_exposure(adata, radius=20.0, copy=True)
    assert_unchanged(adata, before)
    assert st.pp.ligand_exposure(adata, radius=20.0) is None
    pd.testing.assert_frame_equal(adata.obsm["ligand_exposure"], table)


@pytest.mark.parametrize("form", ["h5ad", slow("zarr")])
def test_survives_being_written(form, tmp_path):
    adata = tissue()
    st.pp.ligand_exposure(adata, radius=40.0, sample_key="sample", receivers=["receiver_0"])
    path = tmp_path / f"data.{form}"
    (adata.write_h5ad if form == "h5ad" else adata.write_zarr)(path)
    back = (ad.read_h5ad if form == "h5ad" else ad.read_zarr)(path)
    pd.testing.assert_frame_equal(
        back.obsm["ligand_exposure"], adata.obsm["ligand_exposure"], check_names=False
    )
    assert back.uns["ligand_exposure"]["params"]["radius"] == 40.0
    assert back.uns["ligand_exposure"]["params"]["sample_key"] == "sample"


def test_survives_subsetting():
    adata = tissue()
    st.pp.ligand_exposure(adata, radius=40.0)
    subset = adata[adata.obs["cell_type"] == "receiver_0"].copy()
    assert list(subset.obsm["ligand_exposure"].index) == list(subset.obs_names)


@pytest.mark.parametrize("factor", [1e-4, 0.25, 1000.0])
def test_unit_of_length_does_not_matter(factor):
    adata = tissue()
    expected = st.pp.ligand_exposure(adata, radius=40.0, sample_key="sample", copy=True)
    by_default = st.pp.ligand_exposure(adata, sample_key="sample", copy=True)
    adata.obsm["spatial"] = factor * adata.obsm["spatial"]
    scaled = st.pp.ligand_exposure(adata, radius=40.0 * factor, sample_key="sample", copy=True)
    pd.testing.assert_frame_equal(scaled, expected, rtol=1e-4)
    pd.testing.assert_frame_equal(
        st.pp.ligand_exposure(adata, sample_key="sample", copy=True), by_default, rtol=1e-4
    )


def test_place_and_direction_of_the_tissue_do_not_matter():
    adata = tissue()
    expected = st.pp.ligand_exposure(adata, radius=40.0, sample_key="sample", copy=True)
    turn = np.array([[math.cos(1.0), -math.sin(1.0)], [math.sin(1.0), math.cos(1.0)]])
    adata.obsm["spatial"] = adata.obsm["spatial"] @ turn + 1000.0
    moved = st.pp.ligand_exposure(adata, radius=40.0, sample_key="sample", copy=True)
    pd.testing.assert_frame_equal(moved, expected, rtol=1e-4)


def test_order_of_cells_and_genes_does_not_matter():
    adata = tissue()
    rng = np.random.default_rng(0)
    moved = adata[rng.permutation(adata.n_obs), rng.permutation(adata.n_vars)].copy()
    expected = st.pp.ligand_exposure(adata, radius=40.0, sample_key="sample", copy=True)
    exposure = st.pp.ligand_exposure(moved, radius=40.0, sample_key="sample", copy=True)
    pd.testing.assert_frame_equal(
        exposure.loc[expected.index, expected.columns], expected, rtol=1e-4
    )


def test_spatialdata():
    from spatialdata import SpatialData

    adata = tissue()
    expected = st.pp.ligand_exposure(adata, radius=40.0, copy=True)
    st.pp.ligand_exposure(SpatialData(tables={"cells": adata}), radius=40.0, table_key="cells")
    pd.testing.assert_frame_equal(adata.obsm["ligand_exposure"], expected)


@pytest.mark.parametrize(
    ("level", "of_second"), [("minimum", 2.0), ("geometric mean", math.sqrt(10.0))]
)
def test_a_complex_by_hand(level, of_second):
    """Only the second cell expresses both subunits: at 2 and 5."""
    arguments = {"radius": 20.0, "complex_level": level, "copy": True}
    table = st.pp.ligand_exposure(line(), ligands=["L2", "L1_L2"], **arguments)
    near, far = kernel(10, 20), kernel(20, 20)
    assert list(table.columns) == ["L2", "L1_L2"]
    np.testing.assert_allclose(table["L1_L2"], of_second * np.array([near, 0, near, 0]), rtol=1e-6)
    np.testing.assert_allclose(table["L2"], [5 * near + 7 * far, 7 * near, 5 * near, 7 * far], 1e-6)


def test_complexes_that_gene_roles_stored_have_a_column():
    adata = line()
    adata.var["receptor"] = [False, False, True]
    st.pp.gene_roles(adata, ligands=["L1", "L1_L2"], receptors=["G"], tfs=["G"], targets=["L2"])
    table = st.pp.ligand_exposure(adata, radius=20.0, copy=True)
    assert list(table.columns) == ["L1", "L1_L2"]
    given = st.pp.ligand_exposure(adata, radius=20.0, ligands=["L1_L2"], copy=True)
    np.testing.assert_array_equal(table[["L1_L2"]], given)


def test_an_unknown_level_of_complexes():
    with pytest.raises(st.InvalidArgumentError, match="`complex_level` must be one of"):
        st.pp.ligand_exposure(line(), radius=20.0, complex_level="mean")
