from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from _helpers import NOTHING_SIGNIFICANT, dense, slow, tissue
from spatialdata import SpatialData

import spatrace_sc as st

pytestmark = pytest.mark.filterwarnings(NOTHING_SIGNIFICANT)


def naive(adata, slot, steps):
    """Return the share of cells with an ancestor n steps back, and how much earlier these are."""
    matrix = dense(adata.obsp[slot])
    taking = matrix.sum(axis=1) > 0
    time = adata.obs["dpt_pseudotime"].to_numpy(dtype=float)
    np.fill_diagonal(matrix, 0.0)
    back = matrix.T / np.maximum(matrix.sum(axis=0), 1e-300)[:, None]
    reached, gone = 0, []
    for cell in np.flatnonzero(taking):
        where = np.zeros(len(matrix))
        where[cell] = 1.0
        for _ in range(steps):
            where = where @ back
        if where.sum() > 0:
            reached += 1
            gone.append(time[cell] - (where @ np.nan_to_num(time)) / where.sum())
    return reached / taking.sum(), np.mean(gone) if gone else np.nan


@pytest.fixture(scope="module")
def adata():
    found = tissue()
    st.pp.transitions(found)
    st.pp.transitions(found, method="stages", stage_key="stage", key_added="mine")
    return found


def test_columns_and_range(adata):
    table = st.get.transition_reach(adata)
    assert list(table) == ["steps", "cells", "time_back"]
    assert table["steps"].tolist() == list(range(1, 9))
    assert table["cells"].between(0, 1).all()
    assert table["cells"].is_monotonic_decreasing


def test_first_step_agrees_with_a_walk(adata):
    table = st.get.transition_reach(adata, key="mine").set_index("steps")
    share, gone = naive(adata, "mine", 1)
    assert table.loc[1, "cells"] == pytest.approx(share, abs=1e-6)
    assert table.loc[1, "time_back"] == pytest.approx(gone, rel=1e-4)


def test_stages_alone_end_after_as_many_steps(adata):
    """Three stages: two steps back at most."""
    table = st.get.transition_reach(adata, key="mine").set_index("steps")
    assert table.loc[2, "cells"] > 0
    assert (table.loc[3:, "cells"] == 0).all()
    assert table.loc[3:, "time_back"].isna().all()


def test_a_copy_is_read(adata):
    st.get.transition_reach(adata)["cells"] = -1.0
    assert (st.get.transition_reach(adata)["cells"] >= 0).all()


@pytest.mark.parametrize("form", ["h5ad", slow("zarr")])
def test_survives_being_written(adata, form, tmp_path):
    getattr(adata, f"write_{form}")(tmp_path / "a")
    back = getattr(ad, f"read_{form}")(tmp_path / "a")
    pd.testing.assert_frame_equal(st.get.transition_reach(back), st.get.transition_reach(adata))


def test_missing_parts_are_named(adata):
    with pytest.raises(st.MissingKeyError, match=r"uns\['other'\].*'transitions', 'mine'"):
        st.get.transition_reach(adata, key="other")
    with pytest.raises(st.MissingKeyError, match=r"call `st.pp.transitions"):
        st.get.transition_reach(tissue())
    with pytest.raises(st.InvalidArgumentError, match=r"SpatialData.*sdata\['table'\]"):
        st.get.transition_reach(SpatialData(tables={"table": adata}))
