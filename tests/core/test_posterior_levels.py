"""Draws of true levels against counts whose true levels are known."""

from __future__ import annotations

import numpy as np
import pytest

from spatrace_sc._core.posterior_levels import MAX_SPREAD, MIN_SPREAD, draw_levels

N = 20_000


def simulated(mean, spread, overdispersion=0.0, seed=0):
    """Return (N, 1) true levels around a mean, and their counts."""
    rng = np.random.default_rng(seed)
    level = mean * rng.gamma(1.0 / spread, spread, size=(N, 1))
    rate = level
    if overdispersion > 0:
        rate = level * rng.gamma(1.0 / overdispersion, overdispersion, size=(N, 1))
    return level, rng.poisson(rate).astype(float)


def drawn(counts, mean, seed=1, **arguments):
    rng = np.random.default_rng(seed)
    return draw_levels(counts, np.full_like(counts, mean), rng, **arguments)


@pytest.mark.parametrize("mean", [1.0, 4.0, 60.0])
@pytest.mark.parametrize("spread", [0.2, 1.0])
def test_draws_have_the_mean_and_the_variance_of_the_true_levels(mean, spread):
    level, counts = simulated(mean, spread)
    draws = drawn(counts, mean)
    assert draws.mean() == pytest.approx(level.mean(), rel=0.03)
    # the variance of rare genes is estimated from few molecules
    assert draws.var() == pytest.approx(level.var(), rel=0.25 if mean <= 1 else 0.1)


@pytest.mark.parametrize("mean", [0.5, 5.0])
def test_counts_are_poisson_around_draws(mean):
    """Regressed on draws, counts have the slope 1, and a residual of the size of the draw."""
    _, counts = simulated(mean, 0.8)
    draws = drawn(counts, mean)
    slope = np.cov(counts[:, 0], draws[:, 0])[0, 1] / draws.var(ddof=1)
    assert slope == pytest.approx(1.0, abs=0.05)
    residual = counts - draws
    assert residual.mean() == pytest.approx(0.0, abs=0.05 * mean)
    assert residual.var() == pytest.approx(mean, rel=0.06)
    high = draws > np.quantile(draws, 0.8)
    assert (residual[high] ** 2).mean() == pytest.approx(draws[high].mean(), rel=0.1)


def test_the_mean_of_draws_shrinks_counts_towards_their_expectation():
    """The posterior mean of a gamma-Poisson model is (1/s + k) / (1/(s m) + 1)."""
    mean, spread = 2.0, 0.5
    _, counts = simulated(mean, spread)
    draws = drawn(counts, mean)
    for k in (0.0, 2.0, 6.0):
        at_k = draws[counts == k]
        expected = (1.0 / spread + k) / (1.0 / (spread * mean) + 1.0)
        assert at_k.mean() == pytest.approx(expected, rel=0.06)
    assert draws[counts == 0].min() > 0


def test_the_expectation_of_a_cell_shifts_its_draws():
    counts = np.full((N, 1), 3.0)
    expected = np.where(np.arange(N) < N // 2, 1.0, 9.0)[:, None]
    draws = draw_levels(counts, expected, np.random.default_rng(0))
    assert draws[: N // 2].mean() < 3.0 < draws[N // 2 :].mean()


def test_overdispersed_counts_say_less_of_the_level():
    mean, spread, overdispersion = 20.0, 0.3, 0.4
    level, counts = simulated(mean, spread, overdispersion)
    draws = drawn(counts, mean, overdispersion=overdispersion)
    assert draws.mean() == pytest.approx(level.mean(), rel=0.03)
    assert draws.var() == pytest.approx(level.var(), rel=0.15)
    taken_for_poisson = drawn(counts, mean)
    assert taken_for_poisson.var() > 1.5 * level.var()


def test_genes_are_drawn_with_a_spread_of_their_own():
    (_, narrow), (_, wide) = simulated(50.0, 0.05), simulated(50.0, 1.0)
    draws = drawn(np.hstack([narrow, wide]), 50.0)
    relative = draws.var(axis=0) / 50.0**2
    np.testing.assert_allclose(relative, [0.05, 1.0], rtol=0.15)


def test_the_spread_is_limited():
    counts = np.full((N, 1), 5.0)  # less than Poisson
    draws = drawn(counts, 5.0)
    assert draws.var() == pytest.approx(MIN_SPREAD * 25.0, rel=0.15)
    counts = np.zeros((N, 1))
    counts[0] = 1000.0
    low = drawn(counts, 0.05)[1:]
    shape, rate = 1.0 / MAX_SPREAD, 1.0 / (MAX_SPREAD * 0.05) + 1.0
    assert low.mean() == pytest.approx(shape / rate, rel=0.15)


def test_genes_without_molecules_have_finite_draws():
    draws = draw_levels(np.zeros((10, 2)), np.zeros((10, 2)), np.random.default_rng(0))
    assert np.isfinite(draws).all()
    assert (draws < 1e-3).all()


def test_the_seed_decides_the_draws():
    _, counts = simulated(3.0, 0.5)
    np.testing.assert_array_equal(drawn(counts, 3.0), drawn(counts, 3.0))
    assert (drawn(counts, 3.0) != drawn(counts, 3.0, seed=2)).mean() > 0.99
