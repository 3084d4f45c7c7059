"""A model that is saved, loaded, and applied to other cells."""

from __future__ import annotations

from functools import lru_cache

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from _helpers import (
    FEW_GENES,
    NOTHING_SIGNIFICANT,
    infer_quietly,
    small_config,
    small_result,
    snapshot,
    tiny_config,
)
from benchmarks.road.apply_model import animal, shuffled

import spatrace_sc as st
from spatrace_sc._inference.restore import restore
from spatrace_sc._result import Result
from spatrace_sc._study.covariate_scales import covariate_scales, scaled_covariates
from spatrace_sc._study.problem import build_covariates
from spatrace_sc._study.reading_scales import ReadingScales, reading_scales

pytestmark = pytest.mark.filterwarnings(NOTHING_SIGNIFICANT)
KEYS = {"sample_key": "sample", "stage_key": "stage"}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    st.tl.save_model(small_result(), path)
    return path


@pytest.fixture(scope="module")
def model(file):
    return st.tl.load_model(file)


@pytest.fixture(scope="module")
def applied(model):
    """The cells of the inference, with its result and that of the applied model."""
    adata = small_result().copy()
    st.tl.apply_model(model, adata, key_added="applied")
    return adata


@lru_cache(maxsize=1)
def other_animal():
    return animal(0, 77, n_cells=600, n_targets=20)


def test_a_model_shows_what_it_is(model):
    text = repr(model)
    assert "12 ligands × 12 receptors, 12 TFs" in text
    assert "20 targets" in text
    assert f"{model.r2:.3f}" in text
    assert model.r2 == pytest.approx(small_result().uns["spatrace"]["fit"]["r2_gates"])
    with pytest.raises(AttributeError):
        model.written = "today"


def test_a_file_holds_no_cell(file):
    content = file.read_bytes()
    names = [name.encode() for name in small_result().obs_names[:50]]
    assert not any(name in content for name in names)


