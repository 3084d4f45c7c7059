"""One reader of matrices: every form of X and of layers gives the same, and stays as it was."""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache

import anndata as ad
import dask.array as da
import numpy as np
import pandas as pd
import pytest
from _helpers import (
    NO_ROLES,
    NOTHING_SIGNIFICANT,
    TWO_OF_EACH,
    dense,
    infer_quietly,
    slow,
    source,
    tiny_config,
    tissue,
)
from scipy import sparse

import spatrace_sc as st
from spatrace_sc._data.embedding import embed
from spatrace_sc._data.expression import columns, expression, matrix_of
from spatrace_sc._data.matrix_forms import as_array, canonical
from spatrace_sc._data.on_disk import OnDisk
from spatrace_sc._inference.read_communication import read_communication_input
from spatrace_sc._inference.restore import restore
from spatrace_sc._result import Result
from spatrace_sc._study.read import read_study

pytestmark = [
    pytest.mark.filterwarnings(NOTHING_SIGNIFICANT, "ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:zarr", "ignore::PendingDeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*should not be a np.matrix", "ignore:Constructing a DIA"),
]
VALUES = dense(tissue().X).astype(np.float32)
KEYS = {"sample_key": "sample", "stage_key": "stage"}


def not_canonical(values, kind=sparse.csr_matrix):
    """Entries split in two, in reverse order, with stored zeros."""
    halves = sparse.coo_matrix(values)
    row, col = (np.tile(index, 2)[::-1] for index in (halves.row, halves.col))
    data = np.tile(halves.data / 2, 2)[::-1]
    order = np.argsort(row if "csr" in kind.__name__ else col, kind="stable")
    row, col, data = row[order], col[order], data[order]
    major, minor = (row, col) if "csr" in kind.__name__ else (col, row)
    n_major = values.shape[0] if "csr" in kind.__name__ else values.shape[1]
    # one stored zero at the end of every row (or column), at an index that may repeat
    ends = np.searchsorted(major, np.arange(n_major), side="right")
    minor, data = np.insert(minor, ends, 0), np.insert(data, ends, 0.0)
    indptr = np.concatenate([[0], ends + np.arange(1, n_major + 1)])
    matrix = kind((data.astype(values.dtype), minor, indptr), shape=values.shape)
    assert not matrix.has_canonical_format
    return kind((data.astype(values.dtype), minor, indptr), shape=values.shape)


def with_negative_zeros(values):
    changed = values.copy()
    changed[values == 0] = -0.0
    return changed


#: Forms that an AnnData takes, with the same values.
FORMS = {
    "dense": lambda v: v,
    "Fortran order": np.asfortranarray,
    "every second column": lambda v: np.repeat(v, 2, axis=1)[:, ::2],
    "read-only": lambda v: np.frombuffer(v.tobytes(), v.dtype).reshape(v.shape),
    "float64": lambda v: v.astype(np.float64),
    "big-endian": lambda v: v.astype(">f4"),
    "long double": lambda v: v.astype(np.longdouble),
    "object": lambda v: v.astype(object),
    "np.matrix": np.matrix,
    "masked array": lambda v: np.ma.MaskedArray(v, mask=False),
    "negative zeros": with_negative_zeros,
    "csr_matrix": sparse.csr_matrix,
    "csc_matrix": sparse.csc_matrix,
    "csr_array": sparse.csr_array,
    "csc_array": sparse.csc_array,
    "csr not canonical": not_canonical,
    "csc not canonical": lambda v: not_canonical(v, sparse.csc_matrix),
    "csr_array not canonical": lambda v: not_canonical(v, sparse.csr_array),
    "csr of negative zeros": lambda v: sparse.csr_matrix(-sparse.csr_matrix(-v)),
    "dask": lambda v: da.from_array(v, chunks=(70, 30)),
    "dask of csr": lambda v: da.from_array(v, chunks=(70, -1)).map_blocks(sparse.csr_matrix),
    "dask of csr_array": lambda v: da.from_array(v, chunks=(70, -1)).map_blocks(sparse.csr_array),
    "dask of objects": lambda v: da.from_array(v.astype(object), chunks=(70, 30)),
    "dask not canonical": lambda v: da.from_array(v, chunks=(70, -1)).map_blocks(
        not_canonical, dtype=v.dtype, meta=sparse.csr_matrix((0, 0), dtype=v.dtype)
    ),
}
#: Forms that AnnData refuses, but that other containers hold.
LOOSE_FORMS = {
    "coo_matrix": sparse.coo_matrix,
    "coo_array": sparse.coo_array,
    "coo with duplicates": lambda v: sparse.coo_matrix(
        (
            np.tile(sparse.coo_matrix(v).data / 2, 2),
            tuple(np.tile(index, 2) for index in sparse.coo_matrix(v).coords),
        ),
        shape=v.shape,
    ),
    "lil": sparse.lil_matrix,
    "dok": sparse.dok_matrix,
    "bsr": sparse.bsr_matrix,
    "dia": sparse.dia_matrix,
    "data frame": pd.DataFrame,
    "sparse data frame": lambda v: pd.DataFrame.sparse.from_spmatrix(sparse.csr_matrix(v)),
}
each_form = pytest.mark.parametrize("form", FORMS)


