"""Samples whose coordinates are in different units."""

from __future__ import annotations

import numpy as np
import pytest

import spatrace_sc as st


def test_samples_of_another_scale_draw_a_warning():
    adata = st.datasets.simulated(0, n_cells=600)
    first = (adata.obs["sample"] == adata.obs["sample"].iloc[0]).to_numpy()
    st.pp.ligand_exposure(adata, sample_key="sample", radius=40)
    adata.obsm["spatial"] = np.where(first[:, None], 0.5, 1.0) * adata.obsm["spatial"]
    with pytest.warns(st.SpatraceWarning, match="differs between samples.*one unit"):
        st.pp.ligand_exposure(adata, sample_key="sample", radius=40)
