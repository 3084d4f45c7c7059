"""Small problems run on one thread, and the number of threads is the user's afterwards."""

from __future__ import annotations

import pytest
import torch

import spatrace_sc as st
from spatrace_sc._inference import run
from spatrace_sc._model.evidence.resample import refits_at_a_time
from spatrace_sc._model.runtime.threads import SHARED_SIZE, threads_for, usable_threads

CPU = torch.device("cpu")


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(
    ("n_cells", "device", "expected"),
    [
        (10, CPU, 1),
        (SHARED_SIZE // 30, CPU, 2),
        (10, torch.device("cuda"), 2),
    ],
)
def test_one_thread_for_small_problems_on_the_cpu(n_cells, device, expected):
    with threads_for(n_cells, 30, device):
        assert torch.get_num_threads() == expected
        assert usable_threads() == 2
        with threads_for(n_cells, 30, device):
            assert usable_threads() == 2
        assert torch.get_num_threads() == expected
    assert torch.get_num_threads() == usable_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_threads_are_restored_after_an_error():
    with pytest.raises(RuntimeError), threads_for(10, 30, CPU):
        raise RuntimeError
    assert torch.get_num_threads() == usable_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_inference_runs_on_one_thread_and_refits_side_by_side(monkeypatch):
    seen = []

    def stop(*_):
        seen.append((torch.get_num_threads(), refits_at_a_time(st.Config(), CPU)))
        raise InterruptedError

    monkeypatch.setattr(run, "build_problem", stop)
    adata = st.datasets.simulated(n_cells=300, n_targets=6)
    with pytest.raises(InterruptedError):
        st.tl.infer_ccc(adata, sample_key="sample", device="cpu")
    assert seen == [(1, 2)]
    assert torch.get_num_threads() == 2
