from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from _helpers import (
    NOTHING_SIGNIFICANT,
    assert_unchanged,
    infer_again,
    slow,
    small_result,
    snapshot,
    written_and_read,
)

import spatrace_sc as st
from spatrace_sc import _keys
from spatrace_sc._core.cascades import Steps, join

pytestmark = pytest.mark.filterwarnings(NOTHING_SIGNIFICANT)


@pytest.fixture(scope="module")
def traced(easy):
    """Deep tissue with the cascades of the defaults."""
    return st.tl.cascades(easy, copy=True)


@pytest.fixture
def result():
    """A small tissue with a result; a copy."""
    return small_result().copy()


def names(table, columns):
    return pd.MultiIndex.from_frame(table[columns].astype(str))


def test_join_equals_the_slow_loop():
    rng = np.random.default_rng(0)
    first = Steps(rng.integers(0, 9, 30), rng.integers(0, 5, 30), rng.normal(size=30))
    second = Steps(rng.integers(0, 6, 40), rng.integers(0, 7, 40), rng.normal(size=40))
    slow = [
        (i, j, first.effect[i] * second.effect[j])
        for i in range(30)
        for j in range(40)
        if first.target[i] == second.source[j]
    ]
    found = join(first, second)
    assert list(zip(found.first, found.second, found.effect, strict=True)) == slow


def test_join_of_nothing():
    none = Steps(np.empty(0, int), np.empty(0, int), np.empty(0))
    assert len(join(none, none).effect) == 0
    assert len(join(Steps(np.array([0]), np.array([1]), np.array([1.0])), none).effect) == 0


def test_paths_are_true_where_signals_are_strong(traced):
    table, truth = st.get.cascades(traced), traced.uns["truth"]
    first = names(table, ["ligand", "receptor", "tf"]).isin(
        names(truth["lr_tfs"], ["ligand", "receptor", "tf"])
    )
    second = names(table, ["tf", "target"]).isin(names(truth["tf_targets"], ["tf", "target"]))
    assert len(table) >= 15
    assert (first & second).mean() > 0.75
    signs = truth["lr_targets"].set_index(["ligand", "receptor", "target"])["sign"]
    known = signs.reindex(names(table, ["ligand", "receptor", "target"])).to_numpy()
    here = np.isfinite(known) & (table["direct_share"] < 0.2).to_numpy()
    assert here.sum() >= 10
    assert (np.sign(table["effect"])[here] == known[here]).mean() > 0.9


def test_every_column_follows_from_the_tables(traced):
    table = st.get.cascades(traced)
    assert list(table.columns) == _keys.CASCADES
    np.testing.assert_allclose(table["effect"], table["pair_on_tf"] * table["tf_on_target"])
    np.testing.assert_allclose(table["score"], table["effect"].abs())
    assert (np.diff(table["score"]) <= 0).all()
    first = st.get.lr_tfs(traced).set_index(["ligand", "receptor", "tf"])
    second = st.get.tf_targets(traced).set_index(["tf", "target"])
    direct = st.get.lr_targets(traced).set_index(["ligand", "receptor", "target"])
    for row in table.head(20).itertuples():
        one, two = first.loc[(row.ligand, row.receptor, row.tf)], second.loc[(row.tf, row.target)]
        beside = direct.loc[(row.ligand, row.receptor, row.target)]
        assert row.pair_on_tf == pytest.approx(one["effect"])
        assert row.tf_on_target == pytest.approx(two["effect"])
        assert row.q_value == pytest.approx(max(one["q_value"], two["q_value"]))
        assert row.q_value <= 0.1
        assert row.direct_effect == pytest.approx(beside["effect"])
        assert row.direct_share == pytest.approx(beside["direct_share"])


def test_mediated_effects_are_sums_over_paths(traced):
    keys = ["ligand", "receptor", "target"]
    paths = st.get.cascades(traced).groupby(keys)["effect"].sum()
    table = st.get.lr_targets(traced).set_index(keys)["mediated"]
    np.testing.assert_allclose(table.loc[paths.index], paths, atol=1e-12)
    assert (table.drop(paths.index) == 0).all()


def test_a_looser_q_lists_more_paths_and_max_paths_takes_the_strongest(result):
    st.tl.cascades(result, max_q=1.0)
    every = st.get.cascades(result)
    n = len(every)
    assert n > 10
    st.tl.cascades(result, max_q=1.0, max_paths=5)
    pd.testing.assert_frame_equal(st.get.cascades(result), every.head(5))


def test_no_path_is_an_empty_table_with_the_columns(result, caplog):
    result.uns["spatrace"]["lr_tfs"] = result.uns["spatrace"]["lr_tfs"].assign(q_value=1.0)
    with caplog.at_level("INFO", logger="spatrace_sc"):
        st.tl.cascades(result)
    assert list(st.get.cascades(result).columns) == _keys.CASCADES
    assert len(st.get.cascades(result)) == 0
    assert "No path" in caplog.text
    assert st.pl.cascades(result).texts


@pytest.mark.parametrize("form", ["h5ad", slow("zarr")])
def test_storage_and_copy(result, form, tmp_path):
    before = snapshot(result)
    annotated = st.tl.cascades(result, max_q=1.0, copy=True)
    assert_unchanged(result, before)
    assert "cascades" not in result.uns["spatrace"]
    again = written_and_read(annotated, form, tmp_path)
    read, expected = st.get.cascades(again), st.get.cascades(annotated)
    pd.testing.assert_frame_equal(
        read.astype(expected.dtypes.to_dict()), expected, check_dtype=False
    )
    st.tl.cascades(again, max_q=1.0)
    assert len(st.get.cascades(again)) == len(expected)


def test_a_new_inference_forgets_the_old_paths(result):
    st.tl.cascades(result, max_q=1.0)
    infer_again(result)
    with pytest.raises(st.MissingKeyError, match=r"st\.tl\.cascades"):
        st.get.cascades(result)


def test_bad_input(result):
    with pytest.raises(st.MissingKeyError, match=r"call `st\.tl\.cascades"):
        st.get.cascades(result)
    with pytest.raises(st.MissingKeyError, match="infer_ccc"):
        st.tl.cascades(result, key="other")
    for value in (0, 1.5, "0.1", True, np.nan):
        with pytest.raises(st.InvalidArgumentError, match="`max_q`"):
            st.tl.cascades(result, max_q=value)
    for value in (0, 2.5, True):
        with pytest.raises(st.InvalidArgumentError, match="`max_paths`"):
            st.tl.cascades(result, max_paths=value)
    st.tl.cascades(result, max_q=1.0)
    with pytest.raises(st.InvalidArgumentError, match="top_n"):
        st.pl.cascades(result, top_n=0)


def test_the_plot_draws_every_step_once(traced):
    table = st.get.cascades(traced).head(10)
    ax = st.pl.cascades(traced, top_n=10)
    steps = len(table.drop_duplicates(["ligand", "receptor", "tf"])) + len(
        table.drop_duplicates(["tf", "target"])
    )
    drawn = [line for line in ax.lines if str(line.get_marker()) in ("", "None")]
    assert len(drawn) == steps, "the others are dots"
    shown = {t.get_text() for t in ax.texts}
    assert set(table["tf"]) | set(table["target"]) <= shown
    assert f"{table['ligand'][0]} → {table['receptor'][0]}" in shown
