from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from _helpers import (
    NOTHING_SIGNIFICANT,
    assert_unchanged,
    slow,
    small_config,
    small_result,
    snapshot,
    written_and_read,
)

import spatrace_sc as st
from spatrace_sc import _keys
from spatrace_sc._edges import COMPARED_COLUMNS

pytestmark = pytest.mark.filterwarnings(NOTHING_SIGNIFICANT)

KINDS = list(COMPARED_COLUMNS)


@pytest.fixture(scope="module")
def planted():
    """Two slices of every stage with the signals and two without, of one wiring."""
    parts = []
    for strength, slices, condition in ((1.0, (1, 2), "A"), (0.0, (3, 4), "B")):
        adata = st.datasets.simulated(
            103, n_cells=6000, n_slices=4, n_targets=30, depth=3000, signal_strength=strength
        )
        number = adata.obs["sample"].astype(str).str.split("_slice").str[1].astype(int)
        part = adata[number.isin(slices).to_numpy()].copy()
        part.obs["condition"] = condition
        part.obs_names = part.obs_names + condition
        parts.append(part)
    both = ad.concat(parts, merge="same")
    both.var = parts[0].var.copy()
    st.tl.infer_ccc(
        both, sample_key="sample", stage_key="stage", config=small_config(), device="cpu"
    )
    st.tl.compare(both, "condition", reference="A", max_q=0.2)
    return both


@pytest.fixture
def result():
    """A small tissue with a result; a copy."""
    return small_result().copy()


@pytest.fixture
def compared(result):
    """Every kind of table has rows."""
    st.tl.compare(result, "stage", top_n=15)
    return result


@pytest.mark.slow
def test_lost_signals_are_found_with_slices_as_the_unit(planted):
    pairs, edges = (st.get.comparison(planted, kind) for kind in ("lr_pairs", "lr_targets"))
    assert set(edges["unit"]) == {"replicate"}
    assert len(pairs) >= 3
    assert (pairs["change"] == "lost").mean() > 0.5
    assert (edges["q_value"] <= 0.2).mean() > 0.4
    assert not edges["change"].isin(["gained", "kept"]).mean() > 0.2
    lost = edges[edges["change"] == "lost"]
    assert (lost["effect"].abs() < lost["effect_reference"].abs() / 3).all()


@pytest.mark.slow
def test_equal_effects_are_rarely_called_different(planted):
    table = st.get.comparison(planted, "tf_targets")
    assert len(table) > 20
    assert (table["q_value"] <= 0.2).mean() < 0.1
    assert (table["change"] == "kept").mean() > 0.6


def test_pairs_and_tfs_are_their_edges_along_the_effects_of_the_whole(compared):
    edges = st.get.comparison(compared, "tf_targets")
    whole = st.get.tf_targets(compared).set_index(["tf", "target"])["effect"]
    for row in st.get.comparison(compared, "tfs").head(5).itertuples():
        mine = edges[(edges["tf"] == row.tf) & (edges["group"] == row.group)]
        effect = whole.loc[pd.MultiIndex.from_frame(mine[["tf", "target"]])].to_numpy()
        assert row.effect == pytest.approx(
            mine["effect"].to_numpy() @ effect / np.linalg.norm(effect)
        )


def test_levels_are_means_of_activity(compared):
    table, activity = st.get.comparison(compared, "lr_pair_activity"), st.get.activity(compared)
    assert set(table["unit"]) == {"block"}
    row = table.iloc[0]
    column = list(activity.var_names).index(f"{row['ligand']}^{row['receptor']}")
    for side, group in (("effect", row["group"]), ("effect_reference", row["reference"])):
        here = (compared.obs["stage"].astype(str) == group).to_numpy() & np.isfinite(
            activity.X[:, column]
        )
        # cells without a past are not compared
        assert row[side] == pytest.approx(activity.X[here, column].mean(), rel=0.2)


def test_tables_have_the_documented_columns_and_order(compared):
    for kind in KINDS:
        table = st.get.comparison(compared, kind)
        assert list(table.columns) == [*COMPARED_COLUMNS[kind], *_keys.COMPARISON]
        assert len(table) > 0
        assert set(zip(table["group"], table["reference"], strict=True)) == {
            ("E2", "E1"),
            ("E3", "E2"),
        }
        known = table.dropna(subset=["difference"])
        np.testing.assert_allclose(known["difference"], known["effect"] - known["effect_reference"])
        assert (np.diff(table["p_value"]) >= 0).all()
        assert table["p_value"].between(0, 1, inclusive="right").all()
        assert (table["q_value"] >= table["p_value"] - 1e-12).all()
        called = table["q_value"] <= 0.1
        assert (
            table.loc[called, "change"]
            .isin(["gained", "lost", "changed", "appears", "disappears", "strengthens", "weakens"])
            .all()
        )
        assert table.loc[~called, "change"].isin(["kept", "steady", ""]).all()
        part = st.get.comparison(compared, kind, group="E3")
        assert len(part) == (table["group"] == "E3").sum()
    assert (
        len(st.get.comparison(compared, "tf_targets")) == 2 * 15
        or len(st.get.comparison(compared)) > 30
    )