def bytes_of(matrix):
    """Everything that a matrix in memory stores."""
    if sparse.issparse(matrix):
        parts = [
            getattr(matrix, name)
            for name in ("data", "indices", "indptr", "row", "col")
            if hasattr(matrix, name)
        ]
        return [np.asarray(part).tobytes() for part in parts]
    return [np.asarray(matrix).tobytes()]


def with_form(form, layer=None):
    adata = tissue()
    if layer is None:
        adata.X = FORMS[form](VALUES.copy())
    else:
        adata.layers[layer] = FORMS[form](VALUES.copy())
        adata.X = None
    return adata


def assert_canonical(matrix):
    assert matrix.dtype in (np.float32, np.float64)
    assert matrix.dtype.isnative
    if sparse.issparse(matrix):
        assert type(matrix) is sparse.csr_matrix
        fresh = sparse.csr_matrix((matrix.data, matrix.indices, matrix.indptr), matrix.shape)
        assert fresh.has_canonical_format
    else:
        assert type(matrix) is np.ndarray
        assert matrix.flags.c_contiguous


@pytest.mark.parametrize("layer", [None, "other"])
@each_form
def test_every_form_is_read_as_the_same_values(form, layer):
    adata = with_form(form, layer)
    given = adata.X if layer is None else adata.layers[layer]
    before = None if isinstance(given, da.Array) else bytes_of(given)
    matrix = expression(adata, layer)
    if isinstance(matrix, OnDisk):
        for block in matrix.blocks():
            assert_canonical(block)
    else:
        assert_canonical(matrix)
        np.testing.assert_array_equal(dense(matrix), VALUES)
    np.testing.assert_array_equal(columns(matrix, np.array([7, 3])), VALUES[:, [7, 3]])
    if before is not None:
        assert bytes_of(adata.X if layer is None else adata.layers[layer]) == before


@pytest.mark.parametrize("form", LOOSE_FORMS)
def test_forms_that_an_anndata_refuses(form):
    given = LOOSE_FORMS[form](VALUES)
    before = dense(given)
    matrix = canonical(given, "it")
    assert_canonical(matrix)
    np.testing.assert_array_equal(dense(matrix), VALUES)
    np.testing.assert_array_equal(dense(given), before)


@each_form
def test_views_of_every_form(form):
    view = with_form(form)[10:200, 5:60]
    matrix = expression(view, None)
    np.testing.assert_array_equal(columns(matrix, np.arange(55)), VALUES[10:200, 5:60])
    assert view.is_view


@each_form
def test_preparation_is_the_same(form):
    plain, adata = tissue(), with_form(form)
    genes = {role: TWO_OF_EACH[role] for role in ("ligands", "receptors", "tfs")}
    for data in (plain, adata):
        del data.var["target"]
        st.pp.ligand_exposure(data, radius=40, sample_key="sample")
        st.pp.gene_roles(data, **genes)
        st.pp.transitions(data)
    exposure = np.asarray(adata.obsm["ligand_exposure"])
    np.testing.assert_allclose(exposure, plain.obsm["ligand_exposure"], rtol=1e-6)
    pd.testing.assert_frame_equal(adata.var, plain.var)
    difference = dense(adata.obsp["transitions"]) - dense(plain.obsp["transitions"])
    assert np.abs(difference).max() < 1e-4


@each_form
def test_the_study_is_the_same(form):
    one, other = (read_study(data, NO_ROLES, source()) for data in (tissue(), with_form(form)))
    for field in ("sender_ligand", "exposure", "receptor", "tf", "target", "unit"):
        np.testing.assert_allclose(getattr(other, field), getattr(one, field), rtol=1e-6)


@lru_cache(maxsize=1)
def inferred():
    adata = tissue()
    infer_quietly(adata, **TWO_OF_EACH, **KEYS, config=tiny_config())
    return adata


