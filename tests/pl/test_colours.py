"""Colours of cell types."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from spatrace_sc.pl._drawing.colours import OKABE_ITO, category_colours


def cells(n_types=3, colours=None):
    names = [f"type {k}" for k in range(n_types)]
    obs = pd.DataFrame({"cell_type": pd.Categorical(np.repeat(names, 2), categories=names)})
    adata = AnnData(np.zeros((len(obs), 1)), obs=obs.set_index(obs.index.astype(str)))
    if colours is not None:
        adata.uns["cell_type_colors"] = colours
    return adata


def test_stored_colours_come_first():
    adata = cells(colours=np.array(["red", "#00FF00", "0.5"]))
    expected = {"type 0": "#ff0000", "type 2": "#808080"}
    assert category_colours(adata, "cell_type", ["type 0", "type 2"]) == expected


def test_a_subset_has_the_colours_of_the_whole():
    adata = cells()
    every = category_colours(adata, "cell_type", ["type 0", "type 1", "type 2"])
    assert category_colours(adata, "cell_type", ["type 2"])["type 2"] == every["type 2"]
    assert list(every.values()) == [c.lower() for c in OKABE_ITO[:3]]
    assert "cell_type_colors" not in adata.uns


def test_many_types_have_different_colours_and_too_few_stored_ones_are_ignored():
    for n in (12, 25, 40):
        adata = cells(n, colours=["red"])
        names = [f"type {k}" for k in range(n)]
        assert len(set(category_colours(adata, "cell_type", names).values())) == n


def test_categories_without_a_column():
    assert category_colours(cells(), None, ["a", "b"]) == {
        "a": OKABE_ITO[0].lower(),
        "b": OKABE_ITO[1].lower(),
    }
