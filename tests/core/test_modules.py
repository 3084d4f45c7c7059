from __future__ import annotations

import numpy as np
import pytest
from _helpers import slow

from spatrace_sc._core import modules as core


def planted(seed=0, n_groups=3, size=4, noise=0.1):
    """Two tables in which rows of a group share columns, with signs; the groups of the rows."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(n_groups), size)
    tables = []
    for columns in (40, 90):
        pattern = rng.normal(size=(n_groups, columns)) * (rng.random((n_groups, columns)) < 0.4)
        tables.append(
            rng.uniform(0.5, 3.0, (len(group), 1)) * pattern[group]
            + noise * rng.normal(size=(12, columns))
        )
    return tables, group


def test_hand_numbers_of_the_joint_table():
    first = np.array([[3.0, -4.0, 0.0], [0.0, 2.0, 0.0]])
    second = np.array([[0.0, 5.0], [0.0, 0.0]])
    joint = core.joint_table([first, second], [0.25, 0.75])
    expected = np.array([[0.3, 0.0, 0.4, np.sqrt(0.75)], [0.0, 0.5, 0.0, 0.0]])
    np.testing.assert_allclose(joint.values, expected)
    np.testing.assert_array_equal(
        joint.unit, [0, 1, 1, 4]
    )  # the second gene up and down is one unit
    np.testing.assert_array_equal(joint.table, [0, 0, 0, 1])


def test_opposite_signs_do_not_look_alike():
    joint = core.joint_table([np.array([[1.0, 2.0], [-1.0, -2.0]])], [1.0])
    assert joint.values[0] @ joint.values[1] == 0


def test_scale_of_a_row_and_of_a_table_does_not_matter():
    (one, two), _ = planted()
    scaled = one * np.arange(1, 13)[:, None]
    np.testing.assert_allclose(
        core.joint_table([scaled, 1e3 * two], [0.5, 0.5]).values,
        core.joint_table([one, two], [0.5, 0.5]).values,
    )


def test_planted_factors_are_recovered():
    rng = np.random.default_rng(1)
    weight = rng.random((12, 3)) * np.repeat(np.eye(3), 4, axis=0) + 0.02
    pattern = rng.random((3, 50)) * (rng.random((3, 50)) < 0.4)
    pattern /= np.linalg.norm(pattern, axis=1, keepdims=True)
    result = core.factorise(weight @ pattern, 3, seed=0)
    assert result.error < 1e-4
    assert core.agreement(result.weight, weight) > 0.99
    assert core.agreement(result.pattern.T, pattern.T) > 0.99
    np.testing.assert_allclose(np.linalg.norm(result.pattern, axis=1), 1.0)
    assert (result.weight >= 0).all()
    assert (result.pattern >= 0).all()


def test_error_is_that_of_the_slow_sum():
    values = np.random.default_rng(0).random((6, 20))
    result = core.factorise(values, 2, seed=3)
    slow = sum(
        (values[i, j] - sum(result.weight[i, k] * result.pattern[k, j] for k in range(2))) ** 2
        for i in range(6)
        for j in range(20)
    )
    assert result.error == pytest.approx(slow / (values**2).sum())


LONG = [slow(2, 0.1), slow(3, 0.4), slow(4, 0.1), slow(4, 0.4)]


@pytest.mark.parametrize(("n_groups", "noise"), [(2, 0.4), (3, 0.1), *LONG])
def test_stability_picks_the_planted_rank(n_groups, noise):
    tables, group = planted(seed=n_groups, n_groups=n_groups, size=12 // n_groups, noise=noise)
    ranks = list(range(2, 7))
    observed, shuffled = core.stability(tables, [0.5, 0.5], ranks, draws=6, seed=0)
    joint = core.joint_table(tables, [0.5, 0.5])
    assert (
        core.choose_rank(ranks, observed, shuffled, core.smallest_module_sizes(joint, ranks, 0))
        == n_groups
    )
    result = core.membership(
        core.factorise(core.joint_table(tables, [0.5, 0.5]).values, n_groups, 0).weight
    )
    assert len({(a, b) for a, b in zip(group, result.argmax(axis=1), strict=True)}) == n_groups
    assert np.median(result.max(axis=1)) > 0.75


def test_rows_that_share_nothing_are_one_module():
    rng = np.random.default_rng(0)
    tables = [rng.normal(size=(12, 40)), rng.normal(size=(12, 90))]
    ranks = list(range(2, 7))
    observed, shuffled = core.stability(tables, [0.5, 0.5], ranks, draws=8, seed=0)
    assert np.abs(observed - shuffled).max() < 0.1
    assert core.choose_rank(ranks, observed, shuffled, np.full(5, 2)) == 1


def test_choice_by_hand():
    chance, many = np.full(4, 0.5), np.full(4, 2)
    rank = lambda observed, smallest=many: core.choose_rank(
        [2, 3, 4, 5], np.array(observed), chance, smallest
    )
    assert rank([0.9, 0.7, 0.88, 0.8]) == 4  # .38 is within .03 of .4
    assert rank([0.9, 0.7, 0.86, 0.8]) == 2
    assert rank([0.59, 0.58, 0.5, 0.5]) == 1
    assert rank([0.9, 0.7, 0.88, 0.8], np.array([2, 2, 1, 2])) == 2  # a module of one pair
    assert rank([0.9, 0.7, 0.88, 0.8], np.array([0, 1, 1, 1])) == 1
    assert core.choose_rank([], np.empty(0), np.empty(0), np.empty(0, int)) == 1


def test_smallest_module_by_hand():
    values = np.repeat(np.eye(2), [5, 2], axis=0)
    joint = core.Joint(values, np.arange(2), np.zeros(2, int))
    np.testing.assert_array_equal(core.smallest_module_sizes(joint, [1, 2], 0), [7, 2])


def test_one_table_alone_cannot_tell_what_both_can():
    """Groups 0 and 1 share targets, groups 1 and 2 share place: only together they are three."""
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(3), 4)
    tables = []
    for alike in ((0, 0, 1), (0, 1, 1)):
        pattern = rng.normal(size=(2, 60))[list(alike)]
        tables.append(pattern[group] + 0.2 * rng.normal(size=(12, 60)))

    def groups(share):
        result = core.factorise(core.joint_table(tables, [share, 1 - share]).values, 3, seed=0)
        return core.membership(result.weight).argmax(axis=1)

    together = groups(0.5)
    assert [len(set(together[group == k])) for k in range(3)] == [1, 1, 1]
    assert len(set(together)) == 3
    for share, same in ((1.0, (0, 1)), (1e-9, (1, 2))):
        alone = core.factorise(core.joint_table(tables, [share, 1 - share]).values, 2, seed=0)
        two = core.membership(alone.weight).argmax(axis=1)
        assert len(set(two[np.isin(group, same)])) == 1
        assert len(set(two)) == 2


def test_order_of_rows_and_columns_does_not_matter():
    tables, _ = planted(noise=0.4)
    rng = np.random.default_rng(5)
    row = rng.permutation(12)
    turned = [t[row][:, rng.permutation(t.shape[1])] for t in tables]
    one, two = (
        core.factorise(core.joint_table(t, [0.5, 0.5]).values, 3, seed=0) for t in (tables, turned)
    )
    assert core.agreement(core.membership(one.weight)[row], core.membership(two.weight)) > 0.999
    assert one.error == pytest.approx(two.error, rel=1e-3)


def test_same_seed_same_factors():
    tables, _ = planted()
    values = core.joint_table(tables, [0.5, 0.5]).values
    np.testing.assert_array_equal(
        core.factorise(values, 3, 7).weight, core.factorise(values, 3, 7).weight
    )
    runs = [core.stability(tables, [0.5, 0.5], [2, 3], draws=3, seed=2) for _ in range(2)]
    np.testing.assert_array_equal(*runs)


def test_tables_of_nothing():
    joint = core.joint_table([np.zeros((3, 4)), np.zeros((3, 0))], [0.5, 0.5])
    assert joint.values.shape == (3, 0)
    result = core.factorise(joint.values, 2, seed=0)
    assert (result.weight == 0).all()
    np.testing.assert_allclose(core.membership(result.weight), 0.5)
    observed, shuffled = core.stability([np.zeros((4, 6))], [1.0], [2], draws=2, seed=0)
    assert core.choose_rank([2], observed, shuffled, np.array([2])) == 1


def test_membership_and_agreement_by_hand():
    np.testing.assert_allclose(
        core.membership(np.array([[1.0, 3.0], [0.0, 0.0]])), [[0.25, 0.75], [0.5, 0.5]]
    )
    one = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert core.agreement(one, one[:, ::-1]) == pytest.approx(1.0)
    assert core.agreement(one, np.array([[3.0, 0.0], [4.0, 0.0]])) == pytest.approx((0.8 + 0.0) / 2)


def test_blocks_hold_near_cells_of_one_stratum():
    rng = np.random.default_rng(0)
    place, strata = rng.random((500, 3)), rng.integers(0, 3, 500)
    block = core.cell_blocks(place, strata, size=10, at_most=500)
    n = np.bincount(block)
    assert (n >= 10).all()
    assert (n < 20).all()
    assert all(len(set(strata[block == b])) == 1 for b in range(len(n)))
    spread = np.mean([place[block == b].std(axis=0).mean() for b in range(len(n))])
    assert spread < 0.5 * place.std(axis=0).mean()


def test_few_blocks_when_asked_and_any_order_of_cells():
    rng = np.random.default_rng(0)
    place, strata = rng.random((1000, 2)), np.zeros(1000, int)
    block = core.cell_blocks(place, strata, size=2, at_most=20)
    assert block.max() + 1 <= 20
    order = rng.permutation(1000)
    np.testing.assert_array_equal(
        core.cell_blocks(place[order], strata, size=2, at_most=20), block[order]
    )
    assert core.cell_blocks(np.zeros((50, 2)), np.zeros(50, int), size=2, at_most=9).max() == 0


def test_block_means_equal_the_slow_loop():
    rng = np.random.default_rng(0)
    values, block = rng.random((60, 4)), np.r_[np.arange(7), rng.integers(0, 7, 53)]
    slow = np.array([values[block == b].mean(axis=0) for b in range(7)])
    np.testing.assert_allclose(core.block_means(values, block), slow)
