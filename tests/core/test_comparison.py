from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from spatrace_sc._core.comparison import level_changes, p_beyond, response_changes
from spatrace_sc._core.group_estimates import Estimates, linearise_response, mean_levels, slopes
from spatrace_sc._core.replicates import add_replicate_spread, group_design, moderated_means


def standard(x):
    return (x - x.mean(0)) / x.std(0)


def cells(rng, n=1200, n_groups=2, n_units=60, k=2):
    """Regulators, nuisance that spans the constant, groups and units within groups."""
    unit = np.repeat(np.arange(n_units), n // n_units)
    group = unit * n_groups // n_units
    x = standard(rng.normal(size=(n, k)) + 0.5 * rng.normal(size=(n_units, k))[unit])
    nuisance = np.column_stack([np.ones(n), rng.normal(size=n)])
    return x, nuisance, group, unit


def slow(y, x, nuisance, group, unit, slope):
    """Weighted least squares group by group, and the sandwich block by block."""
    k = x.shape[1]
    value, variance = [], []
    for g in np.unique(group):
        members = group == g
        z = np.hstack([x[members], nuisance[members]]) * slope[members, None]
        b = np.linalg.lstsq(z, y[members], rcond=None)[0]
        bread, e, u = np.linalg.inv(z.T @ z), y[members] - z @ b, unit[members]
        meat = np.zeros_like(bread)
        for s in np.unique(u):
            score = z[u == s].T @ e[u == s]
            meat += np.outer(score, score)
        n, m = len(z), len(np.unique(u))
        meat *= m / (m - 1) * (n - 1) / (n - z.shape[1])
        value.append(b[:k])
        variance.append(np.diag(bread @ meat @ bread)[:k])
    return np.array(value).T, np.array(variance).T


def test_slopes_and_errors_equal_the_slow_oracle():
    rng = np.random.default_rng(0)
    x, nuisance, group, unit = cells(rng)
    y = standard(np.tanh(x @ [0.8, -0.4] + 0.3 * nuisance[:, 1]) + 0.5 * rng.normal(size=len(x)))
    own = np.hstack([nuisance * (group == g)[:, None] for g in (0, 1)])
    slope, straight = linearise_response(y, np.hstack([x, own]))
    assert slope.min() < 0.9 < 1.1 < slope.max()
    result = slopes(y, x, nuisance, group, unit, (2, 60))
    value, variance = slow(straight, x, nuisance, group, unit, slope)
    np.testing.assert_allclose(result.value, value, rtol=1e-6)
    np.testing.assert_allclose(result.variance, variance, rtol=1e-6)
    np.testing.assert_allclose(result.covariance[:, 0, 1], 0, atol=1e-15)  # no unit lies in both


def test_a_straight_line_is_left_straight():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(5000, 1))
    y = 2 * x[:, 0] + rng.normal(size=5000)
    slope, straight = linearise_response(y, np.column_stack([x, np.ones(5000)]))
    np.testing.assert_allclose(slope, 1, atol=0.25)
    b = np.linalg.lstsq(np.column_stack([x, np.ones(5000)]) * slope[:, None], straight, rcond=None)[
        0
    ]
    assert b[0] == pytest.approx(2, abs=0.06)
    constant = np.zeros(100)
    np.testing.assert_array_equal(linearise_response(constant, np.ones((100, 1)))[0], np.ones(100))


def test_one_curve_at_two_levels_is_no_change_and_a_straight_fit_says_it_is():
    """Group 1 lies near the ceiling of the same curve."""
    rng = np.random.default_rng(2)
    x, nuisance, group, unit = cells(rng, n=6000, k=1)
    x = standard(x + 1.5 * group[:, None])
    y = standard(1 / (1 + np.exp(-1.2 * (x[:, 0] + 1.0))) + 0.1 * rng.normal(size=len(x)))
    result = slopes(y, x, nuisance, group, unit, (2, 60))
    plain, variance = slow(y, x, nuisance, group, unit, np.ones(len(y)))
    bent = abs(plain[0, 1] - plain[0, 0]) / np.sqrt(variance.sum())
    straight = abs(result.value[0, 1] - result.value[0, 0]) / np.sqrt(result.variance.sum())
    assert bent > 2 * straight
    assert abs(result.value[0, 1] - result.value[0, 0]) < 0.1 * result.value[0].mean()


def test_p_is_uniform_where_nothing_differs_and_small_where_the_slope_is_lost():
    rng = np.random.default_rng(3)
    null, lost = [], []
    for _ in range(150):
        x, nuisance, group, unit = cells(rng, n=600)
        wave = 0.4 * rng.normal(size=60)[unit]
        noise = 0.6 * rng.normal(size=600) + wave
        for store, effect in ((null, 0.5), (lost, 0.5 * (group == 0))):
            y = standard(effect * x[:, 0] + noise)
            e = slopes(y, x, nuisance, group, unit, (2, 60))
            d, se = e.value[:1, 1] - e.value[:1, 0], np.sqrt(e.variance[:1].sum(axis=1))
            store.append(p_beyond(d, se, np.zeros(1), np.array([29.0]))[0])
    assert stats.kstest(null, "uniform").pvalue > 0.01
    assert np.mean(np.array(lost) < 0.05) > 0.8


