"""Cells that denoise: who they are, and that they know nothing of what is to be predicted."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from _helpers import NO_ROLES, READ_KEYS
from scipy import sparse

import spatrace_sc as st
from spatrace_sc._core.paths import expected_history
from spatrace_sc._model.fit import beyond_past
from spatrace_sc._prepare import reliable_components
from spatrace_sc.tl._problem import build_problem, recent_past
from spatrace_sc.tl._study import earlier_in_state, read_study


@pytest.fixture(scope="module")
def study():
    return read_study(st.datasets.simulated(3, n_cells=700), NO_ROLES, **READ_KEYS)


@pytest.mark.parametrize("rank", [1, 2, 5])
def test_components_of_low_rank_data_are_those_that_are_kept(rank):
    rng = np.random.default_rng(rank)
    truth = rng.normal(size=(800, rank)) @ np.repeat(2 * np.eye(rank), 40 // rank, axis=0).T
    scores = reliable_components(truth + rng.normal(size=truth.shape), np.arange(truth.shape[1]), 30)
    assert scores.shape == (800, rank)
    left, _, _ = np.linalg.svd(truth - truth.mean(0), full_matrices=False)
    explained = (left[:, :rank].T @ (scores / np.linalg.norm(scores, axis=0))) ** 2
    np.testing.assert_allclose(explained.sum(0), 1, atol=0.1)


def test_weak_components_count_less_noise_keeps_one_and_a_single_gene_is_no_state():
    rng = np.random.default_rng(0)
    strong, weak = rng.normal(size=(2, 1000))
    loading = np.repeat(np.eye(3), 10, axis=0).T
    data = 2 * strong[:, None] * loading[0] + 0.6 * weak[:, None] * loading[1] + rng.normal(size=(1000, 30))
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
    state = earlier_in_state(matrix, np.arange(30), time, order).tocoo()
    assert ((order[state.col] < order[state.row]) | (state.row == state.col)).all()
    alone = state.row[state.row == state.col]
    assert set(alone) == {int(np.argmin(order))}
    np.testing.assert_allclose(np.asarray(state.tocsr().sum(1)).ravel(), 1, atol=1e-5)
    assert (np.asarray(study.state.sum(1)) > 0.999).all()


def test_a_tf_is_read_as_counted_and_denoised(study):
    config = st.Config(progress=False)
    problem = build_problem(study, config, None)
    n_tfs = len(study.genes["tfs"])
    assert problem.n_tfs == 2 * n_tfs
    assert problem.n_tf_genes == n_tfs
    counted, _ = expected_history(study.backward, study.tf, n_lags=3)
    denoised, _ = expected_history(study.backward, (study.state @ study.tf).astype(np.float32), n_lags=3)
    np.testing.assert_allclose(problem.history.tf[:, :, :n_tfs], counted[:, :-1], atol=1e-5)
    np.testing.assert_allclose(problem.history.tf[:, :, n_tfs:], denoised[:, :-1], atol=1e-5)
    assert (problem.penalty[n_tfs : 2 * n_tfs] == config.training.denoised_penalty).all()
    weights = torch.arange(2 * n_tfs, dtype=torch.float32)[:, None].repeat(1, 2)
    np.testing.assert_allclose(problem.by_tf_gene(weights)[:, 0], 2 * np.arange(n_tfs) + n_tfs)
    averaged = denoised[:, :-1].std(0).mean()
    assert averaged < counted[:, :-1].std(0).mean()


def test_the_past_of_targets_is_that_of_earlier_cells(study):
    past = recent_past(study, study.target, 3)
    history, exists = expected_history(study.backward, study.target, n_lags=3)
    cell = int(np.flatnonzero(exists.all(1))[5])
    weights = np.exp([-3.0, -2.0, -1.0])
    np.testing.assert_allclose(past[cell], weights @ history[cell, :3] / weights.sum(), rtol=1e-4)
    assert (past[~exists[:, -2]] == 0).all()


def test_what_the_past_predicts_is_taken_out_on_training_cells(study):
    problem = build_problem(study, st.Config(progress=False), None)
    training = problem.usable & (torch.arange(len(problem.usable)) % 4 > 0)
    y = problem.targets - problem.targets[training].mean(0)
    left = beyond_past(problem, y, training)
    past = problem.target_past - problem.target_past[training].mean(0)
    both = (left[training] * past[training]).mean(0) / past[training].std(0).clamp_min(1e-6)
    assert both.abs().max() < 1e-3
    torch.testing.assert_close(left[training].std(0, correction=0), torch.ones(y.shape[1]), atol=1e-3, rtol=0)
    changed = problem.targets.clone()
    changed[~training] += 5
    again = beyond_past(problem, changed - problem.targets[training].mean(0), training)
    torch.testing.assert_close(again[training], left[training])
