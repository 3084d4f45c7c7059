from __future__ import annotations

import math

import numpy as np
import pytest
from _helpers import dense
from scipy import sparse

from spatrace_sc._core.exposure import (
    exponential_kernel,
    ligand_exposure,
    nearest_neighbour_distance,
    neighbour_weights,
)


def naive_weights(coords, sample, receivers, senders, radius, kernel=None):
    """Weights and whether an entry exists, one pair of cells at a time."""
    kernel = kernel or (lambda d: math.exp(-3.0 * d / radius))
    n = len(coords)
    weights, stored = np.zeros((n, n)), np.zeros((n, n), dtype=bool)
    for i in range(n):
        for j in range(n):
            if i == j or not receivers[i] or not senders[j] or sample[i] != sample[j]:
                continue
            distance = math.dist(coords[i], coords[j])
            if distance <= radius:
                weights[i, j], stored[i, j] = kernel(distance), True
    return weights, stored


def naive_exposure(weights, logged):
    n, n_genes = logged.shape
    exposure = np.zeros((n, n_genes))
    for i in range(n):
        for gene in range(n_genes):
            for j in range(n):
                exposure[i, gene] += weights[i, j] * (math.exp(logged[j, gene]) - 1.0)
    return exposure


def naive_nearest(coords, sample):
    """Median distance from a distinct position to the nearest other one of the sample."""
    nearest = []
    for code in set(sample.tolist()):
        positions = sorted(
            {tuple(p) for p, s in zip(coords.tolist(), sample.tolist(), strict=True) if s == code}
        )
        if len(positions) > 1:
            nearest += [min(math.dist(p, q) for q in positions if q != p) for p in positions]
    return float(np.median(nearest)) if nearest else math.nan


def stored(matrix):
    support = np.zeros(matrix.shape, dtype=bool)
    entries = matrix.tocoo()
    support[entries.row, entries.col] = True
    return support


@pytest.mark.parametrize("n_dims", [2, 3])
@pytest.mark.parametrize("seed", range(3))
def test_weights_equal_the_naive_loop(seed, n_dims):
    rng = np.random.default_rng(seed)
    coords = rng.uniform(0, 10, (40, n_dims))
    coords[5] = coords[6]
    sample = rng.choice([7, -2, 30], 40)
    receivers, senders = rng.random(40) < 0.6, rng.random(40) < 0.6
    weights = neighbour_weights(coords, sample, receivers, senders, radius=4.0)
    expected, exists = naive_weights(coords, sample, receivers, senders, 4.0)
    np.testing.assert_allclose(dense(weights), expected, rtol=1e-6)
    np.testing.assert_array_equal(stored(weights), exists)


def test_weights_use_the_kernel_given():
    rng = np.random.default_rng(0)
    coords, everyone = rng.uniform(0, 5, (20, 2)), np.ones(20, dtype=bool)
    sample = np.zeros(20, dtype=int)
    weights = neighbour_weights(
        coords, sample, everyone, everyone, radius=3.0, kernel=lambda d: 1.0 / (1.0 + d)
    )
    expected, _ = naive_weights(
        coords, sample, everyone, everyone, 3.0, kernel=lambda d: 1.0 / (1.0 + d)
    )
    np.testing.assert_allclose(dense(weights), expected, rtol=1e-6)


def test_radius_is_inclusive():
    coords = np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 5.0], [0.0, 5.0 + 1e-9], [5.0, 0.0]])
    everyone = np.ones(5, dtype=bool)
    weights = neighbour_weights(coords, np.zeros(5, dtype=int), everyone, everyone, radius=5.0)
    assert sorted(weights[[0]].indices) == [1, 2, 4]
    np.testing.assert_allclose(dense(weights)[0, [1, 2, 4]], math.exp(-3), rtol=1e-6)


def test_kernel_is_one_at_no_distance_and_a_twentieth_at_the_radius():
    kernel = exponential_kernel(40.0)
    assert kernel(np.array([0.0]))[0] == 1.0
    assert kernel(np.array([40.0]))[0] == pytest.approx(0.05, abs=2e-3)


def test_cells_never_signal_to_themselves_nor_across_samples():
    coords = np.zeros(
        (6, 2)
    )  # all at one place, so that only the sample and j != i can keep cells apart
    sample = np.array([0, 0, 0, 1, 1, 2])
    everyone = np.ones(6, dtype=bool)
    weights = dense(neighbour_weights(coords, sample, everyone, everyone, radius=1.0))
    np.testing.assert_array_equal(weights, (sample[:, None] == sample) & ~np.eye(6, dtype=bool))


