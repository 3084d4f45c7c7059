from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from _helpers import NOTHING_SIGNIFICANT, small_result, written_and_read

import spatrace_sc as st

pytestmark = pytest.mark.filterwarnings(NOTHING_SIGNIFICANT)


def test_table_of_all_receivers():
    adata = small_result()
    table = st.get.attention(adata)
    genes = adata.uns["spatrace"]["genes"]
    assert list(table.columns) == ["tf", "target", "attention", "silencing_effect"]
    assert len(table) == len(genes["tfs"]) * len(genes["targets"])
    assert not table.duplicated(["tf", "target"]).any()
    assert table["attention"].is_monotonic_decreasing
    assert table["attention"].between(0, 1).all()
    assert (table.groupby("target")["attention"].sum() <= 1 + 1e-5).all()
    stored = adata.uns["spatrace"]["attention"]
    row = table.iloc[7]
    place = [
        list(genes[role]).index(row[name]) for role, name in (("tfs", "tf"), ("targets", "target"))
    ]
    assert row["attention"] == pytest.approx(stored["share"][0][tuple(place)])


def test_stages_and_types_average_to_the_whole():
    adata = small_result()
    groups = adata.uns["spatrace"]["attention"]["groups"]
    keys = ["tf", "target"]
    whole = st.get.attention(adata).set_index(keys)["attention"]
    for kind in ("stage", "cell_type"):
        rows = groups[groups["kind"] == kind]
        assert len(rows) > 1
        assert rows["n_cells"].sum() == groups["n_cells"].iloc[0]
        parts = [
            st.get.attention(adata, **{kind: name})
            .set_index(keys)["attention"]
            .reindex(whole.index)
            for name in rows["name"]
        ]
        assert np.abs(parts[0] - parts[1]).max() > 1e-6
        mean = sum(n * part for n, part in zip(rows["n_cells"], parts, strict=True))
        pd.testing.assert_series_equal(
            mean / rows["n_cells"].sum(), whole, rtol=1e-4, check_names=False
        )


@pytest.mark.parametrize("form", ["h5ad", "zarr"])
def test_it_survives_a_file(form, tmp_path):
    back = written_and_read(small_result(), form, tmp_path)
    stage = st.get.stages(back)[1]
    for options in ({}, {"stage": stage}):
        pd.testing.assert_frame_equal(
            st.get.attention(back, **options), st.get.attention(small_result(), **options)
        )


def test_bad_input():
    adata = small_result().copy()
    stage = st.get.stages(adata)[0]
    with pytest.raises(st.InvalidArgumentError, match="a `stage` or a `cell_type`, not both"):
        st.get.attention(adata, stage, cell_type="receiver_0")
    with pytest.raises(
        st.InvalidArgumentError, match=r"`stage='dya1'` has no attention.*available"
    ):
        st.get.attention(adata, "dya1")
    with pytest.raises(st.InvalidArgumentError, match="`cell_type='sender_0'` has no attention"):
        st.get.attention(adata, cell_type="sender_0")
    adata.uns["spatrace"] = {k: v for k, v in adata.uns["spatrace"].items() if k != "attention"}
    with pytest.raises(st.MissingKeyError, match=r"holds no attention to TFs.*infer_ccc"):
        st.get.attention(adata)


def test_effects_that_carry_no_weight_are_missing():
    adata = small_result().copy()
    slots = dict(adata.uns["spatrace"]["attention"])
    slots["effect"] = np.zeros_like(slots["effect"])
    adata.uns["spatrace"] = adata.uns["spatrace"] | {"attention": slots}
    assert st.get.attention(adata)["silencing_effect"].isna().all()
    slots["effect"] = slots["effect"].copy()
    slots["effect"][0, 0] = -0.25
    table = st.get.attention(adata)
    assert table["silencing_effect"].notna().all()
    assert table["silencing_effect"].min() == -0.25
