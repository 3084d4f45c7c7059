"""Mixed spots: proportions of cell types, and signals of a spot to itself."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import lru_cache
from inspect import signature

import numpy as np
import pandas as pd
import pytest
import torch
from _helpers import (
    NO_ROLES,
    NOTHING_SIGNIFICANT,
    TWO_OF_EACH,
    assert_unchanged,
    dense,
    infer_quietly,
    page_data,
    slow,
    small_config,
    snapshot,
    source,
    tiny_config,
    tissue,
    written_and_read,
)

import spatrace_sc as st
from spatrace_sc._inference.knockout import _exposure_without
from spatrace_sc._inference.restore import restore
from spatrace_sc._model.network.observe import build_network, observe
from spatrace_sc._study import decoy_strata, histories
from spatrace_sc._study.decoy_strata import of_similar_proportions, receiver_strata, sender_strata
from spatrace_sc._study.misplaced_senders import misplace_senders
from spatrace_sc._study.problem import build_covariates, build_problem
from spatrace_sc._study.read import read_study
from spatrace_sc._study.subsets import take_receivers

pytestmark = pytest.mark.filterwarnings(NOTHING_SIGNIFICANT)

KEYS = {"sample_key": "sample", "stage_key": "stage"}
TABLES = ("lr_pairs", "lr_targets", "tf_targets", "communication")


def pure(adata):
    """Indicators of the cell types, columns against the alphabet."""
    table = pd.get_dummies(adata.obs["cell_type"]).astype(float)
    return table[table.columns[::-1]]


def spots(mixing=0.4, seed=0):
    """The small tissue as spots: three fifths of the cell's type, the rest at random."""
    adata = tissue()
    table = pure(adata)
    other = np.random.default_rng(seed).dirichlet(np.full(table.shape[1], 0.5), len(table))
    adata.obsm["types"] = (1 - mixing) * table + mixing * other
    del adata.obs["cell_type"]
    return adata


@lru_cache(maxsize=1)
def _inferred():
    adata = spots()
    infer_quietly(adata, proportions="types", config=small_config(), **KEYS)
    return adata


@pytest.fixture
def result():
    return _inferred().copy()


def study_of(adata=None, **changes):
    changes = {"cell_type_key": None, "proportions": "types", "own": True} | changes
    return read_study(spots() if adata is None else adata, NO_ROLES, source(**changes))


# --- the same as labels --------------------------------------------------------------------------


def test_pure_spots_give_the_results_of_labels():
    labelled, mixed = tissue(), tissue()
    mixed.obsm["types"] = pure(mixed)
    del mixed.obs["cell_type"]
    options = {"config": tiny_config(), **TWO_OF_EACH, **KEYS}
    infer_quietly(labelled, **options)
    infer_quietly(mixed, proportions="types", own=False, **options)
    for name in TABLES:
        pd.testing.assert_frame_equal(getattr(st.get, name)(mixed), getattr(st.get, name)(labelled))
    for slot in ("spatrace_activity", "spatrace_tf_activity"):
        np.testing.assert_allclose(mixed.obsm[slot], labelled.obsm[slot], rtol=1e-5)


def test_the_order_of_the_types_does_not_matter():
    other = spots()
    other.obsm["types"] = other.obsm["types"][sorted(other.obsm["types"].columns)]
    one, two = study_of(), study_of(other)
    np.testing.assert_array_equal(build_covariates(one).values, build_covariates(two).values)
    np.testing.assert_array_equal(sender_strata(one), sender_strata(two))


# --- reading -------------------------------------------------------------------------------------


def with_table(change):
    adata = spots()
    adata.obsm["types"] = change(adata.obsm["types"].copy())
    return adata


def changed(table, value):
    table.iloc[3, 1] = value
    return table


