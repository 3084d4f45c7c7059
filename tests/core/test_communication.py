from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from _helpers import dense
from _random_scene import random_scene
from scipy import sparse

from spatrace_sc._core.communication import (
    permutation_test,
    permute_labels,
    permute_positions,
    permute_within,
    square_blocks,
    type_scores,
)
from spatrace_sc._core.type_sums import Scene, unit_sums


def codes_of(scene):
    return scene.sender_types.argmax(axis=1), scene.receiver_types.argmax(axis=1)


def naive_type_scores(scene):
    """Mean over receivers, one cell at a time."""
    weights, expression = dense(scene.weights), dense(scene.expression)
    stage = scene.unit_stage[scene.unit]
    sender_type, receiver_type = codes_of(scene)
    kinds, receivers, stages = (
        sorted(set(c.tolist())) for c in (sender_type, receiver_type, stage)
    )
    scores = np.zeros((len(stages) + 1, len(kinds), len(receivers), len(scene.pair_ligand)))
    for slot, members in enumerate([None, *stages]):
        for s in kinds:
            for r in receivers:
                for pair, ligand in enumerate(scene.pair_ligand):
                    received = []
                    for i in range(len(weights)):
                        if receiver_type[i] != r or (members is not None and stage[i] != members):
                            continue
                        got = weights[i] * expression[:, ligand]
                        share = got[sender_type == s].sum() / got.sum() if got.sum() > 0 else 0.0
                        received.append(scene.activity[i, pair] * share)
                    scores[slot, s, r, pair] = np.mean(received) if received else 0.0
    return scores


def scores_of(scene):
    return type_scores(*unit_sums(scene), scene.unit_stage)


@pytest.mark.parametrize("seed", range(3))
def test_type_scores_equal_the_naive_loop(seed):
    scene = random_scene(seed)
    np.testing.assert_allclose(scores_of(scene), naive_type_scores(scene), rtol=1e-4, atol=1e-7)


def test_type_scores_of_a_type_absent_from_a_stage_are_zero():
    scene = random_scene(5)
    early = scene.unit_stage[scene.unit] == 0
    codes = np.where(early, codes_of(scene)[1], 0)
    scene = replace(scene, receiver_types=np.eye(2)[codes])
    result = scores_of(scene)
    assert (result[2, :, 1] == 0).all()
    np.testing.assert_allclose(result, naive_type_scores(scene), rtol=1e-4, atol=1e-7)


def test_sender_types_share_out_the_activity():
    scene = random_scene(6)
    scores = scores_of(scene)
    reached = np.asarray(scene.weights @ scene.expression)[:, scene.pair_ligand] > 0
    for kind in (0, 1):
        expected = np.where(reached, scene.activity, 0)[codes_of(scene)[1] == kind].mean(axis=0)
        np.testing.assert_allclose(scores[0, :, kind].sum(axis=0), expected, rtol=1e-5)


def test_type_scores_without_expression_are_zero():
    scene = random_scene(7)
    result = scores_of(replace(scene, expression=np.zeros_like(scene.expression)))
    assert np.isfinite(result).all()
    assert (result == 0).all()


def judged(scene, n=9, seed=0, **options):
    return permutation_test(scene, permute_labels(scene, n, np.random.default_rng(seed)), **options)


def test_p_lies_in_range_and_is_one_without_score():
    scene = random_scene(8)
    scene.expression[:, 1] = 0
    result = judged(scene)
    assert result.p_value.shape == result.score.shape
    assert (result.p_value >= 0.1).all()
    assert (result.p_value <= 1).all()
    assert (result.score == 0).any()
    assert (result.p_value[result.score == 0] == 1).all()


def test_p_is_a_multiple_of_one_over_the_permutations_plus_one():
    p = judged(random_scene(9), n=19).p_value
    np.testing.assert_allclose(p * 20, np.round(p * 20))


def test_p_follows_the_seed_and_ticks_once_per_permutation():
    scene, ticks = random_scene(10), []
    one = judged(scene, seed=1, tick=lambda: ticks.append(1)).p_value
    np.testing.assert_array_equal(one, judged(scene, seed=1).p_value)
    assert (one != judged(scene, seed=2).p_value).any()
    assert len(ticks) == 9


def test_p_equals_a_loop_over_the_same_draws():
    scene = random_scene(11)
    draws = list(permute_labels(scene, 19, np.random.default_rng(3)))
    observed = naive_type_scores(scene)
    exceed = np.zeros_like(observed)
    for drawn in draws:
        null = naive_type_scores(
            replace(
                scene,
                sender_types=scene.sender_types[drawn.sender_types],
                receiver_types=scene.receiver_types[drawn.receiver_types],
            )
        )
        exceed += null >= observed * (1 - 1e-6)
    expected = np.where(observed > 0, (1 + exceed) / 20, 1.0)
    np.testing.assert_allclose(permutation_test(scene, iter(draws)).p_value, expected)


@pytest.mark.parametrize("positions", [False, True])
def test_p_is_about_uniform_where_nothing_is_placed(positions):
    result = []
    for seed in range(60):
        scene = random_scene(100 + seed, n_senders=40, n_receivers=40, n_types=(2, 2), n_stages=1)
        rng = np.random.default_rng(seed)
        receptor = rng.random((40, len(scene.pair_ligand)))

        def activity(exposure, receptor=receptor, pair_ligand=scene.pair_ligand):
            return (np.tanh(exposure[:, pair_ligand]) * receptor).astype(np.float32)

        scene = replace(scene, activity=activity(np.asarray(scene.weights @ scene.expression)))
        draws = (
            permute_positions(scene, 19, rng, activity)
            if positions
            else permute_labels(scene, 19, rng)
        )
        result.append(
            permutation_test(scene, draws).p_value[0, 0, 0, 0]
        )  # one per scene: those of one depend on each other
    result = np.array(result)
    assert 0.4 < result.mean() < 0.65
    assert (result <= 0.1).mean() < 0.25
    assert 0.3 < (result > 0.5).mean() < 0.7


