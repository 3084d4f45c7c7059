"""The main verb, end to end."""

from __future__ import annotations

from dataclasses import replace

import anndata
import numpy as np
import pandas as pd
import pytest
import torch
from _helpers import (
    FEW_GENES,
    N_GENES,
    NO_ROLES,
    NOTHING_SIGNIFICANT,
    TWO_OF_EACH,
    predicted_targets,
    source,
)
from scipy import sparse
from sklearn.metrics import average_precision_score

import spatrace_sc as st
from spatrace_sc._core.exposure import ligand_exposure, neighbour_weights
from spatrace_sc._model.network.checkpoint import from_arrays
from spatrace_sc._regulators import Regulators
from spatrace_sc._study import histories
from spatrace_sc._study.prior_penalties import prior_penalties
from spatrace_sc._study.problem import build_covariates, build_problem, forbidden_edges
from spatrace_sc._study.read import read_study

pytestmark = pytest.mark.filterwarnings(NOTHING_SIGNIFICANT)

QUICK = st.Config(
    evidence=st.EvidenceConfig(n_resamples=2, n_permutations=5),
    training=st.TrainingConfig(max_epochs=2),
    progress=False,
)
SHORT = replace(QUICK, model=st.ModelConfig(n_lags=2), n_blocks=4)


def small(seed=0, **kwargs):
    return st.datasets.simulated(seed, **{"n_cells": 400, "n_targets": 8, **FEW_GENES, **kwargs})


def average_precision(table, truth, keys):
    marked = table.merge(truth[keys].drop_duplicates().assign(true=1), on=keys, how="left")
    return average_precision_score(marked["true"].fillna(0), marked["score"])


def correlation_tables(adata):
    """|Pearson| of targets with TFs and with exposure × receptor, as tables with a score."""
    receivers = adata.obs["latent_time"].notna().to_numpy()
    sample = pd.factorize(adata.obs["sample"])[0]
    weights = neighbour_weights(
        adata.obsm["spatial"], sample, receivers, np.ones_like(receivers), radius=40.0
    )
    names = {
        role: np.sort(adata.var_names[adata.var[role]])
        for role in ("ligand", "receptor", "tf", "target")
    }
    dense = {role: adata[:, genes].X.toarray() for role, genes in names.items()}
    exposure = ligand_exposure(weights, dense["ligand"])[receivers]
    signal = np.log1p(exposure[:, :, None] * dense["receptor"][receivers][:, None, :]).reshape(
        receivers.sum(), -1
    )

    def scaled(x):
        return (x - x.mean(0)) / (x.std(0) + 1e-9)

    y = scaled(dense["target"][receivers])
    lr = np.abs(scaled(signal).T @ y / len(y))
    tf = np.abs(scaled(dense["tf"][receivers]).T @ y / len(y))
    grid = pd.MultiIndex.from_product(
        [names["ligand"], names["receptor"], names["target"]],
        names=["ligand", "receptor", "target"],
    )
    pairs = pd.MultiIndex.from_product(
        [names["ligand"], names["receptor"]], names=["ligand", "receptor"]
    )
    tfs = pd.MultiIndex.from_product([names["tf"], names["target"]], names=["tf", "target"])
    return {
        "lr_targets": pd.DataFrame({"score": lr.ravel()}, index=grid).reset_index(),
        "lr_pairs": pd.DataFrame({"score": np.linalg.norm(lr, axis=1)}, index=pairs).reset_index(),
        "tf_targets": pd.DataFrame({"score": tf.ravel()}, index=tfs).reset_index(),
    }


