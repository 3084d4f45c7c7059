"""Control inferences run, are stored one by one, and continue where they ended."""

from __future__ import annotations

import json
import logging

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from _controls import edges, inferred, outcome, tables
from _helpers import tiny_config

from spatrace_sc._data.checkpoint_folder import LABEL, CheckpointFolder
from spatrace_sc._errors import InvalidArgumentError
from spatrace_sc._inference.controls import execute as execution
from spatrace_sc._inference.controls.draws import IMPLANTS, MISPLACED, Design
from spatrace_sc._inference.controls.execute import execute, label_of
from spatrace_sc._inference.controls.false_discoveries import false_discoveries
from spatrace_sc._inference.controls.implant_results import implant_results
from spatrace_sc._inference.controls.outcomes import Outcome
from spatrace_sc._result import Result

NAMES = ["a 1", "a 2", "b 1", "b 2"]
OF_LR = ["ligand", "receptor", "target"]


def full_outcome(name="one", **changes):
    """An outcome with everything that it may hold."""
    implants = pd.DataFrame(
        {
            "kind": ["lr_targets", "tf_targets"],
            "regulator": ["L0^R0", "F0"],
            "target": ["T0", "T1"],
            "sign": np.array([1, -1]),
            "size": [0.1, 0.2],
            "reached": [0.1, np.float32(0.15)],
        }
    )
    called = tables(tf=[("F0", "T1", 0.05, -0.2)], pairs=[("L0", "R0", 0.01, 0.0)])
    called["lr_targets"] = edges(OF_LR, ("L0", "R0", "T0", 0.3, 1.0)).assign(group_q_value=np.nan)
    return outcome(
        name, IMPLANTS, **{"edges": called, "implants": implants, "setting": "radius = 3"} | changes
    )


def run(monkeypatch, folder=None, stop_at=None, print_="x", n_jobs=1):
    """Run four control tissues that are only names; return outcomes and which were run."""
    ran = []

    def pretended(tissue, config, device, prior):
        assert (device, prior) == ("cpu", None)
        assert not config.progress
        if tissue == stop_at:
            raise KeyboardInterrupt
        ran.append(tissue)
        return full_outcome(tissue, seconds=float(len(tissue)))

    monkeypatch.setattr(execution, "outcome_of", pretended)
    outcomes = execute(
        lambda done: (name for name in reversed(NAMES) if name not in done),
        *(len(NAMES), tiny_config(), "cpu", None, folder_of(folder, print_)),
        n_jobs=n_jobs,
        progress=False,
    )
    return outcomes, ran


def folder_of(path, print_):
    """Return the checkpoint of a run, None without a folder."""
    return None if path is None else CheckpointFolder(path, {"result": print_})


def assert_equal(one, other):
    assert {k for k, v in vars(one).items() if v is None} == {
        k for k, v in vars(other).items() if v is None
    }
    for name, value in vars(one).items():
        now = getattr(other, name)
        if isinstance(value, pd.DataFrame):
            pd.testing.assert_frame_equal(now, value, check_dtype=False)
        elif name == "edges":
            assert list(now) == list(value)
            for kind, table in value.items():
                pd.testing.assert_frame_equal(now[kind], table, check_dtype=False)
        else:
            assert now == value


# --- one outcome ------------------------------------------------------------------------------


@pytest.mark.parametrize("made", [full_outcome(), outcome()], ids=["full", "empty"])
def test_outcomes_survive_json(made):
    back = Outcome.from_json(json.loads(json.dumps(made.to_json())))
    assert_equal(made, back)


def test_tables_of_stored_outcomes_are_those_of_fresh_ones():
    sham = pd.DataFrame({"role": ["ligand"], "gene": ["L1"]})
    n_genes = {"ligands": 2, "receptors": 1, "tfs": 1, "targets": 2}
    fresh = [full_outcome(), outcome("two", sham=sham, n_genes=n_genes), outcome("m", MISPLACED)]
    stored = [Outcome.from_json(json.loads(json.dumps(o.to_json()))) for o in fresh]
    real, n_real = tables(), n_genes | {"ligands": 1}
    pd.testing.assert_frame_equal(
        false_discoveries(stored, real, n_real), false_discoveries(fresh, real, n_real)
    )
    pd.testing.assert_frame_equal(implant_results(stored, real), implant_results(fresh, real))


# --- runs -------------------------------------------------------------------------------------


def test_outcomes_come_in_the_order_of_their_names(monkeypatch):
    outcomes, ran = run(monkeypatch)
    assert [o.name for o in outcomes] == NAMES
    assert ran == NAMES[::-1]


def test_the_first_inference_gives_an_estimate(monkeypatch, caplog):
    with caplog.at_level(logging.INFO, "spatrace_sc"):
        run(monkeypatch)
    assert caplog.messages == ["One control inference took 3 s; the other 3 take about 0.1 min."]