def test_masks_pick_rows_and_columns():
    coords = np.zeros((4, 2))
    receivers, senders = np.array([True, True, False, False]), np.array([False, True, True, False])
    weights = dense(
        neighbour_weights(coords, np.zeros(4, dtype=int), receivers, senders, radius=1.0)
    )
    expected = np.zeros((4, 4))
    expected[0, 1] = expected[0, 2] = expected[1, 2] = 1.0
    np.testing.assert_array_equal(weights, expected)


@pytest.mark.parametrize(("receiving", "sending"), [(False, True), (True, False), (False, False)])
def test_nobody_on_one_side_gives_an_empty_matrix(receiving, sending):
    coords = np.zeros((4, 2))
    weights = neighbour_weights(
        coords, np.zeros(4, dtype=int), np.full(4, receiving), np.full(4, sending), radius=1.0
    )
    assert weights.shape == (4, 4)
    assert weights.nnz == 0


def test_weights_do_not_depend_on_the_unit_of_length():
    rng = np.random.default_rng(1)
    coords, everyone, sample = (
        rng.uniform(0, 10, (50, 2)),
        np.ones(50, dtype=bool),
        np.zeros(50, dtype=int),
    )
    small = neighbour_weights(coords, sample, everyone, everyone, radius=3.0)
    large = neighbour_weights(64 * coords, sample, everyone, everyone, radius=64 * 3.0)
    np.testing.assert_allclose(dense(small), dense(large), rtol=1e-6)


def test_exposure_equals_the_naive_loop():
    rng = np.random.default_rng(2)
    coords, sample = rng.uniform(0, 6, (30, 2)), rng.integers(0, 2, 30)
    receivers, senders = rng.random(30) < 0.7, rng.random(30) < 0.7
    weights = neighbour_weights(coords, sample, receivers, senders, radius=3.0)
    logged = np.log1p(rng.poisson(2.0, (30, 4))).astype(np.float32)
    exposure = ligand_exposure(weights, logged)
    expected = naive_exposure(naive_weights(coords, sample, receivers, senders, 3.0)[0], logged)
    assert exposure.dtype == np.float32
    np.testing.assert_allclose(exposure, expected, rtol=1e-5, atol=1e-6)
    assert (exposure[~receivers] == 0).all()


def test_exposure_adds_molecules_not_their_logarithms():
    weights = sparse.csr_matrix(np.array([[0.0, 1.0, 1.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]))
    logged = np.log1p(np.array([[100.0], [3.0], [5.0]]))
    np.testing.assert_allclose(ligand_exposure(weights, logged)[:, 0], [8.0, 0.0, 0.0], rtol=1e-6)


def test_exposure_leaves_its_input_alone():
    logged = np.ones((2, 1), dtype=np.float32)
    ligand_exposure(sparse.csr_matrix(np.array([[0.0, 1.0], [0.0, 0.0]])), logged)
    np.testing.assert_array_equal(logged, 1.0)


@pytest.mark.parametrize("n_dims", [2, 3])
@pytest.mark.parametrize("seed", range(3))
def test_nearest_distance_equals_the_naive_loop(seed, n_dims):
    rng = np.random.default_rng(seed)
    coords, sample = rng.uniform(0, 10, (40, n_dims)), rng.choice([4, 9], 40)
    coords[:10] = coords[10:20]
    sample[:10] = sample[10:20]
    assert nearest_neighbour_distance(coords, sample) == pytest.approx(
        naive_nearest(coords, sample)
    )


def test_nearest_distance_ignores_duplicates():
    line = np.column_stack([np.arange(5.0), np.zeros(5)])
    coords = np.vstack([line, line, line])  # every position three times
    assert nearest_neighbour_distance(coords, np.zeros(15, dtype=int)) == 1.0


def test_nearest_distance_stays_within_samples():
    coords = np.array([[0.0, 0.0], [10.0, 0.0], [0.1, 0.0], [10.1, 0.0]])
    assert nearest_neighbour_distance(coords, np.array([0, 0, 1, 1])) == pytest.approx(10.0)


def test_nearest_distance_of_single_positions_is_nan():
    assert math.isnan(nearest_neighbour_distance(np.zeros((4, 2)), np.array([0, 0, 1, 1])))
    assert math.isnan(
        nearest_neighbour_distance(np.array([[0.0, 0.0], [5.0, 5.0]]), np.array([0, 1]))
    )
