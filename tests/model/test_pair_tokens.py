"""Pairs as tokens beside the TFs: which are, what they may regulate, and silencing them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from _planted import CONFIG, F, G, planted

from spatrace_sc._inference.run import _random_streams
from spatrace_sc._model.config import ModelConfig
from spatrace_sc._model.evidence import pair_tokens as module
from spatrace_sc._model.evidence.pair_tokens import (
    attention_to_pairs,
    kept_pairs,
    pair_tokens,
    pairs_may_regulate,
    readings_with_pairs,
)
from spatrace_sc._model.fit import fit
from spatrace_sc._model.network import regulator_reading
from spatrace_sc._model.network.regulator_attention import Readings, RegulatorAttention
from spatrace_sc._model.network.regulator_reading import predict, silence
from spatrace_sc._model.network.regulator_training import Effort, train
from spatrace_sc._model.records import Weights

#: Pair (2, 0), which lowers target 1.
PLANTED = 2 * 3 + 0
LONG = replace(CONFIG, training=replace(CONFIG.training, max_epochs=30))


@pytest.fixture(scope="module")
def fitted():
    """The planted problem, in which target 2 may not be regulated by pair (2, 0)."""
    problem = planted()
    counted = problem.history.tf[:, -1]
    own = torch.tensor([[2 * F + PLANTED], [2]])
    problem = replace(problem, tf_count=counted, tf_state=counted, forbidden=own)
    return problem, fit(problem, CONFIG, seed=0)


@pytest.fixture(scope="module")
def tokens(fitted):
    effort = Effort(max_epochs=20, max_steps=200, batch=64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BRIEF", effort)
        return pair_tokens(*fitted, LONG, seed=0)


def network(n_regulators=6, n_targets=4):
    torch.manual_seed(0)
    levels = torch.randn(30, n_regulators)
    allowed = torch.rand(n_targets, n_regulators) > 0.2
    data = Readings(levels, torch.randn(30, n_targets), allowed)
    return RegulatorAttention(n_regulators, n_targets, ModelConfig()), data


def predict_without(net, data, rows, regulator):
    """Predictions if no target may read one regulator."""
    allowed = data.allowed.clone()
    allowed[:, regulator] = False
    return predict(net, replace(data, allowed=allowed), rows)


def test_hiding_one_token_after_another_is_predicting_without_it():
    net, data = network()
    rows = torch.arange(30)
    each = net.without_each(data.levels, data.allowed[None], data.every_target, range(2, 6))
    with torch.no_grad():
        for regulator, without in enumerate(each, 2):
            expected = predict_without(net, data, rows, regulator)
            torch.testing.assert_close(without, expected, rtol=1e-4, atol=1e-5)
            assert (without - predict(net, data, rows)).abs().max() > 1e-4


def test_effects_by_hand():
    """The square root of the rise in the error, with the sign of the change along the level."""
    net, data = network()
    rows = torch.arange(5, 30)
    effect = silence(net, data, rows, range(3, 6))
    y, whole = data.targets[rows], predict(net, data, rows)
    for token, regulator in enumerate(range(3, 6)):
        without = predict_without(net, data, rows, regulator)
        rise = (y - without).square().mean(0) - (y - whole).square().mean(0)
        level = data.levels[rows, regulator]
        sign = torch.sign((level - level.mean()) @ (whole - without))
        expected = sign * rise.clamp_min(0).sqrt() * data.allowed[:, regulator]
        torch.testing.assert_close(effect[token], expected, rtol=1e-3, atol=1e-4)
    assert (effect != 0).any()


def test_in_parts_the_effects_are_the_same(monkeypatch):
    net, data = network()
    whole = silence(net, data, torch.arange(30), range(3, 6))
    monkeypatch.setattr(regulator_reading, "MAX_CPU_NUMBERS", 7 * 4 * (6 * 4 + 4 * 32))
    torch.testing.assert_close(silence(net, data, torch.arange(30), range(3, 6)), whole)


def test_kept_pairs_are_the_strongest_with_a_weight(fitted, monkeypatch):
    problem, fit_ = fitted
    first = 2 * F
    rows = torch.tensor([1, first + 2, first + 4, first + 7, first + 8, first + 9])
    values = torch.zeros(6, G)
    values[:, 0] = torch.tensor([5.0, 0.3, 0.0, -0.9, 0.2, 7.0])
    given = replace(fit_, weights=Weights(rows, values, 0.1))
    assert kept_pairs(problem, given).tolist() == [2, 7, 8]
    monkeypatch.setattr(module, "MAX_PAIRS", 2)
    assert kept_pairs(problem, given).tolist() == [2, 7]


def test_a_pair_may_not_regulate_its_own_ligand_or_receptor(fitted):
    problem, first = fitted[0], 2 * F
    forbidden = torch.tensor([[0, first + 5, first + 5, first + 1], [3, 0, 4, 1]])
    allowed = pairs_may_regulate(replace(problem, forbidden=forbidden), torch.tensor([2, 5]))
    expected = torch.ones(G, 2, dtype=torch.bool)
    expected[[0, 4], 1] = False
    assert torch.equal(allowed, expected)


def test_the_network_reads_tfs_and_signals(fitted):
    problem, fit_ = fitted
    pairs = torch.tensor([1, PLANTED])
    training = torch.nonzero(problem.usable & ~fit_.held_out)[:, 0]
    data = readings_with_pairs(problem, fit_, pairs, training)
    signal = fit_.network.signal(fit_.attended.exposure, fit_.attended.receptor, pairs)
    level = torch.cat([problem.tf_state, signal], 1)
    expected = (level - level[training].mean(0)) / level[training].std(0, correction=0)
    torch.testing.assert_close(data.levels, expected, rtol=1e-3, atol=1e-4)
    assert data.allowed.shape == (G, F + 2)
    assert not data.allowed[2, F + 1]
    assert int((~data.allowed).sum()) == 1


def test_a_planted_pair_has_the_largest_effect_and_its_sign(tokens):
    place = tokens.pairs.tolist().index(PLANTED)
    assert tokens.effect.shape == (len(tokens.pairs), G)
    assert np.abs(tokens.effect[:, 1]).argmax() == place
    assert tokens.effect[place, 1] < -0.2
    assert tokens.effect[place, 2] == 0


def test_attention_is_averaged_over_the_cells_of_every_group(tokens, monkeypatch):
    n = len(tokens.network[1].levels)
    monkeypatch.setattr(regulator_reading, "MAX_CELLS_PER_GROUP", n)
    members = torch.zeros(3, n, dtype=torch.bool)
    members[0], members[1, : n // 4], members[2, n // 4 :] = True, True, True
    share = attention_to_pairs(tokens, members)
    assert share.shape == (3, *tokens.effect.shape)
    assert (share[:, tokens.pairs.tolist().index(PLANTED), 2] == 0).all()
    assert ((share >= 0) & (share.sum(1, keepdims=True) < 1)).all()
    np.testing.assert_allclose(share[0], 0.25 * share[1] + 0.75 * share[2], atol=1e-5)
    net, data = tokens.network
    some = net.attention(data.levels[: n // 4], data.allowed[None], data.every_target)
    expected = some[..., F:].mean(0).T.detach().numpy()
    np.testing.assert_allclose(share[1], expected, atol=1e-5)
    monkeypatch.setattr(regulator_reading, "MAX_CPU_NUMBERS", 1)
    np.testing.assert_allclose(attention_to_pairs(tokens, members), share, atol=1e-5)


def test_the_same_seed_gives_the_same_effects(fitted):
    short = replace(CONFIG, training=replace(CONFIG.training, max_epochs=1))
    one, two, other = (pair_tokens(*fitted, short, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.effect, two.effect)
    assert not np.array_equal(one.effect, other.effect)


def test_without_a_kept_pair_nothing_is_trained(fitted, monkeypatch):
    problem, fit_ = fitted
    monkeypatch.delattr(module, "train")
    none = replace(fit_, weights=Weights(torch.tensor([0]), torch.ones(1, G), 0.1))
    tokens = pair_tokens(problem, none, CONFIG, seed=0)
    assert tokens.network is None
    assert tokens.effect.shape == (0, G)
    share = attention_to_pairs(tokens, torch.ones(2, len(problem.targets), dtype=torch.bool))
    assert share.shape == (2, 0, G)


def test_too_few_cells_train_nothing(fitted):
    problem, fit_ = fitted
    few = problem.usable & (torch.arange(len(problem.usable)) < 90)
    assert pair_tokens(replace(problem, usable=few), fit_, CONFIG, seed=0) is None


@pytest.mark.parametrize(("effort", "n_steps"), [((1, 9, 10), 4), ((5, 9, 10), 9), ((2, 9, 40), 2)])
def test_the_effort_limits_the_steps(monkeypatch, effort, n_steps):
    _, data = network(n_targets=3)
    data = Readings(data.levels.repeat(2, 1), data.targets.repeat(2, 1), data.allowed)
    taken = []
    step = torch.optim.AdamW.step

    def counted(self, *args):
        taken.append(1)
        return step(self, *args)

    monkeypatch.setattr(torch.optim.AdamW, "step", counted)
    generator = torch.Generator().manual_seed(0)
    rows, stop = torch.arange(40), torch.arange(40, 60)
    train(data, rows, stop, LONG, generator, effort=Effort(*effort))
    assert len(taken) == n_steps


def test_the_streams_of_the_other_steps_are_those_without_pair_tokens():
    for seed in (0, 7):
        before = np.random.default_rng(seed).integers(2**31, size=5)
        assert list(_random_streams(seed).values())[:5] == before.tolist()
