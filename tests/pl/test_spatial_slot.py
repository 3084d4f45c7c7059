"""Maps draw the coordinates that the inference used."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pytest
from anndata import AnnData
from matplotlib.text import Text

import spatrace_sc as st
from spatrace_sc.pl._drawing.slices import order_of_slices, spatial_slot
from spatrace_sc.pl._report._about import summary


@pytest.fixture
def scaled(result: AnnData) -> Iterator[AnnData]:
    """A result that was inferred from scaled positions, here a third of those in the images."""
    adata = result.copy()
    adata.obsm["spatial_scaled"] = adata.obsm["spatial"] / 3.0
    adata.uns["spatrace"]["params"]["spatial_key"] = "spatial_scaled"
    yield adata
    plt.close("all")


def width(axes) -> float:
    """Width of the first panel in units of the coordinates."""
    return float(np.ptp(axes[0].get_xlim()))


def units(axes) -> str:
    """Words of the scale bar."""
    texts = (text.get_text() for text in axes[0].findobj(Text))
    return next(text for text in texts if "units of" in text)


def test_maps_draw_the_slot_of_the_inference(scaled: AnnData) -> None:
    given = {"sample_key": "sample", "stage_key": "stage"}
    axes = st.pl.spatial(scaled, **given)
    pixels = st.pl.spatial(scaled, spatial_key="spatial", **given)
    assert width(pixels) == pytest.approx(3 * width(axes))
    assert units(axes).endswith("units of 'spatial_scaled'")
    assert units(pixels).endswith("units of 'spatial'")


def test_without_a_stored_slot_it_is_spatial(result: AnnData) -> None:
    assert spatial_slot(result, {}) == "spatial"
    assert spatial_slot(result, {"spatial_key": None}) == "spatial"
    assert spatial_slot(result, {"spatial_key": "xy"}) == "xy"
    assert spatial_slot(result, {"spatial_key": "xy"}, "mine") == "mine"


def test_scaled_positions_are_not_drawn_on_an_image(scaled: AnnData) -> None:
    arguments = st.get.params(scaled)
    assert spatial_slot(scaled, arguments, on_image=True) == "spatial"
    assert spatial_slot(scaled, arguments) == "spatial_scaled"
    assert spatial_slot(scaled, arguments, "spatial_scaled", on_image=True) == "spatial_scaled"


def test_slices_without_stages_say_how_they_are_ordered() -> None:
    groups = [("s1", np.ones(2, dtype=bool)), ("s2", np.ones(2, dtype=bool))]
    arguments = {"stage_key": None, "time_key": "dpt_pseudotime"}
    words = "; slices ordered by mean dpt_pseudotime"
    assert order_of_slices(groups, arguments, ["s1", "s2"]) == words
    assert order_of_slices(groups, arguments | {"stage_key": "age"}, ["s1", "s2"]) == ""
    assert order_of_slices(groups, arguments, ["other"]) == ""


def test_the_report_does_not_call_slices_stages() -> None:
    cells = {"total": 10, "slices": [{"title": "a"}] * 9, "types": ["t"]}
    table = {"significant": 0, "candidates": 1}
    tables = {"lr_pairs": table, "lr_targets": table, "tf_targets": table}
    assert "9 slices, 1 cell type" in summary(tables, cells, [])
    assert "9 slices, 2 stages, 1 cell type" in summary(tables, cells, ["E1", "E2"])
