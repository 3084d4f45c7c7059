from __future__ import annotations

import numpy as np
import pytest
from _helpers import dense
from scipy import sparse
from scipy.optimize import linprog

from spatrace_sc._core.transport import couple, nearest_support, sinkhorn, strongest, unit_mean


def groups(seed=0, n=12, m=17, shift=0.5, dims=3):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, dims)), rng.normal(size=(m, dims)) + shift


def full(earlier, later):
    row, col, squared = nearest_support(earlier, later, max(len(earlier), len(later)))
    return row, col, squared / unit_mean(earlier, later) ** 2, (len(earlier), len(later))


def naive_sinkhorn(cost, epsilon, steps=3000):
    """Balanced, by the textbook's loop."""
    n, m = cost.shape
    kernel = np.exp(-cost / epsilon)
    u, v = np.ones(n), np.ones(m)
    for _ in range(steps):
        u = np.array([1 / n / sum(kernel[i, j] * v[j] for j in range(m)) for i in range(n)])
        v = 1 / m / (kernel.T @ u)
    return u[:, None] * kernel * v[None, :]


def test_equals_the_textbook():
    earlier, later = groups(n=5, m=4)
    row, col, cost, shape = full(earlier, later)
    plan = sinkhorn(row, col, cost, shape, epsilon=0.2, tolerance=1e-12)
    np.testing.assert_allclose(
        dense(plan.mass), naive_sinkhorn(cost.reshape(shape), 0.2), rtol=1e-8
    )


