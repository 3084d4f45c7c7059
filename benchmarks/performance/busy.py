"""Small inferences on two threads while other programs need the cores, with and without the rule.

python -m benchmarks.performance.busy [--busy 0 2] [--sizes 1200x40 4000x60] [--seed 5]
                                      [--limit 200]

The rule: torch uses one thread for fewer receivers × targets than ``SHARED_SIZE``. ``--busy`` is
the number of other processes that count without pause. Each row is one inference of a simulated
tissue in a fresh process, in which torch is set to two threads.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time

import torch

import spatrace_sc as st
from spatrace_sc._model.runtime import threads

COUNT = "while True: pass"


def measured(n_cells: int, n_targets: int, seed: int, *, rule: bool) -> dict[str, float]:
    """Return the seconds of one inference in this process."""
    if not rule:
        threads.SHARED_SIZE = 0
    torch.set_num_threads(2)
    adata = st.datasets.simulated(seed, n_cells=n_cells, n_targets=n_targets)
    cpu, wall = time.process_time(), time.perf_counter()
    config = st.Config(progress=False)
    st.tl.infer_ccc(adata, sample_key="sample", stage_key="stage", config=config, device="cpu")
    return {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}


def in_a_process(
    sizes: tuple[int, int], seed: int, *, rule: bool, limit: float
) -> dict[str, float] | None:
    """Return the seconds of one inference in a fresh process with the usual waiting of OpenMP.

    None if it has not ended after ``limit`` seconds.
    """
    job = json.dumps([*sizes, seed, rule])
    command = [sys.executable, "-m", "benchmarks.performance.busy", "--job", job]
    free = {k: v for k, v in os.environ.items() if not k.startswith("OMP_")}
    try:
        done = subprocess.run(
            command, env=free, stdout=subprocess.PIPE, text=True, check=True, timeout=limit
        )
    except subprocess.TimeoutExpired:
        return None
    row: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return row


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--busy", nargs="+", type=int, default=[0, 2])
    parser.add_argument("--sizes", nargs="+", default=["1200x40", "4000x60"], help="CELLSxTARGETS")
    parser.add_argument("--limit", type=float, default=200.0, help="wall seconds of a row")
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--job", type=json.loads, help="measure in this process")
    options = parser.parse_args()
    if options.job is not None:
        *sizes, rule = options.job
        print(json.dumps(measured(*sizes, rule=rule)))
        return
    print("| cells × targets | other busy processes | rule | CPU seconds | wall seconds |")
    print("|---|---|---|---|---|", flush=True)
    for n_busy in options.busy:
        others = [subprocess.Popen([sys.executable, "-c", COUNT]) for _ in range(n_busy)]
        try:
            for size in options.sizes:
                n_cells, n_targets = map(int, size.split("x"))
                for rule in (False, True):
                    row = in_a_process(
                        (n_cells, n_targets), options.seed, rule=rule, limit=options.limit
                    )
                    more = f"more than {options.limit:.0f}"
                    seconds = ["unknown", more] if row is None else [f"{row[k]:.0f}" for k in row]
                    cells = [f"{n_cells} × {n_targets}", str(n_busy), "with" if rule else "without"]
                    print(f"| {' | '.join(cells + seconds)} |", flush=True)
        finally:
            for other in others:
                other.kill()
                other.wait()


if __name__ == "__main__":
    main()
