"""Screening of many pairs."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from _planted import CONFIG, C, F, G, L, R, draw_decoys, planted

from spatrace_sc._model.evidence import screen_pairs
from spatrace_sc._model.evidence.resample import resample
from spatrace_sc._model.evidence.screen_pairs import MIN_STRENGTH_SHARE, relevance, screen
from spatrace_sc._model.fit import fit
from spatrace_sc._model.network.observe import observe

PAIR = 2 * R


def with_most(most):
    return replace(CONFIG, max_pairs=most)


@pytest.fixture(scope="module")
def fitted():
    problem = planted()
    return problem, fit(problem, CONFIG, seed=3)


def test_few_pairs_are_left_as_they_are(fitted):
    problem, result = fitted
    assert screen(problem, result, with_most(L * R)) is problem


def test_how_many_are_refitted_follows_from_the_work(fitted, monkeypatch):
    problem, result = fitted
    cells = int(problem.usable.sum())
    each = (G + F) * cells * CONFIG.evidence.n_resamples / 10
    assert screen_pairs.max_pairs(problem, CONFIG) == int(screen_pairs.MAX_REFIT_WORK / each)
    assert screen_pairs.max_pairs(problem, with_most(7)) == 7
    monkeypatch.setattr(screen_pairs, "MAX_REFIT_WORK", 5.5 * each)
    assert screen_pairs.max_pairs(problem, CONFIG) == screen_pairs.MIN_REFITTED_PAIRS
    assert screen(problem, result, CONFIG) is problem
    monkeypatch.setattr(screen_pairs, "MIN_REFITTED_PAIRS", 2)
    assert screen_pairs.max_pairs(problem, CONFIG) == 5
    assert screen(problem, result, CONFIG).decoy_weight == pytest.approx(L * R / 5)


@pytest.mark.parametrize("most", [1, 3, L * R - 1])
def test_the_planted_pair_is_kept_and_decoys_stand_for_the_others(fitted, most, caplog):
    problem, result = fitted
    with caplog.at_level(logging.INFO, logger="spatrace_sc"):
        actual = screen(problem, result, with_most(most))
    competing = torch.isfinite(actual.penalty[C : C + L * R])
    assert int(competing.sum()) == most
    assert competing[PAIR]
    assert actual.decoy_weight == pytest.approx(L * R / most)
    assert "max_pairs" in caplog.text
    np.testing.assert_array_equal(actual.penalty[:C], problem.penalty[:C])
    np.testing.assert_array_equal(actual.penalty[C + L * R :], problem.penalty[C + L * R :])
    assert torch.isfinite(problem.penalty).all(), "the given problem must not change"


def test_relevance_against_a_slow_sum(fitted):
    problem, result = fitted
    rows = problem.usable.numpy()
    design, _, _ = observe(result.network, problem, problem.usable)
    x = design[torch.arange(design.n_columns)][rows].double().numpy()
    y = ((problem.targets - result.target_mean) / result.target_sd)[rows].double().numpy()
    w = result.weights.dense(design.n_columns).double().numpy()
    strength = np.abs(w + x.T @ (y - x @ w) / len(y))[C : C + L * R]
    penalty = np.ones((L * R, 1))
    penalty[5] = 0.4
    slow = np.linalg.norm(
        np.maximum(strength - MIN_STRENGTH_SHARE * result.weights.penalty * penalty, 0) / penalty,
        axis=1,
    )
    favoured = problem.penalty.clone()
    favoured[C + 5] = 0.4
    np.testing.assert_allclose(
        relevance(replace(problem, penalty=favoured), result), slow, atol=1e-5
    )
    assert relevance(problem, result).argmax() == PAIR


def test_a_prior_lowers_the_bar_and_what_cannot_act_is_never_kept(fitted):
    problem, result = fitted
    penalty = problem.penalty.clone()
    penalty[C + PAIR] = torch.inf
    other = (PAIR + 1) % (L * R)
    penalty[C + other] = 1e-3
    actual = screen(replace(problem, penalty=penalty), result, with_most(1))
    competing = torch.nonzero(torch.isfinite(actual.penalty[C : C + L * R]))[:, 0].tolist()
    assert competing == [other]
    assert actual.decoy_weight == L * R - 1


@pytest.fixture(scope="module")
def evidence(fitted):
    problem, result = fitted
    problem = screen(problem, result, with_most(4))
    return problem, resample(problem, result, draw_decoys(problem), CONFIG, seed=1)


def test_only_pairs_that_were_kept_have_weights(evidence):
    problem, actual = evidence
    competing = problem.may_act[C : C + L * R].numpy()
    assert set(np.unique(actual.lr.regulator)) == set(np.flatnonzero(competing))
    assert len(actual.lr) == 4 * G
    assert (actual.pair_score[~competing] == 0).all()
    assert (actual.pair_p_value[~competing] == 1).all()
    assert actual.pair_score.argmax() == PAIR
    assert (actual.on_tfs[~competing] == 0).all()
    assert actual.on_tfs.shape == (L * R, F)


def test_decoys_count_for_the_pairs_that_do_not_compete(evidence):
    problem, actual = evidence
    for task in ("lr", "lr_tf", "pair"):
        weights = np.concatenate([d.null_weight for d in actual.draws[task]])
        assert set(np.abs(weights)) <= {problem.decoy_weight}
    assert set(np.concatenate([d.null_weight for d in actual.draws["tf"]])) <= {1.0}
    # no decoy in any refit: 1 / (1 + all candidates), those that were screened away among them
    assert actual.lr.p_value.min() == pytest.approx(1 / (1 + L * R * G), rel=1e-4)
