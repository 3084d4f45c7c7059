"""The inference on a pretended GPU, with every tensor on the device where it belongs."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from _helpers import NOTHING_SIGNIFICANT, slow, small_config
from _pretend_gpu import MAIN, WrongPlaceError, on_gpu, pretend_gpu
from benchmarks.performance.gpu import __main__ as gpu
from benchmarks.performance.gpu import ways

import spatrace_sc as st
from spatrace_sc._model import records
from spatrace_sc._model.evidence import edge_strength, screen_pairs
from spatrace_sc._model.network import encoder, losses, steps

pytestmark = [
    pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU"),
    pytest.mark.filterwarnings(NOTHING_SIGNIFICANT),
]
KEYS = {"sample_key": "sample", "stage_key": "stage"}


@pytest.fixture
def pretended(monkeypatch):
    with pretend_gpu(monkeypatch):
        yield


def test_operations_that_a_gpu_refuses_are_refused(pretended):
    here, there = torch.ones(3), torch.ones(3, device="cuda")
    assert there.device == torch.device("cuda:0")
    assert there.is_cuda
    assert (
        (there + 1).device
        == (there * there.sum()).device
        == there.new_zeros(2).device
        == there.device
    )
    assert torch.zeros_like(there).sort().values.device == there.device
    for mixed in (
        lambda: here + there,
        lambda: torch.cat([here, there]),
        lambda: here[there.long()],
        lambda: there.__setitem__(torch.tensor([0, 1]), torch.ones(2)),
        lambda: torch.nn.functional.linear(here, torch.ones(2, 3, device="cuda")),
    ):
        with pytest.raises(WrongPlaceError, match="same device"):
            mixed()
    with pytest.raises(TypeError, match=r"Tensor\.cpu"):
        there.numpy()
    with pytest.raises(TypeError, match=r"Tensor\.cpu"):
        np.asarray(there)


def test_operations_that_a_gpu_allows_are_allowed(pretended):
    here, there = torch.ones(3), torch.ones(3, device="cuda")
    assert on_gpu(there[torch.tensor([0, 1])])
    assert on_gpu(there + torch.tensor(1.0))
    here[0] = there.sum()
    assert here.tolist() == [3, 1, 1]
    assert not on_gpu(here.copy_(there))
    assert not on_gpu(there.cpu())
    assert there.cpu().numpy().sum() == 3
    moved = here.to("cuda")
    moved[0] = 7
    assert here[0] == 1, "a moved tensor is a copy"
    layer = torch.nn.Linear(2, 2).to(torch.device("cuda"))
    layer(torch.ones(1, 2, device="cuda")).sum().backward()
    assert on_gpu(layer.weight)
    assert on_gpu(layer.weight.grad)
    with pytest.raises(WrongPlaceError):
        layer(torch.ones(1, 2))


def tissue():
    """Tissue of a few genes: every operation is watched, which takes ten times as long."""
    genes = {"n_ligands": 3, "n_receptors": 4, "n_pairs": 3, "n_tfs": 3, "n_targets": 4}
    return st.datasets.simulated(n_cells=200, n_background=30, **genes)


QUICK = {
    "evidence": st.EvidenceConfig(n_resamples=2, n_permutations=5),
    "training": st.TrainingConfig(max_epochs=1, n_folds=2, n_penalties=4),
}


def inferred(device="cuda", config=None, **arguments):
    adata = tissue()
    config = config or small_config(**QUICK)
    st.tl.infer_ccc(adata, **KEYS, config=config, device=device, **arguments)
    return adata


@pytest.fixture(scope="module")
def on_cpu():
    return inferred("cpu")


def assert_same(one, two):
    for name, columns in (
        ("lr_targets", ["ligand", "receptor", "target"]),
        ("tf_targets", ["tf", "target"]),
    ):
        tables = [getattr(st.get, name)(a).set_index(columns)["score"] for a in (one, two)]
        pd.testing.assert_series_equal(*(t[t > 0].sort_index() for t in tables), atol=2e-3)


def test_the_inference_equals_the_one_on_a_cpu(on_cpu, monkeypatch):
    with pretend_gpu(monkeypatch):
        found = inferred()
    assert_same(found, on_cpu)
    assert found.uns["spatrace"]["params"]["device"] == "cuda"
    assert on_cpu.uns["spatrace"]["params"]["device"] == "cpu"


@pytest.mark.parametrize("tensor", ["tf", "tf_now", "receptor", "exposure", "exists"])
def test_a_tensor_left_on_the_cpu_is_noticed(pretended, monkeypatch, tensor):
    moved = records.History.to

    def forgetful(self, device):
        return records.History(
            **{
                k: getattr(self if k == tensor else moved(self, device), k)
                for k in self.__dataclass_fields__
            }
        )

    monkeypatch.setattr(records.History, "to", forgetful)
    with pytest.raises((WrongPlaceError, TypeError)):
        inferred()


def test_screened_pairs_and_listed_edges(pretended, monkeypatch):
    monkeypatch.setattr(screen_pairs, "MIN_REFITTED_PAIRS", 6)
    monkeypatch.setattr(screen_pairs, "MAX_REFIT_WORK", 1.0)
    monkeypatch.setattr(edge_strength, "MIN_LISTED_EDGES", 20)
    found = inferred(config=small_config(max_edges=20, **QUICK))
    assert 0 < len(st.get.lr_targets(found)) <= 20


def test_recomputed_columns_give_the_same_result(pretended, monkeypatch, on_cpu):
    monkeypatch.setattr(losses, "MAX_TABLE_FLOATS", 0)
    assert_same(inferred(), on_cpu)


SHORT = st.TrainingConfig(max_epochs=2, batch_size=16)


@pytest.mark.parametrize("options", [{}, slow({"precision": "bf16"})])
def test_recorded_steps_give_the_same_tables(monkeypatch, options):
    usual = small_config(training=replace(SHORT, **options))
    with monkeypatch.context() as patch, pretend_gpu(patch):
        expected = inferred(config=usual)
        assert MAIN.log == []
        found = inferred(config=replace(usual, training=replace(usual.training, cuda_graphs=True)))
        log = list(MAIN.log)
    warm_up = ["aside waits for main", "aside runs", "main waits for aside"]
    one_phase = [*(steps.N_WARMUP_STEPS * warm_up), "aside records"]
    assert log == 2 * one_phase
    pd.testing.assert_frame_equal(st.get.lr_targets(found), st.get.lr_targets(expected))


def test_a_mask_that_lies_on_the_gpu_is_not_pinned(pretended, monkeypatch):
    monkeypatch.setattr(
        encoder,
        "moved",
        lambda mask, device: mask.contiguous().pin_memory().to(device, non_blocking=True),
    )
    with pytest.raises(RuntimeError, match="cannot pin"):
        inferred(config=small_config(training=replace(SHORT, cuda_graphs=True)))


def test_autocast_of_another_device_is_noticed(pretended, monkeypatch):
    monkeypatch.setattr(
        losses, "products", lambda options, device: steps.torch.autocast("cpu", torch.bfloat16)
    )
    with pytest.raises(AssertionError, match="does nothing"):
        inferred()


def test_a_prior_runs_on_the_gpu(pretended):
    adata = tissue()
    genes = {
        role: adata.var_names[adata.var[role]] for role in ("ligand", "receptor", "tf", "target")
    }
    prior = pd.concat(
        [
            st.pp.prior(
                adata,
                pd.DataFrame({"ligand": genes["ligand"][:3], "receptor": genes["receptor"][:3]}),
            ),
            st.pp.prior(
                adata, pd.DataFrame({"tf": genes["tf"][:3], "target": genes["target"][:3]})
            ),
        ]
    )
    assert len(st.get.lr_pairs(inferred(prior=prior)))


@pytest.mark.slow
def test_the_script_for_a_gpu_runs_through(pretended, monkeypatch, tmp_path):
    monkeypatch.setattr(ways, "WAYS", (ways.PLAIN, ways.WAYS[-1]))
    sizes = "--cells 600 --targets 6 --ligands 3 --receptors 4 --tfs 3 --tissue 250".split()
    sizes += "--epochs 2 --resamples 2".split()
    gpu.main([*sizes, "--out", str(tmp_path / "rows.jsonl")])
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert {row["part"] for row in rows} == set(gpu.PARTS)
    assert all(row["device"] == "cuda:0" for row in rows if row["part"] == "training")
