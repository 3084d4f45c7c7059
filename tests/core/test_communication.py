from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from _helpers import dense
from scipy import sparse

from spatrace_sc._core.communication import Scene, cell_matrix, permutation_p_values, type_scores


def random_scene(seed, *, n_senders=25, n_receivers=30, n_ligands=3, n_types=(3, 2), n_stages=2, density=0.3):
    rng = np.random.default_rng(seed)
    weights = rng.random((n_receivers, n_senders)) * (rng.random((n_receivers, n_senders)) < density)
    weights[0] = 0  # a receiver that nobody reaches
    expression = (rng.poisson(1.5, (n_senders, n_ligands)) * rng.random((n_senders, n_ligands))).astype(np.float32)
    pair_ligand = np.array([0, 0, 1, 2, 2, 1])
    receptor = rng.random((n_receivers, len(pair_ligand))).astype(np.float32)
    codes = {
        "sender_type": rng.permutation(np.arange(n_senders) % n_types[0]),
        "receiver_type": rng.permutation(np.arange(n_receivers) % n_types[1]),
        "sender_sample": rng.integers(0, 2, n_senders),
        "stage": rng.permutation(np.arange(n_receivers) % n_stages),
    }
    return Scene(
        weights=sparse.csr_matrix(weights.astype(np.float32)),
        expression=expression,
        pair_ligand=pair_ligand,
        signal=lambda exposure: np.tanh(exposure[:, pair_ligand]) * receptor,
        **codes,
    )


def naive_type_scores(scene):
    weights, expression = dense(scene.weights), dense(scene.expression)
    n_receivers, n_senders = weights.shape
    exposure = np.zeros((n_receivers, expression.shape[1]))
    for i in range(n_receivers):
        for j in range(n_senders):
            exposure[i] += weights[i, j] * expression[j]
    activity = scene.signal(exposure)
    kinds, receivers, stages = (sorted(set(c.tolist())) for c in (scene.sender_type, scene.receiver_type, scene.stage))
    scores = np.zeros((len(stages) + 1, len(kinds), len(receivers), len(scene.pair_ligand)))
    for slot, stage in enumerate([None, *stages]):
        for s in kinds:
            for r in receivers:
                for pair, ligand in enumerate(scene.pair_ligand):
                    received = []
                    for i in range(n_receivers):
                        if scene.receiver_type[i] != r or (stage is not None and scene.stage[i] != stage):
                            continue
                        from_s = sum(
                            weights[i, j] * expression[j, ligand] for j in range(n_senders) if scene.sender_type[j] == s
                        )
                        share = from_s / exposure[i, ligand] if exposure[i, ligand] > 0 else 0.0
                        received.append(activity[i, pair] * share)
                    scores[slot, s, r, pair] = np.mean(received) if received else 0.0
    return scores


@pytest.mark.parametrize("seed", range(3))
def test_type_scores_equal_the_naive_loop(seed):
    scene = random_scene(seed)
    found = type_scores(scene, scene.expression, scene.sender_type)
    np.testing.assert_allclose(found, naive_type_scores(scene), rtol=1e-4, atol=1e-7)


def test_type_scores_of_a_type_absent_from_a_stage_are_zero():
    scene = random_scene(5)
    scene = replace(scene, stage=np.where(scene.receiver_type == 1, 0, scene.stage))
    found = type_scores(scene, scene.expression, scene.sender_type)
    assert (found[2, :, 1] == 0).all()
    np.testing.assert_allclose(found, naive_type_scores(scene), rtol=1e-4, atol=1e-7)


def test_sender_types_share_out_the_activity():
    scene = random_scene(6)
    scores = type_scores(scene, scene.expression, scene.sender_type)
    activity = scene.signal(np.asarray(scene.weights @ scene.expression))
    for kind in (0, 1):
        np.testing.assert_allclose(
            scores[0, :, kind].sum(axis=0), activity[scene.receiver_type == kind].mean(axis=0), rtol=1e-5
        )


def test_type_scores_without_expression_are_zero():
    scene = random_scene(7)
    found = type_scores(scene, np.zeros_like(scene.expression), scene.sender_type)
    assert np.isfinite(found).all()
    assert (found == 0).all()


def p_values(scene, n=9, seed=0, **options):
    observed = type_scores(scene, scene.expression, scene.sender_type)
    p = permutation_p_values(scene, observed, n_permutations=n, rng=np.random.default_rng(seed), **options)
    return observed, p


def test_p_lies_in_range_and_is_one_without_score():
    scene = random_scene(8)
    scene.expression[:, 1] = 0
    observed, p = p_values(scene)
    assert p.shape == observed.shape
    assert (p >= 0.1).all()
    assert (p <= 1).all()
    assert (observed == 0).any()
    assert (p[observed == 0] == 1).all()


def test_p_is_a_multiple_of_one_over_the_permutations_plus_one():
    _, p = p_values(random_scene(9), n=19)
    np.testing.assert_allclose(p * 20, np.round(p * 20))


