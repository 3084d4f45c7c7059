from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from spatrace_sc._core.knockout import (
    MAX_GROWTH,
    Paths,
    agreement,
    group_means,
    limit_growth,
    roll_forward,
)


def line(n, n_lags=1, attention=None):
    """Cells in a row, each coming from the one before; everything looks at the last step."""
    backward = sparse.csr_matrix(
        (np.ones(n - 1), (np.arange(1, n), np.arange(n - 1))), shape=(n, n)
    )
    weights = np.zeros((n, n_lags))
    weights[1:, -1] = 1.0
    return Paths(backward, weights if attention is None else attention)


def free(shape):
    return np.full(shape, -np.inf)


def slow(direct, onto, held, paths, lowest, rounds):
    """The equation, cell by cell."""
    n, n_f = direct.shape
    n_lags = paths.attention.shape[1]
    dense = paths.backward.toarray()
    powers = [np.linalg.matrix_power(dense, k) for k in range(n_lags + 1)]
    change = direct.copy()
    for _ in range(rounds):
        new = direct.copy()
        for i in range(n):
            for f in range(n_f):
                if held[f]:
                    continue
                for k in range(1, n_lags + 1):
                    mass = powers[k][i].sum()
                    if mass <= 1e-6:
                        continue
                    past = powers[k][i] @ change / mass
                    new[i, f] += paths.attention[i, n_lags - k] * (past @ onto[:, f])
                new[i, f] = max(new[i, f], lowest[i, f])
        change = new
    return change


def test_two_tfs_by_hand():
    """TF 0 falls by 2 in every cell and acts on TF 1 with ½.

    From the second cell on, TF 1 falls by 1.
    """
    direct = np.array([[-2.0, 0.0]] * 4)
    onto = np.array([[0.0, 0.5], [0.0, 0.0]])
    result = roll_forward(
        direct, onto, np.array([True, False]), line(4), lowest=free((4, 2)), rounds=3
    )
    np.testing.assert_allclose(result, [[-2, 0], [-2, -1], [-2, -1], [-2, -1]])


def test_a_chain_takes_a_step_per_tf_and_a_round_per_tf():
    direct = np.array([[1.0, 0.0, 0.0]] * 4)
    onto = np.array([[0, 0.5, 0], [0, 0, -0.5], [0, 0, 0]])
    held = np.array([True, False, False])
    for rounds, last in (
        (0, [1, 0, 0]),
        (1, [1, 0.5, 0]),
        (2, [1, 0.5, -0.25]),
        (9, [1, 0.5, -0.25]),
    ):
        result = roll_forward(direct, onto, held, line(4), lowest=free((4, 3)), rounds=rounds)
        np.testing.assert_allclose(result[-1], last)
    np.testing.assert_allclose(result[1], [1, 0.5, 0])  # the third TF needs two steps back


def test_equals_the_slow_loop():
    rng = np.random.default_rng(0)
    n, n_f, n_lags = 12, 4, 3
    backward = sparse.csr_matrix(np.tril(rng.random((n, n)) * (rng.random((n, n)) < 0.5), -1))
    total = np.asarray(backward.sum(1)).ravel()
    backward = sparse.csr_matrix(sparse.diags(1 / np.where(total > 0, total, 1)) @ backward)
    attention = rng.dirichlet(np.ones(n_lags), n) * (total > 0)[:, None]
    direct, onto = rng.normal(size=(n, n_f)), rng.normal(size=(n_f, n_f)) * 0.3
    held, lowest = np.array([True, False, False, False]), -rng.random((n, n_f))
    direct = np.maximum(direct, lowest)
    for rounds in (0, 1, 4):
        result = roll_forward(
            direct, onto, held, Paths(backward, attention), lowest=lowest, rounds=rounds
        )
        np.testing.assert_allclose(
            result, slow(direct, onto, held, Paths(backward, attention), lowest, rounds), atol=1e-5
        )
    assert (result >= lowest - 1e-6).all()
    assert (result[:, 1:] == lowest[:, 1:].astype(np.float32)).any()  # the bound was reached


