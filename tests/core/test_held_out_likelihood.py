"""Held-out likelihood: slow oracle, hand numbers, the right candidate wins."""

import numpy as np
import pytest

from spatrace_sc._core.held_out_likelihood import (
    RIDGE,
    held_out_errors,
    log_likelihoods,
    preferred,
    reliability_of_halves,
    without,
)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def data(rng, n=400, n_blocks=20):
    block = np.arange(n) % n_blocks
    x = rng.normal(size=(n, 2))
    y = x @ np.array([[1.0, 0.0], [0.5, -1.0]]) + rng.normal(size=(n, 2))
    return x, y, block


def test_errors_equal_a_loop(rng):
    x, y, block = data(rng)
    acts = np.array([[True, False], [True, True]])
    errors, base = held_out_errors([x], y, acts, block, 4)
    expected = np.zeros((2, 20))
    for gene in range(2):
        used = x[:, acts[:, gene]]
        for k in range(4):
            train, test = block % 4 != k, block % 4 == k
            gram = used[train].T @ used[train] / train.sum()
            ridge = RIDGE * np.trace(gram) / used.shape[1] * np.eye(used.shape[1])
            slope = np.linalg.solve(gram + ridge, used[train].T @ y[train, gene] / train.sum())
            for i in np.flatnonzero(test):
                expected[gene, block[i]] += (y[i, gene] - used[i] @ slope) ** 2
    np.testing.assert_allclose(errors[0], expected)
    centred = (y - y.mean(axis=0)) ** 2
    np.testing.assert_allclose(base.sum(axis=1), centred.sum(axis=0))


def test_the_right_candidate_is_preferred(rng):
    x, y, block = data(rng)
    wrong = rng.normal(size=x.shape)
    near = x + 0.5 * rng.normal(size=x.shape)
    errors, base = held_out_errors([wrong, near, x], y, np.ones((2, 2), dtype=bool), block, 5)
    exact = np.ones((3, 2))
    gain = log_likelihoods(errors, base, exact, len(y))
    assert gain[2] > gain[1] > 0 > gain[0] - 5
    share = preferred(errors, base, exact, len(y), rng)
    assert share.sum() == pytest.approx(1.0)
    assert share[2] > 0.9


def test_no_candidate_is_preferred_where_all_are_alike(rng):
    x, y, block = data(rng)
    alike = [x + 1e-3 * rng.normal(size=x.shape) for _ in range(3)]
    errors, base = held_out_errors(alike, y, np.ones((2, 2), dtype=bool), block, 5)
    assert preferred(errors, base, np.ones((3, 2)), len(y), rng).max() < 0.95


def test_hand_numbers():
    errors, base = np.array([[[3.0, 3.0]], [[4.0, 4.0]]]), np.array([[4.0, 4.0]])
    exact = np.ones((2, 1))
    np.testing.assert_allclose(log_likelihoods(errors, base, exact, 2), [-np.log(0.75), 0.0])
    noisy = np.array([[0.5], [0.5]])
    np.testing.assert_allclose(log_likelihoods(errors, base, noisy, 2), [-np.log(0.5), 0.0])
    worse = log_likelihoods(errors + 2.0, base, noisy, 2)
    np.testing.assert_allclose(worse, [-np.log(1.25), -np.log(1.5)])  # not made worse by noise


def test_reliability_is_the_share_of_the_variance_that_is_not_noise(rng):
    true = rng.normal(size=(20_000, 2))
    halves = [
        true + np.sqrt(2.0) * np.array([0.5, 1.0]) * rng.normal(size=true.shape) for _ in "ab"
    ]
    np.testing.assert_allclose(reliability_of_halves(*halves), [1 / 1.25, 0.5], atol=0.02)
    assert reliability_of_halves(true[:, :1], -true[:, :1])[0] == 0.0


def test_noise_does_not_decide(rng):
    """A noisy reading of the right predictor is preferred over an exact one of a wrong one."""
    x, y, block = data(rng, n=4000)
    true, wrong = x[:, :1], 0.75 * x[:, :1] + 0.66 * rng.normal(size=(4000, 1))
    halves = [true + 2.0 * rng.normal(size=true.shape) for _ in "ab"]
    read = (halves[0] + halves[1]) / 2.0
    acts = np.ones((1, 2), dtype=bool)
    errors, base = held_out_errors([read, wrong], y, acts, block, 5)
    known = np.array([reliability_of_halves(*halves), [1.0]]) @ acts
    assert np.diff(log_likelihoods(errors, base, np.ones((2, 2)), 4000))[0] > 0
    assert np.diff(log_likelihoods(errors, base, known, 4000))[0] < 0


def test_without_removes_what_nuisances_predict(rng):
    nuisance = rng.normal(size=(300, 3))
    own = rng.normal(size=(300, 1))
    left = without(own + nuisance @ np.ones((3, 1)) + 4.0, nuisance)
    assert abs(np.corrcoef(left[:, 0], nuisance[:, 0])[0, 1]) < 0.01
    assert np.corrcoef(left[:, 0], own[:, 0])[0, 1] > 0.98
    constant = np.column_stack([nuisance, np.ones(300)])
    np.testing.assert_allclose(without(own, constant), without(own, nuisance))
