"""``st.tl.controls`` from end to end, and what it refuses."""

from __future__ import annotations

import warnings
from dataclasses import replace

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch
from _controls import inferred, pretend
from _helpers import (
    NOTHING_SIGNIFICANT,
    assert_unchanged,
    infer_again,
    slow,
    snapshot,
    written_and_read,
)

import spatrace_sc as st
from spatrace_sc._edges import TESTED_KINDS
from spatrace_sc._inference.controls import execute as execution
from spatrace_sc._inference.controls import outcomes as outcomes_
from spatrace_sc._inference.restore import restore
from spatrace_sc._inference.run import run_tests
from spatrace_sc.get._controls import TABLES

pytestmark = pytest.mark.filterwarnings(
    NOTHING_SIGNIFICANT, "ignore::FutureWarning:spatialdata", "ignore::UserWarning:zarr"
)

FEW = {"n_sham": 1, "n_misplaced": 1, "n_implants": 1, "n_halves": 1}
NONE = dict.fromkeys(FEW, 0)
OF_ALL_DRAWS = [t for t in TABLES if t != "settings"]


@pytest.fixture(autouse=True)
def _without_liana(monkeypatch):
    """The list of liana takes seconds to import."""
    monkeypatch.setattr("spatrace_sc._data.known_signaling.listed_by_liana", frozenset)


@pytest.fixture
def adata():
    return inferred()


@pytest.fixture
def pretended(monkeypatch):
    """No inference is run; returns the control tissues that would have been."""
    seen = []

    def outcome_of(tissue, *arguments):
        seen.append(tissue)
        return pretend(tissue)

    monkeypatch.setattr(execution, "outcome_of", outcome_of)
    return seen


def controlled(adata, **arguments):
    st.tl.controls(adata, **FEW | arguments)
    return {name: st.get.controls(adata, name) for name in OF_ALL_DRAWS}


def assert_same_tables(one, other):
    for name in one:
        left, right = (t[name].drop(columns="seconds", errors="ignore") for t in (one, other))
        pd.testing.assert_frame_equal(left, right, check_dtype=False, obj=name)


# --- the inference ----------------------------------------------------------------------------


def test_the_tests_of_a_control_are_those_of_the_inference(adata):
    """On the tissue of the result, with its seed, p and q are those that are stored."""
    restored = restore(adata, "spatrace")
    result = restored.result
    edges, r2 = run_tests(
        restored.study, result.config, result.seed, torch.device("cpu"), prior=None
    )
    for kind in TESTED_KINDS:
        stored, now = result.table(kind), edges.tables[kind.name]
        pd.testing.assert_frame_equal(
            now[[*kind.columns, "q_value"]].reset_index(drop=True),
            stored[[*kind.columns, "q_value"]].reset_index(drop=True),
            check_dtype=False,
            rtol=1e-4,
            atol=1e-6,
        )
        np.testing.assert_allclose(
            np.asarray(edges.p_values[kind.name]), result.p_values(kind), rtol=1e-4, atol=1e-6
        )
    assert len(result.table(TESTED_KINDS[0])) > 10
    assert (result.table(TESTED_KINDS[0])["q_value"] < 1).any()
    assert r2 == pytest.approx({s: result.slots["fit"][f"r2_{s}"] for s in r2}, rel=1e-3)


def test_controls_run_the_inference(adata, monkeypatch):
    """Every draw is tested once, with the configuration of the result and a seed of its own."""
    calls = []

    def spy(study, config, seed, device, prior):
        calls.append((study, config, seed, device, prior))
        return run_tests(study, config, seed, device, prior)

    monkeypatch.setattr(outcomes_, "run_tests", spy)
    tables = controlled(adata, n_halves=0, n_misplaced=0)
    assert len(calls) == 2
    sham, planted = sorted(calls, key=lambda call: -len(call[0].genes.tfs))
    assert sham[1] == planted[1] == st.Config.from_dict(st.get.params(adata)["config"])
    assert sham[2] != planted[2]
    # one sham gene per role, half of the two real genes
    for role in ("ligands", "receptors", "tfs"):
        assert len(sham[0].genes[role]) == 3
        assert len(planted[0].genes[role]) == 2
    assert tables["draws"]["kind"].tolist() == ["implants", "sham genes"]
    assert (tables["draws"]["seconds"] > 0).all()
    assert tables["sham_genes"]["role"].tolist() == ["ligand", "receptor", "tf"]
    assert set(tables["false_discoveries"]["control"]) >= {"sham TFs", "sham genes"}


