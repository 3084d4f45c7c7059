"""Cells without counts, and results that meet other cells than those they were inferred from."""

from __future__ import annotations

import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from _helpers import FEW_GENES, NOTHING_SIGNIFICANT, dense, small_result, tiny_config
from scipy import sparse

import spatrace_sc as st

pytestmark = pytest.mark.filterwarnings(NOTHING_SIGNIFICANT)

EVERY = 20


def tissue(n_cells=400, seed=0):
    return st.datasets.simulated(seed, n_cells=n_cells, n_targets=10, **FEW_GENES)


def with_empty_cells(adata):
    """Every 20th cell loses all its counts."""
    values = dense(adata.X).copy()
    values[::EVERY] = 0
    adata.X = sparse.csr_matrix(values)
    return adata


def infer(adata, **arguments):
    arguments = {"sample_key": "sample", "stage_key": "stage", "config": tiny_config()} | arguments
    st.tl.infer_ccc(adata, device="cpu", **arguments)
    return adata


@pytest.fixture(scope="module")
def emptied():
    with pytest.warns(st.SpatraceWarning, match=r"20 of 400 cells \(5 %\) have no counts at all"):
        return infer(with_empty_cells(tissue()))


def test_empty_cells_neither_send_nor_receive(emptied):
    activity = np.asarray(emptied.obsm["spatrace_activity"])
    assert np.isnan(activity[::EVERY]).all()
    receivers = np.isfinite(activity).all(axis=1)
    types = emptied.obs["cell_type"].astype(str)
    others = np.arange(400) % EVERY > 0
    np.testing.assert_array_equal(receivers[others], types[others].str.startswith("receiver"))
    matrix = emptied.obsp["spatrace_communication"]
    assert matrix[::EVERY].nnz == 0
    assert matrix[:, ::EVERY].nnz == 0


def test_empty_cells_are_as_good_as_dropped(emptied):
    whole = with_empty_cells(tissue())
    without = infer(whole[np.arange(400) % EVERY > 0].copy(), radius=float(_radius(emptied)))
    for reader in (st.get.tf_targets, st.get.lr_targets, st.get.lr_pairs):
        pd.testing.assert_frame_equal(reader(emptied), reader(without), rtol=1e-4, atol=1e-6)


def _radius(adata):
    return st.get.params(adata)["radius"]


def test_later_verbs_leave_them_out_too(emptied):
    adata = emptied.copy()
    st.tl.communication(adata, n_permutations=9, progress=False)
    st.tl.communication(adata, null="positions", n_permutations=9, progress=False)
    st.tl.knockout(adata, ligand=st.get.lr_targets(adata)["ligand"][0])
    st.tl.compare(adata, "stage", max_q=1.0)
    st.tl.modules(adata, max_q=1.0, n_modules=1, progress=False)
    assert np.isnan(adata.obsm["spatrace_modules"][::EVERY]).all()


def test_transitions_leave_them_out():
    adata = with_empty_cells(tissue())
    with pytest.warns(st.SpatraceWarning, match=r"have no counts at all .* receivers\)"):
        st.pp.transitions(adata)
    matrix = adata.obsp["transitions"]
    assert matrix[::EVERY].nnz == 0
    assert matrix[:, ::EVERY].nnz == 0


def test_empty_cells_on_disk(tmp_path):
    with_empty_cells(tissue()).write_h5ad(tmp_path / "a.h5ad")
    backed = ad.read_h5ad(tmp_path / "a.h5ad", backed="r")
    with pytest.warns(st.SpatraceWarning, match="20 of 400 cells"):
        infer(backed)
    assert np.isnan(np.asarray(backed.obsm["spatrace_activity"])[::EVERY]).all()
    backed.file.close()


def test_receivers_without_any_counts_are_refused():
    adata = tissue()
    values = dense(adata.X).copy()
    values[adata.obs["cell_type"].astype(str).str.startswith("receiver").to_numpy()] = 0
    adata.X = sparse.csr_matrix(values)
    with pytest.raises(st.DataError, match=r"none of the \d+ receivers has a single count"):
        infer(adata)


