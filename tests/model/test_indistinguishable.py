"""Whether a pair explains its targets better than a rival pair would."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from _rival_world import (
    BLOCKS,
    PAIR,
    F,
    G,
    N,
    P,
    as_a_whole,
    given_signals,  # noqa: F401  (a fixture)
    refits,
    world,
)

from spatrace_sc._model.evidence.rival_candidates import MAX_RIVALS
from spatrace_sc._model.evidence.rival_test import Blocks, Contest, advantage, p_of_no_advantage
from spatrace_sc._model.evidence.rivals import find_rivals


def test_a_pair_as_a_whole_is_judged_where_it_was_not_fitted():
    problem, fit = world(alike=0.9)
    values = fit.weights.values
    rows = torch.tensor([F + 1, 2 * F, 2 * F + 1])
    values = torch.cat([values, torch.tensor([[0.2, 0.1, 0.0]])])
    fit.weights = replace(fit.weights, rows=rows, values=values)
    members = refits(problem, fit)
    signal = problem.history.receptor[:, 0]
    usable = problem.usable
    x = (signal[usable] - signal[usable].mean(0)) / signal[usable].std(0, correction=0)
    y = ((problem.targets - fit.target_mean) / fit.target_sd)[usable]
    now = problem.history.tf_now[usable]
    tf = (now - now.mean(0)) / now.std(0, correction=0)
    weight = torch.tensor([[0.6, -0.5], [0.2, 0.1]])
    residual = y[:, :2] - x[:, :2] @ weight
    assert float(tf[:, 1].abs().max()) > 0
    blocks = Blocks(problem.block[usable])
    contest = Contest(
        blocks.products(x[:, :2], residual),
        blocks.products(x[:, :2] ** 2, torch.ones(len(x), 1))[..., 0],
        blocks.products(x[:, :2], x[:, :1])[..., 0],
        weight.double(),
        weight.abs().repeat(len(members), 1, 1).double(),
        torch.stack([torch.isin(blocks.codes, torch.from_numpy(m.blocks)) for m in members]),
        torch.zeros(1, 2, dtype=torch.bool),
    )
    by_hand = float(p_of_no_advantage(*advantage(contest))[0])
    assert as_a_whole(problem, fit, members=members)[PAIR, PAIR + 1] == pytest.approx(
        by_hand, rel=1e-3, abs=1e-12
    )


def test_targets_count_by_the_weights_of_each_refit():
    problem, fit = world(alike=0.9)
    targets, signal = problem.targets.clone(), problem.history.receptor[:, 0]
    targets[:, 1] = 2 * signal[:, 1] + 0.5 * torch.randn(
        N, generator=torch.Generator().manual_seed(9)
    )  # the rival's
    problem = replace(problem, targets=targets)
    fit.target_mean, fit.target_sd = targets.mean(0), targets.std(0, correction=0)
    both = refits(problem, fit)
    own, other = (
        [m._replace(edge=m.edge[k : k + 1], weight=m.weight[k : k + 1]) for m in both]
        for k in (0, 1)
    )
    assert as_a_whole(problem, fit, members=own)[PAIR, PAIR + 1] < 1e-3
    assert as_a_whole(problem, fit, members=other)[PAIR, PAIR + 1] > 0.9
    mixed = as_a_whole(problem, fit, members=[*own[:5], *other[5:]])[PAIR, PAIR + 1]
    assert 1e-3 < mixed < 1
    # where a refit gives the rival more it does not count
    edge = np.array([(PAIR + 1) * (G + F) + 1])
    more = [
        m._replace(edge=np.r_[m.edge, edge], weight=np.r_[m.weight, np.float32(0.9)]) for m in both
    ]
    assert as_a_whole(problem, fit, members=more)[PAIR, PAIR + 1] < 1e-3


@pytest.mark.parametrize("n_blocks", [2, BLOCKS])
def test_few_left_out_blocks_are_reported(n_blocks, caplog):
    problem, fit = world(alike=0.6)
    problem = replace(problem, block=torch.arange(N) * n_blocks // N)
    p = as_a_whole(problem, fit)[PAIR, PAIR + 1]
    assert ("spatial blocks out" in caplog.text) == (n_blocks == 2)
    assert (p == 1.0) == (n_blocks == 2)


def test_tfs_that_are_alike_do_not_crowd_out_pairs():
    problem, fit = world(alike=0.9999)
    n, g = MAX_RIVALS + 5, torch.Generator().manual_seed(2)
    now = problem.history.receptor[:, 0, :1] + 0.001 * torch.randn(N, n, generator=g)
    now = torch.cat([problem.history.tf_now, now], 1)
    tf = torch.cat([problem.history.tf[:, 0], torch.randn(N, n, generator=g)], 1)
    n_f = F + n
    problem = replace(
        problem,
        history=replace(problem.history, tf=tf[:, None], tf_now=now),
        tf_gene=torch.arange(n_f).repeat(2),
        tf_count=now,
        tf_noise=torch.zeros(n_f),
        penalty=torch.ones(2 * n_f + P + 1),
    )
    fit.weights = replace(fit.weights, rows=torch.tensor([n_f + 1, 2 * n_f]))
    edges = np.array([[n_f, 0], [n_f, 1]])
    width = G + n_f
    members = [m._replace(edge=n_f * width + np.array([0, 1])) for m in refits(problem, fit)]
    rivals = find_rivals(problem, fit, edges, np.array([n_f]), members)
    assert (rivals.pair.tolist(), rivals.stand_in.tolist()) == ([n_f], [n_f + 1])
    assert (rivals.rival < n_f).all(), "the most similar rivals of single edges are TFs"


def test_without_left_out_blocks_no_pair_is_distinguished_from_its_rivals():
    problem, fit = world(alike=0.6)
    assert set(as_a_whole(problem, fit, members=refits(problem, fit, share=1.0)).values()) == {1.0}


def test_a_pair_without_weights_in_refits_is_not_distinguished_from_its_rivals():
    problem, fit = world(alike=0.9)
    empty = [m._replace(edge=m.edge[:0], weight=m.weight[:0]) for m in refits(problem, fit)]
    assert as_a_whole(problem, fit, members=empty)[PAIR, PAIR + 1] == 1.0