def test_bins_categories_and_reference(result):
    st.tl.compare(result, "dpt_pseudotime", n_bins=2, top_n=5)
    table = st.get.comparison(result)
    assert table["group"].nunique() == 1
    assert table["group"][0].split(" to ")[0] == table["reference"][0].split(" to ")[1]
    st.tl.compare(result, "stage", categories=["E3", "E1"], top_n=5)
    back = st.get.comparison(result).set_index(["tf", "target"])
    assert set(zip(back["group"], back["reference"], strict=True)) == {("E1", "E3")}
    st.tl.compare(result, "stage", categories=["E1", "E3"], top_n=5)
    forth = st.get.comparison(result).set_index(["tf", "target"]).loc[back.index]
    np.testing.assert_allclose(forth["difference"], -back["difference"])
    np.testing.assert_allclose(forth["p_value"], back["p_value"])
    st.tl.compare(result, "stage", reference="E3", top_n=5)
    assert set(st.get.comparison(result)["reference"]) == {"E3"}


def assert_same_comparison(one, other):
    for kind in KINDS:
        expected = st.get.comparison(one, kind)
        table = st.get.comparison(other, kind).astype(expected.dtypes.to_dict())
        pd.testing.assert_frame_equal(table, expected, check_dtype=False, rtol=1e-3, atol=1e-4)


def test_gene_order_changes_nothing(compared):
    order = np.random.default_rng(0).permutation(compared.n_vars)
    other = compared[:, order].copy()
    st.tl.compare(other, "stage", top_n=15)
    assert_same_comparison(compared, other)


@pytest.mark.parametrize("form", ["h5ad", slow("zarr")])
def test_storage_changes_nothing(compared, form, tmp_path):
    back = written_and_read(compared, form, tmp_path)
    assert_same_comparison(compared, back)
    st.tl.compare(back, "stage", top_n=15)
    assert len(st.get.comparison(back)) == len(st.get.comparison(compared))


def test_copy_leaves_the_data_alone(result):
    before = snapshot(result)
    annotated = st.tl.compare(result, "stage", top_n=5, copy=True)
    assert_unchanged(result, before)
    assert "comparison" not in result.uns["spatrace"]
    assert "comparison" in annotated.uns["spatrace"]


def test_spatialdata(result):
    import spatialdata

    sdata = spatialdata.SpatialData(tables={"table": result})
    assert st.tl.compare(sdata, "stage", top_n=5) is None
    assert len(st.get.comparison(sdata.tables["table"])) > 0


def test_without_significant_edges_tables_are_empty_with_their_columns(result, caplog):
    for name in ("tf_targets", "lr_targets", "lr_pairs"):
        result.uns["spatrace"][name] = result.uns["spatrace"][name].assign(q_value=1.0)
    with caplog.at_level("INFO", logger="spatrace_sc"):
        st.tl.compare(result, "stage")
    assert caplog.text.count("nothing to compare") == len(KINDS)
    for kind in KINDS:
        table = st.get.comparison(result, kind)
        assert len(table) == 0
        assert list(table.columns) == [*COMPARED_COLUMNS[kind], *_keys.COMPARISON]
        assert st.pl.comparison(result, kind).texts


def test_replicates(result, caplog):
    """Slices of a stage are cut in two halves: replicates that lie in one stage each."""
    left = result.obsm["spatial"][:, 0] < np.median(result.obsm["spatial"][:, 0])
    result.obs["half"] = result.obs["sample"].astype(str) + np.where(left, "l", "r")
    st.tl.compare(result, "stage", replicate_key="half", top_n=10)
    assert set(st.get.comparison(result)["unit"]) == {"replicate"}
    st.tl.compare(result, "stage", top_n=10)
    assert set(st.get.comparison(result)["unit"]) == {"block"}
    with pytest.raises(st.DataError, match=r"fewer than 2 replicates .*'E1 \(1\)'"):
        st.tl.compare(result, "stage", replicate_key="sample")
    with pytest.raises(st.InvalidArgumentError, match="cells in several groups"):
        st.tl.compare(result, "dpt_pseudotime", n_bins=2, replicate_key="sample")
    with pytest.raises(st.MissingKeyError, match="replicate_key"):
        st.tl.compare(result, "stage", replicate_key="mouse")