BAD = {
    "NaN": (lambda t: changed(t, np.nan), "NaN or inf in 1 of 300 spots"),
    "infinite": (lambda t: changed(t, np.inf), "NaN or inf in 1 of 300 spots"),
    "negative": (lambda t: changed(t, -0.1), "negative values in 1 of 300 spots"),
    "empty row": (lambda t: t * (np.arange(len(t)) != 7)[:, None], "no type at all"),
    "repeated": (lambda t: t.set_axis([*t.columns[:-1], t.columns[0]], axis=1), "several columns"),
    "text": (lambda t: t.assign(region="a"), "not numbers.*numeric column per cell type"),
    "truth": (lambda t: t > 0.5, "not numbers"),
    "no column": (lambda t: t.iloc[:, :0], "no column"),
    "array": (lambda t: t.to_numpy(), r"Make it a table: .*pd.DataFrame\(adata.obsm\['types'\]"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_proportions(name):
    change, message = BAD[name]
    adata = with_table(change)
    before = snapshot(adata)
    with pytest.raises(st.DataError, match=message):
        st.tl.infer_ccc(adata, proportions="types", **KEYS)
    assert_unchanged(adata, before)


def test_an_array_with_names_in_uns_says_which():
    adata = with_table(lambda t: t.to_numpy())
    adata.uns["types_names"] = ["a", "b"]
    with pytest.raises(st.DataError, match=r"columns=adata.uns\['types_names'\]"):
        st.tl.infer_ccc(adata, proportions="types", **KEYS)


def test_a_missing_slot_and_a_table_for_its_name():
    adata = spots()
    with pytest.raises(st.MissingKeyError, match=r"'type'` is not in `adata\.obsm`.*'types'"):
        st.tl.infer_ccc(adata, proportions="type", **KEYS)
    with pytest.raises(st.InvalidArgumentError, match="must be the name of a slot"):
        st.tl.infer_ccc(adata, proportions=adata.obsm["types"], **KEYS)
    with pytest.raises(st.InvalidArgumentError, match="`own`"):
        st.tl.infer_ccc(adata, proportions="types", own="yes", **KEYS)


def test_abundances_are_divided_by_their_sum_with_a_warning():
    adata = with_table(lambda t: t * 12.0)
    before = adata.obsm["types"].copy()
    with pytest.warns(st.SpatraceWarning, match="300 of 300 rows .* do not sum to 1"):
        study = study_of(adata)
    pd.testing.assert_frame_equal(adata.obsm["types"], before)
    one, two = study.receiver_mixture, study_of().receiver_mixture
    np.testing.assert_allclose(one.values, two.values, rtol=1e-12)


def test_the_slot_is_no_covariate_as_well():
    with pytest.raises(st.InvalidArgumentError, match="already part of the model"):
        st.tl.infer_ccc(spots(), proportions="types", covariates=["types"], **KEYS)


def test_spots_without_time_only_send(caplog):
    adata = spots(mixing=0.9)
    with caplog.at_level(logging.INFO, logger="spatrace_sc"):
        study = study_of(adata)
    known = np.isfinite(adata.obs["dpt_pseudotime"].to_numpy()[study.rows])
    assert not study.receivers[~known].any()
    assert study.senders.all()
    assert "spots without time only send" in caplog.text


def test_proportions_are_the_covariates():
    study = study_of()
    values = study.receiver_mixture.values
    assert study.receiver_mixture.names.tolist() == sorted(study.receiver_mixture.names)
    standard = (values - values.mean(axis=0)) / values.std(axis=0)
    covariates = build_covariates(study)
    n = covariates.sizes[0]
    assert n == values.shape[1] == 5
    np.testing.assert_allclose(covariates.values[:, :n], standard, rtol=1e-4, atol=1e-5)


# --- own -----------------------------------------------------------------------------------------


def test_own_adds_the_ligand_of_the_spot_itself():
    alone, both = study_of(own=False), study_of(own=True)
    assert alone.own_weights is None
    own = np.zeros_like(alone.exposure)
    senders = np.flatnonzero(both.senders)
    for i, cell in enumerate(np.flatnonzero(both.receivers)):
        own[i] = both.sender_ligand[np.flatnonzero(senders == cell)[0]]
    np.testing.assert_allclose(both.exposure, alone.exposure + own, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(dense(both.own_weights @ both.sender_ligand), own, rtol=1e-6)


def test_own_for_single_cells_and_in_exposures():
    adata = tissue()
    plain = st.pp.ligand_exposure(adata, radius=40, sample_key="sample", copy=True)
    own = st.pp.ligand_exposure(adata, radius=40, sample_key="sample", own=True, copy=True)
    expression = np.expm1(dense(adata[:, plain.columns].X))
    np.testing.assert_allclose(own, plain + expression, rtol=1e-5, atol=1e-5)
    assert plain.shape == own.shape


@pytest.fixture(scope="module")
def guarded():
    """A study whose targets include a ligand, a receptor and a TF, and a random network."""
    adata = spots()
    genes = {role: adata.var_names[adata.var[role]].tolist() for role in ("ligand", "receptor")}
    tfs = adata.var_names[adata.var["tf"]].tolist()
    targets = [*adata.var_names[adata.var["target"]], genes["ligand"][0], genes["receptor"][0]]
    roles = NO_ROLES | {"targets": [*targets, tfs[0]]}
    keys = source(cell_type_key=None, proportions="types", own=True)
    study = read_study(adata, roles, keys)
    config = tiny_config()
    problem = build_problem(study, config, None)
    torch.manual_seed(0)
    network = build_network(problem, config, problem.usable)
    for part in (network.gates, network.attend_exposure.query.weight, network.modulate.weight):
        torch.nn.init.normal_(part)
    return study, problem, network


def changed_in(study, problem, cell, gene):
    """The problem after a gene has risen in one receiver, everything fitted as it was."""
    current = histories.current_tf_filter(study)
    sender = np.flatnonzero(np.flatnonzero(study.senders) == np.flatnonzero(study.receivers)[cell])
    levels = {}
    for role, rows in (("ligands", sender), ("receptors", [cell]), ("tfs", [cell])):
        values = {"ligands": study.sender_ligand, "receptors": study.receptor, "tfs": study.tf}
        levels[role] = values[role].copy()
        column = np.flatnonzero(getattr(study.genes, role) == gene)
        levels[role][np.ix_(rows, column)] += 3.0
    n_lags = problem.history.receptor.shape[1] - 1
    history = histories.build_history(study, *levels.values(), n_lags, current)
    return replace(problem, history=history)


def read_in(guarded, cell, gene, problem):
    """What the predictions of other genes and of the gene itself may read in a cell.

    Of the TFs, that is all but the gene, whose edges on itself are forbidden.
    """
    study, _, network = guarded
    _, attention, attended = observe(network, problem, problem.usable)
    others = np.flatnonzero(np.tile(study.genes.tfs != gene, 2))
    parts = (attention.context, attended.tf[:, others], attended.receptor, attended.exposure)
    return np.concatenate([part[cell].detach().numpy() for part in parts])


def gene_among_targets(study, role):
    return next(g for g in getattr(study.genes, role) if g in set(study.genes.targets))


@pytest.mark.parametrize("role", ["ligands", "receptors", "tfs"])
def test_the_target_of_a_spot_never_enters_its_prediction(guarded, role):
    study, problem, _ = guarded
    gene = gene_among_targets(study, role)
    assert problem.history.exists[:, -2].any()
    elsewhere = 0
    for cell in np.flatnonzero(problem.usable.numpy())[::9]:
        after = changed_in(study, problem, cell, gene)
        values = [read_in(guarded, cell, gene, p) for p in (problem, after)]
        np.testing.assert_allclose(values[1], values[0], rtol=1e-5, atol=1e-5)
        near = [p.history.exposure for p in (problem, after)]
        elsewhere += int((near[0] != near[1]).any())
    assert elsewhere > 3 or role != "ligands"


def test_edges_of_a_gene_on_itself_are_forbidden_with_own(guarded):
    study, problem, _ = guarded
    forbidden = set(zip(*problem.forbidden.tolist(), strict=True))
    gene = gene_among_targets(study, "ligands")
    genes = study.genes
    target, ligand = (list(names).index(gene) for names in (genes.targets, genes.ligands))
    pairs = genes.column_of_pair(genes.pair(ligand, np.arange(genes.n_receptors)))
    assert {(int(column), target) for column in pairs} <= forbidden


def test_the_guard_is_needed(guarded, monkeypatch):
    """With its present level read, a ligand among the targets would enter its own prediction."""
    study, problem, _ = guarded
    gene, n_lags = gene_among_targets(study, "ligands"), problem.history.receptor.shape[1] - 1

    def unguarded(study, ligand, n):
        exposure = np.asarray(study.weights @ ligand, dtype=np.float32)
        return histories.expected_history(study.backward, exposure, n_lags=n_lags)[0]

    monkeypatch.setattr(histories, "_exposure_history", unguarded)
    cell = int(np.flatnonzero(problem.usable.numpy())[0])
    values = [
        read_in(guarded, cell, gene, changed_in(study, problem, cell, name)) for name in ("", gene)
    ]
    assert np.abs(values[0] - values[1]).max() > 1e-2


def test_own_levels_of_target_ligands_are_those_of_the_step_before(guarded):
    study, problem, _ = guarded
    gene = gene_among_targets(study, "ligands")
    column, n_lags = list(study.genes.ligands).index(gene), problem.history.receptor.shape[1] - 1
    level = np.asarray(study.own_weights @ study.sender_ligand[:, [column]])
    others = study.exposure[:, column] - level[:, 0]
    past, exists = histories.expected_history(study.backward, level, n_lags=n_lags)
    rows = np.flatnonzero(exists[:, -2])
    np.testing.assert_allclose(
        problem.history.exposure[rows, -1, column],
        others[rows] + past[rows, -2, 0],
        rtol=1e-4,
        atol=1e-4,
    )


def test_decoys_are_permuted_in_the_spot_itself_too():
    """A decoy exposure is that of permuted ligands, the spot's own among them."""
    study = study_of()
    drawn = histories.decoy_drawer(study, 1)(np.random.default_rng(0))
    strata = sender_strata(study)
    rng = np.random.default_rng(0)
    ligand = histories.shuffle_within(study.sender_ligand, strata, rng)
    np.testing.assert_allclose(drawn.exposure[:, -1], study.weights @ ligand, rtol=1e-5)
    others = (study.weights - study.own_weights) @ ligand
    assert (np.abs(drawn.exposure[:, -1].numpy() - others) > 1e-3).any()


def test_parts_of_a_study_keep_their_own_weights():
    study = study_of()
    keep = np.arange(len(study.time)) % 2 == 0
    half = take_receivers(study, keep)
    np.testing.assert_array_equal(dense(half.own_weights), dense(study.own_weights)[keep])
    moved, _ = misplace_senders(replace(study, radius=4.0), np.random.default_rng(0))
    itself, left = dense(study.own_weights) > 0, dense(moved.own_weights) > 0
    assert left.any(axis=1).all()
    assert (left & itself).mean() < 0.2 * itself.mean()
    assert (dense(moved.weights)[left] == 1.0).all()


# --- decoys --------------------------------------------------------------------------------------


def test_strata_hold_one_label_and_similar_proportions():
    rng = np.random.default_rng(0)
    strata = rng.integers(0, 3, 900)
    p = rng.dirichlet([0.6, 1.0, 1.0], 900)
    codes = of_similar_proportions(strata, p)
    sizes = np.bincount(codes)
    assert sizes.min() >= 20
    assert (pd.Series(strata).groupby(codes).nunique() == 1).all()
    within = pd.DataFrame(p).groupby(codes).transform("mean").to_numpy()
    by_label = pd.DataFrame(p).groupby(strata).transform("mean").to_numpy()
    assert ((p - within) ** 2).mean() < 0.2 * ((p - by_label) ** 2).mean()


def test_equal_proportions_are_never_parted():
    strata = np.repeat([0, 1], 100)
    p = np.eye(2)[np.arange(200) % 2]
    codes = of_similar_proportions(strata, p)
    assert len(set(zip(codes, strata, p[:, 0], strict=True))) == 4
    np.testing.assert_array_equal(of_similar_proportions(strata, np.ones((200, 1))), strata)


@pytest.mark.parametrize("strata", [sender_strata, receiver_strata])
def test_decoys_stay_among_spots_of_similar_proportions(strata, monkeypatch):
    monkeypatch.setattr(decoy_strata, "MIN_SIMILAR", 2)
    study = study_of()
    role = "senders" if strata is sender_strata else "receivers"
    p = study.cells.mixture.values[getattr(study, role)]
    similar = strata(study)
    monkeypatch.setattr(decoy_strata, "MIN_SIMILAR", 10_000)
    labels = strata(study)
    at_random, rng = similar.copy(), np.random.default_rng(0)
    for label in np.unique(labels):
        at_random[labels == label] = rng.permutation(similar[labels == label])
    table = pd.DataFrame(p)
    centred = [table - table.groupby(s).transform("mean") for s in (similar, at_random)]
    one, other = ((values**2).to_numpy().mean() for values in centred)
    assert one < 0.6 * other


def test_strata_of_pure_spots_are_those_of_labels():
    adata = tissue()
    adata.obsm["types"] = pure(adata)
    mixed, labelled = study_of(adata), study_of(adata, cell_type_key="cell_type", proportions=None)
    np.testing.assert_array_equal(sender_strata(mixed), sender_strata(labelled))
    np.testing.assert_array_equal(receiver_strata(mixed), receiver_strata(labelled))


# --- results -------------------------------------------------------------------------------------


def test_tables_name_every_type(result):
    types = set(result.obsm["types"].columns)
    table = st.get.communication(result)
    assert set(table["sender"].astype(str)) == set(table["receiver"].astype(str)) == types
    params = st.get.params(result)
    assert params["proportions"] == "types"
    assert bool(params["own"])
    assert params["cell_type_key"] is None


def test_the_matrix_has_a_diagonal_and_sums_to_the_activity(result):
    matrix = st.get.cell_communication(result)
    assert (matrix.diagonal() > 0).any()
    activity = np.nan_to_num(st.get.activity(result).X).sum(axis=1)
    np.testing.assert_allclose(np.asarray(matrix.sum(axis=0)).ravel(), activity, rtol=1e-3)
    both = st.get.sent_received(result)
    np.testing.assert_allclose(both["received"].fillna(0), activity, rtol=1e-3)
    direction = st.get.signal_direction(result)
    assert np.isfinite(direction.loc[both["received"].notna(), "x"]).all()


def test_communication_again_gives_the_scores_of_the_inference(result):
    before, matrix = st.get.communication(result), result.obsp["spatrace_communication"].copy()
    st.tl.communication(result, n_permutations=9, progress=False)
    columns = ["sender", "receiver", "ligand", "receptor", "score", "score_se", "n_slices"]
    pd.testing.assert_frame_equal(st.get.communication(result)[columns], before[columns], rtol=1e-4)
    np.testing.assert_allclose(dense(result.obsp["spatrace_communication"]), dense(matrix), 1e-4)
    st.tl.communication(result, null="positions", n_permutations=3, progress=False)


@pytest.mark.parametrize("form", ["h5ad", slow("zarr")])
def test_a_round_trip_through_a_file(result, form, tmp_path):
    back = written_and_read(result, form, tmp_path)
    assert restore(back, "spatrace").study.own_weights is not None
    pd.testing.assert_frame_equal(st.get.communication(back), st.get.communication(result))


def test_restored_models_are_the_same(result):
    back = restore(result, "spatrace")
    study = study_of(result, radius=st.get.params(result)["radius"])
    np.testing.assert_array_equal(back.study.receiver_mixture.values, study.receiver_mixture.values)
    np.testing.assert_allclose(back.study.exposure, study.exposure, rtol=1e-5)
    shuffled = result[np.random.default_rng(0).permutation(result.n_obs)].copy()
    st.tl.knockout(shuffled, ligand=str(back.genes.ligands[0]))


def test_proportions_that_changed_since_are_refused(result):
    result.obsm["types"] = result.obsm["types"] * 0.5 + 0.1
    with pytest.raises(st.DataError, match="covariates have other levels"):
        st.tl.knockout(result, ligand=st.get.lr_pairs(result)["ligand"].iloc[0])
    result.obsm["types"] = result.obsm["types"].iloc[::-1].set_axis(result.obs_names)
    with pytest.raises(st.DataError, match=r"obsm\['types'\]` has changed since"):
        st.tl.communication(result, progress=False)


def test_a_part_of_the_spots_can_be_read(result):
    part = result[result.obs["stage"] == "E1"].copy()
    assert len(st.get.activity(part)) == part.n_obs
    st.tl.communication(part, n_permutations=2, progress=False)


def test_knockout_of_a_type_of_sender_takes_its_proportion(result):
    names = set(result.obsm["types"].columns)
    with pytest.raises(st.InvalidArgumentError, match="`sender`"):
        st.tl.knockout(result, sender="nobody")
    model = restore(result, "spatrace")
    nobody, one, everyone = (
        _exposure_without(model, listed).numpy() for listed in ([], ["sender_0"], sorted(names))
    )
    np.testing.assert_allclose(nobody, model.fit.attended.exposure.numpy(), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(everyone, 0.0, atol=1e-4)
    assert (one <= nobody + 1e-4).all()
    assert 0.02 < one.sum() / nobody.sum() < 0.98
    st.tl.knockout(result, sender="sender_0")
    assert np.isfinite(st.get.knockout(result)["change"]).all()


def test_compare_modules_ranges_and_controls_run(result):
    result.obs["half"] = np.where(np.arange(result.n_obs) % 2, "a", "b")
    st.tl.compare(result, groups="half", max_q=1.0)
    st.tl.ranges(result, max_q=1.0)
    assert set(st.get.ranges(result).columns) >= {"ligand", "radius"}


def test_a_checkpoint_refuses_other_proportions(tmp_path):
    adata = spots()
    options = {"config": tiny_config(), "checkpoint": tmp_path / "c", **TWO_OF_EACH, **KEYS}
    infer_quietly(adata, proportions="types", **options)
    adata.obsm["types"] = adata.obsm["types"] * 0.9 + 0.02
    with pytest.raises(st.InvalidArgumentError, match="differs in proportions"):
        st.tl.infer_ccc(adata, proportions="types", **options)
    with pytest.raises(st.InvalidArgumentError, match="neighbours"):
        st.tl.infer_ccc(adata, proportions="types", own=False, **options)


def test_plots_draw_types_of_proportions(result, tmp_path):
    import matplotlib.pyplot as plt

    for name in ("communication", "chord", "network", "roles"):
        options = {"max_q": None} if "max_q" in signature(getattr(st.pl, name)).parameters else {}
        drawn = getattr(st.pl, name)(result, **options)
        assert drawn is not None
        plt.close("all")
    st.pl.report(result, tmp_path / "report.html")
    page = page_data((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert set(page["cells"]["types"]) <= set(result.obsm["types"].columns)
