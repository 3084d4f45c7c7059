"""Rows of a matrix that are identical."""

from __future__ import annotations

import numpy as np
import pytest

from spatrace_sc._core import identical_rows as module
from spatrace_sc._core.identical_rows import identical_rows


def test_identical_rows_by_hand():
    values = np.array([[1.0, 0.0], [2.0, 1.0], [1.0, -0.0], [1.0, 1e-12], [2.0, 1.0]])
    first, row_set = identical_rows(values)
    np.testing.assert_array_equal(first, [0, 1, 3])
    np.testing.assert_array_equal(row_set, [0, 1, 0, 2, 1])
    np.testing.assert_array_equal(identical_rows(np.zeros((3, 2)))[1], 0)
    assert len(identical_rows(np.zeros((0, 2)))[0]) == 0


def test_distinct_rows_keep_their_order():
    values = np.random.default_rng(0).permutation(50)[:, None].astype(float)
    first, row_set = identical_rows(values)
    np.testing.assert_array_equal(first, np.arange(50))
    np.testing.assert_array_equal(row_set, np.arange(50))


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_blocks_and_storage_do_not_matter(order, dtype, monkeypatch):
    rng = np.random.default_rng(1)
    profiles = rng.normal(size=(40, 331)).astype(dtype)
    chosen = rng.integers(40, size=500)
    values = np.asarray(profiles[chosen], order=order)
    monkeypatch.setattr(module, "BLOCK_VALUES", 331 * 7)
    first, row_set = identical_rows(values)
    assert len(first) == len(np.unique(chosen))
    np.testing.assert_array_equal(chosen[first][row_set], chosen)