# --- what is drawn and stored -----------------------------------------------------------------


def test_every_kind_is_drawn_as_often_as_wanted(adata, pretended):
    tables = controlled(adata, n_sham=2, n_misplaced=1, n_implants=2, n_halves=1)
    kinds = tables["draws"]["kind"].value_counts().to_dict()
    assert kinds == {
        "sham genes": 2,
        "misplaced senders": 1,
        "implants": 2,
        "half the receivers": 1,
        "half the molecules": 1,
    }
    assert len({tissue.seed for tissue in pretended}) == 7
    one, other = (t.study.target for t in pretended if t.kind == "implants")
    assert (one != other).any()
    n = {t.name: len(t.study.time) for t in pretended}
    assert n["half the receivers 1"] < 0.55 * n["implants 1"]
    stored = adata.uns["spatrace"]["controls"]["params"]
    assert stored["n_draws"]["sham genes"] == 2
    assert tables["sham_genes"]["draw"].nunique() == 2
    assert all(isinstance(s, str) for s in adata.uns["spatrace"]["controls"]["sentences"])


@pytest.mark.parametrize("kind", ["n_sham", "n_misplaced", "n_implants"])
def test_one_kind_alone(adata, pretended, kind, tmp_path):
    tables = controlled(adata, **NONE | {kind: 1})
    assert len(pretended) == 1
    assert tables["false_discoveries"].empty == (kind == "n_implants")
    assert tables["power"].empty == (kind != "n_implants")
    assert tables["sham_genes"].empty == (kind != "n_sham")
    adata.write_h5ad(tmp_path / "a.h5ad")
    back = ad.read_h5ad(tmp_path / "a.h5ad")
    for name, table in tables.items():
        now = st.get.controls(back, name)
        assert list(now) == list(table)
        assert len(now) == len(table)
    st.pl.controls(back)


@pytest.mark.parametrize("form", ["h5ad", slow("zarr")])
def test_controls_survive_a_file(adata, pretended, form, tmp_path):
    tables = controlled(adata)
    st.tl.controls(adata, **FEW, over={"radius": [20, 30]})
    back = written_and_read(adata, form, tmp_path)
    assert_same_tables(tables, {name: st.get.controls(back, name) for name in tables})
    settings = st.get.controls(adata, "settings")
    pd.testing.assert_frame_equal(st.get.controls(back, "settings"), settings, check_dtype=False)
    assert list(back.uns["spatrace"]["controls"]["sentences"]) == list(
        adata.uns["spatrace"]["controls"]["sentences"]
    )


def test_nothing_else_changes(adata, pretended):
    before = snapshot(adata)
    slots = dict(adata.uns["spatrace"])
    tables = {kind.name: slots[kind.name].copy() for kind in TESTED_KINDS}
    layers = {name: adata.obsm[name].copy() for name in adata.obsm}
    controlled(adata)
    assert_unchanged(adata, before)
    assert set(adata.uns["spatrace"]) - set(slots) == {"controls"}
    for name, value in slots.items():
        assert adata.uns["spatrace"][name] is value or name == "contents"
    for name, table in tables.items():
        pd.testing.assert_frame_equal(adata.uns["spatrace"][name], table)
    for name, values in layers.items():
        np.testing.assert_array_equal(adata.obsm[name], values)


def test_a_copy(adata, pretended):
    before = snapshot(adata)
    changed = st.tl.controls(adata, **FEW, copy=True)
    assert_unchanged(adata, before)
    assert "controls" not in adata.uns["spatrace"]
    tables = {name: st.get.controls(changed, name) for name in OF_ALL_DRAWS}
    assert_same_tables(tables, controlled(adata))


def test_a_table_of_spatialdata(adata, pretended):
    import spatialdata

    data = spatialdata.SpatialData(tables={"cells": adata.copy()})
    st.tl.controls(data, **FEW, table_key="cells")
    tables = {name: st.get.controls(data.tables["cells"], name) for name in OF_ALL_DRAWS}
    assert_same_tables(tables, controlled(adata))


