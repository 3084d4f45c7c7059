from __future__ import annotations

import logging
import warnings

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
    return AnnData(
        np.log1p(counts).astype(np.float32), var=pd.DataFrame(var, index=pd.Index(names))
    )


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


def test_the_log_counts_matched_names(caplog):
    with caplog.at_level(logging.INFO, logger="spatrace_sc"):
        st.pp.gene_roles(
            mouse(), **GENES | {"ligands": ["Wnt5a", "Wnt5a", "Missing1"]}, targets=["Gata1"]
        )
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
    st.pp.gene_roles(
        adata, ligands=["Wnt5a"], receptors=["Wnt5a"], tfs=["Wnt5a"], targets=["Wnt5a"]
    )
    assert adata.var.loc["Wnt5a"].all()


def test_symbols_in_a_column():
    symbols = ["Wnt5a", "Fgf2", "Fzd1", "Fgfr1", "Sox2", "Gata1", "Wnt5a", "Myod1"]
    adata = named([f"ENSMUSG{k}" for k in range(8)], symbol=symbols)
    st.pp.gene_roles(adata, **GENES, targets=["Gata1"], gene_symbols="symbol")
    assert flagged(adata, "ligand") == {
        "ENSMUSG0",
        "ENSMUSG1",
        "ENSMUSG6",
    }  # both genes of one symbol
    assert flagged(adata, "target") == {"ENSMUSG5"}


@pytest.mark.parametrize("dtype", [object, "category", "string"])
def test_symbols_of_any_text_dtype(dtype):
    symbols = pd.Series(
        ["Wnt5a", "Fgf2", "Fzd1", "Fgfr1", "Sox2", "Gata1", None, "Myod1"], dtype=dtype
    )
    adata = named(
        [f"ENSMUSG{k}" for k in range(8)],
        symbol=symbols.to_numpy() if dtype is object else symbols.array,
    )
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
    fails(
        mouse(), st.DataError, f"`{role}`", "'Nowhere'", "'Wnt5a'", "species", **{role: ["Nowhere"]}
    )


@pytest.mark.parametrize("role", ["ligands", "receptors", "tfs", "targets"])
def test_a_role_without_names(role):
    fails(mouse(), st.DataError, f"`{role}`", **{role: []})


def test_upper_case_in_mouse_data():
    fails(
        mouse(),
        st.DataError,
        "`ligands`",
        "upper and lower case",
        "'WNT5A'",
        ligands=["WNT5A", "FGF2"],
    )


def test_names_in_another_column():
    adata = named(
        [f"ENSMUSG{k}" for k in range(3)], symbol=["Wnt5a", "Fgf2", "Gata1"], length=[1.0, 2.0, 3.0]
    )
    fails(adata, st.DataError, "2 of them", "`adata.var['symbol']`", "gene_symbols='symbol'")


def test_an_unknown_column_of_symbols():
    fails(
        mouse(symbol="a"),
        st.MissingKeyError,
        "gene_symbols='symbl'",
        "'symbol'",
        gene_symbols="symbl",
    )
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


def test_targets_are_chosen_from_the_layer():
    """Raw counts in ``X`` put another gene first than their logarithms do."""
    adata = mouse()
    rng = np.random.default_rng(1)
    bursts = rng.permutation(
        np.r_[np.full(6, 900.0), np.full(54, 800.0)]
    )  # large counts, hardly any spread of logarithms
    adata.X = np.full((60, 8), 3.0, dtype=np.float32)
    adata.X[:, 5], adata.X[:, 6] = bursts, rng.permutation(np.r_[np.zeros(30), np.full(30, 9.0)])
    adata.layers["log"] = np.log1p(adata.X)
    with pytest.warns(st.SpatraceWarning, match="`adata.X`.*raw counts.*`layer`") as caught:
        st.pp.gene_roles(adata, **GENES)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        st.pp.gene_roles(adata, **GENES, layer="log")
    assert flagged(adata, "target") == {"Gata1", "Actb"}
    assert adata.uns["gene_roles"] == {"gene_symbols": "", "layer": "log"}
    fails(adata, st.MissingKeyError, "`layer='logg'`", "Did you mean 'log'?", layer="logg")


def test_the_order_of_default_targets_follows_the_layer(monkeypatch):
    from spatrace_sc._data import genes

    monkeypatch.setattr(genes, "MAX_DEFAULT_TARGETS", 1)
    adata = mouse()
    adata.X = np.full((60, 8), 3.5, dtype=np.float32)
    adata.X[:30, 5] = 4.5
    adata.layers["other"] = np.full((60, 8), 3.5, dtype=np.float32)
    adata.layers["other"][:30, 6] = 4.5
    st.pp.gene_roles(adata, **GENES)
    assert flagged(adata, "target") == {"Gata1"}
    st.pp.gene_roles(adata, **GENES, layer="other")
    assert flagged(adata, "target") == {"Actb"}


def test_default_targets_are_at_most_the_most_variable_ones(monkeypatch, caplog):
    from spatrace_sc._data import genes

    adata = mouse()
    adata.var["highly_variable"] = [True, False, False, False, False, True, True, True]
    st.pp.gene_roles(adata, **GENES)
    assert flagged(adata, "target") == {"Gata1", "Actb", "Myod1"}
    monkeypatch.setattr(genes, "MAX_DEFAULT_TARGETS", 2)
    adata.X[:, 6] = 0
    adata.X[0, 6] = 9  # variable, but in one cell only
    with caplog.at_level(logging.INFO, logger="spatrace_sc"):
        st.pp.gene_roles(adata, **GENES)
    assert flagged(adata, "target") == {"Gata1", "Myod1"}
    assert "the 2 most variable of 2 highly variable genes without another role" in caplog.text
    del adata.var["highly_variable"]
    monkeypatch.setattr(genes, "MAX_DEFAULT_TARGETS", 1)
    st.pp.gene_roles(adata, **GENES)
    assert flagged(adata, "target") < {"Gata1", "Myod1"}


