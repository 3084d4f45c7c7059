"""Means per sample, one row per sample."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from _helpers import NOTHING_SIGNIFICANT, small_result

import spatrace_sc as st

pytestmark = pytest.mark.filterwarnings(NOTHING_SIGNIFICANT, "ignore:.*of other cells.*")


@pytest.fixture(scope="module")
def result():
    return small_result()


@pytest.mark.parametrize("kind", ["lr_pairs", "tfs"])
def test_means_of_the_receivers(result, kind):
    table = st.get.sample_features(result, kind)
    activity = st.get.activity(result, kind)
    sample = result.obs["sample"].astype(str).to_numpy()
    receives = np.isfinite(activity.X).all(axis=1)
    assert list(table.columns) == ["n_receivers", *(f"{kind}:{n}" for n in activity.var_names)]
    for name in table.index:
        cells = receives & (sample == name)
        assert table.loc[name, "n_receivers"] == cells.sum() > 0
        expected = activity.X[cells].astype(np.float64).mean(axis=0)
        np.testing.assert_allclose(table.loc[name].to_numpy()[1:].astype(float), expected)


def test_long_and_wide_hold_the_same(result):
    wide, long = (st.get.sample_features(result, form=form) for form in ("wide", "long"))
    assert list(long.columns) == ["sample", "kind", "feature", "value", "n_receivers"]
    assert set(long["kind"]) == {"lr_pairs", "tfs"}
    long["column"] = long["kind"] + ":" + long["feature"]
    back = long.pivot(index="sample", columns="column", values="value")
    expected = wide.drop(columns="n_receivers")
    pd.testing.assert_frame_equal(
        back[expected.columns].loc[expected.index],
        expected,
        check_names=False,
        check_index_type=False,
        check_column_type=False,
    )
    counts = long.groupby("sample")["n_receivers"].first()
    assert counts.loc[wide.index].tolist() == wide["n_receivers"].tolist()


def test_modules_once_they_exist(result):
    adata = result.copy()
    with pytest.raises(st.MissingKeyError, match=r"st\.tl\.modules"):
        st.get.sample_features(adata, "modules")
    st.tl.modules(adata, max_q=1.0, n_modules=2, progress=False)
    table = st.get.sample_features(adata)
    assert sum(column.startswith("modules:") for column in table) == 2


def test_another_unit(result):
    adata = result.copy()
    animals = np.where(adata.obs["stage"].astype(str) == "E3", "old", "young")
    adata.obs["animal"] = pd.Categorical(animals, categories=["young", "old", "none"])
    table = st.get.sample_features(adata, "tfs", sample_key="animal")
    assert list(table.index) == ["old", "young"]
    per_slice = st.get.sample_features(adata, "tfs")
    assert table["n_receivers"].sum() == per_slice["n_receivers"].sum()
    adata.obs.loc[adata.obs_names[:400], "animal"] = np.nan
    fewer = st.get.sample_features(adata, "tfs", sample_key="animal")
    assert fewer["n_receivers"].sum() < table["n_receivers"].sum()


def test_a_sample_without_receivers_is_missing(result):
    adata = result.copy()
    silent = ~np.isfinite(st.get.activity(adata, "tfs").X).all(axis=1)
    adata.obs["part"] = np.where(silent, "senders", "receivers")
    table = st.get.sample_features(adata, "tfs", sample_key="part")
    assert table.loc["senders", "n_receivers"] == 0
    assert table.loc["senders"].drop("n_receivers").isna().all()
    assert table.loc["receivers"].notna().all()


def test_cells_of_one_type(result):
    types = result.obs["cell_type"].astype(str)
    one = types[np.isfinite(st.get.activity(result, "tfs").X).all(axis=1)].iloc[0]
    table = st.get.sample_features(result[(types == one).to_numpy()].copy(), "tfs")
    whole = st.get.sample_features(result, "tfs")
    assert 0 < table["n_receivers"].sum() < whole["n_receivers"].sum()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"kinds": "targets"}, st.InvalidArgumentError, "`kinds` must be one of"),
        ({"form": "tall"}, st.InvalidArgumentError, "`form` must be one of 'wide', 'long'"),
        ({"sample_key": "samples"}, st.MissingKeyError, "Did you mean 'sample'"),
        ({"key": "nothing"}, st.MissingKeyError, "nothing"),
    ],
)
def test_messages(result, arguments, error, message):
    with pytest.raises(error, match=message):
        st.get.sample_features(result, **arguments)
