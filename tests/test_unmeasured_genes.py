"""Genes that are NaN in every cell of a slice, which states that they were not measured there."""

from __future__ import annotations

import re
import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from _helpers import NOTHING_SIGNIFICANT, ONE_SLICE, tiny_config, tissue
from scipy import sparse

import spatrace_sc as st
from spatrace_sc._core.counts import counting_variance, counting_variance_of_measured
from spatrace_sc._data import on_disk
from spatrace_sc._data.expression import columns, expression_by_slice
from spatrace_sc._data.genes import default_targets
from spatrace_sc._data.imputation import imputed, imputed_matrix
from spatrace_sc._data.missing_genes import warn_of_unmeasured_genes
from spatrace_sc._study.read import read_study
from spatrace_sc._study.source import Source

UNMEASURED = "ignore:.* NaN in every cell of a slice:spatrace_sc.SpatraceWarning"
pytestmark = pytest.mark.filterwarnings(
    NOTHING_SIGNIFICANT, ONE_SLICE, "ignore::FutureWarning", "ignore::UserWarning:anndata"
)
GENES = ["LIG000", "REC001", "TF000", "TF001", "TG000"]
FORMS = {"dense": np.asarray, "csr": sparse.csr_matrix, "csc": sparse.csc_matrix}
KEYS = {"sample_key": "sample", "stage_key": "stage"}
ROLES = dict.fromkeys(("ligands", "receptors", "tfs", "targets"))
SOURCE = Source(
    *("cell_type", "sample", "stage", "dpt_pseudotime", "spatial"), *(None,) * 5, radius=40.0
)


def gaps(form="csr", genes=GENES):
    """Tissue of three slices in which some genes were not measured in the first."""
    adata = tissue()
    adata.layers.clear()
    matrix = adata.X.toarray()
    matrix[np.ix_(first_slice(adata), adata.var_names.isin(genes))] = np.nan
    adata.X = FORMS[form](matrix)
    return adata


def first_slice(adata):
    sample = adata.obs["sample"].astype(str)
    return (sample == sample.min()).to_numpy()


def messages(call):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    raised = [w for w in caught if "count as not measured" in str(w.message)]
    assert all(w.filename == __file__ for w in raised)
    return [str(w.message) for w in raised]


# Imputation


def test_means_by_hand():
    values = np.array([[1, 5], [3, 5], [8, 5], [0, 5], [0, 5], [0, 7]], dtype=np.float32)
    types = np.array(["a", "a", "b", "a", "b", "c"])
    missing = np.zeros((6, 2), dtype=bool)
    missing[3:, 0] = True
    every = np.ones(6, dtype=bool)
    result = imputed(values, missing, types, every)
    # a: (1 + 3) / 2, b: 8, c has no measured cell: (1 + 3 + 8) / 3
    np.testing.assert_array_equal(result[:, 0], [1, 3, 8, 2, 8, 4])
    np.testing.assert_array_equal(result[:, 1], values[:, 1])
    counted = np.array([False, True, True, True, True, False])
    result = imputed(values, missing, types, counted)
    np.testing.assert_array_equal(result[:, 0], [1, 3, 8, 3, 8, 0])
    assert values[3, 0] == 0


@pytest.mark.parametrize("form", FORMS)
def test_the_study_holds_means(form):
    adata = gaps(form)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study = read_study(adata, ROLES, SOURCE)
    whole = read_study(tissue(), ROLES, SOURCE)
    missing = first_slice(adata)
    types = adata.obs["cell_type"].astype(str).to_numpy()
    gene = list(study.genes.tfs).index("TF000")
    rows = study.receiver_rows
    # size factors count genes without a role, so those of the other cells are the same
    levels = np.full(adata.n_obs, np.nan)
    levels[whole.receiver_rows] = whole.tf[:, list(whole.genes.tfs).index("TF000")]
    for cell_type in np.unique(types[rows]):
        mean = np.nanmean(levels[~missing & (types == cell_type)])
        chosen = missing[rows] & (types[rows] == cell_type)
        assert chosen.any()
        np.testing.assert_allclose(study.tf[chosen, gene], mean, rtol=1e-6)
    measured = ~missing[rows]
    np.testing.assert_allclose(study.tf[measured, gene], levels[rows[measured]], rtol=1e-6)


def test_counts_are_recognised_without_the_gaps():
    """The value of one molecule is that of the data with zeros, and imputed TFs have no noise."""
    adata, zeros = gaps(), gaps()
    zeros.X = np.nan_to_num(zeros.X.toarray())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study, other = (read_study(a, ROLES, SOURCE) for a in (adata, zeros))
    assert study.unit is not None
    order = np.argsort(study.rows), np.argsort(other.rows)
    np.testing.assert_array_equal(study.unit[order[0]], other.unit[order[1]])