@pytest.mark.parametrize("given", [(), ("ligands",), ("ligands", "tfs")])
def test_lists_that_were_not_given(given):
    with pytest.raises(
        st.InvalidArgumentError, match=r"st\.pp\.gene_roles\(adata, ligands="
    ) as caught:
        st.pp.gene_roles(mouse(), **{k: GENES[k] for k in given})
    for name in GENES:
        assert (f"`{name}`" in str(caught.value).split("not given")[0]) == (name not in given)


def warnings_of(adata, **arguments):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        st.pp.gene_roles(adata, **GENES | {"targets": ["Gata1"]} | arguments)
    assert all(w.filename == __file__ for w in caught)
    return [str(w.message) for w in caught]


def test_less_than_half_of_a_list_warns():
    (message,) = warnings_of(mouse(), ligands=["Wnt5a", "A1", "A2"])
    assert "`ligands`: 1 of 3 names" in message
    assert "adata.raw" not in message
    assert not warnings_of(mouse(), ligands=["Wnt5a", "A1"])


def test_missing_genes_that_are_in_raw():
    complete = mouse(symbol=list("abcdefgh"))
    adata = complete[:, ["Fgf2", "Fzd1", "Fgfr1", "Sox2", "Gata1"]].copy()
    adata.raw = complete
    (message,) = warnings_of(
        adata, ligands=["Wnt5a", "Myod1", "Nowhere", "Fgf2"], targets=["Gata1"]
    )
    assert "2 of the missing are in `adata.raw`: `adata = adata.raw.to_adata()`" in message
    assert set(adata.raw.to_adata().var_names) == set(complete.var_names)
    (message,) = warnings_of(
        adata,
        receptors=list(adata.var.loc[GENES["receptors"], "symbol"]),
        tfs=list(adata.var.loc[["Sox2"], "symbol"]),
        ligands=["b", "a", "h"],
        targets=["f"],
        gene_symbols="symbol",
    )
    assert "2 of the missing are in `adata.raw`" in message
    fails(adata, st.DataError, "1 of the missing are in `adata.raw`", ligands=["Wnt5a", "Nowhere"])


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("WNT5A", "Wnt5a"),
        ("Wnt5", None),
        ("Pdgrfa", "Pdgfra"),
        ("Pdgfrb", None),
        ("Fgf3", None),
        ("Nkx2.5", "Nkx2-5"),
        ("Xyz", None),
    ],
)
def test_single_wrong_genes_among_right_ones(wrong, meant, caplog):
    names = [*mouse().var_names, "Pdgfra", "Nkx2-5", "ENSMUSG00000012345"]
    with caplog.at_level(logging.INFO, logger="spatrace_sc"):
        st.pp.gene_roles(
            named(names), **GENES | {"ligands": ["Fgf2", "Sox2", wrong]}, targets=["Gata1"]
        )
    assert f"not in the data: {wrong!r}" in caplog.text
    assert ("did you mean" in caplog.text) == (meant is not None)
    assert meant is None or f"did you mean {meant!r}?" in caplog.text


@pytest.mark.parametrize("as_sparse", [False, True])
def test_rarely_detected_genes_and_genes_of_two_roles_are_logged(as_sparse, caplog):
    from scipy import sparse

    adata = named(GENES["ligands"] + GENES["receptors"] + GENES["tfs"] + ["Gata1"])
    adata = AnnData(np.tile(adata.X, (5, 1)), var=adata.var)
    adata.X[:, 0] = 0
    adata.X[:2, 0] = 1.5  # 2 of 300 cells
    adata.X[:, 5] = 0
    adata.X[:3, 5] = 1.5  # 3 of 300: not fewer than 1 %
    if as_sparse:
        adata.X = sparse.csr_matrix(adata.X)
    with caplog.at_level(logging.INFO, logger="spatrace_sc"):
        st.pp.gene_roles(adata, **GENES, targets=["Gata1", "Wnt5a"])
    (rare,) = [r.getMessage() for r in caplog.records if "fewer than 1 %" in r.getMessage()]
    assert rare.startswith(
        "1 of the flagged genes are above 0 in fewer than 1 % of 300 cells "
        "(1 ligands, 1 targets; 'Wnt5a')"
    )
    assert caplog.text.count("targets and also ligands or receptors ('Wnt5a')") == 1


def test_rare_genes_of_a_file(tmp_path, caplog):
    import anndata as ad

    adata = tissue()
    adata.X = sparse_without(adata, "LIG000")
    roles = {
        f"{r}s": list(adata.var_names[adata.var[r]]) for r in ("ligand", "receptor", "tf", "target")
    }
    adata.write_h5ad(tmp_path / "a.h5ad")
    with caplog.at_level(logging.INFO, logger="spatrace_sc"):
        st.pp.gene_roles(adata, **roles)
        st.pp.gene_roles(ad.read_h5ad(tmp_path / "a.h5ad", backed="r"), **roles)
    first, second = [r.getMessage() for r in caplog.records if "fewer than 1 %" in r.getMessage()]
    assert first == second
    assert "'LIG000'" in first


def sparse_without(adata, gene):
    matrix = adata.X.tolil()
    matrix[:, adata.var_names.get_loc(gene)] = 0
    return matrix.tocsr()


def test_an_entry_of_the_users_is_not_lost():
    adata = mouse()
    adata.uns["gene_roles"] = {"mine": 1}
    st.pp.gene_roles(adata, **GENES, targets=["Gata1"])
    assert adata.uns["gene_roles"] == {"mine": 1}
