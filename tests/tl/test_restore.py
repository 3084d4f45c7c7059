from __future__ import annotations

import anndata as ad
import numpy as np
import pytest
import torch
from _helpers import small_result, tiny_config

import spatrace_sc as st
from spatrace_sc._model.checkpoint import predict
from spatrace_sc._model.fit import fit
from spatrace_sc.tl import _inference
from spatrace_sc.tl._restore import restore
from spatrace_sc.tl._result import regulator_levels


def test_the_model_is_the_one_that_was_fitted(monkeypatch):
    seen = []

    def spy(problem, config, *, seed):
        seen.append((problem, fit(problem, config, seed=seed)))
        return seen[-1][1]

    monkeypatch.setattr(_inference, "fit", spy)
    adata = st.datasets.simulated(n_cells=400, n_targets=8)
    st.tl.infer_ccc(adata, sample_key="sample", stage_key="stage", config=tiny_config(), device="cpu", seed=3)
    (problem, fitted), back = seen[0], restore(adata, "spatrace")
    torch.testing.assert_close(back.fit.held_out, fitted.held_out)
    torch.testing.assert_close(back.fit.target_sd, fitted.target_sd)
    for name in ("tf", "receptor", "exposure"):
        torch.testing.assert_close(getattr(back.fit.attended, name), getattr(fitted.attended, name))
    torch.testing.assert_close(
        predict(back.fit.network, back.fit.weights, back.problem), predict(fitted.network, fitted.weights, problem)
    )
    regulators = np.arange(0, problem.n_tfs + problem.n_pairs, 7)
    np.testing.assert_allclose(
        regulator_levels(back.problem, back.fit, regulators), regulator_levels(problem, fitted, regulators), rtol=1e-5
    )


@pytest.mark.parametrize("form", ["h5ad", "zarr"])
def test_from_a_file_and_with_genes_in_another_order(form, tmp_path):
    adata = small_result()
    path = tmp_path / f"a.{form}"
    getattr(adata, f"write_{form}")(path)
    back = getattr(ad, f"read_{form}")(path)
    back = back[:, np.random.default_rng(0).permutation(back.n_vars)].copy()
    one, two = restore(adata, "spatrace"), restore(back, "spatrace")
    torch.testing.assert_close(one.fit.attended.tf, two.fit.attended.tf, atol=1e-5, rtol=1e-4)
    np.testing.assert_array_equal(one.study.genes["targets"], two.study.genes["targets"])
    assert one.config == two.config


def test_symbols_are_found_again():
    adata = st.datasets.simulated(n_cells=300, n_targets=5)
    adata.var["symbol"] = ["s" + n[::-1] for n in adata.var_names]
    adata.var.loc[adata.var_names[adata.var["target"]][:2], "symbol"] = "twice"
    st.tl.infer_ccc(adata, sample_key="sample", gene_symbols="symbol", config=tiny_config(), device="cpu")
    study = restore(adata, "spatrace").study
    assert {r: list(n) for r, n in study.genes.items()} == {
        r: list(n) for r, n in adata.uns["spatrace"]["genes"].items()
    }
    assert sum(g.startswith("twice (") for g in study.genes["targets"]) == 2


def cells_dropped(adata):
    return adata[50:].copy()


def gene_dropped(adata):
    return adata[:, ~adata.var["target"].to_numpy() | (np.arange(adata.n_vars) % 2 == 0)].copy()


def moved(adata):
    adata.obsm["spatial"] = adata.obsm["spatial"][::-1].copy()
    return adata


def scaled(adata):
    adata.X = adata.X * 1.5
    return adata


def other_targets(adata):
    matrix = adata.X.tolil()
    where = np.flatnonzero(adata.var["target"])[0]
    matrix[:, where] = matrix[:, where] * 1.1
    adata.X = matrix.tocsr()
    return adata


def renamed(adata):
    adata.obs["stage"] = adata.obs["stage"].astype(str) + "x"
    return adata


def slot_lost(adata):
    del adata.obsm["spatrace_tf_activity"]
    return adata


@pytest.mark.parametrize(
    "change", [cells_dropped, gene_dropped, moved, scaled, other_targets, renamed, slot_lost], ids=lambda f: f.__name__
)
def test_changed_data_are_refused(change):
    with pytest.raises(st.DataError, match=r"not those that .* was inferred from .*infer_ccc"):
        restore(change(small_result().copy()), "spatrace")


def test_without_a_result():
    with pytest.raises(st.MissingKeyError, match="infer_ccc"):
        restore(st.datasets.simulated(n_cells=300), "spatrace")


def test_a_result_of_an_earlier_version_is_refused():
    adata = small_result().copy()
    adata.uns["spatrace"] = {k: v for k, v in adata.uns["spatrace"].items() if k != "target_moments"}
    with pytest.raises(st.DataError, match="earlier version"):
        restore(adata, "spatrace")
