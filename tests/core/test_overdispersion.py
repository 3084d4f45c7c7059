"""Overdispersion of counts, and the variance of logarithms that comes from it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from scipy.stats import nbinom

from spatrace_sc._core.counts import counting_variance
from spatrace_sc._core.overdispersion import MIN_GENES, common_overdispersion, log_variance


def drawn(overdispersion, *, n=1500, genes=24, mean=(0.5, 8.0), extra=0.0, seed=0):
    """Linear values, unit and state: cells with the same expectation in ten groups, and depths.

    ``extra`` is the variance of the logarithm of true levels in half of the genes.
    """
    rng = np.random.default_rng(seed)
    group = np.arange(n) % 10
    level = np.exp(rng.normal(0, 0.5, (10, genes)))[group] * rng.uniform(*mean, genes)
    spread = np.sqrt(extra) * rng.normal(size=level.shape) * (np.arange(genes) % 2)
    unit = rng.uniform(0.5, 2.0, n)
    expected = level * np.exp(spread - extra / 2 * (np.arange(genes) % 2)) / unit[:, None]
    if overdispersion:
        shape = 1.0 / overdispersion
        expected = expected * rng.gamma(shape, 1.0 / shape, expected.shape)
    values = rng.poisson(expected) * unit[:, None]
    rows = [np.flatnonzero((group == group[i]) & (np.arange(n) < i))[-30:] for i in range(n)]
    entries = np.concatenate(rows)
    counts = np.array([len(r) for r in rows])
    state = sparse.csr_matrix(
        (
            np.repeat(1.0 / np.maximum(counts, 1), counts),
            (np.repeat(np.arange(n), counts), entries),
        ),
        shape=(n, n),
    )
    return values, unit, state


@pytest.mark.parametrize("overdispersion", [0.0, 0.1, 0.25, 0.5])
def test_it_is_estimated(overdispersion):
    actual = common_overdispersion(*drawn(overdispersion))
    # the lower decile over genes lies a little below the truth where nothing else varies
    assert overdispersion - 0.12 * overdispersion - 0.04 < actual <= overdispersion + 0.02


def test_biology_of_some_genes_does_not_count():
    actual = common_overdispersion(*drawn(0.2, extra=0.5))
    assert 0.14 < actual < 0.24


def test_too_few_counted_genes_show_none():
    values, unit, state = drawn(0.5, genes=MIN_GENES)
    assert common_overdispersion(values, unit, state) > 0.3
    assert common_overdispersion(values[:, 1:], unit, state) == 0
    assert common_overdispersion(0.01 * values, 1.0 * unit, state) == 0


def test_units_do_not_matter():
    values, unit, state = drawn(0.25)
    expected = common_overdispersion(values, unit, state)
    assert common_overdispersion(3.0 * values, 3.0 * unit, state) == pytest.approx(expected)


@pytest.mark.parametrize("overdispersion", [0.1, 0.7])
def test_the_variance_of_logarithms_against_a_slow_sum(overdispersion):
    mean, unit = np.array([[0.3, 4.0], [1.0, 12.0]]), np.array([0.5, 2.0])
    actual = log_variance(mean, unit, overdispersion)
    count, size = np.arange(3000), 1 / overdispersion
    for i in range(2):
        for g in range(2):
            weight = nbinom.pmf(count, size, size / (size + mean[i, g]))
            level = np.log1p(unit[i] * count)
            slow = weight @ level**2 - (weight @ level) ** 2
            assert actual[i, g] == pytest.approx(slow, rel=1e-6)


def test_a_vanishing_overdispersion_is_poisson():
    rng = np.random.default_rng(0)
    mean, unit = rng.uniform(0.1, 30, (500, 6)), rng.uniform(0.5, 2.0, 500)
    np.testing.assert_allclose(
        counting_variance(mean, unit, overdispersion=1e-7), counting_variance(mean, unit), rtol=1e-4
    )


def test_large_means_by_the_delta_method():
    mean, unit = np.full((50, 1), 500.0), np.full(50, 0.3)
    rng = np.random.default_rng(0)
    sample = np.log1p(0.3 * rng.negative_binomial(5.0, 5.0 / 505.0, 200_000)).var()
    actual = counting_variance(mean, unit, overdispersion=0.2)[0]
    assert actual == pytest.approx(sample, rel=0.25)
