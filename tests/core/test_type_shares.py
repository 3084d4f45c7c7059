"""Mixed spots: levels of types, shares, and sums by hand and by a slow loop."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from _random_scene import random_scene
from scipy import sparse
from scipy.optimize import nnls

from spatrace_sc._core.communication import (
    permutation_test,
    permute_labels,
    permute_positions,
    type_scores,
)
from spatrace_sc._core.type_shares import shares, type_levels, unit_sums_of_mixtures
from spatrace_sc._core.type_sums import Scene, unit_sums


def mixed_scene(seed, **sizes):
    """A random scene of spots of up to three types."""
    rng = np.random.default_rng(seed)
    scene = random_scene(seed, **sizes)
    senders, receivers = scene.sender_types, scene.receiver_types
    return replace(
        scene,
        sender_types=rng.dirichlet(np.full(senders.shape[1], 0.7), len(senders)),
        receiver_types=rng.dirichlet(np.full(receivers.shape[1], 0.7), len(receivers)),
        receptor=rng.gamma(2.0, size=(len(receivers), 2)).astype(np.float32),
    )


def plain_levels(p, x):
    """Levels by the solver of scipy, one gene at a time; a pure spot of every type is added."""
    columns = np.vstack([x, np.tile(x.mean(axis=0), (p.shape[1], 1))]).astype(float).T
    spots = np.vstack([p, np.eye(p.shape[1])])
    return np.stack([nnls(spots, column)[0] for column in columns], axis=1)


@pytest.mark.parametrize("seed", range(4))
def test_levels_are_those_of_nnls(seed):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(4, 0.5), 60)
    x = np.maximum(p @ rng.normal(1.0, 4.0, (4, 5)) + rng.normal(0, 0.3, (60, 5)), 0)
    expected = plain_levels(p, x)
    np.testing.assert_allclose(type_levels(p, x), expected, atol=1e-4)
    assert (expected == 0).any()


def test_levels_of_pure_types_are_means():
    """Of one, two and three spots, and of one more with the mean of all six, 2.5."""
    p = np.eye(4)[[0, 1, 1, 2, 2, 2]]
    x = np.array([[5.0], [1.0], [3.0], [0.0], [0.0], [6.0]])
    expected = [7.5 / 2, 6.5 / 3, 8.5 / 4, 2.5]
    np.testing.assert_allclose(type_levels(p, x)[:, 0], expected)


def test_shares_by_hand():
    p = np.array([[0.5, 0.5, 0.0], [0.2, 0.8, 0.0], [0.0, 0.0, 1.0]])
    found = shares(p, np.array([3.0, 1.0, 0.0]))
    expected = [[0.75, 0.25, 0.0], [0.6 / 1.4, 0.8 / 1.4, 0.0], [0.0, 0.0, 1.0]]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_spot_of_two_types_by_hand():
    """A spot half A, half B sends to a spot half C, half D with an activity of 4.

    Pure spots and one spot with the mean, 4, give the ligand levels 5 in A and 3 in B:
    (1.25 + 1) a + 0.25 b = 8 + 4 and 0.25 a + (1.25 + 1) b = 4 + 4. So A sends 5/8. The receptor
    has the levels 1.5 in C and 2.5 in D, so D gets 5/8 of the activity.
    """
    scene = Scene(
        weights=sparse.csr_matrix(np.array([[0, 0, 1.0], [0, 0, 0], [0, 0, 0]], np.float32)),
        expression=np.array([[6.0], [2.0], [4.0]], np.float32),
        activity=np.array([[4.0], [0.0], [0.0]], np.float32),
        pair_ligand=np.array([0]),
        sender_types=np.array([[1, 0], [0, 1], [0.5, 0.5]]),
        receiver_types=np.array([[0.5, 0.5], [1, 0], [0, 1]]),
        sender_block=np.zeros(3, int),
        receiver_block=np.zeros(3, int),
        unit=np.zeros(3, int),
        unit_stage=np.array([0]),
        pair_receptor=np.array([0]),
        receptor=np.array([[2.0], [1.0], [3.0]], np.float32),
    )
    sums, counts = unit_sums(scene)
    np.testing.assert_allclose(counts, [[1.5, 1.5]])
    expected = 4 * np.outer([5 / 8, 3 / 8], [3 / 8, 5 / 8])
    np.testing.assert_allclose(sums[0, :, :, 0], expected, rtol=1e-5)
    score = type_scores(sums, counts, scene.unit_stage)[0, :, :, 0]
    np.testing.assert_allclose(score, expected / 1.5, rtol=1e-5)


def naive_sums(scene):
    """Sums, one receiver, sender and pair at a time."""
    n_unit, n_sender, n_receiver = scene.sizes
    weights, x = scene.weights.toarray(), scene.expression
    ligand = plain_levels(scene.sender_types, x)
    level = plain_levels(scene.receiver_types, scene.receptor)
    sums = np.zeros((n_unit, n_sender, n_receiver, len(scene.pair_ligand)))
    for pair, (lig, rec) in enumerate(zip(scene.pair_ligand, scene.pair_receptor, strict=True)):
        for i in range(len(weights)):
            exposure = weights[i] @ x[:, lig]
            own = scene.receiver_types[i] * level[:, rec]
            own = own / own.sum() if own.sum() else scene.receiver_types[i]
            for j in np.flatnonzero(weights[i] * x[:, lig]):
                sent = scene.sender_types[j] * ligand[:, lig]
                sent = sent / sent.sum() if sent.sum() else scene.sender_types[j]
                part = scene.activity[i, pair] * weights[i, j] * x[j, lig] / exposure
                sums[scene.unit[i], :, :, pair] += part * np.outer(sent, own)
    return sums


@pytest.mark.parametrize("seed", range(3))
def test_sums_equal_a_slow_loop(seed):
    scene = mixed_scene(seed)
    np.testing.assert_allclose(unit_sums(scene)[0], naive_sums(scene), rtol=2e-3, atol=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_pure_types_by_either_way(seed):
    scene = replace(random_scene(seed), receptor=np.ones((30, 2), np.float32))
    assert not scene.is_mixed
    np.testing.assert_allclose(
        unit_sums_of_mixtures(scene), unit_sums(scene)[0], rtol=1e-4, atol=1e-6
    )


def test_all_activity_that_has_a_sender_is_shared_out():
    scene = mixed_scene(5)
    sums, _ = unit_sums(scene)
    reached = np.asarray(scene.weights @ scene.expression)[:, scene.pair_ligand] > 0
    expected = np.where(reached, scene.activity, 0).sum(axis=0)
    np.testing.assert_allclose(sums.sum(axis=(0, 1, 2)), expected, rtol=1e-5)


def test_the_order_of_types_does_not_matter():
    scene = mixed_scene(6)
    flipped = replace(scene, sender_types=scene.sender_types[:, ::-1])
    np.testing.assert_allclose(
        unit_sums(flipped)[0][:, ::-1], unit_sums(scene)[0], rtol=1e-3, atol=1e-5
    )


def test_a_rare_type_is_averaged_by_its_proportion():
    """A type with less than one cell in all spots together has a mean, not a fraction of it."""
    scene = mixed_scene(7, n_stages=1)
    rare = np.column_stack([np.full(30, 0.99), np.full(30, 0.01)])
    scene = replace(scene, receiver_types=rare, receptor=np.ones((30, 2), np.float32))
    score = type_scores(*unit_sums(scene), scene.unit_stage)[0]
    np.testing.assert_allclose(score[:, 0], score[:, 1], rtol=0.02)


def test_null_permutes_proportions_within_blocks():
    scene = mixed_scene(8)
    (drawn,) = permute_labels(scene, 1, np.random.default_rng(0))
    moved = scene.permuted(drawn)
    for block in np.unique(scene.sender_block):
        rows = scene.sender_block == block
        one, other = (np.sort(t[rows], axis=0) for t in (scene.sender_types, moved.sender_types))
        np.testing.assert_array_equal(one, other)
    assert (moved.sender_types != scene.sender_types).any()
    np.testing.assert_array_equal(moved.expression, scene.expression)


@pytest.mark.parametrize("positions", [False, True])
def test_p_is_about_uniform_where_proportions_mean_nothing(positions):
    result = []
    for seed in range(40):
        scene = mixed_scene(200 + seed, n_senders=40, n_receivers=40, n_types=(2, 2), n_stages=1)
        rng = np.random.default_rng(seed)

        def activity(exposure, scene=scene):
            return np.tanh(exposure[:, scene.pair_ligand]).astype(np.float32)

        scene = replace(scene, activity=activity(np.asarray(scene.weights @ scene.expression)))
        draws = (
            permute_positions(scene, 19, rng, activity)
            if positions
            else permute_labels(scene, 19, rng)
        )
        result.append(permutation_test(scene, draws).p_value[0, 0, 0, 0])
    result = np.array(result)
    assert 0.35 < result.mean() < 0.7
    assert (result <= 0.1).mean() < 0.3


def test_a_type_that_sends_is_found_in_mixed_spots():
    rng = np.random.default_rng(1)
    p = rng.dirichlet([1.0, 1.0], 80)
    weights = rng.random((40, 80)) * (rng.random((40, 80)) < 0.1)
    scene = Scene(
        weights=sparse.csr_matrix(weights.astype(np.float32)),
        expression=(p @ [3.0, 0.1])[:, None].astype(np.float32),
        activity=np.ones((40, 1), np.float32),
        pair_ligand=np.array([0]),
        sender_types=p,
        receiver_types=np.ones((40, 1)),
        sender_block=np.zeros(80, int),
        receiver_block=np.zeros(40, int),
        unit=np.zeros(40, int),
        unit_stage=np.array([0]),
        pair_receptor=np.array([0]),
    )
    test = permutation_test(scene, permute_labels(scene, 39, rng))
    assert test.p_value[0, :, 0, 0].tolist() == [pytest.approx(1 / 40), 1.0]
    assert test.score[0, 0, 0, 0] > 0.9
