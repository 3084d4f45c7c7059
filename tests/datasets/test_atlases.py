"""Atlases from files of the published layout, with simulated expression, over real HTTP."""

from __future__ import annotations

import logging

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from _helpers import NOTHING_SIGNIFICANT, dense, tiny_config, tissue
from _published_atlas import good, load, place, published
from scipy import sparse

import spatrace_sc as st
from spatrace_sc.datasets._registry import registry

pytestmark = pytest.mark.filterwarnings(NOTHING_SIGNIFICANT)

EXPECTED = {
    "axolotl_regeneration": (
        ["control", "2DPI", "15DPI"],
        {"control": np.nan, "2DPI": 2.0, "15DPI": 15.0},
    ),
    "mouse_midbrain": (["E12.5", "E14.5", "E16.5"], {"E12.5": 12.5, "E14.5": 14.5, "E16.5": 16.5}),
}


@pytest.fixture
def atlas(name, serve, data_dir, folder):
    server = serve(**{registry()[name].file.replace(".", "__"): good(name, folder)})
    return load(name, mirror=server.address)


def test_the_published_columns_are_read(atlas, name):
    source, (stages, times) = published(name), EXPECTED[name]
    assert list(atlas.obs["stage"].cat.categories) == stages
    assert atlas.obs["stage"].cat.ordered
    np.testing.assert_array_equal(
        atlas.obs["stage_time"], atlas.obs["stage"].astype(str).map(times)
    )
    assert atlas.obs["stage_time"].dtype == np.float64
    np.testing.assert_array_equal(atlas.obs["sample"].astype(str), source.obs["Batch"].astype(str))
    kinds = source.obs[registry()[name].layout["cell_type"]].astype(str)
    np.testing.assert_array_equal(atlas.obs["cell_type"].astype(str), kinds)
    for column in source.obs:
        np.testing.assert_array_equal(atlas.obs[column].astype(str), source.obs[column].astype(str))
    np.testing.assert_array_equal(atlas.obsm["spatial"], source.obsm["spatial"])
    np.testing.assert_array_equal(atlas.obsm["X_umap"], source.obsm["X_umap"])
    assert list(atlas.var_names) == list(source.var_names)
    assert list(atlas.obs_names) == list(source.obs_names)


def test_expression_is_made_from_the_counts(atlas, name):
    counts = dense(published(name).layers["counts"])
    for matrix in (atlas.X, atlas.layers["counts"]):
        assert sparse.issparse(matrix)
        assert matrix.format == "csr"
        assert matrix.dtype == np.float32
    np.testing.assert_array_equal(dense(atlas.layers["counts"]), counts)
    slow = np.zeros_like(counts)
    for i, row in enumerate(counts):
        slow[i] = np.log1p(10_000 * row / row.sum())
    np.testing.assert_allclose(dense(atlas.X), slow, rtol=1e-5)


def test_where_it_comes_from_is_stored(atlas, name, data_dir):
    entry = registry()[name]
    assert entry.citation in atlas.uns["citation"]
    assert entry.doi in atlas.uns["citation"]
    about = atlas.uns["atlas"]
    assert about["file"] == str(data_dir / entry.file)
    assert about["url"].startswith("http://127.0.0.1")
    assert len(about["sha256"]) == 64
    assert about["checksum"] == "recorded at first download"


@pytest.mark.parametrize("kind", ["h5ad", "zarr"])
def test_round_trip(atlas, tmp_path, kind):
    path = tmp_path / f"again.{kind}"
    getattr(atlas, f"write_{kind}")(path)
    again = getattr(ad, f"read_{kind}")(path)
    pd.testing.assert_frame_equal(again.obs, atlas.obs)
    np.testing.assert_array_equal(dense(again.X), dense(atlas.X))
    assert again.uns["atlas"] == atlas.uns["atlas"]
    assert again.uns["citation"] == atlas.uns["citation"]


def test_the_second_call_needs_no_network(name, serve, data_dir, folder):
    server = serve(**{registry()[name].file.replace(".", "__"): good(name, folder)})
    one = load(name, mirror=server.address)
    server.close()
    two = load(name)
    np.testing.assert_array_equal(dense(one.X), dense(two.X))
    pd.testing.assert_frame_equal(one.obs, two.obs)
    assert one.uns["atlas"] == two.uns["atlas"]
    assert len(server.requests) == 1