def test_units_in_two_groups_are_counted_once():
    """A unit's wave moves both groups alike, so their difference is surer than the two apart."""
    rng = np.random.default_rng(4)
    n, unit, group = 3000, np.tile(np.arange(30), 100), np.repeat([0, 1], 1500)
    x = rng.normal(size=(n, 1))
    y = standard(0.5 * x[:, 0] + 0.8 * rng.normal(size=30)[unit] * x[:, 0] + rng.normal(size=n))
    e = slopes(y, standard(x), np.ones((n, 1)), group, unit, (2, 30))
    cov = e.covariance[0]
    assert cov[0, 1] > 0.5 * cov[0, 0]


def test_what_cannot_be_estimated_is_nan():
    rng = np.random.default_rng(5)
    x, nuisance, group, unit = cells(rng)
    x[group == 1, 0] = 0.3
    y = rng.normal(size=len(x))
    e = slopes(y, x, nuisance, group, unit, (2, 60))
    assert np.isnan(e.value[0, 1])
    assert np.isfinite(e.value[1]).all()
    assert np.isfinite(e.value[0, 0])
    few = slopes(y[:603], x[:603], nuisance[:603], group[:603], unit[:603], (2, 60))
    assert np.isnan(few.value[:, 1]).all()
    assert p_beyond(few.value[:, 1], np.ones(2), np.zeros(2), np.ones(2)).tolist() == [1, 1]


def test_two_groups_of_replicates_give_students_test():
    values = np.array([[1.0, 2.0, 3.0, 5.0, 7.0], [0.0, 0.1, 0.0, 0.2, 0.1]])
    group = np.array([0, 0, 0, 1, 1])
    mean, cov, free = moderated_means(values, np.ones_like(values), group_design(group, None), 2)
    # by hand: means 2 and 6; residual squares 2 and 2 on 3 degrees of freedom;
    # variance of the difference 4/3 (1/3 + 1/2)
    np.testing.assert_allclose(mean[0], [2, 6])
    assert free.tolist() == [3, 3]
    variance = cov[:, 0, 0] + cov[:, 1, 1] - 2 * cov[:, 0, 1]
    assert variance[0] == pytest.approx(4 / 3 * (1 / 3 + 1 / 2))
    p = p_beyond(mean[:, 1] - mean[:, 0], np.sqrt(variance), np.zeros(2), free)
    for row in (0, 1):
        assert p[row] == pytest.approx(stats.ttest_ind(values[row, :3], values[row, 3:]).pvalue)


def test_strata_are_taken_out_where_they_can_be():
    group, stage = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    values = np.array([[1.0, 11.0, 2.0, 12.0]])
    mean, cov, free = moderated_means(values, np.ones((1, 4)), group_design(group, stage), 2)
    np.testing.assert_allclose(mean, [[6, 7]])
    np.testing.assert_allclose(cov, 0, atol=1e-12)
    assert free[0] == 1
    assert group_design(group, group).shape == (4, 2)


def test_moderation_finds_the_variance_that_edges_share():
    rng = np.random.default_rng(6)
    sd = np.sqrt(2 * 8 / rng.chisquare(8, size=4000))
    values = sd[:, None] * rng.normal(size=(4000, 4))
    design = group_design(np.array([0, 0, 1, 1]), None)
    mean, cov, free = moderated_means(values, np.ones_like(values), design, 2)
    assert free[0] == pytest.approx(10, rel=0.25)
    t = (mean[:, 1] - mean[:, 0]) / np.sqrt(cov[:, 0, 0] + cov[:, 1, 1])
    p = p_beyond(
        mean[:, 1] - mean[:, 0], np.sqrt(cov[:, 0, 0] + cov[:, 1, 1]), np.zeros(4000), free
    )
    assert stats.kstest(p, "uniform").pvalue > 0.01
    assert np.isfinite(t).all()
    same = rng.normal(size=(4000, 4))
    assert moderated_means(same, np.ones_like(same), design, 2)[2][0] > 50
    same[3, 0] = np.nan
    mean, _, _ = moderated_means(same, np.ones_like(same), design, 2)
    assert np.isnan(mean[3]).all()
    assert np.isfinite(np.delete(mean, 3, axis=0)).all()


def test_mean_levels_equal_means_over_blocks():
    rng = np.random.default_rng(7)
    group, unit = np.repeat([0, 1], 300), np.repeat(np.arange(20), 30)
    x = rng.normal(size=(600, 3)) + rng.normal(size=(20, 3))[unit]
    e = mean_levels(x, group_design(group, None), 2, unit, 20)
    np.testing.assert_allclose(e.value, np.stack([x[group == g].mean(0) for g in (0, 1)]).T)
    blocks = x.reshape(20, 30, 3).mean(1)
    expected = np.stack([blocks[:10].var(0, ddof=1) / 10, blocks[10:].var(0, ddof=1) / 10]).T
    np.testing.assert_allclose(e.variance, expected * 599 / 598)
    assert np.abs(e.covariance[:, 0, 1]).max() < 1e-12


