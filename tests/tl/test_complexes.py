"""Complexes of ligands and receptors: one regulator with one level and one name."""

from __future__ import annotations

import logging
from functools import lru_cache

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from _helpers import NOTHING_SIGNIFICANT, infer_quietly, small_config, source, tissue
from anndata import AnnData
from scipy import sparse

import spatrace_sc as st
from spatrace_sc._data.complexes import GEOMETRIC_MEAN, Complexes, match_role
from spatrace_sc._inference.restore import restore
from spatrace_sc._regulators import Regulators
from spatrace_sc._study.histories import build_history
from spatrace_sc._study.prior_penalties import prior_penalties
from spatrace_sc._study.problem import forbidden_edges
from spatrace_sc._study.read import read_study

pytestmark = pytest.mark.filterwarnings(NOTHING_SIGNIFICANT)

TARGETS = [f"TG00{k}" for k in range(4)]
TFS = ["TF000", "TF001"]
COMPLEX = "REC001_REC002"
ROLES = {
    "ligands": ["LIG000", "LIG001", "LIG002&LIG003"],
    "receptors": ["REC000", COMPLEX],
    "tfs": TFS,
    "targets": TARGETS,
}
CONFIG = small_config(evidence=st.EvidenceConfig(n_resamples=2, n_permutations=3))
KEYS = {"sample_key": "sample", "stage_key": "stage"}


def study_of(adata=None, **roles):
    return read_study(tissue() if adata is None else adata, ROLES | roles, source())


@lru_cache(maxsize=1)
def inferred() -> AnnData:
    """Tissue with a result. Copy it before you change it."""
    adata = tissue()
    infer_quietly(adata, **ROLES, **KEYS, config=CONFIG)
    return adata


# --- names -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["REC000_REC001", "REC000&REC001", "REC000+REC001"])
def test_a_complex_has_one_name(name):
    mask, complexes = match_role(tissue(), ["REC002", name, f"complex:{name}"], "receptors")
    assert complexes == {"REC000_REC001": ("REC000", "REC001")}
    assert mask.sum() == 1  # the subunits have no role of their own


def test_a_name_that_is_a_gene_is_no_complex():
    adata = tissue()
    names = adata.var_names.tolist()
    names[names.index("REC003")] = "REC000_REC001"
    adata.var_names = names
    mask, complexes = match_role(adata, ["REC000_REC001"], "receptors")
    assert list(adata.var_names[mask]) == ["REC000_REC001"]
    assert complexes == {}


def test_the_order_of_subunits_makes_no_second_complex():
    listed = ["REC000_REC001", "REC001_REC000", "REC002_REC002"]
    mask, complexes = match_role(tissue(), listed, "receptors")
    assert list(complexes) == ["REC000_REC001"]
    assert list(tissue().var_names[mask]) == ["REC002"]  # a gene with itself is that gene


def test_missing_subunits_are_named(caplog):
    with pytest.warns(st.SpatraceWarning, match=r"1 complexes.*'REC000_X' \(without 'X'\)"):
        mask, complexes = match_role(tissue(), ["REC001", "REC000_X"], "receptors")
    assert mask.sum() == 1
    assert complexes == {}
    with caplog.at_level(logging.INFO, logger="spatrace_sc"):  # of a published list that is usual
        match_role(tissue(), ["REC001", "REC000_X"], "receptors", published=True)
    assert "receptors: 0 of 1 complexes have all subunits in the data" in caplog.text
    with (
        pytest.warns(st.SpatraceWarning, match="'REC000_X'"),
        pytest.raises(st.DataError, match="`receptors` has only complexes"),
    ):
        match_role(tissue(), ["REC000_X"], "receptors")


