"""TF → target edges of data whose count noise is unknown: ranked, never significant."""

from __future__ import annotations

import logging
import warnings
from functools import lru_cache

import anndata as ad
import numpy as np
import pytest
from _helpers import infer_quietly, small_config
from anndata import AnnData

import spatrace_sc as st
from spatrace_sc import _keys
from spatrace_sc._data.notices import warn_if_none_significant
from spatrace_sc.get._evidence import add_evidence


@lru_cache(maxsize=2)
def inferred(counts: bool) -> AnnData:
    """Deep tissue, as log1p of normalised counts or with noise on top. Copy before a change."""
    adata = st.datasets.simulated(n_cells=700, n_targets=12, rng=3)
    if not counts:
        values = np.asarray(adata.X.toarray() if hasattr(adata.X, "toarray") else adata.X)
        noise = np.random.default_rng(0).normal(0, 0.02, values.shape)
        adata.X = np.maximum(values + noise * (values > 0), 0).astype(np.float32)
    infer_quietly(adata, sample_key="sample", stage_key="stage", config=small_config())
    return adata


def test_no_tf_edge_is_significant_and_the_table_states_why():
    table = st.get.tf_targets(inferred(False))
    assert (table["q_value"] == 1).all()
    words = set(table["evidence"].astype(str))
    assert "noise unknown" in words
    assert words <= {"noise unknown", "none"}
    assert ((table["evidence"] == "noise unknown") == (table["score"] > 0)).all()
    assert (table["evidence"] < "ranked").all()


def test_p_and_stability_are_kept():
    table = st.get.tf_targets(inferred(False))
    assert table["p_value"].min() < 0.05
    assert table["stability"].max() == 1


def test_with_counts_nothing_is_withheld():
    table = st.get.tf_targets(inferred(True))
    assert (table["q_value"] < 1).any()
    assert "noise unknown" not in set(table["evidence"].astype(str))


def test_pairs_are_tested_without_counts():
    for reader in (st.get.lr_pairs, st.get.lr_targets):
        assert "noise unknown" not in set(reader(inferred(False))["evidence"].astype(str))


def test_the_word_survives_a_file(tmp_path):
    inferred(False).write_h5ad(tmp_path / "a.h5ad")
    table = st.get.tf_targets(ad.read_h5ad(tmp_path / "a.h5ad"))
    assert (table["evidence"] == "noise unknown").any()


def test_a_result_that_does_not_state_it_reads_as_before():
    adata = inferred(False).copy()
    adata.uns["spatrace"] = dict(adata.uns["spatrace"])
    del adata.uns["spatrace"]["noise_known"]
    assert set(st.get.tf_targets(adata)["evidence"].astype(str)) <= {"ranked", "none", "supported"}


def test_the_log_states_it_once_with_a_remedy(caplog):
    adata = inferred(False).copy()
    genes = {"tfs": ["TF000", "TF001"], "targets": ["TG000", "TG001"]}
    config = small_config(evidence=st.EvidenceConfig(n_resamples=2, n_permutations=1))
    with caplog.at_level(logging.WARNING, logger="spatrace_sc"):
        infer_quietly(adata, sample_key="sample", config=config, **genes)
    (message,) = (r.getMessage() for r in caplog.records if "noise is unknown" in r.getMessage())
    for text in ("q = 1", "log1p of normalised counts", "sc.pp.normalize_total", "`layer`"):
        assert text in message


def test_the_warning_names_counts_as_a_remedy_only_where_they_lack():
    tables = {
        name: st.get.tf_targets(inferred(False))[["q_value"]]
        for name in ("tf_targets", "lr_targets", "lr_pairs")
    }
    with pytest.warns(st.SpatraceWarning, match="log1p of normalised counts, without which TF"):
        warn_if_none_significant(tables, noise_known=False)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_if_none_significant(tables, noise_known=True)
    assert "normalised counts" not in str(caught[0].message)


def test_cascades_state_why_there_are_none(caplog):
    adata = inferred(False).copy()
    with caplog.at_level(logging.INFO, logger="spatrace_sc"):
        st.tl.cascades(adata)
    assert st.get.cascades(adata).empty
    assert "every TF → target edge has q = 1" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="spatrace_sc"):
        st.tl.cascades(inferred(True).copy(), max_q=1e-9)
    assert "No path" in caplog.text
    assert "count noise" not in caplog.text


def test_nothing_is_mediated_and_a_knockout_rests_on_untested_edges():
    adata = inferred(False).copy()
    table = st.get.lr_targets(adata)
    assert (table["mediated"] == 0).all()
    assert set(table["route"]) <= {"direct", ""}
    st.tl.knockout(adata, tf=str(st.get.tf_targets(adata)["tf"].iloc[0]))
    words = set(st.get.knockout(adata)["evidence"].astype(str))
    assert "noise unknown" in words
    assert words <= {"noise unknown", "ranked", "none"}


def test_figures_and_exports_take_such_a_result():
    adata = inferred(False).copy()
    assert st.get.to_decoupler(adata).empty
    assert len(st.get.to_decoupler(adata, max_q=None))
    assert "none significant" in st.pl.top_edges(adata, kind="tf_targets").get_title()


def test_evidence_ranks_the_word_below_a_tested_effect():
    levels = _keys.EVIDENCE_LEVELS
    assert levels.index("co-variation") < levels.index("noise unknown") < levels.index("ranked")
    table = st.get.tf_targets(inferred(True)).drop(columns="evidence").assign(q_value=0.01)
    assert not (add_evidence(table, noise_known=True)["evidence"] == "noise unknown").any()
