"""A repeated call replaces what the package wrote, and never data of the user's."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from _helpers import MIXED_STAGES, assert_unchanged, dense, slow, snapshot, tissue
from scipy import sparse

import spatrace_sc as st

pytestmark = pytest.mark.filterwarnings(MIXED_STAGES)


def untimed():
    adata = tissue()
    del adata.obs["dpt_pseudotime"]
    return adata


def again(adata, **arguments):
    st.pp.transitions(adata, root="receiver_0", **arguments)


def refused(adata, says, **arguments):
    before = snapshot(adata)
    with pytest.raises(st.InvalidArgumentError, match=says):
        again(adata, **arguments)
    assert_unchanged(adata, before)


def test_pseudotime_is_computed_anew():
    adata = untimed()
    again(adata)
    time, matrix = adata.obs["dpt_pseudotime"].copy(), dense(adata.obsp["transitions"])
    again(adata)
    pd.testing.assert_series_equal(adata.obs["dpt_pseudotime"], time)
    np.testing.assert_array_equal(dense(adata.obsp["transitions"]), matrix)
    st.pp.transitions(adata, root="receiver_1")
    assert not np.allclose(adata.obs["dpt_pseudotime"].fillna(-1), time.fillna(-1))
    again(adata, key_added="other")  # a pseudotime of ours under another name of transitions


@pytest.mark.parametrize("form", ["h5ad", slow("zarr")])
def test_a_stored_pseudotime_is_recognised(form, tmp_path):
    adata = untimed()
    again(adata)
    getattr(adata, f"write_{form}")(tmp_path / "a")
    back = getattr(ad, f"read_{form}")(tmp_path / "a")
    again(back)
    subset = back[: back.n_obs - 20].copy()
    again(subset)
    assert subset.obs["dpt_pseudotime"].notna().any()


def test_a_pseudotime_of_the_users_is_not_lost():
    refused(tissue(), "exists and was not computed by")
    adata = untimed()
    again(adata)
    adata.obs["dpt_pseudotime"] = adata.obs["dpt_pseudotime"] * 0.5  # theirs now
    refused(adata, "has changed since")
    adata.obs["dpt_pseudotime"] = "late"
    refused(adata, "dpt_pseudotime")
    adata = untimed()
    again(adata, time_key="mine")
    adata.obs["dpt_pseudotime"] = adata.obs["mine"]
    refused(adata, "dpt_pseudotime", time_key="dpt_pseudotime")


def test_transitions_of_others_are_not_lost():
    adata = tissue()
    adata.obsp["transitions"] = sparse.eye(adata.n_obs, format="csr")
    before = snapshot(adata)
    with pytest.raises(
        st.InvalidArgumentError, match=r"`adata.obsp\['transitions'\]` was not written by"
    ):
        st.pp.transitions(adata)
    assert_unchanged(adata, before)
    adata = tissue()
    adata.uns["transitions"] = {"colors": np.array(["#fff"])}
    with pytest.raises(st.InvalidArgumentError, match=r"`adata.uns\['transitions'\]`"):
        st.pp.transitions(adata)
    st.pp.transitions(adata, key_added="ours")
    st.pp.transitions(adata, key_added="ours", n_neighbors=5)
    assert adata.uns["ours"]["params"]["n_neighbors"] == 5


def series():
    """A SpatialData with a table of two regions, positions in ``obsm``."""
    from spatialdata import SpatialData

    return SpatialData(tables={"cells": tissue()})


def gather(sdata):
    st.pp.gather(sdata, coordinate_system=None, sample_key="slide")


def test_a_gathered_table_is_gathered_again():
    sdata = series()
    gather(sdata)
    first = sdata["gathered"].copy()
    del sdata["cells"].obs["dpt_pseudotime"]
    sdata["cells"].X = sdata["cells"].X * 2
    del sdata.tables["gathered"]
    gather(sdata)
    table = sdata["gathered"]
    table.var["highly_variable"] = True
    st.pp.gene_roles(table, ligands=["LIG000"], receptors=["REC000"], tfs=["TF000"])
    st.pp.ligand_exposure(table, sample_key="sample")
    st.pp.transitions(table, root="receiver_0")
    gather(sdata)
    new = sdata["gathered"]
    assert new is not table
    assert "dpt_pseudotime" not in new.obs
    assert "transitions" not in new.obsp
    np.testing.assert_allclose(dense(new.X), 2 * dense(first.X), rtol=1e-6)


@pytest.mark.parametrize("slot", ["obs", "obsm", "layers", "changed"])
def test_additions_to_a_gathered_table_are_not_lost(slot):
    sdata = series()
    gather(sdata)
    table = sdata["gathered"]
    if slot == "obs":
        table.obs["clusters"] = "a"
    elif slot == "obsm":
        table.obsm["X_mine"] = np.zeros((table.n_obs, 2))
    elif slot == "layers":
        table.layers["scaled"] = table.X.copy()
    else:
        table.obs["cell_type"] = "renamed"
    with pytest.raises(
        st.InvalidArgumentError, match=r"which would be lost.*del sdata\['gathered'\]"
    ):
        gather(sdata)
    assert sdata["gathered"] is table
    del sdata.tables["gathered"]
    gather(sdata)


def test_another_table_of_that_name_is_not_lost():
    sdata = series()
    with pytest.raises(st.InvalidArgumentError, match="did not create"):
        st.pp.gather(sdata, coordinate_system=None, sample_key="slide", key_added="cells")
    assert "slide" not in sdata["cells"].obs