def test_symbols_of_subunits():
    adata = tissue()
    adata.var["symbol"] = adata.var_names.str.lower()
    adata.var_names = [f"ENS{k}" for k in range(adata.n_vars)]
    roles = {role: [name.lower() for name in names] for role, names in ROLES.items()}
    st.pp.gene_roles(adata, **roles, gene_symbols="symbol")
    table = adata.uns["gene_roles"]["complexes"]
    assert set(table["complex"]) == {"lig002_lig003", "rec001_rec002"}
    assert set(table["subunit"]) < set(adata.var_names)
    genes = study_of(adata, **dict.fromkeys(ROLES)).genes
    assert "rec001_rec002" in genes.receptors


# --- levels ----------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize(("level", "expected"), [("minimum", [1, 0]), (GEOMETRIC_MEAN, [2, 0])])
def test_levels_by_hand(form, level, expected):
    linear = np.array([[1.0, 4.0, 9.0], [3.0, 0.0, 5.0]])
    complexes = Complexes({"A_B": ("A", "B")}, level)
    names = pd.Index(["A", "B", "C"])
    matrix = complexes.appended(form(np.log1p(linear).astype(np.float32)), names)
    assert matrix.shape == (2, 4)
    assert matrix.dtype == np.float32
    (column,) = complexes.index(names, ["A_B"])
    values = np.expm1(matrix.toarray() if sparse.issparse(matrix) else matrix)[:, column]
    np.testing.assert_allclose(values, expected, rtol=1e-5)


def test_the_study_reads_the_limiting_subunit():
    adata = tissue()
    study = study_of(adata)
    receptors = list(study.genes.receptors)
    alone = study_of(adata, receptors=["REC000", "REC001", "REC002"])
    by_name = dict(zip(alone.genes.receptors, alone.receptor.T, strict=True))
    expected = np.minimum(by_name["REC001"], by_name["REC002"])
    np.testing.assert_allclose(study.receptor[:, receptors.index(COMPLEX)], expected, rtol=1e-4)
    assert (expected > 0).any()
    assert dict(study.genes.complexes) == {
        COMPLEX: ("REC001", "REC002"),
        "LIG002_LIG003": ("LIG002", "LIG003"),
    }


def test_another_level_is_chosen_by_name():
    adata = tissue()
    infer = {**ROLES, **KEYS, "config": CONFIG}
    infer_quietly(adata, **infer, complex_level="geometric mean")
    assert adata.uns["spatrace"]["params"]["complex_level"] == "geometric mean"
    levels = [restore(data, "spatrace").study.receptor for data in (adata, inferred())]
    assert (levels[0] - levels[1]).max() > 0.1
    with pytest.raises(st.InvalidArgumentError, match=r"`complex_level`.*'geometric mean'"):
        st.tl.infer_ccc(tissue(), **infer, complex_level="mean")


# --- guards ----------------------------------------------------------------------------------

GENES = Regulators.from_mapping(
    {"ligands": ["A_B", "C"], "receptors": ["B_D", "E"], "tfs": ["F"], "targets": ["A", "D", "G"]},
    homophilic=False,
    complexes={"A_B": ("A", "B"), "B_D": ("B", "D")},
)


def test_a_complex_may_not_act_on_its_subunits():
    edges = forbidden_edges(GENES, GENES.targets).numpy().T.tolist()
    pair = {
        (li, re): int(GENES.column_of_pair(GENES.pair(li, re))) for li in (0, 1) for re in (0, 1)
    }
    a, d = 0, 1
    expected = [[pair[0, 0], a], [pair[0, 1], a], [pair[0, 0], d], [pair[1, 0], d]]
    assert sorted(edges) == sorted(expected)


def test_a_pair_with_a_common_subunit_is_one_of_a_gene_with_itself():
    assert GENES.excluded_pairs.tolist() == [0]  # A_B with B_D