def test_a_killed_run_continues_with_what_is_left(monkeypatch, tmp_path, caplog):
    with pytest.raises(KeyboardInterrupt):
        run(monkeypatch, tmp_path, stop_at="a 2")
    assert len(list(tmp_path.glob("*.draw.json"))) == 2
    with caplog.at_level(logging.INFO, "spatrace_sc"):
        outcomes, ran = run(monkeypatch, tmp_path)
    assert ran == ["a 2", "a 1"]
    assert caplog.messages[0] == "2 of 4 control inferences are taken from the checkpoint."
    whole, _ = run(monkeypatch)
    assert [o.name for o in outcomes] == NAMES
    for one, other in zip(whole, outcomes, strict=True):
        assert_equal(one, other)
    assert run(monkeypatch, tmp_path)[1] == []


def test_a_folder_within_a_new_folder_is_made(monkeypatch, tmp_path):
    run(monkeypatch, tmp_path / "new" / "folder")
    names = sorted(f.name for f in (tmp_path / "new" / "folder").iterdir())
    assert LABEL in names
    assert len(names) == 5
    assert not any(name.startswith(".") for name in names)


def test_half_written_files_are_ignored(monkeypatch, tmp_path):
    run(monkeypatch, tmp_path)
    file = next(tmp_path.glob("*.draw.json"))
    (tmp_path / f".{file.name}.123").write_text(file.read_text()[:40])
    file.unlink()
    assert len(run(monkeypatch, tmp_path)[1]) == 1


def test_a_run_killed_while_its_label_was_written_leaves_a_usable_folder(monkeypatch, tmp_path):
    (tmp_path / f".{LABEL}.123").write_text('{"finge')
    assert run(monkeypatch, tmp_path)[1] == NAMES[::-1]


# --- what is refused --------------------------------------------------------------------------


def test_other_settings_are_refused(monkeypatch, tmp_path):
    run(monkeypatch, tmp_path)
    message = "another computation: it differs in result. Name another folder"
    with pytest.raises(InvalidArgumentError, match=message):
        run(monkeypatch, tmp_path, print_="y")
    assert run(monkeypatch, tmp_path)[1] == []


@pytest.mark.parametrize("text", ["[]", "not json", "{}", ""])
def test_a_label_of_something_else_is_refused(tmp_path, text):
    (tmp_path / LABEL).write_text(text)
    with pytest.raises(InvalidArgumentError, match="another computation"):
        folder_of(tmp_path, "x")
    assert (tmp_path / LABEL).read_text() == text


def test_a_file_is_refused(tmp_path):
    path = tmp_path / "file"
    path.write_text("mine")
    with pytest.raises(InvalidArgumentError, match=r"`checkpoint='.*file'` is a file; name a"):
        folder_of(path, "x")
    assert path.read_text() == "mine"


def test_a_folder_with_other_files_is_refused(tmp_path):
    (tmp_path / "mine.csv").write_text("1")
    with pytest.raises(InvalidArgumentError, match="is a folder with other files; name a new or"):
        folder_of(str(tmp_path), "x")
    assert [f.name for f in tmp_path.iterdir()] == ["mine.csv"]


def test_without_a_checkpoint_nothing_is_stored(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(monkeypatch)
    assert list(tmp_path.iterdir()) == []


# --- what a checkpoint belongs to -------------------------------------------------------------


def design(**changes):
    values = {"n_draws": {"a": 1, "b": 2}, "sizes": (0.1,), "known": frozenset("xy"), "seed": 0}
    return Design(**values | changes)


def test_the_label_is_the_same_after_a_file(tmp_path):
    adata = inferred()
    adata.write_h5ad(tmp_path / "a.h5ad")
    back = ad.read_h5ad(tmp_path / "a.h5ad")
    one, other = (label_of(Result.read(a, "spatrace"), None, design()) for a in (adata, back))
    assert one == other
    back.uns["spatrace"]["params"]["device"] = "cuda:0"
    back.uns["spatrace"]["params"]["config"]["progress"] = True
    assert label_of(Result.read(back, "spatrace"), None, design()) == one


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"sizes": (0.2,)}, {"known": frozenset("x")}, {"n_draws": {"a": 1, "b": 3}}],
    ids=lambda change: next(iter(change)),
)
def test_other_designs_have_another_label(change):
    result = Result.read(inferred(), "spatrace")
    one = label_of(result, None, design())
    assert label_of(result, None, design(**change)) != one
    again = design(n_draws={"b": 2, "a": 1}, known=frozenset("yx"))
    assert label_of(result, None, again) == one
    assert label_of(result, None, design(), ["radius = 3"]) != one
    prior = pd.DataFrame({"tf": ["TF000"], "target": ["TG000"]})
    assert label_of(result, prior, design()) != one


@pytest.mark.parametrize("name", ["seed", "radius", "prior", "config", "q_value", "targets"])
def test_other_results_have_another_label(name):
    adata = inferred()
    one = label_of(Result.read(adata, "spatrace"), None, design())
    slots = adata.uns["spatrace"]
    params = dict(slots["params"])
    if name == "config":
        params["config"] = params["config"] | {"n_blocks": 7}
    elif name == "q_value":
        slots["tf_targets"] = slots["tf_targets"].assign(q_value=0.123)
    elif name == "targets":
        slots["target_moments"] = np.asarray(slots["target_moments"]) + 0.01
    else:
        params[name] = {"seed": 7, "radius": 21.0, "prior": "1 table"}[name]
    slots["params"] = params
    assert label_of(Result.read(adata, "spatrace"), None, design()) != one
