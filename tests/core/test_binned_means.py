from __future__ import annotations

import numpy as np
import pytest

from spatrace_sc._core.binned_means import bin_of, binned_means, line


def test_bins_have_equal_sizes_and_equal_values_share_one():
    x = np.random.default_rng(0).permutation(40).astype(float)
    code = bin_of(x, 4)
    assert np.bincount(code).tolist() == [10, 10, 10, 10]
    assert (np.diff(code[np.argsort(x)]) >= 0).all()
    silent = np.r_[np.zeros(30), np.arange(1.0, 11.0)]
    code = bin_of(silent, 4)
    assert set(code[:30]) == {0}
    assert code.max() == 1
    assert bin_of(np.ones(5), 3).tolist() == [0] * 5


def test_means_and_errors_by_hand():
    x = np.array([0.0, 2.0, 4.0, 6.0])
    y = np.array([1.0, 3.0, 4.0, 8.0])
    bins = binned_means(x, y, np.array([0, 0, 3, 3]), np.array([7, 9, 9, 9]))
    np.testing.assert_allclose(bins.x, [1, 5])
    np.testing.assert_allclose(bins.y, [2, 6])
    # two blocks with -1 and +1: 2/1 × (1 + 1) / 2² = 1; a single block has no error
    np.testing.assert_allclose(bins.se, [1.0, np.nan])
    assert bins.n.tolist() == [2, 2]


def test_errors_cover_what_blocks_share():
    """Cells of a block share a deviation: the error is that of blocks, not that of cells."""
    rng = np.random.default_rng(0)
    block = np.repeat(np.arange(20), 30)
    means, errors = [], []
    for _ in range(200):
        y = rng.normal(size=20)[block] + 0.1 * rng.normal(size=600)
        bins = binned_means(np.zeros(600), y, np.zeros(600, dtype=int), block)
        means.append(bins.y[0])
        errors.append(bins.se[0])
    assert np.mean(errors) == pytest.approx(np.std(means), rel=0.15)
    assert np.mean(errors) > 3 * 1.0 / np.sqrt(600)


def test_line_is_least_squares():
    rng = np.random.default_rng(1)
    x = rng.normal(3, 2, 5000)
    y = 0.5 * x + rng.normal(size=5000)
    fitted = line(x, y, np.arange(5000))
    slope = np.polyfit(x, y, 1)[0]
    assert fitted.slope == pytest.approx(slope)
    assert fitted.r2 == pytest.approx(np.corrcoef(x, y)[0, 1] ** 2)
    assert fitted.se == pytest.approx(1 / (2 * np.sqrt(5000)), rel=0.1)
    assert np.isnan(line(x, y, np.zeros(5000, dtype=int)).se)
    assert line(np.ones(5), np.arange(5.0), np.arange(5)).slope == 0
