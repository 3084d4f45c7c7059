from __future__ import annotations

import logging

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch
from _helpers import (
    FEW_GENES,
    NO_ROLES,
    NOTHING_SIGNIFICANT,
    predicted_targets,
    slow,
    small_result,
    source,
    tiny_config,
    tissue,
)

import spatrace_sc as st
from spatrace_sc._inference import restore as restoring
from spatrace_sc._inference import run
from spatrace_sc._inference.levels import regulator_levels
from spatrace_sc._inference.moved_senders import activity_at_exposure
from spatrace_sc._inference.restore import quiet, restore
from spatrace_sc._model.fit import fit
from spatrace_sc._study import problem as problem_of_study
from spatrace_sc._study.data_order import rank_genes
from spatrace_sc._study.histories import current_tf_filter
from spatrace_sc._study.read import read_study

pytestmark = pytest.mark.filterwarnings(NOTHING_SIGNIFICANT)


def test_the_model_is_the_one_that_was_fitted(monkeypatch):
    seen = []

    def spy(problem, config, *, seed, **_store):
        seen.append((problem, fit(problem, config, seed=seed)))
        return seen[-1][1]

    monkeypatch.setattr(run, "stored_fit", spy)
    adata = st.datasets.simulated(n_cells=400, n_targets=8, **FEW_GENES)
    st.tl.infer_ccc(
        adata, sample_key="sample", stage_key="stage", config=tiny_config(), device="cpu", rng=3
    )
    (problem, fitted), back = seen[0], restore(adata, "spatrace")
    torch.testing.assert_close(back.fit.held_out, fitted.held_out)
    torch.testing.assert_close(back.fit.target_sd, fitted.target_sd)
    for name in ("tf", "receptor", "exposure"):
        torch.testing.assert_close(getattr(back.fit.attended, name), getattr(fitted.attended, name))
    torch.testing.assert_close(
        predicted_targets(back.fit.network, back.fit.weights, back.problem),
        predicted_targets(fitted.network, fitted.weights, problem),
    )
    regulators = np.arange(0, problem.n_tfs + problem.n_pairs, 7)
    np.testing.assert_allclose(
        regulator_levels(back.problem, back.fit, regulators),
        regulator_levels(problem, fitted, regulators),
        rtol=1e-5,
    )


def in_order_of_inference(adata):
    """Data whose order, which versions up to 0.1.0 followed, is that of the data themselves."""
    names = list(adata.var_names[(adata.var[["ligand", "receptor", "tf", "target"]]).any(axis=1)])
    positions = {name: adata.var_names.get_loc(name) for name in names}
    rank = rank_genes(adata.X, positions, dict(zip(names, names, strict=True)))
    adata.var_names = [f"{rank.get(name, 0):04d} {name}" for name in adata.var_names]
    return cells_in_order(adata)


def cells_in_order(adata):
    return adata[read_study(adata, NO_ROLES, source(sample_key="sample")).rows].copy()


@pytest.fixture
def levels_of_today(monkeypatch):
    """Results of earlier forms are imitated by new ones, whose levels are read as today."""
    monkeypatch.setattr(
        problem_of_study, "mixed_tf_filter", lambda study, _: current_tf_filter(study)
    )
    monkeypatch.setattr(restoring, "FIRST_WITH_SIZE_FACTORS", 0)
    monkeypatch.setattr("spatrace_sc._study.count_noise.common_overdispersion", lambda *_: 0.0)


def earlier_form(adata):
    """A result as an earlier version would have stored it."""
    slots = adata.uns["spatrace"]
    adata.uns["spatrace"] = slots | {"form": 2}
    return adata


@pytest.mark.filterwarnings(NOTHING_SIGNIFICANT)
@pytest.mark.usefixtures("levels_of_today")
@pytest.mark.parametrize("seed", [0, 1, 2, *map(slow, range(3, 8))])
def test_the_held_out_cells_are_those_of_the_fit(seed, monkeypatch):
    """Also from the form of version 0.1.0, which stored no mask: then it is drawn again."""
    masks = []

    def recorded(problem, config, *, seed, **_store):
        fitted = fit(problem, config, seed=seed)
        masks.append(fitted.held_out.clone())
        return fitted

    monkeypatch.setattr(run, "stored_fit", recorded)
    adata = in_order_of_inference(tissue())
    keys = {"sample_key": "sample", "stage_key": "stage"}
    st.tl.infer_ccc(adata, **keys, config=tiny_config(), device="cpu", rng=seed)
    assert 0 < masks[0].sum() < len(masks[0])
    assert torch.equal(restore(adata, "spatrace").fit.held_out, masks[0])
    result = adata.uns["spatrace"]
    stored = {"form", "restoration"}
    assert stored <= set(result)
    adata.uns["spatrace"] = {k: v for k, v in result.items() if k not in stored}
    assert torch.equal(restore(adata, "spatrace").fit.held_out, masks[0])


