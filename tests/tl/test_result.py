"""From evidence to tables: p and q, groups, what is combined."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from spatrace_sc._model.corrected import Corrected
from spatrace_sc._model.joint import Joint
from spatrace_sc._model.records import Draw, Edges, Evidence
from spatrace_sc._model.separability import Rivals
from spatrace_sc.tl._groups import NAMED, STRONGEST, add_groups, edges_to_check, only_told_apart
from spatrace_sc.tl._result import beside, combined, edge_tables, p_and_q

F, L, R, G = 2, 2, 2, 3
P = L * R
STUDY = SimpleNamespace(
    genes={
        "ligands": np.array(["la", "lb"]),
        "receptors": np.array(["ra", "rb"]),
        "tfs": np.array(["ta", "tb"]),
        "targets": np.array(["ga", "gb", "gc"]),
    }
)


def draw(score, null):
    score = np.asarray(score, dtype=float).ravel()
    items = np.flatnonzero(score)
    return Draw(items, score[items], np.sort(np.asarray(null, dtype=float)), np.ones(len(null)))


def edges_of(effect, p):
    flat = effect.ravel()
    return Edges(np.arange(flat.size), effect.shape[1], flat, np.full_like(flat, 0.1), np.ones_like(flat), p.ravel())


def evidence(effect=None, **changes):
    rng = np.random.default_rng(0)
    effect = rng.normal(size=(F + P, G)).astype(np.float32) if effect is None else effect
    p = rng.uniform(0.001, 1, size=effect.shape)
    strength = np.linalg.norm(effect[F:], axis=1)
    found = Evidence(
        tf=edges_of(effect[:F], p[:F]),
        lr=edges_of(effect[F:], p[F:]),
        on_tfs=np.zeros((P, F)),
        pair_score=strength,
        pair_se=np.full(P, 0.1),
        pair_stability=np.ones(P),
        pair_p_value=rng.uniform(0.001, 1, size=P),
        false_share=0.0,
        draws={
            "tf": [draw(np.abs(effect[:F]), [0.05])],
            "lr": [draw(np.abs(effect[F:]), [0.05])],
            "lr_tf": [],
            "pair": [draw(strength, [0.05])],
        },
    )
    return replace(found, **changes)


def corrected(p=None, reliability=1.0):
    rng = np.random.default_rng(1)
    p = np.full((F, G), 1e-6) if p is None else p
    return Corrected(rng.normal(size=(F, G)), np.full((F, G), 0.2), p, np.full(G, 0.1), reliability)


def test_beside_by_hand():
    # pairs aa, ab, ba, bb: aa shares its ligand with ab and its receptor with ba
    found = beside(np.array([3.0, 4.0, 12.0, 1.0]), 2)
    np.testing.assert_allclose(found, [np.sqrt(9 + 16 + 144), np.sqrt(9 + 16 + 1), np.sqrt(9 + 144 + 1), np.sqrt(162 - 1)])  # fmt: skip


def test_beside_against_a_slow_sum():
    strength = np.random.default_rng(0).random(12)
    slow = [
        np.sqrt(sum(strength[k] ** 2 for k in range(12) if k // 4 == pair // 4 or k % 4 == pair % 4))
        for pair in range(12)
    ]
    np.testing.assert_allclose(beside(strength, 4), slow)
    np.testing.assert_allclose(beside(strength, 1), np.sqrt((strength**2).sum()))


def test_a_tf_edge_needs_both_tests():
    found = evidence()
    clear = p_and_q(found, corrected(), 0.0, R)
    np.testing.assert_allclose(clear["tf"][0], found.tf.p_value)
    p = np.full((F, G), 1e-6)
    p[1, 2] = 0.9
    small = p_and_q(found, corrected(p), 0.0, R)
    edge = 1 * G + 2
    assert small["tf"][0][edge] == pytest.approx(max(0.9, found.tf.p_value[edge]))
    assert small["tf"][1][edge] >= 0.9
    others = np.delete(np.arange(F * G), edge)
    np.testing.assert_allclose(small["tf"][0][others], clear["tf"][0][others])
    np.testing.assert_array_equal(small["lr"][1], clear["lr"][1])
    none = p_and_q(found, corrected(np.ones((F, G))), 0.0, R)
    assert (none["tf"][1] == 1).all()


def test_a_small_pair_beside_a_strong_one_is_not_named():
    strength = np.array([5.0, 0.5, 4.0, 3.0])
    found = evidence(pair_score=strength)
    free, asked = (p_and_q(found, corrected(), share, R)["pair"] for share in (0.0, 0.2))
    assert (free[1] < 1).all()
    assert 0.5 < 0.2 * beside(strength, R)[1]
    assert asked[1][1] == 1
    np.testing.assert_array_equal(np.delete(asked[1], 1), np.delete(free[1], 1))
    np.testing.assert_array_equal(asked[0], free[0])


def joint(reliability=0.0):
    rng = np.random.default_rng(2)
    return Joint(rng.normal(size=(F, G)), np.full((F, G), 0.3), reliability)


def test_effects_are_combined_by_weight():
    before, other = evidence(), corrected(reliability=0.5)
    after = combined(before, other, joint())
    v = 0.75 / 1.75
    np.testing.assert_allclose(after.tf.effect, (1 - v) * before.tf.effect + v * other.effect.ravel(), rtol=1e-5)
    np.testing.assert_allclose(after.tf.effect_se, np.hypot((1 - v) * 0.1, v * 0.2), rtol=1e-5)
    assert after.lr is before.lr
    np.testing.assert_array_equal(combined(before, corrected(reliability=0.0), joint()).tf.effect, before.tf.effect)
    barred = replace(other, se=np.full((F, G), np.inf))
    np.testing.assert_allclose(combined(before, barred, joint()).tf.effect_se, (1 - v) * 0.1, rtol=1e-5)


def test_joint_effects_come_last_and_only_where_there_are_any():
    before, other = evidence(), corrected(reliability=0.5)
    without, shared = combined(before, other, joint()).tf, joint(0.8)
    after = combined(before, other, shared).tf
    u = 0.8**4
    np.testing.assert_allclose(after.effect, (1 - u) * without.effect + u * shared.effect.ravel(), rtol=1e-5)
    np.testing.assert_allclose(after.effect_se, np.hypot((1 - u) * without.effect_se, u * 0.3), rtol=1e-5)
    errors = shared.se.copy()
    errors[:, 1] = np.inf
    partly = combined(before, other, replace(shared, se=errors)).tf
    none = np.isinf(errors).ravel()
    np.testing.assert_array_equal(partly.effect, np.where(none, without.effect, after.effect))
    np.testing.assert_array_equal(partly.effect_se, np.where(none, without.effect_se, after.effect_se))


def values():
    return {"tf": (np.full(F * G, 0.01),) * 2, "lr": (np.full(P * G, 0.01), np.full(P * G, 0.02)), "pair": (np.full(P, 0.01), np.full(P, 0.03))}  # fmt: skip


def rivals(*rows):
    return Rivals(*np.array(rows, dtype=np.int64).reshape(-1, 3).T)


def test_pairs_that_are_not_told_apart_keep_only_the_q_of_their_group():
    # pair 1 could be replaced by pair 3 altogether, pair 2 on one target only, TF 0 by TF 1
    same = rivals((F + 1, F + 3, -1), (F + 1, F + 3, 0), (F + 2, F + 0, 1), (0, 1, 2))
    before = values()
    alone = only_told_apart(evidence(), before, same, F)
    np.testing.assert_array_equal(alone["pair"][1], [0.03, 1, 0.03, 0.03])
    np.testing.assert_array_equal(alone["lr"][1].reshape(P, G)[1], 1)
    np.testing.assert_array_equal(np.delete(alone["lr"][1].reshape(P, G), 1, axis=0), 0.02)
    for task in before:
        np.testing.assert_array_equal(alone[task][0], before[task][0])
    np.testing.assert_array_equal(alone["tf"][1], before["tf"][1])
    assert (before["pair"][1] == 0.03).all(), "what was given must stay"
    tables = edge_tables(STUDY, evidence(), alone, before, 1000)
    names = add_groups(tables, STUDY, same)
    pairs, lr, tf = (tables[k] for k in ("lr_pairs", "lr_targets", "tf_targets"))
    assert (pairs["group_q_value"] == 0.03).all()
    assert (lr["group_q_value"] == 0.02).all()
    hit = (pairs["ligand"] == 0) & (pairs["receptor"] == 1)
    assert (pairs.loc[hit, "q_value"] == 1).all()
    assert (pairs.loc[~hit, "q_value"] == 0.03).all()
    assert names[0] == ""
    assert [names[k] for k in pairs.loc[hit, "group"]] == ["la^rb | lb^rb"]
    assert (pairs.loc[~hit, "group"] == 0).all()
    of = lambda table, **edge: names[int(table.loc[(table[list(edge)] == pd.Series(edge)).all(axis=1), "group"].iloc[0])]  # fmt: skip
    assert of(lr, ligand=0, receptor=1, target=0) == "la^rb | lb^rb"
    assert of(lr, ligand=0, receptor=1, target=1) == ""
    assert of(lr, ligand=1, receptor=0, target=1) == "la^ra | lb^ra"
    assert of(tf, tf=0, target=2) == "ta | tb"
    assert of(tf, tf=1, target=2) == ""


def test_large_groups_are_cut():
    study = SimpleNamespace(genes=STUDY.genes | {"tfs": np.array([f"t{k:02d}" for k in range(NAMED + 3)])})
    tables = {
        "tf_targets": pd.DataFrame({"tf": [0], "target": [0]}),
        "lr_targets": pd.DataFrame({"ligand": [], "receptor": [], "target": []}),
        "lr_pairs": pd.DataFrame({"ligand": [], "receptor": []}),
    }
    names = add_groups(tables, study, rivals(*((0, k, 0) for k in range(1, NAMED + 3))))
    parts = names[1].split(" | ")
    assert parts[:NAMED] == [f"t{k:02d}" for k in range(NAMED)]
    assert parts[NAMED:] == ["3 more"]


def test_edges_to_check_are_the_supported_and_the_strongest():
    rng = np.random.default_rng(0)
    n_g = 60
    effect = rng.normal(size=(F + P, n_g))
    effect[1] = 0
    effect[F + 3, :40] = 1e-6
    found = evidence(effect=effect)
    q = {"tf": np.ones(F * n_g), "lr": np.ones(P * n_g), "pair": np.ones(P)}
    q["tf"][n_g + 5] = 0.1
    q["lr"][3 * n_g + 7] = 0.01
    edges = edges_to_check(found, {k: (v, v) for k, v in q.items()}, F, 0.1)
    tf = edges[edges[:, 0] < F]
    assert set(map(tuple, tf)) == {(0, g) for g in range(n_g)} | {(1, 5)}
    lr = edges[edges[:, 0] >= F]
    assert len(lr) == STRONGEST + 1
    assert [F + 3, 7] in lr.tolist()
    size = np.abs(effect[F:]).ravel()
    limit = np.sort(size)[-STRONGEST]
    chosen = size.reshape(P, n_g)[lr[:, 0] - F, lr[:, 1]]
    assert (chosen >= limit).sum() == STRONGEST
    assert len(np.unique(edges, axis=0)) == len(edges)


def test_every_edge_of_a_supported_pair_is_checked():
    n_g = 200
    effect = np.random.default_rng(0).normal(size=(F + P, n_g))
    effect[F + 2] = 0
    effect[F + 2, [3, 9]] = 1e-6
    found = evidence(effect=effect)
    q = {"tf": np.ones(F * n_g), "lr": np.ones(P * n_g), "pair": np.array([1.0, 1.0, 0.05, 1.0])}
    edges = edges_to_check(found, {k: (v, v) for k, v in q.items()}, F, 0.1)
    assert sorted(edges[edges[:, 0] == F + 2, 1]) == [3, 9]
    assert (edges[:, 0] >= F).sum() == STRONGEST + 2
