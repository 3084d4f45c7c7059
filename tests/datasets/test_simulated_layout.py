"""Tissues simulated on the cells of a real one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from _small_tissue import small

import spatrace_sc as st


def given_layout(n=120, **changes):
    rng = np.random.default_rng(0)
    layout = pd.DataFrame(
        {
            "x": rng.uniform(0, 90, n),
            "y": rng.uniform(0, 90, n),
            "cell_type": rng.choice(["neuron", "astro", "micro"], n, p=[0.7, 0.2, 0.1]),
            "sample": rng.choice(["one", "two"], n),
        },
        index=[f"barcode{k}" for k in range(n)],
    )
    layout["stage"] = layout["sample"].map({"one": "P2", "two": "P10"})
    return layout.assign(**changes)


def test_layout_is_kept_in_order():
    layout = given_layout()
    before = layout.copy()
    adata = small(layout=layout, receivers=["astro"])
    pd.testing.assert_frame_equal(layout, before)
    np.testing.assert_array_equal(adata.obsm["spatial"], layout[["x", "y"]])
    for column in ("cell_type", "sample", "stage"):
        assert list(adata.obs[column].astype(str)) == list(layout[column])
    np.testing.assert_array_equal(
        adata.obs["dpt_pseudotime"].notna(), layout["cell_type"] == "astro"
    )


def test_receivers_of_a_layout_are_its_most_frequent_types():
    adata = small(layout=given_layout())
    assert set(adata.obs.loc[adata.obs["latent_time"].notna(), "cell_type"]) == {"neuron"}
    adata = small(layout=given_layout(), receiver_fraction=0.8)
    assert set(adata.obs.loc[adata.obs["latent_time"].notna(), "cell_type"]) == {"neuron", "astro"}


def test_stages_of_a_layout_come_by_category_by_time_or_by_appearance():
    layout = given_layout()
    first = list(layout["stage"].unique())
    assert list(small(layout=layout, receivers=["astro"]).obs["stage"].cat.categories) == first
    reverse = pd.Categorical(layout["stage"], categories=first[::-1])
    adata = small(layout=layout.assign(stage=reverse), receivers=["astro"])
    assert list(adata.obs["stage"].cat.categories) == first[::-1]
    timed = layout.assign(stage_time=layout["stage"].map({"P2": 2.0, "P10": 10.0}))
    adata = small(layout=timed, receivers=["astro"])
    assert list(adata.obs["stage"].cat.categories) == ["P2", "P10"]
    np.testing.assert_array_equal(adata.obs["stage_time"], timed["stage_time"])


@pytest.mark.parametrize("column", ["x", "y", "cell_type", "sample", "stage"])
def test_layout_without_a_column(column):
    with pytest.raises(st.InvalidArgumentError, match=f"`layout`.*{column}"):
        small(layout=given_layout().drop(columns=column))


def test_layout_with_unknown_receivers():
    with pytest.raises(st.InvalidArgumentError, match=r"`receivers`.*oligo.*astro.*micro.*neuron"):
        small(layout=given_layout(), receivers=["oligo"])


def test_layout_without_senders():
    with pytest.raises(st.InvalidArgumentError, match="`layout`"):
        small(layout=given_layout(cell_type="neuron"))