def test_cells_in_another_order_have_the_same_controls(adata, pretended):
    shuffled = adata[np.random.default_rng(0).permutation(adata.n_obs)].copy()
    with warnings.catch_warnings():
        warnings.simplefilter("error", st.SpatraceWarning)
        assert_same_tables(controlled(adata), controlled(shuffled))
    one, other = pretended[:5], pretended[5:]
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a.study.target, b.study.target, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(a.study.exposure, b.study.exposure, rtol=1e-4, atol=1e-4)


def test_the_seed_decides_the_draws(adata, pretended):
    one, again, other = (controlled(adata, rng=seed) for seed in (1, 1, 2))
    assert_same_tables(one, again)
    assert not one["implants"].equals(other["implants"])


def test_a_new_inference_removes_the_controls(adata, pretended):
    controlled(adata)
    infer_again(adata)
    with pytest.raises(st.MissingKeyError, match=r"no controls; call `st\.tl\.controls\(adata"):
        st.get.controls(adata)


def test_known_genes_are_no_sham_genes(adata, pretended):
    background = [g for g in adata.var_names if g.startswith("BG")]
    left = background[:12]
    tables = controlled(adata, n_sham=2, known=[g.lower() for g in background[12:]])
    assert set(tables["sham_genes"]["gene"]) <= set(left)
    one = controlled(adata, known=str(background[0]))
    assert background[0] not in set(one["sham_genes"]["gene"])
    params = adata.uns["spatrace"]["controls"]["params"]
    assert params["n_known"] == 1  # one name, not its letters


def test_data_that_are_no_counts_are_not_halved_in_molecules(adata, pretended, monkeypatch):
    from spatrace_sc._inference import restore as restoring

    def without_unit(*arguments):
        restored = restore(*arguments)
        return replace(restored, study=replace(restored.study, unit=None))

    monkeypatch.setattr(restoring, "restore", without_unit)
    kinds = set(controlled(adata, n_sham=0)["draws"]["kind"])
    assert kinds == {"misplaced senders", "implants", "half the receivers"}


@pytest.mark.parametrize(
    ("sham", "kinds"),
    [
        ("beside", ["sham genes"]),
        ("alone", ["sham genes alone"]),
        ("both", ["sham genes", "sham genes alone"]),
    ],
)
def test_where_sham_genes_stand(adata, pretended, sham, kinds):
    tables = controlled(adata, **NONE | {"n_sham": 2}, sham=sham)
    draws = tables["draws"]
    assert sorted(draws["kind"].unique()) == kinds
    assert len(draws) == 2 * len(kinds)
    methods = dict(zip(draws["kind"], draws["method"], strict=True))
    beside, instead = "beside the real genes", "instead of the real genes"
    expected = {"sham genes": beside, "sham genes alone": instead}
    assert methods == {kind: expected[kind] for kind in kinds}
    real = restore(adata, "spatrace").genes
    for tissue in pretended:
        for role in ("ligands", "receptors", "tfs"):
            names = set(tissue.study.genes[role])
            shams = set(tissue.sham.loc[tissue.sham["role"] == role[:-1], "gene"])
            alone = tissue.kind == "sham genes alone"
            assert names == shams if alone else names == shams | set(real[role])
            assert len(shams) == (2 if alone else 1)
        np.testing.assert_array_equal(tissue.study.genes.targets, real.targets)


def test_sham_genes_alone_need_a_gene_for_every_role(adata, pretended):
    """With two genes left, one stands in for the ligands and one for a receptor or TF."""
    background = [g for g in adata.var_names if g.startswith("BG")]
    known = background[2:] + list(restore(adata, "spatrace").genes.targets)
    with pytest.raises(st.DataError, match=r"cannot replace all real genes. Set `sham=\"beside\""):
        controlled(adata, **NONE | {"n_sham": 1}, sham="alone", known=known)


def test_sham_genes_alone_have_no_prior(adata, monkeypatch):
    """The prior names none of them, so it would be refused."""
    priors = {}

    def spy(study, config, seed, device, prior):
        priors[tuple(study.genes.tfs)] = prior
        return run_tests(study, config, seed, device, prior)

    monkeypatch.setattr(outcomes_, "run_tests", spy)
    genes = restore(adata, "spatrace").genes
    prior = pd.DataFrame({"ligand": genes.ligands[:1], "receptor": genes.receptors[:1]})
    st.tl.controls(adata, **NONE | {"n_sham": 1}, sham="both", prior=prior)
    by_length = {len(tfs): value is None for tfs, value in priors.items()}
    assert by_length == {3: False, 2: True}