@pytest.mark.filterwarnings(NOTHING_SIGNIFICANT)
def test_the_overdispersion_is_stored_and_earlier_results_have_none():
    adata = tissue()
    st.tl.infer_ccc(adata, sample_key="sample", config=tiny_config(), device="cpu")
    stored = adata.uns["spatrace"]["restoration"]
    assert stored["overdispersion"] > 0, "the simulated counts are overdispersed"
    assert restore(adata, "spatrace").study.noise.overdispersion == stored["overdispersion"]
    del stored["overdispersion"]
    with pytest.raises(st.DataError, match="other levels"):
        restore(adata, "spatrace")


@pytest.mark.filterwarnings(NOTHING_SIGNIFICANT)
def test_transitions_too_many_to_store_are_computed_again(monkeypatch):
    one, other = tissue(), tissue()
    options = {"sample_key": "sample", "config": tiny_config(), "device": "cpu"}
    st.tl.infer_ccc(one, **options)
    monkeypatch.setattr(run, "MAX_STORED_TRANSITIONS", 0)
    st.tl.infer_ccc(other, **options)
    stored, derived = restore(one, "spatrace"), restore(other, "spatrace")
    assert stored.result.restoration.backward is not None
    assert derived.result.restoration.backward is derived.result.restoration.state is None
    for name in ("backward", "state"):
        expected = getattr(stored.study, name).toarray()
        np.testing.assert_allclose(getattr(derived.study, name).toarray(), expected, atol=1e-6)
    assert torch.equal(stored.fit.held_out, derived.fit.held_out)


@pytest.mark.parametrize("form", ["h5ad", slow("zarr")])
def test_from_a_file_and_with_genes_in_another_order(form, tmp_path):
    adata = small_result()
    path = tmp_path / f"a.{form}"
    getattr(adata, f"write_{form}")(path)
    back = getattr(ad, f"read_{form}")(path)
    back = back[:, np.random.default_rng(0).permutation(back.n_vars)].copy()
    one, two = restore(adata, "spatrace"), restore(back, "spatrace")
    torch.testing.assert_close(one.fit.attended.tf, two.fit.attended.tf, atol=1e-5, rtol=1e-4)
    np.testing.assert_array_equal(one.study.genes.targets, two.study.genes.targets)
    assert one.config == two.config


def test_symbols_are_restored():
    adata = st.datasets.simulated(n_cells=300, n_targets=5, **FEW_GENES)
    adata.var["symbol"] = ["s" + n[::-1] for n in adata.var_names]
    adata.var.loc[adata.var_names[adata.var["target"]][:2], "symbol"] = "twice"
    st.tl.infer_ccc(
        adata, sample_key="sample", gene_symbols="symbol", config=tiny_config(), device="cpu"
    )
    study = restore(adata, "spatrace").study
    assert {r: list(n) for r, n in study.genes.to_mapping().items()} == {
        r: list(n) for r, n in adata.uns["spatrace"]["genes"].items()
    }
    assert sum(g.startswith("twice (") for g in study.genes.targets) == 2


def shuffled(adata, seed=0):
    return adata[np.random.default_rng(seed).permutation(adata.n_obs)].copy()


def verbs(adata):
    """All that put the model back on its data."""
    st.tl.compare(adata, "stage", max_q=1.0)
    st.tl.knockout(adata, ligand="LIG000")
    return adata


def test_order_of_cells_does_not_matter():
    """Components of permuted data are drawn, so another order of cells could change the model."""
    one, two = verbs(small_result().copy()), verbs(shuffled(small_result()))
    assert list(one.obs_names) != list(two.obs_names)
    for kind in ("tf_targets", "lr_targets", "tf_activity", "lr_pair_activity"):
        found = st.get.comparison(two, kind)
        assert len(found)
        pd.testing.assert_frame_equal(found, st.get.comparison(one, kind), rtol=1e-6)
    pd.testing.assert_frame_equal(st.get.knockout(two), st.get.knockout(one), rtol=1e-6)
    slot = "spatrace_knockout_ligand-LIG000"
    pd.testing.assert_series_equal(two.obs[slot][one.obs_names], one.obs[slot], rtol=1e-6)
    cells = [pd.DataFrame(a.obsm[slot], index=a.obs_names) for a in (two, one)]
    pd.testing.assert_frame_equal(cells[0].loc[one.obs_names], cells[1], rtol=1e-6)
    assert cells[1].notna().any(axis=None)


def test_activity_at_another_exposure_is_that_of_the_same_cells():
    """At the present exposure the activity is the stored one, whatever the order of cells."""
    adata = shuffled(small_result())
    study = read_study(
        adata,
        NO_ROLES,
        source(radius=small_result().uns["spatrace"]["params"]["radius"]),
    )
    exposure = study.exposure[np.argsort(study.receiver_rows)]
    now = activity_at_exposure(adata, "spatrace")(exposure)
    rows = np.sort(study.receiver_rows)
    np.testing.assert_allclose(now, adata.obsm["spatrace_activity"][rows], atol=2e-4)
    other = activity_at_exposure(adata, "spatrace")(exposure[::-1].copy())
    assert np.abs(other - now).max() > 0.01


