"""Size factors from genes without a role, and counts on a scale of their own."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest
from _helpers import NOTHING_SIGNIFICANT, infer_quietly, small_config
from anndata import AnnData
from scipy import sparse

import spatrace_sc as st
from spatrace_sc._data.size_factors import (
    MIN_GENES,
    PRIOR_MOLECULES,
    load_rescaled,
    rescale,
    size_factors,
)

pytestmark = pytest.mark.filterwarnings(NOTHING_SIGNIFICANT)

N_CELLS, N_NAMED, N_OTHERS = 400, 6, 300
NAMED = np.arange(N_NAMED)
ONE_SLICE = np.zeros(N_CELLS, dtype=int)
EVERY_CELL = np.ones(N_CELLS, dtype=bool)
FAST = small_config(
    evidence=st.EvidenceConfig(n_resamples=2, n_permutations=1),
    training=st.TrainingConfig(max_epochs=2),
)


def panel(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Counts of genes with and without a role, and the capture of every cell.

    The first gene has half of the molecules in half of the cells, and none in the others.
    """
    rng = np.random.default_rng(seed)
    capture = rng.lognormal(0, 0.5, N_CELLS)
    mean = np.full((N_CELLS, N_NAMED + N_OTHERS), 2.0)
    mean[:, 0] = np.where(np.arange(N_CELLS) % 2, 600.0, 0.0)
    return rng.poisson(mean * capture[:, None]), capture


def logged(counts: np.ndarray, total: float = 1e4) -> np.ndarray:
    return np.log1p(total * counts / counts.sum(axis=1, keepdims=True)).astype(np.float32)


def test_hand_numbers():
    molecules = np.array([100.0, 100.0, 80.0, 340.0, 0.0])
    by_all = np.array([1.0, 2.0, 1.0, 1.0, 5.0])
    counted = np.array([True, True, True, True, False])
    found = size_factors(by_all, molecules, np.zeros(5), counted)
    # medians over the counted cells: 1 of the size factors by all genes, 100 of the molecules
    expected = np.array([1.0, 2.0 * 120 / 220, 100 / 120, 360 / 120, 5.0])
    np.testing.assert_allclose(found, expected / np.median(expected[:4]))
    assert PRIOR_MOLECULES == 20


def test_slices_are_compared_within_themselves():
    molecules = np.array([50.0, 100.0, 200.0] * 2)
    molecules[3:] *= 10  # another panel, with more genes
    by_all = np.ones(6)
    sample = np.array(["a"] * 3 + ["b"] * 3)
    found = size_factors(by_all, molecules, sample, np.ones(6, dtype=bool))
    assert found[1] == found[4] == 1.0
    assert found[3] < found[0] < 1.0 < found[2] < found[5]


def test_genes_without_a_role_tell_the_capture():
    counts, capture = panel()
    unit = load_rescaled(logged(counts), NAMED, ONE_SLICE).unit
    relative = 1.0 / unit / capture
    assert relative.std() / relative.mean() < 0.08
    by_all = counts.sum(axis=1) / capture
    assert by_all.std() / by_all.mean() > 0.25


def test_levels_are_counts_by_size_factor():
    counts, _ = panel()
    rescaled = load_rescaled(logged(counts), NAMED, ONE_SLICE)
    expected = np.log1p(counts[:, NAMED] * rescaled.unit[:, None])
    np.testing.assert_allclose(rescaled.matrix.toarray()[:, NAMED], expected, rtol=1e-4)
    assert np.median(rescaled.unit) == pytest.approx(1.0, rel=1e-3)
    assert rescaled.matrix[:, N_NAMED:].nnz == 0
    assert rescaled.n_other_genes == N_OTHERS


@pytest.mark.parametrize("total", [100.0, 1e4, 1e6])
def test_the_total_of_a_normalisation_does_not_matter(total):
    counts, _ = panel()
    first, second = (load_rescaled(logged(counts, t), NAMED, ONE_SLICE) for t in (1e4, total))
    np.testing.assert_allclose(second.unit, first.unit, rtol=1e-4)
    np.testing.assert_allclose(second.matrix.data, first.matrix.data, rtol=1e-3, atol=1e-4)