@pytest.fixture(scope="module")
def recovered():
    """AUPRC of ours and of |Pearson| on three seeds, with the defaults."""
    rows = []
    for seed in (11, 12, 13):
        adata = st.datasets.simulated(seed, n_cells=2500)
        st.tl.infer_ccc(
            adata,
            sample_key="sample",
            stage_key="stage",
            radius=40.0,
            config=st.Config(progress=False),
        )
        truth = adata.uns["truth"]
        truths = {**truth, "lr_targets": truth["lr_targets"].query("kind == 'direct'")}
        base = correlation_tables(adata)
        for task, keys in (
            ("tf_targets", ["tf", "target"]),
            ("lr_targets", ["ligand", "receptor", "target"]),
            ("lr_pairs", ["ligand", "receptor"]),
        ):
            ours = getattr(st.get, task)(adata)
            rows.append(
                (
                    seed,
                    task,
                    average_precision(ours, truths[task], keys),
                    average_precision(base[task], truths[task], keys),
                )
            )
            signed = ours.merge(truths[task], on=keys) if task != "lr_pairs" else None
            if signed is not None:
                strong = signed[signed["score"] > 0].head(30)
                assert (np.sign(strong["effect"]) == strong["sign"]).mean() >= 0.9
    return pd.DataFrame(rows, columns=["seed", "task", "ours", "pearson"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "margin"), [("tf_targets", 0.1), ("lr_targets", 0.3), ("lr_pairs", 0.3)]
)
def test_true_edges_rank_above_correlation(recovered, task, margin):
    rows = recovered[recovered["task"] == task]
    assert len(rows) == 3
    assert (rows["ours"] > rows["pearson"] + margin).all(), rows.to_string()


def test_same_seed_gives_same_tables_in_any_order_of_genes():
    adata = small()
    shuffled = adata[:, np.random.default_rng(0).permutation(adata.n_vars)].copy()
    tables = []
    for data in (adata, adata.copy(), shuffled):
        st.tl.infer_ccc(data, sample_key="sample", config=QUICK, rng=5)
        tables.append(
            (
                st.get.lr_targets(data),
                st.get.tf_targets(data),
                st.get.lr_pairs(data),
                st.get.communication(data),
            )
        )
    for one, two in zip(tables[0], tables[1], strict=True):
        pd.testing.assert_frame_equal(one, two)
    for one, two in zip(tables[0], tables[2], strict=True):
        keys = [c for c in one if one[c].dtype == object or str(one[c].dtype) in {"str", "string"}]
        pd.testing.assert_frame_equal(
            one.sort_values(keys, ignore_index=True),
            two.sort_values(keys, ignore_index=True),
            atol=1e-4,
            rtol=1e-3,
        )


def test_another_seed_gives_another_split():
    adata = small()
    st.tl.infer_ccc(adata, sample_key="sample", **TWO_OF_EACH, config=QUICK, rng=1, key_added="one")
    st.tl.infer_ccc(adata, sample_key="sample", **TWO_OF_EACH, config=QUICK, rng=2, key_added="two")
    assert (
        adata.uns["one"]["history"]["held_out"].iloc[0]
        != adata.uns["two"]["history"]["held_out"].iloc[0]
    )


def shared_roles(adata):
    """Roles in which one gene each is also a target."""
    genes = {
        role: list(adata.var_names[adata.var[role]])
        for role in ("ligand", "receptor", "tf", "target")
    }
    targets = [*genes["target"], genes["ligand"][0], genes["receptor"][0], genes["tf"][0]]
    return {
        "ligands": genes["ligand"],
        "receptors": genes["receptor"],
        "tfs": genes["tf"],
        "targets": targets,
    }


