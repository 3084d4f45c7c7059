"""Effects of pairs on TFs, the first half of pair → TF → target."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from _helpers import source
from _planted import CONFIG, C, F, L, N, R, draw_decoys, planted

import spatrace_sc as st
from spatrace_sc._inference.edge_tables import pair_tf_table
from spatrace_sc._model.evidence.resample import resample
from spatrace_sc._model.fit import fit
from spatrace_sc._model.records import Draw
from spatrace_sc._regulators import Regulators
from spatrace_sc._study.problem import build_problem
from spatrace_sc._study.read import read_study

PAIR, TF = 2 * R, 3


def mediated(noise=0.0):
    """Pair (2, 0) raises TF 3, which is measured with ``noise`` times its variance of noise."""
    problem = planted()
    g = torch.Generator().manual_seed(5)
    past = problem.history
    dose = past.exposure[:, -1, 2] * (0.5 * past.receptor[:, -1, 0] + 0.5 * past.receptor[:, -2, 0])
    count = torch.randn(N, F, generator=g)
    level = 3 * dose / (2 + dose) + 0.3 * torch.randn(N, generator=g)
    error = noise**0.5 * level.std()
    count[:, TF] = level + error * torch.randn(N, generator=g)
    variance = torch.zeros(F)
    variance[TF] = error**2
    return replace(problem, tf_count=count, tf_noise=variance)


@pytest.fixture(scope="module")
def result():
    problem = mediated()
    return problem, fit(problem, CONFIG, seed=3)


def evidence_of(problem, fitted):
    return resample(problem, fitted, draw_decoys(problem), CONFIG, seed=1)


def test_a_pair_that_drives_a_tf_is_found_with_its_sign(result):
    problem, fitted = result
    evidence = evidence_of(problem, fitted)
    assert evidence.on_tfs.shape == (L * R, F)
    assert np.unravel_index(np.abs(evidence.on_tfs).argmax(), evidence.on_tfs.shape) == (PAIR, TF)
    assert evidence.on_tfs[PAIR, TF] > 0.4
    down = replace(problem, tf_count=-problem.tf_count)
    assert evidence_of(down, fitted).on_tfs[PAIR, TF] == pytest.approx(
        -evidence.on_tfs[PAIR, TF], abs=0.02
    )
    for draw in evidence.draws["lr_tf"]:
        assert draw.score[draw.items == PAIR * F + TF] > draw.null_score.max(initial=0)


def test_units_of_tfs_and_what_they_do_to_targets_do_not_matter(result):
    problem, fitted = result
    scaled = replace(problem, tf_count=problem.tf_count * 7 + 2)
    np.testing.assert_allclose(
        evidence_of(scaled, fitted).on_tfs, evidence_of(problem, fitted).on_tfs, atol=2e-3
    )


def test_a_pair_does_not_act_on_its_own_receptor(result):
    problem, fitted = result
    barred = replace(problem, forbidden_on_tfs=torch.tensor([[C + PAIR], [TF]]))
    evidence = evidence_of(barred, fitted)
    assert evidence.on_tfs[PAIR, TF] == 0
    assert not any((draw.items == PAIR * F + TF).any() for draw in evidence.draws["lr_tf"])


def test_a_tf_is_not_explained_by_its_level_now(result):
    """The filtered level holds the count itself; only earlier levels may compete."""
    problem, fitted = result
    now = problem.history.tf_now.clone()
    now[:, TF] = problem.tf_count[:, TF]
    same = replace(problem, history=replace(problem.history, tf_now=now))
    fitted = fit(same, CONFIG, seed=3)
    assert evidence_of(same, fitted).on_tfs[PAIR, TF] > 0.4


def test_receptors_and_ligands_that_are_tfs_are_named_as_forbidden():
    adata = st.datasets.simulated(0, n_cells=300, n_targets=5)
    genes = {
        role: sorted(adata.var_names[adata.var[role]])
        for role in ("ligand", "receptor", "tf", "target")
    }
    tfs = sorted([*genes["tf"], genes["receptor"][1], genes["ligand"][2]])
    roles = {
        "ligands": genes["ligand"],
        "receptors": genes["receptor"],
        "tfs": tfs,
        "targets": genes["target"],
    }
    study = read_study(adata, roles, source())
    problem = build_problem(study, st.Config(progress=False), None)
    tfs, ligands, receptors = map(
        list, (study.genes.tfs, study.genes.ligands, study.genes.receptors)
    )
    n, n_r = len(tfs), len(genes["receptor"])
    actual = set(map(tuple, problem.forbidden_on_tfs.T.tolist()))
    expected = {(k, k) for k in range(n)} | {(n + k, k) for k in range(n)}
    at_receptor, at_ligand = tfs.index(genes["receptor"][1]), tfs.index(genes["ligand"][2])
    ligand, receptor = ligands.index(genes["ligand"][2]), receptors.index(genes["receptor"][1])
    expected |= {(2 * n + k * n_r + receptor, at_receptor) for k in range(len(ligands))}
    expected |= {(2 * n + ligand * n_r + k, at_ligand) for k in range(n_r)}
    assert actual == expected


def genes_of(n_ligands=2, n_receptors=2, n_tfs=3):
    sizes = (n_ligands, n_receptors, n_tfs, 1)
    return Regulators(*(np.arange(size).astype(str) for size in sizes))


NO_FLOOR = np.zeros(4)


def test_the_table_of_pairs_and_tfs_by_hand():
    on_tfs = np.zeros((4, 3))
    on_tfs[1, 2], on_tfs[2, 0] = 0.3, -0.5
    lr_edges = SimpleNamespace(n_targets=2)
    empty = np.empty(0)
    lr = Draw(np.array([0, 5]), np.array([2.0, 1.0]), np.array([0.1]), np.array([1.0]))
    tf = Draw(np.array([5, 6]), np.array([0.3, 0.5]), np.array([0.4]), np.array([1.0]))
    evidence = SimpleNamespace(on_tfs=on_tfs, lr=lr_edges, draws={"lr": [lr], "lr_tf": [tf]})
    table = pair_tf_table(genes_of(), evidence, np.array([0.75, 0.0, 0.19]), NO_FLOOR)
    assert list(table.columns) == ["ligand", "receptor", "tf", "effect", "q_value"]
    assert table[["ligand", "receptor", "tf"]].to_numpy().tolist() == [[0, 1, 2], [1, 0, 0]]
    # divided by the square root of the noise-free share: 0.9 and 0.5
    np.testing.assert_allclose(table["effect"], [0.3 / 0.9, -1.0])
    # together with the targets: 3 real above 0.4 without a decoy; a decoy before the fourth
    assert table["q_value"][1] < table["q_value"][0] < 1
    no_targets = lr._replace(items=empty.astype(int), score=empty)
    alone = SimpleNamespace(on_tfs=on_tfs, lr=lr_edges, draws={"lr": [no_targets], "lr_tf": [tf]})
    assert (
        pair_tf_table(genes_of(), alone, np.zeros(3), NO_FLOOR)["q_value"] >= table["q_value"]
    ).all()
    nothing = SimpleNamespace(on_tfs=0 * on_tfs, lr=lr_edges, draws={"lr": [lr], "lr_tf": [tf]})
    assert len(pair_tf_table(genes_of(), nothing, np.zeros(3), NO_FLOOR)) == 0
    floored = pair_tf_table(
        genes_of(), evidence, np.array([0.75, 0.0, 0.19]), np.array([0.0, 0.0, 0.97, 0.0])
    )
    np.testing.assert_allclose(floored["q_value"], [table["q_value"][0], 0.97])


def test_noise_does_not_make_the_effect_on_a_tf_smaller(result):
    from spatrace_sc._model.evidence.errors_in_variables import noise_share

    sizes = []
    for noise in (0.0, 1.0):
        problem = mediated(noise)
        evidence = evidence_of(problem, result[1])
        noise = noise_share(problem).numpy()
        table = pair_tf_table(genes_of(L, R, F), evidence, noise, np.zeros(problem.n_pairs))
        row = table.query(f"ligand == 2 and receptor == 0 and tf == {TF}")
        sizes.append((float(row["effect"].iloc[0]), evidence.on_tfs[PAIR, TF]))
    assert sizes[1][1] < 0.8 * sizes[0][1], "measured with noise the effect is smaller"
    # what is left is the penalty, λ against a weight that the noise has made smaller
    assert sizes[1][0] == pytest.approx(sizes[0][0], rel=0.15)