def test_replicates_give_senders_of_another_slice(adata, pretended, monkeypatch):
    kinds = controlled(adata, **NONE | {"n_misplaced": 3})["draws"]["kind"]
    assert set(kinds) == {"misplaced senders"}  # one slice per stage
    from spatrace_sc._inference.controls import draws

    monkeypatch.setattr(draws, "has_replicates", lambda study: True)
    moved = lambda study, rng: (study, "another slice of the stage")
    monkeypatch.setitem(draws.MOVED_BY, "senders of another slice", moved)
    table = controlled(adata, **NONE | {"n_misplaced": 3})["draws"]
    by_kind = dict(zip(table["kind"], table["method"], strict=True))
    assert by_kind == {
        "misplaced senders": "another slice",  # these are too small
        "senders of another slice": "another slice of the stage",
    }
    assert table["kind"].tolist().count("misplaced senders") == 2


# --- settings ---------------------------------------------------------------------------------


def test_settings_see_the_same_implants(adata, pretended):
    st.tl.controls(adata, n_implants=2, n_misplaced=1, over={"radius": iter([30, 20.0])})
    table = st.get.controls(adata, "settings")
    assert list(dict.fromkeys(table["setting"])) == ["radius = 20", "radius = 30"]
    assert len(table) == 6
    assert len(pretended) == 2 * 3
    planted = {t.name: t.study for t in pretended if t.kind == "implants"}
    one, other = (planted[f"implants 1, radius = {r}"] for r in (20, 30))
    np.testing.assert_array_equal(one.target, other.target)
    assert other.weights.nnz > one.weights.nnz
    assert (one.target != planted["implants 2, radius = 20"].target).any()
    with pytest.raises(st.MissingKeyError, match=r"no table 'power' of controls; call `st\.tl\.c"):
        st.get.controls(adata, "power")


def test_settings_and_controls_do_not_replace_each_other(adata, pretended):
    tables = controlled(adata)
    st.tl.controls(adata, **FEW, over={"radius": [20, 30]})
    settings = st.get.controls(adata, "settings")
    assert_same_tables(tables, {name: st.get.controls(adata, name) for name in tables})
    controlled(adata, rng=3)
    pd.testing.assert_frame_equal(st.get.controls(adata, "settings"), settings)


@pytest.mark.parametrize(
    ("argument", "values", "names"),
    [
        ("covariates", [[], ["depth"]], ["covariates = none", "covariates = depth"]),
        ("transitions_key", [None, "T"], ["transitions_key = None", "transitions_key = T"]),
    ],
)
def test_other_settings(adata, pretended, argument, values, names):
    adata.obs["depth"] = np.random.default_rng(0).random(adata.n_obs)
    adata.obsp["T"] = st.pp.transitions(adata, copy=True)
    st.tl.controls(adata, **FEW, over={argument: values})
    table = st.get.controls(adata, "settings")
    assert list(dict.fromkeys(table["setting"])) == names
    one, other = (t.study for t in pretended if t.kind == "implants")
    if argument == "covariates":
        assert (one.named_covariates.shape[1], other.named_covariates.shape[1]) == (0, 1)
    else:
        assert (one.backward != other.backward).nnz > 0
    np.testing.assert_array_equal(one.exposure, other.exposure)


def test_neighbourhood_covariates_are_judged_by_sham_genes(adata, pretended):
    """Both values read the same tissues and differ in the configuration alone."""
    values = [True, False]
    st.tl.controls(
        adata, n_sham=1, n_misplaced=0, n_implants=1, over={"neighbourhood_covariates": values}
    )
    assert sorted(t.kind for t in pretended) == ["implants"] * 2 + ["sham genes"] * 2
    for kind in ("implants", "sham genes"):
        one, other = (t for t in pretended if t.kind == kind)
        np.testing.assert_array_equal(one.study.target, other.study.target)
        np.testing.assert_array_equal(one.study.tf, other.study.tf)
        assert one.seed == other.seed
        assert [t.config.model.neighbourhood_covariates for t in (one, other)] == values
    table = st.get.controls(adata, "settings")
    assert len(table) == 6


