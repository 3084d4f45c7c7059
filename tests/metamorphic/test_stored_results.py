"""Later verbs, readers and plots give the same when the data change their form after inference."""

from __future__ import annotations

from functools import lru_cache

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from _helpers import dense, slow, written_and_read
from _metamorphic import CASES, assert_same, infer, outcomes
from _scenes import Scene, tissue
from scipy import sparse

import spatrace_sc as st

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")

#: Cases that read a result; plots read what readers return, and are called in the slow tests.
WITH_PLOTS = tuple(n for n in CASES if not n.startswith("pp.") and n != "tl.infer_ccc")
LATER = tuple(n for n in WITH_PLOTS if not n.startswith("pl.") or n == "pl.spatial")


@lru_cache(maxsize=1)
def _analysed():
    adata = tissue()
    scene = Scene(adata)
    infer(scene)
    outcomes(scene, ["get.transition_reach", *(n for n in WITH_PLOTS if n.startswith("tl."))])
    return adata


def analysed():
    """Copy of the tissue with a result and everything that later verbs add to it."""
    return _analysed().copy()


def opened(way, folder):
    path = folder / ("data.zarr" if way == "lazy zarr" else "data.h5ad")
    analysed().write_zarr(path) if way == "lazy zarr" else analysed().write_h5ad(path)
    return ad.read_h5ad(path, backed="r") if way == "backed" else ad.experimental.read_lazy(path)


@pytest.mark.parametrize("way", list(map(slow, ["read_lazy", "backed", "lazy zarr"])))
def test_files_that_stay_open(way, tmp_path):
    assert_same(Scene(opened(way, tmp_path)), LATER if way == "read_lazy" else WITH_PLOTS)


@pytest.mark.parametrize("way", ["read_lazy", "backed"])
def test_reach_of_transitions_in_a_file(way, tmp_path):
    reach = st.get.transition_reach(opened(way, tmp_path))
    pd.testing.assert_frame_equal(reach, st.get.transition_reach(analysed()))


@pytest.mark.parametrize("form", [*map(slow, ["h5ad", "zarr", "spatialdata"])])
def test_files_that_are_read(form, tmp_path):
    assert_same(Scene(written_and_read(analysed(), form, tmp_path)), WITH_PLOTS)


def test_order_of_cells_and_of_genes():
    adata, rng = analysed(), np.random.default_rng(3)
    adata = adata[rng.permutation(adata.n_obs), rng.permutation(adata.n_vars)].copy()
    assert_same(Scene(adata), LATER)


@pytest.mark.parametrize("form", ["array", *map(slow, ["columns first", "csc", "float64"])])
def test_forms_of_stored_values(form):
    adata = analysed()
    change, between = {
        "array": (np.array, sparse.csr_array),
        "columns first": (np.asfortranarray, dense),
        "csc": (np.array, sparse.csc_matrix),
        "float64": (lambda v: np.asarray(v, dtype=np.float64), sparse.csc_array),
    }[form]
    for slot in [s for s in adata.obsm if s.startswith("spatrace")]:
        adata.obsm[slot] = change(adata.obsm[slot])
    for slot in [s for s in adata.obsp if s.startswith("spatrace")]:
        adata.obsp[slot] = between(adata.obsp[slot])
    assert_same(Scene(adata), LATER)


@pytest.mark.slow
def test_a_view_of_all_cells():
    adata = analysed()
    assert_same(Scene(adata[:, :]), LATER)


@pytest.mark.slow
def test_columns_as_text():
    adata = analysed()
    for column in ("cell_type", "sample", "stage"):
        adata.obs[column] = adata.obs[column].astype("string")
    assert_same(Scene(adata), LATER)
