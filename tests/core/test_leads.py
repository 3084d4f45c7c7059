"""Leads in time, against a slow oracle and on chains whose direction is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from spatrace_sc._core.leads import leads

N_LINES, N_STEPS = 60, 25


def chains(seed=0, noise=0.5):
    """Return levels of A, B, C, D in many lines of descent, and the transitions to the cell before.

    A activates B and represses C, each of which follows it; D follows nothing.
    """
    rng = np.random.default_rng(seed)
    a, b, c, d = np.zeros((4, N_LINES))
    levels = []
    for _ in range(N_STEPS):
        kick = rng.normal(size=(2, N_LINES))
        b, c = 0.6 * b + 0.4 * a, 0.6 * c - 0.4 * a
        a, d = 0.8 * a + 0.6 * kick[0], 0.8 * d + 0.6 * kick[1]
        levels.append(np.stack([a, b, c, d], axis=1))
    values = np.stack(levels, axis=1).reshape(-1, 4)
    cell = np.arange(len(values))
    has_past = cell % N_STEPS > 0
    shape = (len(values), len(values))
    entries = (np.ones(has_past.sum()), (cell[has_past], cell[has_past] - 1))
    backward = sparse.csr_matrix(entries, shape=shape)
    return values + noise * rng.normal(size=values.shape), backward, cell // N_STEPS


def measured(values, backward, block, seed=0):
    nothing = np.empty((len(values), 0))
    return leads(backward, values, values, nothing, block, np.random.default_rng(seed))


def test_a_regulator_leads_what_it_drives_and_not_the_reverse():
    result = measured(*chains())
    z = result.lead / result.se
    assert z[0, 1] > 1.5
    assert z[1, 0] < -1.5
    assert z[0, 2] < -1.5  # represses: the sign of the effect makes it a lead
    assert z[2, 0] > 1.5
    assert abs(z[0, 3]) < 1.5
    assert result.order_share > 0.5


def test_leads_are_those_of_a_slow_loop():
    values, backward, block = chains()
    result = measured(values, backward, block)
    matrix = backward.toarray()
    has_past, has_future = matrix.sum(1) > 0, matrix.sum(0) > 0
    before, after = matrix @ values, matrix.T @ values
    before[has_past] -= before[has_past].mean(axis=0)
    after[has_future] -= after[has_future].mean(axis=0)
    now = values - values.mean(axis=0)

    def covariance(first, second):
        past = np.mean(before[has_past, first] * now[has_past, second])
        return past + np.mean(now[has_future, first] * after[has_future, second])

    for f in range(4):
        for g in range(4):
            one, other = covariance(f, g), covariance(g, f)
            lead = 0.0 if f == g else (one - other) / (abs(one) + abs(other))
            assert result.lead[f, g] == pytest.approx(lead, abs=1e-9)


def test_reversed_time_reverses_every_lead():
    values, backward, block = chains()
    there = measured(values, backward, block)
    back = measured(values, sparse.csr_matrix(backward.T), block)
    np.testing.assert_allclose(there.lead, -back.lead, atol=1e-9)


def test_a_gene_has_no_lead_over_itself():
    result = measured(*chains())
    assert np.isinf(np.diag(result.se)).all()
    assert (np.diag(result.lead) == 0).all()


def test_count_noise_on_one_side_gives_no_lead():
    """Two genes with one level, the second measured with much noise."""
    values, backward, block = chains(noise=0.0)
    rng = np.random.default_rng(1)
    twins = np.column_stack([values[:, 0], values[:, 0] + 2.0 * rng.normal(size=len(values))])
    genes = np.column_stack([twins, values])
    result = measured(genes, backward, block)
    assert abs(result.lead[0, 1]) < 1.3 * result.se[0, 1]


@pytest.mark.parametrize("seed", range(3))
def test_random_order_explains_little(seed):
    values, backward, block = chains()
    order = np.random.default_rng(seed + 10).permutation(len(values))
    both = (backward + backward.T).tocoo()
    back = order[both.col] < order[both.row]
    entries = (both.data[back], (both.row[back], both.col[back]))
    random = sparse.csr_matrix(entries, shape=backward.shape)
    assert measured(values, random, block, seed).order_share < 0.5


def test_covariates_are_regressed_out():
    values, backward, block = chains()
    shift = 50.0 * (block % 2)[:, None]
    nothing = np.random.default_rng(0)
    plain = leads(backward, values, values, shift, block, nothing)
    shifted = leads(backward, values + shift, values + shift, shift, block, nothing)
    np.testing.assert_allclose(plain.lead, shifted.lead, atol=1e-6)


def test_constant_genes_and_a_single_block_have_no_standard_error():
    values, backward, block = chains()
    values[:, 3] = 0.0
    assert np.isinf(measured(values, backward, block).se[:, 3]).all()
    one = measured(values, backward, np.zeros(len(values), dtype=int))
    assert np.isinf(one.se).all()
    assert one.order_share == 0.0
