from __future__ import annotations

import math

import numpy as np
import pytest
from _helpers import dense, is_acyclic
from scipy import sparse

from spatrace_sc._core.cell_order import (
    is_discrete,
    order_within_stages,
)
from spatrace_sc._core.transitions import (
    backward,
    blend,
    forward_knn,
    reach,
    row_normalise,
    with_ends,
    within_stages,
)


def nearest(embedding, cell, others):
    """The other cells, nearest first."""
    return sorted(
        (o for o in others if o != cell), key=lambda o: math.dist(embedding[cell], embedding[o])
    )


def later_edges(embedding, order, cells, k, search_factor=3):
    edges = set()
    for cell in cells:
        searched = nearest(embedding, cell, cells)[: k * search_factor]
        edges |= {(cell, o) for o in [o for o in searched if order[o] > order[cell]][:k]}
        edges |= {(o, cell) for o in [o for o in searched if order[o] < order[cell]][:k]}
    return edges


def naive_forward(embedding, time, n_neighbors):
    """Transitions, one cell at a time."""
    n = len(time)
    k = min(n_neighbors, n - 1)
    if is_discrete(time):
        order, half = order_within_stages(embedding, time), max(1, k // 2)
        stages = [[c for c in range(n) if time[c] == s] for s in sorted(set(time.tolist()))]
        edges = set()
        for number, stage in enumerate(stages):
            edges |= later_edges(embedding, order, stage, half)
            if number + 1 < len(stages):
                after = stages[number + 1]
                edges |= {(c, o) for c in stage for o in nearest(embedding, c, after)[:half]}
                edges |= {(o, c) for c in after for o in nearest(embedding, c, stage)[:half]}
    else:
        order = time
        edges = later_edges(embedding, time, list(range(n)), k)
    for cell in set(range(n)) - {b for _, b in edges}:
        earlier = [c for c in range(n) if order[c] < order[cell]]
        edges |= {(o, cell) for o in nearest(embedding, cell, earlier)[:k]}
    around = {
        c: [math.dist(embedding[a], embedding[b]) for a, b in edges if c in (a, b)]
        for c in range(n)
    }
    matrix = np.zeros((n, n))
    for a, b in edges:
        squared = math.dist(embedding[a], embedding[b]) ** 2
        matrix[a, b] = max(
            1e-6, math.exp(-squared / (2.0 * np.mean(around[a]) * np.mean(around[b])))
        )
    for cell in range(n):
        if not matrix[cell].any():
            matrix[cell, cell] = 1.0
    return matrix / matrix.sum(axis=1, keepdims=True)


def scene(seed, kind, n=60):
    rng = np.random.default_rng(seed)
    latent = rng.random(n)
    embedding = np.column_stack([3 * latent, rng.normal(size=n), rng.normal(size=n)])
    time = {
        "continuous": latent,
        "ties": np.round(latent * 40) / 40,
        "stages": np.floor(latent * 3) + 10.5,
        "integer stages": np.floor(latent * 4).astype(int),
    }[kind]
    return embedding, time


KINDS = ["continuous", "ties", "stages", "integer stages"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_neighbors", [1, 4, 7])
def test_forward_equals_the_naive_loop(kind, n_neighbors):
    embedding, time = scene(0, kind)
    result = dense(forward_knn(embedding, time, n_neighbors=n_neighbors))
    np.testing.assert_allclose(result, naive_forward(embedding, time, n_neighbors), atol=2e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_rows_are_probabilities_that_go_forward(kind, seed):
    embedding, time = scene(seed, kind, n=150)
    matrix = forward_knn(embedding, time, n_neighbors=5)
    assert matrix.shape == (150, 150)
    assert matrix.data.min() > 0
    np.testing.assert_allclose(np.asarray(matrix.sum(axis=1)).ravel(), 1.0, atol=1e-5)
    order = order_within_stages(embedding, time) if is_discrete(time) else time
    entries = matrix.tocoo()
    off = entries.row != entries.col
    assert (order[entries.col[off]] > order[entries.row[off]]).all()
    assert (time[entries.col] >= time[entries.row]).all()
    assert is_acyclic((dense(matrix) > 0) & ~np.eye(150, dtype=bool))


@pytest.mark.parametrize("kind", KINDS)
def test_a_cell_stays_only_if_it_goes_nowhere(kind):
    embedding, time = scene(1, kind, n=150)
    matrix = dense(forward_knn(embedding, time, n_neighbors=5))
    stays = np.diag(matrix) > 0
    assert stays.any()
    np.testing.assert_allclose(np.diag(matrix)[stays], 1.0)
    assert ((matrix[stays] > 0).sum(axis=1) == 1).all()


@pytest.mark.parametrize("kind", ["continuous", "ties"])
def test_only_the_last_cells_stay_when_everyone_is_looked_at(kind):
    embedding, time = scene(2, kind, n=40)
    matrix = dense(
        forward_knn(embedding, time, n_neighbors=15)
    )  # looks at 45 neighbours, all there are
    np.testing.assert_array_equal(np.diag(matrix) > 0, time == time.max())


def test_every_cell_but_the_first_has_a_past_when_everyone_is_looked_at():
    embedding, time = scene(3, "continuous", n=40)
    matrix = dense(backward(forward_knn(embedding, time, n_neighbors=15)))
    np.testing.assert_array_equal(matrix.sum(axis=1) > 0, time > time.min())


def test_every_cell_but_the_first_has_a_past_across_a_gap():
    rng = np.random.default_rng(0)
    embedding = np.vstack([rng.normal(size=(80, 2)), rng.normal(size=(80, 2)) + 50.0])
    time = np.concatenate([rng.uniform(0.0, 0.4, 80), rng.uniform(0.6, 1.0, 80)])
    forward = forward_knn(embedding, time, n_neighbors=5)
    past = np.asarray(backward(forward).sum(axis=1)).ravel() > 0
    np.testing.assert_array_equal(past, time > time.min())


def test_stages_link_to_themselves_and_to_the_next_only():
    embedding, time = scene(4, "integer stages", n=200)
    entries = forward_knn(embedding, time, n_neighbors=6).tocoo()
    step = time[entries.col] - time[entries.row]
    assert set(step.tolist()) == {0, 1}


def test_identical_cells_are_no_obstacle():
    matrix = dense(forward_knn(np.zeros((30, 3)), np.linspace(0, 1, 30), n_neighbors=4))
    np.testing.assert_allclose(matrix.sum(axis=1), 1.0, atol=1e-5)
    assert np.isfinite(matrix).all()
    assert (np.tril(matrix, -1) == 0).all()


def test_more_neighbours_than_cells():
    embedding, time = scene(5, "continuous", n=6)
    matrix = dense(forward_knn(embedding, time, n_neighbors=50))
    later = time[None, :] > time[:, None]
    np.testing.assert_array_equal((matrix > 0) & ~np.eye(6, dtype=bool), later)


def test_order_of_cells_does_not_matter():
    embedding, time = scene(6, "continuous", n=80)
    order = np.random.default_rng(0).permutation(80)
    moved = dense(forward_knn(embedding[order], time[order], n_neighbors=5))
    np.testing.assert_allclose(
        moved, dense(forward_knn(embedding, time, n_neighbors=5))[np.ix_(order, order)], atol=1e-6
    )


def test_rows_are_normalised_and_empty_ones_stay_empty():
    matrix = sparse.csr_matrix(np.array([[2.0, 6.0], [0.0, 0.0]]))
    normalised = row_normalise(matrix)
    np.testing.assert_allclose(dense(normalised), [[0.25, 0.75], [0.0, 0.0]])
    assert normalised.dtype == np.float32
    np.testing.assert_array_equal(dense(matrix), [[2.0, 6.0], [0.0, 0.0]])


@pytest.mark.parametrize("kind", KINDS)
def test_backward_is_the_column_normalised_transpose_without_the_diagonal(kind):
    embedding, time = scene(7, kind)
    forward = forward_knn(embedding, time, n_neighbors=4)
    given = dense(forward)
    expected = np.zeros_like(given)
    n = len(given)
    for j in range(n):
        total = sum(given[i, j] for i in range(n) if i != j)
        for i in range(n):
            if i != j and total > 0:
                expected[j, i] = given[i, j] / total
    result = dense(backward(forward))
    np.testing.assert_allclose(result, expected, atol=1e-6)
    assert (np.diag(result) == 0).all()
    assert set(np.round(result.sum(axis=1), 4)) <= {0.0, 1.0}


def test_a_given_order_decides_among_cells_of_one_stage():
    rng = np.random.default_rng(0)
    embedding, time = rng.normal(size=(60, 3)), np.repeat([0.0, 1.0], 30)
    order = time + rng.permutation(60) / 100
    matrix = forward_knn(embedding, time, n_neighbors=6, order=order).tocoo()
    apart = matrix.row != matrix.col
    assert (order[matrix.col[apart]] > order[matrix.row[apart]]).all()


def test_reach_by_hand():
    """0 → 1 → 3 and 0 → 2, half of 2 → 3; cell 4 is alone."""
    matrix = np.zeros((5, 5))
    matrix[0, [1, 2]] = 0.5
    matrix[1, 3] = 1.0
    matrix[2, [2, 3]] = 0.5
    share, span = reach(sparse.csr_matrix(matrix), np.array([0.0, 1.0, 2.0, 4.0, 9.0]), n_steps=3)
    np.testing.assert_allclose(share, [3 / 5, 1 / 5, 0])
    back = (1.0 + 2.0 + (4 - (1.0 * 1 + 0.5 * 2) / 1.5)) / 3  # cells 1, 2 and 3
    np.testing.assert_allclose(span, [back, 4.0, np.nan])


def test_reach_equals_the_walk_over_paths():
    embedding, time = scene(8, "continuous", n=50)
    forward = forward_knn(embedding, time, n_neighbors=3)
    past = dense(backward(forward))
    share, span = reach(forward, time, n_steps=4)
    power = np.eye(50)
    for step in range(4):
        power = power @ past
        mass = power.sum(axis=1)
        members = mass > 1e-6
        assert share[step] == pytest.approx(members.mean())
        assert span[step] == pytest.approx(
            (time - power @ time / np.maximum(mass, 1e-12))[members].mean(), abs=1e-4
        )
    assert (np.diff(share) <= 0).all()
    assert (np.diff(span) > 0).all()


def test_within_stages_is_forward_knn_in_each():
    embedding, time = scene(9, "integer stages", n=80)
    order = order_within_stages(embedding, time)
    result = dense(within_stages(embedding, time, order, n_neighbors=4))
    expected = np.zeros((80, 80))
    for stage in np.unique(time):
        members = np.flatnonzero(time == stage)
        expected[np.ix_(members, members)] = dense(
            forward_knn(embedding[members], order[members], n_neighbors=4, order=order[members])
        )
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(result, expected, atol=1e-6)
    row, col = np.nonzero(result)
    assert (order[col] > order[row]).all()
    past = result.sum(axis=0) > 0
    assert (~past).sum() == len(np.unique(time))  # only the first of each stage has none


def test_within_stages_of_single_cells_is_empty():
    assert within_stages(np.zeros((3, 2)), np.arange(3), np.arange(3.0), n_neighbors=4).nnz == 0


def test_blend_by_hand():
    one = sparse.csr_matrix(np.array([[2.0, 2.0, 0.0], [0.0, 0.0, 5.0], [0.0, 0.0, 0.0]]))
    two = sparse.csr_matrix(np.array([[0.0, 0.0, 3.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]))
    expected = [[0.375, 0.375, 0.25], [0, 0, 1], [0, 0, 0]]
    np.testing.assert_allclose(dense(blend(one, two, 0.25)), expected)


def test_empty_rows_stay_where_they_are():
    matrix = sparse.csr_matrix(np.array([[0.0, 0.5], [0.0, 0.0]]))
    np.testing.assert_allclose(dense(with_ends(matrix)), [[0.0, 0.5], [0.0, 1.0]])
