"""What newcomers ran into."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import spatialdata
from _helpers import FEW_GENES, N_GENES, NOTHING_SIGNIFICANT, TWO_OF_EACH
from scipy import sparse

import spatrace_sc as st

pytestmark = pytest.mark.filterwarnings(NOTHING_SIGNIFICANT)

QUICK = st.Config(
    evidence=st.EvidenceConfig(n_resamples=2, n_permutations=3),
    training=st.TrainingConfig(max_epochs=1),
    progress=False,
)


def ensembl():
    adata = st.datasets.simulated(0, n_cells=600, n_targets=12, **FEW_GENES)
    adata.var["symbol"] = adata.var_names.astype(object)
    adata.var_names = [f"ENSG{k:05d}" for k in range(adata.n_vars)]
    adata.var.loc[adata.var["symbol"].str.startswith("BG"), "symbol"] = ""
    return adata


def test_results_are_in_symbols():
    adata = ensembl()
    by_name = adata.copy()
    symbols = adata.var["symbol"].astype(str)
    by_name.var_names = symbols.where(symbols != "", adata.var_names)
    st.tl.infer_ccc(adata, sample_key="sample", gene_symbols="symbol", config=QUICK)
    st.tl.infer_ccc(by_name, sample_key="sample", config=QUICK)
    table = st.get.lr_targets(adata)
    assert table["ligand"].str.startswith("LIG").all()
    assert st.get.communication(adata)["receptor"].str.startswith("REC").all()
    pd.testing.assert_frame_equal(table, st.get.lr_targets(by_name))


def test_symbols_shared_or_missing_and_lists_by_symbol():
    adata = ensembl()
    two = adata.var_names[adata.var["symbol"].isin(["TG000", "TG001"])]
    adata.var.loc[two, "symbol"] = "TWIN"
    genes = {
        role: [*adata.var.loc[adata.var[role], "symbol"], ""]
        for role in ("ligand", "receptor", "tf", "target")
    }
    st.tl.infer_ccc(
        adata,
        **{f"{role}s": genes[role] for role in ("ligand", "receptor", "tf", "target")},
        sample_key="sample", gene_symbols="symbol", config=QUICK,
    )  # fmt: skip
    table = st.get.tf_targets(adata)
    assert len(table) == N_GENES * 12, "an empty name must not match the genes without a symbol"
    assert {f"TWIN ({name})" for name in two} <= set(table["target"])
    with pytest.raises(st.MissingKeyError, match=r"gene_symbols='symbols'.*Did you mean 'symbol'"):
        st.tl.infer_ccc(adata, sample_key="sample", gene_symbols="symbols", config=QUICK)


def test_forgotten_sample_key_is_named():
    adata = st.datasets.simulated(0, n_cells=300, n_targets=12, **FEW_GENES)
    with pytest.warns(st.SpatraceWarning, match=r"sample_key.*one slice.*'sample'"):
        st.pp.ligand_exposure(adata, radius=40)


def test_no_pseudotime_from_raw_counts():
    adata = st.datasets.simulated(0, n_cells=300, n_targets=12, **FEW_GENES)
    adata.X = adata.layers["counts"].copy()
    del adata.obs["dpt_pseudotime"]
    with pytest.raises(st.DataError, match=r"raw counts.*depth"):
        st.pp.transitions(adata, root="receiver_0")
    assert "dpt_pseudotime" not in adata.obs


def test_readers_name_the_table_of_a_spatialdata():
    adata = st.datasets.simulated(0, n_cells=300, n_targets=12, **FEW_GENES)
    sdata = spatialdata.SpatialData(tables={"table": adata})
    with pytest.raises(st.InvalidArgumentError, match=r"SpatialData.*sdata\['table'\]"):
        st.get.lr_targets(sdata)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_zeros_that_are_stored_stay_where_they_are(dtype):
    adata = st.datasets.simulated(0, n_cells=300, n_targets=12, **FEW_GENES)
    plain = adata.copy()
    matrix = sparse.csr_matrix(adata.X).astype(dtype)
    empty = np.flatnonzero(matrix.toarray()[5] == 0)[:3]
    matrix = (
        (matrix + sparse.csr_matrix((np.ones(3), (np.full(3, 5), empty)), matrix.shape))
        .tocsr()
        .astype(dtype)
    )
    matrix.data[
        np.isin(matrix.indices, empty) & (np.repeat(np.arange(300), np.diff(matrix.indptr)) == 5)
    ] = 0
    adata.X, before, stored = matrix, matrix.toarray().copy(), matrix.nnz
    st.tl.infer_ccc(adata, sample_key="sample", **TWO_OF_EACH, config=QUICK)
    np.testing.assert_array_equal(adata.X.toarray(), before)
    assert adata.X.nnz == stored
    st.tl.infer_ccc(plain, sample_key="sample", **TWO_OF_EACH, config=QUICK)
    pd.testing.assert_frame_equal(
        st.get.lr_pairs(adata), st.get.lr_pairs(plain), rtol=1e-3, atol=1e-4
    )