def test_inference_runs_on_it(data_dir):
    source = published("axolotl_regeneration")
    place("axolotl_regeneration", data_dir, source)
    adata = load("axolotl_regeneration")
    injured = adata[adata.obs["stage"] != "control"].copy()
    made = tissue()
    kinds = sorted(made.obs["cell_type"][made.obs["dpt_pseudotime"].notna()].unique())
    st.tl.infer_ccc(
        injured,
        sample_key="sample",
        stage_key="stage",
        time_key="stage_time",
        receivers=kinds,
        config=tiny_config(),
    )
    assert set(st.get.stages(injured)) == {"2DPI", "15DPI"}
    assert len(st.get.lr_targets(injured))


def test_a_file_that_is_not_hdf5_is_not_kept(name, serve, data_dir):
    server = serve(**{registry()[name].file.replace(".", "__"): b"<html>please log in</html>"})
    with pytest.raises(st.DownloadError, match="did not send a complete HDF5 file"):
        load(name, mirror=server.address)
    assert not (data_dir / registry()[name].file).exists()


def test_a_file_whose_end_is_missing_is_not_kept(name, serve, data_dir, folder):
    body = good(name, folder)
    server = serve(**{registry()[name].file.replace(".", "__"): body[: len(body) // 2]})
    with pytest.raises(st.DownloadError, match="did not send a complete HDF5 file"):
        load(name, mirror=server.address)
    assert not (data_dir / registry()[name].file).exists()


def test_a_missing_file_is_named(name, serve, data_dir):
    server = serve(other=b"")
    with pytest.raises(st.DownloadError, match="404") as error:
        load(name, mirror=server.address)
    assert str(data_dir / registry()[name].file) in str(error.value)


def test_dense_counts_empty_cells_and_repeated_names(data_dir, caplog):
    adata = published("mouse_midbrain")
    counts = dense(adata.layers["counts"]).copy()
    counts[5] = 0
    adata.layers["counts"] = counts
    adata.obs_names = ["twice", "twice", *adata.obs_names[2:]]
    adata.var_names = ["same", "same", *adata.var_names[2:]]
    place("mouse_midbrain", data_dir, adata)
    with caplog.at_level(logging.WARNING, "spatrace_sc"):
        atlas = load("mouse_midbrain")
    assert atlas.layers["counts"].format == "csr"
    np.testing.assert_array_equal(dense(atlas.layers["counts"]), counts)
    assert (dense(atlas.X)[5] == 0).all()
    assert list(atlas.obs_names[:2]) == ["twice", "twice-1"]
    assert list(atlas.var_names[:2]) == ["same", "same-1"]
    assert "'twice'" in caplog.text
    assert "'same'" in caplog.text


def test_published_columns_with_our_names_are_kept(data_dir):
    adata = published("mouse_midbrain")
    adata.obs["stage"] = "theirs"
    place("mouse_midbrain", data_dir, adata)
    atlas = load("mouse_midbrain")
    assert set(atlas.obs["stage"]) == {"E12.5", "E14.5", "E16.5"}
    assert set(atlas.obs["published_stage"]) == {"theirs"}


def test_cells_without_a_type_are_kept_and_counted(data_dir, caplog):
    adata = published("axolotl_regeneration")
    adata.obs["Annotation"] = adata.obs["Annotation"].where(np.arange(adata.n_obs) > 6)
    place("axolotl_regeneration", data_dir, adata)
    with caplog.at_level(logging.WARNING, "spatrace_sc"):
        atlas = load("axolotl_regeneration")
    assert atlas.obs["cell_type"].isna().sum() == 7
    assert "nan" not in atlas.obs["cell_type"].cat.categories
    assert "7 cells have no cell type" in caplog.text
    assert "the description has 78123 × 16379" in caplog.text


def test_counts_and_expression_share_no_memory(data_dir):
    place("mouse_midbrain", data_dir, published("mouse_midbrain"))
    atlas = load("mouse_midbrain")
    for part in ("data", "indices", "indptr"):
        assert not np.shares_memory(getattr(atlas.X, part), getattr(atlas.layers["counts"], part))


@pytest.mark.parametrize(
    "argument",
    [{"timeout": 0}, {"timeout": "x"}, {"retries": -1}, {"retries": 1.5}, {"mirror": "x"}],
)
def test_arguments_are_checked(name, data_dir, argument):
    with pytest.raises(st.InvalidArgumentError, match=f"`{next(iter(argument))}`"):
        load(name, **argument)
