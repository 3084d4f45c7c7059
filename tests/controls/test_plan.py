"""Which signals are implanted where."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from _controls import result_with, study_of

from spatrace_sc._errors import DataError
from spatrace_sc._inference.controls.plan import (
    SHARE_OF_TFS,
    TARGETS_PER_PAIR,
    plan_implants,
)

SIZES = (0.05, 0.1, 0.2)
SEEDS = range(12)


@pytest.fixture(scope="module")
def study():
    return study_of()


def planned(study, seed=0, sizes=SIZES, **tables):
    return plan_implants(study, result_with(**tables), sizes, np.random.default_rng(seed))


def grown(study, n):
    """The study with its targets n times, under other names."""
    genes = study.genes
    names = np.array([f"{name}_{k}" for k in range(n) for name in genes.targets])
    return replace(study, genes=replace(genes, targets=names), target=np.tile(study.target, (1, n)))


def pair_table(study, pairs, q):
    ligand, receptor = np.divmod(np.asarray(pairs), study.genes.n_receptors)
    table = {"ligand": ligand, "receptor": receptor, "target": 0, "q_value": q}
    return pd.DataFrame(table)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_target_is_used_at_most_once(study, seed):
    plan = planned(study, seed)
    assert len(np.unique(plan.target)) == len(plan.target)
    assert set(plan.sign) <= {-1, 1}
    assert plan.is_pair.any()
    assert not plan.is_pair.all()
    _, targets_per_pair = np.unique(plan.regulator[plan.is_pair], return_counts=True)
    assert (targets_per_pair == TARGETS_PER_PAIR).all()
    assert (~plan.is_pair).sum() == int(SHARE_OF_TFS * study.genes.n_targets)


def test_pairs_with_a_small_q_are_not_drawn(study):
    """Neither those whose own q is small, nor those with an edge whose q is small."""
    n = study.genes.n_pairs
    of_pairs = pair_table(study, np.arange(0, n, 3), 0.5)
    of_edges = pair_table(study, np.arange(1, n, 3), 0.5)
    drawn = [planned(study, s, lr_pairs=of_pairs, lr_targets=of_edges) for s in SEEDS]
    pairs = np.concatenate([plan.regulator[plan.is_pair] for plan in drawn])
    assert set(pairs % 3) == {2}
    above = [planned(study, s, lr_pairs=of_pairs.assign(q_value=0.51)) for s in SEEDS]
    pairs = np.concatenate([plan.regulator[plan.is_pair] for plan in above])
    assert set(pairs % 3) == {0, 1, 2}


def test_tf_edges_with_a_small_q_are_left_out(study):
    near = pd.DataFrame(
        [(f, g) for f in range(study.genes.n_tfs) for g in range(0, 20, 2)],
        columns=["tf", "target"],
    ).assign(q_value=0.4)
    for seed in SEEDS:
        plan = planned(study, seed, tf_targets=near)
        assert (plan.target[~plan.is_pair] % 2 == 1).all()
        everything = planned(study, seed)
        left = ~everything.is_pair & (everything.target % 2 == 0)
        np.testing.assert_array_equal(plan.target, everything.target[~left])


def test_no_gene_acts_on_itself(study):
    genes = study.genes
    names = genes.targets.astype("<U12")
    names[:6], names[6:12], names[12:18] = genes.ligands, genes.receptors, genes.tfs
    own = replace(study, genes=replace(genes, targets=names))
    n_left_out = 0
    for seed in SEEDS:
        plan = planned(own, seed)
        target = names[plan.target]
        for is_pair, regulator, name in zip(plan.is_pair, plan.regulator, target, strict=True):
            if is_pair:
                assert name != genes.ligands[genes.ligand_of(regulator)]
                assert name != genes.receptors[genes.receptor_of(regulator)]
            else:
                assert name != genes.tfs[regulator]
        n_left_out += len(planned(study, seed).target) - len(plan.target)
    assert n_left_out > 0


def test_pairs_of_one_gene_are_no_candidates_without_homophilic(study):
    genes = study.genes
    ligands = genes.ligands.astype("<U12")
    ligands[2] = genes.receptors[3]
    same = replace(genes, ligands=ligands, homophilic=False)
    excluded = int(same.pair(2, 3))
    others = np.setdiff1d(np.arange(genes.n_pairs), [excluded])
    table = pair_table(study, others[1:], 0.1)
    for seed in SEEDS:
        plan = planned(replace(study, genes=same), seed, lr_pairs=table)
        assert set(plan.regulator[plan.is_pair]) == {others[0]}
    with_itself = planned(replace(study, genes=replace(same, homophilic=True)), lr_pairs=table)
    assert set(with_itself.regulator[with_itself.is_pair]) <= {excluded, others[0]}


def test_pairs_without_exposure_or_receptor_are_not_drawn(study):
    exposure, receptor = study.exposure.copy(), study.receptor.copy()
    exposure[:, :3] = 0
    receptor[:, 1:] = 0
    poor = replace(study, exposure=exposure, receptor=receptor)
    for seed in SEEDS:
        plan = planned(poor, seed)
        pairs = plan.regulator[plan.is_pair]
        assert (poor.genes.ligand_of(pairs) >= 3).all()
        assert (poor.genes.receptor_of(pairs) == 0).all()


def test_regulators_are_drawn_from_every_part_of_the_levels(study):
    """Sorted by level and cut into as many parts as there are implants, each part gives one."""
    many = grown(study, 6)
    level = np.outer(study.exposure.mean(axis=0), study.receptor.mean(axis=0)).ravel()
    for seed in range(4):
        plan = planned(many, seed)
        pairs = np.unique(plan.regulator[plan.is_pair])
        assert len(pairs) == 10  # a third of 120 targets, by four
        rank = np.argsort(np.argsort(level))[pairs]
        parts = np.array_split(np.arange(len(level)), len(pairs))
        part_of = np.concatenate([np.full(len(p), k) for k, p in enumerate(parts)])
        assert sorted(part_of[rank]) == list(range(10))
        tfs = np.bincount(plan.regulator[~plan.is_pair], minlength=study.genes.n_tfs)
        assert tfs.tolist() == [5] * 6  # a quarter of 120 targets


@pytest.mark.parametrize("sizes", [SIZES, (0.3,)])
def test_sizes_are_balanced(study, sizes):
    plan = planned(grown(study, 6), sizes=sizes)
    for is_pair, per in ((True, TARGETS_PER_PAIR), (False, 1)):
        size, n = np.unique(plan.size[plan.is_pair == is_pair], return_counts=True)
        assert size.tolist() == list(sizes)
        assert n.max() - n.min() <= per
    pairs = pd.Series(plan.size[plan.is_pair]).groupby(plan.regulator[plan.is_pair])
    assert (pairs.nunique() == 1).all()


def test_both_signs_are_drawn(study):
    signs = np.concatenate([planned(study, seed).sign for seed in SEEDS])
    assert 0.35 < (signs > 0).mean() < 0.65


def test_targets_without_molecules_are_not_used(study):
    target = study.target.copy()
    target[:, 5:] = 0
    few = replace(study, target=target)
    message = (
        r"5 of 20 targets have at least 0\.05 molecules per receiver; implants need 6\. Infer with "
        r"more `targets`, or set `n_implants=0` and `n_halves=0`"
    )
    with pytest.raises(DataError, match=message):
        planned(few)
    target[:, 5] = study.target[:, 5]
    plan = planned(replace(study, target=target))
    assert set(plan.target) <= set(range(6))
    assert len(planned(replace(few, unit=None)).target) > 6  # without counts every target will do


def test_without_a_pair_only_tfs_are_implanted(study):
    every_pair = pair_table(study, np.arange(study.genes.n_pairs), 0.2)
    plan = planned(study, lr_pairs=every_pair)
    assert not plan.is_pair.any()
    assert len(plan.regulator) == int(SHARE_OF_TFS * study.genes.n_targets)
    assert {len(values) for values in vars(plan).values()} == {len(plan.target)}


def test_nothing_without_effect_is_an_error(study):
    genes = study.genes
    every_pair = pair_table(study, np.arange(genes.n_pairs), 0.2)
    every_tf = pd.DataFrame(
        [(f, g) for f in range(genes.n_tfs) for g in range(genes.n_targets)],
        columns=["tf", "target"],
    ).assign(q_value=0.1)
    with pytest.raises(DataError, match=r"no pair and no TF is without effect .*`n_implants=0`"):
        planned(study, lr_pairs=every_pair, tf_targets=every_tf)


def test_a_study_without_tfs_has_implants_of_pairs_alone(study):
    none = study.genes.tfs[:0]
    without = replace(study, genes=replace(study.genes, tfs=none), tf=study.tf[:, :0])
    plan = planned(without)
    assert plan.is_pair.all()
    assert len(plan.target) >= TARGETS_PER_PAIR


def test_the_seed_decides_the_plan(study):
    one, again, other = (planned(study, seed) for seed in (1, 1, 2))
    for name, values in vars(one).items():
        np.testing.assert_array_equal(values, getattr(again, name))
    assert one.target.tolist() != other.target.tolist()
