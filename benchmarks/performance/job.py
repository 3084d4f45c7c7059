"""Jobs on the authors' simulation, each run in a process of its own.

python -m benchmarks.performance.job infer_ccc [SEED]      (prints a row as JSON: seconds by stage)
python -m benchmarks.performance.job grnboost2 [SEED]
python -m benchmarks.performance.job inputs FILE.npz       (regulators and targets for arboreto)
"""

from __future__ import annotations

import json
import logging
import sys
import time
import warnings
from collections.abc import Callable

import numpy as np

#: CPU seconds before the other imports.
STARTED = time.process_time()


def infer(seed: str = "0") -> None:
    """Run infer_ccc with default settings and read its three tables."""
    from benchmarks._scores import KEYS
    from benchmarks.performance.one import timed_call
    from benchmarks.recovery.datasets import bundle

    import spatrace_sc as st

    tissue = bundle(0)
    ready = time.process_time()
    config = st.Config(progress=False)
    row = timed_call(tissue.adata, config, **tissue.arguments, seed=int(seed))
    for task in KEYS:
        getattr(st.get, task)(tissue.adata)
    print("\n" + json.dumps(row | {"before the call": ready - STARTED}))


def grnboost2(seed: str = "0") -> None:
    """Run GRNBoost2, reimplemented with scikit-learn, on each cell's own TFs and pair signals."""
    from benchmarks.recovery.datasets import bundle
    from benchmarks.recovery.methods import trees

    trees.grnboost2_now(bundle(0), int(seed))


def inputs(file: str) -> None:
    """Write the input of :func:`grnboost2`: ``x`` (cells, TFs + pairs), ``y`` (cells, targets)."""
    from benchmarks.recovery.datasets import bundle
    from benchmarks.recovery.methods import trees
    from benchmarks.recovery.signals import read_signals

    x, y = trees.inputs(read_signals(bundle(0)), history=False)
    np.savez(file, x=x, y=y)


#: The jobs by name; their arguments are text.
JOBS: dict[str, Callable[..., None]] = {
    "infer_ccc": infer,
    "grnboost2": grnboost2,
    "inputs": inputs,
}


def main() -> None:
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    JOBS[sys.argv[1]](*sys.argv[2:])


if __name__ == "__main__":
    main()
