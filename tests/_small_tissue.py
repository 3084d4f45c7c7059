"""A small simulated tissue and what tests ask of it."""

from __future__ import annotations

import numpy as np
import pandas as pd
from _helpers import dense

import spatrace_sc as st

SMALL = {"n_cells": 240, "n_targets": 15, "n_background": 20}


def small(rng=None, **arguments):
    return st.datasets.simulated(rng, **SMALL | arguments)


def genes(adata, role):
    return set(adata.var_names[adata.var[role]])


def pairs_of(table):
    return set(zip(table["ligand"], table["receptor"], strict=True))


def assert_same(one, other):
    """Everything stored is equal."""
    np.testing.assert_array_equal(dense(one.X), dense(other.X))
    np.testing.assert_array_equal(dense(one.layers["counts"]), dense(other.layers["counts"]))
    pd.testing.assert_frame_equal(one.obs, other.obs)
    pd.testing.assert_frame_equal(one.var, other.var)
    for slot in ("spatial", "true_signal"):
        np.testing.assert_array_equal(one.obsm[slot], other.obsm[slot])
    assert set(one.uns["truth"]) == set(other.uns["truth"])
    for name, table in one.uns["truth"].items():
        pd.testing.assert_frame_equal(
            table.reset_index(drop=True),
            other.uns["truth"][name].reset_index(drop=True),
            check_dtype=False,
        )
    assert dict(one.uns["simulation"]) == dict(other.uns["simulation"])