def test_bad_groups(result):
    result.obs["same"] = "x"
    with pytest.raises(
        st.InvalidArgumentError, match=r"one group among the receivers \('x'\).*'stage'.*n_bins"
    ):
        st.tl.compare(result, "same")
    with pytest.raises(st.MissingKeyError, match=r"`groups='stag'`.*Did you mean 'stage'"):
        st.tl.compare(result, "stag")
    for value in ({"stage"}, None, 3):
        with pytest.raises(st.InvalidArgumentError, match="`groups` must be the name of a column"):
            st.tl.compare(result, value)
    with pytest.raises(st.InvalidArgumentError, match=r"unknown groups 'E9'.*'E1', 'E2', 'E3'"):
        st.tl.compare(result, "stage", categories=["E1", "E9"])
    with pytest.raises(st.InvalidArgumentError, match="names 1 group, two are needed"):
        st.tl.compare(result, "stage", categories=["E1"])
    with pytest.raises(st.InvalidArgumentError, match=r"`reference='E4'`.*'E1', 'E2', 'E3'"):
        st.tl.compare(result, "stage", reference="E4")
    with pytest.raises(st.InvalidArgumentError, match="`n_bins` cuts numbers"):
        st.tl.compare(result, "stage", n_bins=3)
    with pytest.raises(st.InvalidArgumentError, match="`n_bins`"):
        st.tl.compare(result, "dpt_pseudotime", n_bins=1)
    result.obs["rare"] = np.where(np.arange(result.n_obs) < 30, "few", "many")
    with pytest.raises(st.DataError, match=r"fewer than 50 receivers.*few"):
        st.tl.compare(result, "rare")
    result.obs["rare"] = pd.Series(result.obs["stage"].astype(str)).where(
        np.arange(result.n_obs) % 2 == 0
    )
    st.tl.compare(result, "rare", top_n=3)


def test_bad_numbers_and_order_of_calls(result):
    for value in (0, 1.5, True, "0.1"):
        with pytest.raises(st.InvalidArgumentError, match="`max_q`"):
            st.tl.compare(result, "stage", max_q=value)
    for value in (-1, 2.5, True):
        with pytest.raises(st.InvalidArgumentError, match="`top_n`"):
            st.tl.compare(result, "stage", top_n=value)
    for value in (-0.1, 1.0, "x", True, np.nan):
        with pytest.raises(st.InvalidArgumentError, match="`smallest_share`"):
            st.tl.compare(result, "stage", smallest_share=value)
    with pytest.raises(st.MissingKeyError, match=r"call `st\.tl\.compare"):
        st.get.comparison(result)
    with pytest.raises(st.MissingKeyError, match="infer_ccc"):
        st.tl.compare(result, "stage", key="other")
    with pytest.raises(st.DataError, match="inferred from"):
        st.tl.compare(result[20:].copy(), "stage")
    st.tl.compare(result, "stage", top_n=3)
    with pytest.raises(st.InvalidArgumentError, match="`kind` must be one of"):
        st.get.comparison(result, "edges")
    with pytest.raises(st.InvalidArgumentError, match=r"`group='E7'`.*'E1', 'E2', 'E3'"):
        st.get.comparison(result, group="E7")


@pytest.mark.slow
def test_without_significant_edges_tables_of_slices_are_empty(planted):
    adata = planted.copy()
    st.tl.compare(adata, "condition", reference="A", max_q=1e-9)
    for kind in ("tf_targets", "lr_targets", "tfs", "lr_pairs", "lr_pair_activity"):
        table = st.get.comparison(adata, kind)
        assert table.empty
        assert list(table.columns) == list(st.get.comparison(planted, kind).columns)


@pytest.mark.slow
def test_animals_are_the_unit_where_they_are_named(planted, caplog):
    """Two animals per condition with a slice of every stage each are 4 units instead of 12."""
    adata = planted.copy()
    number = adata.obs["sample"].astype(str).str.split("_slice").str[1]
    adata.obs["animal"] = adata.obs["condition"].astype(str) + number
    with caplog.at_level("WARNING", logger="spatrace_sc"):
        st.tl.compare(adata, "condition", reference="A", max_q=0.2, replicate_key="animal")
    assert "independent replicates" not in caplog.text
    assert adata.uns["spatrace"]["comparison"]["replicate_key"] == "animal"
    by_animal, by_slice = (
        st.get.comparison(a, "tf_activity").set_index("tf") for a in (adata, planted)
    )
    assert set(by_animal["unit"]) == {"replicate"}
    activity = st.get.activity(adata, "tfs")
    tf = by_animal.index[0]
    values = np.asarray(activity.X[:, list(activity.var_names).index(tf)], dtype=float)
    means = pd.Series(values).groupby(adata.obs["animal"].to_numpy()).mean()
    # cells without a past are not compared
    assert by_animal.loc[tf, "effect"] == pytest.approx(
        means[means.index.str.startswith("B")].mean(), abs=0.05
    )
    assert not np.allclose(by_animal["p_value"], by_slice.loc[by_animal.index, "p_value"])
    with caplog.at_level("WARNING", logger="spatrace_sc"):
        st.tl.compare(adata, "condition", reference="A", max_q=0.2)
    assert "independent replicates" in caplog.text
    adata.obs["animal"] = adata.obs["condition"].astype(str)
    with pytest.raises(
        st.DataError,
        match=r"fewer than 2 replicates .*One replicate does not show how much replicates vary",
    ):
        st.tl.compare(adata, "condition", replicate_key="animal")