def test_two_by_two_by_hand():
    # T = [[a, 1/2 - a], [1/2 - a, a]]; the cost is 0 on the diagonal and c elsewhere,
    # so a / (1/2 - a) = exp(c / epsilon)
    row, col = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    plan = sinkhorn(row, col, np.array([0.0, 2.0, 2.0, 0.0]), (2, 2), epsilon=1.0, tolerance=1e-12)
    a = 0.5 * np.exp(2.0) / (1.0 + np.exp(2.0))
    np.testing.assert_allclose(dense(plan.mass), [[a, 0.5 - a], [0.5 - a, a]], rtol=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_little_entropy_gives_the_linear_programme(seed):
    earlier, later = groups(seed, n=8, m=8)
    row, col, cost, shape = full(earlier, later)
    marginals = np.vstack([row == i for i in range(8)] + [col == j for j in range(8)]).astype(float)
    exact = linprog(cost, A_eq=marginals, b_eq=np.full(16, 1 / 8))
    plan = sinkhorn(row, col, cost, shape, epsilon=5e-3, tolerance=1e-5, max_steps=20_000)
    spent = dense(plan.mass).ravel() @ cost
    assert (
        exact.fun - 1e-4 <= spent <= exact.fun + 5e-3 * np.log(8)
    )  # entropy costs at most epsilon × log n
    assert exact.fun < 0.8 * cost.mean()


@pytest.mark.parametrize("epsilon", [1.0, 0.05, 0.01])
def test_marginals(epsilon):
    plan = sinkhorn(*full(*groups(n=40, m=25)), epsilon=epsilon, tolerance=1e-6, max_steps=50_000)
    mass = dense(plan.mass)
    np.testing.assert_allclose(mass.sum(axis=0), 1 / 25, rtol=1e-9)
    np.testing.assert_allclose(mass.sum(axis=1), 1 / 40, rtol=1e-4)
    assert plan.source_error < 1e-4
    assert plan.change <= 1e-6


@pytest.mark.parametrize("tau", [0.5, 0.95])
def test_growth_satisfies_its_optimality_condition(tau):
    """The derivative of the objective is constant within every column.

    It is C + ε log T + ε τ / (1 - τ) log(n T1).
    """
    earlier, later = groups()
    row, col, cost, shape = full(earlier, later)
    epsilon = 0.1
    plan = sinkhorn(row, col, cost, shape, epsilon=epsilon, tau=tau, tolerance=1e-12)
    mass = dense(plan.mass)
    weight = epsilon * tau / (1 - tau)
    slope = (
        cost.reshape(shape)
        + epsilon * np.log(mass)
        + weight * np.log(shape[0] * mass.sum(axis=1))[:, None]
    )
    np.testing.assert_allclose(slope - slope[0], 0, atol=1e-8)
    np.testing.assert_allclose(mass.sum(axis=0), 1 / shape[1], rtol=1e-9)
    assert plan.source_error > 0.005


def test_less_tau_more_growth():
    given = full(*groups())
    errors = [
        sinkhorn(*given, epsilon=0.1, tau=tau, tolerance=1e-8).source_error
        for tau in (1.0, 0.9, 0.5)
    ]
    assert errors[0] < 1e-6 < errors[1] < errors[2]


def test_equals_pot_where_it_is_installed():
    ot = pytest.importorskip("ot")
    row, col, cost, shape = full(*groups(n=30, m=45))
    a, b, square = np.full(30, 1 / 30), np.full(45, 1 / 45), cost.reshape(shape)
    for epsilon in (0.5, 0.05):
        ours = dense(
            sinkhorn(row, col, cost, shape, epsilon=epsilon, tolerance=1e-10, max_steps=50_000).mass
        )
        theirs = ot.sinkhorn(
            a, b, square, epsilon, method="sinkhorn_log", numItermax=50_000, stopThr=1e-13
        )
        np.testing.assert_allclose(ours * 1350, theirs * 1350, atol=1e-5)
        ours = dense(
            sinkhorn(row, col, cost, shape, epsilon=epsilon, tau=0.9, tolerance=1e-10).mass
        )
        theirs = ot.unbalanced.sinkhorn_unbalanced(
            *(a, b, square, epsilon, [9 * epsilon, np.inf]),
            reg_type="entropy",
            method="sinkhorn",
            numItermax=50_000,
            stopThr=1e-13,
        )
        np.testing.assert_allclose(ours * 1350, theirs * 1350, atol=1e-5)


def test_support_equals_the_naive_search():
    earlier, later = groups(n=30, m=40)
    square = ((earlier[:, None] - later[None]) ** 2).sum(axis=2)
    expected = {(i, j) for i in range(30) for j in np.argsort(square[i])[:4]}
    expected |= {(i, j) for j in range(40) for i in np.argsort(square[:, j])[:4]}
    row, col, squared = nearest_support(earlier, later, 4)
    assert list(zip(row.tolist(), col.tolist(), strict=True)) == sorted(expected)
    np.testing.assert_allclose(squared, square[row, col])


def test_support_grows_with_cells_not_with_pairs():
    for n in (100, 400):
        assert len(nearest_support(*groups(n=n, m=n), 10)[0]) <= 10 * 2 * n


def test_few_candidates_change_little_where_entropy_is_small():
    earlier, later = groups(n=120, m=150)
    one, two = (
        dense(couple(earlier, later, epsilon=0.02, tau=1.0, n_candidates=k, n_kept=150)[0])
        for k in (60, 150)
    )
    assert 0.5 * np.abs(one - two).sum() < 0.02


def test_unit_mean_is_the_mean_of_all_pairs():
    earlier, later = groups(n=9, m=14)
    square = [((x - y) ** 2).sum() for x in earlier for y in later]
    assert unit_mean(earlier, later) ** 2 == pytest.approx(np.mean(square))
    assert unit_mean(np.ones((3, 2)), np.ones((4, 2))) == 1.0


def test_strongest_by_hand():
    matrix = sparse.csr_matrix(np.array([[0.5, 0.1, 0.2], [0.05, 0.1, 0.05]]))
    chosen, share = strongest(
        matrix, 1
    )  # largest of each row and of each column; ties go to the first
    np.testing.assert_allclose(dense(chosen), [[0.5, 0.1, 0.2], [0, 0.1, 0]])
    assert share == pytest.approx(0.9)


@pytest.mark.parametrize("k", [1, 3, 100])
def test_strongest_equals_the_naive_search(k):
    rng = np.random.default_rng(k)
    matrix = rng.random((20, 30)) * (rng.random((20, 30)) < 0.4)
    expected = np.zeros_like(matrix)
    for i, j in np.argwhere(matrix > 0):
        if (matrix[i] > matrix[i, j]).sum() < k or (matrix[:, j] > matrix[i, j]).sum() < k:
            expected[i, j] = matrix[i, j]
    chosen, share = strongest(sparse.csr_matrix(matrix), k)
    np.testing.assert_array_equal(dense(chosen), expected)
    assert share == pytest.approx(expected.sum() / matrix.sum())


def test_every_cell_keeps_a_way_in_and_out():
    earlier, later = groups(n=80, m=60, shift=2.0)
    chosen, notes = couple(earlier, later, epsilon=0.05, tau=1.0, n_candidates=20, n_kept=2)
    assert (np.diff(chosen.indptr) > 0).all()
    assert (np.diff(chosen.tocsc().indptr) > 0).all()
    assert 0 < notes["kept_mass"] < 1


def test_transport_finds_the_shifted_partner():
    """All cells move the same way, further than they are apart.

    Nearest neighbours fail, transport does not.
    """
    earlier = np.linspace(0, 1, 30)[:, None] * [1.0, 0.0]
    later = earlier + np.array([0.5, 1.0])
    plan = sinkhorn(*full(earlier, later), epsilon=5e-4, max_steps=50_000)
    np.testing.assert_array_equal(dense(plan.mass).argmax(axis=1), np.arange(30))
    assert (
        np.linalg.norm(earlier[:, None] - later[None], axis=2).argmin(axis=1) != np.arange(30)
    ).mean() > 0.9


def test_cell_order_does_not_matter():
    earlier, later = groups(n=60, m=70)
    rng = np.random.default_rng(0)
    one, two = rng.permutation(60), rng.permutation(70)
    options = {"epsilon": 0.05, "tau": 0.95, "n_candidates": 30, "n_kept": 5}
    expected = dense(couple(earlier, later, **options)[0])[np.ix_(one, two)]
    np.testing.assert_allclose(
        dense(couple(earlier[one], later[two], **options)[0]), expected, rtol=1e-6
    )


def test_units_do_not_matter():
    earlier, later = groups(n=30, m=30)
    options = {"epsilon": 0.05, "tau": 1.0, "n_candidates": 30, "n_kept": 30}
    np.testing.assert_allclose(
        dense(couple(1000 * earlier, 1000 * later, **options)[0]),
        dense(couple(earlier, later, **options)[0]),
        rtol=1e-6,
    )


def test_a_support_without_balanced_coupling_is_told():
    """Two earlier cells share their only later cell, a third has two for itself."""
    row, col = np.array([0, 1, 2, 2]), np.array([0, 0, 1, 2])
    plan = sinkhorn(row, col, np.zeros(4), (3, 3), epsilon=0.1)
    np.testing.assert_allclose(dense(plan.mass).sum(axis=0), 1 / 3)
    assert plan.source_error == pytest.approx(1 / 3, abs=1e-6)
    relaxed = sinkhorn(row, col, np.zeros(4), (3, 3), epsilon=0.1, tau=0.9)
    assert relaxed.change <= 1e-3


def test_identical_cells_are_no_obstacle():
    plan, notes = couple(
        np.ones((6, 2)), np.ones((4, 2)), epsilon=0.05, tau=1.0, n_candidates=10, n_kept=10
    )
    np.testing.assert_allclose(dense(plan), 1 / 24)
    assert notes["kept_mass"] == pytest.approx(1)
