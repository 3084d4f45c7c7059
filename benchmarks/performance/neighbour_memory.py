"""Bytes of peak memory per pair of neighbours, each size in a process of its own.

python -m benchmarks.performance.neighbour_memory
"""

from __future__ import annotations

import resource
import subprocess
import sys

import numpy as np

from spatrace_sc._core.exposure import neighbour_weights
from spatrace_sc._data.radius import BYTES_PER_PAIR

#: Cells on a unit square, and radius.
SIZES = ((15_000, 0.2), (60_000, 0.03), (60_000, 0.06))


def measure(n_cells: int, radius: float) -> tuple[int, float]:
    """Pairs, and bytes of peak memory for each."""
    coords = np.random.default_rng(0).random((n_cells, 2))
    everyone = np.ones(n_cells, dtype=bool)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    weights = neighbour_weights(
        coords, np.zeros(n_cells, dtype=int), everyone, everyone, radius=radius
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return weights.nnz, 1024 * (peak - before) / weights.nnz


def main() -> None:
    """Print a row for each size."""
    if len(sys.argv) == 3:
        pairs, size = measure(int(sys.argv[1]), float(sys.argv[2]))
        print(f"| {sys.argv[1]} | {sys.argv[2]} | {pairs} | {size:.0f} |")
        return
    print(f"assumed at least: {BYTES_PER_PAIR} bytes\n")
    print("| cells | radius | pairs | bytes per pair |\n|---|---|---|---|", flush=True)
    for n_cells, radius in SIZES:
        command = [sys.executable, "-m", __spec__.name, str(n_cells), str(radius)]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
