"""Effects of TFs by silencing them in a transformer whose tokens are TFs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from _planted import CONFIG, planted

from spatrace_sc._model.config import Config, ModelConfig
from spatrace_sc._model.evidence import silencing
from spatrace_sc._model.evidence.silencing import mean_attention, silencing_effects
from spatrace_sc._model.fit import fit
from spatrace_sc._model.network import regulator_reading
from spatrace_sc._model.network.regulator_attention import Readings, RegulatorAttention
from spatrace_sc._model.network.regulator_reading import predict
from spatrace_sc._model.network.regulator_training import train
from spatrace_sc._model.regression.ridge import PENALTIES, ridge_coefficients


def network(n_tfs=5, n_targets=3, seed=0):
    torch.manual_seed(seed)
    return RegulatorAttention(n_tfs, n_targets, ModelConfig())


def everything(n_targets=3, n_tfs=5):
    return torch.ones(n_targets, n_tfs, dtype=torch.bool)


def test_attention_by_hand():
    """Shares are the softmax over allowed tokens and the token of no regulator."""
    net, levels, targets = network(), torch.randn(4, 5), torch.arange(3)
    allowed = everything()
    allowed[1, 2] = False
    share = net.attention(levels, allowed[None], targets)
    assert share.shape == (4, 3, 5)
    assert (share[:, 1, 2] == 0).all()
    assert (share.sum(-1) < 1).all()
    cell, target, d, heads = 2, 1, 32, 4
    unit = torch.nn.functional.gelu(levels[cell][:, None] * net.slope + net.shift)
    token = torch.stack([unit[f] @ net.up[f] + net.regulator[f] for f in range(5)])
    token = torch.cat([token, net.no_regulator])
    query = net.query(net.normalise_query(net.target[target])).view(heads, d // heads)
    key = net.key(token).view(6, heads, d // heads)
    shares = []
    for head in range(heads):
        score = key[:, head] @ query[head] / (d // heads) ** 0.5
        score[2] = -torch.inf
        shares.append(score.softmax(0)[:5])
    torch.testing.assert_close(share[cell, target], torch.stack(shares).mean(0))


def test_a_hidden_regulator_does_not_reach_the_prediction():
    net, levels, targets = network(), torch.randn(6, 5), torch.arange(3)
    allowed = everything()
    allowed[0, 3] = False
    moved = levels.clone()
    moved[:, 3] += 5.0
    one, two = (net(x, allowed[None], targets) for x in (levels, moved))
    torch.testing.assert_close(one[:, 0], two[:, 0], rtol=0, atol=0)
    assert ((one[:, 1:] - two[:, 1:]).abs() > 1e-6).all()


def test_some_targets_are_predicted_as_among_all():
    net, levels, allowed = network(), torch.randn(6, 5), everything()
    every = net(levels, allowed[None], torch.arange(3))
    some = net(levels, allowed[None, [2, 0]], torch.tensor([2, 0]))
    torch.testing.assert_close(some, every[:, [2, 0]])


def learnt(seed=0):
    """Network of a target that follows the product of two regulators, and of one of noise."""
    g = torch.Generator().manual_seed(seed)
    levels = torch.randn(900, 4, generator=g)
    y = torch.stack([levels[:, 0].sign() * levels[:, 1], torch.randn(900, generator=g)], 1)
    data = Readings(levels, y, everything(2, 4))
    rows = torch.arange(900)
    generator = torch.Generator().manual_seed(1)
    trained = train(data, rows[:600], rows[600:800], Config(), generator)
    return data, rows[800:], trained


def test_it_learns_what_no_linear_model_can():
    data, unseen, trained = learnt()
    error = (predict(trained, data, unseen) - data.targets[unseen]).square().mean(0)
    assert error[0] < 0.35 * data.targets[unseen, 0].var()
    ridge = data.levels @ ridge_coefficients(data.levels[:600], data.targets[:600], data.allowed)
    assert (ridge[unseen, 0] - data.targets[unseen, 0]).square().mean() > 0.8
    effect = silencing._silence(trained, data, unseen, torch.Generator())
    assert (effect[:2, 0].abs() > 0.5).all()
    assert (effect[2:, 0].abs() < 0.2).all()


def test_training_restores_the_best_parameters_and_leaves_the_global_stream_alone():
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    data, unseen, one = learnt()
    _, _, two = learnt()
    assert torch.equal(before, torch.random.get_rng_state())
    torch.testing.assert_close(predict(one, data, unseen), predict(two, data, unseen))
    assert not any(parameter.requires_grad for parameter in one.parameters())


def test_ridge_is_that_of_the_closed_form():
    """With a single penalty to choose from, and with a regulator that a target may not have."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(80, 3)), rng.normal(size=(80, 2))
    allowed = torch.tensor([[True, True, True], [True, False, True]])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("spatrace_sc._model.regression.ridge.PENALTIES", np.array([7.0]))
        actual = ridge_coefficients(torch.as_tensor(x), torch.as_tensor(y), allowed).numpy()
    expected = np.zeros((3, 2))
    for target, columns in enumerate(([0, 1, 2], [0, 2])):
        part = x[:, columns]
        gram = part.T @ part + 7.0 * np.eye(len(columns))
        expected[columns, target] = np.linalg.solve(gram, part.T @ y[:, target])
    np.testing.assert_allclose(actual, expected, atol=1e-10)
    assert len(PENALTIES) > 5


