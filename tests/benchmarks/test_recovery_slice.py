"""A fast slice of the recovery benchmark on development seeds: the package against alternatives."""

from __future__ import annotations

import pytest
from _helpers import NOTHING_SIGNIFICANT
from benchmarks._data import data_file
from benchmarks.recovery.datasets import DATASETS, lineages, simulated
from benchmarks.recovery.judge import judge
from benchmarks.recovery.methods.correlation import pearson
from benchmarks.recovery.methods.linear import l1, ridge
from benchmarks.recovery.methods.own import ours

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings(NOTHING_SIGNIFICANT)]


@pytest.fixture(scope="module")
def scores():
    tissue = simulated(n_cells=3000)(102)
    return {f.__name__: judge(tissue, f(tissue, 102)) for f in (pearson, ridge, l1, ours)}


@pytest.mark.parametrize(
    ("task", "margin"), [("lr_targets", 1.3), ("lr_pairs", 1.05), ("tf_targets", 0.95)]
)
def test_ahead_of_sparse_and_ridge_regression_on_the_same_signals(scores, task, margin):
    others = max(scores[name][task]["AUPRC"] for name in ("ridge", "l1"))
    assert scores["ours"][task]["AUPRC"] > margin * others


def test_far_ahead_of_correlation(scores):
    for task, factor in (("lr_targets", 5), ("lr_pairs", 3), ("tf_targets", 1.3)):
        assert scores["ours"][task]["AUPRC"] > factor * scores["pearson"][task]["AUPRC"]


def test_signs_are_right(scores):
    assert scores["ours"]["lr_targets"]["signs"] >= 0.9
    assert scores["ours"]["tf_targets"]["signs"] >= 0.9


def test_ligands_of_another_simulator_are_recovered():
    tissue = lineages(101)
    mine, plain = (judge(tissue, f(tissue, 101)) for f in (ours, pearson))
    assert mine["lr_targets"]["AUPRC"] > 1.3 * plain["lr_targets"]["AUPRC"]
    assert mine["lr_pairs"]["AUROC"] > plain["lr_pairs"]["AUROC"]


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("A", {"lr_targets": 0.67, "lr_pairs": 0.87, "tf_targets": 0.99}),
        ("B65", {"lr_targets": 0.45, "lr_pairs": 0.6, "tf_targets": 0.8}),
    ],
)
def test_the_simulation_of_the_authors(name, least):
    try:
        data_file("reference_simulation", "lr_pairs.csv")
    except SystemExit as missing:
        pytest.skip(str(missing))
    tissue = DATASETS[name](101)
    found = judge(tissue, ours(tissue, 101))
    for task, value in least.items():
        assert found[task]["AUPRC"] >= value, task
