"""Files of another layout than the published one."""

from __future__ import annotations

import numpy as np
import pytest
from _published_atlas import load, place, published

import spatrace_sc as st
from spatrace_sc.datasets._atlases import days_after_injury, embryonic_day
from spatrace_sc.datasets._registry import registry


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


def missing_position(adata):
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
        (missing_position, "NaN or inf in 1 of 300"),
        (missing_batch, r"obs\['Batch'\] is missing in 3 of 300"),
    ],
)
def test_another_layout_is_an_error_that_says_what_the_file_has(name, data_dir, change, match):
    adata = published(name)
    change(adata)
    place(name, data_dir, adata)
    with pytest.raises(st.DataError, match=match):
        load(name)
    assert (data_dir / registry()[name].file).exists()


def test_a_file_that_is_no_h5ad(name, data_dir):
    import h5py

    with h5py.File(data_dir / registry()[name].file, "w") as file:
        file["x"] = 1
    with pytest.raises(
        st.DataError, match=r"cannot be read as h5ad|differs from the description|has 0 cells"
    ):
        load(name)


@pytest.mark.parametrize(
    "bad", ["Injury_rep4_X", "Injury_2DPI_control_X", "Injury_2DPI_5DPI_X", "day2", ""]
)
def test_slices_that_name_no_stage(data_dir, bad):
    adata = published("axolotl_regeneration")
    adata.obs["Batch"] = (
        adata.obs["Batch"].astype(str).replace("Injury_2DPI_rep1_SS200000147BL_D5", bad)
    )
    place("axolotl_regeneration", data_dir, adata)
    with pytest.raises(st.DataError, match=f"1 values that name no stage: '{bad}'"):
        load("axolotl_regeneration")


def test_time_points_that_name_no_stage(data_dir):
    adata = published("mouse_midbrain")
    adata.obs["Time point"] = adata.obs["Time point"].astype(str).replace("E12.5", "P0")
    place("mouse_midbrain", data_dir, adata)
    with pytest.raises(st.DataError, match="name no stage: 'P0'"):
        load("mouse_midbrain")


def test_a_slice_has_one_stage(data_dir):
    adata = published("mouse_midbrain")
    adata.obs["Time point"] = np.where(np.arange(adata.n_obs) == 0, "E14.5", "E12.5")
    place("mouse_midbrain", data_dir, adata)
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
    parsed = days_after_injury(name)
    assert parsed[0] == stage
    np.testing.assert_equal(parsed[1], time)


def test_names_of_time_points():
    assert embryonic_day(" E12.5 ") == ("E12.5", 12.5)
    assert embryonic_day("E9") == ("E9", 9.0)
    assert [embryonic_day(x) for x in ("12.5", "E", "E12.5x", "P0", "nan")] == [None] * 5
