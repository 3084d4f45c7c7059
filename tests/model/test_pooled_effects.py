"""Effects of pairs that are pooled over the targets of a TF."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import sparse

from spatrace_sc._model.evidence.pooled_effects import (
    MIN_POOLED,
    RIDGE_PROFILES,
    pool_effects,
    pooled_share,
    tf_profiles,
)
from spatrace_sc._model.records import Edges, Evidence

F, P, G = 4, 30, 40
NOTHING = np.zeros(P * G, dtype=bool), np.zeros(P, dtype=bool)


def tf_effects() -> np.ndarray:
    """(F, G) effects of TFs, each on a quarter of the targets."""
    rng = np.random.default_rng(0)
    effect = np.zeros((F, G))
    for tf in range(F):
        effect[tf, tf::F] = rng.normal(0.0, 0.5, G // F)
    return effect


def pair_effects(along: bool) -> np.ndarray:
    """(P, G) sparse effects of pairs: those of single TFs, half of them missed, or random ones."""
    rng = np.random.default_rng(1)
    effect = tf_effects()[rng.integers(0, F, P)] * rng.normal(0.0, 1.0, (P, 1))
    effect[rng.random((P, G)) < 0.5] = 0.0
    return effect if along else rng.permuted(effect, axis=1)


def edges(effect: np.ndarray, listed: np.ndarray | None = None) -> Edges:
    index = np.arange(effect.size) if listed is None else listed
    flat = effect.ravel()[index].astype(np.float32)
    same = np.ones_like(flat)
    return Edges(index, G, flat, 0.1 * same, same, np.ones(len(flat)))


def evidence(effect: np.ndarray, listed: np.ndarray | None = None) -> Evidence:
    norm = np.linalg.norm(effect, axis=1).astype(np.float32)
    return Evidence(
        tf=edges(tf_effects()),
        lr=edges(effect, listed),
        on_tfs=np.zeros((P, F), np.float32),
        pair_score=2.0 * norm,
        pair_se=0.1 * norm,
        pair_stability=np.ones(P, np.float32),
        pair_p_value=np.ones(P),
        false_share=1.0,
        draws={},
    )


def problem(*forbidden: tuple[int, int]) -> SimpleNamespace:
    """A problem with two columns for each TF; ``forbidden`` are pairs and targets."""
    columns = torch.tensor([[2 * F + pair, target] for pair, target in forbidden]).reshape(-1, 2)
    return SimpleNamespace(n_tfs=2 * F, n_pairs=P, forbidden=columns.T.long())


def test_random_effects_are_not_pooled():
    before = evidence(pair_effects(along=False))
    assert pool_effects(problem(), before, *NOTHING) is before


def test_effects_of_single_tfs_are_pooled():
    effect = pair_effects(along=True)
    before = evidence(effect)
    after = pool_effects(problem(), before, *NOTHING)
    share = pooled_share(sparse.csr_matrix(effect), tf_profiles(tf_effects()))
    assert 0.3 < share < 1
    t = tf_effects() / np.linalg.norm(tf_effects(), axis=1, keepdims=True)
    onto = t.T @ np.linalg.inv(t @ t.T + RIDGE_PROFILES * np.eye(F)) @ t
    expected = (1 - share) * effect + share * effect @ onto
    np.testing.assert_allclose(after.lr.effect.reshape(P, G), expected, atol=MIN_POOLED)
    ratio = np.linalg.norm(expected, axis=1) / np.linalg.norm(effect, axis=1)
    large = before.pair_score > 0.2
    np.testing.assert_allclose(
        (after.pair_score / before.pair_score)[large], ratio[large], rtol=0.02
    )
    missed = (effect == 0) & (np.abs(expected) > 0.02)
    assert missed.any()
    assert (after.lr.effect.reshape(P, G)[missed] != 0).all(), "missed targets get an effect"
    assert after.tf is before.tf
    assert after.lr.stability is before.lr.stability
    assert after.pair_p_value is before.pair_p_value


def test_the_share_is_less_if_few_pairs_carry_it():
    effect = pair_effects(along=True)
    profiles = tf_profiles(tf_effects())
    one = effect * (np.arange(P) == np.abs(effect).sum(1).argmax())[:, None]
    assert pooled_share(sparse.csr_matrix(one), profiles) < 1e-9
    assert pooled_share(sparse.csr_matrix(effect), profiles) > 0.3


def test_the_share_by_chance_is_the_mean_over_permutations():
    rng = np.random.default_rng(2)
    tf, effect = rng.normal(size=(2, 4)), rng.normal(size=(3, 4))
    profiles = tf_profiles(tf)
    h = profiles.onto @ profiles.profiles
    along = np.einsum("pg,gh,ph->p", effect, h, effect)
    orders = list(permutations(range(4)))
    chance = np.mean(
        [np.einsum("pg,gh,ph->p", effect[:, o], h, effect[:, o]) for o in orders], axis=0
    )
    total = (effect**2).sum()
    s = (along.sum() - np.linalg.norm(along - chance)) / total
    m = chance.sum() / total
    expected = max(0.0, 1 - m / (1 - m) * (1 - s) / s) if s > 0 else 0.0
    assert pooled_share(sparse.csr_matrix(effect), profiles) == pytest.approx(expected)


@pytest.mark.parametrize("absent", ["pairs", "TFs"])
def test_without_effects_nothing_changes(absent):
    before = evidence(np.zeros((P, G)) if absent == "pairs" else pair_effects(along=True))
    if absent == "TFs":
        before = replace(before, tf=edges(np.zeros((F, G))))
    assert pool_effects(problem(), before, *NOTHING) is before


def test_significant_edges_and_pairs_keep_their_values_and_forbidden_edges_get_none():
    effect = pair_effects(along=True)
    before = evidence(effect)
    plain = pool_effects(problem(), before, *NOTHING).lr.effect.reshape(P, G)
    pair, target = np.argwhere((effect == 0) & (np.abs(plain) > 0.01))[0]
    chosen, significant = (x.copy() for x in NOTHING)
    strongest = np.abs(before.lr.effect).argmax()
    chosen[strongest], significant[3] = True, True
    after = pool_effects(problem((pair, target)), before, chosen, significant)
    assert after.lr.effect.reshape(P, G)[pair, target] == 0
    assert after.lr.effect[strongest] == before.lr.effect[strongest]
    assert after.pair_score[3] == before.pair_score[3]
    assert (np.abs(after.lr.effect) <= np.abs(before.lr.effect[strongest])).all()


def test_effects_of_some_edges_are_those_of_all():
    effect = pair_effects(along=True)
    listed = np.union1d(np.flatnonzero(effect), [0, 5, 77, P * G - 1])
    every = pool_effects(problem(), evidence(effect), *NOTHING)
    none = np.zeros(len(listed), dtype=bool), NOTHING[1]
    some = pool_effects(problem(), evidence(effect, listed), *none)
    np.testing.assert_allclose(some.lr.effect, every.lr.effect[listed], rtol=1e-5)
    np.testing.assert_allclose(some.pair_score, every.pair_score, rtol=1e-5)
