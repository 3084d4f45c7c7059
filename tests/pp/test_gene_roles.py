from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest
from _helpers import assert_unchanged, snapshot, tissue
from anndata import AnnData

import spatrace_sc as st

GENES = {"ligands": ["Wnt5a", "Fgf2"], "receptors": ["Fzd1", "Fgfr1"], "tfs": ["Sox2"]}
COLUMNS = {"ligand", "receptor", "tf", "target"}


def named(names, **var):
    """Cells × the given genes, random log expression, genes later in the list more variable."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(np.linspace(0.5, 6.0, len(names)), (60, len(names)))
    return AnnData(np.log1p(counts).astype(np.float32), var=pd.DataFrame(var, index=pd.Index(names)))


def mouse(**var):
    return named(["Wnt5a", "Fgf2", "Fzd1", "Fgfr1", "Sox2", "Gata1", "Actb", "Myod1"], **var)


def flagged(adata, column):
    return set(adata.var_names[adata.var[column]])


def test_flags_and_counts():
    adata = mouse()
    assert st.pp.gene_roles(adata, **GENES, targets=["Gata1", "Sox2", "Nowhere"]) is None
    assert flagged(adata, "ligand") == {"Wnt5a", "Fgf2"}
    assert flagged(adata, "receptor") == {"Fzd1", "Fgfr1"}
    assert flagged(adata, "tf") == {"Sox2"}
    assert flagged(adata, "target") == {"Gata1", "Sox2"}
    assert set(adata.var.columns) == COLUMNS
    assert all(pd.api.types.is_bool_dtype(adata.var[c]) for c in COLUMNS)


def test_the_log_counts_what_was_found(caplog):
    with caplog.at_level(logging.INFO, logger="spatrace_sc"):
        st.pp.gene_roles(mouse(), **GENES | {"ligands": ["Wnt5a", "Wnt5a", "Missing1"]}, targets=["Gata1"])
    assert "ligands: 1 of 2 found; not in the data: 'Missing1'" in caplog.text


def test_a_second_call_replaces_the_first():
    adata = mouse()
    st.pp.gene_roles(adata, **GENES, targets=["Gata1"])
    st.pp.gene_roles(adata, ligands=["Fgf2"], receptors=["Fzd1"], tfs=["Gata1"], targets=["Actb"])
    assert [flagged(adata, c) for c in ("ligand", "receptor", "tf", "target")] == [
        {"Fgf2"},
        {"Fzd1"},
        {"Gata1"},
        {"Actb"},
    ]


@pytest.mark.parametrize("kind", [list, tuple, set, np.array, pd.Index, pd.Series])
def test_any_collection_of_names_will_do(kind):
    adata = mouse()
    st.pp.gene_roles(adata, **{k: kind(v) for k, v in GENES.items()}, targets=kind(["Gata1"]))
    assert flagged(adata, "ligand") == set(GENES["ligands"])


def test_a_gene_may_have_several_roles():
    adata = mouse()
    st.pp.gene_roles(adata, ligands=["Wnt5a"], receptors=["Wnt5a"], tfs=["Wnt5a"], targets=["Wnt5a"])
    assert adata.var.loc["Wnt5a"].all()


def test_symbols_in_a_column():
    symbols = ["Wnt5a", "Fgf2", "Fzd1", "Fgfr1", "Sox2", "Gata1", "Wnt5a", "Myod1"]
    adata = named([f"ENSMUSG{k}" for k in range(8)], symbol=symbols)
    st.pp.gene_roles(adata, **GENES, targets=["Gata1"], gene_symbols="symbol")
    assert flagged(adata, "ligand") == {"ENSMUSG0", "ENSMUSG1", "ENSMUSG6"}  # both genes of one symbol
    assert flagged(adata, "target") == {"ENSMUSG5"}


@pytest.mark.parametrize("dtype", [object, "category", "string"])
def test_symbols_of_any_text_dtype(dtype):
    symbols = pd.Series(["Wnt5a", "Fgf2", "Fzd1", "Fgfr1", "Sox2", "Gata1", None, "Myod1"], dtype=dtype)
    adata = named([f"ENSMUSG{k}" for k in range(8)], symbol=symbols.to_numpy() if dtype is object else symbols.array)
    st.pp.gene_roles(adata, **GENES, targets=["Gata1"], gene_symbols="symbol")
    assert flagged(adata, "receptor") == {"ENSMUSG2", "ENSMUSG3"}


def test_targets_by_default_are_the_variable_genes_without_regulators():
    adata = mouse()
    st.pp.gene_roles(adata, **GENES)
    assert flagged(adata, "target") == {"Gata1", "Actb", "Myod1"}


def test_targets_by_default_are_seen_in_a_twentieth_of_the_cells():
    adata = mouse()
    matrix = adata.X.copy()
    matrix[:, adata.var_names.get_loc("Actb")] = 0
    matrix[0, adata.var_names.get_loc("Actb")] = 9  # variable, but in one cell only
    matrix[:, adata.var_names.get_loc("Gata1")] = 1.5  # everywhere, but constant
    adata.X = matrix
    st.pp.gene_roles(adata, **GENES)
    assert flagged(adata, "target") == {"Myod1"}


def test_targets_by_default_prefer_highly_variable_genes():
    adata = mouse()
    adata.var["highly_variable"] = adata.var_names.isin(["Wnt5a", "Gata1"])
    st.pp.gene_roles(adata, **GENES)
    assert flagged(adata, "target") == {"Gata1"}


def test_targets_by_default_do_not_depend_on_the_order_of_genes():
    adata = tissue()
    roles = {k: list(adata.var_names[adata.var[k[:-1]]]) for k in ("ligands", "receptors", "tfs")}
    adata.var = adata.var[[]]
    moved = adata[:, np.random.default_rng(0).permutation(adata.n_vars)].copy()
    st.pp.gene_roles(adata, **roles)
    st.pp.gene_roles(moved, **roles)
    assert flagged(adata, "target") == flagged(moved, "target")


def test_no_gene_left_for_targets():
    adata = mouse()[:, :5].copy()
    with pytest.raises(st.DataError, match="targets"):
        st.pp.gene_roles(adata, **GENES)


def test_copy_returns_the_flags_and_leaves_the_data_alone():
    adata = mouse()
    before = snapshot(adata)
    flags = st.pp.gene_roles(adata, **GENES, copy=True)
    assert_unchanged(adata, before)
    assert set(flags.columns) == COLUMNS
    assert list(flags.index) == list(adata.var_names)
    st.pp.gene_roles(adata, **GENES)
    pd.testing.assert_frame_equal(adata.var[flags.columns], flags)


def fails(adata, error, *says, **arguments):
    before = snapshot(adata)
    with pytest.raises(error) as caught:
        st.pp.gene_roles(adata, **GENES | {"targets": ["Gata1"]} | arguments)
    for text in says:
        assert text in str(caught.value)
    assert_unchanged(adata, before)


@pytest.mark.parametrize("role", ["ligands", "receptors", "tfs", "targets"])
def test_a_role_without_genes(role):
    fails(mouse(), st.DataError, f"`{role}`", "'Nowhere'", "'Wnt5a'", "species", **{role: ["Nowhere"]})


@pytest.mark.parametrize("role", ["ligands", "receptors", "tfs", "targets"])
def test_a_role_without_names(role):
    fails(mouse(), st.DataError, f"`{role}`", **{role: []})


def test_upper_case_in_mouse_data():
    fails(mouse(), st.DataError, "`ligands`", "upper and lower case", "'WNT5A'", ligands=["WNT5A", "FGF2"])


def test_names_in_another_column():
    adata = named([f"ENSMUSG{k}" for k in range(3)], symbol=["Wnt5a", "Fgf2", "Gata1"], length=[1.0, 2.0, 3.0])
    fails(adata, st.DataError, "2 of them", "`adata.var['symbol']`", "gene_symbols='symbol'")


def test_an_unknown_column_of_symbols():
    fails(mouse(symbol="a"), st.MissingKeyError, "gene_symbols='symbl'", "'symbol'", gene_symbols="symbl")
    fails(mouse(symbol="a"), st.MissingKeyError, "Did you mean 'symbol'?", gene_symbols="symbl")


def test_spatialdata():
    from spatialdata import SpatialData

    adata = tissue()
    names = list(adata.var_names)
    st.pp.gene_roles(
        SpatialData(tables={"cells": adata}),
        ligands=names[:2],
        receptors=names[2:4],
        tfs=names[4:5],
        targets=names[5:8],
        table_key="cells",
    )
    assert flagged(adata, "ligand") == set(names[:2])
    assert flagged(adata, "target") == set(names[5:8])