def test_imputed_values_have_no_count_noise():
    rng = np.random.default_rng(0)
    mean, unit = rng.uniform(0.5, 5, (60, 3)), rng.uniform(0.5, 2, 60)
    missing = np.zeros((60, 3), dtype=bool)
    missing[:20, 1] = True
    missing[:, 2] = True
    result = counting_variance_of_measured(mean, unit, missing)
    np.testing.assert_allclose(result[0], counting_variance(mean, unit)[0])
    expected = 2 / 3 * counting_variance(mean[20:], unit[20:])[1]
    np.testing.assert_allclose(result[1:], [expected, 0])


def test_default_targets_ignore_the_gaps():
    """A constant gene does not become variable because a slice lacks it."""
    adata = gaps(genes=[])
    matrix = adata.X.toarray()
    gene = adata.var_names.get_loc("TG000")
    matrix[:, gene] = 3.0
    matrix[first_slice(adata), gene] = np.nan
    adata.X = matrix
    clean, unmeasured = expression_by_slice(adata, None, "sample")
    del adata.var["target"]
    assert "TG000" in default_targets(adata, set(), clean)
    assert "TG000" not in default_targets(adata, set(), clean, unmeasured.n_measured)


def test_gene_roles_judges_targets_where_they_were_measured():
    regulators = {"ligands": ["LIG001"], "receptors": ["REC000"], "tfs": ["TF002"]}
    adata = gaps()
    with pytest.raises(st.DataError, match="names the slices with `sample_key`"):
        st.pp.gene_roles(adata, **regulators)
    flags = st.pp.gene_roles(adata, **regulators, sample_key="sample", copy=True)
    assert flags.loc["TG000", "target"]


# Reading


@pytest.mark.parametrize("form", FORMS)
def test_forms_and_that_nothing_of_the_data_changes(form):
    adata = gaps(form)
    before = adata.X.copy()
    matrix, unmeasured = expression_by_slice(adata, None, "sample")
    assert unmeasured.mask.sum() == len(GENES)
    expected = np.nan_to_num(gaps("dense").X)
    np.testing.assert_array_equal(columns(matrix, np.arange(adata.n_vars)), expected)
    types = adata.obs["cell_type"].to_numpy(dtype=str)
    every = np.ones(adata.n_obs, dtype=bool)
    imputed_matrix(matrix, unmeasured, np.arange(adata.n_vars), types, every)
    np.testing.assert_array_equal(columns(matrix, np.arange(adata.n_vars)), expected)
    if form == "dense":
        np.testing.assert_array_equal(adata.X, before)
    else:
        np.testing.assert_array_equal(adata.X.data, before.data)


@pytest.mark.parametrize("form", ["backed", "lazy"])
@pytest.mark.filterwarnings(UNMEASURED)
def test_a_matrix_on_disk_gives_the_same(form, tmp_path, monkeypatch):
    monkeypatch.setattr(on_disk, "BLOCK_VALUES", 40 * 71)
    plain = gaps()
    plain.write_h5ad(tmp_path / "a.h5ad")
    path = tmp_path / "a.h5ad"
    lazy = form == "lazy"
    adata = ad.experimental.read_lazy(path) if lazy else ad.read_h5ad(path, backed="r")
    for data in (plain, adata):
        st.pp.ligand_exposure(data, radius=40, sample_key="sample")
        st.pp.transitions(data, sample_key="sample")
        st.tl.infer_ccc(data, **KEYS, radius=40, config=tiny_config())
        st.tl.communication(data, n_permutations=9)
    pd.testing.assert_frame_equal(plain.obsm["ligand_exposure"], adata.obsm["ligand_exposure"])
    assert (plain.obsp["transitions"] != adata.obsp["transitions"]).nnz == 0
    for read in (st.get.tf_targets, st.get.lr_targets, st.get.communication):
        pd.testing.assert_frame_equal(read(plain), read(adata))


@pytest.mark.filterwarnings(UNMEASURED)
def test_permuted_cells_give_the_same():
    adata = gaps()
    order = np.random.default_rng(1).permutation(adata.n_obs)
    other = adata[order].copy()
    for data in (adata, other):
        st.tl.infer_ccc(data, **KEYS, radius=40, config=tiny_config())
    for read in (st.get.tf_targets, st.get.lr_targets, st.get.lr_pairs):
        pd.testing.assert_frame_equal(read(adata), read(other))


