from __future__ import annotations

import numpy as np
import pytest
from _helpers import dense
from _random_scene import random_scene
from scipy import sparse

from spatrace_sc._core.communication import (
    cell_matrix,
)


def naive_cell_matrix(weights, expression, by_ligand, exposure):
    n_receivers, n_senders = weights.shape
    matrix = np.zeros((n_senders, n_receivers))
    for i in range(n_receivers):
        for j in range(n_senders):
            for ligand in range(expression.shape[1]):
                if exposure[i, ligand] > 0:
                    matrix[j, i] += (
                        by_ligand[i, ligand]
                        * weights[i, j]
                        * expression[j, ligand]
                        / exposure[i, ligand]
                    )
    return matrix


@pytest.mark.parametrize("block", [1, 10, 2_000_000])
@pytest.mark.parametrize("seed", range(2))
def test_cell_matrix_equals_the_naive_loop(seed, block):
    scene = random_scene(seed)
    exposure = np.asarray(scene.weights @ scene.expression)
    by_ligand = np.random.default_rng(seed).random(exposure.shape).astype(np.float32)
    result = cell_matrix(scene.weights, scene.expression, by_ligand, exposure, block)
    expected = naive_cell_matrix(dense(scene.weights), scene.expression, by_ligand, exposure)
    assert result.shape == (25, 30)
    np.testing.assert_allclose(dense(result), expected, rtol=1e-4, atol=1e-7)
    assert (result.data > 0).all()


@pytest.mark.parametrize("seed", range(3))
def test_columns_of_the_cell_matrix_sum_to_the_activity(seed):
    scene = random_scene(20 + seed)
    exposure = np.asarray(scene.weights @ scene.expression)
    by_ligand = np.random.default_rng(seed).random(exposure.shape).astype(np.float32)
    matrix = cell_matrix(scene.weights, scene.expression, by_ligand, exposure)
    np.testing.assert_allclose(
        np.asarray(matrix.sum(axis=0)).ravel(),
        np.where(exposure > 0, by_ligand, 0).sum(axis=1),
        rtol=1e-4,
        atol=1e-6,
    )


def test_cell_matrix_of_nothing():
    matrix = cell_matrix(
        sparse.csr_matrix((3, 2), dtype=np.float32),
        np.zeros((2, 0), np.float32),
        np.zeros((3, 0), np.float32),
        np.zeros((3, 0), np.float32),
    )
    assert matrix.shape == (2, 3)
    assert matrix.nnz == 0
