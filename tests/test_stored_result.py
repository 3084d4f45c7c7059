"""A result that version 0.1.0 stored, read and used by the present version."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from _controls import run_measured

import spatrace_sc as st
from spatrace_sc import _keys
from spatrace_sc._edges import ACTIVITY_KINDS, COMPARED_COLUMNS, LEVELS
from spatrace_sc._inference.restore import restore
from spatrace_sc._keys import MODULES
from spatrace_sc._result import Result

FILE = Path(__file__).parent / "data" / "stored_result_0.1.0.h5ad"
KEY = "spatrace"
KNOCKOUT = "ligand:LIG000"
#: Tables under the names of version 0.1.0.
FORMER_MODULES = {"lr_pairs": "pairs"}
FORMER_COMPARISON = {"lr_pair_activity": "pair_activity"}
STAGES = ["E1", "E2", "E3"]
REPEATED = {"check_dtype": False, "check_categorical": False, "rtol": 1e-4, "atol": 1e-6}
#: Slopes of nearly collinear levels follow the rounding of a processor: by up to .0075 of their
#: standard errors, and p by .0034. They may differ by these shares of a standard error and of 1.
SLOPE_IN_SE, SLOPE_P = 0.02, 0.01


@lru_cache(maxsize=1)
def opened():
    return ad.read_h5ad(FILE)


@pytest.fixture(scope="module")
def stored():
    """The data as they are in the file; not to be changed."""
    return opened()


@pytest.fixture
def adata():
    """A copy."""
    return opened().copy()


def slots(adata):
    return adata.uns[KEY]


def names(adata, column, index):
    genes = slots(adata)["genes"][f"{column}s"]
    return np.asarray(genes, dtype=object)[np.asarray(index)]


def test_the_file_is_that_of_the_first_form(stored):
    assert {"form", "restoration"}.isdisjoint(slots(stored))
    assert {"pairs"} <= set(slots(stored)["modules"])
    assert {"pair_activity"} <= set(slots(stored)["comparison"])
    assert Result.read(stored, KEY).restoration is None


# --- readers ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "columns", "n_candidates"),
    [
        ("tf_targets", ["tf", "target"], 5 * 12),
        ("lr_targets", ["ligand", "receptor", "target"], 25 * 12),
        ("lr_pairs", ["ligand", "receptor"], 25),
    ],
)
def test_edges(stored, name, columns, n_candidates):
    table, kept = getattr(st.get, name)(stored), slots(stored)[name]
    assert len(table) == n_candidates
    listed = table[table["score"] > 0]
    assert len(listed) == len(kept) == (table["evidence"] != "none").sum()
    for column in columns:
        assert listed[column].tolist() == names(stored, column, kept[column]).tolist()
    for column in {"effect", "score", "p_value", "q_value", "stability"} & set(kept):
        np.testing.assert_array_equal(listed[column], kept[column])
    groups = np.asarray(slots(stored)["groups"], dtype=object)
    assert listed["group"].tolist() == groups[kept["group"]].tolist()
    error = "score_se" if name == "lr_pairs" else "effect_se"
    np.testing.assert_array_equal(listed[error], kept[error].where(kept[error] > 0))
    absent = table[table["score"] == 0]
    p = np.asarray(slots(stored)["p_values"][name])
    assert sorted(table["p_value"].astype(np.float32)) == pytest.approx(sorted(p))
    assert (absent["q_value"] == 1).all()


@pytest.mark.parametrize("stage", STAGES)
def test_edges_of_a_stage_are_scaled_by_the_stored_factors(stored, stage):
    row = STAGES.index(stage)
    factors = slots(stored)["stage_factors"]
    whole = st.get.tf_targets(stored).set_index(["tf", "target"])["effect"]
    part = st.get.tf_targets(stored, stage).set_index(["tf", "target"])["effect"]
    tfs = [str(g) for g in slots(stored)["genes"]["tfs"]]
    factor = pd.Series(np.asarray(factors["tf"])[row], tfs)
    expected = whole * factor.reindex(whole.index.get_level_values("tf")).to_numpy()
    pd.testing.assert_series_equal(part.reindex(whole.index), expected, check_dtype=False)
    pairs = st.get.lr_pairs(stored, stage).set_index(["ligand", "receptor"])["score"]
    listed = slots(stored)["lr_pairs"]
    keys = list(zip(*(names(stored, c, listed[c]) for c in ("ligand", "receptor")), strict=True))
    expected = listed["score"].to_numpy() * np.asarray(factors["pair"])[row]
    np.testing.assert_allclose(pairs.loc[keys], expected, rtol=1e-6)
    assert len(st.get.lr_targets(stored, stage)) == 300


def test_pairs_on_tfs_and_cascades(stored):
    table, kept = st.get.lr_tfs(stored), slots(stored)["lr_tfs"]
    assert len(table) == len(kept)
    assert sorted(table["effect"]) == sorted(kept["effect"])
    strongest = kept.loc[kept["effect"].abs().idxmax()]
    for column in ("ligand", "receptor", "tf"):
        assert table[column][0] == names(stored, column, int(strongest[column]))
    paths, kept = st.get.cascades(stored), slots(stored)["cascades"]
    pd.testing.assert_frame_equal(paths, kept[list(paths.columns)], check_dtype=False)
    np.testing.assert_allclose(paths["effect"], paths["pair_on_tf"] * paths["tf_on_target"])
    assert len(st.get.cascades(stored, "E2")) == len(paths)
    assert len(st.get.lr_tfs(stored, "E2")) == len(table)


@pytest.mark.parametrize("kind", ACTIVITY_KINDS)
def test_activity(stored, kind):
    activity = st.get.activity(stored, kind)
    if kind == "lr_pairs":
        pairs = slots(stored)["activity_pairs"]
        expected = stored.obsm["spatrace_activity"]
        assert list(activity.var_names) == [f"{p.ligand}^{p.receptor}" for p in pairs.itertuples()]
        np.testing.assert_array_equal(activity.var["score"], pairs["score"])
        np.testing.assert_array_equal(activity.layers["se"], stored.obsm["spatrace_activity_se"])
    elif kind == "tfs":
        scores = np.asarray(slots(stored)["tf_scores"])
        order = np.argsort(-scores)
        expected = np.asarray(stored.obsm["spatrace_tf_activity"])[:, order]
        assert list(activity.var_names) == names(stored, "tf", order).tolist()
        np.testing.assert_array_equal(activity.var["score"], scores[order])
    else:
        expected = stored.obsm["spatrace_modules"]
        assert list(activity.var_names) == list(slots(stored)["modules"]["summary"]["module"])
    np.testing.assert_array_equal(activity.X, expected)
    part = st.get.activity(stored, kind, "E3")
    assert part.n_obs == (stored.obs["stage"] == "E3").sum()


def test_communication(stored):
    table, kept = st.get.communication(stored), slots(stored)["communication"]
    pd.testing.assert_frame_equal(table, kept[list(table.columns)])
    by_stage = slots(stored)["communication_by_stage"]
    for stage in STAGES:
        part = by_stage[by_stage["stage"] == stage].reset_index(drop=True)
        found = st.get.communication(stored, stage)
        pd.testing.assert_frame_equal(found, part[list(table.columns)])
    sums = st.get.sent_received(stored)
    matrix = stored.obsp["spatrace_communication"]
    np.testing.assert_allclose(sums["sent"].sum(), matrix.sum(), rtol=1e-5)
    assert sums["received"].isna().sum() == stored.obs["dpt_pseudotime"].isna().sum()
    one = st.get.sent_received(stored, "LIG000^REC004")
    matrix = stored.obsp["spatrace_communication_LIG000--REC004"]
    np.testing.assert_allclose(one["sent"].sum(), matrix.sum(), rtol=1e-5)


@pytest.mark.parametrize("kind", MODULES)
def test_modules(stored, kind):
    kept = slots(stored)["modules"][FORMER_MODULES.get(kind, kind)]
    found = st.get.modules(stored, kind)
    pd.testing.assert_frame_equal(found, kept[MODULES[kind]], check_dtype=False)
    assert len(found) or kind in {"stability", "enrichment"}


@pytest.mark.parametrize("kind", COMPARED_COLUMNS)
def test_comparison(stored, kind):
    kept = slots(stored)["comparison"][FORMER_COMPARISON.get(kind, kind)]
    found = st.get.comparison(stored, kind)
    pd.testing.assert_frame_equal(found, kept[list(found.columns)])
    assert len(found)
    part = st.get.comparison(stored, kind, group="E3")
    assert len(part) == (kept["group"] == "E3").sum()


def test_knockout(stored):
    assert st.get.knockouts(stored) == [KNOCKOUT]
    kept = slots(stored)["knockouts"]["ligand-LIG000"]
    table = st.get.knockout(stored)
    columns = ["target", "change", "direct", "mediated", "log_change"]
    pd.testing.assert_frame_equal(table[columns], kept["targets"][columns])
    blind = table["evidence"] == "co-variation"
    np.testing.assert_array_equal(table.loc[~blind, "se"], kept["targets"].loc[~blind, "se"])
    assert table.loc[blind, "se"].isna().all()
    by_stage = kept["by_stage"][kept["by_stage"]["stage"] == "E2"].reset_index(drop=True)
    pd.testing.assert_frame_equal(
        st.get.knockout(stored, KNOCKOUT, "E2")[columns], by_stage[columns]
    )
    cells = st.get.knockout_cells(stored)
    np.testing.assert_array_equal(cells.X, stored.obsm["spatrace_knockout_ligand-LIG000"])
    size = np.sqrt((cells.X.astype(float) ** 2).sum(axis=1))
    np.testing.assert_allclose(cells.obs["knockout"], size, rtol=1e-6)


def test_parameters_stages_and_history(stored):
    assert st.get.stages(stored) == STAGES
    params = st.get.params(stored)
    assert params["stage_key"] == "stage"
    assert params["layer"] is params["gene_symbols"] is params["transitions_key"] is None
    assert params["radius"] == slots(stored)["params"]["radius"]
    config = st.Config(evidence=replace(st.Config().evidence, smallest_share=0.2))  # of that time
    assert st.Config.from_dict(params["config"]) == Result.read(stored, KEY).config == config
    history = st.get.training_history(stored)
    pd.testing.assert_frame_equal(history, slots(stored)["history"][list(history.columns)])


def test_exports(stored):
    listed = slots(stored)
    for kind in ("tf_targets", "lr_targets"):
        table = st.get.to_decoupler(stored, kind, max_q=None)
        assert len(table) == len(listed[kind])
        assert sorted(table["weight"]) == sorted(listed[kind]["effect"])
    table = st.get.to_liana(stored)
    assert len(table) == (listed["communication"]["score"] > 0).sum()
    graph = st.get.to_networkx(stored, ["tf_targets", "lr_targets"], max_q=None)
    assert graph.number_of_edges() == len(listed["tf_targets"]) + len(listed["lr_targets"])


def test_a_result_of_version_0_1_0_has_no_robustness_and_no_effects_by_part(stored):
    table = st.get.tf_targets(stored)
    assert list(table.columns) == _keys.TF_TARGETS
    assert table[_keys.EFFECT_PARTS].isna().all(axis=None)
    assert table[_keys.ROBUSTNESS].isna().all(axis=None)


def test_a_result_of_version_0_1_0_holds_no_attention(stored):
    with pytest.raises(st.MissingKeyError, match=r"version 0\.1\.0 stored none"):
        st.get.attention(stored)
    with pytest.raises(st.MissingKeyError, match="no attention to pairs: earlier versions"):
        st.get.attention(stored, kind="lr_targets")


def test_a_result_of_version_0_1_0_has_no_controls(stored):
    with pytest.raises(st.MissingKeyError, match=r"no controls; call `st\.tl\.controls\(adata"):
        st.get.controls(stored)


def test_readers_between_cells_and_over_time(stored):
    matrix = st.get.cell_communication(stored)
    assert matrix.shape == (stored.n_obs, stored.n_obs)
    assert matrix.sum() > 0
    direction = st.get.signal_direction(stored)
    assert len(direction)
    trend = st.get.trend(stored)
    assert len(trend)
    features = st.get.sample_features(stored)
    assert len(features) == stored.obs[slots(stored)["params"]["sample_key"]].nunique()
    assert np.isfinite(features.to_numpy(dtype=float)).all()


def test_every_reader_is_tried_here(stored):
    """A new reader of results needs a line in this file."""
    tried = Path(__file__).read_text(encoding="utf-8")
    readers = set(st.get.__all__) - {"transition_reach", "transitions"}  # of no result
    indirect = {"tf_targets", "lr_targets", "lr_pairs"}
    assert not [name for name in readers - indirect if f"st.get.{name}(" not in tried]


# --- verbs ------------------------------------------------------------------------------------


def test_the_model_is_restored(stored):
    restored = restore(stored, KEY)
    assert len(restored.rows) == np.isfinite(stored.obsm["spatrace_activity"]).all(axis=1).sum()
    assert restored.fit.held_out.sum() == slots(stored)["fit"]["held_out_cells"]
    np.testing.assert_array_equal(restored.fit.target_sd, slots(stored)["model"]["target_sd"])


def test_partial_residuals_of_a_stored_result(adata):
    edge = st.get.tf_targets(adata).iloc[0]
    st.tl.partial_residuals(adata, edge["tf"], edge["target"])
    table = st.get.partial_residuals(adata, edge["tf"], edge["target"])
    assert np.sign(table["slope"].iloc[0]) == np.sign(edge["effect"])


def test_a_stored_result_gives_no_model(adata, tmp_path):
    """It was read on other scales; no model was applied to its cells."""
    with pytest.raises(st.DataError, match="earlier version of spatrace-sc, which read"):
        st.tl.save_model(adata, tmp_path / "model")
    with pytest.raises(st.MissingKeyError, match="not of a model that was applied"):
        st.get.prediction(adata)


def test_ranges_of_a_stored_result(adata):
    st.tl.ranges(adata, max_q=1.0)
    table = st.get.ranges(adata)
    listed = st.get.lr_targets(adata)
    assert set(table["ligand"]) == set(listed.loc[listed["score"] > 0, "ligand"])


def test_a_knockout_gives_what_version_0_1_0_gave(adata):
    kept = slots(adata)["knockouts"]["ligand-LIG000"]
    cells = adata.obsm["spatrace_knockout_ligand-LIG000"].copy()
    st.tl.knockout(adata, ligand="LIG000", name="again")
    assert st.get.knockouts(adata) == ["again", KNOCKOUT]
    found = slots(adata)["knockouts"]["again"]
    for table in ("targets", "by_stage"):
        pd.testing.assert_frame_equal(found[table], kept[table], **REPEATED)
    np.testing.assert_allclose(adata.obsm["spatrace_knockout_again"], cells, rtol=1e-4, atol=1e-5)
    st.tl.knockout(adata, tf="TF000")
    assert (st.get.knockout(adata, "tf:TF000")["change"] != 0).any()


def test_controls_of_a_stored_result(adata):
    n_draws = {"n_sham": 0, "n_implants": 0, "n_halves": 0, "n_misplaced": 1}
    run_measured(adata, **n_draws)
    table = st.get.controls(adata)
    assert set(table["control"]) == {"misplaced senders"}
    assert (table["control_calls"] > 0).any()


def test_a_comparison_gives_what_version_0_1_0_gave(adata):
    kept = dict(slots(adata)["comparison"])
    st.tl.compare(adata, "stage", max_q=1.0, top_n=3)
    for kind in COMPARED_COLUMNS:
        found = st.get.comparison(adata, kind)
        former = kept[FORMER_COMPARISON.get(kind, kind)]
        rows = [*COMPARED_COLUMNS[kind], "group"]
        one, other = (table.set_index(rows).sort_index() for table in (found, former))
        pd.testing.assert_index_equal(one.index, other.index)
        for column in ("effect", "effect_reference", "difference", "se"):
            pd.testing.assert_series_equal(
                one[column] / other["se"], other[column] / other["se"], rtol=0, atol=SLOPE_IN_SE
            )
        pd.testing.assert_series_equal(one["p_value"], other["p_value"], rtol=0, atol=SLOPE_P)
        assert (kind in LEVELS) == found["change"].isin(
            ["appears", "disappears", "strengthens", "weakens", "steady"]
        ).all()
    assert FORMER_COMPARISON["lr_pair_activity"] not in slots(adata)["comparison"]


def test_communication_gives_what_version_0_1_0_gave(adata):
    kept = slots(adata)["communication"]
    st.tl.communication(adata, n_permutations=19, progress=False)
    found = st.get.communication(adata)
    pd.testing.assert_frame_equal(found, kept[list(found.columns)], **REPEATED)
    st.tl.communication(adata, null="positions", n_permutations=19, progress=False)
    moved = st.get.communication(adata)
    np.testing.assert_allclose(moved["score"], kept["score"], rtol=1e-5)
    assert (moved["type_p_value"].to_numpy() != kept["type_p_value"].to_numpy()).any()


def test_modules_and_cascades_give_what_version_0_1_0_gave(adata):
    pairs, paths = slots(adata)["modules"]["pairs"], slots(adata)["cascades"]
    st.tl.modules(adata, max_q=1.0, n_modules=2, n_draws=2, progress=False)
    found = st.get.modules(adata)
    pd.testing.assert_frame_equal(found, pairs[list(found.columns)], **REPEATED)
    st.tl.cascades(adata, max_q=1.0)
    found = st.get.cascades(adata)
    pd.testing.assert_frame_equal(found, paths[list(found.columns)], **REPEATED)


def test_changed_data_are_refused(adata):
    adata.obsm["spatial"] = adata.obsm["spatial"][::-1].copy()
    with pytest.raises(st.DataError, match=r"not those that .* was inferred from .*infer_ccc"):
        restore(adata, KEY)


def test_new_results_take_its_place(adata, tmp_path):
    """After a verb has added to a result of the first form, the file can be read again."""
    st.tl.compare(adata, "stage", max_q=1.0, top_n=3)
    st.tl.modules(adata, max_q=1.0, n_modules=2, n_draws=2, progress=False)
    adata.write_h5ad(tmp_path / "a.h5ad")
    back = ad.read_h5ad(tmp_path / "a.h5ad")
    for kind in COMPARED_COLUMNS:
        pd.testing.assert_frame_equal(
            st.get.comparison(back, kind), st.get.comparison(adata, kind), check_dtype=False
        )
    assert len(st.get.modules(back, "lr_pairs"))


# --- forms that cannot be read ----------------------------------------------------------------

USES = {
    "reader": lambda adata, key: st.get.lr_targets(adata, key=key),
    "restore": restore,
    "compare": lambda adata, key: st.tl.compare(adata, "stage", key=key),
    "communication": lambda adata, key: st.tl.communication(adata, key=key),
    "modules": lambda adata, key: st.tl.modules(adata, key=key),
}


def without(adata, name):
    return {slot: value for slot, value in slots(adata).items() if slot != name}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_a_newer_form_is_refused(adata, use):
    adata.uns["mine"] = slots(adata) | {"form": 99}
    message = (
        r"`adata\.uns\['mine'\]` was written by a later version of spatrace-sc; install that "
        r"version, or call `st\.tl\.infer_ccc\(adata, key_added='mine'\)` again"
    )
    with pytest.raises(st.DataError, match=message):
        use(adata, "mine")


@pytest.mark.parametrize("slot", ["groups", "target_moments", "refits", "model"])
@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_a_form_that_is_older_than_readable_is_refused(adata, use, slot):
    adata.uns["mine"] = without(adata, slot)
    message = (
        r"`adata\.uns\['mine'\]` was written by an earlier version of spatrace-sc; call "
        r"`st\.tl\.infer_ccc\(adata, key_added='mine'\)` again"
    )
    with pytest.raises(st.DataError, match=message):
        use(adata, "mine")


def test_a_form_without_senders_is_refused(adata):
    params = {name: value for name, value in slots(adata)["params"].items() if name != "senders"}
    adata.uns[KEY] = slots(adata) | {"params": params}
    with pytest.raises(st.DataError, match="earlier version"):
        st.get.lr_targets(adata)
