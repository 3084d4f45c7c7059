"""The suite for pytest-benchmark: CPU seconds on one thread.

pytest benchmarks/performance/suite --benchmark-autosave
"""

from __future__ import annotations

import time

import pytest
import torch
from benchmarks.performance.suite.workloads import FULL, WORKLOADS, ready

pytest.importorskip("pytest_benchmark", reason='pip install -e ".[dev]"')

#: Rounds of the longest workloads; all others are repeated for a second.
ROUNDS = {"first fit": 3, "two refits": 3, "sparse path": 5, "simulation": 3}


@pytest.mark.benchmark(timer=time.process_time)
@pytest.mark.parametrize("name", WORKLOADS)
def test_speed(benchmark, name):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    workload = ready(name, FULL)
    try:
        if name in ROUNDS:
            benchmark.pedantic(workload, rounds=ROUNDS[name], warmup_rounds=1)
        else:
            benchmark(workload)
    finally:
        torch.set_num_threads(threads)