def test_too_few_genes_without_a_role_change_the_scale_alone():
    counts, _ = panel()
    counts = counts[:, : N_NAMED + MIN_GENES - 1]
    levels = load_rescaled(logged(counts), NAMED, ONE_SLICE).matrix
    total = counts.sum(axis=1, keepdims=True)
    expected = np.log1p(counts[:, NAMED] * np.median(total) / total)
    # one cell without single molecules moves the median a little
    np.testing.assert_allclose(levels.toarray()[:, NAMED], expected, rtol=1e-3)


def test_values_that_are_no_counts_stay_as_they_are():
    levels = np.random.default_rng(0).gamma(2.0, size=(N_CELLS, 50)).astype(np.float32)
    rescaled = load_rescaled(levels, NAMED, ONE_SLICE)
    assert rescaled.unit is None
    assert rescaled.matrix is levels


def test_the_given_matrix_is_not_changed():
    counts, _ = panel()
    for matrix in (logged(counts), sparse.csr_matrix(logged(counts))):
        before = matrix.copy()
        load_rescaled(matrix, NAMED, ONE_SLICE)
        assert abs(matrix - before).max() == 0


def test_the_scale_is_that_of_the_usual_cells():
    counts, _ = panel()
    x = logged(counts)
    half = np.arange(N_CELLS) < N_CELLS // 2
    x[~half] = np.log1p(np.expm1(x[~half]) / 50)  # cells that were normalised to another total
    unit = load_rescaled(x, NAMED, np.where(half, "a", "b"), half).unit
    assert np.median(unit[half]) == pytest.approx(1.0, rel=1e-3)
    assert np.median(unit[~half]) == pytest.approx(1 / 50, rel=0.3)


def test_forms_of_a_matrix_agree():
    counts, _ = panel()
    dense = load_rescaled(logged(counts), NAMED, ONE_SLICE)
    other = load_rescaled(sparse.csr_matrix(logged(counts)), NAMED, ONE_SLICE)
    np.testing.assert_array_equal(dense.unit, other.unit)
    assert abs(dense.matrix - other.matrix).max() == 0


def test_rescaling_cells_by_one_changes_nothing():
    counts, _ = panel()
    linear = sparse.csr_matrix(np.expm1(logged(counts).astype(np.float64)))
    same = rescale(linear, np.ones(N_CELLS))
    np.testing.assert_allclose(same.toarray(), logged(counts), rtol=1e-5)
    doubled = rescale(linear, np.full(N_CELLS, 2.0))
    np.testing.assert_allclose(np.expm1(doubled.toarray()), 2 * linear.toarray(), rtol=1e-4)


def tissue_with(total: float | None) -> AnnData:
    adata = st.datasets.simulated(n_cells=300, n_targets=5, n_background=48)
    counts = adata.layers["counts"].toarray()
    adata.X = logged(counts, total or float(np.median(counts.sum(axis=1))))
    return adata


def test_tables_do_not_depend_on_the_total(caplog):
    tables = []
    with caplog.at_level(logging.INFO, "spatrace_sc"):
        for total in (1e4, None):
            adata = tissue_with(total)
            infer_quietly(adata, sample_key="sample", config=FAST)
            tables.append(st.get.tf_targets(adata).sort_values(["tf", "target"]))
    first, second = (table["effect"].to_numpy() for table in tables)
    assert np.abs(first).max() > 0.05
    np.testing.assert_allclose(second, first, atol=2e-3)
    assert "from the molecules of 48 genes without a role" in caplog.text


def test_communication_reads_ligands_on_the_same_scale():
    adata = tissue_with(1e4)
    infer_quietly(adata, sample_key="sample", config=FAST)
    before = adata.obsp["spatrace_communication"].copy()
    columns = ["sender", "receiver", "ligand", "receptor"]
    inferred = st.get.communication(adata).set_index(columns)["score"]
    st.tl.communication(adata, n_permutations=1)
    again = st.get.communication(adata).set_index(columns)["score"]
    pd.testing.assert_series_equal(again.loc[inferred.index], inferred, rtol=1e-4)
    assert abs(adata.obsp["spatrace_communication"] - before).max() < 1e-5
