from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from _helpers import (
    NOTHING_SIGNIFICANT,
    infer_quietly,
    small_result,
    tiny_config,
    tissue,
    written_and_read,
)

import spatrace_sc as st

pytestmark = pytest.mark.filterwarnings(NOTHING_SIGNIFICANT)


def test_table_of_all_receivers():
    adata = small_result()
    table = st.get.attention(adata)
    genes = adata.uns["spatrace"]["genes"]
    assert list(table.columns) == ["tf", "target", "attention", "silencing_effect"]
    assert len(table) == len(genes["tfs"]) * len(genes["targets"])
    assert not table.duplicated(["tf", "target"]).any()
    assert table["attention"].is_monotonic_decreasing
    assert table["attention"].between(0, 1).all()
    assert (table.groupby("target")["attention"].sum() <= 1 + 1e-5).all()
    stored = adata.uns["spatrace"]["attention"]
    row = table.iloc[7]
    place = [
        list(genes[role]).index(row[name]) for role, name in (("tfs", "tf"), ("targets", "target"))
    ]
    assert row["attention"] == pytest.approx(stored["share"][0][tuple(place)])


def test_table_of_pairs():
    adata = small_result()
    table = st.get.attention(adata, kind="lr_targets")
    slots = adata.uns["spatrace"]
    genes, stored = slots["genes"], slots["attention_to_pairs"]
    assert list(table.columns) == ["ligand", "receptor", "target", "attention", "silencing_effect"]
    assert 0 < len(stored["pairs"]) < len(genes["ligands"]) * len(genes["receptors"])
    assert len(table) == len(stored["pairs"]) * len(genes["targets"])
    assert not table.duplicated(["ligand", "receptor", "target"]).any()
    assert table["attention"].is_monotonic_decreasing
    assert table["attention"].between(0, 1).all()
    assert (table.groupby("target")["attention"].sum() <= 1 + 1e-5).all()
    assert table["silencing_effect"].notna().all()
    row = table.iloc[5]
    ligand, receptor, target = (
        list(genes[f"{role}s"]).index(row[role]) for role in ("ligand", "receptor", "target")
    )
    token = list(stored["pairs"]).index(ligand * len(genes["receptors"]) + receptor)
    assert row["attention"] == pytest.approx(stored["share"][0][token, target])
    assert row["silencing_effect"] == pytest.approx(stored["effect"][token, target])


@pytest.mark.parametrize("edges", ["tf_targets", "lr_targets"])
def test_stages_and_types_average_to_the_whole(edges):
    adata = small_result()
    slot = "attention" if edges == "tf_targets" else "attention_to_pairs"
    groups = adata.uns["spatrace"][slot]["groups"]
    keys = ["tf", "target"] if edges == "tf_targets" else ["ligand", "receptor", "target"]
    whole = st.get.attention(adata, kind=edges).set_index(keys)["attention"]
    for kind in ("stage", "cell_type"):
        rows = groups[groups["kind"] == kind]
        assert len(rows) > 1
        assert rows["n_cells"].sum() == groups["n_cells"].iloc[0]
        parts = [
            st.get.attention(adata, **{kind: name}, kind=edges)
            .set_index(keys)["attention"]
            .reindex(whole.index)
            for name in rows["name"]
        ]
        assert np.abs(parts[0] - parts[1]).max() > 1e-6
        mean = sum(n * part for n, part in zip(rows["n_cells"], parts, strict=True))
        pd.testing.assert_series_equal(
            mean / rows["n_cells"].sum(), whole, rtol=1e-4, check_names=False
        )


@pytest.mark.parametrize("form", ["h5ad", pytest.param("zarr", marks=pytest.mark.slow)])
def test_it_survives_a_file(form, tmp_path):
    back = written_and_read(small_result(), form, tmp_path)
    stage = st.get.stages(back)[1]
    for options in ({}, {"stage": stage}, {"kind": "lr_targets"}):
        pd.testing.assert_frame_equal(
            st.get.attention(back, **options), st.get.attention(small_result(), **options)
        )


