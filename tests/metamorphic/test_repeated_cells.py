"""Cells that are in the data twice are counted in a warning, and the remedy it names works."""

from __future__ import annotations

import re
import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from _helpers import NOTHING_SIGNIFICANT
from _scenes import config, tissue
from scipy import sparse

import spatrace_sc as st
from spatrace_sc._data.repeated_cells import repeats

pytestmark = pytest.mark.filterwarnings(
    NOTHING_SIGNIFICANT, "ignore:.*are not unique:UserWarning", "ignore::FutureWarning"
)
KEYS = {"sample_key": "sample", "stage_key": "stage"}


def joined(names, n=40):
    """The tissue with its first cells joined to it again, under the same or under other names."""
    adata = tissue()
    twice = ad.concat([adata, adata[:n]], merge="same", pairwise=True)
    if names == "unique":
        twice.obs_names_make_unique()
    elif names == "other":
        twice.obs_names = [f"c{k}" for k in range(twice.n_obs)]
    return twice


def remedied(adata, message):
    scope = {"adata": adata, "np": np, "pd": pd}
    exec(re.search(r"one of each: `(.*)`\.$", str(message)).group(1), scope)
    return scope["adata"]


@pytest.mark.parametrize("names", ["same", "unique", "other"])
def test_exposure_of_repeated_cells(names):
    adata = joined(names)
    with pytest.warns(st.SpatraceWarning, match=r"40 of 240 cells \(17 %\) repeat another") as said:
        table = st.pp.ligand_exposure(adata, sample_key="sample", copy=True, radius=600)
    assert len([w for w in said if "repeat another" in str(w.message)]) == 1
    assert repr(str(adata.obs_names[200])) in str(said[0].message)
    single = remedied(adata, said[0].message)
    assert list(single.obs_names) == list(adata.obs_names[:200])
    once = st.pp.ligand_exposure(single, sample_key="sample", copy=True, radius=600)
    expected = st.pp.ligand_exposure(tissue(), sample_key="sample", copy=True, radius=600)
    np.testing.assert_array_equal(once, expected)
    assert (table.iloc[:40].to_numpy() > expected.iloc[:40].to_numpy()).any()


def test_inference_of_repeated_cells():
    adata = joined("unique")
    with pytest.warns(st.SpatraceWarning, match=r"40 of 240 cells .*both count") as said:
        st.tl.infer_ccc(adata, **KEYS, config=config())
    assert len([w for w in said if "repeat another" in str(w.message)]) == 1
    with warnings.catch_warnings():  # the inference has said it
        warnings.simplefilter("error", st.SpatraceWarning)
        st.tl.communication(adata, n_permutations=3, progress=False)
        st.tl.knockout(adata, tf="TF000")


def test_the_verbs_say_that_cells_of_a_result_are_repeated():
    adata = tissue()
    st.tl.infer_ccc(adata, **KEYS, config=config())
    twice = ad.concat([adata, adata[:40]], merge="same", uns_merge="first", pairwise=True)
    with pytest.raises(st.DataError, match=r"40 of 240 cells are there more than once \('cell0'"):
        st.tl.communication(twice)
    with pytest.raises(st.DataError, match=r"40 of 240 cells are there more than once"):
        st.get.activity(twice)
    with pytest.warns(st.SpatraceWarning, match=r"40 of 240 cells are there more than once"):
        st.get.lr_pairs(twice)


CELLS = np.array([[0, 1, 2], [0, 1, 2], [0, 1, 2], [0, 0, 0], [0, 0, 0], [0, 1, 3.0]])
COORDS = np.array([[0, 0], [0, -0.0], [1, 0], [2, 2], [2, 2], [0, 0.0]])


def with_stored_zeros(values):
    n, m = values.shape
    return sparse.csr_matrix((values.ravel(), np.tile(np.arange(m), n), np.arange(0, n * m + 1, m)))


@pytest.mark.parametrize("form", [np.array, sparse.csr_matrix, with_stored_zeros])
def test_what_repeats(form):
    """Equal genes, position and slice; cells without counts repeat none."""
    one_slice = np.zeros(6, dtype=int)
    expected = [False, True, False, False, False, False]
    np.testing.assert_array_equal(repeats(form(CELLS), COORDS, one_slice), expected)
    assert not repeats(form(CELLS), COORDS, np.arange(6)).any()
    assert not repeats(form(CELLS), np.arange(12.0).reshape(6, 2), one_slice).any()


def test_nothing_is_said_of_cells_that_share_a_position():
    adata = tissue()
    adata.obsm["spatial"][1] = adata.obsm["spatial"][0]
    with warnings.catch_warnings():
        warnings.simplefilter("error", st.SpatraceWarning)
        st.pp.ligand_exposure(adata, sample_key="sample")


def test_repeated_cells_of_a_file(tmp_path):
    joined("unique").write_h5ad(tmp_path / "data.h5ad")
    opened = ad.read_h5ad(tmp_path / "data.h5ad", backed="r")
    with pytest.warns(st.SpatraceWarning, match="40 of 240 cells"):
        st.pp.ligand_exposure(opened, sample_key="sample", copy=True)
    opened.file.close()