def test_a_complex_with_a_target_is_not_read_in_the_predicted_cell():
    study = study_of(targets=["REC002", "LIG003", "TG000"])
    column = list(study.genes.receptors).index(COMPLEX)
    ligand = list(study.genes.ligands).index("LIG002_LIG003")
    history = build_history(
        study, study.sender_ligand, study.receptor, study.tf, 2, lambda tf: tf[:, : len(TFS)]
    )
    has_past = history.exists[:, -2].numpy().astype(bool)
    now, before = (history.receptor[has_past, step, column].numpy() for step in (-1, -2))
    np.testing.assert_array_equal(now, before)
    other = 1 - column
    assert (history.receptor[has_past, -1, other] != history.receptor[has_past, -2, other]).any()
    steps = history.exposure[:, :, ligand].numpy()
    np.testing.assert_array_equal(steps, np.repeat(steps[:, -1:], steps.shape[1], axis=1))


# --- results ---------------------------------------------------------------------------------


def test_one_name_in_every_table(tmp_path):
    adata = inferred().copy()
    for reader in ("lr_pairs", "lr_targets"):
        table = getattr(st.get, reader)(adata)
        assert set(table["receptor"].astype(str)) == {"REC000", COMPLEX}
        assert "LIG002_LIG003" in set(table["ligand"].astype(str))
    assert set(st.get.to_liana(adata, max_q=None)["receptor_complex"]) <= {"REC000", COMPLEX}
    adata.write_h5ad(tmp_path / "result.h5ad")
    back = ad.read_h5ad(tmp_path / "result.h5ad")
    pd.testing.assert_frame_equal(st.get.lr_pairs(back), st.get.lr_pairs(adata))
    assert restore(back, "spatrace").genes.complexes == restore(adata, "spatrace").genes.complexes


def test_without_a_subunit_its_complexes_are_gone():
    adata = inferred().copy()
    st.tl.knockout(adata, receptor="REC002", name="subunit")
    st.tl.knockout(adata, receptor=COMPLEX, name="complex")
    one, other = (st.get.knockout(adata, name) for name in ("subunit", "complex"))
    pd.testing.assert_frame_equal(one, other)
    with pytest.raises(st.InvalidArgumentError, match="'REC003' not among the 4 of the result"):
        st.tl.knockout(adata, receptor="REC003")


def test_communication_reads_the_complexes_again():
    adata = inferred().copy()
    before = st.get.communication(adata)
    st.tl.communication(adata, n_permutations=9, progress=False)
    after = st.get.communication(adata)
    keys = [c for c in ("ligand", "receptor", "sender", "receiver") if c in before]
    merged = before.merge(after, on=keys, suffixes=("", "_after"))
    assert len(merged)
    value = next(c for c in ("strength", "score", "effect", "value") if c in before)
    np.testing.assert_allclose(merged[value], merged[f"{value}_after"], rtol=1e-3, atol=1e-6)


def test_data_without_a_subunit_cannot_be_restored():
    adata = inferred().copy()
    adata = adata[:, adata.var_names != "REC002"].copy()
    with pytest.raises(st.DataError, match=r"the genes 'REC002' are missing"):
        st.tl.knockout(adata, tf="TF000")


def test_controls_of_a_result_with_complexes():
    adata = inferred().copy()
    st.tl.controls(adata, n_sham=1, n_misplaced=1, n_implants=0, n_halves=0)
    sham = adata.uns["spatrace"]["controls"]["sham_genes"]
    subunits = {"REC000", "REC001", "REC002", *(f"LIG00{k}" for k in range(4)), *TFS}
    assert set(sham["stands_for"].astype(str)) <= subunits
    assert not subunits & set(sham["gene"].astype(str))


def test_flags_and_stored_complexes_are_lists(tmp_path):
    adata = tissue()
    for column in ("ligand", "receptor", "tf", "target"):
        del adata.var[column]
    st.pp.gene_roles(adata, **ROLES)
    adata.write_h5ad(tmp_path / "a.h5ad")
    adata = ad.read_h5ad(tmp_path / "a.h5ad")
    from_flags = study_of(adata, **dict.fromkeys(ROLES)).genes
    listed = study_of().genes
    for role in ROLES:
        assert list(from_flags[role]) == list(listed[role])
    assert dict(from_flags.complexes) == dict(listed.complexes)
    fewer = adata[:, adata.var_names != "LIG003"].copy()
    with pytest.warns(st.SpatraceWarning, match=r"'LIG002_LIG003' \(without 'LIG003'\)"):
        assert "LIG002_LIG003" not in study_of(fewer, **dict.fromkeys(ROLES)).genes.ligands