def test_saving_again_gives_the_same_bytes(file, tmp_path):
    st.tl.save_model(small_result(), tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == file.read_bytes()
    assert [f.name for f in tmp_path.iterdir()] == ["again"]


@pytest.mark.parametrize("slot", ["activity", "activity_se", "tf_activity"])
def test_activity_in_the_cells_of_the_inference_is_that_of_the_inference(applied, slot):
    then, now = (applied.obsm[f"{key}_{slot}"] for key in ("spatrace", "applied"))
    assert now.dtype == np.float32
    np.testing.assert_allclose(now, then, atol=1e-4, equal_nan=True)
    assert np.nanstd(then) > 0.01


@pytest.mark.parametrize(
    "removed", [{"ligand": "LIG000"}, {"tf": "TF003"}, {"sender": "sender_0"}], ids=str
)
def test_knockouts_in_the_cells_of_the_inference_are_those_of_the_inference(applied, removed):
    adata = applied.copy()
    for key in ("spatrace", "applied"):
        st.tl.knockout(adata, **removed, key=key)
    then, now = (
        st.get.knockout(adata, key=key).set_index("target").sort_index()
        for key in ("spatrace", "applied")
    )
    pd.testing.assert_frame_equal(now, then, rtol=1e-3, atol=1e-5)
    assert then["change"].abs().max() > 0.001


def test_tables_of_edges_are_those_of_the_inference(applied):
    for reader in (st.get.tf_targets, st.get.lr_targets, st.get.lr_pairs):
        pd.testing.assert_frame_equal(reader(applied, key="applied"), reader(applied))
    both = [st.get.communication(applied, key=key) for key in ("applied", "spatrace")]
    pd.testing.assert_series_equal(both[0]["score"], both[1]["score"], rtol=1e-3)


def test_predictions_are_those_of_the_fitted_model(applied, model):
    """By hand: weights times standardised regulators, with the scales of the fit."""
    from _helpers import predicted_targets

    back = restore(applied, "spatrace")
    usable = back.problem.usable.numpy()
    y = ((back.problem.targets - back.fit.target_mean) / back.fit.target_sd).numpy()[usable]
    predicted = predicted_targets(back.fit.network, back.fit.weights, back.problem)
    error = y - predicted.detach().numpy()[usable]
    sample = back.study.receiver_sample[usable]
    frames = [pd.DataFrame(values).groupby(sample) for values in (y, error)]
    total, unexplained = ((frame.transform(lambda x: x - x.mean()) ** 2).sum() for frame in frames)
    expected = (1 - unexplained / total).to_numpy()
    table = st.get.prediction(applied, key="applied").set_index("target")
    np.testing.assert_allclose(table.loc[model.genes.targets, "r2"], expected, atol=1e-3)


@pytest.mark.slow
def test_a_model_holds_in_another_animal_and_not_with_shuffled_targets():
    adata = animal(41, 41, n_cells=800, n_targets=20)
    infer_quietly(adata, **KEYS, config=small_config())
    other = animal(41, 43, n_cells=600, n_targets=20)
    assert set(other.obs_names) != set(adata.obs_names)
    model = saved(adata)
    st.tl.apply_model(model, other)
    r2 = Result.read(other, "spatrace").applied.summary["r2"]
    assert r2 > 0.5 * model.r2 > 0.05
    mixed = shuffled(other)
    with pytest.warns(st.SpatraceWarning, match="barely better"):
        st.tl.apply_model(model, mixed)
    assert Result.read(mixed, "spatrace").applied.summary["r2"] < 0.01


def saved(adata):
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        st.tl.save_model(adata, Path(folder) / "model")
        return st.tl.load_model(Path(folder) / "model")


def test_an_applied_result_survives_a_file(model, tmp_path):
    adata = other_animal().copy()
    st.tl.apply_model(model, adata)
    st.tl.knockout(adata, ligand="LIG001")
    adata.write_h5ad(tmp_path / "other.h5ad")
    back = ad.read_h5ad(tmp_path / "other.h5ad")
    pd.testing.assert_frame_equal(st.get.prediction(back), st.get.prediction(adata))
    st.tl.knockout(back, ligand="LIG001", name="again")
    first, again = (st.get.knockout(back, name) for name in ("ligand:LIG001", "again"))
    pd.testing.assert_frame_equal(first, again, rtol=1e-4, atol=1e-6)
    assert st.get.activity(back).n_obs == back.n_obs
    st.pl.spatial(back, sample_key="sample")


@pytest.mark.parametrize("verb", ["ranges", "compare", "partial_residuals", "save_model"])
def test_verbs_that_need_the_cells_of_the_inference_refuse(model, verb, tmp_path):
    adata = other_animal().copy()
    st.tl.apply_model(model, adata)
    calls = {
        "ranges": lambda: st.tl.ranges(adata, max_q=1.0),
        "compare": lambda: st.tl.compare(adata, "stage", max_q=1.0),
        "partial_residuals": lambda: st.tl.partial_residuals(adata, "TF000", "TG000"),
        "save_model": lambda: st.tl.save_model(adata, tmp_path / "model"),
    }
    with pytest.raises(st.DataError, match="a model of other cells"):
        calls[verb]()


# --- invariances ------------------------------------------------------------------------------


def result_in(model, adata, **arguments):
    st.tl.apply_model(model, adata, **arguments)
    values = pd.DataFrame(adata.obsm["spatrace_activity"], index=adata.obs_names).sort_index()
    return values, st.get.prediction(adata).set_index("target").sort_index()


def assert_same(one, other):
    np.testing.assert_allclose(one[0], other[0], atol=2e-4, equal_nan=True)
    np.testing.assert_allclose(one[1]["r2"], other[1]["r2"], atol=1e-3)


def test_order_of_cells_and_genes_does_not_matter(model):
    adata = other_animal()
    rng = np.random.default_rng(0)
    moved = adata[rng.permutation(adata.n_obs), rng.permutation(adata.n_vars)].copy()
    assert_same(result_in(model, adata.copy()), result_in(model, moved))


def test_the_total_of_counts_does_not_matter(model):
    other = other_animal().copy()
    linear = np.expm1(other.X.toarray())
    other.X = np.log1p(linear / 7.0).astype(np.float32)
    assert_same(result_in(model, other_animal().copy()), result_in(model, other))


def test_depth_is_taken_out(model):
    """With a third of the molecules activity has nearly the same mean."""
    other = animal(0, 77, n_cells=600, n_targets=20, depth=333.0)
    deep, shallow = (result_in(model, a)[0] for a in (other_animal().copy(), other))
    ratio = np.nanmean(shallow.to_numpy(), axis=0) / np.nanmean(deep.to_numpy(), axis=0)
    assert 0.8 < np.median(ratio) < 1.25


def test_units_of_coordinates_are_given_by_the_radius(model):
    other = other_animal().copy()
    other.obsm["spatial"] = other.obsm["spatial"] * 0.325
    same = result_in(model, other, radius=0.325 * model.source.radius)
    assert_same(result_in(model, other_animal().copy()), same)


def test_symbols_and_names_of_keys(model):
    other = other_animal().copy()
    other.var["symbol"] = other.var_names
    other.var_names = [f"ENS{k:05d}" for k in range(other.n_vars)]
    other.obs = other.obs.rename(columns={"cell_type": "kind", "sample": "slide"})
    with pytest.raises(st.MissingKeyError, match="cell_type"):
        st.tl.apply_model(model, other, gene_symbols="symbol")
    keys = {"cell_type_key": "kind", "sample_key": "slide", "gene_symbols": "symbol"}
    assert_same(result_in(model, other_animal().copy()), result_in(model, other, **keys))


def test_genes_without_a_role_may_be_missing(model):
    """Only genes that both files have count for the scale."""
    other = other_animal().copy()
    without = np.flatnonzero(~other.var[["ligand", "receptor", "tf", "target"]].any(axis=1))
    fewer = other[:, np.setdiff1d(np.arange(other.n_vars), without[::2])].copy()
    one, two = result_in(model, other), result_in(model, fewer)
    np.testing.assert_allclose(one[0].mean(), two[0].mean(), rtol=0.1)


def test_nothing_is_changed_and_copies_are_annotated(model):
    other = other_animal().copy()
    before = snapshot(other)
    result = st.tl.apply_model(model, other, copy=True)
    after = snapshot(other)
    assert {k: after[k] for k in ("X", "uns", "obsm")} == {
        k: before[k] for k in ("X", "uns", "obsm")
    }
    assert "spatrace" in result.uns
    result.uns["spatrace"]["model"]["values"][:] = 0.0
    assert np.abs(model.arrays["values"]).max() > 0


# --- what does not fit ------------------------------------------------------------------------


def test_missing_regulators_are_named(model):
    other = other_animal()
    with pytest.raises(st.DataError, match=r"lack 2 of the 36 .*'LIG000', 'TF001'"):
        st.tl.apply_model(model, other[:, ~other.var_names.isin(["LIG000", "TF001"])].copy())


def test_names_that_differ_in_case_are_refused(model):
    other = other_animal().copy()
    other.var_names = other.var_names.str.lower()
    with pytest.raises(st.DataError, match="upper and lower case"):
        st.tl.apply_model(model, other)


def test_missing_targets_have_no_r2(model):
    other = other_animal()
    lacking = other[:, ~other.var_names.isin(["TG000", "TG003"])].copy()
    with pytest.warns(st.SpatraceWarning, match="lack 2 of the 20 targets.*'TG000', 'TG003'"):
        st.tl.apply_model(model, lacking)
    table = st.get.prediction(lacking).set_index("target")["r2"]
    assert table[["TG000", "TG003"]].isna().all()
    assert table.notna().sum() == 18
    st.tl.knockout(lacking, ligand="LIG000")
    with pytest.raises(st.DataError, match="lack all 20 targets"):
        st.tl.apply_model(model, other[:, ~other.var_names.str.startswith("TG")].copy())


def test_unknown_types_take_no_part_unless_they_are_named(model):
    other = other_animal().copy()
    types = other.obs["cell_type"].astype(str)
    first = np.flatnonzero((types == "receiver_1").to_numpy())[:40]
    other.obs["cell_type"] = types
    other.obs.iloc[first, other.obs.columns.get_loc("cell_type")] = "new"
    with pytest.warns(st.SpatraceWarning, match="does not know 1 cell types.*'new'"):
        st.tl.apply_model(model, other)
    assert np.isnan(other.obsm["spatrace_activity"][first]).all()
    with pytest.warns(st.SpatraceWarning, match="did not receive in the inference"):
        st.tl.apply_model(model, other, receivers=["receiver_0", "receiver_1", "new"])
    assert np.isfinite(other.obsm["spatrace_activity"][first]).all()
    other.obs["cell_type"] = "other"
    with pytest.raises(st.DataError, match="none of the senders of the model"):
        st.tl.apply_model(model, other)


def test_data_that_are_no_counts_are_refused(model):
    other = other_animal().copy()
    other.X = (other.X.toarray() * 0.731 + 0.01).astype(np.float32)
    with pytest.raises(st.DataError, match="log1p of normalised counts"):
        st.tl.apply_model(model, other)


def test_arguments(model, file, tmp_path):
    other = other_animal().copy()
    with pytest.raises(st.InvalidArgumentError, match="`model` must be a model"):
        st.tl.apply_model(str(file), other)
    with pytest.raises(st.InvalidArgumentError, match="`radius`"):
        st.tl.apply_model(model, other, radius=-1.0)
    with pytest.raises(st.InvalidArgumentError, match="exists"):
        st.tl.save_model(small_result(), file)
    with pytest.raises(st.InvalidArgumentError, match="is a folder"):
        st.tl.save_model(small_result(), tmp_path, overwrite=True)
    with pytest.raises(st.InvalidArgumentError, match="`path` must be"):
        st.tl.save_model(small_result(), 3)
    with pytest.raises(st.InvalidArgumentError, match="cannot be written"):
        st.tl.save_model(small_result(), tmp_path / "none" / "model")
    with pytest.raises(st.MissingKeyError, match="was applied"):
        st.get.prediction(small_result())


# --- scales -----------------------------------------------------------------------------------


def test_covariates_of_the_cells_of_the_inference_are_those_of_the_inference(applied):
    study = restore(applied, "spatrace").study
    expected = build_covariates(study)
    now = scaled_covariates(study, covariate_scales(study))
    assert now.sizes == expected.sizes
    n_types, n_slices = expected.sizes[:2]
    others = np.r_[:n_types, n_types + n_slices : expected.values.shape[1]]
    np.testing.assert_allclose(now.values[:, others], expected.values[:, others], atol=1e-4)
    assert not now.values[:, n_types : n_types + n_slices].any()


def test_scales_survive_their_plain_form(applied):
    back = restore(applied, "spatrace")
    scales = reading_scales(applied, back.study, back.result.source)
    again = ReadingScales.from_slots(scales.to_slots())
    for one, two in zip(scales.filters, again.filters, strict=True):
        for a, b in zip(one, two, strict=True):
            np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(again.covariates.state.sd, scales.covariates.state.sd)


def test_named_covariates_are_aligned_by_category():
    few = {"n_cells": 400, "n_targets": 5, **FEW_GENES}
    adata = animal(0, 5, **few)
    rng = np.random.default_rng(0)
    adata.obs["batch"] = pd.Categorical(rng.choice(["a", "b"], adata.n_obs))
    adata.obs["score"] = rng.normal(size=adata.n_obs)
    infer_quietly(adata, **KEYS, covariates=["batch", "score"], config=tiny_config())
    model = saved(adata)
    other = animal(0, 6, **few)
    with pytest.raises(st.MissingKeyError, match="batch"):
        st.tl.apply_model(model, other)
    other.obs["score"] = 0.0
    other.obs["batch"] = "b"
    st.tl.apply_model(model, other)
    named = restore(other, "spatrace", applied=True).study.named_covariates
    assert (named["batch=b"] == 1).all()
    assert (named["batch=a"] == 0).all()
    other.obs["batch"] = "c"
    with pytest.warns(st.SpatraceWarning, match="did not have 'batch=c'"):
        st.tl.apply_model(model, other)
    named = restore(other, "spatrace", applied=True).study.named_covariates
    assert 0.3 < named["batch=b"].iloc[0] < 0.7


@pytest.mark.filterwarnings("ignore::spatrace_sc.SpatraceWarning")
@pytest.mark.parametrize("change", ["no counts", "few times"])
def test_other_kinds_of_data(change):
    """A model of data that are no counts, or with few times: the same activity in its cells."""
    adata = animal(0, 9, n_cells=400, n_targets=5, **FEW_GENES)
    if change == "no counts":
        adata.X = (adata.X.toarray() * 0.731 + 0.01).astype(np.float32)
    else:
        adata.obs["dpt_pseudotime"] = adata.obs["dpt_pseudotime"].round(1)
    infer_quietly(adata, **KEYS, config=tiny_config())
    st.tl.apply_model(saved(adata), adata, key_added="applied")
    for slot in ("activity", "tf_activity"):
        then, now = (adata.obsm[f"{key}_{slot}"] for key in ("spatrace", "applied"))
        np.testing.assert_allclose(now, then, atol=1e-3, equal_nan=True)
    assert st.get.prediction(adata, key="applied")["r2"].notna().all()


@pytest.mark.filterwarnings("ignore::spatrace_sc.SpatraceWarning")
def test_mixed_spots_and_cells_that_signal_to_themselves():
    adata = animal(0, 11, n_cells=400, n_targets=5, **FEW_GENES)
    rng = np.random.default_rng(0)
    names = sorted(adata.obs["cell_type"].unique())
    hot = (adata.obs["cell_type"].to_numpy()[:, None] == np.array(names)).astype(float)
    values = 3.0 * hot + rng.dirichlet(np.ones(len(names)), adata.n_obs)
    table = pd.DataFrame(values / 4.0, columns=names, index=adata.obs_names)
    adata.obsm["mix"] = table
    mixed = {"proportions": "mix", "cell_type_key": None, "own": True}
    infer_quietly(adata, **KEYS, **mixed, config=tiny_config())
    st.tl.apply_model(saved(adata), adata, key_added="applied")
    then, now = (adata.obsm[f"{key}_activity"] for key in ("spatrace", "applied"))
    np.testing.assert_allclose(now, then, atol=1e-3, equal_nan=True)
    st.tl.knockout(adata, ligand="LIG000", key="applied")
