"""Every ablation of the recovery benchmark still changes a part of the package."""

from __future__ import annotations

import numpy as np
import pytest
from _helpers import NOTHING_SIGNIFICANT
from benchmarks.recovery import parts
from benchmarks.recovery.datasets import simulated

import spatrace_sc as st
from spatrace_sc._inference import edge_tables
from spatrace_sc._model.records import Draw

pytestmark = pytest.mark.filterwarnings(NOTHING_SIGNIFICANT)

ABLATIONS = [name for name in parts.PARTS if name != "all"]


@pytest.mark.parametrize("name", parts.PARTS)
def test_every_patched_name_exists(name):
    change, config = parts.PARTS[name]
    with change():
        pass
    assert isinstance(config, st.Config)


def test_depth_is_named_as_a_covariate(tiny):
    tissue = tiny(0)
    assert "covariates" not in tissue.arguments
    deeper = parts.GIVEN["depth as a covariate"](tissue)
    assert deeper.arguments["covariates"] == ["log_depth"]
    total = np.asarray(tissue.adata.layers["counts"].sum(axis=1)).ravel()
    np.testing.assert_allclose(np.expm1(deeper.adata.obs["log_depth"]), total, rtol=1e-4)
    assert set(parts.GIVEN) <= set(parts.PARTS)


def test_scores_of_all_refits_are_added_up():
    wanted = np.array([1, 4, 7])
    none = np.empty(0)
    draws = [
        Draw(np.array([7, 1, 2]), np.array([4.0, 1.0, 9.0]), np.array([2.0]), np.array([1.0])),
        Draw(np.array([1]), np.array([3.0]), none, none),
    ]
    # means over refits 2, 0 and 2 against one decoy of 2 with half a weight
    with parts.counted_over_all_refits():
        q = edge_tables.q_against_decoys(draws, wanted)
    np.testing.assert_allclose(q, [0.75, 1.0, 0.75])
    with parts.zeros_counted_as_hits():
        q = edge_tables.q_against_decoys(draws, wanted)
    np.testing.assert_allclose(q, [0.5, 1.0, 0.5])


@pytest.fixture(scope="module")
def tiny():
    genes = dict.fromkeys(("n_ligands", "n_receptors", "n_pairs", "n_tfs"), 5)
    return simulated(n_cells=500, n_targets=8, n_background=30, depth=3000, **genes)


@pytest.fixture(scope="module")
def complete(tiny):
    """Scores of all parts."""
    parts.DATA["tiny"] = tiny
    yield parts.run("tiny", 0, "all")
    del parts.DATA["tiny"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ABLATIONS)
def test_an_ablation_runs_and_is_undone(complete, name):
    row = parts.run("tiny", 0, name)
    assert row.keys() == complete.keys()
    assert all(np.isfinite(v) for k, v in row.items() if "AUPRC" in k)
    again = parts.run("tiny", 0, "all")
    assert again["LR→TG AUPRC"] == complete["LR→TG AUPRC"]
