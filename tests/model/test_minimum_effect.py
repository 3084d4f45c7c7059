"""Test that effects exceed a minimum."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm
from scipy.stats import t as student

from spatrace_sc._model.evidence.minimum_effect import MAX_EFFECTIVE_CELLS, minimum_effect_test


def test_by_hand():
    effect, se = np.array([[0.5], [-0.3], [0.2]]), np.array([[0.1], [0.1], [np.inf]])
    actual = minimum_effect_test(effect, se, 0.3, 1000)
    # an effect without a standard error counts for the joint effect, but is not tested
    minimum = 0.3 * np.sqrt(0.25 - 0.01 + 0.09 - 0.01 + 0.04)
    assert actual.minimum[0] == pytest.approx(minimum)
    p = [norm.sf((b - minimum) / 0.1) + norm.sf((b + minimum) / 0.1) for b in (0.5, 0.3)]
    np.testing.assert_allclose(actual.p_value[:, 0], [*p, 1.0])
    np.testing.assert_array_equal(actual.tested[:, 0], [True, True, False])


def test_degrees_of_freedom_and_many_cells():
    effect, se = np.array([[0.5, 0.0]]), np.array([[0.1, 0.0]])
    few = minimum_effect_test(effect, se, 0.0, 10, freedom=3)
    assert few.p_value[0, 0] == pytest.approx(2 * student.sf(5.0, 3))
    assert few.p_value[0, 1] == 1
    many = minimum_effect_test(effect, se, 0.0, 4 * MAX_EFFECTIVE_CELLS)
    assert many.p_value[0, 0] == pytest.approx(2 * norm.sf(2.5))


def test_the_share_of_false_edges_at_the_border_is_p():
    rng = np.random.default_rng(0)
    true = np.array([[1.0], [0.3]])
    drawn = [
        minimum_effect_test(true + 0.05 * rng.normal(size=(2, 1)), np.full((2, 1), 0.05), 0.3, 100)
        for _ in range(2000)
    ]
    p = np.array([test.p_value[1, 0] for test in drawn])
    assert 0.02 < (p <= 0.05).mean() < 0.08
