"""Solves from products of columns, and from a strong set, against the solver on the cells."""

from __future__ import annotations

import pytest
import torch

from spatrace_sc._model.config import TrainingConfig
from spatrace_sc._model.records import Weights
from spatrace_sc._model.regression import choose_penalty, strong_set
from spatrace_sc._model.regression import gram as module
from spatrace_sc._model.regression.choose_penalty import _CellFolds, _GramFolds
from spatrace_sc._model.regression.design import Design, StoredColumns
from spatrace_sc._model.regression.gram import Gram, is_worthwhile, solve_on_gram
from spatrace_sc._model.regression.lasso import solve
from spatrace_sc._model.regression.penalty import Penalty
from spatrace_sc._model.regression.regression import Regression
from spatrace_sc._model.regression.strong_set import solve_strong

N, P, G, LAM = 300, 90, 7, 0.06
EXACT = {"max_iterations": 5000, "tolerance": 1e-7}


@pytest.fixture(scope="module")
def regression():
    """Collinear columns, of which some may not act, with forbidden edges and unequal penalties."""
    g = torch.Generator().manual_seed(3)
    x = torch.randn(N, 12, generator=g) @ torch.randn(12, P, generator=g)
    x = x + torch.randn(N, P, generator=g)
    y = x[:, :9] @ torch.randn(9, G, generator=g) + 8.0 * torch.randn(N, G, generator=g)
    y = (y - y.mean(0)) / y.std(0)
    rows = torch.arange(N) % 5 != 0
    penalty = torch.linspace(0.7, 1.5, P)
    penalty[30] = torch.inf
    design = Design([StoredColumns(x[:, :50]), StoredColumns(x[:, 50:])], rows, penalty < torch.inf)
    forbidden = torch.tensor([[0, 5, 60], [1, 1, 4]])
    return Regression(design, y, rows, Penalty(penalty, forbidden), TrainingConfig())


def on_cells(regression, **more):
    r = regression
    return solve(r.design, r.targets[r.rows], r.rows, LAM, r.penalty, **EXACT, **more).dense(P)


def on_gram(regression, **more):
    r, gram = regression, Gram.of(regression.design, regression.rows, regression.design.columns)
    x = r.design[gram.columns][r.rows]
    moment = x.T @ r.targets[r.rows] / len(x)
    return solve_on_gram(gram, moment, LAM, r.penalty, **EXACT, **more).dense(P)


@pytest.mark.parametrize("block", [7, 512])
@pytest.mark.parametrize("floats", [1000, 10**8])
def test_products_by_hand(monkeypatch, regression, block, floats):
    monkeypatch.setattr(module, "BLOCK", block)
    monkeypatch.setattr(module, "MAX_BLOCK_FLOATS", floats)
    columns = torch.tensor([2, 3, 40, 41, 55, 70, 80, 89])
    gram = Gram.of(regression.design, regression.rows, columns)
    x = regression.design[columns][regression.rows]
    torch.testing.assert_close(gram.sums, x.T @ x, rtol=1e-4, atol=1e-3)
    assert gram.n == int(regression.rows.sum())


def test_weights_from_products_are_those_from_the_cells(regression):
    weights = on_gram(regression)
    torch.testing.assert_close(weights, on_cells(regression), atol=1e-4, rtol=0)
    assert 20 < int((weights != 0).sum()) < 0.8 * weights.numel()
    assert (weights[30] == 0).all()
    assert weights[0, 1] == weights[5, 1] == weights[60, 4] == 0


def test_some_columns_and_a_start(regression):
    among = torch.arange(0, P, 2)
    start = Weights(torch.tensor([2, 30]), torch.ones(2, G), LAM)
    expected = on_cells(regression, among=among)
    torch.testing.assert_close(on_gram(regression, among=among), expected, atol=1e-4, rtol=0)
    found = on_gram(regression, among=among, start=start)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    assert (expected[1::2] == 0).all()


def test_a_strong_set_gives_the_same_weights(monkeypatch, regression):
    r, sizes = regression, []
    made = Gram.of

    def noted(design, rows, columns):
        sizes.append(len(columns))
        return made(design, rows, columns)

    monkeypatch.setattr(strong_set.Gram, "of", noted)
    given = r.design, r.targets[r.rows], r.rows, LAM, r.penalty
    none = Weights(torch.empty(0, dtype=torch.long), torch.zeros(0, G), LAM)
    expected = on_cells(r)
    for share in (1.5, 2.5):
        monkeypatch.setattr(strong_set, "STRONG_SHARE", share)
        found = solve_strong(*given, start=none, among=r.design.columns, **EXACT).dense(P)
        torch.testing.assert_close(found, expected, atol=2e-4, rtol=0)
    assert min(sizes) < P - 1
    assert len(sizes) > 2, "columns that violate the conditions join"
    monkeypatch.setattr(strong_set, "MAX_COLUMNS", 1)
    found = solve_strong(*given, start=none, among=r.design.columns, **EXACT).dense(P)
    torch.testing.assert_close(found, expected, atol=2e-4, rtol=0)


def test_without_the_check_a_strong_set_misses_columns(monkeypatch, regression):
    r = regression
    monkeypatch.setattr(strong_set, "STRONG_SHARE", 2.5)
    monkeypatch.setattr(strong_set, "VIOLATION_FACTOR", torch.inf)
    none = Weights(torch.empty(0, dtype=torch.long), torch.zeros(0, G), LAM)
    given = r.design, r.targets[r.rows], r.rows, LAM, r.penalty
    found = solve_strong(*given, start=none, among=r.design.columns, **EXACT).dense(P)
    assert (found - on_cells(r)).abs().max() > 0.01


def test_folds_from_products_are_folds_of_cells(monkeypatch, regression):
    monkeypatch.setattr(choose_penalty, "SOLVED_ROUGHLY", EXACT)
    fold = torch.arange(N) // 30 % 3
    cells, products = _CellFolds(regression, fold), _GramFolds(regression, fold, 3)
    for k in range(3):
        one, two = cells.solve(k, LAM, None), products.solve(k, LAM, None)
        torch.testing.assert_close(one.dense(P), two.dense(P), atol=1e-4, rtol=0)
        torch.testing.assert_close(cells.error(k, one), products.error(k, one), rtol=1e-4, atol=0)


def test_products_serve_few_columns_and_many_targets():
    assert is_worthwhile(1700, 200)
    assert not is_worthwhile(1700, 5)
    assert not is_worthwhile(90_000, 2000)
    assert not is_worthwhile(0, 5)


def test_a_regression_with_products_gives_the_same_weights(regression):
    with_products = regression.with_gram()
    assert with_products.gram is not None
    one, two = regression.solve(LAM).dense(P), with_products.solve(LAM).dense(P)
    torch.testing.assert_close(one, two, atol=2e-3, rtol=0)
