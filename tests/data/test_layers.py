"""``X`` is a layer named None in anndata 0.13; messages and loops know only layers of the user."""

from __future__ import annotations

from importlib.metadata import version

import numpy as np
import pytest
from _helpers import tissue
from packaging.version import Version

import spatrace_sc as st
from spatrace_sc._data.log_normalise import log_normalise


def test_x_is_a_layer_where_we_think_so():
    """A change of this in anndata makes the tests below void."""
    assert (None in tissue().layers) == (Version(version("anndata")) >= Version("0.13.0a0"))


def test_layers_that_exist_are_listed_without_x():
    adata = tissue()
    with pytest.raises(st.MissingKeyError) as error:
        st.tl.infer_ccc(adata, sample_key="sample", layer="absent")
    assert "'counts'" in str(error.value)
    assert "None" not in str(error.value)


def test_the_remedy_for_raw_counts_names_the_layer_and_not_x():
    adata = tissue()
    adata.layers["logged"] = adata.X
    adata.X = -adata.X.toarray()
    with pytest.raises(st.DataError, match="layer='logged'"):
        st.tl.infer_ccc(adata, sample_key="sample", stage_key="stage")


def test_counts_of_a_layer_become_x():
    adata = tissue()
    counts = adata.layers["counts"].toarray()
    adata.layers["raw"] = adata.layers.pop("counts")
    log_normalise(adata, "raw")
    np.testing.assert_array_equal(adata.layers["counts"].toarray(), counts)
    np.testing.assert_array_equal(adata.layers["raw"].toarray(), counts)
    expected = np.log1p(1e4 * counts / counts.sum(1, keepdims=True))
    np.testing.assert_allclose(adata.X.toarray(), expected, rtol=1e-4)
    with pytest.raises(st.DataError, match="The data have the layers raw, counts"):
        log_normalise(adata, None)
