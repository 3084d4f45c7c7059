"""Counts are recognised under every base, in every precision, whatever ``uns`` says."""

from __future__ import annotations

import logging
import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from _helpers import (
    NO_ROLES,
    NOTHING_SIGNIFICANT,
    dense,
    infer_quietly,
    slow,
    source,
    tiny_config,
    tissue,
)
from scipy import sparse

import spatrace_sc as st
from spatrace_sc._core.counts import molecule
from spatrace_sc._core.log_base import evidence, find_base
from spatrace_sc._core.rounded_counts import Rounding, rounded_cells, rounding_of
from spatrace_sc._data.expression import columns, expression
from spatrace_sc._data.log_base import named_base
from spatrace_sc._study.read import read_study

pytestmark = pytest.mark.filterwarnings(NOTHING_SIGNIFICANT, "ignore::FutureWarning")
NATURAL = dense(tissue().X)
KEYS = {"sample_key": "sample", "stage_key": "stage"}


def logged(base, named="same", form=sparse.csr_matrix, dtype=np.float32):
    """Tissue in logarithms of a base, with the base that ``uns`` names."""
    adata = tissue()
    adata.X = form((NATURAL / np.log(base)).astype(dtype))
    if named is not None:
        adata.uns["log1p"] = {"base": base if named == "same" else named}
    return adata


def read(adata, layer=None):
    matrix = expression(adata, layer)
    return columns(matrix, np.arange(adata.n_vars))


def warnings_of(call):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    return [str(w.message) for w in caught if issubclass(w.category, st.SpatraceWarning)]


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix, sparse.csc_array])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("base", [2, 10, 1.5, np.e])
def test_a_named_base_is_used_where_the_values_agree(base, form, dtype, caplog):
    adata = logged(base, form=form, dtype=dtype)
    before = adata.X.copy()
    with caplog.at_level(logging.INFO, "spatrace_sc"):
        assert not warnings_of(lambda: read(adata))
    assert (f"logarithms of base {base:g}" in caplog.text) == (base != np.e)
    np.testing.assert_allclose(read(adata), NATURAL, rtol=3e-7)
    np.testing.assert_array_equal(dense(adata.X), dense(before))


@pytest.mark.parametrize("base", [2, 10])
@pytest.mark.parametrize("entry", ["nothing", {}, {"base": None}])
def test_common_bases_are_found_without_a_name(base, entry):
    adata = logged(base, named=None)
    if entry != "nothing":
        adata.uns["log1p"] = entry
    assert not warnings_of(lambda: read(adata))
    np.testing.assert_allclose(read(adata), NATURAL, rtol=3e-7)


@pytest.mark.parametrize(("base", "named", "shown"), [(np.e, 2, "e"), (2, 10, "2"), (10, 3, "10")])
def test_values_decide_against_a_stale_name(base, named, shown):
    adata = logged(base, named=named)
    (message,) = warnings_of(lambda: np.testing.assert_allclose(read(adata), NATURAL, rtol=3e-7))
    for text in (f"is {named}", f"base {shown}", "% of the cells", "adata.uns['log1p']['base'] ="):
        assert text in message


def test_the_name_may_speak_of_x_where_a_layer_is_read(caplog):
    adata = logged(2)
    adata.layers["natural"] = sparse.csr_matrix(NATURAL)
    with caplog.at_level(logging.INFO, "spatrace_sc"):
        assert not warnings_of(lambda: read(adata, "natural"))
    assert "Base e is used" in caplog.text
    np.testing.assert_allclose(read(adata, "natural"), NATURAL)


def smoothed(base, named):
    """Values that are counts under no base."""
    rng = np.random.default_rng(0)
    adata = logged(base, named)
    mixed = sum(NATURAL[rng.permutation(len(NATURAL))] for _ in range(3)) / 3
    adata.X = (mixed / np.log(base)).astype(np.float32)
    return adata, mixed


