"""Whether the slope of an edge holds among neighbouring cells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from _rival_world import (
    BLOCKS,
    F,
    G,
    N,
    given_signals,  # noqa: F401  (a fixture)
    world,
)
from scipy import stats

from spatrace_sc._model.evidence.local_slopes import (
    MIN_LOCAL_SHARE,
    MIN_LOCAL_SHARE_OF_TFS,
    differences_from_neighbours,
    local_test,
    local_test_of_tfs,
)
from spatrace_sc._model.records import Weights

USABLE = N - 30
EDGES = np.array([[0, 0], [0, 1], [1, 0]])


def in_a_row(n=USABLE, k=10):
    """(n, k) nearest other cells of cells in a row."""
    distance = np.abs(np.arange(n)[:, None] - np.arange(n)).astype(float)
    np.fill_diagonal(distance, np.inf)
    return torch.from_numpy(np.argsort(distance, axis=1, kind="stable")[:, :k])


def smooth(seed):
    """(N,) a field that varies slowly along the row, with standard deviation 1."""
    rng = np.random.default_rng(seed)
    waves = [np.cos(2 * np.pi * (k * np.arange(N) / N + rng.random())) for k in range(1, 9)]
    field = rng.normal(size=8) @ np.array(waves)
    return torch.from_numpy(field / field.std()).float()


def with_signal(problem, fit, signal, targets):
    """The world with another signal of pair 0, and other targets, where its weight is 0.5."""
    receptor = problem.history.receptor.clone()
    receptor[:, :, 0] = signal[:, None]
    history = replace(problem.history, receptor=receptor)
    values = torch.zeros(1, G)
    values[0, :2] = 0.5
    fit.weights = Weights(torch.tensor([2 * F]), values, 0.1)
    fit.target_mean, fit.target_sd = targets.mean(0), targets.std(0, correction=0)
    return replace(problem, history=history, targets=targets), fit


def planted(seed, *, by_field):
    """Targets 0 and 1 follow the signal, or a field that the signal follows as closely."""
    problem, fit = world(seed)
    field, noise = smooth(seed), torch.randn(N, 3, generator=torch.Generator().manual_seed(seed))
    signal = field + noise[:, 0]
    targets = torch.randn(N, G, generator=torch.Generator().manual_seed(seed + 100))
    targets[:, :2] += (field if by_field else signal)[:, None]
    return with_signal(problem, fit, signal, targets)


def test_differences_by_hand():
    values = torch.tensor([[1.0], [3.0], [8.0], [5.0]])
    neighbours = torch.tensor([[1, 2], [0, -1], [3, 0], [-1, -1]])
    expected = [[1 - 5.5], [3 - 1.0], [8 - 3.0], [0.0]]
    actual = differences_from_neighbours(values, neighbours)
    np.testing.assert_allclose(actual, expected)
    np.testing.assert_allclose(
        differences_from_neighbours(values[:, 0], neighbours), np.ravel(expected)
    )


def slow(x, y, neighbours, block, share=MIN_LOCAL_SHARE):
    """p of one edge, by regressions of the put-back target y."""

    def slope_and_influence(x, y):
        slope = x @ y / (x @ x)
        return slope, x * (y - slope * x) / (x @ x)

    x, y = x - x.mean(), y - y.mean()
    slope, influence = slope_and_influence(x, y)
    local_x, local_y = (
        np.array([v[i] - v[others].mean() for i, others in enumerate(neighbours)]) for v in (x, y)
    )
    local, local_influence = slope_and_influence(local_x - local_x.mean(), local_y)
    error = local_influence - share * influence
    sums = np.array([error[block == b].sum() for b in np.unique(block)])
    n = len(sums)
    se = np.sqrt((sums**2).sum() * n / (n - 1))
    return stats.t.sf(np.sign(slope) * (local - share * slope) / se, n - 1)


@pytest.mark.parametrize("by_field", [True, False])
def test_p_is_that_of_plain_regressions(by_field):
    problem, fit = planted(3, by_field=by_field)
    neighbours = in_a_row()
    actual = local_test(problem, fit, EDGES, np.array([0]), neighbours).edge
    usable, block = slice(30, None), problem.block[30:].numpy()
    y = ((problem.targets - fit.target_mean) / fit.target_sd)[usable].double().numpy()
    # the residual lacks the weights of pair 0, which are put back for it alone
    signal = problem.history.receptor[usable, 0].double().numpy()
    signal = (signal - signal.mean(0)) / signal.std(0)
    for (pair, target), p in zip(EDGES, actual, strict=True):
        put_back = y[:, target] - (0.5 * signal[:, 0] if pair == 1 else 0.0)
        expected = slow(signal[:, pair], put_back, neighbours.numpy(), block)
        assert p == pytest.approx(expected, rel=1e-3, abs=1e-6)


def test_a_signal_that_acts_holds_and_one_that_follows_a_field_does_not():
    for seed in range(3):
        acts, follows = (
            local_test(*planted(seed, by_field=field), EDGES[:2], np.array([0]), in_a_row())
            for field in (False, True)
        )
        assert acts.edge.max() < 0.01
        assert acts.pair[0] < 0.01
        assert follows.edge.min() > 0.9
        assert follows.pair[0] > 0.9


def test_a_pair_without_weights_and_a_signal_without_local_variation_are_not_tested():
    problem, fit = planted(1, by_field=False)
    result = local_test(problem, fit, np.empty((0, 2), dtype=int), np.array([0, 2]), in_a_row())
    assert result.edge.shape == (0,)
    assert result.pair[0] < 0.01
    assert result.pair[1] == 1.0
    nowhere = torch.full((USABLE, 3), -1)
    result = local_test(problem, fit, EDGES, np.array([0]), nowhere)
    assert (result.edge == 1.0).all()
    assert result.pair[0] == 1.0


def test_one_block_is_not_tested():
    problem, fit = planted(1, by_field=False)
    problem = replace(problem, block=torch.zeros(N, dtype=torch.long))
    assert BLOCKS > 1
    assert (local_test(problem, fit, EDGES, np.array([0]), in_a_row()).edge == 1.0).all()


def tf_world(seed, *, by_field, noise=0.0):
    """Targets 0 and 1 follow TF 0, or a field that it follows; its count has noise."""
    problem, fit = world(seed)
    g = torch.Generator().manual_seed(seed)
    field = smooth(seed)
    level = field + torch.randn(N, generator=g)
    targets = torch.randn(N, G, generator=g)
    targets[:, :2] += (field if by_field else level)[:, None]
    count = problem.tf_count.clone()
    count[:, 0] = level + noise**0.5 * torch.randn(N, generator=g)
    fit.weights = Weights(torch.tensor([F]), torch.zeros(1, G), 0.1)
    fit.target_mean, fit.target_sd = targets.mean(0), targets.std(0, correction=0)
    return replace(problem, tf_count=count, tf_noise=torch.full((F,), noise), targets=targets), fit


TF_EDGES = np.array([[0, 0], [0, 1]])


def test_p_of_tfs_is_that_of_plain_regressions_without_count_noise():
    problem, fit = tf_world(2, by_field=True)
    neighbours, usable = in_a_row(), slice(30, None)
    actual = local_test_of_tfs(problem, fit, TF_EDGES, neighbours)
    y = ((problem.targets - fit.target_mean) / fit.target_sd)[usable].double().numpy()
    x = problem.tf_count[usable, 0].double().numpy()
    for (_, target), p in zip(TF_EDGES, actual, strict=True):
        expected = slow(
            *(x / x.std(), y[:, target], neighbours.numpy(), problem.block[usable].numpy()),
            share=MIN_LOCAL_SHARE_OF_TFS,
        )
        assert p == pytest.approx(expected, rel=1e-3, abs=1e-6)


def test_tfs_are_tested_and_their_count_noise_is_taken_out():
    for seed in range(3):
        acts, follows = (
            local_test_of_tfs(*tf_world(seed, by_field=field), TF_EDGES, in_a_row())
            for field in (False, True)
        )
        assert acts.max() < 0.01
        assert follows.min() > 0.9
        # noise is a larger part of differences than of levels, and would pass for a field
        problem, fit = tf_world(seed, by_field=False, noise=4.0)
        corrected = local_test_of_tfs(problem, fit, TF_EDGES, in_a_row())
        problem = replace(problem, tf_noise=torch.zeros(F))
        assert corrected.mean() < local_test_of_tfs(problem, fit, TF_EDGES, in_a_row()).mean()
