"""The performance benchmarks: command lines, rows, sums, ratios; every workload runs."""

from __future__ import annotations

import dataclasses
import json
import resource
import subprocess
import sys
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from _helpers import NOTHING_SIGNIFICANT
from anndata import AnnData
from scipy import sparse

sys.path.append(str(Path(__file__).parents[2]))

from benchmarks.performance import one, process, reference, targets
from benchmarks.performance.suite.workloads import TINY, WORKLOADS, ready

pytestmark = pytest.mark.filterwarnings(NOTHING_SIGNIFICANT)

ROOT = Path(__file__).parents[2]
HERE = ROOT / "benchmarks" / "performance"
#: What a script of a made-up checkout does: says its options.
SCRIPT = "import sys\nprint(*sys.argv[1:])\n"


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """Three scripts that do nothing, and data files without content."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    for name in reference.SCRIPTS:
        (folder / name).write_text(SCRIPT)
    (tmp_path / "data").mkdir()
    for name in reference.FILES:
        (tmp_path / "data" / name).touch()
    monkeypatch.setattr(reference, "data_file", lambda bundle, name: tmp_path / "data" / name)
    monkeypatch.setattr(reference, "lacking", lambda python, module: "")
    return folder


def ok(name, cpu, peak, **more):
    return {
        "row": name,
        "status": "ok",
        "cpu": cpu,
        "wall": 2 * cpu,
        "peak": peak,
        "others": 0.0,
        **more,
    }


def test_a_command_costs_what_it_uses():
    burn = (
        "import time, numpy as np\nx = np.ones(20_000_000)\n"
        "while time.process_time() < .4: pass\nprint('said')"
    )
    row, text = process.measured([sys.executable, "-c", burn])
    assert row["status"] == "ok"
    assert text.strip() == "said"
    assert 0.4 <= row["cpu"] < 3
    assert row["wall"] > 0.3
    # what the system tells of a process counts what its parent held when it was started
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    assert 0.16 < row["peak"] < max(1.0, 1.1 * own)


def test_seconds_of_children_count():
    burn = "import time\nwhile time.process_time() < .4: pass"
    run = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {burn!r}])"
    assert process.measured([sys.executable, "-c", run])[0]["cpu"] > 0.4


def test_a_failure_is_a_row_with_its_last_message():
    row, _ = process.measured(
        [sys.executable, "-c", "print('before'); raise ValueError('no such thing')"]
    )
    assert row["status"] == "failed"
    assert "exit 1" in row["error"]
    assert "no such thing" in row["error"]


def test_the_number_of_threads_is_passed_on():
    seen = process.environment(2)
    assert {seen[name] for name in process.THREADS} == {"2"}
    assert seen["OMP_WAIT_POLICY"] == "PASSIVE"


def test_without_a_checkout_the_reference_is_skipped_with_the_reason(tmp_path, monkeypatch, capsys):
    out = tmp_path / "r.jsonl"
    monkeypatch.setattr(sys, "argv", ["reference", "--rows", "reference", "--out", str(out)])
    reference.main()
    (row,) = reference.read(out)
    assert row["status"] == "skipped"
    assert "--checkout" in row["error"]
    assert "SpaTRACE, three scripts skipped: no --checkout" in capsys.readouterr().out


def test_missing_parts_are_named(tmp_path):
    (tmp_path / reference.SCRIPTS[0]).touch()
    why = reference.unusable(tmp_path, sys.executable)
    assert reference.SCRIPTS[0] not in why
    assert "run_experiment.py, run_inference.py" in why
    assert "no_such_module" in reference.lacking(sys.executable, "no_such_module")
    assert "no_such_python" in reference.lacking("no_such_python", "sys")
    assert reference.lacking(sys.executable, "json") == ""


def test_a_missing_package_skips_its_row(tmp_path, monkeypatch):
    monkeypatch.setattr(reference, "lacking", lambda python, module: f"{module} is not usable")
    given = reference.arguments(["--rows", "arboreto"])
    (row,) = reference.wanted(given, [])
    assert row == {
        "row": reference.ARBORETO,
        "status": "skipped",
        "error": "arboreto.core is not usable",
    }


def test_the_three_scripts_run_in_order_and_are_told_what_the_readme_says(checkout, tmp_path):
    runs = reference.scripts(checkout, "python", tmp_path, [4, 1])
    assert [(name, epochs) for name, epochs, _ in runs] == [
        ("run_preprocess.py", 0),
        ("run_experiment.py", 1),
        ("run_experiment.py", 4),
        ("run_inference.py", 0),
        (reference.PER_CELL, 0),
    ]
    pre, _, train, _, cells = (dict(pairwise(c)) for _, _, c in runs)
    assert (pre["--path_len"], pre["--radius"], pre["--k_primary"], pre["--n_jobs"]) == (
        "3",
        "5",
        "5",
        "1",
    )
    assert [train[f"--{o}"] for o in ("epochs", "num_heads", "d_model", "batch_size")] == [
        "4",
        "3",
        "128",
        "16",
    ]
    assert cells["--model_path"].startswith(train["--out_dir"])
    assert not [c for _, _, c in runs if "--skip_percell" in c and "--extract_percell_attn" in c]


def test_rows_of_the_scripts(checkout):
    rows = list(reference.reference(checkout, sys.executable, [1]))
    names = [row["row"] for row in rows]
    assert names == [*reference.SCRIPTS, reference.PER_CELL]
    assert [row["status"] for row in rows] == ["ok"] * 3 + [
        "failed"
    ]  # the made-up script has no functions to set
    assert "per_cell_att_compute" in rows[-1]["error"]


def test_a_script_that_fails_ends_the_pipeline(checkout):
    (checkout / "run_experiment.py").write_text("raise SystemExit('no')")
    rows = list(reference.reference(checkout, sys.executable, [1, 2]))
    assert [row["status"] for row in rows] == ["ok", "failed"]


def test_known_rows_are_not_measured_again(checkout, monkeypatch):
    monkeypatch.setattr(reference, "measured", lambda *_, **__: pytest.fail("measured again"))
    rows = [ok(reference.OURS, 1, 1, seed=0)]
    rows += [
        ok(name, 1, 1, **({"epochs": 50} if "exp" in name else {}))
        for name in reference.GROUPS["reference"]
    ]
    given = reference.arguments(
        ["--rows", "ours", "reference", "--seeds", "1", "--checkout", str(checkout)]
    )
    assert list(reference.wanted(given, rows)) == []
    given.epochs = [1]
    with pytest.raises(pytest.fail.Exception, match="measured again"):
        list(reference.wanted(given, rows))


def test_the_step_per_cell_is_told_steps_and_heads(tmp_path):
    script = (
        "import sys\ndef per_cell_att_compute(*, tlength=5, attn_subdir='below'): "
        "return tlength, attn_subdir\n"
    )
    script += (
        "def ensure_percell_attentions(*, num_heads=5): return num_heads, *per_cell_att_compute()\n"
    )
    script += "def main(): print(ensure_percell_attentions(), sys.argv[1:])\n"
    (tmp_path / "run_inference.py").write_text(script)
    command = [sys.executable, str(HERE / "percell.py"), str(tmp_path), "3", "4", "--out_dir", "x"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "(4, 3, '') ['--out_dir', 'x']"


def test_arboreto_regresses_every_target_on_all_regulators(tmp_path):
    (tmp_path / "arboreto").mkdir()
    core = (
        "SGBM_KWARGS = {}\ndef infer_partial_network(kind, options, x, names, target, y, seed):\n"
    )
    core += "    return [(kind, target, n, float(y.sum())) for n in names]\n"
    (tmp_path / "arboreto" / "core.py").write_text(core)
    np.savez(tmp_path / "i.npz", x=np.ones((5, 3)), y=np.ones((5, 2)))
    command = [sys.executable, str(HERE / "boosting.py"), str(tmp_path / "i.npz")]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=True,
        env=process.environment() | {"PYTHONPATH": str(tmp_path)},
    )
    assert done.stdout.split() == ["g0", "3", "g1", "3"]


def test_sums_and_ratios_by_hand():
    rows = [ok(reference.OURS, cpu, 0.5, seed=k) for k, cpu in enumerate((9, 10, 30))]
    rows += [ok("run_preprocess.py", 50, 1.0), ok("run_experiment.py", 900, 1.5, epochs=50)]
    rows += [ok("run_inference.py", 5, 0.75), ok(reference.PER_CELL, 70, 0.5)]
    table = reference.summary(rows)
    assert table.loc[reference.OURS, ["runs", "cpu"]].tolist() == [3, 10]
    three = table.loc[reference.ALL]
    assert (three["cpu"], three["wall"], three["peak"]) == (1020, 2040, 1.5)
    assert (three["CPU ×"], three["memory ×"]) == (102, 3)
    without = reference.summary(rows[:-1]).loc[reference.ALL]
    assert without["cpu"] == 955


def test_fewer_epochs_are_extrapolated_and_called_so():
    rows = [ok("run_preprocess.py", 50, 1.0), ok("run_inference.py", 5, 1.0)]
    short = [
        ok("run_experiment.py", 40, 1.0, epochs=1),
        ok("run_experiment.py", 100, 1.2, epochs=4),
    ]
    least = reference.summary(rows + short[:1])
    assert least.loc[f"{reference.ALL}, 1 epoch", "cpu"] == 95
    assert reference.ALL not in least.index
    assert not [name for name in reference.summary(rows).index if name.startswith(reference.ALL)]
    table = reference.summary(rows + short)
    assert table.loc[reference.EXTRAPOLATED, "cpu"] == 40 + 49 * 20
    assert table.loc["run_experiment.py, 4 epochs", "cpu"] == 100
    assert table.loc[f"{reference.ALL}, 50 epochs extrapolated", "cpu"] == 50 + 1020 + 5
    whole = reference.summary([*rows, *short, ok("run_experiment.py", 800, 1.0, epochs=50)])
    assert reference.EXTRAPOLATED not in whole.index
    assert whole.loc[reference.ALL, "cpu"] == 855


def test_the_report_names_missing_rows():
    inside = {"stages": {"fit": 3.0, "refits": 4.0}, "before the call": 2.0}
    rows = [ok(reference.OURS, 10, 0.5, seed=0, inside=inside)]
    rows.append({"row": reference.ARBORETO, "status": "skipped", "error": "arboreto is not usable"})
    rows.append({"row": "run_preprocess.py", "status": "failed", "error": "exit 1: why"})
    text = reference.report(rows)
    for part in (
        "refits",
        "GRNBoost2, arboreto skipped: arboreto is not usable",
        "run_preprocess.py failed: exit 1",
    ):
        assert part in text
    assert "failed" not in reference.report(
        [*rows, ok("run_preprocess.py", 1, 1)]
    )  # a later run went well


def test_targets_are_judged():
    row = {
        "cells": 10_000,
        "receivers": 6000,
        "threads": 1,
        "cpu": 20.0,
        "wall": 70.0,
        "peak": 1.0,
        "process": 25.0,
    }
    rows = [row | {"threads": 2}, row, row | {"cells": 40_000, "cpu": 84.2}]
    text = targets.report(rows)
    assert "70.0 s wall (target: at most 60; missed)" in text
    assert "4.21 times the CPU seconds (target: at most 4.2; missed)" in text
    assert "4.20 times the CPU seconds (target: at most 4.2; met)" in targets.report(
        [*rows[:2], row | {"cells": 40_000, "cpu": 84.0}]
    )
    assert targets.report([])


@pytest.mark.slow
def test_one_inference_is_timed_by_stage(tmp_path):
    command = [sys.executable, "-m", "benchmarks.performance.one", json.dumps(TINY), "1"]
    row, text = process.measured(command)
    assert row["status"] == "ok", row
    inside = json.loads(text.strip().splitlines()[-1])
    assert inside["cells"] == 300
    assert set(inside["stages"]) == {*one.STAGES, "rest"}
    assert sum(inside["stages"].values()) == pytest.approx(inside["cpu"], abs=1e-6)
    assert all(seconds > 0 for seconds in inside["stages"].values())
    assert inside["cpu"] < row["cpu"]


@pytest.mark.parametrize("name", WORKLOADS)
def test_workloads_run_and_leave_their_input_unchanged(name):
    workload = ready(name, TINY)
    first, again = numbers(workload()), numbers(workload())
    assert len(first)
    np.testing.assert_array_equal(first, again)


def numbers(found: Any) -> np.ndarray:
    """Every number in a result, in order."""
    if dataclasses.is_dataclass(found):
        found = [getattr(found, field.name) for field in dataclasses.fields(found)]
    elif isinstance(found, torch.nn.Module):
        found = list(found.parameters())
    if isinstance(found, dict):
        found = list(found.values())
    if isinstance(found, list | tuple):
        return np.concatenate([np.empty(0), *map(numbers, found)])
    if isinstance(found, AnnData):
        found = found.X
    if isinstance(found, pd.DataFrame):
        found = found.select_dtypes("number").to_numpy()
    if sparse.issparse(found):
        found = found.data
    if isinstance(found, torch.Tensor):
        found = found.detach().numpy()
    values = np.atleast_1d(np.asarray(found))
    return values.astype(float).ravel() if values.dtype.kind in "biuf" else np.empty(0)


def test_the_plain_test_run_does_not_collect_the_suite():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    assert settings["testpaths"] == ["tests"]
