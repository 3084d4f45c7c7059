"""Columns computed when they are needed."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
import torch
from _planted import CONFIG, planted

from spatrace_sc._model.network.observe import build_network, signals_of
from spatrace_sc._model.regression.design import (
    Design,
    PairParameters,
    SignalColumns,
    StoredColumns,
    _columns_at_once,
)

N, L, R = 90, 5, 4


def grid(exponent=1.0, order=None):
    """Every ligand with every receptor, or some of them in any order."""
    g = torch.Generator().manual_seed(0)
    ligand, receptor = torch.arange(L).repeat_interleave(R), torch.arange(R).repeat(L)
    half = torch.rand(L * R, generator=g) + 0.3
    exposure, level = torch.rand(N, L, generator=g) * 3, torch.rand(N, R, generator=g) * 2
    if order is not None:
        ligand, receptor, half = ligand[order], receptor[order], half[order]
    dose = (exposure[:, ligand] * level[:, receptor] / half) ** exponent
    return SignalColumns(PairParameters(ligand, receptor, half, exponent), exposure, level), (
        dose / (1 + dose)
    ).T


@pytest.mark.parametrize("exponent", [1.0, 2.0])
def test_every_run_of_pairs_equals_the_formula(exponent):
    signals, slow = grid(exponent)
    for low in range(L * R + 1):
        for high in range(low, L * R + 1):
            torch.testing.assert_close(signals.values(torch.arange(low, high)), slow[low:high])


@pytest.mark.parametrize("chosen", [[0], [3, 4, 9], [1, 2, 3, 19], list(range(0, 20, 2))])
def test_any_choice_of_pairs_equals_the_formula(chosen):
    signals, slow = grid()
    torch.testing.assert_close(signals.values(torch.tensor(chosen)), slow[chosen])


def test_pairs_that_are_no_grid_equal_the_formula():
    order = torch.randperm(L * R, generator=torch.Generator().manual_seed(1))[:13]
    signals, slow = grid(2.0, order)
    torch.testing.assert_close(signals.values(torch.arange(13)), slow)
    torch.testing.assert_close(signals.values(torch.tensor([2, 3, 11])), slow[[2, 3, 11]])


def test_signals_are_those_of_the_network():
    problem = planted()
    network = build_network(problem, CONFIG, problem.usable)
    exposure, receptor = problem.history.exposure[:, -1], problem.history.receptor[:, -1]
    every = torch.arange(problem.n_pairs)
    actual = signals_of(network, exposure, receptor).values(every)
    torch.testing.assert_close(actual.T, network.signal(exposure, receptor, every))


def stored_and_signals(*, may_act=None, cache=False):
    """A design of stored columns, signals and constant columns."""
    g = torch.Generator().manual_seed(2)
    rows = torch.rand(N, generator=g) < 0.7
    signals, _ = grid()
    stored, constant = torch.randn(N, 6, generator=g) * 3 + 10, torch.ones(N, 2)
    groups = [StoredColumns(stored), signals, StoredColumns(constant)]
    return Design(groups, rows, may_act, cache=cache)


@pytest.fixture
def design():
    return stored_and_signals()


def test_views_hold_the_columns_of_their_cells(design):
    columns = torch.tensor([0, 5, 6, 7, 20, 26, 27])
    rows = torch.rand(N, generator=torch.Generator().manual_seed(3)) < 0.5
    for mask in (rows, design.fit_on):
        torch.testing.assert_close(design.at(mask)[columns].T, design[columns][mask])
    assert design.at(design.fit_on.clone()) is design.at(design.fit_on)
    inside = design[columns[:5]][design.fit_on]
    torch.testing.assert_close(inside.mean(0), torch.zeros(5), atol=1e-5, rtol=0)
    torch.testing.assert_close(inside.std(0, correction=0), torch.ones(5))
    assert (design[columns[5:]] == 0).all()


def test_slopes_are_means_of_products_of_standardised_columns(design):
    rows = design.fit_on
    residual = torch.randn(int(rows.sum()), 3, generator=torch.Generator().manual_seed(4)) + 0.2
    every = torch.arange(design.n_columns)
    slow = design[every][rows].double().T @ residual.double() / len(residual)
    actual = design.at(rows).slopes(every, residual)
    np.testing.assert_allclose(actual, slow, atol=2e-6)
    assert (actual[-2:] == 0).all()


def test_what_is_read_is_not_changed(design):
    before = design[torch.arange(design.n_columns)].clone()
    view = design.at(design.fit_on)
    view[torch.arange(design.n_columns)].add_(5)
    view.slopes(torch.arange(4), torch.randn(view.n, 2))
    torch.testing.assert_close(design[torch.arange(design.n_columns)], before, atol=0, rtol=0)


@pytest.mark.parametrize("columns", [[2, 3, 4, 5], [0, 3, 9, 10, 27], [], [1, 7, 20]])
def test_cached_columns_are_those_that_are_computed(columns):
    """Column 7 may not act, so the last choice is computed in both."""
    may_act = torch.ones(28, dtype=torch.bool)
    may_act[[7, 8]] = False
    cached, computed = (stored_and_signals(may_act=may_act, cache=cache) for cache in (True, False))
    view, slow = (design.at(design.fit_on) for design in (cached, computed))
    assert view.cached is not None
    assert slow.cached is None
    columns = torch.tensor(columns, dtype=torch.long)
    residual = torch.randn(view.n, 3, generator=torch.Generator().manual_seed(5))
    torch.testing.assert_close(view[columns], slow[columns])
    torch.testing.assert_close(view.slopes(columns, residual), slow.slopes(columns, residual))
    torch.testing.assert_close(cached.sd, computed.sd)


def test_columns_are_freed_with_their_design():
    design = stored_and_signals(cache=True)
    cached = weakref.ref(design.at(design.fit_on).cached.values)
    gc.disable()
    try:
        del design
        assert cached() is None
    finally:
        gc.enable()


def test_more_columns_than_fit_are_not_cached(monkeypatch):
    monkeypatch.setattr("spatrace_sc._model.regression.design.MAX_CACHED_FLOATS", 100)
    design = stored_and_signals(cache=True)
    assert design.at(design.fit_on).cached is None


@pytest.mark.parametrize(
    ("n_cells", "device", "columns"),
    [
        (1000, "cpu", 4000),
        (100_000, "cpu", 64),
        (1_000_000, "cpu", 32),
        (0, "cpu", 4_000_000),
        (1000, "meta", 32_000),
    ],
)
def test_blocks_of_columns_are_small_but_not_thin(n_cells, device, columns):
    assert _columns_at_once(n_cells, torch.device(device)) == columns
