"""An inference that is killed continues to the same tables."""

import json
import os
import signal
import subprocess
import sys
import time

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch

import spatrace_sc as st
from spatrace_sc._model.runtime import stored_steps

KEYS = {"sample_key": "sample", "stage_key": "stage"}
KINDS = ("tf_targets", "lr_targets", "lr_pairs")
PROGRAM = """
import sys, spatrace_sc as st, torch
torch.set_num_threads(int(sys.argv[2]))
st.settings.progress = False
adata = st.datasets.simulated(n_cells=500, n_targets=12)
print("ready", flush=True)
st.tl.infer_ccc(adata, sample_key="sample", stage_key="stage", checkpoint=sys.argv[1])
print("done", flush=True)
"""


@pytest.fixture(scope="module")
def tissue():
    return st.datasets.simulated(n_cells=500, n_targets=12)


@pytest.fixture(scope="module")
def uninterrupted(tissue):
    return st.tl.infer_ccc(tissue, **KEYS, copy=True)


def same_tables(one, other):
    for kind in KINDS:
        tables = [getattr(st.get, kind)(adata) for adata in (one, other)]
        pd.testing.assert_frame_equal(*tables)
    np.testing.assert_array_equal(one.obsm["spatrace_activity"], other.obsm["spatrace_activity"])
    for name in ("attention", "attention_to_pairs"):
        shares = [adata.uns["spatrace"][name]["share"] for adata in (one, other)]
        np.testing.assert_array_equal(*shares)


def test_with_and_without_a_checkpoint(tissue, uninterrupted, tmp_path):
    stored = st.tl.infer_ccc(tissue, **KEYS, checkpoint=tmp_path / "c", copy=True)
    same_tables(uninterrupted, stored)
    assert len(list((tmp_path / "c").glob("refit_*.npz"))) == st.Config().evidence.n_resamples


def test_everything_is_read_the_second_time(tissue, uninterrupted, tmp_path, monkeypatch):
    st.tl.infer_ccc(tissue, **KEYS, checkpoint=tmp_path, copy=True)
    (tmp_path / "refit_3.npz").unlink()
    computed = []

    def spy(store, name, compute, kinds):
        stored = store is not None and store.read_arrays(name) is not None
        computed.extend([] if stored else [name])
        return original(store, name, compute, kinds)

    original = stored_steps.stored_step
    for module in ("spatrace_sc._model.evidence.resample", "spatrace_sc._model.stored_fit"):
        monkeypatch.setattr(f"{module}.stored_step", spy)
    again = st.tl.infer_ccc(tissue, **KEYS, checkpoint=tmp_path, copy=True)
    assert computed == ["refit_3"]
    same_tables(uninterrupted, again)


def test_a_damaged_file_is_computed_again(tissue, uninterrupted, tmp_path, caplog):
    st.tl.infer_ccc(tissue, **KEYS, checkpoint=tmp_path, copy=True)
    whole = (tmp_path / "refit_1.npz").read_bytes()
    (tmp_path / "refit_1.npz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "fit.npz").write_bytes(b"")
    again = st.tl.infer_ccc(tissue, **KEYS, checkpoint=tmp_path, copy=True)
    same_tables(uninterrupted, again)
    assert "damaged" in caplog.text


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"rng": 1}, "seed"),
        ({"radius": 20.0}, "neighbours"),
        ({"config": st.Config(n_blocks=6)}, "config"),
        ({"prior": pd.DataFrame({"tf": ["TF000"], "target": ["TG000"]})}, "prior"),
        ({"targets": ["TG000", "TG001", "TG002"]}, "genes"),
    ],
)
def test_other_settings_are_refused(tissue, tmp_path, change, word):
    folder = tmp_path / "c"
    folder.mkdir()
    label = labelled(tissue, folder)
    with pytest.raises(st.InvalidArgumentError, match=f"differs in .*{word}"):
        st.tl.infer_ccc(tissue, **(KEYS | change), checkpoint=folder, copy=True)
    assert json.loads((folder / "checkpoint.json").read_text()) == label


def labelled(tissue, folder):
    """Write the label of the unchanged call, without running it."""

    def stop(*_args, **_kwargs):
        raise RuntimeError("stopped")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("spatrace_sc.tl._inferred.run", stop)
        with pytest.raises(RuntimeError, match="stopped"):
            st.tl.infer_ccc(tissue, **KEYS, checkpoint=folder, copy=True)
    return json.loads((folder / "checkpoint.json").read_text())


