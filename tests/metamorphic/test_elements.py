"""A SpatialData of several tables is gathered into the same data, whatever the form of each."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from _helpers import dense, slow
from _scenes import tissue
from scipy import sparse

import spatrace_sc as st

spatialdata = pytest.importorskip("spatialdata")
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")

#: Forms of a table that change neither values nor names.
FORMS = {
    "as it is": lambda adata: None,
    "csc_array": lambda adata: setattr(adata, "X", sparse.csc_array(dense(adata.X))),
    "dense": lambda adata: setattr(adata, "X", dense(adata.X)),
    "positions float32": lambda adata: _set(adata, adata.obsm["spatial"].astype(np.float32)),
    "positions in a frame": lambda adata: _set(
        adata, pd.DataFrame(adata.obsm["spatial"], index=adata.obs_names, columns=["x", "y"])
    ),
    "positions nullable": lambda adata: _set(
        adata,
        pd.DataFrame(adata.obsm["spatial"], adata.obs_names, ["x", "y"]).astype("Float64"),
    ),
    "positions sparse": lambda adata: _set(adata, sparse.csr_matrix(adata.obsm["spatial"])),
    "text": lambda adata: _text(adata),
}


def _set(adata, positions):
    adata.obsm["spatial"] = positions


def _text(adata):
    adata.obs["sample"] = adata.obs["sample"].astype("string")


def gathered(form):
    adata = tissue()
    slices = [adata[adata.obs["sample"] == s].copy() for s in adata.obs["sample"].cat.categories]
    for piece in slices:
        FORMS[form](piece)
    sdata = spatialdata.SpatialData(tables={f"table{k}": piece for k, piece in enumerate(slices)})
    return st.pp.gather(sdata, coordinate_system=None, copy=True)


@pytest.mark.parametrize("form", ["csc_array", "positions in a frame", *map(slow, FORMS)])
def test_tables_of_every_form(form):
    table, expected = gathered(form), gathered("as it is")
    assert list(table.obs_names) == list(expected.obs_names)
    np.testing.assert_array_equal(table.obsm["spatial"], expected.obsm["spatial"])
    np.testing.assert_array_equal(dense(table.X), dense(expected.X))
    pd.testing.assert_frame_equal(table.obs.astype(str), expected.obs.astype(str))


def test_missing_positions_are_counted_by_slice():
    adata = tissue()
    adata.obsm["spatial"][:3] = np.nan
    slices = [adata[adata.obs["sample"] == s].copy() for s in adata.obs["sample"].cat.categories]
    sdata = spatialdata.SpatialData(tables={f"t{k}": piece for k, piece in enumerate(slices)})
    with pytest.warns(st.SpatraceWarning, match=r"3 cells have no position .*'t0': 3"):
        table = st.pp.gather(sdata, coordinate_system=None, copy=True)
    assert table.n_obs == adata.n_obs - 3
