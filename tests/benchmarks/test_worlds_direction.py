"""Directions of called edges: scores, their table, and worlds with upstream genes as targets."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

sys.path.append(str(Path(__file__).parents[2]))

from benchmarks.worlds import directions as of_true_edges
from benchmarks.worlds.judge import score, upstream
from benchmarks.worlds.report import directions, frame
from benchmarks.worlds.tissues_upstream import upstream_as_targets

import spatrace_sc as st
from spatrace_sc._regulators import Regulators


@pytest.fixture
def four():
    """A → B → C and A → D, where all four genes are candidates on both sides."""
    edges = pd.DataFrame({"tf": list("ABA"), "target": list("BCD"), "sign": [1, 1, -1]})
    pairs = ["ligand", "receptor"]
    nothing = {"lr_targets": [*pairs, "target", "sign", "kind"], "lr_tfs": [*pairs, "tf", "sign"]}
    truth = {name: pd.DataFrame(columns=columns) for name, columns in nothing.items()}
    truth |= {"tf_targets": edges, "tf_tfs": edges, "lr_pairs": pd.DataFrame(columns=pairs)}
    var = pd.DataFrame({"tf": True, "target": True}, index=list("ABCD"))
    return AnnData(np.zeros((3, 4), dtype=np.float32), var=var, uns={"truth": truth})


def test_directions_of_called_edges(four):
    edges = [("A", "B"), ("A", "C"), ("C", "A"), ("D", "C"), ("B", "A")]
    others = [("B", "C"), ("A", "D")]
    table = pd.DataFrame([*edges, *others], columns=["tf", "target"]).assign(score=1.0)
    forward, reverse, unknown = "forward", "reverse as likely", "not determined"
    table["q_value"] = [0.05] * 5 + [1.0] * 2
    table["direction"] = [forward, unknown, reverse, forward, forward, forward, forward]
    scores = score(four, {"tf_targets": table})["tf_targets"]
    expected = {"forward": 3 / 5, "backward": 1 / 5, "true_forward": 1 / 5, "true_backward": 0.0}
    expected |= {"reversed_forward": 1 / 5, "reversed_backward": 1 / 5}
    assert {k: scores[k] for k in expected} == pytest.approx(expected)
    rows = [
        {"data": "boolean", "seed": seed, "method": "ours", "status": "ok", "cpu": 1.0}
        | {"scores": {"tf_targets": scores}}
        for seed in (0, 1)
    ]
    (line,) = directions(frame(rows).query("task == 'tf_targets'"), ["world"]).to_dict("records")
    assert (line["called"], line["forward"], line["reverse as likely"]) == (10, 6, 2)
    assert line["reversed"] == pytest.approx(2 / 5)
    assert line["reversed of forward"] == pytest.approx(1 / 3)
    assert line["forward of true"] == 1.0
    assert line["forward of reversed"] == pytest.approx(1 / 2)


def test_upstream_tfs_become_targets(four):
    roles = {"tf": list("AB"), "target": list("BCD")}
    adata = four
    for role, genes in roles.items():
        adata.var[role] = adata.var_names.isin(genes)
    edge = pd.DataFrame({"tf": ["A"], "target": ["B"], "sign": [1]})
    others = pd.DataFrame({"tf": ["A", "B"], "target": ["D", "C"], "sign": [1, 1]})
    adata.uns["truth"] = four.uns["truth"] | {"tf_tfs": edge, "tf_targets": others}
    moved = upstream_as_targets(adata)
    assert list(moved.var_names[moved.var["tf"]]) == ["B"]
    assert set(moved.var_names[moved.var["target"]]) == set("ABCD")
    assert moved.uns["truth"]["tf_targets"][["tf", "target"]].to_numpy().tolist() == [["B", "C"]]
    assert bool(upstream(moved.uns["truth"]).loc["A", "C"])


def test_directions_of_true_edges_need_no_inference():
    adata = st.datasets.simulated(n_cells=400, n_targets=12, n_background=40)
    keys = {"sample_key": "sample", "stage_key": "stage"}
    adata.uns["arguments"] = keys | {"time_key": "dpt_pseudotime"}
    study = of_true_edges.read(adata)
    (tf, target), sign = of_true_edges.true_edges(study, adata.uns["truth"])
    truth = adata.uns["truth"]["tf_targets"]
    signs = {(e.tf, e.target): e.sign for e in truth.itertuples()}
    edges = zip(study.genes.tfs[tf], study.genes.targets[target], strict=True)
    assert dict(zip(edges, sign, strict=True)) == signs
    line = of_true_edges.directions(adata, 0)
    assert line["edges"] == len(truth)
    both = line["forward without threshold"] + line["backward without threshold"]
    assert 0 <= line["forward"] + line["backward"] <= both <= 1
    table = of_true_edges.summary(pd.DataFrame([{"world": "w"} | line] * 2))
    assert table.loc["w", "true edges"] == 2 * len(truth)


def test_edges_that_are_true_both_ways_have_no_direction():
    truth = {"tf_targets": pd.DataFrame({"tf": list("ABB"), "target": list("BAC")})}
    genes = Regulators.from_mapping(
        {"ligands": ["L"], "receptors": ["R"], "tfs": list("AB"), "targets": list("ABC")},
        homophilic=False,
    )
    levels = np.random.default_rng(0).normal(size=(8, 3))
    study = SimpleNamespace(
        genes=genes, tf=levels[:, :2], target=-levels, receiver_types=np.repeat(["x"], 8)
    )
    (tf, target), sign = of_true_edges.true_edges(study, truth)
    assert (genes.tfs[tf].tolist(), genes.targets[target].tolist()) == (["B"], ["C"])
    assert len(sign) == 1
