"""The pair of a gene with itself: no candidate unless asked for."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import lru_cache

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch
from _helpers import NOTHING_SIGNIFICANT, infer_quietly, small_config, source, tissue
from anndata import AnnData

import spatrace_sc as st
from spatrace_sc._inference.restore import restore
from spatrace_sc._model.evidence import shared_credit
from spatrace_sc._model.evidence.decoy_design import (
    DesignColumns,
    design_with_decoys,
    penalty_with_decoys,
)
from spatrace_sc._model.evidence.resample import resample
from spatrace_sc._model.evidence.screen_pairs import screen
from spatrace_sc._model.fit import fit
from spatrace_sc._study.histories import decoy_drawer
from spatrace_sc._study.prior_penalties import Prior
from spatrace_sc._study.problem import build_problem
from spatrace_sc._study.read import read_study

pytestmark = pytest.mark.filterwarnings(NOTHING_SIGNIFICANT)

LIGANDS = [f"LIG00{k}" for k in range(4)]
#: Two of the receptors are ligands, too.
RECEPTORS = ["REC000", "REC001", *LIGANDS[:2]]
ROLES = {"ligands": LIGANDS, "receptors": RECEPTORS, "tfs": ["TF000", "TF001"]}
TARGETS = [f"TG00{k}" for k in range(4)]
INFER = {
    **ROLES,
    "targets": TARGETS,
    "sample_key": "sample",
    "config": small_config(evidence=st.EvidenceConfig(n_resamples=2, n_permutations=3)),
}
READERS = {"lr_pairs": 1, "lr_targets": len(TARGETS)}


@lru_cache(maxsize=2)
def inferred(homophilic: bool) -> AnnData:
    """Tissue with a result. Copy it before you change it."""
    adata = tissue()
    infer_quietly(adata, homophilic=homophilic, **INFER)
    return adata


def of_one_gene(table: pd.DataFrame) -> pd.Series:
    return table["ligand"].astype(str) == table["receptor"].astype(str)


def problem_of(prior: Prior | None = None, **changes: bool):
    study = read_study(tissue(), {**ROLES, "targets": TARGETS}, source(**changes))
    return study, build_problem(study, INFER["config"], prior)


@pytest.mark.parametrize(("reader", "per_pair"), READERS.items())
def test_tables_list_no_gene_with_itself_by_default(reader, per_pair):
    n_pairs = len(LIGANDS) * len(RECEPTORS)
    table = getattr(st.get, reader)(inferred(False))
    assert len(table) == (n_pairs - 2) * per_pair
    assert not of_one_gene(table).any()
    table = getattr(st.get, reader)(inferred(True))
    assert len(table) == n_pairs * per_pair
    assert of_one_gene(table).sum() == 2 * per_pair


def test_no_later_table_names_such_a_pair():
    adata = inferred(False).copy()
    st.tl.cascades(adata, max_q=1.0)
    st.tl.modules(adata, max_q=1.0)
    tables = [
        *(st.get.lr_tfs(adata), st.get.cascades(adata), st.get.communication(adata)),
        *(st.get.activity(adata).var, st.get.modules(adata, "lr_pairs")),
    ]
    assert not any(of_one_gene(table).any() for table in tables)
    liana = st.get.to_liana(adata)
    assert len(liana)
    assert not (liana["ligand_complex"] == liana["receptor_complex"]).any()


@pytest.mark.parametrize("homophilic", [False, True])
def test_the_choice_survives_a_file_and_restores_the_model(homophilic, tmp_path):
    inferred(homophilic).write_h5ad(tmp_path / "a.h5ad")
    adata = ad.read_h5ad(tmp_path / "a.h5ad")
    assert st.get.params(adata)["homophilic"] == homophilic
    assert of_one_gene(st.get.lr_pairs(adata)).sum() == 2 * homophilic
    restored = restore(adata, "spatrace")
    n_excluded = (~restored.problem.may_act).sum()
    assert n_excluded == (0 if homophilic else 2)
    st.tl.knockout(adata, ligand=LIGANDS[0])
    assert len(st.get.knockout(adata)) == len(TARGETS)


def test_excluded_pairs_are_logged(caplog):
    with caplog.at_level(logging.INFO, logger="spatrace_sc"):
        problem_of()
        assert "2 genes are both a ligand and a receptor ('LIG000', 'LIG001')" in caplog.text
        caplog.clear()
        problem_of(homophilic=True)
    assert "both a ligand" not in caplog.text


def test_neither_an_excluded_pair_nor_its_decoys_compete():
    study, problem = problem_of()
    excluded = study.genes.excluded_pairs
    assert sorted(study.genes.pair_genes(excluded)["ligand"]) == LIGANDS[:2]
    fitted = fit(problem, INFER["config"], seed=0)
    rng = np.random.default_rng(0)
    draw = decoy_drawer(study, INFER["config"].model.n_lags)
    penalty = penalty_with_decoys(problem, problem.forbidden)
    acting = torch.isfinite(penalty.row)
    design = design_with_decoys(problem, fitted, draw(rng), problem.usable, acting)
    columns = DesignColumns.of(problem)
    for group in (columns.pair, *columns.decoy_pairs):
        competing = design.within(group).numpy() - group.start
        assert sorted({*range(problem.n_pairs)} - {*competing}) == sorted(excluded)
    evidence = resample(problem, fitted, draw, INFER["config"], seed=0)
    assert not np.isin(evidence.lr.regulator, excluded).any()
    assert (evidence.pair_score[excluded] == 0).all()
    assert (evidence.on_tfs[excluded] == 0).all()
    assert not np.isin(np.concatenate([d.items for d in evidence.draws["pair"]]), excluded).any()


@pytest.mark.parametrize("most", [0, 5])
def test_candidates_are_counted_without_excluded_pairs(most):
    """1 / (1 + candidates) is the smallest p of one refit, so the number matters."""
    _, problem = problem_of()
    config = replace(INFER["config"], max_pairs=most)
    screened = screen(problem, fit(problem, config, seed=0), config)
    assert problem.n_candidate_pairs == problem.n_pairs - 2
    assert screened.n_candidate_pairs == problem.n_pairs - 2
    assert screened.decoy_weight == pytest.approx(1.0 if not most else (problem.n_pairs - 2) / most)


def test_a_prior_cannot_bring_back_an_excluded_pair():
    prior = pd.DataFrame({"ligand": LIGANDS, "receptor": [LIGANDS[0], *["REC000"] * 3]})
    study, problem = problem_of(prior)
    pairs = problem.penalty[problem.pair_slice]
    assert torch.isinf(pairs[study.genes.excluded_pairs]).all()
    assert (pairs == 0.5).sum() == 3


def test_no_credit_is_shared_with_an_excluded_pair(monkeypatch):
    """A gene in a cell resembles itself in the neighbours, so its pair would get the most."""
    monkeypatch.setattr(shared_credit, "_followed", lambda problem, fit: torch.ones(len(RECEPTORS)))
    for homophilic in (False, True):
        study, problem = problem_of(homophilic=homophilic)
        fitted = fit(problem, INFER["config"], seed=0)
        draw = decoy_drawer(study, INFER["config"].model.n_lags)
        evidence = resample(problem, fitted, draw, INFER["config"], seed=0)
        nothing = [np.zeros(n, dtype=bool) for n in (len(evidence.lr), problem.n_pairs)]
        shared = shared_credit.share_credit(
            problem, fitted, replace(evidence, false_share=1.0), *nothing
        )
        itself = study.genes.ligands[:, None] == study.genes.receptors
        assert (shared.pair_score[itself.ravel()] > 0).any() == homophilic
        assert (shared.pair_score[~itself.ravel()] > 0).any()


def test_without_a_gene_in_both_lists_nothing_changes():
    tables = []
    for homophilic in (False, True):
        adata = tissue()
        arguments = INFER | {"receptors": RECEPTORS[:2], "homophilic": homophilic}
        infer_quietly(adata, **arguments)
        tables.append(st.get.lr_targets(adata))
    pd.testing.assert_frame_equal(*tables)


@pytest.mark.parametrize("value", ["yes", 1, None])
def test_anything_but_true_and_false_is_refused(value):
    with pytest.raises(st.InvalidArgumentError, match="`homophilic` must be True or False, found"):
        st.tl.infer_ccc(tissue(), homophilic=value, **INFER)


def test_a_gene_alone_with_itself_is_refused():
    arguments = INFER | {"ligands": ["LIG000"], "receptors": ["LIG000"]}
    with pytest.raises(st.DataError, match=r"the only pair is LIG000 with itself.*homophilic=True"):
        st.tl.infer_ccc(tissue(), **arguments)
    adata = tissue()
    infer_quietly(adata, homophilic=True, **arguments)
    assert len(st.get.lr_pairs(adata)) == 1