def test_complexes_never_replace_something_else_in_uns():
    adata = tissue()
    adata.uns["gene_roles"] = "mine"
    with pytest.raises(st.InvalidArgumentError, match=r"uns\['gene_roles'\]. was not written"):
        st.pp.gene_roles(adata, **ROLES)
    assert adata.uns["gene_roles"] == "mine"


def test_a_complex_of_a_gene_and_its_copy_equals_the_gene():
    one, other = tissue(), tissue()
    copied = other[:, ["REC001", "LIG001"]].copy()
    copied.var_names = ["COPY_OF_R", "COPYL"]
    copied.var_names = ["COPYR", "COPYL"]
    other = ad.concat([other, copied], axis=1, merge="first", uns_merge="first")
    roles = {**ROLES, "ligands": ["LIG000", "LIG001"], "receptors": ["REC000", "REC001"]}
    infer_quietly(one, **roles, **KEYS, config=CONFIG)
    renamed = {"LIG001_COPYL": "LIG001", "REC001_COPYR": "REC001"}
    roles |= {"ligands": ["LIG000", "LIG001_COPYL"], "receptors": ["REC000", "REC001&COPYR"]}
    infer_quietly(other, **roles, **KEYS, config=CONFIG)
    for reader in ("lr_pairs", "lr_targets", "tf_targets"):
        expected, table = (getattr(st.get, reader)(data) for data in (one, other))
        columns = [c for c in ("ligand", "receptor", "tf", "target") if c in table]
        table[columns] = table[columns].astype(str).replace(renamed)
        expected[columns] = expected[columns].astype(str)
        numbers = ["q_value", "score"]
        expected, table = (t.sort_values(columns)[[*columns, *numbers]] for t in (expected, table))
        pd.testing.assert_frame_equal(
            *(expected.reset_index(drop=True), table.reset_index(drop=True)), rtol=1e-4, atol=1e-6
        )


def test_lists_without_complexes_store_nothing_new():
    adata = tissue()
    roles = {**ROLES, "ligands": ["LIG000"], "receptors": ["REC000", "REC001"]}
    st.pp.gene_roles(adata, **roles)
    assert set(adata.uns["gene_roles"]) == {"gene_symbols", "layer"}
    study = study_of(adata, **roles)
    assert dict(study.genes.complexes) == {}
    assert not {"complexes", "complex_level"} & set(source().to_params())


# --- priors ----------------------------------------------------------------------------------


def test_a_prior_names_complexes_in_any_spelling():
    genes = study_of().genes
    table = pd.DataFrame({"ligand": ["LIG000"], "receptor": ["REC002&REC001"]})
    penalty, _ = prior_penalties(table, genes)
    pair = int(genes.pair_of_names(pd.DataFrame({"ligand": ["LIG000"], "receptor": [COMPLEX]}))[0])
    assert penalty[pair] == np.float32(0.5)
    assert (np.delete(penalty, pair) == 1).all()


def test_the_prior_of_a_resource_keeps_complexes_that_are_listed():
    adata = tissue()
    resource = pd.DataFrame(
        {"ligand": ["LIG000", "LIG000_LIG001"], "receptor": ["REC002_REC001", "REC000"]}
    )
    for column in ("ligand", "receptor", "tf", "target"):
        del adata.var[column]
    st.pp.gene_roles(adata, **ROLES)
    known = st.pp.prior(adata, resource)
    rows = set(zip(known["ligand"], known["receptor"], strict=True))
    assert rows == {("LIG000", COMPLEX), ("LIG000", "REC000"), ("LIG001", "REC000")}
