"""A problem with rivals: similar pairs and TFs, and their weights in refits."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from spatrace_sc._model.evidence.rivals import find_rivals
from spatrace_sc._model.network import observe
from spatrace_sc._model.network.signal_network import Attended, AttentionWeights
from spatrace_sc._model.records import History, Problem, RefitWeights, Weights
from spatrace_sc._model.regression.design import StoredColumns

N, F, P, G = 1200, 3, 4, 3
BLOCKS = 24


class Fixed:
    """A network whose signals are given."""

    def attend_all(self, history):
        return AttentionWeights(*([None] * 4))

    def gather(self, attention, history):
        return Attended(
            torch.cat([history.tf[:, 0], history.tf_now], 1), history.receptor[:, 0], None
        )


@pytest.fixture(autouse=True)
def given_signals(monkeypatch):
    def given(network, exposure, receptor):
        return StoredColumns(receptor)

    monkeypatch.setattr(observe, "signals_of", given)


def world(seed=1, alike=0.9999, tf_alike=0.0, noise=1.0):
    """Problem and fit in which targets 0 and 1 follow pair 0, and target 2 follows TF 1.

    Pairs 0 and 1 correlate by ``alike``, the levels now of TFs 1 and 2 by ``tf_alike``. Pairs 2
    and 3 are independent.
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
            tf[:, None],
            now,
            signal[:, None].repeat(1, 2, 1),
            torch.zeros(N, 2, 1),
            torch.ones(N, 2).bool(),
        ),
        pair_ligand=torch.zeros(P, dtype=torch.long),
        pair_receptor=torch.arange(P),
        tf_gene=torch.arange(F).repeat(2),
        tf_count=now,
        tf_noise=torch.zeros(F),
        tf_state=torch.zeros(len(signal), 1),
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


def refits(problem, fit, n=10, share=0.75, seed=0):
    """Refits with the weights of pairs of the fit, each made on a share of the blocks."""
    rng = np.random.default_rng(seed)
    width, first = G + F, problem.n_tfs
    row, target = np.nonzero(fit.weights.values.numpy())
    regulator = fit.weights.rows.numpy()[row]
    pair = regulator >= first
    edge = (F + regulator[pair] - first) * width + target[pair]
    order = np.argsort(edge)
    weight = fit.weights.values.numpy()[row, target][pair]
    codes = problem.block[problem.usable].unique().numpy()
    blocks = [
        np.sort(rng.choice(codes, round(share * len(codes)), replace=False)) for _ in range(n)
    ]
    return [RefitWeights(edge[order], weight[order], b) for b in blocks]


def found_in(problem, fit, edges=EDGES, members=None):
    pairs = edges[edges[:, 0] >= F, 0]
    return find_rivals(problem, fit, edges, np.unique(pairs), members or refits(problem, fit))


def named(problem, fit, edges=EDGES):
    found = found_in(problem, fit, edges)
    return set(
        zip(found.regulator.tolist(), found.rival.tolist(), found.target.tolist(), strict=True)
    )


def as_a_whole(problem, fit, edges=EDGES, members=None):
    """p by pair and stand-in."""
    found = found_in(problem, fit, edges, members)
    return dict(
        zip(
            zip(found.pair.tolist(), found.stand_in.tolist(), strict=True),
            found.p_value,
            strict=True,
        )
    )
