"""Labels of cells compare as text in every verb; flags of genes are read by their values."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest
from _helpers import (
    NOTHING_SIGNIFICANT,
    ONE_SLICE,
    TWO_OF_EACH,
    assert_unchanged,
    infer_quietly,
    snapshot,
    tiny_config,
    tissue,
)

import spatrace_sc as st
from spatrace_sc._check import find_labels, labels
from spatrace_sc._data.cells import cell_mask
from spatrace_sc._data.flags import flags_of_role, is_flagged

pytestmark = pytest.mark.filterwarnings(NOTHING_SIGNIFICANT, ONE_SLICE)

#: The same two labels in every form that users give them.
FORMS = [
    [1, 2],
    (1, 2),
    {1, 2},
    {1: "a", 2: "b"},
    ["1", "2"],
    np.array([1, 2]),
    np.array([1.0, 2.0]),
    pd.Series([1, 2], index=[7, 8]),
    pd.Index(["1", "2"]),
    pd.Categorical([1, 2]),
    pd.array([1, 2], dtype="Int64"),
    iter([1, 2]),
    [np.int8(1), np.float32(2)],
    [b"1", b"2"],
]
#: Columns whose text is "1", "2", "3" or "1.0", "2.0", "3.0".
COLUMNS = {
    "int": lambda codes: codes,
    "float": lambda codes: codes.astype(float),
    "text": lambda codes: codes.astype(str),
    "category": lambda codes: pd.Categorical(codes),
    "float category": lambda codes: pd.Categorical(codes.astype(float)),
    "nullable": lambda codes: pd.array(codes, dtype="Int64"),
}


@pytest.mark.parametrize(
    "value", [0, 0.0, False, "a", np.int64(3), np.str_("b"), b"c", np.array(4)]
)
def test_a_scalar_is_one_label(value):
    (label,) = labels(value, "senders")
    assert label == (value.decode() if isinstance(value, bytes) else str(value))


@pytest.mark.parametrize("value", FORMS, ids=lambda v: type(v).__name__)
def test_every_collection_of_labels(value):
    present, missing = find_labels(labels(value, "senders"), ["3", "1", "2"])
    assert (present, missing) == (["1", "2"], [])


@pytest.mark.parametrize(
    "value", [None, np.nan, [1, None], [pd.NA], [["a"]], pd.DataFrame({"a": [1]}), [np.array([1])]]
)
def test_what_is_no_label(value):
    with pytest.raises(st.InvalidArgumentError, match="`senders` must be a name"):
        labels(value, "senders")


@pytest.mark.parametrize(
    ("wanted", "available", "present"),
    [
        ("10", ["10.0", "9.0"], ["10.0"]),
        ("10.0", ["10", "9"], ["10"]),
        ("-1", ["-1.0"], ["-1.0"]),
        ("10", ["10", "10.0"], ["10"]),  # the same text comes first
        ("10.00", ["10", "10.0"], []),  # ambiguous
        ("10", ["10.5", "010", "1"], []),
        ("a.0", ["a"], []),
    ],
)
def test_whole_numbers_with_and_without_decimals(wanted, available, present):
    assert find_labels([wanted], available) == (present, [] if present else [wanted])


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("value", [2, 2.0, "2", "2.0", np.float64(2), [2], {2}], ids=repr)
def test_types_of_every_column(column, value):
    codes = np.array([1, 2, 3, 1, 2, 3])
    text = pd.Series(COLUMNS[column](codes)).astype(str).to_numpy(dtype=object)
    np.testing.assert_array_equal(cell_mask(text, value, "senders", 6), codes == 2)


def test_an_unknown_number_is_an_error_that_lists_the_types():
    with pytest.raises(st.InvalidArgumentError, match=r"`senders` has unknown cell types '7'.*'1'"):
        cell_mask(np.array(["1", "2"], dtype=object), 7, "senders", 2)


def numbered(column):
    """Tissue whose cell types, stages and samples are numbers; and the number of a receiver."""
    adata = tissue()
    for name in ("cell_type", "stage", "sample"):
        codes = adata.obs[name].astype("category").cat.codes.to_numpy().astype(int)
        adata.obs[name] = COLUMNS[column](codes)
    receives = adata.obs["dpt_pseudotime"].notna().to_numpy()
    return adata, sorted({int(float(t)) for t in adata.obs["cell_type"][receives].astype(str)})


KEYS = {"sample_key": "sample", "stage_key": "stage", "config": tiny_config()} | TWO_OF_EACH


@pytest.mark.parametrize("column", ["int", "float"])
def test_verbs_take_numbers_as_labels(column):
    adata, receivers = numbered(column)
    senders = sorted({int(float(t)) for t in adata.obs["cell_type"].astype(str)} - set(receivers))
    expected = adata.copy()
    texts = {n: str(float(n)) if column == "float" else str(n) for n in receivers + senders}
    infer_quietly(
        expected, receivers=[texts[n] for n in receivers], senders=texts[senders[0]], **KEYS
    )
    infer_quietly(adata, receivers=np.array(receivers), senders=senders[0], **KEYS)
    pd.testing.assert_frame_equal(st.get.lr_targets(adata), st.get.lr_targets(expected))
    assert st.get.params(adata)["senders"] == [texts[senders[0]]]
    st.tl.knockout(adata, sender=senders[0])
    st.tl.knockout(expected, sender=texts[senders[0]])
    pd.testing.assert_frame_equal(st.get.knockout(adata), st.get.knockout(expected))
    assert st.get.knockouts(adata) == [f"sender:{texts[senders[0]]}"]
    st.pp.ligand_exposure(
        adata, ligands="LIG000", sample_key="sample", senders=0, receivers=receivers
    )
    assert list(adata.uns["ligand_exposure"]["params"]["senders"]) == ["0"]


def test_readers_of_a_stage_take_numbers():
    adata, _ = numbered("int")
    infer_quietly(adata, **KEYS)
    st.tl.knockout(adata, ligand="LIG000")
    for read in (
        lambda stage: st.get.knockout(adata, stage=stage),
        lambda stage: st.get.communication(adata, stage),
        lambda stage: st.get.lr_targets(adata, stage),
        lambda stage: st.get.activity(adata, stage=stage).obs,
    ):
        assert len(read(1))
        pd.testing.assert_frame_equal(read(1), read("1"))


def test_groups_and_reference_take_numbers():
    from spatrace_sc.tl._comparison_groups import comparisons, read_groups

    adata = tissue()
    adata.obs["batch"] = np.arange(300) % 3 + 9.0
    arguments = {"stages": ("", []), "cells": np.ones(300, dtype=bool)}
    groups = read_groups(adata, "batch", [10, 9], None, **arguments)
    assert groups.names == ["10.0", "9.0"]
    for reference in (10, "10", 10.0, "10.0", np.float32(10), [10]):
        assert comparisons(groups, reference) == [(1, 0)]
    with pytest.raises(st.InvalidArgumentError, match=r"`reference=11` is not one of the groups"):
        comparisons(groups, 11)
    with pytest.raises(st.InvalidArgumentError, match=r"`categories` has unknown groups '12'"):
        read_groups(adata, "batch", [9, 12], None, **arguments)


def test_slices_of_a_map_take_numbers():
    from spatrace_sc.pl._drawing.slices import slices

    adata, _ = numbered("float")
    ((title, mask),) = slices(adata, "sample", None, 1, [])
    assert title == "1.0"
    np.testing.assert_array_equal(mask, adata.obs["sample"].to_numpy() == 1)


def test_a_numeric_root():
    adata, receivers = numbered("int")
    del adata.obs["dpt_pseudotime"]
    expected = adata.copy()
    arguments = {"receivers": receivers, "time_key": "pt"}
    st.pp.transitions(adata, root=receivers[0], **arguments)
    st.pp.transitions(expected, root=str(receivers[0]), **arguments)
    np.testing.assert_array_equal(adata.obs["pt"], expected.obs["pt"])
    assert adata.uns["transitions"]["params"]["root"] == str(receivers[0])


def test_a_root_that_is_a_cell_and_a_type():
    adata, receivers = numbered("int")
    adata.obs_names = [str(k) for k in range(300)]
    member = int(np.flatnonzero(adata.obs["cell_type"] == receivers[0])[0])
    names = adata.obs_names.to_numpy(dtype=object)
    names[[member, receivers[0]]] = names[[receivers[0], member]]
    adata.obs_names = names
    with pytest.raises(
        st.InvalidArgumentError, match=r"a cell and of a cell type.*rename the cells"
    ):
        st.pp.transitions(adata, root=receivers[0], receivers=receivers, time_key="pt")


# Flags

FLAGS = {
    "bool": [True, False, False],
    "with NaN": [True, np.nan, False],
    "with None": [True, None, False],
    "nullable": pd.array([True, pd.NA, False], dtype="boolean"),
    "text": ["True", "False", "false"],
    "text yes": [" Yes", "no", ""],
    "text 0 1": ["1", "0", "0.0"],
    "text with NA": ["TRUE", "NA", "FALSE"],
    "bytes": [b"true", b"false", b"0"],
    "numbers": [1, 0, 0],
    "floats": [1.0, np.nan, 0.0],
    "nullable numbers": pd.array([1, pd.NA, 0], dtype="Int8"),
    "category": pd.Categorical(["True", "False", None]),
    "category of bool": pd.Categorical([True, False, None]),
    "mixed": [True, 0, "no"],
}
NO_FLAGS = {
    "annotation": ["protein kinase", "GPCR", "GPCR"],
    "numbers": [0, 7, 1],
    "share": [0.5, 0.0, 1.0],
    "lists": [["a"], [], ["b"]],
}


def three_genes(column, values):
    adata = tissue()[:, :3].copy()
    adata.var = adata.var[[]]
    adata.var[column] = pd.Series(values, index=adata.var_names)
    return adata


@pytest.mark.parametrize("values", FLAGS.values(), ids=FLAGS)
@pytest.mark.parametrize("column", ["tf", "highly_variable"])
def test_flags_in_every_form(column, values):
    np.testing.assert_array_equal(is_flagged(three_genes(column, values), column), [1, 0, 0])


@pytest.mark.parametrize("values", NO_FLAGS.values(), ids=NO_FLAGS)
def test_other_columns_are_no_flags(values, caplog):
    adata = three_genes("target", values)
    with pytest.raises(st.DataError, match=r"`adata.var\['target'\]` must flag genes.*`targets`"):
        is_flagged(adata, "target")
    assert flags_of_role(adata, "target") is None
    assert "adata.var['target'] is not read as the flags of a role" in caplog.text


@pytest.mark.parametrize(
    "as_flags",
    [
        lambda flags: np.where(flags, True, np.nan).astype(object),
        lambda flags: flags.astype(str),
        lambda flags: pd.array(np.where(flags, True, None), dtype="boolean"),
        lambda flags: flags.astype(float),
    ],
    ids=["NaN", "text", "NA", "float"],
)
def test_highly_variable_genes_in_every_form(as_flags):
    adata = tissue()
    lists = {f"{c}s": list(adata.var_names[adata.var[c]]) for c in ("ligand", "receptor", "tf")}
    variable = adata.var_names.isin(["TG000", "TG002"])
    adata.var = pd.DataFrame({"highly_variable": as_flags(variable)}, index=adata.var_names)
    st.pp.gene_roles(adata, **lists)
    assert set(adata.var_names[adata.var["target"]]) == {"TG000", "TG002"}
    plain = adata.copy()
    adata.var = adata.var[["highly_variable"]]
    plain.var = pd.DataFrame({"highly_variable": variable}, index=plain.var_names)
    receivers = [t for t in adata.obs["cell_type"].unique() if t.startswith("receiver")]
    root = {"root": receivers[0], "receivers": receivers, "time_key": "pt"}
    difference = st.pp.transitions(adata, copy=True, **root) - st.pp.transitions(
        plain, copy=True, **root
    )
    assert abs(difference).max() == 0


def test_no_highly_variable_gene_without_a_role():
    adata = tissue()
    lists = {f"{c}s": list(adata.var_names[adata.var[c]]) for c in ("ligand", "receptor", "tf")}
    adata.var = pd.DataFrame({"highly_variable": False}, index=adata.var_names)
    with pytest.raises(st.DataError, match=r"none of the 0 genes.*highly_variable.*`targets`"):
        st.pp.gene_roles(adata, **lists)


@pytest.mark.parametrize("role", ["ligand", "receptor", "tf", "target"])
def test_a_column_of_the_users_is_neither_read_nor_overwritten(role):
    adata = tissue()
    lists = {f"{c}s": list(adata.var_names[adata.var[c]]) for c in ("ligand", "receptor", "tf")}
    adata.var[role] = "protein kinase"
    before = snapshot(adata)
    with pytest.raises(st.InvalidArgumentError, match=f"'{role}'.*would be lost.*protein kinase"):
        st.pp.gene_roles(adata, **lists)
    with pytest.raises(st.DataError, match=f"'{role}'.*must flag genes.*protein kinase"):
        st.tl.infer_ccc(adata, sample_key="sample", config=tiny_config())
    flags = st.pp.gene_roles(adata, **lists, copy=True)
    assert_unchanged(adata, before)
    assert flags["tf"].sum() == len(lists["tfs"])
    adata.var = adata.var.rename(columns={role: f"{role}_annotation"})
    st.pp.gene_roles(adata, **lists)
    assert (adata.var[f"{role}_annotation"] == "protein kinase").all()


def test_numbers_0_to_7_are_no_flags_but_flags_of_gene_roles_may_be_written_again():
    adata = tissue()
    lists = {f"{c}s": list(adata.var_names[adata.var[c]]) for c in ("ligand", "receptor", "tf")}
    st.pp.gene_roles(adata, **lists)
    first = adata.var.copy()
    adata.var["tf"] = adata.var["tf"].astype(int)  # what a file format may make of it
    st.pp.gene_roles(adata, **lists)
    pd.testing.assert_frame_equal(adata.var, first)
    adata.var["tf"] = np.arange(adata.n_vars) % 8
    with pytest.raises(st.InvalidArgumentError, match=r"'tf'.*would be lost"):
        st.pp.gene_roles(adata, **lists)


def test_flags_of_the_users_that_are_replaced_are_logged(caplog):
    adata = tissue()
    lists = {f"{c}s": list(adata.var_names[adata.var[c]]) for c in ("ligand", "receptor", "tf")}
    with caplog.at_level(logging.WARNING, logger="spatrace_sc"):
        st.pp.gene_roles(adata, **lists, targets=["TG000"])
    assert "adata.var['target'] held other flags (5 genes), which are replaced" in caplog.text
    assert "'tf'" not in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="spatrace_sc"):
        st.pp.gene_roles(adata, **lists, targets=["TG001"])
    assert not caplog.text


def test_the_prior_takes_all_genes_where_a_column_is_no_flag(caplog):
    adata = tissue()
    adata.var["ligand"] = "secreted"
    known = pd.DataFrame({"ligand": ["TG000"], "receptor": ["REC000"]})
    assert len(st.pp.prior(adata, known)) == 1
    assert "adata.var['ligand'] is not read" in caplog.text
