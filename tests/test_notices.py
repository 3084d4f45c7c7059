"""Warnings and hints beside results, and the line that they point at."""

from __future__ import annotations

import logging
import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from _helpers import (
    NOTHING_SIGNIFICANT,
    TWO_OF_EACH,
    assert_unchanged,
    infer_quietly,
    snapshot,
    tiny_config,
    tissue,
)

import spatrace_sc as st
from spatrace_sc._data.notices import NOTHING_SUPPORTED, warn_if_none_significant

pytestmark = pytest.mark.filterwarnings(NOTHING_SIGNIFICANT)

INFER = {"sample_key": "sample", "config": tiny_config(), "device": "cpu"}
QUICK = INFER | TWO_OF_EACH


def warnings_with(call, *texts):
    """Return the warnings of a call with all of the texts; each must point at this file."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    raised = [w for w in caught if issubclass(w.category, st.SpatraceWarning)]
    assert {w.filename for w in raised} <= {__file__}, [str(w.message) for w in raised]
    return [str(w.message) for w in raised if all(t in str(w.message) for t in texts)]


def raw():
    adata = tissue()
    adata.X = adata.layers["counts"].copy()
    return adata


def test_every_warning_points_at_the_line_of_the_user():
    adata = tissue()
    assert warnings_with(lambda: st.tl.infer_ccc(adata, radius=4000.0, **QUICK), "`radius=4000`")
    assert warnings_with(
        lambda: st.tl.infer_ccc(adata, stage_key="stage", config=tiny_config(), **TWO_OF_EACH),
        "several stages",
    )
    assert warnings_with(lambda: st.pp.ligand_exposure(adata), "no `sample_key`")
    assert warnings_with(
        lambda: st.pp.ligand_exposure(raw(), sample_key="sample"),
        "looks like raw counts",
        "`layer`",
    )
    assert warnings_with(lambda: st.pp.transitions(raw()), "looks like raw counts")
    adata.obsm["spatial"][(adata.obs["sample"] == adata.obs["sample"].iloc[0]).to_numpy()] *= 5
    assert warnings_with(
        lambda: st.pp.ligand_exposure(adata, sample_key="sample"), "different units"
    )


def tables(q, name="lr_pairs"):
    empty = {
        k: pd.DataFrame({"q_value": [0.4, 1.0]}) for k in ("tf_targets", "lr_targets", "lr_pairs")
    }
    return empty | {name: pd.DataFrame({"q_value": [q, 1.0]})}


@pytest.mark.parametrize("name", ["tf_targets", "lr_targets", "lr_pairs"])
def test_one_significant_edge_of_any_kind_is_enough(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_if_none_significant(tables(0.1, name), noise_known=True)
    with pytest.warns(st.SpatraceWarning, match="hypotheses"):
        warn_if_none_significant(tables(0.1001, name), noise_known=True)
    no_rows = {k: t.iloc[:0] for k, t in tables(0.0).items()}
    with pytest.warns(st.SpatraceWarning, match="hypotheses"):
        warn_if_none_significant(no_rows, noise_known=True)


def test_the_verb_warns_once_if_no_edge_is_significant():
    adata = tissue()
    targets = np.flatnonzero(adata.var["target"])
    values = adata.X.toarray()
    values[:, targets] = np.random.default_rng(0).permutation(values[:, targets])
    adata.X = values
    (message,) = warnings_with(lambda: st.tl.infer_ccc(adata, **INFER), "no edge has q ≤ 0.1")
    for text in ("hypotheses", "`limited_by`", "fewer TFs", "more cells", NOTHING_SUPPORTED):
        assert text in message
    assert not any(
        (getattr(st.get, k)(adata)["q_value"] <= 0.1).any()
        for k in ("tf_targets", "lr_targets", "lr_pairs")
    )


def test_the_page_that_is_named_explains_the_column():
    from pathlib import Path

    text = (Path(__file__).parents[1] / NOTHING_SUPPORTED).read_text(encoding="utf-8")
    assert "# Nothing is significant" in text
    assert "`limited_by`" in text


@pytest.mark.parametrize("verb", ["gene_roles", "ligand_exposure", "transitions", "infer_ccc"])
def test_a_view_becomes_data_of_its_own_without_a_warning_from_inside(verb):
    call = {
        "gene_roles": lambda a: st.pp.gene_roles(
            a, ligands=["LIG000"], receptors=["REC000"], tfs=["TF000"]
        ),
        "ligand_exposure": lambda a: st.pp.ligand_exposure(a, sample_key="sample"),
        "transitions": lambda a: st.pp.transitions(a),
        "infer_ccc": lambda a: st.tl.infer_ccc(a, **INFER),
    }[verb]
    complete = tissue()
    before = snapshot(complete)
    view = complete[complete.obs["cell_type"] != "sender_2"]
    assert view.is_view
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call(view)
    assert not [w for w in caught if issubclass(w.category, ad.ImplicitModificationWarning)]
    assert not view.is_view
    assert_unchanged(complete, before)
    slot = {
        "gene_roles": "gene_roles",
        "ligand_exposure": "ligand_exposure",
        "transitions": "transitions",
    }.get(verb)
    assert (slot or "spatrace") in view.uns


def test_copy_of_a_view_leaves_the_view():
    view = tissue()[:280]
    st.pp.transitions(view, copy=True)
    st.pp.ligand_exposure(view, sample_key="sample", copy=True)
    assert view.is_view


def test_a_view_of_a_file_is_refused_before_anything_is_computed(tmp_path):
    tissue().write_h5ad(tmp_path / "a.h5ad")
    view = ad.read_h5ad(tmp_path / "a.h5ad", backed="r")[:280]
    with pytest.raises(st.InvalidArgumentError, match=r"view .*backed.*to_memory"):
        st.tl.infer_ccc(view, **INFER)


@pytest.mark.parametrize("text", ["nan", "NA", "Unknown", "unassigned", "UNASSIGNED", " n/a "])
@pytest.mark.parametrize(
    ("argument", "column"), [("cell_type_key", "cell_type"), ("stage_key", "stage")]
)
def test_text_that_stands_for_missing_values(argument, column, text):
    from spatrace_sc._data.notices import review_columns

    adata = tissue()
    adata.obs["named"] = adata.obs[column].astype(str)
    everyone = np.ones(300, dtype=bool)
    assert not warnings_with(lambda: review_columns(adata, {argument: "named"}, everyone))
    adata.obs.iloc[:30, adata.obs.columns.get_loc("named")] = text
    (message,) = warnings_with(
        lambda: review_columns(adata, {argument: "named", "sample_key": "sample"}, everyone)
    )
    for fragment in ("obs['named']", f"`{argument}`", f"{text!r}: 30 cells", "Drop"):
        assert fragment in message
    assert not warnings_with(
        lambda: review_columns(adata, {argument: "named"}, np.arange(300) >= 30)
    )


def test_placeholders_and_rare_types_are_named_by_the_inference(caplog):
    adata = tissue()
    adata.obs["cell_type"] = adata.obs["cell_type"].astype(str).replace("sender_1", "unknown")
    with caplog.at_level(logging.WARNING, logger="spatrace_sc"):
        (message,) = warnings_with(lambda: st.tl.infer_ccc(adata, **QUICK), "missing value")
    assert "'unknown': 49 cells" in message
    assert "fewer than 20 cells" in caplog.text
    assert "'sender_2 (18)'" in caplog.text
    assert "'sender_0" not in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="spatrace_sc"):
        st.tl.infer_ccc(adata, senders=["sender_0"], **QUICK)
    assert "fewer than 20 cells" not in caplog.text


def test_names_shown_other_than_the_roles_were_given(caplog):
    adata = tissue()
    adata.var["symbol"] = adata.var_names.astype(object)
    adata.var_names = [f"ENSG{k:05d}" for k in range(adata.n_vars)]
    lists = {
        f"{r}s": list(adata.var.loc[adata.var[r], "symbol"])
        for r in ("ligand", "receptor", "tf", "target")
    }
    st.pp.gene_roles(adata, **lists, gene_symbols="symbol")
    assert adata.uns["gene_roles"] == {"gene_symbols": "symbol", "layer": ""}

    def hints(**arguments):
        caplog.clear()
        with caplog.at_level(logging.WARNING, logger="spatrace_sc"):
            st.tl.infer_ccc(adata, **INFER | arguments)
        return [r.getMessage() for r in caplog.records if "gene_symbols" in r.getMessage()]

    (hint,) = hints()
    assert "'ENSG00000'" in hint
    assert "`gene_symbols='symbol'`" in hint
    assert (
        st.get.tf_targets(adata)["tf"].str.startswith("ENSG").all()
    )  # nothing is changed silently
    assert not hints(gene_symbols="symbol")
    st.pp.gene_roles(
        adata, **{k: list(adata.var_names[adata.var["symbol"].isin(v)]) for k, v in lists.items()}
    )
    assert adata.uns["gene_roles"]["gene_symbols"] == ""
    assert not hints()


def test_only_public_names_are_offered():
    for module in (st, st.datasets, st.get, st.pl, st.pp, st.tl):
        assert {n for n in dir(module) if not n.startswith("_")} == set(module.__all__), (
            module.__name__
        )
    assert not hasattr(st, "annotations")


def test_a_radius_that_covers_the_slice_draws_a_warning():
    """In three dimensions, a radius of few nearest distances can cover a slice."""
    adata = tissue()
    adata.obsm["spatial"] = np.random.default_rng(0).random((300, 3))
    (message,) = warnings_with(
        lambda: st.pp.ligand_exposure(adata, radius=1.8, sample_key="sample"), "`radius=1.8`"
    )
    assert "100 % of its slice" in message
    assert float(message.split(" is ")[1].split(" times")[0]) < 40
    assert not warnings_with(
        lambda: st.pp.ligand_exposure(adata, radius=0.3, sample_key="sample"), "slice (median)"
    )
    adata.obs["small"] = np.arange(300) % 6
    adata.obsm["spatial"] = adata.obsm["spatial"] * [1, 1, 0.02]
    adata.obsm["spatial"] = np.round(adata.obsm["spatial"] * 6) / 6  # 49 places at most
    assert warnings_with(
        lambda: st.pp.ligand_exposure(adata, sample_key="small"), "the default `radius`"
    )
    adata.obs["small"] = np.arange(300) % 10  # in 30 cells any neighbourhood is a large part
    assert not warnings_with(
        lambda: st.pp.ligand_exposure(adata, sample_key="small"), "the default `radius`"
    )


@pytest.mark.parametrize("many", [True, False])
def test_many_candidate_edges_are_logged(many, caplog, monkeypatch):
    from spatrace_sc._inference import run

    monkeypatch.setattr(run, "MANY_EDGES", 10 if many else 10**9)
    with caplog.at_level(logging.WARNING, logger="spatrace_sc"):
        st.tl.infer_ccc(tissue(), **INFER)
    assert ("million candidate" in caplog.text) == many
    assert ("A shorter list of ligands shortens it most." in caplog.text) == many


def test_a_missing_cell_type_suggests_regions():
    adata = st.datasets.simulated(n_cells=300)
    with pytest.raises(st.MissingKeyError, match="For spots, name a column of regions"):
        st.tl.infer_ccc(adata, cell_type_key="type")


def test_transitions_state_that_their_pseudotime_is_the_default(caplog):
    adata = st.datasets.simulated(n_cells=300)
    root = adata.obs["cell_type"].astype(str).iloc[0]
    del adata.obs["dpt_pseudotime"]
    default = "pseudotime in obs['dpt_pseudotime'] is used by default."
    for time_key, is_default in (("dpt_pseudotime", True), ("other_time", False)):
        caplog.clear()
        with caplog.at_level("INFO", logger="spatrace_sc"):
            st.pp.transitions(adata, root=root, time_key=time_key, sample_key="sample")
        assert "these transitions only when they are named" in caplog.text
        assert (default in caplog.text) == is_default


def test_messages_name_symbols_and_ids(caplog):
    adata = st.datasets.simulated(n_cells=300, n_targets=5)
    adata.var["symbol"] = adata.var_names.to_numpy()
    adata.var_names = [f"ENSG{k:011d}" for k in range(adata.n_vars)]
    id_of = dict(zip(adata.var["symbol"], adata.var_names, strict=True))
    roles = {"ligands": ["LIG000"], "receptors": ["REC000"], "tfs": ["TF000"]}
    roles["targets"] = ["LIG000", *(f"TG{k:03d}" for k in range(5))]
    with caplog.at_level("INFO", logger="spatrace_sc"):
        st.pp.gene_roles(adata, **roles, gene_symbols="symbol")
    assert f"'LIG000 ({id_of['LIG000']})'): a pair is never tested" in caplog.text
    keys = {"sample_key": "sample", "gene_symbols": "symbol", "config": tiny_config()}
    infer_quietly(adata, **roles, **keys)
    for argument, symbol in (("tf", "TF000"), ("ligand", "TF000")):
        with pytest.raises(st.InvalidArgumentError, match="It is a tf: pass `tf='TF000'`"):
            st.tl.knockout(adata, **{argument: id_of[symbol]})
