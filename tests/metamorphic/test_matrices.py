"""Every verb, reader and plot gives the same for every form of the expression matrix."""

from __future__ import annotations

import json

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
    infer,
    outcomes,
    public_names,
)
from _same import changes
from _scenes import Scene, tissue
from scipy import sparse

import spatrace_sc as st

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


#: Cases that read the matrix, and tables of the inference; the others follow from them.
READ_X = (
    *(n for n in CASES if n.startswith("pp.")),
    *("tl.infer_ccc", "tl.communication", "tl.knockout"),
    *("get.tf_targets", "get.lr_targets", "get.lr_pairs", "get.communication"),
)
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
QUICK = ("unsorted duplicates",)


def test_every_public_name_has_a_case():
    assert public_names() == set(CASES) | set(WITHOUT_DATA) | ELSEWHERE


def test_every_case_has_an_outcome():
    errors = {name: str(found) for name, found in expected().items() if isinstance(found, str)}
    assert not {name: text for name, text in errors.items() if name != "get.params"}
    assert json.loads(errors["get.params"])["seed"] == 0


@pytest.mark.parametrize("form", [f if f in QUICK else slow(f) for f in FORMS])
def test_forms_of_x(form):
    adata = tissue()
    adata.X = FORMS[form](values())
    assert_same(Scene(adata), READ_X if form in QUICK else WITHOUT_PLOTS)


def test_a_layer_instead_of_x():
    adata = tissue()
    adata.layers["logged"] = sparse.csc_matrix(values())
    adata.X = np.zeros(adata.shape, dtype=np.float32)
    assert_same(Scene(adata, {"layer": "logged"}), READ_X)


@pytest.mark.parametrize("base", [2, slow(10.0)])
def test_another_base_of_the_logarithm(base):
    adata = tissue()
    # in double precision, because p counts decoys and a difference in rounding may exchange two
    adata.X = adata.X.astype(np.float64) / np.log(base)
    adata.uns["log1p"] = {"base": base}
    assert_same(Scene(adata), READ_X)


@pytest.mark.parametrize("way", ["backed", *map(slow, ["read_lazy", "lazy zarr"])])
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
    assert_same(Scene(view), READ_X)


@pytest.mark.slow
def test_counts_as_whole_numbers_and_as_floats():
    found = {}
    for kind in (np.int64, np.float32):
        adata = tissue()
        adata.X = adata.layers["counts"].astype(kind)
        found[kind] = outcomes(Scene(adata), READ_X)
    assert not changes(found[np.float32], found[np.int64])
    assert any("looks like raw counts" in text for text in found[np.int64]["warnings"])
    assert "so it is not computed" in found[np.int64]["pp.transitions"]


@pytest.mark.parametrize("kind", [slow(np.asarray), slow(sparse.csr_matrix)])
def test_half_precision(kind):
    """The tissue rounded to float16 once, held as float16 and as float32."""
    rounded = values().astype(np.float16)
    found = {}
    for name in ("float16", "float32"):
        adata = tissue()
        held = kind(rounded.astype(np.float32))
        if name == "float16":
            held = half(held)
        adata.X = held
        found[name] = outcomes(Scene(adata), WITHOUT_PLOTS)
    assert changes(found["float32"], found["float16"]) == {}


def half(matrix):
    """A matrix with values of two bytes, which scipy itself does not make."""
    if isinstance(matrix, np.ndarray):
        return matrix.astype(np.float16)
    matrix.data = matrix.data.astype(np.float16)
    return matrix


def test_rounding_to_half_precision_moves_effects_little():
    """float16 has 11 bits: values move by 5e-4 of themselves at most, effects by 3e-3."""
    adata = tissue()
    adata.X = values().astype(np.float16)
    scene = Scene(adata)
    infer(scene)
    found, expect = st.get.tf_targets(adata), expected()["get.tf_targets"][0]
    both = found.merge(expect, on=["tf", "target"])
    assert len(both) == len(found) == len(expect)
    np.testing.assert_allclose(both["effect_x"], both["effect_y"], atol=3e-3)