def one_pair(weights, expression, sender_type, receiver_type, sender_block=None, activity=None):
    n_receivers, n_senders = weights.shape
    return Scene(
        weights=sparse.csr_matrix(weights.astype(np.float32)),
        expression=np.asarray(expression, dtype=np.float32)[:, None],
        activity=np.ones((n_receivers, 1), np.float32) if activity is None else activity,
        pair_ligand=np.array([0]),
        sender_types=np.eye(sender_type.max() + 1)[sender_type],
        receiver_types=np.eye(receiver_type.max() + 1)[receiver_type],
        pair_receptor=np.array([0]),
        sender_block=np.zeros(n_senders, dtype=int) if sender_block is None else sender_block,
        receiver_block=np.zeros(n_receivers, dtype=int),
        unit=np.zeros(n_receivers, dtype=int),
        unit_stage=np.array([0]),
    )


def test_labels_find_the_type_that_sends_and_the_type_that_hears():
    rng = np.random.default_rng(0)
    sender_type, receiver_type = np.arange(60) % 2, np.arange(40) % 2
    expression = np.where(sender_type == 0, 3.0, 0.5)
    heard = np.where(receiver_type == 1, 2.0, 0.1).astype(np.float32)[:, None]
    scene = one_pair(rng.random((40, 60)), expression, sender_type, receiver_type, activity=heard)
    p = judged(scene, n=99).p_value[0, :, :, 0]
    assert p[0, 1] == pytest.approx(0.01)
    assert p[0, 0] == 1.0  # it sends, but they do not hear
    assert p[1, 0] == 1.0


def test_positions_find_senders_beside_their_receivers():
    rng = np.random.default_rng(0)
    sender_type = np.arange(60) % 2
    beside = sender_type == 0  # only these are near any receiver
    weights = np.where(beside, rng.random((40, 60)), 0.0)
    scene = one_pair(weights, np.where(beside, 3.0, 0.2), sender_type, np.zeros(40, dtype=int))

    def activity(exposure):
        return exposure / (1.0 + exposure)

    scene = replace(scene, activity=activity(np.asarray(scene.weights @ scene.expression)))
    result = permutation_test(
        scene, permute_positions(scene, 19, np.random.default_rng(0), activity)
    )
    assert result.p_value[0, 0, 0, 0] == pytest.approx(1 / 20)
    assert result.p_value[0, 1, 0, 0] == 1.0


def test_nothing_can_be_told_of_types_that_fill_their_blocks():
    sender_type = np.arange(20) % 2
    weights = np.where(sender_type == 0, 1.0, 0.0) * np.ones((10, 1))
    scene = one_pair(
        weights,
        np.where(sender_type == 0, 5.0, 1.0),
        sender_type,
        np.zeros(10, int),
        sender_block=sender_type,
    )
    result = judged(scene, n=19)
    assert result.score[0, 0, 0, 0] > 0
    assert (result.p_value == 1).all()


def test_between_units_by_hand():
    scene = one_pair(np.ones((5, 1)), [1.0], np.array([0]), np.zeros(5, dtype=int))
    values = np.array([1.0, 3.0, 4.0, 6.0, 8.0], dtype=np.float32)
    scene = replace(
        scene, activity=values[:, None], unit=np.array([0, 0, 1, 1, 1]), unit_stage=np.array([0, 0])
    )
    result = judged(scene)
    # means 2 and 6 with 2 and 3 cells; all 4.4
    assert result.score[0, 0, 0, 0] == pytest.approx(4.4)
    assert result.se[0, 0, 0, 0] == pytest.approx(np.sqrt(2 / 1 * (4 * 2.4**2 + 9 * 1.6**2)) / 5)
    assert result.n_units[0, 0, 0, 0] == 2
    assert (
        result.above[0, 0, 0, 0] == 0.0
    )  # with one type labels change nothing, so nothing is above


def test_one_unit_has_no_standard_error():
    result = judged(one_pair(np.ones((5, 2)), [1.0, 2.0], np.array([0, 1]), np.zeros(5, dtype=int)))
    assert np.isnan(result.se).all()
    assert (result.n_units == 1).all()


def test_a_permutation_stays_within_blocks():
    block = np.random.default_rng(0).integers(0, 5, 200)
    moved = permute_within(block, np.random.default_rng(1))
    np.testing.assert_array_equal(np.sort(moved), np.arange(200))
    np.testing.assert_array_equal(block[moved], block)
    assert (moved != np.arange(200)).mean() > 0.8


def test_squares_by_hand():
    coords = np.array([[0.0, 0.0], [9.9, 0.0], [10.0, 0.0], [0.0, 25.0], [0.0, 0.0]])
    code = square_blocks(coords, np.array([0, 0, 0, 0, 1]), 10.0)
    assert code[0] == code[1]
    assert len(set(code.tolist())) == 4
    assert len(set(square_blocks(coords, np.array([0, 0, 0, 0, 1]), np.inf).tolist())) == 2
