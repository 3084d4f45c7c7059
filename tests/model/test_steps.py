"""Recorded steps equal ordinary steps, and half precision is close to single precision."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch
from _planted import CONFIG, planted
from _pretend_gpu import MAIN, Graph, Recording

from spatrace_sc import Config, InvalidArgumentError, TrainingConfig
from spatrace_sc._model import fit
from spatrace_sc._model.config import ModelConfig
from spatrace_sc._model.network import encoder, losses, steps, training
from spatrace_sc._model.network.encoder import Masks

CPU = torch.device("cpu")


def trained(device=CPU, model=CONFIG.model, **options):
    options = replace(CONFIG.training, max_epochs=3, batch_size=40, **options)
    config = replace(CONFIG, model=model, training=options)
    return fit.fit(planted().to(device), config, seed=3)


def same(one, two):
    return all(
        torch.equal(a, b)
        for a, b in zip(
            one.network.state_dict().values(), two.network.state_dict().values(), strict=True
        )
    )


class Stand:
    """Stand-in for a graph: repeats the recorded work on the present values of its inputs."""

    def __init__(self):
        self.recorded, self.played = 0, 0

    def __call__(self, work):
        self.recorded += 1

        def play():
            self.played += 1
            return work()

        return play


@pytest.fixture
def stand(monkeypatch):
    recorder = Stand()

    def recorded(device, loss_of, optimiser, options):
        return steps.RecordedSteps(
            partial(steps.step, loss_of, optimiser), options.batch_size, recorder
        )

    monkeypatch.setattr(training, "steps_on", recorded)
    return recorder


def test_recorded_steps_are_the_steps_themselves(monkeypatch, stand):
    again = trained()
    assert stand.recorded == 2, "one for attention, one for the gates"
    assert stand.played > 4 * steps.N_WARMUP_STEPS
    monkeypatch.undo()
    assert same(trained(), again)


@pytest.fixture
def taped(monkeypatch):
    """Steps as a graph replays them: work of Python between operations is not repeated."""
    lengths = []

    def recorded(device, loss_of, optimiser, options):
        def record(work):
            graph = Graph()
            with Recording(graph, MAIN):
                result = work()
            lengths.append(len(graph.done))

            def play():
                graph.replay()
                return result

            return play

        return steps.RecordedSteps(
            partial(steps.step, loss_of, optimiser), options.batch_size, record
        )

    monkeypatch.setattr(training, "steps_on", recorded)
    return lengths


def with_fused(monkeypatch, fused):
    made = training.Adam.__init__

    def init(self, *args):
        made(self, *args)
        self.fused = fused

    monkeypatch.setattr(training.Adam, "__init__", init)


@pytest.mark.parametrize("options", [{}, {"precision": "bf16"}])
def test_a_step_is_the_same_operations_every_time(monkeypatch, taped, options):
    with_fused(monkeypatch, True)
    played = trained(**options)
    assert len(taped) == 2
    assert min(taped) > 50
    monkeypatch.undo()
    with_fused(monkeypatch, True)
    assert same(trained(**options), played)


def test_what_python_counts_would_be_missed(monkeypatch, taped):
    """Without ``fused``, Python counts the steps, and a replay would not: that is noticed."""
    with_fused(monkeypatch, False)
    played = trained()
    monkeypatch.undo()
    with_fused(monkeypatch, False)
    assert not same(trained(), played)


@pytest.mark.parametrize("what", ["cells", "masks"])
def test_inputs_that_are_not_taken_over_would_be_seen(monkeypatch, stand, what):
    if what == "masks":
        monkeypatch.setattr(encoder.Masks, "fill", lambda self, masks: None)
    else:
        called = steps.RecordedSteps.__call__
        first = []

        def stuck(self, batch, masks):
            first.append(batch)
            full = [b for b in first if len(b) == len(batch)]
            return called(self, full[0], masks)

        monkeypatch.setattr(steps.RecordedSteps, "__call__", stuck)
    wrong = trained()
    monkeypatch.undo()
    assert not same(trained(), wrong)


def test_another_number_of_cells_is_an_ordinary_step():
    sizes = []

    def plain(batch, masks):
        sizes.append(len(batch))
        return batch.sum()

    recorder = Stand()
    take = steps.RecordedSteps(plain, 4, recorder)
    for number in range(steps.N_WARMUP_STEPS + 2):
        assert take(torch.full((4,), number), []) == 4 * number
        assert take(torch.tensor([7]), []) == 7
    assert (recorder.recorded, recorder.played) == (1, 2)
    assert sizes == [4, 1] * (steps.N_WARMUP_STEPS + 2)


def test_masks_are_filled_in_place():
    masks_in_place = Masks(*(torch.zeros(3, 2, dtype=torch.bool) for _ in range(4)))
    places = [m.data_ptr() for m in masks_in_place]
    masks_in_place.fill(Masks(*(torch.ones(3, 2, dtype=torch.bool) for _ in range(4))))
    assert all(m.all() for m in masks_in_place)
    assert places == [m.data_ptr() for m in masks_in_place]


def test_a_cpu_records_nothing():
    def recorder_would_be_needed():
        raise AssertionError

    taken = steps.steps_on(CPU, recorder_would_be_needed, None, TrainingConfig(cuda_graphs=True))
    assert not isinstance(taken, steps.RecordedSteps)


def test_half_precision_is_near_and_not_the_same():
    usual, half = trained(), trained(precision="bf16")
    assert not same(usual, half)
    assert all(p.dtype == torch.float32 for p in half.network.parameters())
    for name in ("tf", "receptor", "exposure"):
        torch.testing.assert_close(
            getattr(half.attention, name), getattr(usual.attention, name), atol=0.02, rtol=0
        )
    for name, value in usual.r2.items():
        assert half.r2[name] == pytest.approx(value, abs=2e-3)


def test_evaluation_is_never_rounded():
    options = TrainingConfig(precision="bf16")
    x = torch.rand(8, 8)
    with steps.products(options, CPU):
        assert (x @ x).dtype == torch.bfloat16
    with torch.no_grad(), steps.products(options, CPU):
        assert (x @ x).dtype == torch.float32
    with steps.products(TrainingConfig(), CPU):
        assert (x @ x).dtype == torch.float32


@pytest.mark.parametrize("precision", ["half", None, 16])
def test_another_precision_is_refused(precision):
    with pytest.raises(
        InvalidArgumentError, match=r"training.precision must be 'float32' or 'bf16', found"
    ):
        Config(training=TrainingConfig(precision=precision))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")
@pytest.mark.parametrize("table", [losses.MAX_TABLE_FLOATS, 0])
@pytest.mark.parametrize("dropout", [0.1, 0.0])
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_graph_on_a_gpu_makes_the_same_steps(monkeypatch, precision, dropout, table):
    monkeypatch.setattr(losses, "MAX_TABLE_FLOATS", table)
    device, model = (
        torch.device("cuda", torch.cuda.device_count() - 1),
        ModelConfig(n_lags=2, dropout=dropout),
    )
    one, two = (trained(device, model, precision=precision, cuda_graphs=on) for on in (False, True))
    for a, b in zip(
        one.network.state_dict().values(), two.network.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)
