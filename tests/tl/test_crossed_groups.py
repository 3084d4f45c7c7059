"""Comparisons within stages and within conditions, animals as units."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from _helpers import NOTHING_SIGNIFICANT, small_result
from anndata import AnnData

import spatrace_sc as st
from spatrace_sc._inference.group_differences import level_table
from spatrace_sc._inference.group_slopes import Plan
from spatrace_sc.tl._comparison_groups import read_replicates
from spatrace_sc.tl._crossed_groups import comparisons_of, read_any_groups

pytestmark = pytest.mark.filterwarnings(NOTHING_SIGNIFICANT)

STAGES = ("stage", ["E1", "E2", "E10"])


def crossed(rows, columns=("stage", "condition"), reference=None, **arguments):
    """Names of the compared groups of cells with the given stage and condition."""
    adata = AnnData(obs=pd.DataFrame(rows, columns=["stage", "condition"]))
    options = {"categories": None, "n_bins": None} | arguments
    groups = read_any_groups(
        *(adata, list(columns), options["categories"], options["n_bins"]),
        stages=STAGES,
        cells=np.ones(len(rows), dtype=bool),
    )
    pairs = comparisons_of(groups, reference)
    return groups, {(groups.names[a], groups.names[b]) for a, b in pairs}


EVERY = [
    (stage, condition) for stage in ("E10", "E2", "E1") for condition in ("treated", "control")
]


def test_groups_that_differ_in_one_column_are_compared():
    groups, pairs = crossed(EVERY)
    assert groups.names == [
        *("E1, control", "E1, treated", "E2, control", "E2, treated"),
        *("E10, control", "E10, treated"),
    ]
    assert [groups.names[code] for code in groups.code] == [", ".join(row) for row in EVERY]
    assert pairs == {
        *((f"{s}, treated", f"{s}, control") for s in ("E1", "E2", "E10")),
        *((f"E2, {c}", f"E1, {c}") for c in ("control", "treated")),
        *((f"E10, {c}", f"E2, {c}") for c in ("control", "treated")),
    }


def test_a_missing_combination_is_passed_over():
    _, pairs = crossed([row for row in EVERY if row != ("E2", "treated")])
    assert ("E10, treated", "E1, treated") in pairs
    assert not [pair for pair in pairs if "E2, treated" in pair]


def test_a_reference_of_one_column():
    _, pairs = crossed(EVERY, reference="treated")
    assert ("E1, control", "E1, treated") in pairs
    assert ("E2, control", "E1, control") in pairs
    _, pairs = crossed(EVERY, reference="E10")
    assert ("E1, control", "E10, control") in pairs
    assert ("E2, control", "E1, control") not in pairs


def test_selected_groups():
    chosen = ["E2, treated", "E2, control"]
    groups, pairs = crossed(EVERY, categories=chosen)
    assert groups.names == chosen
    assert pairs == {tuple(chosen)}
    assert (groups.code >= 0).sum() == 2


def test_cells_without_a_value_have_no_group():
    groups, _ = crossed([*EVERY, ("E1", None)])
    assert groups.code[-1] == -1


def test_one_column_in_a_list_is_that_column():
    groups, pairs = crossed(EVERY, columns=["stage"])
    assert groups.names == ["E1", "E2", "E10"]
    assert pairs == {("E2", "E1"), ("E10", "E2")}


@pytest.mark.parametrize(
    ("rows", "arguments", "message"),
    [
        (EVERY, {"columns": ["stage", "stage"]}, "different columns"),
        (EVERY, {"columns": []}, "different columns"),
        (EVERY, {"columns": ["stage", "treatment"]}, "treatment"),
        (EVERY, {"reference": "controls"}, "Did you mean 'control'"),
        (EVERY, {"categories": ["E1", "E2, control"]}, "unknown groups 'E1'"),
        (EVERY, {"n_bins": 3}, "none of the columns 'stage', 'condition' is numeric"),
        ([("E1", "a"), ("E2", "b")], {}, "differ in one column only"),
        ([("E1", "a"), ("E2", "a")], {}, "'condition'` has one group"),
    ],
)
def test_messages(rows, arguments, message):
    with pytest.raises((st.InvalidArgumentError, st.MissingKeyError), match=message):
        crossed(rows, **arguments)


def test_numbers_are_cut_into_bins():
    rows = [(float(k), "ab"[k % 2]) for k in range(40)]
    groups, pairs = crossed(rows, n_bins=2)
    assert len(groups.names) == 4
    assert len(pairs) == 4


def test_animals_are_the_unit_within_every_group():
    """An effect of the condition at one stage is found there and nowhere else."""
    animals, cells = 3, 60
    group = np.repeat(np.arange(4), animals * cells)  # E1 control, E1 treated, E2 control, ...
    animal = np.repeat(np.arange(4 * animals), cells)
    adata = AnnData(obs=pd.DataFrame({"animal": [f"a{k}" for k in animal]}))
    names = ["E1, a", "E1, b", "E2, a", "E2, b"]
    replicate = read_replicates(adata, "animal", None, group, names)
    pairs = [(1, 0), (3, 2), (2, 0), (3, 1)]
    stage = group // 2
    plan = Plan(np.arange(len(group)), group, names, pairs, replicate, stage, 0.0, 0.1)
    rng = np.random.default_rng(0)
    n = 40
    values = rng.normal(size=(len(group), n)) + 0.3 * rng.normal(size=(4 * animals, n))[animal]
    values[group == 3] += 3.0
    features = pd.DataFrame({"ligand": [f"L{k}" for k in range(n)], "receptor": "R", "score": 1.0})
    table = level_table(values, features, animal, plan, "lr_pair_activity")
    called = (table["q_value"] <= 0.1).groupby([table["group"], table["reference"]]).mean()
    assert called["E2, b", "E2, a"] > 0.9
    assert called["E2, b", "E1, b"] > 0.9
    assert called["E1, b", "E1, a"] < 0.2
    assert called["E2, a", "E1, a"] < 0.2


def test_compare_takes_several_columns(tmp_path):
    adata = small_result().copy()
    condition = np.where(np.arange(adata.n_obs) % 2, "treated", "control")
    adata.obs["condition"] = pd.Categorical(condition)
    kept = [f"{stage}, {c}" for stage in ("E2", "E3") for c in ("control", "treated")]
    st.tl.compare(adata, ["stage", "condition"], categories=kept, top_n=3)
    table = st.get.comparison(adata, "tf_activity")
    assert set(zip(table["group"], table["reference"], strict=True)) == {
        *((f"{s}, treated", f"{s}, control") for s in ("E2", "E3")),
        *((f"E3, {c}", f"E2, {c}") for c in ("control", "treated")),
    }
    assert len(st.get.comparison(adata, "tf_activity", group="E2, treated")) > 0
    adata.write_h5ad(tmp_path / "a.h5ad")
    assert adata.uns["spatrace"]["comparison"]["groups"] == "stage, condition"
