"""Standard errors of few cells and values drawn towards what more cells say."""

from __future__ import annotations

import numpy as np
import pytest

from spatrace_sc._core.uncertainty import (
    PSEUDOCOUNT,
    count_noise_sd,
    shrink,
    shrink_by_group,
    stage_factors,
)


def test_shrink_by_hand():
    # away² = 9, 1; se² = 1, 1; τ² = mean(8, 0) = 4; kept = 4 / 5
    value, se = shrink(np.array([[4.0, 2.0]]), np.array([[1.0, 1.0]]), 1.0, axis=1)
    np.testing.assert_allclose(value, [[1 + 0.8 * 3, 1 + 0.8]])
    np.testing.assert_allclose(se, [[np.sqrt(0.8)] * 2])
    # away² = 4, 4; se² = 1, 4; τ² = mean(3, 0) = 1.5
    value, se = shrink(np.array([[2.0], [-2.0]]), np.array([[1.0], [2.0]]), 0.0, axis=0)
    np.testing.assert_allclose(value, [[2 * 1.5 / 2.5], [-2 * 1.5 / 5.5]])
    np.testing.assert_allclose(se, np.sqrt([[1.5 / 2.5], [4 * 1.5 / 5.5]]))


def test_sure_values_stay_and_unsure_ones_become_the_centre():
    values = np.random.default_rng(0).normal(size=(3, 50))
    zero = np.zeros_like(values)
    result, se = shrink(values, zero, 0.0, axis=1)
    np.testing.assert_array_equal(result, values)
    assert (se == 0).all()
    result, se = shrink(values, np.full_like(values, 1e3), 0.5, axis=1)
    assert (result == 0.5).all()
    assert (se == 0).all()
    result, se = shrink(zero, zero, 0.0, axis=1)
    assert (result == 0).all()
    assert np.isfinite(se).all()


def test_shrunken_values_are_nearer_to_the_truth():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(1, 100_000))
    se = rng.uniform(0.3, 3, size=truth.shape)
    measured = truth + rng.normal(size=truth.shape) * se
    result, left = shrink(measured, se, 0.0, axis=1)
    error = (result - truth) ** 2
    assert error.mean() < 0.5 * ((measured - truth) ** 2).mean()
    np.testing.assert_allclose(error.mean(), (left**2).mean(), rtol=0.1)
    assert (np.abs(result) <= np.abs(measured)).all()
    assert (left <= se).all()


def slow_factors(levels, stage, block, n_stages):
    raw, se = np.ones((n_stages, levels.shape[1])), np.zeros((n_stages, levels.shape[1]))
    for s in range(n_stages):
        for a in range(levels.shape[1]):
            x, b = levels[stage == s, a], block[stage == s]
            if len(set(b)) == 1:
                b = np.arange(len(b))
            total = [
                sum(v - x.mean() for v, c in zip(x, b, strict=True) if c == code)
                for code in sorted(set(b))
            ]
            n, overall = len(total), levels[:, a].mean()
            if overall > 0:
                raw[s, a] = x.mean() / overall
                se[s, a] = np.sqrt(sum(t**2 for t in total) * n / max(n - 1, 1)) / len(x) / overall
    return raw, se


def tissue(seed=0, n=200, a=6):
    rng = np.random.default_rng(seed)
    block = rng.integers(12, size=n)
    stage = block % 3
    levels = rng.gamma(2.0, size=(n, a)) * (1 + 0.6 * rng.random((3, a))[stage])
    return levels + 0.5 * rng.random((12, a))[block], stage, block


def test_stage_factors_equal_the_slow_loop():
    levels, stage, block = tissue()
    expected, result = slow_factors(levels, stage, block, 3), stage_factors(levels, stage, block, 3)
    for one, two in zip(result, expected, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-10, atol=1e-12)


def test_nothing_to_shrink():
    values, se = shrink(np.ones((3, 0)), np.zeros((3, 0)), 1.0, axis=1)
    assert values.shape == se.shape == (3, 0)


