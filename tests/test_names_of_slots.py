"""What cannot name a column or slot is a typed error, whatever it is."""

from __future__ import annotations

import numpy as np
import pytest
from _helpers import tissue
from scipy import sparse

import spatrace_sc as st
from spatrace_sc._check import closest

KEYS = ["cell_type_key", "sample_key", "stage_key", "time_key", "spatial_key", "layer"]


@pytest.mark.parametrize("argument", [*KEYS, "gene_symbols", "transitions_key"])
@pytest.mark.parametrize(
    "value", [{"a": 1}, ["sample"], np.zeros(2)], ids=["dict", "list", "array"]
)
def test_what_has_no_hash(argument, value):
    with pytest.raises(st.InvalidArgumentError, match=f"`{argument}`.* must be the name of one"):
        st.tl.infer_ccc(tissue(), **{argument: value})


@pytest.mark.parametrize("argument", KEYS)
@pytest.mark.parametrize("value", [3.5, 0, b"x", np.nan, object])
def test_what_is_no_text(argument, value):
    with pytest.raises(st.MissingKeyError, match=f"`{argument}="):
        st.tl.infer_ccc(tissue(), **{argument: value})


@pytest.mark.parametrize("name", [3.5, b"sample", None, object])
def test_the_closest_name_of_anything(name):
    assert closest(name, ["sample", 4]) in {"", " Did you mean 'sample'?"}


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize("kind", [bool, np.int8, np.float32])
def test_only_zeros_and_ones_are_said_not_to_be_normalised(form, kind):
    adata = tissue()
    adata.X = form((adata.X.toarray() > 0).astype(kind))
    with pytest.warns(st.SpatraceWarning, match="holds whole numbers and looks like raw counts"):
        st.pp.ligand_exposure(adata, radius=40, sample_key="sample")
