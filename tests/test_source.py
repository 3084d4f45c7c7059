"""Reading keys: stored as plain values and the same after a file."""

from __future__ import annotations

from dataclasses import fields

import anndata as ad
import numpy as np
import pytest
from _helpers import slow, source

from spatrace_sc._study.source import KEYS, Source

NAMES = [field.name for field in fields(Source)]
USED = source().resolved(["b", "a"], ["c"], 42.5)
EVERY_KEY = source(
    layer="counts", transitions_key="mine", gene_symbols="symbol", stage_key="day"
).resolved(["a"], ["a", "c"], 0.1)
NO_KEYS = source(sample_key=None, stage_key=None, layer=None).resolved(["a"], ["b"], 1e6)


@pytest.mark.parametrize("original", [USED, EVERY_KEY, NO_KEYS], ids=["used", "every", "none"])
@pytest.mark.parametrize("form", ["memory", "h5ad", slow("zarr")])
def test_what_is_stored_can_be_read(original, form, tmp_path):
    params = original.to_params()
    if form != "memory":
        adata = ad.AnnData(np.ones((2, 2)), uns={"params": params})
        getattr(adata, f"write_{form}")(tmp_path / "a")
        params = getattr(ad, f"read_{form}")(tmp_path / "a").uns["params"]
    back = Source.from_params(params)
    for name in NAMES:
        value = getattr(original, name)
        assert getattr(back, name) == (sorted(value) if isinstance(value, list) else value), name
    assert Source.from_params(back.to_params()) == back


def test_stored_values_are_plain():
    params = NO_KEYS.to_params()
    assert (
        set(params)
        == set(NAMES) - {"complexes", "complex_level", "scale"}  # stored with complexes; used up
        == {
            *(*KEYS, "senders", "receivers", "radius", "homophilic", "covariates"),
            *("proportions", "own"),
        }
    )
    assert all(isinstance(params[key], str) for key in KEYS)
    assert params["sample_key"] == params["layer"] == ""
    assert params["senders"].dtype == object
    assert USED.to_params()["senders"].tolist() == ["a", "b"]
    assert params["homophilic"] is False


@pytest.mark.parametrize("homophilic", [False, True])
def test_whether_a_gene_pairs_with_itself_comes_back(homophilic):
    params = source(homophilic=homophilic).to_params()
    assert Source.from_params(params).homophilic is homophilic
    assert (
        Source.from_params(params | {"homophilic": np.bool_(homophilic)}).homophilic is homophilic
    )


@pytest.mark.parametrize("proportions", [None, "types"])
@pytest.mark.parametrize("own", [False, True])
def test_proportions_and_own_come_back(proportions, own):
    params = source(proportions=proportions, own=own).to_params()
    back = Source.from_params(params | {"own": np.bool_(own)})
    assert (back.proportions, back.own) == (proportions, own)
    former = {key: value for key, value in params.items() if key not in ("proportions", "own")}
    assert Source.from_params(former).own is False  # results before these arguments
    assert Source.from_params(former).proportions is None


@pytest.mark.parametrize("form", ["memory", "h5ad", slow("zarr")])
@pytest.mark.parametrize("covariates", [(), ("batch",), ("S_score", "regions")])
def test_covariates_come_back(covariates, form, tmp_path):
    params = source(covariates=covariates).to_params()
    if form != "memory":
        adata = ad.AnnData(np.ones((2, 2)), uns={"params": params})
        getattr(adata, f"write_{form}")(tmp_path / "a")
        params = getattr(ad, f"read_{form}")(tmp_path / "a").uns["params"]
    assert Source.from_params(params).covariates == covariates
    params.pop("covariates")  # results of version 0.1.0
    assert Source.from_params(params).covariates == ()


def test_results_that_do_not_state_it_paired_a_gene_with_itself():
    params = source().to_params()
    del params["homophilic"]
    assert Source.from_params(params).homophilic is True


def test_resolved_names_the_types_and_the_radius():
    given = source(radius=None)
    used = given.resolved(np.array(["a"]), ("b", "c"), 3.0)
    assert (used.senders, used.receivers, used.radius) == (["a"], ["b", "c"], 3.0)
    assert given.radius is None
    assert all(getattr(used, key) == getattr(given, key) for key in KEYS)


@pytest.mark.parametrize(
    ("stage_key", "sample_key", "column"),
    [("day", "slice", "day"), (None, "slice", "slice"), (None, None, None), ("day", None, "day")],
)
def test_samples_are_the_stages_where_no_stages_are_named(stage_key, sample_key, column):
    assert source(stage_key=stage_key, sample_key=sample_key).stage_column == column