def test_combinations_carry_their_errors():
    rng = np.random.default_rng(8)
    e = Estimates(rng.normal(size=(3, 2)), rng.normal(size=(3, 2, 9)))
    weights = np.array([[1.0, -2.0, 0.0]])
    both = e.combined(weights)
    np.testing.assert_allclose(both.value, weights @ e.value)
    np.testing.assert_allclose(
        both.variance[0], ((e.influence[0] - 2 * e.influence[1]) ** 2).sum(1)
    )


def test_margin_and_limits_of_p():
    d, one = np.array([0.5]), np.ones(1)
    assert p_beyond(d, one, np.zeros(1), one * 1e6)[0] == pytest.approx(
        2 * stats.norm.sf(0.5), rel=1e-4
    )
    assert p_beyond(d, one, one * 0.4, one * 5)[0] > p_beyond(d, one, np.zeros(1), one * 5)[0]
    assert 0 < p_beyond(one * 1e6, one * 1e-6, np.zeros(1), one * 1e6)[0] < 1e-300
    assert p_beyond(one * np.nan, one, np.zeros(1), one)[0] == 1
    assert p_beyond(one, one * 0, np.zeros(1), one)[0] == 1


def test_names_of_changes():
    t, f = True, False
    rows = [
        (0.5, 0.05, t, f, t, "gained"),
        (0.05, 0.5, f, t, t, "lost"),
        (0.5, 0.3, t, f, t, "changed"),
        (0.6, 0.3, t, t, t, "changed"),
        (0.5, -0.5, t, t, t, "changed"),
        (0.5, 0.45, t, t, f, "kept"),
        (0.5, -0.1, t, t, f, ""),
        (0.1, 0.5, f, t, f, ""),
        (np.nan, 0.5, f, t, f, ""),
    ]
    effect, ref, a, b, d, expected = map(np.array, zip(*rows, strict=True))
    assert response_changes(effect, ref, a, b, d).tolist() == list(expected)
    level = np.array([1.0, 0.1, 1.0, 0.5, 0.5]), np.array([0.1, 1.0, 0.5, 1.0, 0.1])
    different = np.array([t, t, t, t, f])
    names = level_changes(*level, different, from_zero=True).tolist()
    assert names == ["appears", "disappears", "strengthens", "weakens", "steady"]
    assert level_changes(*level, different, from_zero=False).tolist()[:2] == [
        "strengthens",
        "weakens",
    ]


def test_the_spread_of_replicates_is_added_to_their_errors():
    """By hand: values 0, 2 | 1, 3 of one edge have the residual variance 2.

    Its mean error is .5; the median of chi2 on 2 degrees of freedom is 1.386.
    """
    values, variance = np.array([[0.0, 2.0, 1.0, 3.0]]), np.array([[0.2, 0.8, 0.5, 0.5]])
    design = group_design(np.array([0, 0, 1, 1]), None)
    excess = (2.0 / 0.5) / (2 * np.log(2) / 2) - 1
    np.testing.assert_allclose(
        add_replicate_spread(values, variance, design), variance + excess * 0.5
    )
    np.testing.assert_array_equal(
        add_replicate_spread(values * 0.01, variance, design), variance
    )  # no more than the errors say
    np.testing.assert_array_equal(
        add_replicate_spread(values[:, :2], variance[:, :2], np.eye(2)), variance[:, :2]
    )
    holes = np.vstack([values, [np.nan, 1, 2, 3]])
    np.testing.assert_allclose(
        add_replicate_spread(holes, np.vstack([variance] * 2), design)[0],
        variance[0] + excess * 0.5,
    )


def null_replicates(rng, n_edges=300):
    """Replicates of very unequal size that differ by as much as the error of a small one."""
    variance = rng.uniform(0.01, 0.05, (n_edges, 1)) * np.array([0.1, 1.0, 1.0, 0.1, 1.0, 1.0])
    values = np.sqrt(variance + 0.05) * rng.normal(size=(n_edges, 6))
    return values, variance, group_design(np.array([0, 0, 0, 1, 1, 1]), None)


def test_unequal_replicates_keep_the_level_and_would_not_without_their_spread():
    rng = np.random.default_rng(11)
    share = []
    for spread in (True, False):
        called = []
        for _ in range(40):
            values, variance, design = null_replicates(rng)
            used = add_replicate_spread(values, variance, design) if spread else variance
            mean, cov, free = moderated_means(values, used, design, 2)
            se = np.sqrt(cov[:, 0, 0] + cov[:, 1, 1] - 2 * cov[:, 0, 1])
            called.append(p_beyond(mean[:, 1] - mean[:, 0], se, np.zeros(len(se)), free) <= 0.05)
        share.append(np.mean(called))
    assert 0.03 < share[0] < 0.07
    assert share[1] > 0.1