PER_CELL = {
    "activity": st.get.activity,
    "tf activity": lambda adata: st.get.activity(adata, "tfs"),
    "sent and received": st.get.sent_received,
    "communication": lambda adata: st.tl.communication(adata, n_permutations=9, progress=False),
    "modules": lambda adata: st.tl.modules(adata, max_q=1.0, n_modules=2, progress=False),
    "knockout": lambda adata: st.tl.knockout(adata, tf="TF000"),
    "compare": lambda adata: st.tl.compare(adata, "stage", max_q=1.0),
    "map": st.pl.spatial,
}
TABLES = {
    "lr_targets": st.get.lr_targets,
    "tf_targets": st.get.tf_targets,
    "lr_pairs": st.get.lr_pairs,
    "lr_tfs": st.get.lr_tfs,
    "communication": st.get.communication,
}


def joined():
    """Two analysed objects; the second has another result, of which the first one's is kept."""
    one, two = small_result().copy(), small_result().copy()
    two.obs_names = [f"other_{name}" for name in two.obs_names]
    return ad.concat([one, two], uns_merge="first", merge="first", pairwise=True)


def suffixed():
    one, two = small_result().copy(), small_result().copy()
    return ad.concat(
        [one, two], uns_merge="first", index_unique="-", keys=["a", "b"], pairwise=True
    )


def partly_renamed():
    adata = small_result().copy()
    adata.obs_names = [f"new_{name}" if k < 5 else name for k, name in enumerate(adata.obs_names)]
    return adata


@pytest.mark.parametrize("make", [joined, suffixed, partly_renamed], ids=lambda f: f.__name__)
@pytest.mark.parametrize("verb", PER_CELL)
def test_values_of_cells_are_not_those_of_other_cells(make, verb):
    with pytest.raises(st.DataError, match=r"is not a result of these cells: \d+ of \d+ cells"):
        PER_CELL[verb](make())


@pytest.mark.parametrize("make", [joined, suffixed, partly_renamed], ids=lambda f: f.__name__)
@pytest.mark.parametrize("reader", TABLES)
def test_tables_of_other_cells_say_so(make, reader):
    with pytest.warns(st.SpatraceWarning, match=r"are of other cells: \d+ of \d+ cells were not"):
        TABLES[reader](make())


def test_tables_of_a_subset_say_of_how_many_cells_they_are():
    subset = small_result()[:100].copy()
    n = small_result().n_obs
    with pytest.warns(st.SpatraceWarning, match=rf"the inference had {n} cells, the data have 100"):
        table = st.get.lr_pairs(subset)
    pd.testing.assert_frame_equal(table, st.get.lr_pairs(small_result()))


@pytest.mark.parametrize("change", ["none", "permuted", "renamed", "repeated"])
def test_the_same_cells_are_known_by_name_or_number(change):
    adata = small_result().copy()
    if change == "permuted":
        adata = adata[np.random.default_rng(0).permutation(adata.n_obs)].copy()
    elif change == "renamed":
        adata.obs_names = [f"x{k}" for k in range(adata.n_obs)]
    elif change == "repeated":
        adata.obs_names = ["x"] * adata.n_obs
    with warnings.catch_warnings():
        warnings.simplefilter("error", st.SpatraceWarning)
        st.get.lr_targets(adata)
        st.get.activity(adata)


def test_values_of_a_subset_are_read_in_silence():
    subset = small_result()[::2].copy()
    with warnings.catch_warnings():
        warnings.simplefilter("error", st.SpatraceWarning)
        values = st.get.activity(subset)
    np.testing.assert_array_equal(values.X, st.get.activity(small_result()).X[::2])


def test_symbols_and_identifiers_give_the_same_tables():
    by_name = infer(tissue())
    by_symbol = tissue()
    numbers = np.random.default_rng(0).permutation(by_symbol.n_vars)
    by_symbol.var["symbol"] = list(by_symbol.var_names)
    by_symbol.var_names = [f"ENSG{number:011d}" for number in numbers]
    infer(by_symbol, gene_symbols="symbol")
    for reader in (st.get.tf_targets, st.get.lr_targets, st.get.lr_pairs, st.get.lr_tfs):
        pd.testing.assert_frame_equal(reader(by_symbol), reader(by_name), rtol=1e-6)
    ligand = st.get.lr_targets(by_name)["ligand"][0]
    for adata in (by_name, by_symbol):
        st.tl.knockout(adata, ligand=ligand)
    pd.testing.assert_frame_equal(st.get.knockout(by_symbol), st.get.knockout(by_name), rtol=1e-5)