def test_a_tissue_is_run_with_its_own_configuration(adata, pretended, monkeypatch):
    """Where a tissue has none, the configuration of the result is used."""
    st.tl.controls(adata, n_sham=1, n_implants=1, over={"neighbourhood_covariates": [True, False]})
    seen = []

    def recorded(study, config, *others):
        seen.append(config.model.neighbourhood_covariates)
        raise InterruptedError

    monkeypatch.setattr(outcomes_, "run_tests", recorded)
    default = st.Config()
    for tissue in [*pretended, replace(pretended[1], config=None)]:
        with pytest.raises(InterruptedError):
            outcomes_.outcome_of(tissue, default, "cpu", None)
    assert seen == [True, False, True, False, True]


# --- checkpoints and processes ----------------------------------------------------------------


def test_a_checkpoint_is_continued_after_a_file(adata, pretended, tmp_path):
    tables = controlled(adata, checkpoint=tmp_path / "draws")
    back = written_and_read(adata, "h5ad", tmp_path)
    del pretended[:]
    assert_same_tables(tables, controlled(back, checkpoint=str(tmp_path / "draws")))
    assert pretended == []
    next((tmp_path / "draws").glob("*.draw.json")).unlink()
    assert_same_tables(tables, controlled(adata, checkpoint=tmp_path / "draws"))
    assert len(pretended) == 1


def test_a_checkpoint_of_other_settings_is_refused(adata, pretended, tmp_path):
    controlled(adata, checkpoint=tmp_path)
    for change in ({"rng": 1}, {"n_sham": 2}, {"over": {"radius": [20, 30]}}):
        with pytest.raises(st.InvalidArgumentError, match="it differs in settings"):
            controlled(adata, checkpoint=tmp_path, **change)


@pytest.mark.slow
def test_processes_give_what_one_process_gives(adata):
    arguments = {"n_misplaced": 1, "n_implants": 1, "n_sham": 0, "n_halves": 0}
    one, other = (controlled(adata, **arguments, n_jobs=n) for n in (1, 2))
    for name in one:
        left, right = (t[name].drop(columns="seconds", errors="ignore") for t in (one, other))
        pd.testing.assert_frame_equal(left, right, rtol=1e-4, atol=1e-6, obj=name)


# --- what is refused --------------------------------------------------------------------------