def test_blocks_that_differ_as_wholes_make_a_stage_less_sure():
    rng = np.random.default_rng(0)
    block = np.repeat(np.arange(20), 40)
    shared = rng.normal(size=(20, 300))[block] + 0.1 * rng.normal(size=(800, 300)) + 20
    apart = shared[rng.permutation(800)]
    together, scattered = (
        slow_factors(x, block // 10, block, 2)[1].mean() for x in (shared, apart)
    )
    assert together > 4 * scattered
    # the error is that of a mean over 10 blocks
    assert together == pytest.approx(1 / np.sqrt(10) / 20, rel=0.1)


def test_a_stage_of_one_block_takes_cells_as_units():
    levels, stage, block = tissue()
    block = np.where(stage == 1, 99, block)
    raw, se = slow_factors(levels, stage, block, 3)
    members = levels[stage == 1]
    np.testing.assert_allclose(
        se[1], members.std(0, ddof=1) / np.sqrt(len(members)) / levels.mean(0)
    )
    np.testing.assert_allclose(stage_factors(levels, stage, block, 3), (raw, se), rtol=1e-10)


def test_a_stage_of_one_cell_and_a_silent_regulator():
    levels, stage, block = tissue()
    levels[:, 2] = 0
    factor, se = stage_factors(levels, stage, block, 3)
    assert (factor[:, 2] == 1).all()
    assert (se[:, 2] == 0).all()
    stage = np.where(np.arange(len(stage)) == 0, 3, stage)
    factor, se = stage_factors(levels, stage, block, 4)
    assert np.isfinite(factor).all()
    assert np.isfinite(se).all()


def test_factors_do_not_care_for_units_and_are_mostly_between_the_raw_ones_and_one():
    levels, stage, block = tissue()
    factor, se = stage_factors(levels, stage, block, 3)
    scaled = stage_factors(levels * [1, 10, 100, 3, 0.1, 7], stage, block, 3)
    np.testing.assert_allclose(scaled[0], factor, rtol=1e-5)
    np.testing.assert_allclose(scaled[1], se, rtol=1e-4)
    raw, _ = slow_factors(levels, stage, block, 3)
    assert (np.abs(factor - 1) <= np.abs(raw - 1) + 1e-6).all()
    assert ((factor - 1) * (raw - 1) >= -1e-9).all()


def test_no_regulator_has_no_factor():
    _, stage, block = tissue()
    factor, se = stage_factors(np.zeros((len(stage), 0)), stage, block, 3)
    assert factor.shape == se.shape == (3, 0)


def test_counted_sd_by_hand():
    # 4 molecules of 0.5: 0.5 · sqrt(4 + 3/8); none of 2: 2 · sqrt(3/8)
    level, unit = np.array([[2.0, 0.0], [0.0, 6.0]]), np.array([0.5, 2.0])
    expected = [
        [0.5 * np.sqrt(4 + PSEUDOCOUNT), 0.5 * np.sqrt(PSEUDOCOUNT)],
        [2 * np.sqrt(PSEUDOCOUNT), 2 * np.sqrt(3 + PSEUDOCOUNT)],
    ]
    np.testing.assert_allclose(count_noise_sd(level, unit), expected)


@pytest.mark.parametrize("mean", [5.0, 50.0])
def test_counted_sd_is_that_of_many_counts(mean):
    counts = np.random.default_rng(0).poisson(mean, size=(200_000, 1))
    result = count_noise_sd(3.0 * counts, np.full(len(counts), 3.0))
    assert np.sqrt((result**2).mean()) == pytest.approx((3.0 * counts).std(), rel=0.05)


def test_groups_and_columns_are_drawn_to_their_own_means():
    rng = np.random.default_rng(0)
    group = np.repeat([4, 9, 2], [30, 50, 20])
    values = (
        rng.normal(size=(100, 3))
        + np.array([0.0, 5.0, -3.0])[np.repeat([0, 1, 2], [30, 50, 20])][:, None]
    )
    se = rng.uniform(0.2, 1.5, size=values.shape)
    result = shrink_by_group(values, se, group)
    assert result.dtype == np.float32
    for g in (4, 9, 2):
        for a in range(3):
            members = group == g
            x, e = values[members, a], se[members, a]
            spread = max(np.mean((x - x.mean()) ** 2 - e**2), 0)
            np.testing.assert_allclose(
                result[members, a],
                x.mean() + spread / (spread + e**2) * (x - x.mean()),
                rtol=1e-4,
                atol=1e-6,
            )
    order = rng.permutation(100)
    np.testing.assert_allclose(
        shrink_by_group(values[order], se[order], group[order]), result[order], rtol=1e-5
    )
    np.testing.assert_allclose(shrink_by_group(values, np.zeros_like(se), group), values, rtol=1e-6)