@pytest.mark.parametrize(("base", "named"), [(2, 2), (np.e, None), (np.e, {}), (10, 10)])
def test_without_evidence_the_name_decides(base, named, caplog):
    adata, expected = smoothed(base, named)
    with caplog.at_level(logging.INFO, "spatrace_sc"):
        np.testing.assert_allclose(read(adata), expected, rtol=3e-7)
    assert ("not counts under any base" in caplog.text) == (base != np.e)


@pytest.mark.parametrize("value", ["two", 0, 1, -2, np.nan, np.inf, [2, 3]])
def test_what_is_no_base_is_not_used(value, caplog):
    adata = logged(np.e, named=value)
    assert named_base(adata) is None
    assert "not the base" in caplog.text
    np.testing.assert_allclose(read(adata), NATURAL)


@pytest.mark.parametrize("value", [2, 2.0, np.int64(2), np.array(2), np.array([2.0]), "2"])
def test_every_form_of_a_base(value):
    adata = tissue()
    adata.uns["log1p"] = {"base": value}
    assert named_base(adata) == 2


@pytest.mark.parametrize("way", ["memory", "backed", "lazy h5ad", slow("lazy zarr")])
@pytest.mark.filterwarnings("ignore::UserWarning:zarr")
def test_files(way, tmp_path):
    adata = logged(2)
    path = tmp_path / ("data.zarr" if way == "lazy zarr" else "data.h5ad")
    adata.write_zarr(path) if way == "lazy zarr" else adata.write_h5ad(path)
    if way in ("memory", "backed"):
        opened = ad.read_h5ad(path, backed="r" if way == "backed" else None)
    else:
        opened = ad.experimental.read_lazy(path)
    assert named_base(opened) == 2
    np.testing.assert_allclose(read(opened), NATURAL, rtol=3e-7)


def test_raw_counts_are_no_logarithms():
    adata = logged(2)
    (message,) = warnings_of(lambda: read(adata, "counts"))
    assert "raw counts" in message
    with pytest.warns(st.SpatraceWarning, match="raw counts"):
        result = read(adata, "counts")
    np.testing.assert_array_equal(result, dense(adata.layers["counts"]))


def test_log2_of_counts_per_million_is_not_too_large():
    adata = tissue()
    counts = dense(adata.layers["counts"])
    adata.X = np.log2(1 + 1e6 * counts / counts.sum(axis=1, keepdims=True))
    assert adata.X.max() > 18
    assert not warnings_of(lambda: read(adata))


def test_few_cells_are_no_evidence():
    counts = np.array([[1, 2, 5], [3, 1, 4]] * 3)
    values = np.log1p(counts * 2.0) / np.log(2)
    assert not evidence([values], 2.0, None).counts
    assert find_base([values], 2.0, None).base == 2
    assert find_base([values], None, None).base == np.e
    assert find_base([np.tile(values, (3, 1))], None, None).base == 2
    ones = np.full((300, 2), np.log1p(2.0) / np.log(2))  # one value: any base would do
    assert find_base([ones], None, None).base == np.e


# Digits that were rounded away


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize("base", [np.e, 2])
@pytest.mark.parametrize("rounding", [Rounding(None), Rounding(2), Rounding(3), Rounding(4)])
def test_rounded_counts_get_their_digits_back(rounding, base, form, caplog):
    values = (NATURAL / np.log(base)).astype(np.float32)
    if rounding.decimals is None:
        values = values.astype(np.float16)
    else:
        values = np.round(values, rounding.decimals)
    assert rounding_of(values.astype(np.float32)) == rounding
    adata = tissue()
    adata.X = form(values.astype(np.float32))
    adata.uns["log1p"] = {"base": None if base == np.e else base}
    with caplog.at_level(logging.INFO, "spatrace_sc"):
        result = read(adata)
    assert "read as the count next to it" in caplog.text
    error = np.abs(values.astype(float) * np.log(base) - NATURAL)[NATURAL > 0]
    restored = np.abs(result - NATURAL)[NATURAL > 0]
    assert restored.mean() < 0.5 * error.mean()
    unit = molecule(result)
    assert unit is not None
    np.testing.assert_allclose(unit, molecule(NATURAL), rtol=0.02)


