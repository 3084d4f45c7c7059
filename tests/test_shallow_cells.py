"""Cells with far fewer molecules than others of their type are left out, with a warning."""

from __future__ import annotations

import numpy as np
import pytest
from _helpers import NO_ROLES, NOTHING_SIGNIFICANT, infer_quietly, small_config, source
from anndata import AnnData
from scipy import sparse

import spatrace_sc as st
from spatrace_sc._data.empty_cells import MIN_CELLS_OF_TYPE, MIN_DEPTH_SHARE, shallow_cells
from spatrace_sc._inference.restore import restore
from spatrace_sc._study.read import read_study

pytestmark = [
    pytest.mark.filterwarnings(NOTHING_SIGNIFICANT),
    pytest.mark.filterwarnings("ignore:.*molecules of the median cell:spatrace_sc.SpatraceWarning"),
]
FAST = small_config(
    evidence=st.EvidenceConfig(n_resamples=2, n_permutations=1),
    training=st.TrainingConfig(max_epochs=1),
)


def test_hand_numbers():
    n = MIN_CELLS_OF_TYPE
    molecules = np.array([9.0, 11.0, *[100.0] * n, 3.0, 0.0, *[20.0] * n])
    types = np.array(["a"] * (n + 2) + ["b"] * (n + 2))
    empty = molecules == 0
    found = shallow_cells(molecules, np.zeros(len(types)), types, empty)
    assert MIN_DEPTH_SHARE == 0.1
    assert list(np.flatnonzero(found)) == [0]
    # of few cells of a type, the whole slice says what is usual
    few = np.where(np.arange(len(types)) < 5, "rare", types)
    molecules[2] = 5.0
    assert list(np.flatnonzero(shallow_cells(molecules, np.zeros(len(few)), few, empty))) == []
    molecules[2] = 1.0
    assert list(np.flatnonzero(shallow_cells(molecules, np.zeros(len(few)), few, empty))) == [2]


def test_a_slice_of_lower_depth_is_no_error():
    molecules = np.repeat([1000.0, 20.0], 50)
    sample, types = np.repeat(["one", "two"], 50), np.full(100, "a")
    nothing = np.zeros(100, dtype=bool)
    assert not shallow_cells(molecules, sample, types, nothing).any()
    molecules[:60] = 1000.0
    assert shallow_cells(molecules, np.full(100, "one"), types, nothing).sum() == 40


def test_without_counts_none_is_shallow():
    assert not shallow_cells(None, np.zeros(3), np.zeros(3), np.zeros(3, dtype=bool)).any()


def with_shallow(n: int = 12) -> tuple[AnnData, np.ndarray]:
    """Tissue in which some receivers and senders keep a few molecules."""
    adata = st.datasets.simulated(n_cells=300, n_targets=5, n_background=48)
    counts = adata.layers["counts"].toarray().astype(int)
    rng = np.random.default_rng(0)
    cells = np.sort(rng.choice(adata.n_obs, n, replace=False))
    share = 15 / counts[cells].sum(axis=1, keepdims=True)
    counts[cells] = rng.binomial(counts[cells], share)
    adata.layers["counts"] = sparse.csr_matrix(counts.astype(np.float32))
    total = counts.sum(axis=1, keepdims=True)
    adata.X = np.log1p(1e4 * counts / np.maximum(total, 1)).astype(np.float32)
    return adata, cells


def test_they_take_no_part_and_a_warning_counts_them():
    adata, cells = with_shallow()
    with pytest.warns(st.SpatraceWarning, match=r"12 of 300 cells .*less than a tenth"):
        study = read_study(adata, NO_ROLES, source())
    taking_part = np.union1d(study.receiver_rows, study.sender_rows)
    assert not np.isin(cells, taking_part).any()
    assert len(taking_part) == adata.n_obs - len(cells)


def test_every_verb_leaves_the_same_cells_out():
    adata, cells = with_shallow()
    infer_quietly(adata, sample_key="sample", stage_key="stage", config=FAST)
    before = adata.obsp["spatrace_communication"].copy()
    assert before[cells].nnz == before[:, cells].nnz == 0
    assert np.isnan(adata.obsm["spatrace_activity"][cells]).all()
    assert not np.isin(cells, restore(adata, "spatrace").rows).any()
    st.tl.communication(adata, n_permutations=1)
    assert abs(adata.obsp["spatrace_communication"] - before).max() < 1e-5


def test_communication_of_fewer_cells_keeps_the_receivers():
    """Without most cells of a type, its other cells have another median; they receive as before."""
    adata, _ = with_shallow()
    infer_quietly(adata, sample_key="sample", stage_key="stage", config=FAST)
    received = np.isfinite(adata.obsm["spatrace_activity"]).all(axis=1)
    some = adata[np.random.default_rng(1).random(adata.n_obs) < 0.7].copy()
    st.tl.communication(some, n_permutations=1)
    now = np.isfinite(some.obsm["spatrace_activity"]).all(axis=1)
    assert now.sum() == received[adata.obs_names.isin(some.obs_names)].sum()
