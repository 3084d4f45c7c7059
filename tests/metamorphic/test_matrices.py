"""Every verb, reader and plot gives the same for every form of the expression matrix."""

from __future__ import annotations

import anndata as ad
import dask.array as da
import numpy as np
import pytest
from _helpers import dense, slow
from _metamorphic import (
    CASES,
    ELSEWHERE,
    WITHOUT_DATA,
    WITHOUT_PLOTS,
    assert_same,
    expected,
    outcomes,
    public_names,
)
from _same import changes
from _scenes import Scene, tissue
from scipy import sparse

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")


def values():
    return dense(tissue().X).astype(np.float32)


def wide(matrix):
    """The same entries with indices of 8 bytes."""
    changed = sparse.csr_matrix(matrix)
    changed.indices, changed.indptr = (
        index.astype(np.int64) for index in (changed.indices, changed.indptr)
    )
    return changed


def unsorted(matrix):
    """Entries split in two halves, in descending order."""
    rows = [np.flatnonzero(row)[::-1] for row in matrix]
    indices = np.concatenate([np.tile(row, 2) for row in rows])
    data = np.concatenate(
        [np.tile(values[row] / 2, 2) for values, row in zip(matrix, rows, strict=True)]
    )
    indptr = np.cumsum([0, *(2 * len(row) for row in rows)])
    return sparse.csr_matrix((data, indices, indptr), shape=matrix.shape)


def with_zeros(matrix):
    """Every entry is stored, zeros too."""
    n, m = matrix.shape
    indices, indptr = np.tile(np.arange(m), n), np.arange(0, n * m + 1, m)
    return sparse.csr_matrix((matrix.ravel(), indices, indptr), shape=matrix.shape)


#: Forms of X with the same values.
FORMS = {
    "csc_matrix": sparse.csc_matrix,
    "csr_array": sparse.csr_array,
    "csc_array": sparse.csc_array,
    "dense": np.array,
    "float64": lambda v: v.astype(np.float64),
    "csr of float64": lambda v: sparse.csr_matrix(v.astype(np.float64)),
    "columns first": np.asfortranarray,
    "not contiguous": lambda v: np.repeat(v, 2, axis=1)[:, ::2],
    "indices of 8 bytes": wide,
    "unsorted duplicates": unsorted,
    "stored zeros": with_zeros,
    "dask": lambda v: da.from_array(v, chunks=(70, 30)),
    "dask of csr": lambda v: da.from_array(v, chunks=(70, -1)).map_blocks(sparse.csr_matrix),
}
QUICK = ("columns first", "unsorted duplicates", "dask")


def test_every_public_name_has_a_case():
    assert public_names() == set(CASES) | set(WITHOUT_DATA) | ELSEWHERE


def test_every_case_has_an_outcome():
    errors = {name: found for name, found in expected().items() if isinstance(found, str)}
    assert not errors


@pytest.mark.parametrize("form", [f if f in QUICK else slow(f) for f in FORMS])
def test_forms_of_x(form):
    adata = tissue()
    adata.X = FORMS[form](values())
    assert_same(Scene(adata))


def test_a_layer_instead_of_x():
    adata = tissue()
    adata.layers["logged"] = sparse.csc_matrix(values())
    adata.X = np.zeros(adata.shape, dtype=np.float32)
    assert_same(Scene(adata, {"layer": "logged"}))


@pytest.mark.parametrize("base", [2, slow(10.0)])
def test_another_base_of_the_logarithm(base):
    adata = tissue()
    adata.X = adata.X / np.float32(np.log(base))
    adata.uns["log1p"] = {"base": base}
    assert_same(Scene(adata))


@pytest.mark.parametrize("way", ["backed", "read_lazy", slow("lazy zarr")])
def test_files_that_stay_open(way, tmp_path):
    path = tmp_path / ("data.zarr" if way == "lazy zarr" else "data.h5ad")
    tissue().write_zarr(path) if way == "lazy zarr" else tissue().write_h5ad(path)
    opened = ad.read_h5ad(path, backed="r") if way == "backed" else ad.experimental.read_lazy(path)
    assert_same(Scene(opened))


def test_a_view():
    adata = tissue()
    twice = ad.concat([adata, adata], index_unique="-", keys=["a", "b"], pairwise=True)
    twice.var = adata.var.copy()
    view = twice[: adata.n_obs]
    view.obs_names = adata.obs_names
    assert_same(Scene(view))


def test_counts_as_whole_numbers_and_as_floats():
    found = {}
    for kind in (np.int64, np.float32):
        adata = tissue()
        adata.X = adata.layers["counts"].astype(kind)
        found[kind] = outcomes(Scene(adata), WITHOUT_PLOTS)
    assert not changes(found[np.float32], found[np.int64])
    assert any("looks like raw counts" in text for text in found[np.int64]["warnings"])
    assert "so it is not computed" in found[np.int64]["pp.transitions"]
