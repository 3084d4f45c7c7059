"""Plots of squidpy on activity by cell."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pytest

import spatrace_sc as st


@pytest.mark.filterwarnings("ignore")
def test_spatial_scatter_draws_every_slice(result):
    squidpy = pytest.importorskip("squidpy")
    activity = st.get.activity(result)
    slices = list(activity.obs["sample"].cat.categories)
    axes = squidpy.pl.spatial_scatter(
        activity,
        color=activity.var_names[0],
        shape=None,
        library_key="sample",
        library_id=slices,
        return_ax=True,
    )
    drawn = [max(len(points.get_offsets()) for points in ax.collections) for ax in axes]
    plt.close("all")
    assert drawn == list(activity.obs["sample"].value_counts()[slices])
