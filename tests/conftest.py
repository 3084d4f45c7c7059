from __future__ import annotations

import gc
import os
import pickle

import _last_digits
import pytest
import torch
from filelock import FileLock
from hypothesis import settings

import spatrace_sc as st

_last_digits.change_as_asked()
settings.register_profile("more", max_examples=1000)


def pytest_collection_finish(session):
    """Hide imported modules from the garbage collector, which takes a tenth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.fixture(autouse=True)
def _threads_stay():
    """Restore the number of threads, which some packages (liana) set on import.

    Sums in another order differ in their last digits.
    """
    before = torch.get_num_threads()
    yield
    if torch.get_num_threads() != before:
        torch.set_num_threads(before)


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory):
    """Folder that all processes of one test run share."""
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


@pytest.fixture(scope="session")
def easy(shared_folder):
    """Deep tissue with few decoys and the result of the default configuration.

    The first process that asks for it infers, and the others read it. Copy it before you change it.
    """
    path = shared_folder / "easy.pickle"
    with FileLock(path.with_suffix(".lock")):
        if not path.exists():
            adata = st.datasets.simulated(107, depth=4000, decoy_fraction=0.1, noise=0.1)
            keys = {"sample_key": "sample", "stage_key": "stage"}
            st.tl.infer_ccc(adata, **keys, config=st.Config(progress=False), device="cpu")
            path.write_bytes(pickle.dumps(adata))
    return pickle.loads(path.read_bytes())