@pytest.mark.parametrize("time_key", ["dpt_pseudotime", "stage_time"])
def test_the_target_of_the_predicted_cell_does_not_reach_its_prediction(time_key, monkeypatch):
    adata = small(n_stages=3)
    receivers = ["receiver_0", "receiver_1"]
    st.pp.transitions(adata, time_key=time_key, receivers=receivers)
    roles = shared_roles(adata)
    shared_tf = roles["tfs"][0]
    keys = source(time_key=time_key, transitions_key="transitions", receivers=receivers)
    study = read_study(adata, roles, keys)
    now = histories.current_tf_filter(study)
    monkeypatch.setattr(histories, "current_tf_filter", lambda *_: now)
    before = build_problem(study, QUICK, None)
    cells = study.receiver_rows
    usable = np.flatnonzero(before.usable.numpy())
    changed = 0
    for k in usable[:: max(1, len(usable) // 12)]:
        poked = adata.copy()
        values = adata.X.toarray()
        values[cells[k], adata.var_names.get_indexer(roles["targets"])] += 3.0
        poked.X = sparse.csr_matrix(values)
        poked.obsp["transitions"] = adata.obsp["transitions"]
        # the principal axes and the filter, to which every cell contributes, are held fixed
        after = build_problem(
            replace(read_study(poked, roles, keys), state=study.state), QUICK, None
        )
        assert not torch.equal(before.targets[k], after.targets[k])
        for name in ("tf", "receptor", "exposure"):
            one, two = getattr(before.history, name), getattr(after.history, name)
            torch.testing.assert_close(one[k], two[k], atol=0, rtol=0)
            changed += int(not torch.equal(one, two))
        # a TF that is also a target is read now, by all targets but itself
        of_tfs = (before.history.tf_now[k] != after.history.tf_now[k]).nonzero()[:, 0]
        assert [study.genes.tfs[tf] for tf in of_tfs] == [shared_tf]
    assert changed > 0, (
        "poking a shared gene must reach other cells, otherwise this test sees nothing"
    )
    column = study.genes.columns_of_current_tfs[list(study.genes.tfs).index(shared_tf)]
    own = [column, list(study.genes.targets).index(shared_tf)]
    assert own in before.forbidden.T.tolist()


def test_a_gene_does_not_regulate_itself():
    adata = small()
    st.tl.infer_ccc(adata, **shared_roles(adata), sample_key="sample", config=QUICK)
    tf, lr = st.get.tf_targets(adata), st.get.lr_targets(adata)
    assert (tf.loc[tf["tf"] == tf["target"], "score"] == 0).all()
    own = (lr["ligand"] == lr["target"]) | (lr["receptor"] == lr["target"])
    assert own.sum() == 2 * N_GENES
    assert (lr.loc[own, "score"] == 0).all()


def test_units_of_length_do_not_matter():
    adata = small()
    larger = adata.copy()
    larger.obsm["spatial"] = adata.obsm["spatial"] * 1000
    st.tl.infer_ccc(adata, sample_key="sample", config=QUICK, radius=40.0)
    st.tl.infer_ccc(larger, sample_key="sample", config=QUICK, radius=40_000.0)
    one, two = st.get.lr_pairs(adata), st.get.lr_pairs(larger)
    assert list(one["ligand"].head(10)) == list(two["ligand"].head(10))
    np.testing.assert_allclose(one["score"], two["score"], atol=1e-3)


def test_covariates_blocks_and_forbidden_edges():
    adata = small()
    study = read_study(adata, NO_ROLES, source())
    covariates = build_covariates(study).values
    np.testing.assert_allclose(covariates.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(covariates.std(0), 1, atol=1e-4)
    problem = build_problem(study, SHORT, None)
    for code in problem.block.unique():
        assert len(np.unique(study.receiver_sample[(problem.block == code).numpy()])) == 1
    assert 3 * 4 <= len(problem.block.unique()) <= 3 * 25
    genes = Regulators(*(np.array(list(names)) for names in ("ab", "c", "d", "bcd")))
    # regulators: 0 = d in earlier cells, 1 = d now, 2 = (a, c), 3 = (b, c)
    assert set(map(tuple, forbidden_edges(genes, genes.targets).T.tolist())) == {
        (0, 2),
        (1, 2),
        (3, 0),
        (2, 1),
        (3, 1),
    }


def test_decoys_preserve_marginals_and_break_dependence():
    adata = small()
    study = read_study(adata, NO_ROLES, source())
    draw = histories.decoy_drawer(study, 2)
    one, two = draw(np.random.default_rng(0)), draw(np.random.default_rng(1))
    real = build_problem(study, SHORT, None).history
    assert not torch.equal(one.exposure, two.exposure)
    sample = study.receiver_sample
    for code in np.unique(sample):
        here = torch.from_numpy(sample == code)
        fake, true = one.receptor[here, -1], real.receptor[here, -1]
        torch.testing.assert_close(fake.sort(0).values, true.sort(0).values)
        assert torch.corrcoef(torch.stack([fake[:, 0], true[:, 0]]))[0, 1].abs() < 0.5
    assert one.exposure[:, -1].mean() == pytest.approx(float(real.exposure[:, -1].mean()), rel=0.1)


def test_prior_lowers_penalties_and_never_filters():
    genes = Regulators(*(np.array(list(names)) for names in ("ab", "cd", "e", "fg")))
    pairs, tf = prior_penalties(
        pd.DataFrame({"ligand": ["b", "x"], "receptor": ["c", "c"], "weight": [3.0, 1.0]}), genes
    )
    assert pairs.tolist() == [1.0, 1.0, 0.25, 1.0]
    assert tf is None
    pairs, tf = prior_penalties(pd.DataFrame({"tf": ["e"], "target": ["g"]}), genes)
    assert pairs.tolist() == [1.0] * 4
    assert tf.tolist() == [[1.0, 0.5]]
    adata = small()
    truth = adata.uns["truth"]["lr_pairs"]
    st.tl.infer_ccc(adata, sample_key="sample", config=QUICK, prior=truth.assign(weight=4.0))
    table = st.get.lr_pairs(adata)
    assert len(table) == N_GENES**2
    assert average_precision(table, truth, ["ligand", "receptor"]) > 0.5


def test_supplied_transitions_and_stage_time():
    adata = small()
    st.pp.transitions(adata, n_neighbors=8)
    st.tl.infer_ccc(
        adata, sample_key="sample", transitions_key="transitions", **TWO_OF_EACH, config=QUICK
    )
    assert adata.uns["spatrace"]["params"]["transitions_key"] == "transitions"
    st.tl.infer_ccc(
        adata,
        sample_key="sample",
        time_key="stage_time",
        **TWO_OF_EACH,
        config=QUICK,
        receivers=["receiver_0", "receiver_1"],
        key_added="s",
    )
    assert st.get.stages(adata, key="s") == ["E1_slice1", "E2_slice1", "E3_slice1"]


def test_stages_are_ordered_by_time_not_by_name():
    adata = small()
    adata.obs["stage"] = (
        adata.obs["stage"].astype(str).map({"E1": "E9.5", "E2": "E10.5", "E3": "A_last"})
    )
    st.tl.infer_ccc(adata, sample_key="sample", stage_key="stage", **TWO_OF_EACH, config=QUICK)
    assert st.get.stages(adata) == ["E9.5", "E10.5", "A_last"]


def test_copy_leaves_the_data_alone():
    adata = small()
    before = (
        set(adata.uns),
        set(adata.obsm),
        set(adata.obsp),
        list(adata.obs.columns),
        list(adata.var.columns),
    )
    result = st.tl.infer_ccc(adata, sample_key="sample", config=QUICK, copy=True)
    assert before == (
        set(adata.uns),
        set(adata.obsm),
        set(adata.obsp),
        list(adata.obs.columns),
        list(adata.var.columns),
    )
    assert len(st.get.lr_pairs(result)) == N_GENES**2
    assert st.tl.infer_ccc(adata, sample_key="sample", config=QUICK) is None


def test_the_stored_model_predicts_the_same_after_a_file(tmp_path):
    adata = small()
    st.tl.infer_ccc(adata, sample_key="sample", config=QUICK, radius=40.0)
    problem = build_problem(read_study(adata, NO_ROLES, source()), QUICK, None)
    predictions = []
    adata.write_h5ad(tmp_path / "a.h5ad")
    for stored in (adata, anndata.read_h5ad(tmp_path / "a.h5ad")):
        result = stored.uns["spatrace"]
        config = st.Config.from_dict(result["params"]["config"])
        network, weights = from_arrays(result["model"], config.model, torch.device("cpu"))
        predictions.append(predicted_targets(network, weights, problem))
    assert config == QUICK
    torch.testing.assert_close(predictions[0], predictions[1], atol=0, rtol=0)
    assert predictions[0].std() > 0.05


@pytest.mark.slow
def test_activity_finds_the_cells_that_receive():
    adata = st.datasets.simulated(21, n_cells=2500)
    st.tl.infer_ccc(adata, sample_key="sample", config=st.Config(progress=False))
    activity = st.get.activity(adata)
    truth = adata.uns["truth"]["lr_pairs"]
    receivers = adata.obs["latent_time"].notna().to_numpy()
    correlations = []
    for ligand, receptor in truth.itertuples(index=False):
        name = f"{ligand}^{receptor}"
        if name in activity.var_names[:20]:
            mine, true = (
                np.asarray(activity[receivers, name].X).ravel(),
                adata.obsm["true_signal"].loc[receivers, name].to_numpy(),
            )
            correlations.append(np.corrcoef(mine, true)[0, 1])
    assert len(correlations) >= 6
    assert np.median(correlations) > 0.5


@pytest.mark.slow
def test_null_tissue_yields_few_discoveries():
    adata = st.datasets.simulated(31, n_cells=2500, signal_strength=0.0)
    st.tl.infer_ccc(adata, sample_key="sample", config=st.Config(progress=False))
    assert (st.get.lr_pairs(adata)["q_value"] <= 0.1).sum() == 0
    assert (st.get.lr_targets(adata)["q_value"] <= 0.1).sum() <= 3
