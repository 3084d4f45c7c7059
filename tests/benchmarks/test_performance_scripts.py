"""The scripts that measure GPUs and processes run at toy sizes, also where there is no GPU."""

from __future__ import annotations

import json

import pandas as pd
import pytest
import torch
from _helpers import NOTHING_SIGNIFICANT
from benchmarks.performance import processes
from benchmarks.performance.gpu import __main__ as gpu
from benchmarks.performance.gpu import ranking, ways

import spatrace_sc as st
from spatrace_sc._inference import run as inference
from spatrace_sc._model import fit
from spatrace_sc._model.network.signal_network import SignalNetwork

pytestmark = pytest.mark.filterwarnings(NOTHING_SIGNIFICANT)

TINY = (
    "--cells 400 --targets 6 --ligands 3 --receptors 4 --tfs 3 --tissue 250 --epochs 2 "
    "--resamples 2"
).split()


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.slow
def test_the_cpu_stands_in_for_the_gpu(tmp_path):
    gpu.main([*TINY, "--device", "cpu", "--out", str(tmp_path / "rows.jsonl")])
    found = rows(tmp_path / "rows.jsonl")
    ranked = [row for row in found if row["part"] == "ranking"]
    names = {way.name for way in ways.WAYS}
    assert {(row["products"], row["table"]) for row in ranked} == {
        (p, t) for p in names for t in ranking.NAMES
    }
    for row in ranked:
        if row["products"] in ("float32", "float32, recorded"):
            assert row["largest_difference"] == 0
            assert row["spearman"] == pytest.approx(1) or row["spearman"] != row["spearman"]
        assert row["rows"] > 0
    trained = [row for row in found if row["part"] == "training"]
    assert [row["batch"] for row in trained] == [256] * len(names) + [gpu.LARGE_BATCH] * len(names)
    assert [row["products"] for row in trained] == 2 * [way.name for way in ways.WAYS]
    for row in trained:
        products = row["attention_products"] + row["gates_products"]
        assert row["share"] == pytest.approx(products / row["seconds"])
        assert products > 0
        assert row["attention_masks"] > 0
        assert row["seconds"] == pytest.approx(row["attention"] + row["gates"])
        assert row["peak_gb"] > row["least_estimated_gb"] > 0
    assert torch.get_float32_matmul_precision() == "highest"


def test_another_ranking_would_be_seen(monkeypatch):
    calls = []

    def inferred(n_cells, device, config, seed):
        calls.append(device)
        scores = pd.Series([3.0, 2.0, 1.0], index=["a", "b", "c"])
        return dict.fromkeys(ranking.NAMES, scores if len(calls) == 1 else -scores), 1.0

    monkeypatch.setattr(ranking, "inferred", inferred)
    for row in ranking.ranking(1, torch.device("cpu"), st.Config()):
        assert row["spearman"] == pytest.approx(-1)
        assert row["largest_difference"] == 6


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_nothing_is_measured(tmp_path, capsys):
    assert gpu.main(["--out", str(tmp_path / "rows.jsonl")]) is None
    assert [row["part"] for row in rows(tmp_path / "rows.jsonl")] == ["skipped"]
    assert "no CUDA GPU" in capsys.readouterr().out


@pytest.mark.slow
def test_processes_are_compared(tmp_path, monkeypatch):
    for phase in ("train_attention", "train_gates"):
        monkeypatch.setattr(fit, phase, getattr(fit, phase))
    monkeypatch.setattr(inference, "resample", inference.resample)
    monkeypatch.setattr(SignalNetwork, "draw_masks", SignalNetwork.draw_masks)

    def run(given, number):
        left = tmp_path / f"{number}.pickle"
        processes.main(["--cells", "250", "--epochs", "2", "--resamples", "2", "--work", str(left)])
        found = processes.pickle.loads(left.read_bytes())
        if number == 2:
            found["processes"] = 2
            found["tables"]["lr_targets"]["effect"] += 0.5
            found["tables"]["lr_pairs"]["p_value"] *= 0.5
        return found

    monkeypatch.setattr(processes, "run", run)
    processes.main(["--cells", "250", "--repeats", "1", "--out", str(tmp_path / "rows.jsonl")])
    (row,) = rows(tmp_path / "rows.jsonl")
    assert row["processes"] == 2
    assert row["same_rows"]
    assert row["largest_difference"] == pytest.approx(0.5, abs=1e-4)
    assert row["largest_difference_of_p_and_q"] == pytest.approx(0.5, abs=0.02)
    assert row["all"] >= row["training"] + row["refits"]
    assert 0 < row["masks"] < row["training"]