@pytest.mark.parametrize("form", ["object", "csc_array", "csr not canonical", "dask of csr"])
def test_a_result_is_restored_and_read_from_every_form(form):
    adata = inferred().copy()
    expected = read_communication_input(adata, Result.read(adata, "spatrace")).sender_ligand
    model = restore(adata, "spatrace")
    adata.X = FORMS[form](VALUES.copy())
    given = read_communication_input(adata, Result.read(adata, "spatrace")).sender_ligand
    np.testing.assert_array_equal(given, expected)
    again = restore(adata, "spatrace")
    np.testing.assert_allclose(again.study.target, model.study.target, rtol=1e-6)


@pytest.mark.parametrize("way", ["backed", "lazy h5ad", slow("lazy zarr")])
@pytest.mark.parametrize(
    "form", ["dense", "float64", "csr_matrix", "csc_matrix", "csr not canonical"]
)
def test_forms_in_files(form, way, tmp_path):
    adata = with_form(form)
    path = tmp_path / ("data.zarr" if way == "lazy zarr" else "data.h5ad")
    adata.write_zarr(path) if way == "lazy zarr" else adata.write_h5ad(path)
    opened = ad.read_h5ad(path, backed="r") if way == "backed" else ad.experimental.read_lazy(path)
    matrix = expression(opened, None)
    np.testing.assert_array_equal(columns(matrix, np.arange(71)), VALUES)


@pytest.mark.parametrize("kind", [np.int8, np.uint16, np.int32, np.int64, bool])
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix, sparse.csc_array])
def test_whole_numbers_and_truth_values(kind, form):
    values = np.array([[1, 0, 3], [0, 2, 0]]).astype(kind)
    matrix = canonical(form(values), "it")
    assert_canonical(matrix)
    np.testing.assert_array_equal(dense(matrix), values.astype(float))


def test_integers_keep_all_their_digits():
    values = np.array([[2**24 + 1, 0], [3, 2**31 - 1]])
    np.testing.assert_array_equal(canonical(values, "it"), values)
    np.testing.assert_array_equal(dense(canonical(sparse.csc_matrix(values), "it")), values)


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix, sparse.csc_matrix])
def test_float16_sums_in_float32(form):
    values = np.array([[0.1, 0, 2], [0, 300, 0]], dtype=np.float16)
    if form is not np.asarray:  # scipy has no float16; such a matrix comes from a file
        matrix = form(values.astype(np.float32))
        matrix.data = matrix.data.astype(np.float16)
    else:
        matrix = values
    np.testing.assert_array_equal(dense(canonical(matrix, "it")), values.astype(np.float64))


def test_numbers_in_objects():
    values = np.array([[1, 2.5, np.float32(0.5)], [True, Decimal("0.25"), np.int8(3)]], object)
    np.testing.assert_array_equal(canonical(values, "it"), [[1, 2.5, 0.5], [1, 0.25, 3]])
    missing = canonical(np.array([[None, pd.NA, np.nan, 1.0]], object), "it")
    np.testing.assert_array_equal(missing, [[np.nan, np.nan, np.nan, 1]])


@pytest.mark.parametrize(
    ("matrix", "says"),
    [
        (np.array([["1.5", "2"]], object), ("numbers", "'str'", "'1.5'")),
        (np.array([[1.0, "a"]], object), ("numbers", "'str'", "'a'")),
        (np.array([[1.0, 2j]], object), ("numbers", "'complex'")),
        (np.array([["1", "2"]]), ("numbers", "<U1")),
        (np.array([[b"1", b"2"]]), ("numbers", "|S1")),
        (np.array([[1j, 2]]), ("numbers", "complex128")),
        (sparse.csr_matrix(np.array([[1j, 2]])), ("numbers", "complex128")),
        (np.array([["2020-01-01"]], "datetime64[D]"), ("numbers", "datetime64")),
        (np.ma.masked_equal([[1.0, 2.0], [2.0, 3.0]], 2.0), ("2 masked values", ".filled(0)")),
        (np.zeros((2, 2, 2)), ("two dimensions", "(2, 2, 2)")),
        (np.zeros(3), ("two dimensions", "(3,)")),
        ([[1, 2]], ("list", "numpy array")),
        (pd.DataFrame({"a": ["x", "y"]}), ("numbers", "'str'")),
    ],
    ids=str,
)
def test_what_is_no_matrix_of_numbers(matrix, says):
    with pytest.raises(st.DataError) as caught:
        canonical(matrix, "`adata.X`")
    for text in ("`adata.X`", *says):
        assert text in str(caught.value)


