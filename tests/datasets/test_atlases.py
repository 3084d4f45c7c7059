"""Atlases from files of the published layout, with simulated expression, over real HTTP."""

from __future__ import annotations

import functools
import logging

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from _helpers import dense, tiny_config, tissue
from scipy import sparse

import spatrace_sc as st
from spatrace_sc.datasets._atlases import days_after_injury, embryonic_day
from spatrace_sc.datasets._registry import registry

SLICES = {
    "axolotl_regeneration": [
        "Injury_15DPI_rep4_FP200000266TR_E4",
        "Injury_2DPI_rep1_SS200000147BL_D5",
        "Injury_control_FP200000239BL_E3",
    ],
    "mouse_midbrain": ["slice_b", "slice_a", "slice_c"],
}
EXPECTED = {
    "axolotl_regeneration": (
        ["control", "2DPI", "15DPI"],
        {"control": np.nan, "2DPI": 2.0, "15DPI": 15.0},
    ),
    "mouse_midbrain": (["E12.5", "E14.5", "E16.5"], {"E12.5": 12.5, "E14.5": 14.5, "E16.5": 16.5}),
}
ATLASES = sorted(SLICES)


def published(name):
    """A small tissue in the layout of the publisher's file; ``X`` is neither counts nor logged, as none of it may be used."""
    made = tissue()
    stage = made.obs["stage"].cat.codes.to_numpy()
    obs = pd.DataFrame(index=[f"CELL.{i}" for i in range(made.n_obs)])
    obs["Batch"] = pd.Categorical(np.array(SLICES[name])[stage])
    if name == "mouse_midbrain":
        obs["Time point"] = pd.Categorical(np.array(["E16.5", "E12.5", "E14.5"])[stage])
        obs["annotation"] = pd.Categorical(made.obs["cell_type"].to_numpy())
    else:
        obs["Annotation"] = made.obs["cell_type"].astype(str).to_numpy()
    counts = made.layers["counts"].astype(np.float64)
    adata = ad.AnnData(
        X=np.full(made.shape, -3.5, dtype=np.float32),
        obs=obs,
        var=made.var,
        layers={"counts": counts},
    )
    adata.obsm["spatial"] = made.obsm["spatial"]
    adata.obsm["X_umap"] = made.obsm["spatial"][:, ::-1].astype(np.float32)
    adata.uns["annotation_colors"] = np.array(["#000000"])
    return adata


def as_bytes(adata, folder):
    path = folder / "made.h5ad"
    adata.write_h5ad(path)
    return path.read_bytes()


@functools.cache
def good(name, folder):
    return as_bytes(published(name), folder)


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("published")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SPATRACE_SC_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("SPATRACE_SC_MIRROR", raising=False)
    return tmp_path


def load(name, **arguments):
    return getattr(st.datasets, name)(progressbar=False, **arguments)


def place(name, cache, adata):
    """Put a file into the cache by hand."""
    (cache / registry()[name].file).write_bytes(as_bytes(adata, cache))


@pytest.fixture(params=ATLASES)
def name(request):
    return request.param


@pytest.fixture
def atlas(name, serve, cache, folder):
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


def test_where_it_comes_from_is_stored(atlas, name, cache):
    entry = registry()[name]
    assert entry.citation in atlas.uns["citation"]
    assert entry.doi in atlas.uns["citation"]
    about = atlas.uns["atlas"]
    assert about["file"] == str(cache / entry.file)
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


def test_the_second_call_needs_no_network(name, serve, cache, folder):
    server = serve(**{registry()[name].file.replace(".", "__"): good(name, folder)})
    one = load(name, mirror=server.address)
    server.close()
    two = load(name)
    np.testing.assert_array_equal(dense(one.X), dense(two.X))
    pd.testing.assert_frame_equal(one.obs, two.obs)
    assert one.uns["atlas"] == two.uns["atlas"]
    assert len(server.requests) == 1


def test_inference_runs_on_it(cache):
    source = published("axolotl_regeneration")
    place("axolotl_regeneration", cache, source)
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