WRONG = {
    "negative": ({"n_sham": -1}, "`n_sham` must be a whole number of at least 0, found -1"),
    "fraction": ({"n_misplaced": 1.5}, "`n_misplaced` must be a whole number"),
    "truth": ({"n_implants": True}, "`n_implants` must be a whole number"),
    "text": ({"n_halves": "1"}, "`n_halves` must be a whole number"),
    "nothing": (NONE, "are all 0: nothing to do"),
    "halves alone": ({"n_implants": 0}, r"needs `n_implants` of at least 1. Set `n_halves=0`"),
    "no sizes": ({"sizes": []}, r"`sizes` is empty; give shares such as \[0.05, 0.2\]"),
    "large": ({"sizes": [0.1, 1.5]}, "`sizes` must be a number from 0.0001 to 0.9, found 1.5"),
    "zero": ({"sizes": [0.0]}, "`sizes` must be a number from 0.0001 to 0.9"),
    "nan": ({"sizes": [np.nan]}, "`sizes` must be a number from"),
    "one size": ({"sizes": 0.1}, "`sizes` must be a list of numbers between 0 and 1, found 0.1"),
    "words": ({"sizes": ["big"]}, "`sizes` must be a list of numbers"),
    "known": ({"known": [None]}, "`known` must be a name or a list of names"),
    "jobs": ({"n_jobs": 0}, "`n_jobs` must be a whole number of at least 1, or -1 for all cores"),
    "two jobs": ({"n_jobs": 1.5}, "`n_jobs` must be a whole number"),
    "rng": ({"rng": -1}, "`rng` must be a whole number of at least 0"),
    "copy": ({"copy": 1}, "`copy` must be True or False"),
    "device": ({"device": "tpu"}, "device"),
    "checkpoint": ({"checkpoint": 3}, "`checkpoint` must be the path of a folder, or None, found"),
    "no mapping": ({"over": ["radius"]}, "`over` must be a dictionary with one argument"),
    "two settings": ({"over": {"radius": [1, 2], "covariates": [[], "a"]}}, "with one argument"),
    "other": ({"over": {"radus": [1, 2]}}, r"`over` must be one of .*Did you mean 'radius'"),
    "one value": ({"over": {"radius": [30]}}, r"`over\['radius'\]` must list at least two values"),
    "one number": ({"over": {"radius": 30}}, "must list at least two values, found 30"),
    "a word": ({"over": {"transitions_key": "ab"}}, "must list at least two values, found 'ab'"),
    "minus": ({"over": {"radius": [30, -1]}}, r"`over\['radius'\]` must be a positive number"),
    "twice": ({"over": {"radius": [30, 30.0]}}, r"lists a value twice: radius = 30 remain"),
    "lists": ({"over": {"transitions_key": [["a"], 3]}}, "must list names in `adata.obsp`, or"),
    "sham": ({"sham": "alnoe"}, r"`sham` must be one of .*Did you mean 'alone'"),
    "no switch": (
        {"over": {"neighbourhood_covariates": [True, "no"]}},
        r"`over\['neighbourhood_covariates'\]` must be True or False",
    ),
    "no sham genes": (
        {"over": {"neighbourhood_covariates": [True, False]}, "n_sham": 0},
        "`n_implants` and `n_sham` must be at least 1, found 1 and 0",
    ),
    "no implants": (
        {"over": {"radius": [20, 30]}, "n_misplaced": 0},
        "`n_implants` and `n_misplaced` must be at least 1, found 1 and 0",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments(adata, pretended, name):
    arguments, message = WRONG[name]
    before = snapshot(adata)
    with pytest.raises(st.InvalidArgumentError, match=message):
        st.tl.controls(adata, **FEW | arguments)
    assert_unchanged(adata, before)
    assert pretended == []


def test_a_missing_result_or_slot_is_named(adata, pretended):
    with pytest.raises(st.MissingKeyError, match="'mine'"):
        st.tl.controls(adata, key="mine")
    with pytest.raises(st.MissingKeyError, match="'absent'"):
        st.tl.controls(adata, **FEW, over={"transitions_key": [None, "absent"]})
    with pytest.raises(st.MissingKeyError, match="'absent'"):
        st.tl.controls(adata, **FEW, over={"covariates": [[], ["absent"]]})
    with pytest.raises(st.InvalidArgumentError, match=r"`table` must be one of .*mean 'power'"):
        st.get.controls(adata, "powr")


def test_the_prior_is_required_again(adata, pretended):
    prior = pd.DataFrame({"ligand": ["LIG000"], "receptor": ["REC000"]})
    params = adata.uns["spatrace"]["params"]
    adata.uns["spatrace"] = adata.uns["spatrace"] | {"params": params | {"prior": "1 pair"}}
    with pytest.raises(st.InvalidArgumentError, match=r"had a prior \(1 pair\).* pass it again"):
        st.tl.controls(adata, **FEW)
    st.tl.controls(adata, **FEW, prior=prior)


@pytest.mark.parametrize("change", ["cells", "gene", "counts", "labels"])
def test_changed_data_are_refused(adata, pretended, change):
    if change == "cells":
        adata = adata[::2].copy()
    elif change == "gene":
        adata = adata[:, adata.var_names != "TF000"].copy()
    elif change == "counts":
        adata.X = adata.X * 0.5
    else:
        types = adata.obs["sample"].astype(str)
        exchanged = {"E1_slice1": "E2_slice1", "E2_slice1": "E1_slice1"}
        adata.obs["sample"] = types.replace(exchanged).astype("category")
    with pytest.raises(st.DataError):
        st.tl.controls(adata, **FEW)
    assert "controls" not in adata.uns["spatrace"]
    assert pretended == []


def test_a_tissue_without_candidates_for_sham_genes(adata, pretended):
    genes = list(map(str, adata.var_names))
    with pytest.raises(st.DataError, match=r"Sham genes need genes that cannot signal"):
        st.tl.controls(adata, **FEW, known=genes)
    st.tl.controls(adata, **FEW | {"n_sham": 0}, known=genes)
