"""Gram matrices of working sets and what sparse weights predict, against plain products."""

from __future__ import annotations

import pytest
import torch

from spatrace_sc._model.regression import fista

N, A, G = 37, 12, 5


@pytest.fixture
def working():
    g = torch.Generator().manual_seed(0)
    active = torch.rand(A, G, generator=g) < 0.4
    active[:, 3] = False  # a target without columns
    values = torch.randn(A, G, generator=g) * active
    x = torch.randn(2 * A, N, generator=g)
    return fista.Working(torch.arange(A), values, active, x, torch.arange(1, 2 * A, 2))


def test_predictions_are_the_product(working):
    x = working.x[working.position]
    torch.testing.assert_close(fista.predict(x, working.values), x.T @ working.values)
    torch.testing.assert_close(
        fista.predict(working.x, working.values, working.position), x.T @ working.values
    )
    none = torch.zeros(0, G)
    assert torch.equal(fista.predict(torch.zeros(0, N), none), torch.zeros(N, G))


@pytest.mark.parametrize("at_once", [1, 200, 10**9])
def test_grams_are_those_of_every_target(monkeypatch, working, at_once):
    monkeypatch.setattr(fista, "floats_at_once", lambda device: at_once)
    targets = torch.randn(N, G)
    width = int(working.active.sum(0).max())
    index, valid = fista._active_columns(working.active, width)
    gram, moment = fista._grams(working.x, targets, working.position[index])
    for t in range(G):
        columns = torch.nonzero(working.active[:, t])[:, 0]
        k = len(columns)
        assert torch.equal(index[t, :k], columns)
        assert valid[t].tolist() == [True] * k + [False] * (width - k)
        x = working.x[working.position[columns]]
        torch.testing.assert_close(gram[t, :k, :k], x @ x.T / N)
        torch.testing.assert_close(moment[t, :k], x @ targets[:, t] / N)


@pytest.mark.parametrize("grams", [1, 100, 10**9])
def test_batches_of_targets_change_nothing(monkeypatch, working, grams):
    targets = torch.randn(N, G, generator=torch.Generator().manual_seed(1))
    threshold = torch.full((A, G), 0.05)
    usual = fista._solve_apart(working, targets, threshold, 3000, 1e-7)
    monkeypatch.setattr(fista, "MAX_GRAM_FLOATS", grams)
    torch.testing.assert_close(
        fista._solve_apart(working, targets, threshold, 3000, 1e-7), usual, atol=1e-5, rtol=0
    )
    assert bool((usual[~working.active] == 0).all())
    assert bool((usual != 0).any())


def test_together_and_apart_agree_where_every_target_may_use_all(working):
    every = working._replace(active=torch.ones(A, G, dtype=torch.bool))
    targets = torch.randn(N, G, generator=torch.Generator().manual_seed(2))
    threshold = torch.full((A, G), 0.02)
    one, two = (
        f(every, targets, threshold, 5000, 1e-7)
        for f in (fista._solve_together, fista._solve_apart)
    )
    torch.testing.assert_close(one, two, atol=1e-4, rtol=0)