@pytest.mark.parametrize("layer", [None, "other"])
@pytest.mark.parametrize("verb", ["infer_ccc", "transitions", "ligand_exposure", "gene_roles"])
def test_text_is_an_early_error(verb, layer):
    adata = tissue()
    values = VALUES.astype(object)
    values[3, 2] = "1.5"
    if layer is None:
        adata.X = values
    else:
        adata.layers[layer] = values
    name = "`adata.X`" if layer is None else "`adata.layers['other']`"
    call = {
        "infer_ccc": lambda: st.tl.infer_ccc(adata, layer=layer, config=tiny_config()),
        "transitions": lambda: st.pp.transitions(adata, layer=layer),
        "ligand_exposure": lambda: st.pp.ligand_exposure(adata, layer=layer),
        "gene_roles": lambda: st.pp.gene_roles(
            adata, ligands=["LIG000"], receptors=["REC000"], tfs=["TF000"], layer=layer
        ),
    }[verb]
    with pytest.raises(st.DataError, match=r"must hold numbers, found 'str'") as caught:
        call()
    assert name in str(caught.value)


def test_a_matrix_on_a_graphics_card_is_an_early_error(monkeypatch):
    class Device:
        __cuda_array_interface__ = None
        shape = (3, 2)

    adata = ad.AnnData(np.ones((3, 2), dtype=np.float32))
    monkeypatch.setattr(ad.AnnData, "X", property(lambda self: Device()))
    with pytest.raises(st.DataError, match=r"Device; convert it to a numpy array"):
        matrix_of(adata, None)


# Values


@pytest.mark.parametrize("form", ["dense", "csr_matrix", "csc_array", "dask of csr"])
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 1e39, -0.5])
def test_values_that_cannot_be(form, value):
    adata = tissue()
    values = VALUES.astype(np.float64)
    values[[20, 130], [3, 60]] = value
    adata.X = FORMS[form](values)
    says = {1e39: "beyond the range of float32", -0.5: "negative values"}
    with pytest.raises(st.DataError, match=says.get(value, "2 NaN or inf values")) as caught:
        columns(expression(adata, None), np.arange(71))
    assert "`adata.X`" in str(caught.value)


@pytest.mark.parametrize("form", ["dense", "csr_matrix"])
def test_a_matrix_of_zeros(form):
    adata = tissue()
    adata.X = FORMS[form](np.zeros_like(VALUES))
    with pytest.raises(st.DataError, match=r"`adata\.X` is 0 in all.*`adata\.layers\['counts'\]`"):
        st.pp.ligand_exposure(adata, sample_key="sample")


@pytest.mark.parametrize("verb", [st.pp.transitions, st.pp.ligand_exposure, st.tl.infer_ccc])
@pytest.mark.parametrize("part", [np.s_[:0, :], np.s_[:, :0]])
def test_an_empty_matrix(verb, part):
    for adata in (tissue()[part], tissue()[part].copy()):
        with pytest.raises(st.DataError, match="at least one of each"):
            verb(adata)


def test_a_matrix_of_another_shape(monkeypatch):
    """AnnData checks shapes when they are set and when a file is read, but not later."""
    adata = tissue()
    monkeypatch.setattr(ad.AnnData, "X", property(lambda self: VALUES[:, :-1]))
    with pytest.raises(st.DataError, match=r"`adata\.X` .* \(300, 70\); 300 cells × 71 genes"):
        st.pp.transitions(adata)


def test_without_x_layers_are_listed_and_used():
    adata = tissue()
    adata.layers["logged"] = adata.X.copy()
    adata.X = None
    for data in (adata, adata[:250]):
        with pytest.raises(st.DataError, match=r"`adata\.X` is empty.*'counts', 'logged'"):
            st.pp.ligand_exposure(data, sample_key="sample", copy=True)
        table = st.pp.ligand_exposure(
            data, radius=40, sample_key="sample", layer="logged", copy=True
        )
        assert np.isfinite(table.to_numpy()).all()


@pytest.mark.parametrize(
    "form", [np.asarray, np.asfortranarray, sparse.csr_matrix, sparse.csc_array, pd.DataFrame]
)
def test_every_form_of_a_representation(form):
    adata = tissue()
    values = np.random.default_rng(0).normal(size=(adata.n_obs, 5))
    if form is pd.DataFrame:
        adata.obsm["X_own"] = pd.DataFrame(values, index=adata.obs_names)
    else:
        adata.obsm["X_own"] = form(values)
    cells = np.arange(adata.n_obs) % 2 == 0
    result = embed(adata, sparse.csr_matrix(VALUES), cells, "X_own", 3)
    np.testing.assert_array_equal(result, values[cells, :3])
    np.testing.assert_array_equal(as_array(sparse.csc_matrix(values), "it"), values)
