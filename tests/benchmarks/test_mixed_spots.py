"""Spots that the benchmark of mixed spots bins from single cells."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.road import mixed_spots

import spatrace_sc as st


@pytest.fixture(scope="module")
def cells():
    return st.datasets.simulated(n_cells=600, n_targets=5, n_background=20)


@pytest.mark.parametrize("n", [2, 10])
def test_spots_hold_the_counts_and_types_of_their_cells(cells, n):
    binned = mixed_spots.spots(cells, n, 0)
    assert 0.6 * n < cells.n_obs / binned.n_obs < 1.4 * n
    assert binned.layers["counts"].sum() == pytest.approx(cells.layers["counts"].sum())
    for key in ("true", "noisy"):
        np.testing.assert_allclose(binned.obsm[key].sum(axis=1), 1.0)
    assert 0.02 < np.sqrt(((binned.obsm["true"] - binned.obsm["noisy"]) ** 2).mean().mean()) < 0.15
    largest = binned.obsm["true"].idxmax(axis=1)
    assert (largest == binned.obs["cell_type"]).mean() > 0.9  # but for ties
    linear = np.expm1(binned.X.toarray())
    np.testing.assert_allclose(linear.sum(axis=1), np.median(linear.sum(axis=1)), rtol=1e-3)


def test_single_cells_are_attributed_without_error(cells):
    names = cells.obs["cell_type"].to_numpy(dtype=str)
    types = mixed_spots.one_hot(names).values
    scene, _ = mixed_spots._scene(cells, 1, types, own=False)
    shares = mixed_spots._shares(scene, "level")
    np.testing.assert_allclose(shares.sum(axis=(0, 1)), 1.0)
    np.testing.assert_allclose(mixed_spots._shares(scene, "proportion"), shares, atol=1e-5)
