"""Features of genes against slow loops and numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from spatrace_sc._core.gene_features import (
    FEATURES,
    cell_structure,
    gene_features,
    morans_i,
    nearest_weights,
    share_between,
    time_bins,
)

RNG = np.random.default_rng(4)
N = 60
COORDS = RNG.uniform(0, 10, (N, 2))
SAMPLE = RNG.integers(0, 2, N)
VALUES = np.column_stack(
    [RNG.random((N, 3)), COORDS[:, 0], np.where(RNG.random(N) > 0.8, COORDS[:, 1], 0.0)]
)


def slow_weights(coords, sample, k):
    weights = np.zeros((len(coords), len(coords)))
    for i in range(len(coords)):
        others = [j for j in range(len(coords)) if sample[j] == sample[i] and j != i]
        others.sort(key=lambda j: np.linalg.norm(coords[j] - coords[i]))
        for j in others[:k]:
            weights[i, j] = 1 / min(k, len(others))
    return weights


def slow_moran(x, weights):
    n, top, bottom = len(x), 0.0, 0.0
    for i in range(n):
        bottom += (x[i] - x.mean()) ** 2
        for j in range(n):
            top += weights[i, j] * (x[i] - x.mean()) * (x[j] - x.mean())
    return n / weights.sum() * top / bottom


def slow_share(x, group):
    x, group = x[group >= 0], group[group >= 0]
    between = sum(
        (group == g).sum() * (x[group == g].mean() - x.mean()) ** 2 for g in np.unique(group)
    )
    return between / ((x - x.mean()) ** 2).sum()


@pytest.mark.parametrize("k", [1, 4, 10])
def test_neighbours_are_the_nearest_of_the_slice(k):
    weights = nearest_weights(COORDS, SAMPLE, k).toarray()
    np.testing.assert_allclose(weights, slow_weights(COORDS, SAMPLE, k))


def test_small_slices_and_shared_positions():
    coords = np.array([[0.0, 0], [0, 0], [0, 0], [0, 0], [5, 5], [6, 5], [9, 9]])
    weights = nearest_weights(coords, np.array([0, 0, 0, 0, 1, 1, 2]), k=2).toarray()
    assert not np.diag(weights).any()
    np.testing.assert_allclose(weights.sum(axis=1), [1, 1, 1, 1, 1, 1, 0])
    assert weights[4, 5] == weights[5, 4] == 1
    assert not weights[:4, 4:].any()
    assert nearest_weights(coords[:2], np.array([0, 1])).nnz == 0


def test_morans_i_is_that_of_a_slow_loop():
    weights = nearest_weights(COORDS, SAMPLE)
    slow = [slow_moran(x, weights.toarray()) for x in VALUES.T]
    np.testing.assert_allclose(morans_i(VALUES, weights), slow, rtol=1e-9)
    assert slow[3] > 0.5 > 0.2 > abs(slow[0])


def test_a_cell_alone_in_its_slice_has_no_neighbour():
    sample = np.append(SAMPLE[:-1], 7)
    weights = nearest_weights(COORDS, sample)
    slow = [slow_moran(x, weights.toarray()) for x in VALUES.T]
    np.testing.assert_allclose(morans_i(VALUES, weights), slow, rtol=1e-9)


def test_share_of_variance_between_groups():
    group = RNG.integers(-1, 3, N)
    values = VALUES + (group[:, None] == 1) * np.array([0.0, 1, 5, 0, 0])
    slow = [slow_share(x, group) for x in values.T]
    np.testing.assert_allclose(share_between(values, group), slow, rtol=1e-9)
    by_hand = share_between(np.array([[0.0, 0], [0, 2], [2, 0], [2, 2]]), np.array([0, 0, 1, 1]))
    np.testing.assert_allclose(by_hand, [1, 0], atol=1e-12)


def test_bins_of_time():
    np.testing.assert_array_equal(np.bincount(time_bins(RNG.permutation(100) / 7)), [10] * 10)
    stages = np.array([1.0] * 70 + [2.0] * 30 + [np.nan])
    bins = time_bins(stages)
    assert bins[-1] == -1
    assert len(set(bins[:70])) == len(set(bins[70:100])) == 1
    assert bins[0] != bins[70]
    assert (time_bins(np.array([1.0, 2.0, np.nan])) == -1).all()


def test_constant_genes_and_cells_without_time():
    cells = cell_structure(COORDS, SAMPLE.astype(str), SAMPLE, np.full(N, np.nan))
    features = gene_features(np.column_stack([np.full(N, 0.1), VALUES]).astype(np.float32), cells)
    assert features.shape == (6, len(FEATURES))
    np.testing.assert_allclose(features[0], [0.1, 0, 0, 0], rtol=1e-6)
    assert not features[:, FEATURES.index("time_share")].any()
    np.testing.assert_allclose(features[1:, 0], VALUES.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(
        features[1:, 1], [slow_share(x, SAMPLE) for x in VALUES.T], rtol=1e-3, atol=1e-6
    )


def test_the_order_of_cells_does_not_matter():
    time, types = RNG.random(N), RNG.choice(["a", "b"], N)
    order = RNG.permutation(N)
    one = gene_features(VALUES, cell_structure(COORDS, types, SAMPLE, time))
    other = gene_features(
        VALUES[order], cell_structure(COORDS[order], types[order], SAMPLE[order], time[order])
    )
    np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)
