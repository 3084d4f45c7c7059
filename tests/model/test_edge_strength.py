"""Strength of edges, and the edges that are listed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from _planted import CONFIG, C, G, L, R, planted

from spatrace_sc._model.evidence import edge_strength
from spatrace_sc._model.evidence.edge_strength import Residual, listed_edges, strengths
from spatrace_sc._model.fit import fit
from spatrace_sc._model.network.observe import observe


@pytest.fixture(scope="module")
def fitted():
    problem = planted()
    return problem, fit(problem, CONFIG, seed=3)


def slow_strengths(problem, fitted):
    """(P, G) weight + slope of the residual, column by column."""
    design, _, _ = observe(fitted.network, problem, problem.usable)
    rows = problem.usable
    x = design[torch.arange(design.n_columns)][rows].double()
    weights = fitted.weights.dense(design.n_columns).double()
    y = ((problem.targets - fitted.target_mean) / fitted.target_sd)[rows].double()
    actual = weights + x.T @ (y - x @ weights) / len(x)
    actual[tuple(problem.forbidden)] = 0
    return actual[C : C + L * R].numpy()


@pytest.mark.parametrize("block", [1, 2, 4, 100])
def test_strengths_are_the_same_in_blocks_of_any_size(fitted, block):
    problem, result = fitted
    design, _, _ = observe(result.network, problem, problem.usable)
    design.block = block
    y = ((problem.targets - result.target_mean) / result.target_sd)[problem.usable]
    residual = y - design[result.weights.rows][problem.usable] @ result.weights.values
    barred = torch.tensor([[C + 3, C, C + 3], [2, 1, 0]])
    residual_record = Residual(residual, problem.usable, result.weights, barred)
    actual = torch.cat(
        [values for _, values in strengths(design, range(C, C + L * R), residual_record)]
    )
    assert (actual[barred[0] - C, barred[1]] == 0).all()
    slow = slow_strengths(problem, result)
    slow[barred[0] - C, barred[1]] = 0
    np.testing.assert_allclose(actual, slow, atol=1e-5)


def test_all_edges_are_listed_as_long_as_there_are_few(fitted):
    problem, result = fitted
    assert torch.equal(listed_edges(problem, result, 1), torch.arange(L * R * G))


@pytest.mark.parametrize("most", [1, 7, 20, L * R * G - 1])
def test_of_many_the_strongest_are_listed(fitted, most, monkeypatch):
    problem, result = fitted
    monkeypatch.setattr(edge_strength, "MIN_LISTED_EDGES", 0)
    listed = listed_edges(problem, result, most)
    size = np.abs(slow_strengths(problem, result)).ravel()
    assert len(listed) == most
    assert (listed.diff() > 0).all()
    assert set(listed.tolist()) == set(np.argsort(-size)[:most].tolist())
