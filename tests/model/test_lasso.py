"""The solver against scikit-learn and against its own optimality conditions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import Lasso

from spatrace_sc._model.regression import lasso
from spatrace_sc._model.regression.design import Design, StoredColumns
from spatrace_sc._model.regression.lasso import largest_penalty, solve
from spatrace_sc._model.regression.penalty import Penalty


def make(n=200, p=30, g=4, seed=0, *, cache=False):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, p)).astype(np.float32)
    x[:, 1] = x[:, 0] + 0.3 * x[:, 1]
    w = np.zeros((p, g))
    w[[0, 3, 7]] = rng.normal(size=(3, g))
    y = x @ w + rng.normal(size=(n, g))
    y = torch.from_numpy(((y - y.mean(0)) / y.std(0)).astype(np.float32))
    x = torch.from_numpy(x)
    rows = torch.ones(n, dtype=torch.bool)
    groups = [StoredColumns(x[:, :10]), StoredColumns(x[:, 10:])]
    return Design(groups, rows, cache=cache), y, rows


def no_edges():
    return torch.empty((2, 0), dtype=torch.long)


@pytest.mark.filterwarnings("ignore:Objective did not converge")
@pytest.mark.parametrize(("lam", "cache"), [(0.02, False), (0.1, True), (0.3, False), (0.02, True)])
def test_solve_equals_lasso(lam, cache):
    design, y, rows = make(cache=cache)
    x = design[torch.arange(30)].numpy()
    weights_found = solve(
        design,
        y,
        rows,
        lam,
        Penalty(torch.ones(30), no_edges()),
        max_iterations=3000,
        tolerance=1e-7,
    ).dense(30)
    for g in range(y.shape[1]):
        expected = (
            Lasso(alpha=lam, tol=1e-8, max_iter=100_000, fit_intercept=False)
            .fit(x, y[:, g].numpy())
            .coef_
        )
        np.testing.assert_allclose(weights_found[:, g], expected, atol=2e-3)
        np.testing.assert_array_equal(weights_found[:, g].numpy() == 0, np.abs(expected) < 1e-9)


def test_optimality_holds_for_every_column():
    design, y, rows = make(p=60)
    penalty = Penalty(torch.linspace(0.5, 2.0, 60), no_edges())
    lam = 0.08
    weights_found = solve(design, y, rows, lam, penalty, max_iterations=3000, tolerance=1e-7)
    weights = weights_found.dense(60)
    slope = design[torch.arange(60)].T @ (y - design[torch.arange(60)] @ weights) / len(y)
    bound = lam * penalty.row[:, None]
    assert bool((slope.abs() <= 1.0021 * bound + 1e-4).all())
    active = weights != 0
    assert active.any()
    torch.testing.assert_close(
        slope[active], (torch.sign(weights) * bound)[active], atol=2e-3, rtol=0
    )


def worst_outside():
    """Largest ratio of slope to penalty of a column without a weight, among similar columns."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(400, 15)) @ rng.normal(size=(15, 600)) + rng.normal(size=(400, 600))
    y = x[:, :40] @ rng.normal(size=(40, 20)) + 20 * rng.normal(size=(400, 20))
    y = torch.from_numpy(((y - y.mean(0)) / y.std(0)).astype(np.float32))
    rows = torch.ones(400, dtype=torch.bool)
    design, every = (
        Design([StoredColumns(torch.from_numpy(x.astype(np.float32)))], rows),
        torch.arange(600),
    )
    lam, penalty = 0.05, Penalty(torch.ones(600), no_edges())
    weights = solve(design, y, rows, lam, penalty, max_iterations=5000, tolerance=1e-7).dense(600)
    slope = design[every].T @ (y - design[every] @ weights) / len(y)
    return float((slope.abs() / lam)[weights == 0].max())


def test_nothing_is_left_outside_that_would_enter(monkeypatch):
    assert worst_outside() <= 1.0021
    monkeypatch.setattr(lasso, "VIOLATION_FACTOR", 1.01)
    assert worst_outside() > 1.0021, "a slacker rule is not noticed"


def test_start_does_not_change_the_answer():
    design, y, rows = make()
    penalty = Penalty(torch.ones(30), no_edges())
    loose = solve(design, y, rows, 0.02, penalty)
    cold = solve(design, y, rows, 0.1, penalty, max_iterations=3000, tolerance=1e-7).dense(30)
    warm = solve(
        design, y, rows, 0.1, penalty, start=loose, max_iterations=3000, tolerance=1e-7
    ).dense(30)
    torch.testing.assert_close(cold, warm, atol=1e-3, rtol=0)


def test_nothing_is_kept_at_the_largest_penalty_and_something_below():
    design, y, rows = make()
    penalty = Penalty(torch.ones(30), no_edges())
    top = largest_penalty(design, y, rows, penalty)
    assert len(solve(design, y, rows, 1.01 * top, penalty).rows) == 0
    assert len(solve(design, y, rows, 0.9 * top, penalty).rows) >= 1


def test_forbidden_edges_and_tf_penalties():
    design, y, rows = make()
    free = solve(design, y, rows, 0.05, Penalty(torch.ones(30), no_edges())).dense(30)
    assert free[0, 1] != 0
    assert free[3, 2] != 0
    forbidden = torch.tensor([[0, 3], [1, 2]])
    tf = torch.ones(10, 4)
    tf[7] = 1e6
    tf_of = torch.full((30,), -1)
    tf_of[:10] = torch.arange(10)
    bound = solve(design, y, rows, 0.05, Penalty(torch.ones(30), forbidden, tf, tf_of)).dense(30)
    assert bound[0, 1] == 0
    assert bound[3, 2] == 0
    assert (bound[7] == 0).all()
    assert bound[0, 0] != 0


def test_constant_and_empty_columns_are_harmless():
    x = torch.randn(100, 3, generator=torch.Generator().manual_seed(0))
    x[:, 1] = 5.0
    rows = torch.ones(100, dtype=torch.bool)
    design = Design([StoredColumns(x)], rows)
    y = (x[:, :1] - x[:, :1].mean()) / x[:, :1].std()
    weights = solve(design, y, rows, 0.1, Penalty(torch.ones(3), no_edges())).dense(3)
    assert weights[0, 0] > 0.8
    assert weights[1, 0] == 0
    assert torch.isfinite(weights).all()
    assert design[torch.empty(0, dtype=torch.long)].shape == (100, 0)


def test_design_standardises_on_the_given_rows_and_ignores_block_size(monkeypatch):
    import spatrace_sc._model.regression.design as module

    x = torch.randn(50, 7, generator=torch.Generator().manual_seed(1)) * 3 + 2
    rows = torch.arange(50) < 30
    full = Design([StoredColumns(x)], rows)
    values = full[torch.arange(7)]
    torch.testing.assert_close(values[rows].mean(0), torch.zeros(7), atol=1e-5, rtol=0)
    torch.testing.assert_close(values[rows].std(0, correction=0), torch.ones(7))
    assert (values[~rows].mean(0).abs() > 1e-3).any()
    monkeypatch.setattr(module, "MAX_BLOCK_FLOATS", 100)
    pieces = Design([StoredColumns(x)], rows)
    torch.testing.assert_close(pieces[torch.arange(7)], values)
