"""Known regulation: candidates, scores, ranks and tables on a few edges by hand."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from _helpers import NOTHING_SIGNIFICANT, tiny_config
from anndata import AnnData

sys.path.append(str(Path(__file__).parents[2]))

from benchmarks._data import data_file
from benchmarks.worlds import known_figure, known_regulation, known_report, lineages
from benchmarks.worlds.lineages import KnownEdge, KnownSignal, Lineage

import spatrace_sc as st

pytestmark = pytest.mark.filterwarnings(NOTHING_SIGNIFICANT)

TFS, TARGETS = ["A", "B", "C"], ["A", "x", "y"]
LINEAGE = Lineage(
    ("root",),
    (KnownEdge("A", "x", 1, "Doe 1999"), KnownEdge("B", "y", -1, "Roe 2001")),
    (KnownSignal("l", "r", "x", "Poe 2003"), KnownSignal("l", "r", "absent", "Poe 2003")),
    ("C",),
)
TRUTH = {
    "tf_targets": pd.DataFrame({"tf": ["A", "B"], "target": ["x", "y"], "sign": [1, 1]}),
    "lr_pairs": pd.DataFrame({"ligand": ["l", "m"], "receptor": ["r", "s"]}),
}


def edges(score):
    """Scores of (A, B, C) × (A, x, y), row by row."""
    grid = pd.MultiIndex.from_product([TFS, TARGETS], names=["tf", "target"])
    table = grid.to_frame(index=False)
    return table.assign(score=np.abs(score), effect=score)


def tables(score):
    pairs = pd.DataFrame({"ligand": list("llmm"), "receptor": list("rsrs"), "score": [4, 1, 2, 3]})
    signals = pd.DataFrame(
        {"ligand": "l", "receptor": list("rs"), "target": "x", "score": [0.0, 1.0]}
    )
    signals = signals.assign(effect=signals["score"], effect_se=np.nan)
    return {"tf_targets": edges(score), "lr_pairs": pairs, "lr_targets": signals}


@pytest.fixture
def row():
    ours = tables(np.array([9.0, 0.5, 0.2, 0.0, 0.1, -0.4, 0.3, 0.6, 0.0]))
    called = (ours["tf_targets"]["tf"] == "C") & (ours["tf_targets"]["target"] == "x")
    q = np.where(called | (ours["tf_targets"]["score"] == 0.5), 0.05, 1.0)
    ours["tf_targets"] = ours["tf_targets"].assign(
        effect_se=0.1,
        minimum_effect=0.2,
        q_value=q,
        limited_by=np.where(q < 0.1, "", "weaker than decoys"),
        robustness=0.3,
        benchmark=np.nan,
    )
    ours["lr_targets"] = ours["lr_targets"].assign(q_value=1.0, limited_by="no effect")
    ours["lr_pairs"] = ours["lr_pairs"].assign(q_value=[0.01, 1.0, 1.0, 1.0])
    others = {name: tables(np.arange(9.0)) for name in ("pearson", "ridge", "trees")}
    size = {"cells": 5, "molecules": 9, "tf": 3, "target": 3, "ligand": 2, "receptor": 2}
    judged = known_regulation.judge(TRUTH, {"ours": ours} | others, LINEAGE)
    return {"tissue": "made up", "size": size} | judged


def test_only_edges_that_the_truth_can_judge_are_scored(row):
    """Candidates are A → x, A → y, B → x and B → y; in the order of ours, x of A leads."""
    scores = row["scores"]["tf_targets"]["ours"]
    assert (scores["candidates"], scores["listed"]) == (4, 2)
    assert scores["AUROC"] == pytest.approx(1.0)
    assert scores["chance"] == pytest.approx(np.sqrt(5 / (12 * 2 * 2)), abs=1e-4)
    others = row["scores"]["tf_targets"]["ridge"]
    assert others["AUROC"] == pytest.approx(0.5)  # scores 1, 2, 4, 5: first and last are listed
    pairs = row["scores"]["lr_pairs"]["ours"]
    assert pairs["AUROC"] == pytest.approx(1.0)
    assert pairs["candidates"] == 4


def test_calls_and_limits(row):
    limits = {"": 1, "weaker than decoys": 1}
    assert row["calls"] == {"called": 2, "judged": 1, "listed": 1, "limits": limits}
    assert row["pairs_called"] == 1
    assert row["signals_called"] == 0


def test_ranks_leave_out_a_gene_on_itself_and_scores_of_zero(row):
    first, second = row["edges"]
    assert (first["candidates"], first["candidates_of_target"]) == (8, 3)
    assert first["ranks"] == {"ours": 2.0, "pearson": 8.0, "ridge": 8.0, "trees": 8.0}
    assert first["ranks_of_target"]["ours"] == 2.0
    assert second["ranks_of_target"] == {"ours": 1.0, "pearson": 2.0, "ridge": 2.0, "trees": 2.0}
    assert first["listed"]
    signal, absent = row["signals"]
    assert signal["ranks"]["ours"] is None
    assert absent["ranks"] == {}


def test_the_strongest_edges_and_those_of_other_tfs(row):
    named = [(e["tf"], e["target"], e["rank"]) for e in row["strongest"]]
    assert named[:3] == [("C", "x", 1), ("A", "x", 2), ("B", "y", 3)]
    assert named[5:] == [("C", "x", 1), ("C", "A", 4), ("C", "y", 8)]


def test_tables_and_figure(row, tmp_path):
    text = known_report.report([row])
    assert "| made up | 5 | 9 | 3 | 3 | 2 | 2 | – | – |" in text
    assert "A → x\\* | Doe 1999 | +0.500 ± 0.100 | 0.05 | significant | .30 (–) | 8 | 2" in text
    assert "B ⊣ y\\* | Roe 2001 | -0.400" in text
    assert "l–r → absent | Poe 2003 | not measured" in text
    assert "| all | 2 | 2 | 2 | 2 | 2 |" in text
    for table in text.split("### ")[1:]:
        widths = {line.count(" | ") for line in table.splitlines() if line.startswith("| ")}
        assert len(widths) == 1
    drawn = known_figure.draw([row], tmp_path / "known.png")
    marks = {line.get_gid(): line for ax in drawn.axes for line in ax.lines}
    assert marks["edge:made up:A:x:ours"].get_xdata()[0] == 2.0
    assert marks["tf_targets:made up:ridge"].get_xdata()[0] == pytest.approx(0.5)


def test_known_tfs_among_the_first_of_their_target():
    ranks = [{"ours": 5.0, "pearson": 5.5, "ridge": None, "trees": 1.0}, {}]
    edges = [{"ranks_of_target": r} for r in ranks]
    text = known_report.first([{"tissue": "one", "edges": edges}])
    assert text.splitlines()[2:] == ["| one | 1 | 1 | 0 | 0 | 1 |", "| all | 1 | 1 | 0 | 0 | 1 |"]


def test_candidates_are_detected_and_known_genes_are_added(monkeypatch):
    monkeypatch.setattr(lineages, "N_TFS", 1)
    monkeypatch.setattr(lineages, "N_VARIABLE", 2)
    names = ["A", "B", "C", "x", "y", "rare", "loud"]
    values = np.zeros((100, 7))
    values[::2] = [3, 2, 1, 1, 2, 0, 4]
    values[0, 5] = 50  # the most variable gene, in one cell of a hundred
    adata = AnnData(values)
    adata.var_names = names
    listed = pd.DataFrame({"tf": ["A", "A", "C"], "target": ["y", "rare", "x"]})
    tfs, targets = lineages.candidates(adata, TFS, listed, LINEAGE)
    assert tfs == {"A", "B"}  # the most variable one, and those of known edges
    assert targets == {"loud", "A", "y", "x"}


def test_count_noise_is_recorded_during_an_inference():
    adata = st.datasets.simulated(n_cells=600, n_targets=8)
    with known_regulation.recorded_noise() as noise:
        st.tl.infer_ccc(adata, sample_key="sample", config=tiny_config())
    assert 0 < noise["noise_share"] < 1
    assert noise["largest_t"] > 0


def test_a_large_lineage_is_sampled(monkeypatch):
    monkeypatch.setattr(lineages, "MAX_RECEIVERS", 3)
    adata = AnnData(np.zeros((9, 1)), obs=pd.DataFrame({"cell_type": list("aabbccccc")}))
    assert lineages.fewer_receivers(adata, ["a"]).n_obs == 9
    fewer = lineages.fewer_receivers(adata, ["a", "b"]).obs["cell_type"]
    assert fewer.isin(["a", "b"]).sum() == 3
    assert (fewer == "c").sum() == 5


def test_the_genes_of_the_embryo():
    try:
        data_file("mouse_embryo_seqfish", "embryo.h5ad")
    except SystemExit as missing:
        pytest.skip(str(missing))
    names = set(lineages.atlas.embryo_cells().var_names)
    for name, lineage in lineages.LINEAGES.items():
        genes = {gene for edge in lineage.edges for gene in edge[:2]}
        genes |= {gene for signal in lineage.signals for gene in signal[:3]}
        assert name == "heart" or genes | set(lineage.others) <= names