def test_a_file_that_is_not_hdf5_is_not_kept(name, serve, cache):
    server = serve(**{registry()[name].file.replace(".", "__"): b"<html>please log in</html>"})
    with pytest.raises(st.DownloadError, match="did not send a complete HDF5 file"):
        load(name, mirror=server.address)
    assert not (cache / registry()[name].file).exists()


def test_a_file_whose_end_is_missing_is_not_kept(name, serve, cache, folder):
    whole = good(name, folder)
    server = serve(**{registry()[name].file.replace(".", "__"): whole[: len(whole) // 2]})
    with pytest.raises(st.DownloadError, match="did not send a complete HDF5 file"):
        load(name, mirror=server.address)
    assert not (cache / registry()[name].file).exists()


def test_a_missing_file_is_named(name, serve, cache):
    server = serve(other=b"")
    with pytest.raises(st.DownloadError, match="404") as error:
        load(name, mirror=server.address)
    assert str(cache / registry()[name].file) in str(error.value)


def drop_counts(adata):
    del adata.layers["counts"]


def drop_spatial(adata):
    del adata.obsm["spatial"]


def drop_batch(adata):
    adata.obs = adata.obs.rename(columns={"Batch": "batch_id"})


def drop_types(adata):
    adata.obs = adata.obs.rename(columns={"annotation": "celltype", "Annotation": "celltype"})


def scale_counts(adata):
    adata.layers["counts"] = adata.layers["counts"] * 0.3


def negative_counts(adata):
    adata.layers["counts"] = -adata.layers["counts"]


def infinite_counts(adata):
    adata.layers["counts"].data[3] = np.inf


def missing_place(adata):
    adata.obsm["spatial"][2, 0] = np.nan


def missing_batch(adata):
    adata.obs["Batch"] = adata.obs["Batch"].astype(object).where(np.arange(adata.n_obs) > 2)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (drop_counts, r"lacks layers\['counts'\].*its layers are none"),
        (drop_spatial, r"lacks obsm\['spatial'\].*X_umap"),
        (drop_batch, r"lacks obs\['Batch'\].*batch_id"),
        (drop_types, r"lacks obs\['[aA]nnotation'\].*celltype"),
        (scale_counts, r"must hold counts, whole numbers.*has e\.g\. [\d.]+"),
        (negative_counts, r"must hold counts, whole numbers.*has e\.g\. -"),
        (infinite_counts, r"must hold counts, whole numbers.*has e\.g\. inf"),
        (missing_place, "NaN or inf in 1 of 300"),
        (missing_batch, r"obs\['Batch'\] is missing in 3 of 300"),
    ],
)
def test_another_layout_is_an_error_that_says_what_was_found(name, cache, change, match):
    adata = published(name)
    change(adata)
    place(name, cache, adata)
    with pytest.raises(st.DataError, match=match):
        load(name)
    assert (cache / registry()[name].file).exists()


def test_a_file_that_is_no_h5ad(name, cache):
    import h5py

    with h5py.File(cache / registry()[name].file, "w") as file:
        file["x"] = 1
    with pytest.raises(
        st.DataError, match=r"cannot be read as h5ad|has another layout|has 0 cells"
    ):
        load(name)


@pytest.mark.parametrize(
    "bad", ["Injury_rep4_X", "Injury_2DPI_control_X", "Injury_2DPI_5DPI_X", "day2", ""]
)
def test_slices_that_name_no_stage(cache, bad):
    adata = published("axolotl_regeneration")
    adata.obs["Batch"] = (
        adata.obs["Batch"].astype(str).replace("Injury_2DPI_rep1_SS200000147BL_D5", bad)
    )
    place("axolotl_regeneration", cache, adata)
    with pytest.raises(st.DataError, match=f"1 values that name no stage: '{bad}'"):
        load("axolotl_regeneration")


def test_time_points_that_name_no_stage(cache):
    adata = published("mouse_midbrain")
    adata.obs["Time point"] = adata.obs["Time point"].astype(str).replace("E12.5", "P0")
    place("mouse_midbrain", cache, adata)
    with pytest.raises(st.DataError, match="name no stage: 'P0'"):
        load("mouse_midbrain")


def test_a_slice_has_one_stage(cache):
    adata = published("mouse_midbrain")
    adata.obs["Time point"] = np.where(np.arange(adata.n_obs) == 0, "E14.5", "E12.5")
    place("mouse_midbrain", cache, adata)
    with pytest.raises(st.DataError, match="cells of several stages"):
        load("mouse_midbrain")


@pytest.mark.parametrize(
    ("name", "stage", "time"),
    [
        ("Injury_15DPI_rep4_FP200000266TR_E4", "15DPI", 15.0),
        ("Batch1_Injury_2DPI_rep1_SS200000147BL_D5", "2DPI", 2.0),
        ("injury_60dpi", "60DPI", 60.0),
        ("Injury_control_FP200000239BL_E3", "control", np.nan),
    ],
)
def test_names_of_slices(name, stage, time):
    found = days_after_injury(name)
    assert found[0] == stage
    np.testing.assert_equal(found[1], time)


def test_names_of_time_points():
    assert embryonic_day(" E12.5 ") == ("E12.5", 12.5)
    assert embryonic_day("E9") == ("E9", 9.0)
    assert [embryonic_day(x) for x in ("12.5", "E", "E12.5x", "P0", "nan")] == [None] * 5


def test_dense_counts_empty_cells_and_repeated_names(cache, caplog):
    adata = published("mouse_midbrain")
    counts = dense(adata.layers["counts"]).copy()
    counts[5] = 0
    adata.layers["counts"] = counts
    adata.obs_names = ["twice", "twice", *adata.obs_names[2:]]
    adata.var_names = ["same", "same", *adata.var_names[2:]]
    place("mouse_midbrain", cache, adata)
    with caplog.at_level(logging.WARNING, "spatrace_sc"):
        found = load("mouse_midbrain")
    assert found.layers["counts"].format == "csr"
    np.testing.assert_array_equal(dense(found.layers["counts"]), counts)
    assert (dense(found.X)[5] == 0).all()
    assert list(found.obs_names[:2]) == ["twice", "twice-1"]
    assert list(found.var_names[:2]) == ["same", "same-1"]
    assert "'twice'" in caplog.text
    assert "'same'" in caplog.text


def test_published_columns_with_our_names_are_kept(cache):
    adata = published("mouse_midbrain")
    adata.obs["stage"] = "theirs"
    place("mouse_midbrain", cache, adata)
    found = load("mouse_midbrain")
    assert set(found.obs["stage"]) == {"E12.5", "E14.5", "E16.5"}
    assert set(found.obs["published_stage"]) == {"theirs"}


def test_cells_without_a_type_are_kept_and_counted(cache, caplog):
    adata = published("axolotl_regeneration")
    adata.obs["Annotation"] = adata.obs["Annotation"].where(np.arange(adata.n_obs) > 6)
    place("axolotl_regeneration", cache, adata)
    with caplog.at_level(logging.WARNING, "spatrace_sc"):
        found = load("axolotl_regeneration")
    assert found.obs["cell_type"].isna().sum() == 7
    assert "nan" not in found.obs["cell_type"].cat.categories
    assert "7 cells have no cell type" in caplog.text
    assert "described were 78123 × 16379" in caplog.text


def test_counts_and_expression_share_no_memory(cache):
    place("mouse_midbrain", cache, published("mouse_midbrain"))
    found = load("mouse_midbrain")
    for part in ("data", "indices", "indptr"):
        assert not np.shares_memory(getattr(found.X, part), getattr(found.layers["counts"], part))


@pytest.mark.parametrize(
    "argument",
    [{"timeout": 0}, {"timeout": "x"}, {"retries": -1}, {"retries": 1.5}, {"mirror": "x"}],
)
def test_arguments_are_checked(name, cache, argument):
    with pytest.raises(st.InvalidArgumentError, match=f"`{next(iter(argument))}`"):
        load(name, **argument)