def test_bad_input():
    adata = small_result().copy()
    stage = st.get.stages(adata)[0]
    with pytest.raises(st.InvalidArgumentError, match="a `stage` or a `cell_type`, not both"):
        st.get.attention(adata, stage, cell_type="receiver_0")
    with pytest.raises(
        st.InvalidArgumentError, match=r"`stage='dya1'` has no attention.*available"
    ):
        st.get.attention(adata, "dya1")
    with pytest.raises(st.InvalidArgumentError, match="`cell_type='sender_0'` has no attention"):
        st.get.attention(adata, cell_type="sender_0")
    adata.uns["spatrace"] = {k: v for k, v in adata.uns["spatrace"].items() if k != "attention"}
    with pytest.raises(st.MissingKeyError, match=r"holds no attention to TFs.*infer_ccc"):
        st.get.attention(adata)
    for kind in ("lr_pairs", "lr_target", None):
        with pytest.raises(st.InvalidArgumentError, match=r"`kind` must be one of.*lr_targets"):
            st.get.attention(adata, kind=kind)


def with_slot(value):
    """A copy of the result with other attention to pairs, or without any if None."""
    adata = small_result().copy()
    slots = {k: v for k, v in adata.uns["spatrace"].items() if k != "attention_to_pairs"}
    adata.uns["spatrace"] = slots if value is None else slots | {"attention_to_pairs": value}
    return adata


@pytest.mark.parametrize("value", [None, {}])
def test_a_result_without_attention_to_pairs_says_so(value):
    adata = with_slot(value)
    with pytest.raises(st.MissingKeyError, match=r"no attention to pairs.*100 receivers"):
        st.get.attention(adata, kind="lr_targets")
    pd.testing.assert_frame_equal(st.get.attention(adata), st.get.attention(small_result()))


@pytest.mark.parametrize("form", [None, "h5ad", pytest.param("zarr", marks=pytest.mark.slow)])
def test_without_a_kept_pair_the_table_is_empty(form, tmp_path, caplog):
    stored = small_result().uns["spatrace"]["attention_to_pairs"]
    adata = with_slot(
        stored
        | {
            "pairs": stored["pairs"][:0],
            "share": stored["share"][:, :0],
            "effect": stored["effect"][:0],
        }
    )
    if form:
        adata = written_and_read(adata, form, tmp_path)
    with caplog.at_level("INFO", logger="spatrace_sc"):
        table = st.get.attention(adata, st.get.stages(adata)[0], kind="lr_targets")
    assert list(table.columns) == ["ligand", "receptor", "target", "attention", "silencing_effect"]
    assert table.empty
    assert "the sparse fit keeps no ligand–receptor pair" in caplog.text
    with pytest.raises(st.InvalidArgumentError, match="no attention of its own"):
        st.get.attention(adata, "never", kind="lr_targets")


def test_the_tokens_of_pairs_change_nothing_else(monkeypatch):
    """Every other slot is the same without them, and a few cells have neither."""
    keys = {"sample_key": "sample", "stage_key": "stage", "config": tiny_config()}
    one, two = tissue(), tissue()
    infer_quietly(one, **keys)
    monkeypatch.setattr("spatrace_sc._inference.run.pair_tokens", lambda *args, **options: None)
    infer_quietly(two, **keys)
    slots, others = one.uns["spatrace"], two.uns["spatrace"]
    assert len(slots["attention_to_pairs"]["pairs"])
    assert others["attention_to_pairs"] == {}
    assert list(slots) == list(others)
    for name in ("tf_targets", "lr_targets", "lr_pairs", "lr_tfs", "communication"):
        pd.testing.assert_frame_equal(slots[name], others[name], check_exact=True)
    for name in ("share", "effect"):
        np.testing.assert_array_equal(slots["attention"][name], others["attention"][name])
    pd.testing.assert_frame_equal(st.get.attention(one), st.get.attention(two), check_exact=True)
    assert slots["fit"] == others["fit"]


def test_effects_that_carry_no_weight_are_missing():
    adata = small_result().copy()
    slots = dict(adata.uns["spatrace"]["attention"])
    slots["effect"] = np.zeros_like(slots["effect"])
    adata.uns["spatrace"] = adata.uns["spatrace"] | {"attention": slots}
    assert st.get.attention(adata)["silencing_effect"].isna().all()
    slots["effect"] = slots["effect"].copy()
    slots["effect"][0, 0] = -0.25
    table = st.get.attention(adata)
    assert table["silencing_effect"].notna().all()
    assert table["silencing_effect"].min() == -0.25