#: As many passes as the network needs on this problem.
LONG = replace(CONFIG, training=replace(CONFIG.training, max_epochs=30))


@pytest.fixture(scope="module")
def silenced():
    problem = planted()
    counted = problem.history.tf[:, -1]
    problem = replace(problem, tf_count=counted, tf_state=counted)
    fitted = fit(problem, CONFIG, seed=0)
    return problem, fitted, silencing_effects(problem, fitted, LONG, seed=0)


def test_a_planted_tf_has_the_largest_effect(silenced):
    problem, _, effects = silenced
    assert effects.effect.shape == (problem.n_tf_genes, problem.targets.shape[1])
    assert np.abs(effects.effect[:, 0]).argmax() == 1
    assert effects.effect[1, 0] > 0
    assert 0.2 < effects.weight <= 1


def test_the_weight_is_the_fourth_power_of_a_share_of_r2(silenced):
    _, _, effects = silenced
    share = effects.r2["counts"] / effects.r2["sparse"]
    assert effects.weight == pytest.approx(np.clip(share, 0, 1) ** 4)
    assert silencing._weight(-0.1, 0.3) == 0
    assert silencing._weight(0.4, 0.3) == 1
    assert silencing._weight(0.15, 0.3) == pytest.approx(1 / 16)


def test_the_same_seed_gives_the_same_effects(silenced):
    problem, fitted, effects = silenced
    again = silencing_effects(problem, fitted, LONG, seed=0)
    np.testing.assert_array_equal(again.effect, effects.effect)
    assert again.r2 == effects.r2


def test_mean_attention_over_some_cells(silenced):
    problem, _, effects = silenced
    rows = torch.arange(50)
    members = torch.ones(2, len(problem.targets), dtype=torch.bool)
    members[1, 50:] = False
    share = mean_attention(effects, members)
    assert share.shape == (2, *effects.effect.shape)
    assert (share.sum(axis=1) <= 1 + 1e-6).all()
    expected = np.mean(
        [
            net.attention(data.levels[rows], data.allowed[None], data.every_target).mean(0).T
            for net, data in effects.networks
        ],
        axis=0,
    )
    np.testing.assert_allclose(share[1], expected, atol=1e-6)
    assert np.abs(share[0] - share[1]).max() > 1e-4


@pytest.mark.parametrize(("n", "chosen"), [(2, [1, 4]), (3, [1, 3, 5]), (6, range(1, 7))])
def test_large_groups_are_thinned_evenly(monkeypatch, silenced, n, chosen):
    network, data = silenced[2].networks[0]
    members = torch.zeros(1, len(data.levels), dtype=torch.bool)
    members[0, 1:7] = True
    monkeypatch.setattr(regulator_reading, "MAX_CELLS_PER_GROUP", n)
    few = range(3)
    share = regulator_reading.attention_by_group(network, data, members, few)
    of_cells = network.attention(data.levels[list(chosen)], data.allowed[None], data.every_target)
    torch.testing.assert_close(share[0], of_cells.mean(0).T[:3].detach())


def test_counts_that_tell_nothing_are_not_silenced(silenced):
    """One network is trained for its attention, and its effects have no weight."""
    problem, fitted, _ = silenced
    noise = torch.randn(problem.tf_count.shape, generator=torch.Generator().manual_seed(0))
    effects = silencing_effects(replace(problem, tf_count=noise), fitted, CONFIG, seed=0)
    assert effects.weight == 0
    assert not effects.effect.any()
    assert len(effects.networks) == 1


def test_too_few_cells_train_nothing(silenced):
    problem, fitted, _ = silenced
    few = problem.usable & (torch.arange(len(problem.usable)) < 90)
    effects = silencing_effects(replace(problem, usable=few), fitted, CONFIG, seed=0)
    assert effects.networks == []
    assert effects.weight == 0
    assert not effects.effect.any()


def test_without_passes_the_network_stays_as_it_was_drawn():
    data = Readings(torch.randn(60, 4), torch.randn(60, 2), everything(2, 4))
    config = replace(CONFIG, training=replace(CONFIG.training, max_epochs=0))
    one, two = (
        train(
            data, torch.arange(40), torch.arange(40, 60), config, torch.Generator().manual_seed(3)
        )
        for _ in range(2)
    )
    torch.testing.assert_close(one.slope, two.slope)
    assert torch.isfinite(predict(one, data, torch.arange(60))).all()
