"""Optimal one-to-one matching against all permutations."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from spatrace_sc._core.matching import match_one_to_one, standardised_distances


def cost(distance, last, chosen):
    rows = np.arange(len(distance))
    return last[list(chosen)].sum(), distance[rows, list(chosen)].sum()


@pytest.mark.parametrize("seed", range(6))
def test_matching_is_the_best_of_all(seed):
    rng = np.random.default_rng(seed)
    distance = rng.random((3, 7))
    distance[0, rng.permutation(7)[:3]] = np.inf
    last = rng.random(7) > 0.5
    best = min(cost(distance, last, p) for p in permutations(range(7), 3))
    for n_nearest in (1, 50):
        chosen = match_one_to_one(distance, last, n_nearest)
        assert len(set(chosen)) == 3
        assert cost(distance, last, chosen) == pytest.approx(best)


def test_no_item():
    assert not len(match_one_to_one(np.empty((0, 4)), np.zeros(4, dtype=bool)))


def test_as_many_candidates_as_items():
    distance = np.array([[1.0, np.inf], [0.1, 5.0]])
    np.testing.assert_array_equal(match_one_to_one(distance, np.zeros(2, dtype=bool)), [0, 1])


def test_distances_are_in_standard_deviations_of_the_reference():
    reference = np.array([[0.0, 5, 1], [4, 5, 1]])  # sd 2, 0, 0
    candidates = np.array([[2.0, 5, 1], [0, 15, 1]])  # sd of the second column 5
    distance = standardised_distances(reference[:1], candidates, reference)
    np.testing.assert_allclose(distance, [[1.0, 2.0]])
