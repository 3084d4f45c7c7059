"""Cells that denoise: who they are, and that they know nothing of what is to be predicted."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from _helpers import NO_ROLES, dense, source
from scipy import sparse

import spatrace_sc as st
from spatrace_sc._core.paths import expected_history
from spatrace_sc._data.embedding import reliable_components
from spatrace_sc._model.fit import beyond_past
from spatrace_sc._study.ancestors import earlier_of_same_state
from spatrace_sc._study.histories import current_tf_filter, recent_past
from spatrace_sc._study.problem import build_problem
from spatrace_sc._study.read import read_study


@pytest.fixture(scope="module")
def study():
    return read_study(st.datasets.simulated(3, n_cells=700), NO_ROLES, source())


@pytest.mark.parametrize("rank", [1, 2, 5])
def test_components_of_low_rank_data_are_retained(rank):
    rng = np.random.default_rng(rank)
    truth = rng.normal(size=(800, rank)) @ np.repeat(2 * np.eye(rank), 40 // rank, axis=0).T
    scores = reliable_components(
        truth + rng.normal(size=truth.shape), np.arange(truth.shape[1]), 30
    )
    assert scores.shape == (800, rank)
    left, _, _ = np.linalg.svd(truth - truth.mean(0), full_matrices=False)
    explained = (left[:, :rank].T @ (scores / np.linalg.norm(scores, axis=0))) ** 2
    np.testing.assert_allclose(explained.sum(0), 1, atol=0.1)


def test_weak_components_count_less_noise_keeps_one_and_a_single_gene_is_no_state():
    rng = np.random.default_rng(0)
    strong, weak = rng.normal(size=(2, 1000))
    loading = np.repeat(np.eye(3), 10, axis=0).T
    data = (
        2 * strong[:, None] * loading[0]
        + 0.6 * weak[:, None] * loading[1]
        + rng.normal(size=(1000, 30))
    )
    scores = reliable_components(data, np.arange(30), 20)
    scaled = (data - data.mean(0)) / data.std(0)
    plain = np.linalg.svd(scaled, full_matrices=False)[1]
    ratio = scores.std(0) / (plain[: scores.shape[1]] / np.sqrt(1000))
    assert scores.shape[1] == 2
    assert 0.6 < ratio[1] < ratio[0] <= 1
    assert reliable_components(rng.normal(size=(500, 20)), np.arange(20), 15).shape[1] <= 2
    data[:, 29] += 30 * rng.normal(size=1000)
    without = reliable_components(data, np.arange(30), 20)
    assert abs(np.corrcoef(without[:, 0], scores[:, 0])[0, 1]) > 0.95
    assert np.abs(np.corrcoef(without.T, data[:, 29])[-1, :-1]).max() < 0.2


def test_only_earlier_cells_denoise(study):
    rng = np.random.default_rng(0)
    matrix = sparse.csr_matrix(rng.poisson(2.0, size=(150, 30)).astype(np.float32))
    order = rng.permutation(150).astype(float)
    time = np.floor(order / 50)
    state = earlier_of_same_state(matrix, np.arange(30), time, order).tocoo()
    assert ((order[state.col] < order[state.row]) | (state.row == state.col)).all()
    alone = state.row[state.row == state.col]
    assert set(alone) == {int(np.argmin(order))}
    np.testing.assert_allclose(np.asarray(state.tocsr().sum(1)).ravel(), 1, atol=1e-5)
    assert (np.asarray(study.state.sum(1)) > 0.999).all()


def test_a_tf_is_read_as_counted_before_and_filtered_now(study):
    config = st.Config(progress=False)
    problem = build_problem(study, config, None)
    n_tfs = len(study.genes.tfs)
    assert problem.n_tfs == 2 * n_tfs
    assert problem.n_tf_genes == n_tfs
    counted, _ = expected_history(study.backward, study.tf, n_lags=3)
    np.testing.assert_allclose(problem.history.tf, counted[:, :-1], atol=1e-5)
    now = current_tf_filter(study)(study.tf)
    np.testing.assert_allclose(problem.history.tf_now, now, atol=1e-5)
    np.testing.assert_allclose(
        problem.tf_count, np.log1p(np.expm1(study.tf) / study.noise.scale), rtol=1e-4
    )
    np.testing.assert_allclose(
        study.noise.scale, 4 * np.median(study.unit[study.receivers]), rtol=1e-6
    )
    assert (problem.penalty[:n_tfs] == np.float32(config.training.past_penalty)).all()
    assert (problem.penalty[n_tfs : 2 * n_tfs] == 1).all()
    weights = torch.arange(2 * n_tfs, dtype=torch.float32)[:, None].repeat(1, 2)
    np.testing.assert_allclose(problem.by_tf_gene(weights)[:, 0], 2 * np.arange(n_tfs) + n_tfs)


def test_the_filtered_level_is_nearer_to_the_truth_than_the_count():
    """The filtered level predicts a second half of the molecules better than the count does.

    Molecules are split at random, so that the errors of the halves are independent. Halves of
    overdispersed counts would share their overdispersion, so counts are Poisson here.
    """
    adata = st.datasets.simulated(3, n_cells=2500, dispersion=1e6)
    counts = dense(adata.layers["counts"]).astype(np.int64)
    depth = counts.sum(1, keepdims=True)
    half = np.random.default_rng(0).binomial(counts, 0.5)
    adata.X = np.log1p(half / depth * np.median(depth)).astype(np.float32)
    study = read_study(adata, NO_ROLES, source())
    place = adata.var_names.get_indexer(study.genes.tfs)
    other = np.log1p((counts - half) / depth * np.median(depth))[study.receiver_rows][:, place]
    assert study.unit is not None
    assert (study.noise.logged > 0).all()
    now = current_tf_filter(study)(study.tf)
    likeness = [
        [np.corrcoef(a, b)[0, 1] for a, b in zip(values.T, other.T, strict=True)]
        for values in (study.tf, now)
    ]
    assert np.mean(likeness[1]) > np.mean(likeness[0]) + 0.01


def test_the_level_now_of_a_tf_is_read_from_that_tf_alone():
    """So a TF that is also a target reaches the prediction of every target but itself."""
    study = read_study(st.datasets.simulated(3, n_cells=500), NO_ROLES, source())
    now = current_tf_filter(study)
    cell, n_tfs = int(np.argmax(np.diff(study.state.indptr))), len(study.genes.tfs)
    for tf in range(n_tfs):
        poked = study.tf.copy()
        poked[cell, tf] += 2
        changed = now(poked)[cell] != now(study.tf)[cell]
        assert list(np.flatnonzero(changed)) == [tf]


def test_the_past_of_targets_is_that_of_earlier_cells(study):
    past = recent_past(study, study.target, 3)
    history, exists = expected_history(study.backward, study.target, n_lags=3)
    cell = int(np.flatnonzero(exists.all(1))[5])
    weights = np.exp([-3.0, -2.0, -1.0])
    np.testing.assert_allclose(past[cell], weights @ history[cell, :3] / weights.sum(), rtol=1e-4)
    assert (past[~exists[:, -2]] == 0).all()


def test_the_part_predicted_by_the_past_is_removed_on_training_cells(study):
    problem = build_problem(study, st.Config(progress=False), None)
    training = problem.usable & (torch.arange(len(problem.usable)) % 4 > 0)
    y = problem.targets - problem.targets[training].mean(0)
    left = beyond_past(problem, y, training)
    past = problem.target_past - problem.target_past[training].mean(0)
    both = (left[training] * past[training]).mean(0) / past[training].std(0).clamp_min(1e-6)
    assert both.abs().max() < 1e-3
    torch.testing.assert_close(
        left[training].std(0, correction=0), torch.ones(y.shape[1]), atol=1e-3, rtol=0
    )
    changed = problem.targets.clone()
    changed[~training] += 5
    again = beyond_past(problem, changed - problem.targets[training].mean(0), training)
    torch.testing.assert_close(again[training], left[training])
