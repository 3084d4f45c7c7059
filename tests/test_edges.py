"""Kinds of edges: one public word each, and spellings that have gone out of use."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from _helpers import small_result
from anndata import AnnData

import spatrace_sc as st
from spatrace_sc import _keys
from spatrace_sc._edges import (
    ACTIVITY_KINDS,
    COMPARED_COLUMNS,
    EDGE_KINDS,
    FORMER_SPELLINGS,
    LEVELS,
    LR_PAIRS,
    LR_TARGETS,
    LR_TFS,
    TARGET_KINDS,
    TESTED_KINDS,
    TF_TARGETS,
    joined,
    public_word,
)


@pytest.mark.parametrize("name", EDGE_KINDS)
def test_the_public_word_is_the_reader_and_the_stored_table(name):
    kind = EDGE_KINDS[name]
    assert kind.name == name
    table = getattr(st.get, name)(small_result())
    assert list(table.columns) == list(kind.table_columns)
    assert list(table.columns[: len(kind.columns)]) == kind.columns
    assert kind.size in table
    assert ("effect" in table) == kind.signed
    stored = small_result().uns["spatrace"][name]
    assert set(kind.columns) <= set(stored)
    for column, role in zip(kind.columns, kind.roles, strict=True):
        assert set(table[column]) <= set(small_result().uns["spatrace"]["genes"][role])


def test_kinds_by_hand():
    assert [kind.columns for kind in (TF_TARGETS, LR_TARGETS, LR_TFS, LR_PAIRS)] == [
        ["tf", "target"],
        ["ligand", "receptor", "target"],
        ["ligand", "receptor", "tf"],
        ["ligand", "receptor"],
    ]
    assert LR_TFS.roles == ["ligands", "receptors", "tfs"]
    assert [kind.regulator for kind in EDGE_KINDS.values()] == ["TF", "pair", "pair", "ligand"]
    assert [kind.of_pairs for kind in EDGE_KINDS.values()] == [False, True, True, False]
    assert [kind.size for kind in EDGE_KINDS.values()] == ["effect", "effect", "effect", "score"]
    assert set(TESTED_KINDS) == {TF_TARGETS, LR_TARGETS, LR_PAIRS}
    assert all(kind.target == "target" for kind in TARGET_KINDS)
    assert set(LEVELS.values()) <= set(ACTIVITY_KINDS)
    assert set(LEVELS) <= set(COMPARED_COLUMNS)


def test_tested_kinds_have_p_and_q():
    for kind in EDGE_KINDS.values():
        assert ({"p_value", *_keys.EVIDENCE} <= set(kind.table_columns)) == (kind in TESTED_KINDS)


def test_names_of_regulators():
    rows = pd.DataFrame({"ligand": ["a", "b"], "receptor": ["c", "d"], "target": ["x", "y"]})
    assert LR_TARGETS.source_names(rows).tolist() == ["a^c", "b^d"]
    assert LR_PAIRS.source_names(rows).tolist() == ["a", "b"]
    categories = rows.astype("category")
    assert joined(categories, ["ligand", "receptor"]).tolist() == ["a^c", "b^d"]
    assert joined(rows, rows.columns, " | ").tolist() == ["a | c | x", "b | d | y"]
    assert joined(rows[:0], ["ligand", "receptor"]).tolist() == []


def test_words_in_use_are_taken_as_they_are(recwarn):
    for allowed in (EDGE_KINDS, ACTIVITY_KINDS, COMPARED_COLUMNS):
        assert [public_word(word, allowed) for word in allowed] == list(allowed)
    assert not recwarn.list


@pytest.mark.parametrize(("former", "word"), FORMER_SPELLINGS.items())
def test_a_former_spelling_warns_and_gives_the_word(former, word):
    message = rf"`kind='{former}'` is now spelled '{word}'; the former spelling stops working"
    with pytest.warns(FutureWarning, match=message):
        assert public_word(former, [word, "others"]) == word
    with pytest.warns(FutureWarning, match=rf"`level='{former}'`"):
        public_word(former, [word], "level")


@pytest.mark.parametrize("former", FORMER_SPELLINGS)
def test_a_former_spelling_is_refused_where_its_word_is_not_allowed(former, recwarn):
    with pytest.raises(
        st.InvalidArgumentError, match=rf"`kind` must be one of 'tfs', found '{former}'"
    ):
        public_word(former, ["tfs"])
    assert not recwarn.list


@pytest.mark.parametrize("kind", ["lr_target", "LR_TARGETS", "", None, 3, ["lr_targets"]])
def test_an_unknown_word_lists_the_allowed(kind):
    with pytest.raises(
        st.InvalidArgumentError, match=r"`kind` must be one of 'tf_targets', "
    ) as error:
        public_word(kind, EDGE_KINDS)
    for name in EDGE_KINDS:
        assert repr(name) in str(error.value)
    assert repr(kind) in str(error.value)
    if kind in ("lr_target", "LR_TARGETS"):
        assert "Did you mean 'lr_targets'?" in str(error.value)


@pytest.fixture(scope="module")
def complete():
    """A small result with modules and a comparison."""
    adata = small_result().copy()
    st.tl.modules(adata, max_q=1.0, n_modules=2, progress=False)
    st.tl.compare(adata, "stage", top_n=5)
    return adata


@pytest.mark.parametrize(
    ("reader", "former", "word"),
    [
        (st.get.activity, "pairs", "lr_pairs"),
        (st.get.modules, "pairs", "lr_pairs"),
        (st.get.comparison, "pair_activity", "lr_pair_activity"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_readers_give_the_same_for_a_former_spelling(complete, reader, former, word):
    with pytest.warns(FutureWarning, match=f"`kind='{former}'` is now spelled '{word}'") as caught:
        one = reader(complete, former)
    assert [Path(warning.filename).name for warning in caught] == [Path(__file__).name]
    other = reader(complete, word)
    if isinstance(one, AnnData):
        pd.testing.assert_frame_equal(one.to_df(), other.to_df())
        pd.testing.assert_frame_equal(one.var, other.var)
    else:
        assert len(one)
        pd.testing.assert_frame_equal(one, other)
    with pytest.warns(FutureWarning):
        reader(complete, kind=former)
