"""False share and power with and without the test among neighbours."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

sys.path.append(str(Path(__file__).parents[2]))

from benchmarks.calibration import location

import spatrace_sc as st

GENES = SimpleNamespace(
    tfs=np.array(["t"]),
    ligands=np.array(["A", "B"]),
    receptors=np.array(["r"]),
    targets=np.array(["x", "y"]),
)
EDGES = pd.DataFrame(
    {"ligand": [0, 0, 1, 1], "receptor": 0, "target": [0, 1, 0, 1], "q_value": 0.05}
)
TF_EDGES = pd.DataFrame({"tf": [0, 0], "target": [0, 1], "q_value": [0.05, 0.5]})
PAIRS = pd.DataFrame({"ligand": [0, 1], "receptor": 0, "q_value": [0.05, 0.2]})
TRUE = pd.DataFrame({"ligand": ["A", "A"], "receptor": ["r", "r"], "target": ["x", "y"]})
TRUE_BY_TASK = {
    "tf_targets": pd.DataFrame({"tf": ["t", "t"], "target": ["x", "y"]}),
    "lr_targets": TRUE,
    "lr_pairs": TRUE,
}


def a_result(raised):
    """What the tests of edges return; the test among neighbours raises q of some edges."""
    edges = EDGES.assign(q_value=np.where(raised, 1.0, EDGES["q_value"]))
    tables = {"tf_targets": TF_EDGES, "lr_targets": edges, "lr_pairs": PAIRS}
    return SimpleNamespace(tables=tables)


@pytest.fixture
def scene(monkeypatch):
    roles = dict.fromkeys(("ligand", "receptor", "tf", "target"), True)
    var = pd.DataFrame(roles, index=["A", "B", "r", "t", "x", "y"])
    tissue = SimpleNamespace(adata=SimpleNamespace(var=var), arguments={})
    for name in ("fields", "fields, null"):
        monkeypatch.setitem(location.TISSUES, name, lambda seed: tissue)
    monkeypatch.setattr(location, "true_edges", lambda tissue, task: (TRUE_BY_TASK[task],) * 2)

    def test_edges(study):
        """The second and the third edge fail the test among neighbours."""
        kept = location.edge_tests.apply_local_test(*[None] * 4, "as before")
        return a_result([False, kept != "as before", kept != "as before", False])

    monkeypatch.setattr(location.inference, "assess_edges", test_edges)
    monkeypatch.setattr(location.edge_tests, "apply_local_test", lambda *given: "raised")
    infer = lambda *args, **kwargs: location.inference.assess_edges(SimpleNamespace(genes=GENES))
    monkeypatch.setattr(st.tl, "infer_ccc", infer)


def numbers(data, kind):
    rows = [row for row in location.run(data, 0) if row["table"] == kind]
    columns = ("called", "false", "found")
    return {row["test"]: tuple(row[column] for column in columns) for row in rows}


def test_edges_are_counted_with_and_without_the_test(scene):
    assert numbers("fields", "lr_targets") == {"without": (4, 2, 2), "with": (2, 1, 1)}
    assert numbers("fields", "lr_pairs") == {"without": (1, 0, 1), "with": (1, 0, 1)}


def test_every_call_is_false_where_no_ligand_acts(scene):
    assert numbers("fields, null", "lr_targets") == {"without": (4, 4, 0), "with": (2, 2, 0)}
    assert numbers("fields, null", "tf_targets") == {"without": (1, 0, 1), "with": (1, 0, 1)}
