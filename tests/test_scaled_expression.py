"""Scaled or incomplete expression: the error names where log-normalised values are."""

from __future__ import annotations

import numpy as np
import pytest
from _helpers import dense, tissue
from scipy import sparse

import spatrace_sc as st
from spatrace_sc._data.expression import expression

TAKE_RAW = "`adata = adata.raw.to_adata()`"


def message_of(adata, layer=None):
    with pytest.raises(st.DataError) as caught:
        expression(adata, layer)
    assert len(str(caught.value)) < 500
    return str(caught.value)


def scaled(value=-2.0):
    """X after ``sc.pp.scale``, or with NaN; nothing else."""
    adata = tissue()
    del adata.layers["counts"]
    adata.X = adata.X.toarray()
    adata.X[3, 5] = value
    return adata


@pytest.mark.parametrize("verb", ["infer_ccc", "transitions", "ligand_exposure", "gene_roles"])
def test_scaled_x_with_log_values_in_raw(verb):
    adata = tissue()
    adata.raw = adata
    values = dense(adata.X)
    adata.X = (values - values.mean(0)) / np.maximum(values.std(0), 1e-6)
    lists = {"ligands": ["LIG000"], "receptors": ["REC000"], "tfs": ["TF000"]}
    call = {
        "infer_ccc": lambda data: st.tl.infer_ccc(data, sample_key="sample"),
        "transitions": st.pp.transitions,
        "ligand_exposure": st.pp.ligand_exposure,
        "gene_roles": lambda data: st.pp.gene_roles(data, **lists),
    }[verb]
    with pytest.raises(st.DataError, match="negative values") as caught:
        call(adata)
    assert TAKE_RAW in str(caught.value)
    assert "log-normalised values" in str(caught.value)
    st.pp.transitions(adata.raw.to_adata())


@pytest.mark.parametrize("value", [-2.0, np.nan, np.inf])
@pytest.mark.parametrize("view", [False, True])
def test_what_raw_holds(value, view):
    adata = scaled(value)
    adata.raw = tissue()
    message = message_of(adata[:200] if view else adata)
    assert TAKE_RAW in message
    assert "log-normalised" in message
    counts = tissue()
    counts.X = counts.layers["counts"]
    adata.raw = counts
    message = message_of(adata)
    for text in (TAKE_RAW, "raw counts", "sc.pp.normalize_total", "sc.pp.log1p"):
        assert text in message
    adata.raw = scaled()
    assert "raw" not in message_of(adata)


def test_flags_that_raw_lacks():
    adata = scaled()
    bare = tissue()
    bare.var = bare.var[[]]
    adata.raw = bare
    assert "call `st.pp.gene_roles` again" in message_of(adata)
    adata.raw = tissue()
    assert "st.pp.gene_roles" not in message_of(adata)


@pytest.mark.parametrize("value", [-2.0, np.nan])
def test_a_suitable_layer_is_named(value):
    adata = scaled(value)
    adata.layers["bad"] = adata.X.copy()
    adata.layers["text"] = np.full(adata.shape, "1")
    adata.layers["logged"] = tissue().X
    assert "`layer='logged'`" in message_of(adata)
    adata.raw = tissue()
    message = message_of(adata)
    assert TAKE_RAW in message
    assert "or name the layer: `layer='logged'`" in message
    expression(adata, "logged")


def test_a_scaled_layer_beside_a_good_x():
    adata = tissue()
    adata.layers["scaled"] = adata.X.toarray() - 1
    assert "leave out `layer`: `adata.X`".lower() in message_of(adata, "scaled").lower()


def test_counts_in_a_layer_and_nothing():
    adata = scaled()
    assert "normalise the counts again" in message_of(adata)
    adata.layers["umi"] = tissue().layers["counts"]
    assert "`adata.X = adata.layers['umi'].copy()`, `sc.pp.normalize_total" in message_of(adata)


def test_the_remedy_works():
    """What the message says can be run as it is written."""
    adata = scaled()
    adata.layers["umi"] = tissue().layers["counts"]
    import scanpy as sc

    message = message_of(adata)
    steps = [part for part in message.split("`") if "adata.X = " in part or "sc.pp" in part]
    for step in steps:
        exec(step, {"adata": adata, "sc": sc})
    st.pp.transitions(adata, copy=True)


@pytest.mark.filterwarnings("ignore::UserWarning:zarr")
def test_values_on_disk(tmp_path):
    import anndata as ad

    adata = scaled()
    adata.X = sparse.csr_matrix(adata.X)
    adata.raw = tissue()
    adata.write_h5ad(tmp_path / "data.h5ad")
    opened = ad.read_h5ad(tmp_path / "data.h5ad", backed="r")
    with pytest.raises(st.DataError, match="negative values") as caught:
        st.pp.transitions(opened)
    assert TAKE_RAW in str(caught.value)