def test_a_change_reaches_later_cells_only():
    n = 6
    onto = np.array([[0.0, 0.5], [0.5, 0.0]])
    nobody = np.zeros(2, dtype=bool)
    for cell in range(n):
        direct = np.zeros((n, 2))
        direct[cell, 0] = 1.0
        result = roll_forward(direct, onto, nobody, line(n), lowest=free((n, 2)), rounds=n)
        assert not result[:cell].any()
        assert result[cell].tolist() == [1.0, 0.0]
        assert result[cell + 1 :].any() == (cell + 1 < n)


def test_nothing_changes_without_a_change_or_without_effects():
    nobody = np.zeros(2, dtype=bool)
    onto = np.array([[0.0, 0.5], [0.5, 0.0]])
    assert not roll_forward(
        np.zeros((5, 2)), onto, nobody, line(5), lowest=free((5, 2)), rounds=3
    ).any()
    direct = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
    np.testing.assert_array_equal(
        roll_forward(direct, np.zeros((2, 2)), nobody, line(5), lowest=free((5, 2)), rounds=3),
        direct,
    )


def test_the_order_of_cells_and_tfs_does_not_matter():
    rng = np.random.default_rng(1)
    n, n_f = 15, 5
    backward = np.tril(rng.random((n, n)), -1)
    backward /= np.maximum(backward.sum(1, keepdims=True), 1e-12)
    attention = rng.dirichlet(np.ones(2), n)
    direct, onto, held = (
        rng.normal(size=(n, n_f)),
        rng.normal(size=(n_f, n_f)) * 0.2,
        np.arange(n_f) == 1,
    )
    cells, tfs = rng.permutation(n), rng.permutation(n_f)
    arguments = {"lowest": free((n, n_f)), "rounds": 3}
    one = roll_forward(
        direct, onto, held, Paths(sparse.csr_matrix(backward), attention), **arguments
    )
    other = roll_forward(
        direct[cells][:, tfs],
        onto[tfs][:, tfs],
        held[tfs],
        Paths(sparse.csr_matrix(backward[cells][:, cells]), attention[cells]),
        **arguments,
    )
    np.testing.assert_allclose(one[cells][:, tfs], other, atol=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_damped_effects_cannot_blow_up(seed):
    onto = np.random.default_rng(seed).normal(size=(6, 6)) * 2
    np.fill_diagonal(onto, 0)
    calm = limit_growth(onto)
    assert max(abs(np.linalg.eigvals(np.abs(calm)))) == pytest.approx(MAX_GROWTH, rel=0.03)
    np.testing.assert_allclose(calm / calm[0, 1], onto / onto[0, 1])
    assert max(abs(np.linalg.eigvals(np.abs(calm)))) <= MAX_GROWTH + 1e-9
    direct, nobody = np.ones((300, 6)), np.zeros(6, dtype=bool)
    assert (
        np.abs(
            roll_forward(direct, calm, nobody, line(300), lowest=free((300, 6)), rounds=300)
        ).max()
        < 1e3
    )
    assert (
        np.abs(
            roll_forward(direct[:20], onto, nobody, line(20), lowest=free((20, 6)), rounds=20)
        ).max()
        > 1e6
    )


def test_weak_effects_and_chains_are_left_as_they_are():
    rng = np.random.default_rng(0)
    weak = rng.normal(size=(5, 5)) * 0.05
    np.testing.assert_array_equal(limit_growth(weak), weak)
    chain = np.triu(rng.normal(size=(5, 5)) * 10, 1)  # no circle: nothing can grow for ever
    np.testing.assert_allclose(limit_growth(chain), chain)
    assert limit_growth(np.zeros((0, 0))).shape == (0, 0)


def test_group_means():
    values = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 9.0]])
    result = group_means(values, np.array([0, 2, 0]), 3)
    np.testing.assert_allclose(result, [[3, 5], [3, 5.5], [np.nan, np.nan], [3, 4]])


def test_agreement():
    members = np.array([[1.0, -1, 0, 2], [2, 1, 0, -1], [1, 1, 0, 1], [1, 1, 1, 1]])
    np.testing.assert_allclose(agreement(np.array([0.5, -1, 0, 1]), members), [1, 0.25, 0, 0.75])
