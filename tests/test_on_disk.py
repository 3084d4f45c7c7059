"""Tables that are open on disk: the same results, and no more of them in memory than is needed."""

from __future__ import annotations

import dataclasses

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from _helpers import (
    MIXED_STAGES,
    NO_ROLES,
    NOTHING_SIGNIFICANT,
    dense,
    slow,
    source,
    tiny_config,
    tissue,
)
from scipy import sparse

import spatrace_sc as st
from spatrace_sc._core import counts
from spatrace_sc._core.counts import molecule, molecule_of_blocks
from spatrace_sc._data import on_disk
from spatrace_sc._data.expression import columns, expression
from spatrace_sc._data.load_genes import load_genes
from spatrace_sc._data.on_disk import OnDisk, blocks_of
from spatrace_sc._data.table import as_table
from spatrace_sc._study.read import read_study

FORMS = ["backed", "lazy h5ad", "lazy zarr"]
OPTIONS = {"sample_key": "sample", "stage_key": "stage"}

pytestmark = pytest.mark.filterwarnings(
    "ignore::FutureWarning", "ignore::UserWarning:zarr", NOTHING_SIGNIFICANT
)


def opened(adata, form, folder):
    """The same data, expression left on disk."""
    path = folder / f"{len(list(folder.iterdir()))}.{'zarr' if form == 'lazy zarr' else 'h5ad'}"
    adata.write_zarr(path) if form == "lazy zarr" else adata.write_h5ad(path)
    return ad.read_h5ad(path, backed="r") if form == "backed" else ad.experimental.read_lazy(path)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Several blocks even in a small tissue."""
    monkeypatch.setattr(on_disk, "BLOCK_VALUES", 40 * 71)
    monkeypatch.setattr(counts, "BLOCK_VALUES", 40 * 71)


@pytest.mark.parametrize("form", FORMS)
def test_preparation_is_the_same(form, tmp_path):
    plain, adata = tissue(), opened(tissue(), form, tmp_path)
    for data in (plain, adata):
        st.pp.ligand_exposure(data, radius=40, sample_key="sample")
        st.pp.transitions(data)
        genes = {
            role: list(data.var_names[data.var[role[:-1]]])
            for role in ("ligands", "receptors", "tfs")
        }
        st.pp.gene_roles(data, **genes)
    pd.testing.assert_frame_equal(
        adata.obsm["ligand_exposure"],
        plain.obsm["ligand_exposure"],
        check_names=False,
        check_index_type=False,
        check_column_type=False,
    )
    np.testing.assert_allclose(
        dense(adata.obsp["transitions"]), dense(plain.obsp["transitions"]), atol=1e-12
    )
    for role in ("ligand", "receptor", "tf", "target"):
        np.testing.assert_array_equal(adata.var[role], plain.var[role])
    assert not isinstance(adata.X, np.ndarray)
    assert not sparse.issparse(adata.X)


def arrays_of(record):
    """Return every array of a record, of the records in it as ``field.name``."""
    fields = record._asdict() if isinstance(record, tuple) else vars(record)
    arrays = {}
    for name, value in fields.items():
        if dataclasses.is_dataclass(value) or hasattr(value, "_asdict"):
            arrays |= {f"{name}.{inner}": array for inner, array in arrays_of(value).items()}
        else:
            arrays[name] = dense(value) if sparse.issparse(value) else value
    return arrays


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("as_dense", [False, True])
def test_the_study_is_the_same(form, as_dense, tmp_path):
    plain = tissue()
    if as_dense:
        plain.X = plain.X.toarray()
    del plain.var["target"]  # so that they are chosen
    studies = [
        read_study(as_table(data, ""), NO_ROLES, source())
        for data in (plain, opened(plain, form, tmp_path))
    ]
    one, other = (arrays_of(study) for study in studies)
    assert one.keys() == other.keys()
    assert {"genes.targets", "cells.coords", "noise.level", "backward"} <= one.keys()
    for name in one:
        np.testing.assert_array_equal(other[name], one[name], err_msg=name)


def test_inference_is_the_same(tmp_path):
    pytest.importorskip("torch")
    plain = tissue()
    adata = opened(plain, "backed", tmp_path)
    for data in (plain, adata):
        st.tl.infer_ccc(data, config=tiny_config(), **OPTIONS)
    for reader in (st.get.tf_targets, st.get.lr_targets, st.get.lr_pairs, st.get.communication):
        pd.testing.assert_frame_equal(reader(adata), reader(plain))
    np.testing.assert_array_equal(st.get.activity(adata).X, st.get.activity(plain).X)


def test_only_named_genes_are_loaded_in_small_blocks(tmp_path, monkeypatch):
    adata = opened(tissue(), "backed", tmp_path)
    sizes = []
    read_rows = on_disk.read_rows
    monkeypatch.setattr(on_disk, "read_rows", lambda *a: sizes.append(a[2] - a[1]) or read_rows(*a))
    matrix = expression(adata, None)
    assert isinstance(matrix, OnDisk)
    sizes.clear()
    genes = np.array([3, 60, 12])
    loaded, unit, empty, other, n_others = load_genes(matrix, genes)
    assert sizes == [40] * 7 + [20]
    expected = dense(tissue().X)
    np.testing.assert_array_equal(dense(loaded)[:, genes], expected[:, genes])
    assert loaded.nnz == np.count_nonzero(expected[:, genes])
    np.testing.assert_array_equal(unit, molecule(tissue().X))
    np.testing.assert_array_equal(empty, ~expected.any(axis=1))
    others = np.delete(np.expm1(expected), genes, axis=1)
    np.testing.assert_allclose(other, others.sum(axis=1), rtol=1e-5)
    assert n_others == others.any(axis=0).sum()


def test_rows_and_columns(tmp_path):
    matrix = expression(opened(tissue(), "backed", tmp_path), None)
    expected = dense(tissue().X).astype(np.float32)
    rows, genes = np.array([0, 39, 40, 41, 299]), np.array([5, 2])
    np.testing.assert_array_equal(columns(matrix[rows], genes), expected[rows][:, genes])
    np.testing.assert_array_equal(
        np.concatenate([dense(b) for b in blocks_of(matrix[rows])]), expected[rows]
    )
    assert matrix[rows].shape == (5, 71)
    inner = matrix[np.arange(10, 300)][np.arange(5, 50)]
    np.testing.assert_array_equal(columns(inner, genes), expected[15:60][:, genes])
    with pytest.raises(IndexError, match="increasing"):
        matrix[np.array([3, 1])]


@pytest.mark.parametrize(
    ("form", "value", "says"),
    [
        ("backed", np.nan, "at least 1 NaN or inf"),
        ("lazy h5ad", np.inf, "at least 1 NaN or inf"),
        ("backed", -1.0, "negative values"),
        slow("lazy zarr", -1.0, "negative values"),
    ],
)
def test_bad_values_are_found_where_they_are_read(form, value, says, tmp_path):
    bad = tissue()
    bad.X = bad.X.toarray()
    bad.X[250, 3] = value
    bad.X = sparse.csr_matrix(bad.X)
    for verb in (
        lambda a: st.pp.ligand_exposure(a, sample_key="sample"),
        lambda a: st.pp.transitions(a),
    ):
        adata = opened(bad, form, tmp_path)
        with pytest.raises(st.DataError, match=rf"`adata\.X` has {says}"):
            verb(adata)
        assert not {"ligand_exposure"} & set(adata.obsm)


@pytest.mark.parametrize("form", [*FORMS[:2], slow(FORMS[2])])
def test_raw_counts_are_recognised(form, tmp_path):
    raw = tissue()
    raw.X = raw.layers["counts"].copy()
    adata = opened(raw, form, tmp_path)
    with pytest.warns(st.SpatraceWarning, match="looks like raw counts"):
        st.pp.ligand_exposure(adata, sample_key="sample")
    del adata.obs["dpt_pseudotime"]
    with pytest.raises(st.DataError, match="Pseudotime of raw counts"):
        st.pp.transitions(adata, root="receiver_0")


def test_a_matrix_stored_by_gene_is_read_whole(tmp_path, caplog):
    plain = tissue()
    by_gene = plain.copy()
    by_gene.X = sparse.csc_matrix(by_gene.X)
    st.pp.ligand_exposure(plain, radius=40, sample_key="sample")
    for form in FORMS:
        adata = opened(by_gene, form, tmp_path)
        with caplog.at_level("INFO", "spatrace_sc"):
            caplog.clear()
            st.pp.ligand_exposure(adata, radius=40, sample_key="sample")
        assert "stored by gene (CSC)" in caplog.text
        np.testing.assert_array_equal(adata.obsm["ligand_exposure"], plain.obsm["ligand_exposure"])


@pytest.mark.parametrize("form", ["lazy h5ad", slow("lazy zarr")])
def test_transitions_that_lie_on_disk(form, tmp_path):
    pytest.importorskip("torch")
    plain = tissue()
    st.pp.transitions(plain)
    adata = opened(plain, form, tmp_path)
    for data in (plain, adata):
        st.tl.infer_ccc(data, transitions_key="transitions", config=tiny_config(), **OPTIONS)
    pd.testing.assert_frame_equal(st.get.tf_targets(adata), st.get.tf_targets(plain))


def test_a_copy_of_what_is_open_is_refused_before_anything_is_computed(tmp_path):
    pytest.importorskip("torch")
    adata = opened(tissue(), "backed", tmp_path)
    with pytest.raises(st.InvalidArgumentError, match=r"`copy=True`.*backed.*to_memory"):
        st.tl.infer_ccc(adata, copy=True, config=tiny_config(), **OPTIONS)
    assert "spatrace" not in adata.uns


def test_the_unit_does_not_depend_on_the_blocks():
    matrix = sparse.csr_matrix(tissue().X)
    expected = molecule_of_blocks([matrix])
    for step in (1, 7, 300):
        parts = [matrix[k : k + step] for k in range(0, 300, step)]
        np.testing.assert_array_equal(molecule_of_blocks(parts), expected)
    empty = matrix.tolil()
    empty[:50] = 0
    empty = empty.tocsr()
    parts = molecule_of_blocks([empty[:50], empty[50:]])
    np.testing.assert_array_equal(parts, molecule_of_blocks([empty]))
    np.testing.assert_array_equal(parts[:50], np.median(expected[50:]))
    assert molecule_of_blocks([]) is None
    assert molecule_of_blocks([matrix, -matrix]) is None
    assert (
        molecule_of_blocks([matrix[:10].multiply(0.83).tocsr(), matrix[10:].multiply(0.83).tocsr()])
        is None
    )


@pytest.mark.filterwarnings(MIXED_STAGES)
def test_a_table_on_disk_is_gathered(tmp_path):
    import spatialdata as sd

    adata = opened(tissue(), "backed", tmp_path)
    sdata = sd.SpatialData(tables={"cells": adata})
    gathered = st.pp.gather(sdata, coordinate_system=None, copy=True)
    np.testing.assert_array_equal(dense(gathered.X), dense(tissue().X))
    np.testing.assert_array_equal(gathered.obsm["spatial"], tissue().obsm["spatial"])
