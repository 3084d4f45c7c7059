from __future__ import annotations

import numpy as np
import pytest
from _helpers import is_acyclic

from spatrace_sc._core.cell_order import (
    MAX_STAGES,
    has_cycle,
    is_discrete,
    linear_extension,
    order_within_stages,
)


@pytest.mark.parametrize(
    ("time", "discrete"),
    [
        (np.repeat(np.arange(3), 5), True),
        (np.repeat(np.arange(3), 4), False),
        (np.repeat(np.arange(MAX_STAGES), 10), True),
        (np.repeat(np.arange(MAX_STAGES + 1), 10), False),
        (np.linspace(0, 1, 200), False),
    ],
)
def test_stages_are_few_values_of_many_cells(time, discrete):
    assert is_discrete(time) is discrete


@pytest.mark.parametrize("seed", range(4))
def test_order_within_stages_never_breaks_the_order_of_stages(seed):
    rng = np.random.default_rng(seed)
    time = rng.choice([3.0, 8.5, 9.0, 100.0], 90)
    order = order_within_stages(rng.normal(scale=1000, size=(90, 4)), time)
    for i in range(90):
        for j in range(90):
            if time[i] < time[j]:
                assert order[i] < order[j]
    assert len(np.unique(order)) == 90
    np.testing.assert_array_equal(np.floor(order), np.unique(time, return_inverse=True)[1])


def test_order_within_stages_follows_the_predicted_stage():
    rng = np.random.default_rng(0)
    latent = rng.random(300)
    embedding = np.column_stack([rng.normal(size=300), -5 * latent, rng.normal(size=300)])
    time = np.floor(latent * 3)
    order = order_within_stages(embedding, time)
    for stage in range(3):
        members = time == stage
        assert (
            np.corrcoef(
                np.argsort(np.argsort(order[members])), np.argsort(np.argsort(latent[members]))
            )[0, 1]
            > 0.8
        )


def test_order_within_stages_is_ridge_regression():
    rng = np.random.default_rng(1)
    embedding, time = rng.normal(size=(40, 3)), rng.choice([1.0, 2.0, 5.0], 40)
    centred = embedding - embedding.mean(axis=0)
    penalty = 1e-3 * (centred**2).sum() / 3
    augmented = np.vstack([centred, np.sqrt(penalty) * np.eye(3)])
    slope = np.linalg.lstsq(
        augmented, np.concatenate([time - time.mean(), np.zeros(3)]), rcond=None
    )[0]
    order = order_within_stages(embedding, time)
    for stage in np.unique(time):
        members = np.flatnonzero(time == stage)
        assert sorted(members, key=lambda i: order[i]) == sorted(
            members, key=lambda i: centred[i] @ slope
        )


@pytest.mark.parametrize("seed", range(20))
def test_cycles_are_found(seed):
    rng = np.random.default_rng(seed)
    support = (rng.random((12, 12)) < 0.08) & ~np.eye(12, dtype=bool)
    assert has_cycle(*np.nonzero(support), 12) is not is_acyclic(support)
    assert not has_cycle(*np.nonzero(np.triu(support, 1)), 12)


def test_cycles_by_hand():
    assert has_cycle(np.array([0, 1]), np.array([1, 0]), 2)
    assert has_cycle(np.array([0, 1, 2]), np.array([1, 2, 0]), 5)
    assert not has_cycle(np.array([0, 0, 1]), np.array([1, 2, 2]), 3)
    assert not has_cycle(np.array([], dtype=int), np.array([], dtype=int), 4)


@pytest.mark.parametrize("n_times", [1, 4, 200])
def test_linear_extension_keeps_edges_and_time(n_times):
    rng = np.random.default_rng(n_times)
    n = 200
    hidden = rng.permutation(n)
    time = np.floor(hidden * n_times / n)
    source, target = rng.integers(n, size=(2, 1500))
    forward = hidden[source] < hidden[target]
    source, target = source[forward], target[forward]
    order = linear_extension(source, target, time)
    assert (order[source] < order[target]).all()
    assert sorted(order) == list(range(n))
    assert (np.diff(time[np.argsort(order)]) >= 0).all()


@pytest.mark.parametrize(
    ("source", "target", "time"),
    [([0, 1, 2], [1, 2, 0], [0, 0, 0]), ([1], [0], [0, 1]), ([0], [0], [0])],
)
def test_linear_extension_refuses_cycles_and_steps_back(source, target, time):
    with pytest.raises(ValueError, match="backwards in time or form a cycle"):
        linear_extension(np.array(source), np.array(target), np.array(time, dtype=float))
