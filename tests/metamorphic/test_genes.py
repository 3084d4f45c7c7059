"""Every verb, reader and plot gives the same whatever the order and the names of genes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from _helpers import slow
from _metamorphic import assert_same
from _scenes import Scene, config, tissue

import spatrace_sc as st

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")

ROLES = ("ligand", "receptor", "tf", "target")
#: Forms of the flags of roles.
FLAGS = {
    "nullable": lambda c: c.astype("boolean"),
    "whole numbers": lambda c: c.astype(int),
    "floats": lambda c: c.astype(float),
    "text": lambda c: c.map({True: "True", False: "False"}).astype("string"),
    "category": lambda c: c.astype("category"),
}


def test_order_of_genes():
    adata = tissue()
    adata = adata[:, np.random.default_rng(1).permutation(adata.n_vars)].copy()
    assert_same(Scene(adata))


@pytest.mark.parametrize("kind", [slow("object"), slow("string"), slow("category")])
def test_identifiers_with_a_column_of_symbols(kind):
    adata = tissue()
    numbers = np.random.default_rng(2).permutation(adata.n_vars)
    adata.var["symbol"] = pd.Series(list(adata.var_names), adata.var_names).astype(kind)
    adata.var_names = [f"ENSG{number:011d}" for number in numbers]
    labels = dict(zip(adata.var_names, adata.var["symbol"].astype(str), strict=True))
    assert_same(Scene(adata, {"gene_symbols": "symbol"}, labels=labels))


@pytest.mark.parametrize("form", [*map(slow, FLAGS)])
def test_flags_of_roles(form):
    adata = tissue()
    for role in ROLES:
        adata.var[role] = FLAGS[form](adata.var[role])
    assert_same(Scene(adata))


@pytest.mark.slow
def test_a_table_of_a_spatialdata():
    spatialdata = pytest.importorskip("spatialdata")
    container = spatialdata.SpatialData(tables={"table": tissue()})
    assert_same(Scene(container.tables["table"], container=container))


def test_roles_by_name_instead_of_flags():
    flagged, named = tissue(), tissue()
    genes = {f"{role}s": list(named.var_names[named.var[role]])[::-1] for role in ROLES}
    named.var = named.var[[]]
    keys = {"sample_key": "sample", "stage_key": "stage"}
    st.tl.infer_ccc(flagged, **keys, config=config())
    st.tl.infer_ccc(named, **keys, **genes, config=config())
    for read in (st.get.lr_targets, st.get.tf_targets, st.get.lr_pairs, st.get.communication):
        pd.testing.assert_frame_equal(read(named), read(flagged))
