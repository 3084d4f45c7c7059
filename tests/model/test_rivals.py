"""Regulators that the data cannot distinguish."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from _rival_world import (
    EDGES,
    PAIR,
    F,
    N,
    as_a_whole,
    given_signals,  # noqa: F401  (a fixture)
    named,
    world,
)

from spatrace_sc._model.evidence.rival_candidates import (
    MAX_RIVALS,
    MIN_CORRELATION,
    MIN_PAIR_CORRELATION,
)
from spatrace_sc._model.evidence.rival_edges import (
    SIGNIFICANCE_LEVEL,
    _error_differences,
    _exceeds,
)
from spatrace_sc._model.evidence.rival_test import Blocks


def test_nearly_identical_pairs_are_rivals_and_others_are_not():
    assert named(*world(alike=0.9999)) == {(PAIR, PAIR + 1, 0), (PAIR, PAIR + 1, 1)}
    p_values = as_a_whole(*world(alike=0.9999))
    assert set(p_values) == {(PAIR, PAIR + 1)}
    assert p_values[PAIR, PAIR + 1] > 0.05
    assert as_a_whole(*world(alike=0.8))[PAIR, PAIR + 1] < 1e-4


def test_rivalry_is_mutual():
    problem, fit = world()
    # of two copies the other one carries the weights
    signal = problem.history.receptor.clone()
    signal[:, :, 1] = signal[:, :, 0]
    problem = replace(problem, history=replace(problem.history, receptor=signal))
    fit.weights = replace(fit.weights, rows=torch.tensor([F + 1, 2 * F + 1]))
    actual = named(problem, fit, np.array([[PAIR + 1, 0], [PAIR + 1, 1]]))
    assert actual == {(PAIR + 1, PAIR, 0), (PAIR + 1, PAIR, 1)}
    edges = np.array([[PAIR, 0], [PAIR + 1, 0]])
    assert as_a_whole(problem, fit, edges)[PAIR + 1, PAIR] == 1.0
    assert as_a_whole(problem, fit, edges)[PAIR, PAIR + 1] == 1.0


def test_equally_good_pairs_are_rarely_distinguished_by_chance():
    distinguished = [
        (PAIR, PAIR + 1, 0) not in named(*world(seed, alike=0.99999)) for seed in range(100)
    ]
    assert sum(distinguished) <= 6


@pytest.mark.parametrize("alike", [0.8, 0.9, -0.8])
def test_a_similar_pair_that_explains_less_is_distinguished(alike):
    assert named(*world(alike=alike)) == set()
    assert max(as_a_whole(*world(alike=alike)).values()) < 1e-3


def test_a_mirror_image_is_a_rival():
    assert (PAIR, PAIR + 1, 0) in named(*world(alike=-0.9999))


def test_a_dissimilar_pair_is_no_rival_however_well_it_explains():
    problem, fit = world(alike=0.3)
    targets = problem.targets.clone()
    targets[:, 0] += 3 * problem.history.receptor[:, 0, 1]
    problem = replace(problem, targets=targets)
    fit.target_mean, fit.target_sd = targets.mean(0), targets.std(0, correction=0)
    assert named(problem, fit) == set()
    assert as_a_whole(problem, fit)[PAIR, PAIR + 1] > 0.9, "but it may replace the pair"
    apart = world(alike=MIN_PAIR_CORRELATION - 0.1)
    assert as_a_whole(*apart) == {}


def test_a_forbidden_rival_is_not_named_nor_does_it_replace_the_pair():
    problem, fit = world(alike=0.9999)
    barred = replace(problem, forbidden=torch.tensor([[2 * F + 1], [0]]))
    assert named(barred, fit) == {(PAIR, PAIR + 1, 1)}
    assert as_a_whole(problem, fit)[PAIR, PAIR + 1] > 0.05
    # a target that the rival may not have does not count: with both barred nothing is left
    both = replace(problem, forbidden=torch.tensor([[2 * F + 1, 2 * F + 1], [0, 1]]))
    assert as_a_whole(both, fit)[PAIR, PAIR + 1] == 1.0
    problem, fit = world(alike=0.8)
    p = as_a_whole(problem, fit)[PAIR, PAIR + 1]
    barred = replace(problem, forbidden=torch.tensor([[2 * F + 1], [0]]))
    assert p < as_a_whole(barred, fit)[PAIR, PAIR + 1] < 1e-3
    forbidden_elsewhere = replace(
        problem, forbidden=torch.tensor([[2 * F], [2]])
    )  # of the regulator itself, elsewhere
    assert named(forbidden_elsewhere, fit) == named(problem, fit)


def test_tfs_rival_by_their_level_now_and_never_as_a_whole():
    actual = named(*world(tf_alike=0.9999))
    assert {edge for edge in actual if edge[0] == 1} == {(1, 2, 2)}
    assert not {edge for edge in named(*world(tf_alike=0.8)) if edge[0] == 1}
    problem, fit = world(tf_alike=0.9999)
    barred = replace(problem, forbidden=torch.tensor([[2, F + 2], [2, 2]]))  # both columns of TF 2
    assert not {edge for edge in named(barred, fit) if edge[0] == 1}


@pytest.mark.filterwarnings("error")
def test_a_tf_and_a_pair_may_be_rivals_of_an_edge_but_not_of_the_pair():
    problem, fit = world(alike=0.0)
    now = problem.history.tf_now.clone()
    now[:, 0] = problem.history.receptor[:, 0, 0] + 0.01 * torch.randn(
        N, generator=torch.Generator().manual_seed(1)
    )
    problem = replace(problem, history=replace(problem.history, tf_now=now))
    assert {e for e in named(problem, fit) if e[0] == PAIR} == {(PAIR, 0, 0), (PAIR, 0, 1)}
    assert as_a_whole(problem, fit) == {}


def test_the_order_of_edges_and_targets_does_not_matter():
    problem, fit = world(alike=0.9999, tf_alike=0.9999)
    assert named(problem, fit, EDGES[::-1]) == named(problem, fit)
    assert named(problem, fit, np.empty((0, 2), dtype=np.int64)) == set()


def test_differences_are_squared_errors_by_block():
    rng = np.random.default_rng(0)
    x, partial = rng.normal(size=(90, 4)), rng.normal(size=(90, 3))
    block = rng.integers(5, size=90)
    blocks = Blocks(torch.from_numpy(block))
    signals, parts = (blocks.in_order(torch.from_numpy(v)) for v in (x, partial))
    assert _error_differences(signals, signals, blocks).shape == (5, 3, 4)
    actual = _error_differences(parts, signals, blocks)
    for b in range(5):
        for k in range(1, 4):
            for g in range(3):
                error = []
                for column in (x[:, k], x[:, 0]):
                    w = column @ partial[:, g] / (column @ column)
                    error.append((((partial[:, g] - w * column) ** 2)[block == b]).sum())
                assert float(actual[b, k - 1, g]) == pytest.approx(error[0] - error[1], abs=1e-9)


def test_indistinguishable_by_hand():
    # sd 1 over 4 blocks: t = 2 × mean; the one-sided 1 % limit of 3 degrees of freedom is 4.541
    away = torch.tensor([0.0, 0.0, 1.5**0.5, -(1.5**0.5)])
    unsure, sure = away + 4.44 / 2, away + 4.64 / 2
    assert SIGNIFICANCE_LEVEL == 0.01
    worse = torch.stack([unsure, sure, -sure], dim=1)[:, :, None]
    assert _exceeds(worse)[:, 0].tolist() == [False, True, False]


def test_the_number_of_rivals_is_limited():
    problem, fit = world(alike=0.9999)
    g = torch.Generator().manual_seed(0)
    many = problem.history.receptor[:, :1, :1] + 0.001 * torch.randn(
        N, 1, MAX_RIVALS + 20, generator=g
    )
    signal = torch.cat([problem.history.receptor[:, :1], many], dim=2).repeat(1, 2, 1)
    n_p = signal.shape[2]
    problem = replace(
        problem,
        history=replace(problem.history, receptor=signal),
        pair_ligand=torch.zeros(n_p, dtype=torch.long),
        pair_receptor=torch.arange(n_p),
        penalty=torch.ones(2 * F + n_p + 1),
    )
    actual = [edge for edge in named(problem, fit) if edge[0] == PAIR and edge[2] == 0]
    # of equally good ones some are told apart by chance
    assert MAX_RIVALS - 3 <= len(actual) <= MAX_RIVALS
    # and all that have edges themselves
    edges = np.array([[F + k, 0] for k in range(n_p)])
    tried = [pair for pair in as_a_whole(problem, fit, edges) if pair[0] == PAIR]
    assert len(tried) == n_p - 3  # all but itself and pairs 2 and 3
    assert MIN_CORRELATION < 0.9999
