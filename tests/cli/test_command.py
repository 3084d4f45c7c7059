"""The command line: a run from file to folder, and what it says when something is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from _helpers import FEW_GENES, tissue

import spatrace_sc as st
from spatrace_sc._cli.arguments import parse
from spatrace_sc._cli.command import OPTIONS, in_options, main

ROLES = ("ligand", "receptor", "tf", "target")
QUICK = """
n_blocks = 4
progress = false
[evidence]
n_resamples = 2
n_permutations = 3
[training]
max_epochs = 0
n_folds = 2
n_penalties = 4
"""


def written(folder: Path, **changes) -> list[str]:
    """Arguments of a run on raw counts, whose lists and configuration are files."""
    adata = st.datasets.simulated(n_cells=400, **FEW_GENES, **changes) if changes else tissue()
    adata.X = adata.layers.pop("counts")
    for role in ROLES:
        genes = adata.var_names[adata.var.pop(role)]
        (folder / f"{role}s.txt").write_text("\n".join(genes) + "\n")
    adata.write_h5ad(folder / "tissue.h5ad")
    (folder / "quick.toml").write_text(QUICK)
    lists = [item for role in ROLES for item in (f"--{role}s", str(folder / f"{role}s.txt"))]
    data = [str(folder / "tissue.h5ad"), *lists, "--config", str(folder / "quick.toml")]
    return ["run", *data, "--sample", "sample", "--stage", "stage", "--out", str(folder / "out")]


def test_a_run_writes_what_the_same_calls_give(tmp_path, capsys, caplog):
    arguments = [*written(tmp_path), "--normalise"]
    assert main(arguments) == 0
    assert capsys.readouterr().out == ""
    assert "radius = " in caplog.text
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == [
        *("figures", "parameters.json", "report.html", "result.h5ad", "tables")
    ]
    assert len(list((out / "figures").glob("*.png"))) == 7
    result = anndata.read_h5ad(out / "result.h5ad")
    counts = anndata.read_h5ad(tmp_path / "tissue.h5ad").X.toarray()
    np.testing.assert_array_equal(result.layers["counts"].toarray(), counts)
    expected = np.log1p(1e4 * counts / counts.sum(1, keepdims=True))
    np.testing.assert_allclose(result.X.toarray(), expected, rtol=1e-4)
    table = pd.read_csv(out / "tables" / "lr_targets.csv", keep_default_na=False)
    stored = st.get.lr_targets(result)
    assert list(table["target"]) == list(stored["target"])
    np.testing.assert_allclose(table["score"].astype(float), stored["score"], rtol=1e-6)
    parameters = json.loads((out / "parameters.json").read_text())
    assert parameters["sample_key"] == "sample"
    assert parameters["config"]["evidence"]["n_resamples"] == 2
    assert main([*arguments, "--quiet"]) == 2  # the folder is not empty


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"--sample": "slic"}, "`sample_key` is --sample"),
        ({"--proportions": "typ"}, "`proportions` is --proportions"),
        ({"--out": "FOLDER"}, "is not empty"),
        ({"--ligands": "nowhere.txt"}, "--ligands: 'nowhere.txt' cannot be read"),
        ({"--config": "TYPO"}, "n_resample"),
        ({"--jobs": "2"}, "add it"),
        ({"--table": "t"}, "--table names a table of a SpatialData"),
        ({"--time": "stage"}, "`time_key"),
    ],
)
def test_what_is_wrong_is_said_without_a_traceback(changes, message, tmp_path, capsys, caplog):
    arguments = written(tmp_path)
    (tmp_path / "typo.toml").write_text("[evidence]\nn_resample = 3\n")
    places = {"FOLDER": str(tmp_path), "TYPO": str(tmp_path / "typo.toml")}
    for option, value in changes.items():
        arguments += [option, places.get(value, value)]
    assert main([*arguments, "--normalise"]) == 2
    assert message in caplog.text + capsys.readouterr().err


def test_it_is_a_command_of_its_own(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(Path(st.__file__).parents[1])}
    call = [sys.executable, "-m", "spatrace_sc", "run", "no.h5ad", "--out", str(tmp_path)]
    done = subprocess.run(call, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 2
    assert done.stderr == "InvalidArgumentError: FILE: 'no.h5ad' does not exist.\n"
    assert done.stdout == ""


@pytest.mark.slow
def test_controls_follow_the_files_of_the_inference(tmp_path, caplog):
    arguments = [*written(tmp_path, n_targets=9), "--normalise", "--quiet", "--controls"]
    assert main([*arguments, "--checkpoint", str(tmp_path / "store")]) == 0
    assert (tmp_path / "out" / "figures" / "controls.png").is_file()
    power = pd.read_csv(tmp_path / "out" / "tables" / "controls_power.csv")
    assert set(power["table"]) == {"lr_pairs", "lr_targets", "tf_targets"}
    assert (tmp_path / "store" / "controls").is_dir()

    few = tmp_path / "few"
    few.mkdir()
    assert main([*written(few), "--normalise", "--quiet", "--controls"]) == 2
    assert "implants need 6" in caplog.text
    assert (few / "out" / "report.html").is_file()


def test_log_normalised_data_are_not_normalised_again(tmp_path, caplog):
    arguments = written(tmp_path)
    tissue().write_h5ad(tmp_path / "tissue.h5ad")
    assert main([*arguments, "--normalise"]) == 2
    assert "holds fractions such as" in caplog.text
    assert "counts" in caplog.text  # the layer that could be named
    assert not any((tmp_path / "out").iterdir())


def test_several_processes_are_refused(tmp_path, caplog, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(["run", "a.h5ad", "--out", str(tmp_path)]) == 2
    assert "runs in one process" in caplog.text


def test_wrong_options_end_with_the_usage(capsys):
    with pytest.raises(SystemExit) as end:
        main(["run", "a.h5ad"])
    assert end.value.code == 2
    assert "--out" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["--cells", "50"], ["demo"]])
def test_without_a_command_it_is_the_demonstration(arguments):
    options = parse(arguments)
    assert options.command == "demo"
    assert options.out == Path("results/demo")


def test_help_fits_a_terminal(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for arguments in (["--help"], ["run", "--help"], ["demo", "--help"]):
        with pytest.raises(SystemExit) as end:
            parse(arguments)
        assert end.value.code == 0
        assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


def test_options_named_in_messages_exist(capsys):
    with pytest.raises(SystemExit):
        parse(["run", "--help"])
    text = capsys.readouterr().out
    assert all(f"{option} " in text for option in OPTIONS.values())
    assert in_options("`time_key='day'` is not in obs") == (
        " (On the command line, `time_key` is --time.)"
    )
    assert in_options("nothing of the kind") == ""
