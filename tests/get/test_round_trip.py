from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from _helpers import (
    NOTHING_SIGNIFICANT,
    OTHER_CELLS,
    dense,
    slow,
    small_config,
    tiny_config,
    tissue,
    written_and_read,
)

import spatrace_sc as st

pytestmark = pytest.mark.filterwarnings(
    "ignore::FutureWarning:spatialdata", "ignore::UserWarning:zarr", NOTHING_SIGNIFICANT
)


def assert_readers_agree(one, other, stages):
    for reader in (st.get.tf_targets, st.get.lr_targets, st.get.lr_pairs, st.get.communication):
        for stage in (None, *stages):
            pd.testing.assert_frame_equal(reader(other, stage), reader(one, stage))
    pd.testing.assert_frame_equal(st.get.training_history(other), st.get.training_history(one))
    assert st.get.stages(other) == st.get.stages(one) == list(stages)
    assert st.get.params(other) == st.get.params(one)
    left, right = st.get.activity(one), st.get.activity(other)
    np.testing.assert_array_equal(left.X, right.X)
    for layer in ("se", "shrunk"):
        np.testing.assert_array_equal(left.layers[layer], right.layers[layer])
    for table in ("tf_targets", "lr_targets", "lr_pairs", "lr_tfs"):
        pd.testing.assert_frame_equal(
            other.uns["spatrace"][table],
            one.uns["spatrace"][table],
            check_index_type=False,
            check_column_type=False,
        )
    for name in ("p_values", "stage_factors"):
        kept, found = one.uns["spatrace"][name], other.uns["spatrace"][name]
        assert set(kept) == set(found)
        for part in kept:
            np.testing.assert_array_equal(found[part], kept[part])
    np.testing.assert_array_equal(
        other.uns["spatrace"]["minimum_effect"], one.uns["spatrace"]["minimum_effect"]
    )
    assert list(map(str, other.uns["spatrace"]["groups"])) == list(
        map(str, one.uns["spatrace"]["groups"])
    )
    pd.testing.assert_frame_equal(left.var, right.var)
    pd.testing.assert_frame_equal(left.obs, right.obs)
    np.testing.assert_array_equal(
        dense(one.obsp["spatrace_communication"]), dense(other.obsp["spatrace_communication"])
    )


@pytest.mark.parametrize("form", ["h5ad", *map(slow, ["zarr", "spatialdata"])])
def test_readers_agree_before_and_after_writing(result, form, tmp_path):
    back = written_and_read(result.copy(), form, tmp_path)
    assert_readers_agree(result, back, ["E1", "E2", "E3"])
    assert (
        float(back.uns["spatrace"]["params"]["radius"])
        == result.uns["spatrace"]["params"]["radius"]
    )
    assert int(back.uns["spatrace"]["params"]["config"]["evidence"]["n_resamples"]) == 3


@pytest.mark.slow
def test_a_second_round_changes_nothing(result, tmp_path):
    (tmp_path / "again").mkdir()
    back = written_and_read(
        written_and_read(result.copy(), "zarr", tmp_path), "h5ad", tmp_path / "again"
    )
    assert_readers_agree(result, back, ["E1", "E2", "E3"])


@pytest.mark.filterwarnings(OTHER_CELLS)
def test_a_subset_can_be_written(result, tmp_path):
    part = result[:200].copy()
    assert_readers_agree(part, written_and_read(part, "h5ad", tmp_path), ["E1", "E2", "E3"])


def test_inference_on_data_from_a_file_is_the_same(tmp_path):
    adata = tissue()
    back = written_and_read(adata, "h5ad", tmp_path)
    options = {"sample_key": "sample", "stage_key": "stage", "config": tiny_config()}
    st.tl.infer_ccc(adata, **options)
    st.tl.infer_ccc(back, **options)
    assert_readers_agree(adata, back, ["E1", "E2", "E3"])


@pytest.fixture(scope="module")
def silent():
    """Receptors are expressed nowhere, so no pair can act."""
    adata = tissue()
    matrix = dense(adata.X)
    matrix[:, adata.var["receptor"]] = 0
    adata.X = matrix.astype(np.float32)
    st.tl.infer_ccc(
        adata, sample_key="sample", config=small_config(training=st.TrainingConfig(max_epochs=0))
    )
    return adata


def test_a_result_without_pairs_can_be_read(silent):
    pairs = st.get.lr_pairs(silent)
    assert len(pairs) == 36
    assert (pairs["score"] == 0).all()
    assert (pairs["p_value"] == 1).all()
    assert len(st.get.lr_targets(silent)) == 36 * 5
    assert len(st.get.communication(silent)) == 0
    assert st.get.activity(silent).shape == (silent.n_obs, 0)
    assert silent.obsp["spatrace_communication"].nnz == 0


@pytest.mark.parametrize("form", ["h5ad", slow("zarr")])
def test_a_result_without_pairs_can_be_written(silent, form, tmp_path):
    back = written_and_read(silent.copy(), form, tmp_path)
    for reader in (st.get.lr_targets, st.get.lr_pairs, st.get.tf_targets):
        pd.testing.assert_frame_equal(reader(back), reader(silent), check_dtype=False)
    assert list(st.get.communication(back).columns) == list(st.get.communication(silent).columns)
    assert st.get.activity(back).shape == (silent.n_obs, 0)


def on_disk(sdata, folder):
    """The same after a round through a file."""
    sdata.write(folder / "data.zarr")
    return type(sdata).read(folder / "data.zarr")


@pytest.mark.parametrize("form", ["memory", slow("zarr")])
def test_inference_on_spatialdata(form, tmp_path):
    import spatialdata

    plain, adata = tissue(), tissue()
    options = {
        "sample_key": "sample",
        "config": tiny_config(),
    }
    st.tl.infer_ccc(plain, **options)
    sdata = spatialdata.SpatialData(tables={"cells": adata})
    assert st.tl.infer_ccc(sdata, table_key="cells", **options) is None
    pd.testing.assert_frame_equal(st.get.lr_pairs(sdata.tables["cells"]), st.get.lr_pairs(plain))
    cells = sdata.tables["cells"] if form == "memory" else on_disk(sdata, tmp_path)["cells"]
    assert_readers_agree(plain, cells, ["E1_slice1", "E2_slice1", "E3_slice1"])


def test_inference_on_spatialdata_with_copy():
    import spatialdata

    sdata = spatialdata.SpatialData(tables={"table": tissue()})
    options = {
        "sample_key": "sample",
        "config": tiny_config(),
    }
    found = st.tl.infer_ccc(sdata, copy=True, **options)
    assert "spatrace" in found.uns
    assert "spatrace" not in sdata.tables["table"].uns
    assert not {"spatrace_activity", "spatrace_communication"} & {
        *sdata.tables["table"].obsm,
        *sdata.tables["table"].obsp,
    }
