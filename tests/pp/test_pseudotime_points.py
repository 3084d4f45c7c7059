"""Pseudotime where cells are identical, genes are few or constant, or there are few cells."""

from __future__ import annotations

import warnings

import anndata as ad
import numpy as np
import pytest
from _helpers import dense, tissue
from scipy import sparse
from scipy.sparse.linalg import ArpackError

import spatrace_sc as st
from spatrace_sc._data.embedding import principal_components

ROLES = ["ligand", "receptor", "tf", "target"]
COPIES = "have the same expression as another cell"


def changed(change):
    adata = tissue()
    values = dense(adata.X).astype(np.float32)
    change(adata, values)
    adata.X = sparse.csr_matrix(values)
    return adata


def pseudotime(adata, root="receiver_0"):
    """Pseudotime and the warnings of the package."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        st.pp.transitions(adata, root=root, time_key="computed")
    assert np.isfinite(adata.obsp["transitions"].data).all()
    raised = [str(w.message) for w in caught if issubclass(w.category, st.SpatraceWarning)]
    return adata.obs["computed"].to_numpy(), raised


def test_many_cells_that_are_0_in_all_genes_with_a_role():
    """Zero distances made weights of NaN, on which ARPACK failed with -9999."""

    def without_roles(adata, values):
        genes = adata.var[ROLES].any(axis=1).to_numpy()
        values[np.ix_(np.arange(62), genes)] = 0
        values[:62, ~genes] = 1.0

    adata = changed(without_roles)
    time, raised = pseudotime(adata)
    (message,) = [text for text in raised if COPIES in text]
    for text in ("62 of 300 cells", "up to 62 cells", "'cell0'", "`use_rep`"):
        assert text in message
    assert len(np.unique(time[:62])) == 1
    # the others have nearly the time that they have without the copies
    alone = tissue()[61:].copy()
    alone.X = adata.X[61:]
    expected, none = pseudotime(alone)
    assert not [text for text in none if COPIES in text]
    both = np.isfinite(expected)
    np.testing.assert_array_equal(np.isfinite(time[61:]), both)
    assert np.corrcoef(time[61:][both], expected[both])[0, 1] > 0.99


def test_a_slice_of_identical_cells():
    def one_profile(adata, values):
        cells = (adata.obs["sample"] == adata.obs["sample"].iloc[0]).to_numpy()
        values[cells] = values[np.flatnonzero(cells)[0]]

    adata = changed(one_profile)
    time, raised = pseudotime(adata)
    first = (adata.obs["sample"] == adata.obs["sample"].iloc[0]).to_numpy()
    assert [text for text in raised if f"{first.sum()} of 300 cells" in text]
    assert len(np.unique(time[first])) == 1
    assert np.isfinite(time[~first]).any()


def test_data_joined_to_themselves_have_the_time_of_one_copy():
    one = tissue()
    twice = ad.concat([one, one], index_unique="-")
    twice.var = one.var.copy()
    expected, _ = pseudotime(one)
    time, raised = pseudotime(twice)
    assert not [text for text in raised if COPIES in text], "pairs are only logged"
    np.testing.assert_allclose(time[:300], time[300:])
    both = np.isfinite(expected) & np.isfinite(time[:300])
    assert both.sum() == np.isfinite(expected).sum()
    np.testing.assert_allclose(time[:300][both], expected[both], atol=1e-4)


@pytest.mark.parametrize("n_genes", [2, 3, 9])
def test_few_genes(n_genes):
    genes = ["TF000", "TG000", "TG001", *(f"LIG{k:03d}" for k in range(6))][:n_genes]
    adata = tissue()[:, genes].copy()
    time, _ = pseudotime(adata)
    assert np.isfinite(time).sum() > 50


def test_constant_genes_do_not_count():
    values = dense(tissue().X).astype(np.float32)
    wide = np.column_stack([values, np.full((300, 3), 3.3, dtype=np.float32)])
    wide[:, -1] = 1e-30 * values[:, 0]  # its square is below float32
    genes = np.arange(71)
    expected = principal_components(values, genes, 10)
    result = principal_components(wide, np.arange(74), 10)
    np.testing.assert_allclose(result, expected, atol=1e-4)
    constant = np.full((20, 4), 0.1, dtype=np.float32)
    constant[:, 0] = np.arange(20)
    with pytest.raises(st.DataError, match="fewer than two genes vary"):
        principal_components(constant, np.arange(4), 10)


@pytest.mark.parametrize("n_cells", [2, 3, 4])
def test_too_few_cells(n_cells):
    cells = np.flatnonzero(tissue().obs["cell_type"] == "receiver_0")[:n_cells]
    with pytest.raises(st.DataError, match=f"the {n_cells} cells.*at least 5.*`receivers`"):
        pseudotime(tissue()[cells].copy())


@pytest.mark.parametrize("n_cells", [5, 6, 10, 17])
def test_fewer_cells_than_components(n_cells):
    cells = np.flatnonzero(tissue().obs["cell_type"] == "receiver_0")[:n_cells]
    time, _ = pseudotime(tissue()[cells].copy())
    assert np.isfinite(time).all()


def test_many_cells_of_few_profiles():
    def profiles(adata, values):
        values[:] = values[np.arange(300) % 4]

    with pytest.raises(st.DataError, match=r"the 300 cells.*4 different expression profiles"):
        pseudotime(changed(profiles))


def test_what_arpack_cannot_solve_is_an_error_that_says_what_to_do(monkeypatch):
    import scanpy as sc

    def fails(*arguments, **options):
        raise ArpackError(-9999)

    monkeypatch.setattr(sc.tl, "diffmap", fails)
    with pytest.raises(st.DataError, match=r"300 cells cannot be computed.*`use_rep`.*`time_key`"):
        pseudotime(tissue())
