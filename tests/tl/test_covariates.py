"""Covariates that the user names."""

from __future__ import annotations

from dataclasses import replace

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch
from _helpers import (
    NOTHING_SIGNIFICANT,
    assert_unchanged,
    infer_quietly,
    small_config,
    snapshot,
    source,
    tissue,
)
from anndata import AnnData
from scipy import sparse

import spatrace_sc as st
from spatrace_sc._inference.restore import restore
from spatrace_sc._model.evidence.silencing import readings
from spatrace_sc._study.problem import build_problem
from spatrace_sc._study.read import read_study

pytestmark = pytest.mark.filterwarnings(NOTHING_SIGNIFICANT)

ROLES = {
    "ligands": ["LIG000", "LIG001"],
    "receptors": ["REC000", "REC001"],
    "tfs": ["TF000", "TF001", "TF002"],
    "targets": ["TG000", "TG001", "TG002", "TG003"],
}
FAST = small_config(
    evidence=st.EvidenceConfig(n_resamples=2, n_permutations=1),
    training=st.TrainingConfig(max_epochs=2),
)


SHIFTED = {"tfs": "TF000", "targets": "TG000"}


def in_batches(shift: float = 1.5) -> AnnData:
    """Tissue in which a batch, drawn at random for every cell, shifts TF000 and TG000."""
    adata = tissue()
    rng = np.random.default_rng(3)
    batch = rng.integers(0, 2, adata.n_obs)
    x = adata.X.toarray() if sparse.issparse(adata.X) else np.array(adata.X)
    for gene in SHIFTED.values():
        noise = rng.normal(0, 0.2, adata.n_obs)
        column = adata.var_names.get_loc(gene)
        x[:, column] = np.maximum(1.0 + shift * batch + noise, 0.0)
    adata.X = x.astype(np.float32)
    adata.obs["batch"] = pd.Categorical(np.where(batch == 1, "b", "a"))
    adata.obs["score"] = batch + rng.normal(0, 0.01, adata.n_obs)
    adata.obsm["indicators"] = np.stack([batch == 0, batch == 1], axis=1).astype(float)
    return adata


def infer(adata: AnnData, **arguments) -> AnnData:
    infer_quietly(adata, **ROLES, sample_key="sample", config=FAST, **arguments)
    return adata


def effect(adata: AnnData, tf: str = "TF000", target: str = "TG000") -> float:
    table = st.get.tf_targets(adata).set_index(["tf", "target"])
    return float(table.loc[(tf, target), "effect"])


@pytest.fixture(scope="module")
def unadjusted() -> AnnData:
    return infer(in_batches())


@pytest.fixture(scope="module")
def adjusted() -> AnnData:
    return infer(in_batches(), covariates=["batch"])


def test_what_a_batch_explains_is_hardly_an_effect(unadjusted, adjusted):
    assert effect(unadjusted) > 0.6
    assert abs(effect(adjusted)) < 0.3 * effect(unadjusted)


@pytest.mark.parametrize("covariate", ["score", "indicators"])
def test_a_covariate_may_have_any_form(covariate, unadjusted):
    adata = infer(in_batches(), covariates=covariate)
    assert abs(effect(adata)) < 0.4 * effect(unadjusted)


def test_the_silenced_models_are_adjusted():
    study = read_study(in_batches(), ROLES, source(covariates=("batch",)))
    problem = build_problem(study, FAST, None)
    rows = torch.nonzero(problem.usable)[:, 0]
    batch = problem.covariates[rows, -1]
    data = readings(problem, problem.tf_count, rows)
    plain = readings(replace(problem, n_named_covariates=0), problem.tf_count, rows)
    tf, target = (list(study.genes[role]).index(gene) for role, gene in SHIFTED.items())
    for before, after in (
        (plain.levels[rows, tf], data.levels[rows, tf]),
        (plain.targets[rows, target], data.targets[rows, target]),
    ):
        assert abs(float((before * batch).mean())) > 0.9
        assert abs(float((after * batch).mean())) < 0.01
        # in standard deviations of the gene, not of its residual
        assert float(after.std()) < 0.5
    assert torch.equal(plain.allowed, data.allowed)


def columns_of(adata: AnnData, *covariates: str) -> np.ndarray:
    study = read_study(adata, ROLES, source(covariates=covariates))
    return build_problem(study, FAST, None).covariates.numpy()


def test_covariates_are_standardised_columns_at_the_end():
    adata = in_batches()
    usual, more = columns_of(adata), columns_of(adata, "batch", "score")
    np.testing.assert_array_equal(more[:, : usual.shape[1]], usual)
    added = more[:, usual.shape[1] :]
    assert added.shape[1] == 3
    np.testing.assert_allclose(added.mean(axis=0), 0.0, atol=1e-5)
    np.testing.assert_allclose(added.std(axis=0), 1.0, atol=1e-5)
    np.testing.assert_allclose(added[:, 0], -added[:, 1], atol=1e-5)


