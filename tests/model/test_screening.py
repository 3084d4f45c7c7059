"""Many pairs, of which some compete."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from _planted import CONFIG, C, F, G, L, R, draw_decoys, planted

from spatrace_sc._model.evidence import resample
from spatrace_sc._model.fit import fit
from spatrace_sc._model.screening import NOISE, RIDGE, relevance, screen

PAIR = 2 * R


def with_most(most):
    return replace(CONFIG, max_pairs=most)


def test_few_pairs_are_left_as_they_are():
    problem = planted()
    assert screen(problem, with_most(L * R)) is problem


@pytest.mark.parametrize("most", [1, 3, L * R - 1])
def test_the_planted_pair_is_kept_and_decoys_stand_for_the_others(most, caplog):
    problem = planted()
    with caplog.at_level(logging.INFO, logger="spatrace_sc"):
        found = screen(problem, with_most(most))
    kept = torch.isfinite(found.penalty[C : C + L * R])
    assert int(kept.sum()) == most
    assert kept[PAIR]
    assert found.decoy_weight == pytest.approx(L * R / most)
    assert "max_pairs" in caplog.text
    np.testing.assert_array_equal(found.penalty[:C], problem.penalty[:C])
    np.testing.assert_array_equal(found.penalty[C + L * R :], problem.penalty[C + L * R :])
    assert torch.isfinite(problem.penalty).all(), "what was given must stay"


def test_relevance_against_a_slow_sum():
    problem = planted()
    past = problem.history
    rows = problem.usable.numpy()
    from spatrace_sc._model.fit import build_network, observe

    torch.manual_seed(0)
    network = build_network(problem, CONFIG, problem.usable)
    design, _, _ = observe(network, problem, problem.usable)
    x = design[torch.arange(design.n_columns)][rows].double().numpy()
    y = problem.targets[rows].double().numpy()
    y = (y - y.mean(0)) / y.std(0)
    z = np.delete(x, np.arange(C, C + L * R), axis=1)
    y = y - z @ np.linalg.solve(z.T @ z / len(z) + RIDGE * np.eye(z.shape[1]), z.T @ y / len(z))
    slope = np.abs(x[:, C : C + L * R].T @ y / len(y)) - NOISE / np.sqrt(len(y))
    slow = np.linalg.norm(np.maximum(slope, 0), axis=1)
    np.testing.assert_allclose(relevance(problem, CONFIG), slow, atol=1e-5)
    barred = replace(problem, forbidden=torch.tensor([[C + PAIR], [1]]))
    assert relevance(barred, CONFIG)[PAIR] < 0.3 * relevance(problem, CONFIG)[PAIR]
    assert len(past) == len(rows)


def test_a_prior_lowers_the_bar_and_what_cannot_act_is_never_kept():
    problem = planted()
    penalty = problem.penalty.clone()
    penalty[C + PAIR] = torch.inf
    barred = replace(problem, penalty=penalty)
    weakest = int(torch.where(relevance(barred, CONFIG) > 0, relevance(barred, CONFIG), torch.inf).argmin())
    assert weakest != PAIR
    penalty[C + weakest] = 1e-3
    found = screen(replace(problem, penalty=penalty), with_most(1))
    kept = torch.nonzero(torch.isfinite(found.penalty[C : C + L * R]))[:, 0].tolist()
    assert kept == [weakest]
    assert found.decoy_weight == L * R - 1


@pytest.fixture(scope="module")
def evidence():
    problem = screen(planted(), with_most(4))
    fitted = fit(problem, CONFIG, seed=3)
    return problem, resample(problem, fitted, draw_decoys(problem), CONFIG, seed=1)


def test_only_pairs_that_were_kept_have_weights(evidence):
    problem, found = evidence
    kept = problem.kept[C : C + L * R].numpy()
    assert set(np.unique(found.lr.regulator)) == set(np.flatnonzero(kept))
    assert len(found.lr) == 4 * G
    assert (found.pair_score[~kept] == 0).all()
    assert (found.pair_p_value[~kept] == 1).all()
    assert found.pair_score.argmax() == PAIR
    assert (found.on_tfs[~kept] == 0).all()
    assert found.on_tfs.shape == (L * R, F)


def test_decoys_count_for_the_pairs_that_do_not_compete(evidence):
    problem, found = evidence
    for task in ("lr", "lr_tf", "pair"):
        weights = np.concatenate([d.null_weight for d in found.draws[task]])
        assert set(np.abs(weights)) <= {problem.decoy_weight}
    assert set(np.concatenate([d.null_weight for d in found.draws["tf"]])) <= {1.0}
    # no decoy in any refit: 1 / (1 + all candidates), those that were screened away among them
    assert found.lr.p_value.min() == pytest.approx(1 / (1 + L * R * G), rel=1e-4)
