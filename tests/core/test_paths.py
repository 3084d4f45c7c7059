from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from spatrace_sc._core.paths import expected_history
from spatrace_sc._core.transitions import row_normalise


def all_paths(backward, cell, length):
    """Every path of the given number of steps back from a cell, with its probability."""
    if length == 0:
        yield cell, 1.0
        return
    for before in range(len(backward)):
        if backward[cell, before] > 0:
            for end, probability in all_paths(backward, before, length - 1):
                yield end, backward[cell, before] * probability


def naive_history(backward, values, n_lags):
    n, width = values.shape
    history, exists = np.zeros((n, n_lags + 1, width)), np.zeros((n, n_lags + 1), dtype=bool)
    for cell in range(n):
        for lag in range(n_lags + 1):
            ends = list(all_paths(backward, cell, lag))
            mass = sum(p for _, p in ends)
            if mass > 0:
                history[cell, n_lags - lag] = sum(p * values[e] for e, p in ends) / mass
                exists[cell, n_lags - lag] = True
    return history, exists


def random_dag(seed, n=9, density=0.4):
    rng = np.random.default_rng(seed)
    matrix = np.tril(rng.random((n, n)) * (rng.random((n, n)) < density), -1)
    order = rng.permutation(n)
    return row_normalise(sparse.csr_matrix(matrix[np.ix_(order, order)])), rng.normal(size=(n, 3))


@pytest.mark.parametrize("n_lags", [1, 3, 5])
@pytest.mark.parametrize("seed", range(4))
def test_history_is_the_mean_over_all_paths(seed, n_lags):
    backward, values = random_dag(seed)
    history, exists = expected_history(backward, values, n_lags=n_lags)
    expected, reachable = naive_history(backward.toarray(), values, n_lags)
    np.testing.assert_array_equal(exists, reachable)
    np.testing.assert_allclose(history, expected, atol=1e-5)


def test_a_chain_by_hand():
    chain = sparse.csr_matrix((np.ones(3), ([1, 2, 3], [0, 1, 2])), shape=(4, 4))
    history, exists = expected_history(chain, np.array([[10.0], [20.0], [30.0], [40.0]]), n_lags=2)
    np.testing.assert_array_equal(
        history[:, :, 0], [[0, 0, 10], [0, 10, 20], [10, 20, 30], [20, 30, 40]]
    )
    np.testing.assert_array_equal(exists, [[0, 0, 1], [0, 1, 1], [1, 1, 1], [1, 1, 1]])


def test_paths_that_end_early_do_not_count_as_zero():
    # The last cell comes from a first cell (value 1) or from a cell with a past (value 2, before
    # it 5).
    backward = sparse.csr_matrix((np.array([0.5, 0.5, 1.0]), ([3, 3, 2], [0, 2, 1])), shape=(4, 4))
    history, exists = expected_history(backward, np.array([[1.0], [5.0], [2.0], [9.0]]), n_lags=2)
    np.testing.assert_allclose(history[3, :, 0], [5.0, 1.5, 9.0])
    assert exists[3].all()


def test_a_cell_without_past_has_only_itself():
    history, exists = expected_history(sparse.csr_matrix((3, 3)), np.ones((3, 2)), n_lags=4)
    assert exists.sum() == 3
    assert exists[:, -1].all()
    assert (history[:, :-1] == 0).all()
    assert history.dtype == np.float32


def test_a_constant_stays_constant():
    backward, _ = random_dag(11)
    history, exists = expected_history(backward, np.full((9, 1), 7.0), n_lags=4)
    np.testing.assert_allclose(history[exists], 7.0, rtol=1e-5)
    assert (history[~exists] == 0).all()


def test_input_is_left_alone():
    backward, values = random_dag(12)
    before, original = backward.copy(), values.copy()
    expected_history(backward, values, n_lags=3)
    assert (backward != before).nnz == 0
    np.testing.assert_array_equal(values, original)