@pytest.mark.filterwarnings(UNMEASURED)
def test_an_outer_join_is_read_and_later_verbs_restore():
    adata = tissue()
    adata.layers.clear()
    first = first_slice(adata)
    parts = [adata[first, ~adata.var_names.isin(GENES)].copy(), adata[~first].copy()]
    joined = ad.concat(parts, join="outer", fill_value=np.nan)
    joined.var = adata.var.loc[joined.var_names]
    n = int(np.isnan(joined.X.data).sum())
    assert n == first.sum() * len(GENES)
    st.tl.infer_ccc(joined, **KEYS, radius=40, config=tiny_config())
    st.tl.communication(joined, n_permutations=9)
    st.tl.knockout(joined, tf="TF000")
    st.tl.knockout(joined, ligand="LIG000")
    assert int(np.isnan(joined.X.data).sum()) == n


# Messages


def test_each_verb_says_it_once():
    adata = gaps()
    (exposure,) = messages(lambda: st.pp.ligand_exposure(adata, radius=40, sample_key="sample"))
    assert exposure.startswith("1 of 6 genes that are used are NaN in every cell of a slice")
    (transitions,) = messages(lambda: st.pp.transitions(adata, sample_key="sample"))
    (inference,) = messages(lambda: st.tl.infer_ccc(adata, **KEYS, radius=40, config=tiny_config()))
    name, n = adata.obs["sample"].astype(str).min(), int(first_slice(adata).sum())
    for message in (transitions, inference):
        assert f"slice {name!r} ({n} cells) lacks 5: 'LIG000', 'REC001', 'TF000'" in message
        assert "mean over the cells of the same type" in message
    assert not messages(lambda: st.tl.communication(adata, n_permutations=9))
    assert not messages(lambda: st.tl.knockout(adata, tf="TF000"))


@pytest.mark.parametrize("form", FORMS)
def test_nan_in_part_of_a_slice_is_an_error(form):
    adata = gaps(form)
    matrix = adata.X if form == "dense" else adata.X.toarray()
    matrix[np.flatnonzero(~first_slice(adata))[:2], 3] = np.nan
    adata.X = FORMS[form](matrix)
    text = rf"2 NaN or inf values.*{adata.var_names[3]!r} is NaN in some and not in other cells"
    with pytest.raises(st.DataError, match=text + ".*column 'sample' of `adata.obs`"):
        st.tl.infer_ccc(adata, **KEYS)


def test_nan_in_part_of_a_slice_on_disk(tmp_path):
    adata = gaps("dense")
    rows = np.flatnonzero(first_slice(adata))
    adata.X[rows[5], adata.var_names.get_loc("TF000")] = 1.0
    adata.write_h5ad(tmp_path / "a.h5ad")
    backed = ad.read_h5ad(tmp_path / "a.h5ad", backed="r")
    with pytest.raises(st.DataError, match="'TF000' is NaN in some and not in other cells"):
        st.pp.ligand_exposure(backed, radius=40, sample_key="sample")


def test_without_slices_nan_is_an_error_that_says_how_to_name_them():
    for call in (st.tl.infer_ccc, st.pp.ligand_exposure, st.pp.transitions):
        with pytest.raises(st.DataError, match="names the slices with `sample_key`"):
            call(gaps())


def test_a_gene_that_no_slice_measured_is_an_error():
    adata = gaps("dense")
    adata.X[:, adata.var_names.get_loc("TF000")] = np.nan
    with pytest.raises(st.DataError, match=r"\('TF000'\), so they were measured in no slice"):
        st.tl.infer_ccc(adata, **KEYS)


def test_the_warning_of_zeros_gives_a_line_that_states_it():
    adata = gaps()
    adata.X = np.nan_to_num(adata.X.toarray())
    tfs = adata.var_names[adata.var["tf"]].to_numpy(dtype=str)
    labels = {name: name for name in adata.var_names}
    with pytest.warns(st.SpatraceWarning, match="fill_value=np.nan") as caught:
        warn_of_unmeasured_genes(adata, adata.X, {"tfs": tfs}, "sample", labels)
    line = re.search(r"set them to NaN, `(.*?)`\.", str(caught[0].message)).group(1)
    exec(line, {"adata": adata, "np": np})
    expected = gaps("dense", ["TF000", "TF001"]).X
    chosen = adata.var_names.isin(tfs)
    np.testing.assert_array_equal(adata.X[:, chosen], expected[:, chosen])
