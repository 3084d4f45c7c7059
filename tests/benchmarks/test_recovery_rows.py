"""What is measured, scored, resumed and printed."""

from __future__ import annotations

import json
import pickle
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import spatrace_sc as st

sys.path.append(str(Path(__file__).parents[2]))

from benchmarks.recovery import __main__ as command
from benchmarks.recovery import datasets, report, worker
from benchmarks.recovery.judge import judge
from benchmarks.recovery.methods import METHODS, Method
from benchmarks.recovery.tables import tables
from benchmarks.recovery.tissue import SkipMethod, Tissue


@pytest.fixture(scope="module")
def simulated() -> Tissue:
    return datasets.from_truth(st.datasets.simulated(0, n_cells=300, n_targets=5, n_background=30))


def test_the_truth_is_hidden_from_the_methods(simulated):
    adata = simulated.adata
    assert not set(adata.uns) & {"truth", "simulation"}
    assert "true_signal" not in adata.obsm
    assert "latent_time" not in adata.obs
    assert "decoy" not in adata.var


def test_thinning_reaches_its_share_of_zeros():
    counts = np.random.default_rng(0).poisson(np.geomspace(1, 300, 40), (200, 40))
    kept = datasets._share_for(counts, 0.84)
    assert np.mean(np.random.default_rng(1).binomial(counts, kept) == 0) == pytest.approx(
        0.84, abs=0.01
    )


def test_tables_of_weights():
    names = {
        "ligand": np.array(["l"]),
        "receptor": np.array(["r", "s"]),
        "target": np.array(["g", "h"]),
    }
    found = tables(names, pair=np.array([[3.0, -4.0], [np.nan, 1.0]]))
    assert list(found["lr_targets"]["score"]) == [3, 4, 0, 1]
    assert list(found["lr_targets"]["effect"]) == [3, -4, 0, 1]
    assert list(found["lr_pairs"]["score"]) == [5, 1]
    assert "tf_targets" not in found


def test_judge_counts_discoveries_of_a_null_as_false():
    names = {"ligand": np.array(["l"]), "receptor": np.array(["r"]), "target": np.array(["g", "h"])}
    found = tables(names, pair=np.array([[3.0, -4.0]]))
    found["lr_targets"]["q_value"] = [0.05, 0.5]
    empty = pd.DataFrame(columns=["ligand", "receptor", "target", "sign", "kind"])
    truth = {"tf_targets": empty, "lr_targets": empty, "lr_pairs": empty[["ligand", "receptor"]]}
    assert judge(Tissue(AnnData(), {}, truth), found) == {
        task: {"hits": 1.0, "false": 1.0} for task in ("lr_targets", "+ indirect")
    }


def wrong(tissue, seed):
    raise ValueError("no")


def skipping(tissue, seed):
    raise SkipMethod("not today")


def test_failures_are_rows(tmp_path, monkeypatch, simulated):
    file = tmp_path / "t.pickle"
    file.write_bytes(pickle.dumps(simulated))
    for function, expected in (
        (wrong, ("failed", "ValueError: no")),
        (skipping, ("skipped", "not today")),
    ):
        monkeypatch.setattr(Method, "load", lambda self, f=function: f)
        row = worker.run("A", 0, "pearson", file)
        assert (row["status"], row["error"]) == expected


def test_every_panel_of_the_figure_has_the_same_rows(tmp_path, monkeypatch):
    def row(method, tasks):
        scores = {t: {"AUROC": 0.5, "AUPRC": 0.2} for t in tasks}
        return {
            "data": "A",
            "seed": 1,
            "method": method,
            "status": "ok",
            "cpu": 1,
            "peak": 1,
            "scores": scores,
        }

    drawn = []
    monkeypatch.setattr(report.plt, "close", drawn.append)
    report.draw(
        [row("liana", ["lr_pairs"]), row("ridge", ["tf_targets", "lr_pairs"])], tmp_path / "f.png"
    )
    axes = drawn[0].axes
    assert [t.get_text() for t in axes[0].get_yticklabels()] == ["ridge", "liana"]
    shown = [np.isfinite(ax.images[0].get_array().filled(np.nan)).ravel().tolist() for ax in axes]
    assert shown == [[True, False], [True, True]] * 2


def test_rows_are_resumed_and_reported(tmp_path):
    out = tmp_path / "r.jsonl"
    scores = {"lr_pairs": {"AUROC": 0.5, "AUPRC": 0.25, "x base": 2.0, "early": 0.0, "signs": None}}
    ok = {
        "data": "A",
        "method": "pearson",
        "status": "ok",
        "cpu": 1.0,
        "wall": 1.0,
        "peak": 0.5,
        "scores": scores,
    }
    failed = {"data": "A", "seed": 2, "method": "pearson", "status": "failed", "error": "why"}
    rows = [ok | {"seed": 1}, failed, ok | {"seed": 3}]
    out.write_text("\n".join(map(json.dumps, rows)) + "\n")
    given = Namespace(out=out, data=["A"], seeds=[1, 2, 3], methods=["pearson", "ridge"])
    assert command.missing(given) == [
        ("A", 1, ["ridge"]),
        ("A", 2, ["pearson", "ridge"]),
        ("A", 3, ["ridge"]),
    ]
    found = report.read_rows(out)
    for text in (report.plain(found), report.markdown(found)):
        assert "pearson failed (why): A 2" in text
    assert "| pearson | .25 (.25–.25) |" in report.markdown(found)
    assert report.draw(found, tmp_path / "f.png").stat().st_size > 5000
    with out.open("a") as log:
        log.write(json.dumps(ok | {"seed": 2}) + "\n")
    assert len(report.read_rows(out)) == 3  # the last row of a run counts
    assert not [r for r in report.read_rows(out) if r["status"] != "ok"]


def test_edges_that_a_method_omits_are_named():
    for name, method in METHODS.items():
        assert method.left_out <= set(datasets.DATASETS), name
        assert bool(method.left_out) == bool(method.why), name
    assert set(datasets.NOTES) == set(datasets.DATASETS)
