"""Memory stays flat over epochs and refits: each length runs in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

#: MB by which the longer run may exceed the shorter one.
ALLOWED = 40
PROGRAM = """
import resource, sys
import spatrace_sc as st
from _helpers import infer_quietly, small_config
n_epochs, n_resamples = map(int, sys.argv[1:])
adata = st.datasets.simulated(n_cells=700, n_targets=20)
config = small_config(
    training=st.TrainingConfig(max_epochs=n_epochs, patience=n_epochs),
    evidence=st.EvidenceConfig(n_resamples=n_resamples, n_permutations=9, n_workers=1),
)
infer_quietly(adata, sample_key="sample", stage_key="stage", config=config, device="cpu")
n_trained = len(st.get.training_history(adata))
print(n_trained, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def measured(n_epochs, n_resamples):
    """Epochs that were trained, and MB at the peak."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, str(n_epochs), str(n_resamples)],
        capture_output=True, text=True, check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    n_trained, peak = done.stdout.split()
    return int(n_trained), float(peak)


@pytest.mark.slow
def test_memory_is_flat_over_200_epochs():
    (_, short), (n_trained, long) = measured(10, 2), measured(200, 2)
    assert n_trained >= 200
    assert long - short < ALLOWED, (short, long)


@pytest.mark.slow
def test_memory_is_flat_over_50_refits():
    (_, short), (_, long) = measured(2, 5), measured(2, 50)
    assert long - short < ALLOWED, (short, long)
