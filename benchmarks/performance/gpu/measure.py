"""Seconds, memory, and the seconds of matrix products alone."""

from __future__ import annotations

import resource
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch


class Product(NamedTuple):
    """Sizes of ``n`` matrix products, (rows × inner) @ (inner × columns) each."""

    n: int
    rows: int
    inner: int
    columns: int

    @property
    def flop(self) -> int:
        """Floating-point operations, two for each multiplication and addition."""
        return 2 * self.n * self.rows * self.inner * self.columns

    def gradients(self) -> tuple[Product, Product]:
        """Return the products that give the gradients of both factors."""
        n, rows, inner, columns = self
        return Product(n, rows, columns, inner), Product(n, inner, rows, columns)


def alone(product: Product, device: torch.device, dtype: torch.dtype = torch.float32) -> float:
    """Return the seconds of these products alone."""
    n, rows, inner, columns = product
    x = torch.randn(n, rows, inner, device=device, dtype=dtype).squeeze(0)
    w = torch.randn(n, inner, columns, device=device, dtype=dtype).squeeze(0)
    times = 20 if device.type == "cuda" else 3
    seconds(lambda: x @ w, device)
    return min(seconds(lambda: [x @ w for _ in range(times)], device) for _ in range(3)) / times


def seconds(work: Callable[[], Any], device: torch.device) -> float:
    """Return the seconds of some work: wall seconds of a GPU, CPU seconds of a CPU."""
    if device.type != "cuda":
        started = time.process_time()
        work()
        return time.process_time() - started
    torch.cuda.synchronize(device)
    started = time.perf_counter()
    work()
    torch.cuda.synchronize(device)
    return time.perf_counter() - started


def peak(device: torch.device) -> float:
    """Return peak memory in GB: of the GPU since its reset, or of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 1e9 if sys.platform == "darwin" else most * 1024 / 1e9


def reset_peak(device: torch.device) -> None:
    """Begin to measure the peak memory of a GPU anew."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def count_waits(work: Callable[[], Any]) -> int:
    """Return how often the work makes the host wait for a CUDA GPU."""
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            work()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return int(np.sum(["synchroniz" in str(w.message) for w in caught]))
