"""A call leaves the session as it was: random states, threads, open files, processes."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import textwrap
import threading
import warnings

import matplotlib.pyplot as plt
import numpy as np
import psutil
import pytest
import torch
from _metamorphic import CASES, WITHOUT_PLOTS
from _scenes import Scene, tissue


def random_states():
    """State of every global generator of random numbers."""
    return {
        "random": random.getstate(),
        "numpy": [np.asarray(part).tolist() for part in np.random.get_state()],  # noqa: NPY002
        "torch": torch.get_rng_state().tolist(),
    }


def held():
    """Threads, open files and child processes; a bar of progress keeps tqdm's own monitor."""
    process = psutil.Process()
    return {
        "threads": sorted(t.name for t in threading.enumerate() if t.name != "tqdm_monitor"),
        "files": sorted(file.path for file in process.open_files()),
        "connections": len(process.net_connections()),
        "processes": sorted(child.pid for child in process.children(recursive=True)),
    }


def differences(before, after):
    return {name for name in before if before[name] != after[name]}


def changed_by(call):
    """Random states that a call changes, and what it leaves open."""
    states, things = random_states(), held()
    call()
    return differences(states, random_states()) | differences(things, held())


def test_every_verb_and_reader_leaves_the_session_as_it_was():
    scene, found = Scene(tissue()), {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in WITHOUT_PLOTS:
            changes = changed_by(lambda name=name: CASES[name](scene))
            if changes:
                found[name] = changes
    assert not found


@pytest.mark.slow
def test_every_figure_leaves_the_session_as_it_was():
    scene, found = Scene(tissue()), {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in WITHOUT_PLOTS:
            CASES[name](scene)
        for name in set(CASES) - set(WITHOUT_PLOTS):
            CASES[name](scene)  # a package that is imported here may open files of its own
            plt.close("all")
            changes = changed_by(lambda name=name: CASES[name](scene))
            plt.close("all")
            if changes:
                found[name] = changes
    assert not found


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (random.random, "random"),
        (lambda: np.random.rand(), "numpy"),  # noqa: NPY002
        (lambda: torch.rand(1), "torch"),
        (lambda: threading.Thread(target=threading.Event().wait, args=(1,)).start(), "threads"),
    ],
    ids=["random", "numpy", "torch", "threads"],
)
def test_what_changes_is_seen(change, name):
    assert changed_by(change) == {name}


def test_an_open_file_and_a_process_are_seen(tmp_path):
    with (tmp_path / "open.txt").open("w") as file:
        before = held()
        file.flush()
    assert differences(before, held()) == {"files"}
    before = held()
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    seen = differences(before, held())
    child.communicate(b"\n")
    assert "processes" in seen


PROGRAM = """
    import multiprocessing, sys
    import numpy as np
    import spatrace_sc as st
    from _helpers import TWO_OF_EACH, infer_quietly, tiny_config, tissue

    def effects(number):
        adata = tissue()
        keys = {"sample_key": "sample", "stage_key": "stage"}
        infer_quietly(adata, **TWO_OF_EACH, **keys, config=tiny_config(), device="cpu")
        return np.asarray(st.get.tf_targets(adata).sort_values(["tf", "target"])["score"])

    if __name__ == "__main__":
        here = effects(0)
        with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:
            there = pool.map(effects, range(2))
        for scores in there:
            np.testing.assert_allclose(scores, here, rtol=1e-5, atol=1e-7)
        print("same")
"""


@pytest.mark.slow
@pytest.mark.parametrize("method", ["spawn"])
def test_in_processes_of_multiprocessing(method, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(PROGRAM), encoding="utf-8")
    environment = os.environ | {"OMP_NUM_THREADS": "2", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(script), method],
        capture_output=True, text=True, timeout=300, env=environment, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["same"]
