"""The input of the network, its attention and its signals."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from spatrace_sc._model.config import ModelConfig
from spatrace_sc._model.network.signal_network import SignalNetwork
from spatrace_sc._model.records import History

F, R, L, K, N = 3, 2, 2, 3, 16


@pytest.fixture
def network():
    torch.manual_seed(0)
    scale = {}
    for name, size in (("tf", F), ("receptor", R), ("exposure", L)):
        scale[f"{name}_mean"], scale[f"{name}_sd"] = torch.zeros(size), torch.ones(size)
    scale["half_dose"] = torch.tensor([1.0, 2.0, 4.0, 8.0])
    pairs = (torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1]))
    net = SignalNetwork(ModelConfig(n_lags=K), (F, R, L, 2 * F), pairs, scale)
    for attention in (net.attend_tf, net.attend_exposure):
        torch.nn.init.normal_(attention.query.weight, std=0.5)
    return net.eval()


@pytest.fixture
def history():
    g = torch.Generator().manual_seed(1)
    exists = torch.ones(N, K + 1, dtype=torch.bool)
    exists[0, :2] = False
    return History(
        torch.rand(N, K, F, generator=g),
        torch.randn(N, F, generator=g),
        torch.rand(N, K + 1, R, generator=g),
        torch.rand(N, K + 1, L, generator=g),
        exists,
    )


def changed(history, step):
    receptor, exposure, tf = history.receptor.clone(), history.exposure.clone(), history.tf.clone()
    receptor[:, step] += 5
    exposure[:, step] += 5
    if step < K:
        tf[:, step] += 5
    return History(tf, history.tf_now, receptor, exposure, history.exists)


@pytest.mark.parametrize("step", [1, 2, 3])
def test_contexts_depend_on_the_past_only(network, history, step):
    with torch.no_grad():
        before = network.encode(network.tokens(history), history.exists)
        after = network.encode(network.tokens(changed(history, step)), history.exists)
    torch.testing.assert_close(before[:, :step], after[:, :step], atol=0, rtol=0)
    assert (before[:, step:] - after[:, step:]).abs().max() > 1e-3


def test_attention_sums_to_one_over_steps_that_exist(network, history):
    with torch.no_grad():
        attention = network.attend(history)
    for weights, exists in (
        (attention.tf, history.exists[:, :-1]),
        (attention.receptor, history.exists),
        (attention.exposure, history.exists),
    ):
        torch.testing.assert_close(weights.sum(1), torch.ones(N))
        assert (weights[~exists] == 0).all()
        assert (weights >= 0).all()


def test_steps_that_do_not_exist_have_no_say(network, history):
    other = History(
        history.tf.clone(),
        history.tf_now,
        history.receptor.clone(),
        history.exposure.clone(),
        history.exists,
    )
    other.tf[0, :2] = 99
    other.receptor[0, :2] = 99
    other.exposure[0, :2] = 99
    with torch.no_grad():
        a, b = network.attend(history), network.attend(other)
        for one, two in zip(a, b, strict=True):
            torch.testing.assert_close(one, two)
        for one, two in zip(network.gather(a, history), network.gather(b, other), strict=True):
            torch.testing.assert_close(one, two)


def test_cell_without_past_has_no_earlier_tf_input(network, history):
    history.exists[1, :-1] = False
    with torch.no_grad():
        attention = network.attend(history)
        attended = network.gather(attention, history)
    assert (attention.tf[1] == 0).all()
    assert (attended.tf[1, :F] == 0).all()
    torch.testing.assert_close(attended.tf[1, F:], history.tf_now[1])
    torch.testing.assert_close(attended.receptor[1], history.receptor[1, -1])
    assert torch.isfinite(attention.context).all()


def test_the_level_now_is_a_column_of_its_own_and_moves_no_attention(network, history):
    with torch.no_grad():
        attention = network.attend(history)
        attended = network.gather(attention, history)
        other = replace(history, tf_now=history.tf_now + 7)
        for one, two in zip(attention, network.attend(other), strict=True):
            torch.testing.assert_close(one, two, atol=0, rtol=0)
        again = network.gather(attention, other)
    assert attended.tf.shape == (N, 2 * F)
    torch.testing.assert_close(attended.tf[:, F:], history.tf_now, atol=0, rtol=0)
    torch.testing.assert_close(
        again.tf - attended.tf, torch.cat([torch.zeros(N, F), torch.full((N, F), 7.0)], 1)
    )


def test_signal_by_hand(network):
    exposure, receptor = torch.tensor([[2.0, 0.0]]), torch.tensor([[3.0, 1.0]])
    signal = network.signal(exposure, receptor, torch.arange(4))
    torch.testing.assert_close(signal, torch.tensor([[6 / 7, 2 / 4, 0.0, 0.0]]))
    more = network.signal(exposure * 10, receptor, torch.arange(4))
    assert (more >= signal).all()
    assert (more < 1).all()


def test_signal_of_a_subset_equals_the_whole(network):
    exposure, receptor = torch.rand(5, L), torch.rand(5, R)
    full = network.signal(exposure, receptor, torch.arange(4))
    torch.testing.assert_close(
        network.signal(exposure, receptor, torch.tensor([1, 3])), full[:, [1, 3]]
    )


def test_gates_start_closed_and_stay_within_the_limit(network):
    context = 100 * torch.randn(6, 32)
    assert (network.gate(context, torch.arange(2 * F + 4)) == 0).all()
    torch.nn.init.normal_(network.gates, std=100.0)
    gate = network.gate(context, torch.arange(2 * F + 4))
    assert gate.abs().max() <= network.config.gate_limit
    assert gate.abs().max() > 0.4


def test_attention_in_batches_is_that_of_all_cells(network, history):
    with torch.no_grad():
        full = network.attend(history)
    for one, two in zip(full, network.attend_all(history, batch=5), strict=True):
        torch.testing.assert_close(one, two)