def test_other_data_are_refused(tissue, tmp_path):
    labelled(tissue, tmp_path)
    other = tissue.copy()
    column = other.var_names.get_loc("TG000")
    x = other.X.toarray()
    x[:, column] *= 0.5
    other.X = x
    with pytest.raises(st.InvalidArgumentError, match=r"differs in .*expression"):
        st.tl.infer_ccc(other, **KEYS, checkpoint=tmp_path, copy=True)


def test_a_file_and_a_foreign_folder_are_refused(tissue, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(st.InvalidArgumentError, match="is a file"):
        st.tl.infer_ccc(tissue, **KEYS, checkpoint=tmp_path / "file", copy=True)
    with pytest.raises(st.InvalidArgumentError, match="must be the path of a folder"):
        st.tl.infer_ccc(tissue, **KEYS, checkpoint=3, copy=True)
    with pytest.raises(st.InvalidArgumentError, match="other files"):
        st.tl.infer_ccc(tissue, **KEYS, checkpoint=tmp_path, copy=True)
    assert (tmp_path / "file").read_text() == "mine"


def test_ctrl_c_leaves_the_data_as_they_were(tissue, tmp_path, monkeypatch, caplog):
    adata = tissue.copy()

    def interrupted(*_args, **_kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("spatrace_sc.tl._inferred.run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        st.tl.infer_ccc(adata, **KEYS, checkpoint=tmp_path)
    assert "spatrace" not in adata.uns
    assert "The same call continues" in caplog.text
    with pytest.raises(KeyboardInterrupt):
        st.tl.infer_ccc(adata, **KEYS)
    assert "checkpoint=" in caplog.text.splitlines()[-1]


def test_a_full_disk_is_said(tissue, tmp_path, monkeypatch):
    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(st.InvalidArgumentError, match="No space left on device"):
        st.tl.infer_ccc(tissue, **KEYS, checkpoint=tmp_path, copy=True)
    assert not [f for f in tmp_path.iterdir() if f.name.startswith(".")]


def killed(folder, delay):
    """Start a process, kill it after a delay, and return whether it had ended by itself.

    It has as many threads as this one, on which the last digits depend.
    """
    n_threads = str(torch.get_num_threads())
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder), n_threads],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": n_threads},
    ) as process:
        assert process.stdout.readline().strip() == "ready"
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
        return "done" in process.stdout.read()


@pytest.mark.slow
def test_twenty_kills(uninterrupted, tissue, tmp_path):
    rng = np.random.default_rng(0)
    for _ in range(20):
        if killed(tmp_path, float(rng.uniform(0.2, 6.0))):
            break
    same_tables(uninterrupted, st.tl.infer_ccc(tissue, **KEYS, checkpoint=tmp_path, copy=True))


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_one_kill(uninterrupted, tissue, tmp_path):
    killed(tmp_path, 2.0)
    same_tables(uninterrupted, st.tl.infer_ccc(tissue, **KEYS, checkpoint=tmp_path, copy=True))


FROM_A_FILE = """
import sys, anndata as ad, spatrace_sc as st, torch
torch.set_num_threads(int(sys.argv[3]))
st.settings.progress = False
adata = ad.read_h5ad(sys.argv[1])
st.tl.infer_ccc(adata, sample_key="sample", stage_key="stage", checkpoint=sys.argv[2])
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_sigterm_leaves_the_file_and_the_checkpoint(uninterrupted, tissue, tmp_path):
    """As a cluster does at the end of the time of a job: it is sent once a refit is stored."""
    path, folder, n_threads = tmp_path / "a.h5ad", tmp_path / "c", str(torch.get_num_threads())
    tissue.write_h5ad(path)
    before = path.read_bytes()
    command = [sys.executable, "-W", "ignore", "-c", FROM_A_FILE, str(path), str(folder), n_threads]
    with subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": n_threads}) as process:
        while process.poll() is None and not list(folder.glob("refit_*.npz")):
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
    assert process.returncode == -signal.SIGTERM
    assert path.read_bytes() == before
    assert {file.name for file in tmp_path.iterdir()} == {"a.h5ad", "c"}
    assert len(list(folder.glob("refit_*.npz"))) < st.Config().evidence.n_resamples
    resumed = st.tl.infer_ccc(ad.read_h5ad(path), **KEYS, checkpoint=folder, copy=True)
    same_tables(uninterrupted, resumed)