def test_an_indicator_per_category_is_what_obsm_could_hold():
    adata = in_batches()
    np.testing.assert_allclose(columns_of(adata, "batch"), columns_of(adata, "indicators"))


@pytest.mark.parametrize("dtype", ["category", "str", "bool", "object"])
def test_categories_of_any_type_are_the_same(dtype):
    adata = in_batches()
    expected = columns_of(adata, "batch")
    adata.obs["other"] = (adata.obs["batch"] == "b").astype(dtype)
    np.testing.assert_array_equal(columns_of(adata, "other"), expected)


def test_the_order_of_the_names_does_not_matter(adjusted):
    first = infer(in_batches(), covariates=["score", "batch"])
    second = infer(in_batches(), covariates=["batch", "score"])
    pd.testing.assert_frame_equal(st.get.tf_targets(first), st.get.tf_targets(second))


def test_they_are_parameters_of_the_result(unadjusted, adjusted, tmp_path):
    assert st.get.params(unadjusted)["covariates"] == []
    assert st.get.params(adjusted)["covariates"] == ["batch"]
    adjusted.write_h5ad(tmp_path / "a.h5ad")
    back = ad.read_h5ad(tmp_path / "a.h5ad")
    assert st.get.params(back)["covariates"] == ["batch"]
    assert restore(back, "spatrace").problem.n_named_covariates == 2


def test_a_covariate_that_changed_is_noticed(adjusted):
    changed = adjusted.copy()
    changed.obs["batch"] = changed.obs["batch"].to_numpy()[::-1]
    with pytest.raises(st.DataError, match="covariates have other levels"):
        restore(changed, "spatrace")
    del changed.obs["batch"]
    with pytest.raises(st.MissingKeyError, match="`covariates`: 'batch' is neither"):
        restore(changed, "spatrace")


def values_of(adata: AnnData, gene: str) -> np.ndarray:
    return np.asarray(adata[:, gene].X, dtype=float).ravel()


def with_column(values) -> AnnData:
    adata = in_batches()
    adata.obs["bad"] = values(adata)
    return adata


BAD = {
    "constant": (lambda a: np.ones(a.n_obs), "is the same in all"),
    "one category": (lambda a: pd.Categorical(["x"] * a.n_obs), "is the same in all"),
    "a category per cell": (lambda a: a.obs_names.to_numpy(), "identify single cells"),
    "missing numbers": (lambda a: np.where(np.arange(a.n_obs) % 9, 1.5, np.nan), "is missing in"),
    "missing text": (lambda a: [None if k % 9 else "x" for k in range(a.n_obs)], "is missing in"),
    "infinite": (lambda a: np.where(np.arange(a.n_obs) % 9, 1.5, np.inf), "NaN or inf in"),
    "a TF": (lambda a: values_of(a, "TF001"), "has the values of a TF"),
    "a target": (lambda a: 3 - 2 * values_of(a, "TG001"), "has the values of a target"),
}


@pytest.mark.parametrize(("values", "message"), BAD.values(), ids=BAD)
def test_values_that_cannot_be_used_are_refused(values, message):
    adata = with_column(values)
    before = snapshot(adata)
    with pytest.raises(st.DataError, match=f"`covariates`.*{message}"):
        infer(adata, covariates=["bad"])
    assert_unchanged(adata, before)


def test_values_of_cells_that_only_send_do_not_matter():
    adata = in_batches()
    adata.obs["bad"] = adata.obs["score"].to_numpy()
    sends = adata.obs["dpt_pseudotime"].isna().to_numpy()
    assert sends.any()
    expected = columns_of(adata, "bad")
    adata.obs.loc[sends, "bad"] = np.nan
    np.testing.assert_array_equal(columns_of(adata, "bad"), expected)


def test_names_that_cannot_be_used_are_refused():
    adata = in_batches()
    with pytest.raises(st.MissingKeyError, match=r"'batsh' is neither .*'batch'"):
        infer(adata, covariates=["batsh"])
    with pytest.raises(st.InvalidArgumentError, match="'cell_type' is already part of the model"):
        infer(adata, covariates=["cell_type"])
    adata.obsm["batch"] = np.zeros((adata.n_obs, 1))
    with pytest.raises(st.InvalidArgumentError, match=r"is in `adata.obs` and in `adata.obsm`"):
        infer(adata, covariates=["batch"])


def test_more_columns_than_the_cells_can_bear_are_refused():
    adata = in_batches()
    adata.obsm["wide"] = np.random.default_rng(0).normal(size=(adata.n_obs, 60))
    with pytest.raises(st.DataError, match=r"`covariates` make 60 columns for .* receivers"):
        infer(adata, covariates=["wide"])
    adata.obsm["text"] = pd.DataFrame({"a": ["x"] * adata.n_obs}, index=adata.obs_names)
    with pytest.raises(st.DataError, match="must hold numbers"):
        infer(adata, covariates=["text"])
