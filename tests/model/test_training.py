"""The training loop: dropout masks, no waiting for the device in a step, batches of any size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from _planted import CONFIG, N, planted
from torch import nn
from torch.profiler import profile

from spatrace_sc._model import fit
from spatrace_sc._model.config import ModelConfig
from spatrace_sc._model.network import encoder, losses, steps, training
from spatrace_sc._model.runtime import memory
from spatrace_sc._model.runtime.memory import Sizes, check_memory, least_needed

S, D, HEADS = 4, 32, 4
CPU = torch.device("cpu")


@pytest.fixture
def stack():
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(
        D, HEADS, 2 * D, 0.3, "gelu", batch_first=True, norm_first=True
    )
    return nn.TransformerEncoder(layer, 2, nn.LayerNorm(D), enable_nested_tensor=False).train()


@pytest.fixture
def cells():
    g = torch.Generator().manual_seed(1)
    x = torch.randn(50, S, D, generator=g)
    exists = torch.rand(50, S, generator=g) > 0.3
    later = torch.ones(S, S, dtype=torch.bool).triu(1)
    return x, later | ~exists[:, None, :] & ~torch.eye(S, dtype=torch.bool)


def test_masks_drawn_beforehand_are_those_of_the_library(stack, cells):
    x, blocked = cells
    torch.manual_seed(5)
    expected = stack(x, mask=blocked.repeat_interleave(HEADS, dim=0))
    after = torch.rand(1)
    torch.manual_seed(5)
    masked = encoder.encode_masked(stack, x, blocked, encoder.draw_masks(stack, len(x), S))
    assert torch.equal(torch.rand(1), after), "the number of random numbers differs"
    torch.testing.assert_close(masked, expected)
    parameters = list(stack.parameters())
    for one, two in zip(
        torch.autograd.grad(masked.square().sum(), parameters),
        torch.autograd.grad(expected.square().sum(), parameters),
        strict=True,
    ):
        torch.testing.assert_close(one, two, atol=1e-4, rtol=1e-4)
    other = encoder.encode_masked(stack, x, blocked, encoder.draw_masks(stack, len(x), S))
    assert (other - masked).abs().max() > 0.1


def test_a_slice_of_the_batch_drops_what_the_batch_drops(stack, cells):
    x, blocked = cells
    masks = encoder.draw_masks(stack, len(x), S)
    full = encoder.encode_masked(stack, x, blocked, masks)
    subset = slice(13, 40)
    of_subset = encoder.encode_masked(
        stack, x[subset], blocked[subset], [m.subset(subset, CPU) for m in masks]
    )
    torch.testing.assert_close(of_subset, full[subset])


def test_without_dropout_nothing_is_drawn(stack):
    for layer in stack.layers:
        layer.dropout.p = 0.0
    state = torch.random.get_rng_state()
    assert encoder.draw_masks(stack, 9, S) == []
    assert torch.equal(state, torch.random.get_rng_state())
    config = replace(CONFIG, model=ModelConfig(n_lags=2, dropout=0.0))
    assert len(fit.fit(planted(), config, seed=1).history) > 4


@torch.no_grad()
def descend(optimiser):
    """A plain step along the gradients."""
    for parameter in optimiser.parameters:
        parameter -= 0.001 * parameter.grad


def waits(monkeypatch, batch_size):
    """How often each phase of training asks the device for a number.

    Adam counts its steps on the CPU wherever the parameters are, so it is replaced.
    """
    monkeypatch.setattr(training.Adam, "step", descend)
    config = replace(CONFIG, training=replace(CONFIG.training, max_epochs=1, batch_size=batch_size))
    waiting = ("aten::_local_scalar_dense", "aten::nonzero")
    counts = {}

    def counted(train, name):
        def train_and_count(state):
            with profile() as attended:
                train(state)
            counts[name] = {e.key: e.count for e in attended.key_averages() if e.key in waiting}

        return train_and_count

    for name in ("train_attention", "train_gates"):
        monkeypatch.setattr(fit, name, counted(getattr(training, name), name))
    fit.fit(planted(), config, seed=3)
    return counts


def test_no_step_waits_for_the_device(monkeypatch):
    with monkeypatch.context() as patch:
        few = waits(patch, 250)
    with monkeypatch.context() as patch:
        many = waits(patch, 100)
    assert set(few) == {"train_attention", "train_gates"}
    assert few == many
    step = steps.step
    monkeypatch.setattr(steps, "step", lambda *args: torch.tensor(float(step(*args))))
    assert waits(monkeypatch, 100) != many, "a step that waits is not noticed"


def trained(monkeypatch, module=training, **changes):
    with monkeypatch.context() as patch:
        for name, value in changes.items():
            patch.setattr(module, name, value)
        return fit.fit(planted(), CONFIG, seed=3)


def test_columns_from_a_table_and_computed_anew_are_the_same(monkeypatch):
    table, anew = trained(monkeypatch), trained(monkeypatch, losses, MAX_TABLE_FLOATS=0)
    for one, two in zip(
        table.network.state_dict().values(), anew.network.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(one, two, atol=1e-5, rtol=0)
    assert not torch.equal(table.network.gates, torch.zeros_like(table.network.gates))


def test_small_blocks_of_evaluation_change_nothing_but_rounding(monkeypatch):
    usual, small = trained(monkeypatch), trained(monkeypatch, EVALUATION_BATCH=7)
    errors = [[row["held_out"] for row in one.history] for one in (usual, small)]
    np.testing.assert_allclose(errors[1], errors[0], rtol=1e-6)


def test_rows_at_once_by_hand():
    assert memory._rows(10, None, 4096) == 4096
    assert memory._rows(2**20, None, 4096) == 2**8
    assert memory._rows(2**40, None, 4096) == 1
    assert memory._rows(10, 10**12, 100) == 1600
    assert memory._rows(1000, 16_000_000, 4096) == 1000
    assert memory.rows_at_once(10, CPU, 77) == 77


def test_least_memory_by_hand():
    sizes = Sizes(cells=1000, lags=3, tfs=10, ligands=20, receptors=30, targets=50, listed=20_000)
    parts = least_needed(sizes, refits_at_a_time=2)
    past, attended = 3 * 10 + 10 + 4 * 50, 20 + 50
    assert list(parts.values()) == [
        4 * 1000 * (past + attended) * 3,
        4 * 1000 * 50 * 3,
        4 * (500 + 20_000) * 6,
    ]
    assert check_memory(sizes, 2, CPU, available=sum(parts.values())) == sum(parts.values())


def test_the_bound_is_what_a_problem_holds():
    """The bound counts nothing that a problem does not hold."""
    problem = planted()
    history = problem.history
    held = sum(t.nbytes for t in (history.tf, history.tf_now, history.receptor, history.exposure))
    sizes = Sizes(N, history.tf.shape[1], history.tf.shape[2], 3, 3, problem.targets.shape[1], 10)
    attended = 4 * N * (problem.n_tfs + 6)
    assert least_needed(sizes, 0)["expression of cells and their past"] == held + attended


@pytest.mark.parametrize(
    ("sizes", "advice"),
    [
        (Sizes(10**6, 3, 2000, 500, 500, 100, 10**6), "n_lags"),
        (Sizes(10**6, 1, 2, 2, 2, 20_000, 10**6), "fewer cells or targets"),
        (Sizes(1000, 1, 10, 3000, 3000, 20_000, 10**9), "max_edges"),
    ],
)
def test_what_cannot_fit_is_refused_with_advice(sizes, advice):
    with pytest.raises(
        ValueError, match=r"need at least [\d.]+ GB .* 16\.0 GB are free on cpu"
    ) as error:
        check_memory(sizes, 1, CPU, available=16 * 10**9)
    assert advice in str(error.value)