def test_float16_of_every_storage_is_the_same(tmp_path):
    expected = None
    for form in (np.asarray, sparse.csr_matrix):
        adata = tissue()
        adata.X = NATURAL.astype(np.float16)
        if form is sparse.csr_matrix:
            matrix = sparse.csr_matrix(NATURAL.astype(np.float32))
            matrix.data = matrix.data.astype(np.float16)
            adata.X = matrix
        result = read(adata)
        expected = result if expected is None else expected
        np.testing.assert_array_equal(result, expected)
    adata.X = NATURAL.astype(np.float16)
    adata.write_h5ad(tmp_path / "data.h5ad")
    np.testing.assert_array_equal(read(ad.read_h5ad(tmp_path / "data.h5ad", backed="r")), expected)


def test_float16_without_counts_warns():
    adata, mixed = smoothed(np.e, None)
    adata.X = mixed.astype(np.float16)
    (message,) = warnings_of(lambda: read(adata))
    for text in ("float16", "not log1p of normalised counts", "float32"):
        assert text in message
    with pytest.warns(st.SpatraceWarning, match="float16"):
        result = read(adata)
    np.testing.assert_array_equal(result, mixed.astype(np.float16).astype(np.float32))


def test_exact_values_are_not_taken_for_rounded_ones():
    values = NATURAL.astype(np.float32)
    assert rounding_of(values) is None
    assert rounding_of(values[:1, :5]) is None
    assert rounding_of(np.round(values, 6)) is None
    assert rounding_of(np.arange(1.0, 4.0)) is None
    adata = tissue()
    adata.X.sort_indices()
    assert np.shares_memory(expression(adata, None).data, adata.X.data)


def test_one_molecule_is_confined_by_every_entry():
    """log1p of 1, 2, 3 and 7 times 0.5, with 3 decimals; worked out by hand."""
    rows = sparse.csr_matrix(np.round(np.log1p(0.5 * np.array([[1, 2, 3, 7], [2, 3, 4, 9]])), 3))
    cells = rounded_cells(rows, 1.0, Rounding(3))
    np.testing.assert_allclose(cells.unit, 0.5, rtol=1e-3)
    assert not cells.uneven.any()
    assert cells.telling.all()
    odd = sparse.csr_matrix(np.round(np.log1p([[0.5, 1.2, 1.9, 2.6, 4.4]]), 3))
    assert rounded_cells(odd, 1.0, Rounding(3)).uneven.all()
    nothing = rounded_cells(sparse.csr_matrix((2, 3)), 1.0, Rounding(3))
    assert np.isnan(nothing.unit).all()
    assert not (nothing.uneven | nothing.telling).any()


# Tables


def effects(reader, adata):
    """The effects of a table by the names of the edges."""
    table = reader(adata)
    return table.set_index([c for c in ("tf", "ligand", "receptor", "target") if c in table])[
        "effect"
    ].sort_index()


@pytest.mark.parametrize(("kind", "tolerance"), [("base 2", 5e-5), slow("float16", 2e-3)])
def test_tables_are_those_of_natural_logarithms(kind, tolerance):
    pytest.importorskip("torch")
    plain = tissue()
    adata = logged(2) if kind == "base 2" else logged(np.e, None, np.asarray, np.float16)
    for data in (plain, adata):
        infer_quietly(data, config=tiny_config(), **KEYS)
        st.pp.ligand_exposure(data, radius=40, sample_key="sample")
    for reader in (st.get.tf_targets, st.get.lr_targets):
        pd.testing.assert_series_equal(
            *(effects(reader, data) for data in (plain, adata)), rtol=0, atol=tolerance
        )
    exposures = (data.obsm["ligand_exposure"] for data in (plain, adata))
    pd.testing.assert_frame_equal(*exposures, rtol=1e-5 if kind == "base 2" else 1e-2)


def test_count_noise_is_known_under_every_base():
    one, other = (read_study(data, NO_ROLES, source()) for data in (tissue(), logged(2)))
    np.testing.assert_allclose(other.unit, one.unit, rtol=1e-5)
    np.testing.assert_allclose(other.noise.level, one.noise.level, rtol=1e-4)
