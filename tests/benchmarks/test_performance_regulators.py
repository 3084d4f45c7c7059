"""Estimates of the networks whose tokens are TFs are what the networks do."""

from __future__ import annotations

import json

import pytest
import torch
from benchmarks.performance.gpu import __main__ as command
from benchmarks.performance.gpu import estimate, silencing
from benchmarks.performance.gpu.tensors import Size, synthetic
from torch.utils.flop_counter import FlopCounterMode

import spatrace_sc as st
from spatrace_sc._model.network.regulator_attention import RegulatorAttention

MODEL = st.ModelConfig()
SIZE = Size(cells=600, targets=9, ligands=2, receptors=3, tfs=5)
CPU = torch.device("cpu")


def network(kind: str = "default", n_tfs: int = 5, n_targets: int = 9) -> RegulatorAttention:
    torch.manual_seed(0)
    return estimate.NETWORKS[kind](n_tfs, n_targets, MODEL)


def test_operations_are_those_of_the_network():
    net, levels = network(), torch.randn(13, 5)
    allowed = torch.ones(13, 9, 5, dtype=torch.bool)
    expected = sum(p.flop for p in estimate.forward_products(13, 9, 5, MODEL))
    with FlopCounterMode(display=False) as counter:
        predicted = net(levels, allowed, torch.arange(9))
    assert counter.get_total_flops() == expected
    with FlopCounterMode(display=False) as counter:
        predicted.sum().backward()
    gradients = [g for p in estimate.forward_products(13, 9, 5, MODEL) for g in p.gradients()]
    assert counter.get_total_flops() == sum(g.flop for g in gradients) == 2 * expected


def test_numbers_of_the_arrays_are_those_of_the_network():
    """Every array that an operation writes counts once."""

    class Written(estimate.Recorded):
        numbers = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            result = func(*args, **(kwargs or {}))
            if isinstance(result, torch.Tensor) and not func.is_view:
                self.numbers += result.numel()
            return result

    for kind in estimate.NETWORKS:
        with torch.no_grad(), Written() as written:
            network(kind, 20, 30)(
                torch.randn(50, 20), torch.ones(50, 30, 20, dtype=torch.bool), torch.arange(30)
            )
        counted = estimate.forward_numbers(50, 30, 20, MODEL, fused=kind == "fused")
        assert 0.6 < counted / written.numbers < 1.5


def test_the_fused_attention_predicts_the_same():
    levels, allowed = torch.randn(40, 5), torch.rand(40, 9, 5) > 0.3
    one, two = (network(kind)(levels, allowed, torch.arange(9)) for kind in estimate.NETWORKS)
    torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", estimate.NETWORKS)
def test_memory_of_a_step_is_linear_in_the_tfs(kind):
    kept = [estimate.one_step(network(kind, n, 40), 30, 40)[0] for n in (20, 40, 60)]
    assert kept[2] - kept[1] == pytest.approx(kept[1] - kept[0], rel=0.02)
    assert kept[1] > 1.2 * kept[0]
    assert kept[0] > 4 * 30 * 40 * MODEL.d_model


def test_the_fused_attention_holds_no_shares():
    default, fused = (
        estimate.one_step(network(kind, 60, 80), 30, 80)[0] for kind in estimate.NETWORKS
    )
    assert default - fused > 4 * 30 * 80 * 60 * MODEL.n_heads / 2


@pytest.mark.parametrize("size", [SIZE, SIZE._replace(cells=1500, targets=130)])
def test_passes_are_what_training_and_silencing_do(monkeypatch, size):
    seen: list[tuple[int, int, bool]] = []
    forward = RegulatorAttention.forward

    def counted(self, levels, allowed, targets):
        seen.append((len(levels), len(targets), torch.is_grad_enabled()))
        return forward(self, levels, allowed, targets)

    silenced: list[int] = []
    head = RegulatorAttention._predict

    def counted_heads(self, read, targets):
        silenced.append(0 if torch.is_grad_enabled() else len(read))
        return head(self, read, targets)

    monkeypatch.setattr(RegulatorAttention, "forward", counted)
    monkeypatch.setattr(RegulatorAttention, "_predict", counted_heads)
    run = estimate.passes(size, epochs=3)
    problem = synthetic(size, CPU)
    warm_up: list[int] = []
    reset = silencing.reset_peak
    monkeypatch.setattr(
        silencing,
        "reset_peak",
        lambda device: (warm_up.extend([len(seen), len(silenced)]), reset(device)),
    )
    row = silencing.silencing(problem, size, epochs=3)
    calls = seen[warm_up[0] :]
    steps = [(n, t) for n, t, with_gradients in calls if with_gradients]
    assert len(steps) == run.steps == row["steps"]
    assert max(steps) == (run.step_cells, run.step_targets)
    evaluated = sum(n for n, _, with_gradients in calls if not with_gradients)
    assert evaluated == run.evaluations * run.evaluated_cells + run.silenced_cells
    heads = sum(silenced[warm_up[1] :]) - evaluated
    assert heads == run.silenced * run.silenced_cells
    assert {t for _, t, with_gradients in calls if not with_gradients} == {size.targets}


def test_rows_of_the_command_line(tmp_path):
    before = silencing.regulator_training.PATIENCE
    sizes = "--cells 600 --targets 9 --ligands 2 --receptors 3 --tfs 5 --epochs 2".split()
    command.main(
        [*sizes, "--device", "cpu", "--parts", "silencing", "--out", str(tmp_path / "rows.jsonl")]
    )
    assert before == silencing.regulator_training.PATIENCE
    assert silencing.regulator_training.RegulatorAttention is RegulatorAttention
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert [(row["part"], row["network"]) for row in rows] == [
        (part, kind) for part in ("estimate", "silencing") for kind in ("default", "fused")
    ]
    for counted, row in zip(rows[:2], rows[2:], strict=True):
        total = sum(counted[f"{part}_teraflop"] for part in ("steps", "evaluation", "silencing"))
        spent = row["train"] + row["silence"]
        assert row["teraflops"] == pytest.approx(total / spent, rel=1e-2)
        assert row["share"] == pytest.approx(
            (row["train_products"] + row["silence_products"]) / spent
        )
        assert row["share"] > 0
        assert row["peak_gb"] > counted["kept_gb"] > 0
    command.main(
        [*sizes, "--device", "cpu", "--parts", "estimate", "--out", str(tmp_path / "e.jsonl")]
    )
    assert len((tmp_path / "e.jsonl").read_text().splitlines()) == 2


def test_the_estimate_names_what_bounds_it(monkeypatch):
    launched = estimate.estimate(SIZE, epochs=3)
    launches = launched["steps"] * launched["operations_per_step"] * estimate.SECONDS_PER_LAUNCH
    assert launched["steps_seconds_h200"] == pytest.approx(launches)
    monkeypatch.setattr(estimate, "SECONDS_PER_LAUNCH", 0.0)
    moved = estimate.estimate(SIZE, epochs=3)
    assert moved["steps_seconds_h200"] == pytest.approx(moved["steps_gb"] / 4800)
    monkeypatch.setattr(estimate, "H200_BYTES", 1e30)
    computed = estimate.estimate(SIZE, epochs=3)
    assert computed["steps_seconds_h200"] == pytest.approx(computed["steps_teraflop"] / 67)
