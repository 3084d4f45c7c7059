"""Which regulators the data cannot tell apart."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from spatrace_sc._model import fit as model
from spatrace_sc._model.design import Plain
from spatrace_sc._model.network import Attended, Look
from spatrace_sc._model.records import History, Problem, Weights
from spatrace_sc._model.separability import ALIKE, LEVEL, MOST_RIVALS, _differences, _not_told_apart, find_rivals

N, F, P, G = 1200, 3, 4, 3
BLOCKS = 24


class Fixed:
    """A network whose signals are given."""

    def look_all(self, history):
        return Look(*([None] * 4))

    def gather(self, look, history):
        return Attended(torch.cat([history.tf[:, 0], history.tf_now], 1), history.receptor[:, 0], None)


@pytest.fixture(autouse=True)
def given_signals(monkeypatch):
    monkeypatch.setattr(model, "signals_of", lambda network, exposure, receptor: Plain(receptor))


def world(seed=1, alike=0.9999, tf_alike=0.0, noise=1.0):
    """Pairs 0 and 1 correlate as asked for, pairs 2 and 3 are on their own; targets 0 and 1 follow pair 0, target 2 TF 1.

    TF 2's level now goes with that of TF 1.
    """
    g = torch.Generator().manual_seed(seed)

    def like(x, correlation):
        return correlation * x + (1 - correlation**2) ** 0.5 * torch.randn(N, generator=g)

    signal, tf, now = (torch.randn(N, k, generator=g) for k in (P, F, F))
    signal[:, 1] = like(signal[:, 0], alike)
    now[:, 2] = like(now[:, 1], tf_alike)
    y = noise * torch.randn(N, G, generator=g)
    y[:, 0] += signal[:, 0]
    y[:, 1] -= 0.7 * signal[:, 0]
    y[:, 2] += now[:, 1]
    problem = Problem(
        history=History(
            tf[:, None], now, signal[:, None].repeat(1, 2, 1), torch.zeros(N, 2, 1), torch.ones(N, 2).bool()
        ),
        pair_ligand=torch.zeros(P, dtype=torch.long),
        pair_receptor=torch.arange(P),
        tf_gene=torch.arange(F).repeat(2),
        tf_count=now,
        tf_noise=torch.zeros(F),
        receptor_level=signal,
        target_past=torch.zeros(N, G),
        covariates=torch.randn(N, 1, generator=g),
        targets=y,
        usable=torch.arange(N) >= 30,
        block=torch.arange(N) * BLOCKS // N,
        penalty=torch.ones(2 * F + P + 1),
        tf_penalty=None,
        forbidden=torch.empty((2, 0), dtype=torch.long),
        forbidden_on_tfs=torch.empty((2, 0), dtype=torch.long),
    )
    rows = torch.tensor([F + 1, 2 * F])
    values = torch.zeros(2, G)
    values[0, 2], values[1, 0], values[1, 1] = 0.6, 0.6, -0.5
    fit = SimpleNamespace(
        network=Fixed(),
        weights=Weights(rows, values, 0.1),
        target_mean=y.mean(0),
        target_sd=y.std(0, correction=0),
    )
    return problem, fit


#: Numbers of regulators, TF genes first.
PAIR = F
EDGES = np.array([[PAIR, 0], [PAIR, 1], [1, 2]])


def named(problem, fit, edges=EDGES):
    found = find_rivals(problem, fit, edges)
    return set(zip(found.regulator.tolist(), found.rival.tolist(), found.target.tolist(), strict=True))


def test_nearly_identical_pairs_are_rivals_and_others_are_not():
    found = named(*world(alike=0.9999))
    assert found == {(PAIR, PAIR + 1, 0), (PAIR, PAIR + 1, 1), (PAIR, PAIR + 1, -1)}


def test_rivalry_is_mutual():
    problem, fit = world()
    # of two copies the other one carries the weights
    signal = problem.history.receptor.clone()
    signal[:, :, 1] = signal[:, :, 0]
    problem = replace(problem, history=replace(problem.history, receptor=signal))
    fit.weights = replace(fit.weights, rows=torch.tensor([F + 1, 2 * F + 1]))
    found = named(problem, fit, np.array([[PAIR + 1, 0], [PAIR + 1, 1]]))
    assert found == {(PAIR + 1, PAIR, 0), (PAIR + 1, PAIR, 1), (PAIR + 1, PAIR, -1)}


def test_equally_good_ones_are_hardly_ever_told_apart_by_chance():
    told = [(PAIR, PAIR + 1, -1) not in named(*world(seed, alike=0.99999)) for seed in range(100)]
    assert sum(told) <= 6


@pytest.mark.parametrize("alike", [0.8, 0.9, -0.8])
def test_a_pair_that_is_alike_but_explains_less_is_told_apart(alike):
    assert named(*world(alike=alike)) == set()


def test_a_mirror_image_is_a_rival():
    assert (PAIR, PAIR + 1, 0) in named(*world(alike=-0.9999))


def test_one_that_is_not_alike_is_no_rival_however_well_it_explains():
    problem, fit = world(alike=0.3)
    targets = problem.targets.clone()
    targets[:, 0] += 3 * problem.history.receptor[:, 0, 1]
    problem = replace(problem, targets=targets)
    fit.target_mean, fit.target_sd = targets.mean(0), targets.std(0, correction=0)
    assert named(problem, fit) == set()


def test_a_forbidden_rival_is_not_named_nor_does_it_replace_the_pair():
    problem, fit = world(alike=0.9999)
    barred = replace(problem, forbidden=torch.tensor([[2 * F + 1], [0]]))
    assert named(barred, fit) == {(PAIR, PAIR + 1, 1)}
    own = replace(problem, forbidden=torch.tensor([[2 * F], [2]]))  # of the regulator itself, elsewhere
    assert named(own, fit) == named(problem, fit)


def test_tfs_rival_by_their_level_now_and_never_as_a_whole():
    found = named(*world(tf_alike=0.9999))
    assert {edge for edge in found if edge[0] == 1} == {(1, 2, 2)}
    assert not {edge for edge in named(*world(tf_alike=0.8)) if edge[0] == 1}
    problem, fit = world(tf_alike=0.9999)
    barred = replace(problem, forbidden=torch.tensor([[2, F + 2], [2, 2]]))  # both columns of TF 2
    assert not {edge for edge in named(barred, fit) if edge[0] == 1}


@pytest.mark.filterwarnings("error")
def test_a_tf_and_a_pair_may_be_rivals_of_an_edge_but_not_of_the_pair():
    problem, fit = world(alike=0.0)
    now = problem.history.tf_now.clone()
    now[:, 0] = problem.history.receptor[:, 0, 0] + 0.01 * torch.randn(N, generator=torch.Generator().manual_seed(1))
    problem = replace(problem, history=replace(problem.history, tf_now=now))
    assert {e for e in named(problem, fit) if e[0] == PAIR} == {(PAIR, 0, 0), (PAIR, 0, 1)}


def test_a_rival_that_fits_one_target_but_not_another_cannot_stand_in_for_the_pair():
    problem, fit = world(alike=0.9)
    targets, signal = problem.targets.clone(), problem.history.receptor[:, 0]
    noise = 0.5 * torch.randn(N, 2, generator=torch.Generator().manual_seed(9))
    targets[:, 0] = signal[:, 0] + signal[:, 1] + noise[:, 0]  # either does
    targets[:, 1] = 2 * signal[:, 1] - 3 * signal[:, 0] + noise[:, 1]  # only pair 0 does
    problem = replace(problem, targets=targets)
    fit.target_mean, fit.target_sd = targets.mean(0), targets.std(0, correction=0)
    assert named(problem, fit, np.array([[PAIR, 0]])) == {(PAIR, PAIR + 1, 0), (PAIR, PAIR + 1, -1)}
    assert named(problem, fit, np.array([[PAIR, 0], [PAIR, 1]])) == {(PAIR, PAIR + 1, 0)}


def test_the_order_of_edges_and_targets_does_not_matter():
    problem, fit = world(alike=0.9999, tf_alike=0.9999)
    assert named(problem, fit, EDGES[::-1]) == named(problem, fit)
    assert named(problem, fit, np.empty((0, 2), dtype=np.int64)) == set()


def test_differences_are_squared_errors_by_block():
    rng = np.random.default_rng(0)
    x, partial = rng.normal(size=(90, 4)), rng.normal(size=(90, 3))
    block = rng.integers(5, size=90)
    found = _differences(torch.from_numpy(x), torch.from_numpy(x), torch.from_numpy(block))
    assert found.shape == (5, 3, 4)
    found = _differences(torch.from_numpy(partial), torch.from_numpy(x), torch.from_numpy(block))
    for b in range(5):
        for k in range(1, 4):
            for g in range(3):
                error = []
                for column in (x[:, k], x[:, 0]):
                    w = column @ partial[:, g] / (column @ column)
                    error.append((((partial[:, g] - w * column) ** 2)[block == b]).sum())
                assert float(found[b, k - 1, g]) == pytest.approx(error[0] - error[1], abs=1e-9)


def test_not_told_apart_by_hand():
    # sd 1 over 4 blocks: t = 2 · mean, and the one-sided 1 % limit of 3 degrees of freedom is 4.541
    away = torch.tensor([0.0, 0.0, 1.5**0.5, -(1.5**0.5)])
    unsure, sure = away + 4.44 / 2, away + 4.64 / 2
    assert LEVEL == 0.01
    worse = torch.stack([unsure, sure, -sure, torch.full((4,), torch.inf)], dim=1)[:, :, None]
    assert _not_told_apart(worse)[:, 0].tolist() == [True, False, True, False]


def test_at_most_so_many_rivals_are_tried():
    problem, fit = world(alike=0.9999)
    g = torch.Generator().manual_seed(0)
    many = problem.history.receptor[:, :1, :1] + 0.001 * torch.randn(N, 1, MOST_RIVALS + 20, generator=g)
    signal = torch.cat([problem.history.receptor[:, :1], many], dim=2).repeat(1, 2, 1)
    n_p = signal.shape[2]
    problem = replace(
        problem,
        history=replace(problem.history, receptor=signal),
        pair_ligand=torch.zeros(n_p, dtype=torch.long),
        pair_receptor=torch.arange(n_p),
        penalty=torch.ones(2 * F + n_p + 1),
    )
    found = [edge for edge in named(problem, fit) if edge[0] == PAIR and edge[2] == 0]
    # of equally good ones some are told apart by chance
    assert MOST_RIVALS - 3 <= len(found) <= MOST_RIVALS
    assert ALIKE < 0.9999