def test_p_follows_the_seed_and_ticks_once_per_permutation():
    scene, ticks = random_scene(10), []
    _, one = p_values(scene, seed=1, tick=lambda: ticks.append(1))
    _, same = p_values(scene, seed=1)
    _, other = p_values(scene, seed=2)
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()
    assert len(ticks) == 9


def test_p_is_about_uniform_where_nothing_is_placed():
    found = []
    for seed in range(40):
        scene = random_scene(100 + seed, n_senders=40, n_receivers=40, n_types=(2, 1), n_stages=1)
        _, p = p_values(scene, n=19, seed=seed)
        found.append(p[0, 0, 0, 0])  # one per scene: scores of one scene depend on each other
    found = np.array(found)
    assert 0.35 < found.mean() < 0.7
    assert (found <= 0.1).mean() < 0.3
    assert (found > 0.5).mean() > 0.25


def test_p_is_small_for_senders_beside_their_receivers():
    rng = np.random.default_rng(0)
    sender_type = np.arange(60) % 2
    beside = sender_type == 0  # only these are near any receiver
    weights = np.where(beside, rng.random((40, 60)), 0.0).astype(np.float32)
    expression = np.where(beside, 3.0, 0.2).astype(np.float32)[:, None]
    scene = Scene(
        weights=sparse.csr_matrix(weights),
        expression=expression,
        sender_type=sender_type,
        sender_sample=np.zeros(60, dtype=int),
        receiver_type=np.zeros(40, dtype=int),
        stage=np.zeros(40, dtype=int),
        pair_ligand=np.array([0]),
        signal=lambda e: e / (1.0 + e),
    )
    _, p = p_values(scene, n=19)
    assert p[0, 0, 0, 0] == pytest.approx(1 / 20)
    assert p[0, 1, 0, 0] == 1.0


def test_senders_are_moved_within_their_slice_only():
    # Within a slice all senders are alike, so a move within slices changes nothing; one across them would.
    sample = np.arange(20) % 2
    weights = np.zeros((10, 20), dtype=np.float32)
    weights[:, sample == 0] = 1.0
    scene = Scene(
        weights=sparse.csr_matrix(weights),
        expression=np.where(sample == 0, 5.0, 1.0).astype(np.float32)[:, None],
        sender_type=sample.copy(),
        sender_sample=sample,
        receiver_type=np.zeros(10, dtype=int),
        stage=np.zeros(10, dtype=int),
        pair_ligand=np.array([0]),
        signal=lambda e: e,
    )
    observed, p = p_values(scene, n=19)
    assert observed[0, 0, 0, 0] > 0
    assert (p == 1).all()


def naive_cell_matrix(weights, expression, by_ligand, exposure):
    n_receivers, n_senders = weights.shape
    matrix = np.zeros((n_senders, n_receivers))
    for i in range(n_receivers):
        for j in range(n_senders):
            for ligand in range(expression.shape[1]):
                if exposure[i, ligand] > 0:
                    matrix[j, i] += by_ligand[i, ligand] * weights[i, j] * expression[j, ligand] / exposure[i, ligand]
    return matrix


@pytest.mark.parametrize("block", [1, 10, 2_000_000])
@pytest.mark.parametrize("seed", range(2))
def test_cell_matrix_equals_the_naive_loop(seed, block):
    scene = random_scene(seed)
    exposure = np.asarray(scene.weights @ scene.expression)
    by_ligand = np.random.default_rng(seed).random(exposure.shape).astype(np.float32)
    found = cell_matrix(scene.weights, scene.expression, by_ligand, exposure, block)
    expected = naive_cell_matrix(dense(scene.weights), scene.expression, by_ligand, exposure)
    assert found.shape == (25, 30)
    np.testing.assert_allclose(dense(found), expected, rtol=1e-4, atol=1e-7)
    assert (found.data > 0).all()


@pytest.mark.parametrize("seed", range(3))
def test_columns_of_the_cell_matrix_sum_to_the_activity(seed):
    scene = random_scene(20 + seed)
    exposure = np.asarray(scene.weights @ scene.expression)
    by_ligand = np.random.default_rng(seed).random(exposure.shape).astype(np.float32)
    matrix = cell_matrix(scene.weights, scene.expression, by_ligand, exposure)
    np.testing.assert_allclose(
        np.asarray(matrix.sum(axis=0)).ravel(), np.where(exposure > 0, by_ligand, 0).sum(axis=1), rtol=1e-4, atol=1e-6
    )


def test_cell_matrix_of_nothing():
    matrix = cell_matrix(
        sparse.csr_matrix((3, 2), dtype=np.float32),
        np.zeros((2, 0), np.float32),
        np.zeros((3, 0), np.float32),
        np.zeros((3, 0), np.float32),
    )
    assert matrix.shape == (2, 3)
    assert matrix.nnz == 0
