"""Sample names that are reused at every stage stack tissues of different stages."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from _helpers import (
    NOTHING_SIGNIFICANT,
    TWO_OF_EACH,
    small_config,
    small_result,
    tiny_config,
    tissue,
)
from sklearn.metrics import roc_auc_score

import spatrace_sc as st
from spatrace_sc._data.cells import samples

pytestmark = pytest.mark.filterwarnings(NOTHING_SIGNIFICANT)

QUICK = {"config": tiny_config(), "device": "cpu"} | TWO_OF_EACH


def reused(adata=None):
    """Tissue of three stages with the replicates "1" and "2" at each."""
    adata = tissue() if adata is None else adata
    adata.obs["replicate"] = np.where(np.arange(adata.n_obs) % 2, "1", "2")
    return adata


def messages(call):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    raised = [w for w in caught if "`sample_key=" in str(w.message)]
    assert all(w.filename == __file__ for w in raised)
    return [str(w.message) for w in raised]


VERBS = {
    "infer_ccc": lambda a, k: st.tl.infer_ccc(a, sample_key=k, stage_key="stage", **QUICK),
    "infer_ccc without stages": lambda a, k: st.tl.infer_ccc(a, sample_key=k, **QUICK),
    "ligand_exposure": lambda a, k: st.pp.ligand_exposure(a, sample_key=k),
    "scale_positions": lambda a, k: st.pp.scale_positions(a, 10, sample_key=k),
}


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_says_it_once(verb):
    (message,) = messages(lambda: VERBS[verb](reused(), "replicate"))
    for text in (
        "`sample_key='replicate'`: 2 of 2 samples",
        "several values of `obs['stage']` ('1': 3, '2': 3)",
        "stacked",
        'adata.obs["slice"] = adata.obs[\'stage\'].astype(str) + "_" + '
        "adata.obs['replicate'].astype(str)",
        '`sample_key="slice"`',
    ):
        assert text in message
    assert not messages(lambda: VERBS[verb](tissue(), "sample"))


def test_later_verbs_do_not_repeat_it():
    adata = reused()
    assert messages(lambda: VERBS["infer_ccc"](adata, "replicate"))
    assert not messages(lambda: st.tl.knockout(adata, tf="TF000"))


def test_the_remedy_ends_it():
    adata = reused()
    adata.obs["slice"] = adata.obs["stage"].astype(str) + "_" + adata.obs["replicate"].astype(str)
    assert not messages(lambda: samples(adata, "slice", stage_key="stage"))
    assert not messages(lambda: VERBS["ligand_exposure"](adata, "slice"))


def test_the_given_stage_comes_before_columns_that_look_like_it():
    adata = reused()
    adata.obs["phase"] = adata.obs["stage"]
    adata.obs["stage"] = adata.obs["replicate"]
    (message,) = messages(lambda: samples(adata, "replicate", stage_key="phase"))
    assert "`obs['phase']`" in message
    assert not messages(lambda: samples(adata, "replicate", stage_key="replicate"))


@pytest.mark.parametrize("name", ["Stage", "time point", "Day", "development_stage", "condition"])
def test_columns_that_usually_hold_the_stage(name):
    adata = reused()
    adata.obs = adata.obs.rename(columns={"stage": name})[["replicate", name]]
    (message,) = messages(lambda: samples(adata, "replicate"))
    assert f"`obs[{name!r}]`" in message


def test_times_with_few_values_but_no_continuous_pseudotime():
    adata = reused()
    adata.obs = adata.obs[["replicate", "stage_time", "dpt_pseudotime", "latent_time"]]
    adata.obs = adata.obs.rename(columns={"stage_time": "embryonic", "latent_time": "time"})
    assert not messages(lambda: samples(adata, "replicate"))
    assert not messages(lambda: samples(adata, "replicate", time_key="dpt_pseudotime"))
    assert not messages(lambda: samples(adata, "replicate", time_key="time"))
    (message,) = messages(lambda: samples(adata, "replicate", time_key="embryonic"))
    assert "`obs['embryonic']` ('1': 3, '2': 3)" in message


def test_a_stage_that_fits_the_samples_vouches_for_a_time_within_them():
    """Steps of differentiation within a slice are no stages of the tissue."""
    adata = tissue()
    adata.obs["step"] = np.arange(300) % 4
    assert not messages(lambda: samples(adata, "sample", time_key="step"))
    assert messages(lambda: samples(adata[:, :1], "sample", stage_key="step"))


def test_single_samples_and_missing_stages():
    adata = tissue()
    first = str(adata.obs["sample"].iloc[0])
    adata.obs["late"] = pd.Series(np.nan, index=adata.obs_names, dtype=object)
    assert not messages(lambda: samples(adata, "sample", stage_key="late"))
    inside = np.flatnonzero(adata.obs["sample"] == first)
    adata.obs.iloc[inside[:5], adata.obs.columns.get_loc("late")] = "x"
    adata.obs.iloc[inside[5:9], adata.obs.columns.get_loc("late")] = "y"
    (message,) = messages(lambda: samples(adata, "sample", stage_key="late"))
    assert f"1 of 3 samples have cells of several values of `obs['late']` ('{first}': 2)" in message


def test_replicates_of_a_comparison_may_hold_several_stages():
    adata = reused()
    assert not messages(lambda: samples(adata, "replicate", "replicate_key"))


def test_names_of_cells_need_not_be_unique():
    adata = reused()
    adata.obs_names = ["same"] * 300
    assert messages(lambda: samples(adata, "replicate", stage_key="stage"))


def test_a_map_of_stacked_samples():
    adata = reused(small_result().copy())
    (message,) = messages(lambda: st.pl.spatial(adata, sample_key="replicate"))
    assert "`obs['stage']`" in message
    assert not messages(lambda: st.pl.spatial(adata, sample_key="replicate", stage_key="stage"))
    assert not messages(lambda: st.pl.spatial(adata, sample_key="sample"))
    assert not messages(lambda: st.pl.spatial(adata))


@pytest.mark.slow
def test_what_the_warning_is_about():
    """Stacked tissues recover fewer pairs than the same data with a name for every slice."""
    adata = st.datasets.simulated(n_cells=1500, n_slices=2)
    adata.obs["replicate"] = adata.obs["sample"].astype(str).str[-1]
    found = {}
    for key in ("sample", "replicate"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            st.tl.infer_ccc(adata, sample_key=key, stage_key="stage", config=small_config())
        edges = st.get.lr_targets(adata)
        true = adata.uns["truth"]["lr_targets"]
        columns = ["ligand", "receptor", "target"]
        is_true = pd.MultiIndex.from_frame(edges[columns]).isin(
            pd.MultiIndex.from_frame(true[columns])
        )
        found[key] = roc_auc_score(is_true, edges["score"])
    assert found["sample"] > found["replicate"] + 0.05