@pytest.mark.parametrize("form", ["h5ad", slow("zarr")])
def test_order_of_cells_does_not_matter_in_a_file(form, tmp_path):
    adata = shuffled(small_result())
    getattr(adata, f"write_{form}")(tmp_path / "a")
    back = restore(getattr(ad, f"read_{form}")(tmp_path / "a"), "spatrace")
    np.testing.assert_array_equal(back.study.tf, restore(small_result(), "spatrace").study.tf)


def test_order_of_cells_does_not_matter_on_disk(tmp_path):
    shuffled(small_result()).write_h5ad(tmp_path / "a.h5ad")
    back = ad.read_h5ad(tmp_path / "a.h5ad", backed="r")
    restored = restore(back, "spatrace")
    np.testing.assert_array_equal(restored.study.tf, restore(small_result(), "spatrace").study.tf)
    names = back.obs_names[restored.rows]
    assert list(names) == list(small_result().obs_names[restore(small_result(), "spatrace").rows])
    back.file.close()


@pytest.mark.parametrize("change", ["renamed", "repeated", "earlier version"])
def test_names_that_do_not_say_the_order_are_not_needed_in_the_old_order(change):
    adata = small_result().copy()
    if change == "renamed":
        adata.obs_names = [f"x{k}" for k in range(adata.n_obs)]
    elif change == "repeated":
        adata.obs_names = ["x"] * adata.n_obs
    else:
        del adata.uns["spatrace"]["cells"]
    assert len(restore(adata, "spatrace").rows)


@pytest.mark.filterwarnings("ignore:Observation names are not unique")
@pytest.mark.parametrize("change", ["renamed", "repeated", "earlier version", "swapped"])
@pytest.mark.usefixtures("levels_of_today")
@pytest.mark.parametrize("form", [2, 3])
def test_an_order_that_names_do_not_say(form, change):
    """Results of earlier forms need the names; since then the data give the order."""
    adata = cells_in_order(small_result()) if form == 2 else small_result()
    names = adata.obs_names.copy()
    adata = shuffled(earlier_form(adata) if form == 2 else adata)
    if change == "renamed":
        adata.obs_names = [f"x{k}" for k in range(adata.n_obs)]
    elif change == "repeated":
        adata.obs_names = ["x"] * adata.n_obs
    elif change == "swapped":  # the names were left where they were, the cells moved
        adata.obs_names = names
    else:
        adata.uns["spatrace"] = {k: v for k, v in adata.uns["spatrace"].items() if k != "cells"}
    if form == 3:
        expected = restore(small_result(), "spatrace").study.tf
        np.testing.assert_array_equal(restore(adata, "spatrace").study.tf, expected)
        return
    with pytest.raises(st.DataError, match=r"not those that .* was inferred from .*infer_ccc"):
        restore(adata, "spatrace")


@pytest.mark.parametrize("order", ["as it was", "shuffled"])
def test_messages_of_the_inference_are_not_repeated(order, caplog):
    adata = small_result().copy() if order == "as it was" else shuffled(small_result())
    with caplog.at_level(logging.INFO, "spatrace_sc"):
        st.tl.knockout(adata, tf="TF000")
    assert len(caplog.messages) == 1
    assert (
        f"{int(restore(adata, 'spatrace').study.receivers.sum())} receivers" in caplog.messages[0]
    )
    logging.getLogger("spatrace_sc").warning("after it everything is heard again")
    assert "heard again" in caplog.text


def test_other_threads_are_heard(caplog):
    from threading import Thread

    with caplog.at_level(logging.INFO, "spatrace_sc"), quiet():
        for level in (logging.WARNING, logging.ERROR):
            logging.getLogger("spatrace_sc").log(level, "here %d", level)
        other = Thread(target=lambda: logging.getLogger("spatrace_sc").info("there"))
        other.start()
        other.join()
    assert caplog.messages == ["here 40", "there"]


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
    "change",
    [cells_dropped, gene_dropped, moved, scaled, other_targets, renamed, slot_lost],
    ids=lambda f: f.__name__,
)
def test_changed_data_are_refused(change):
    with pytest.raises(st.DataError, match=r"not those that .* was inferred from .*infer_ccc"):
        restore(change(small_result().copy()), "spatrace")


def test_without_a_result():
    with pytest.raises(st.MissingKeyError, match="infer_ccc"):
        restore(st.datasets.simulated(n_cells=300), "spatrace")


def test_a_result_of_an_earlier_version_is_refused():
    adata = small_result().copy()
    adata.uns["spatrace"] = {
        k: v for k, v in adata.uns["spatrace"].items() if k != "target_moments"
    }
    with pytest.raises(st.DataError, match="earlier version"):
        restore(adata, "spatrace")
