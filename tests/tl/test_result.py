"""From evidence to tables: p and q, groups, what is combined."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from spatrace_sc._inference.edge_tables import (
    combine_effects,
    edge_tables,
    p_and_q,
    strength_of_neighbours,
)
from spatrace_sc._inference.indistinguishable import (
    ALL_TARGETS,
    MAX_NAMED,
    MAX_Q_TESTED,
    N_STRONGEST_TESTED,
    add_groups,
    apply_rival_test,
    edges_to_test,
    pairs_to_test,
)
from spatrace_sc._model.evidence.errors_in_variables import CorrectedEffects
from spatrace_sc._model.evidence.joint_effects import JointEffects
from spatrace_sc._model.evidence.minimum_effect import EffectTest
from spatrace_sc._model.evidence.rivals import Rivals
from spatrace_sc._model.evidence.silencing import SilencingEffects
from spatrace_sc._model.records import Draw, Edges, Evidence
from spatrace_sc._regulators import Regulators

F, L, R, G = 2, 2, 2, 3
P = L * R
GENES = Regulators(
    ligands=np.array(["la", "lb"]),
    receptors=np.array(["ra", "rb"]),
    tfs=np.array(["ta", "tb"]),
    targets=np.array(["ga", "gb", "gc"]),
)


def draw(score, null):
    score = np.asarray(score, dtype=float).ravel()
    items = np.flatnonzero(score)
    return Draw(items, score[items], np.sort(np.asarray(null, dtype=float)), np.ones(len(null)))


def edges_of(effect, p):
    flat = effect.ravel()
    return Edges(
        np.arange(flat.size),
        effect.shape[1],
        flat,
        np.full_like(flat, 0.1),
        np.ones_like(flat),
        p.ravel(),
    )


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
    effect, se = rng.normal(size=(F, G)), np.full((F, G), 0.2)
    known = np.zeros((F, G))
    return CorrectedEffects(effect, se, effect_test(p), reliability, known, known)


def effect_test(p=None):
    p = np.full((F, G), 1e-6) if p is None else p
    return EffectTest(p, np.full(G, 0.1), np.ones((F, G), dtype=bool))


def test_strength_of_neighbours_by_hand():
    # pairs aa, ab, ba, bb: aa shares its ligand with ab and its receptor with ba
    found = strength_of_neighbours(np.array([3.0, 4.0, 12.0, 1.0]), 2)
    squares = [9 + 16 + 144, 9 + 16 + 1, 9 + 144 + 1, 16 + 144 + 1]
    np.testing.assert_allclose(found, np.sqrt(squares))


def test_strength_of_neighbours_against_a_slow_sum():
    strength = np.random.default_rng(0).random(12)
    slow = [
        np.sqrt(
            sum(strength[k] ** 2 for k in range(12) if k // 4 == pair // 4 or k % 4 == pair % 4)
        )
        for pair in range(12)
    ]
    np.testing.assert_allclose(strength_of_neighbours(strength, 4), slow)
    np.testing.assert_allclose(strength_of_neighbours(strength, 1), np.sqrt((strength**2).sum()))


def test_a_tf_edge_needs_both_tests():
    found = evidence()
    clear, alone = p_and_q(found, effect_test(), 0.0, GENES)
    np.testing.assert_allclose(clear["tf"][0], found.tf.p_value)
    p = np.full((F, G), 1e-6)
    p[1, 2] = 0.9
    small, alone_again = p_and_q(found, effect_test(p), 0.0, GENES)
    edge = 1 * G + 2
    assert small["tf"][0][edge] == pytest.approx(max(0.9, found.tf.p_value[edge]))
    assert small["tf"][1][edge] >= 0.9
    others = np.delete(np.arange(F * G), edge)
    np.testing.assert_allclose(small["tf"][0][others], clear["tf"][0][others])
    np.testing.assert_array_equal(small["lr"][1], clear["lr"][1])
    assert alone["tf"][edge] < 0.9
    for task, q in alone.items():
        np.testing.assert_array_equal(q, alone_again[task])
        assert (small[task][1] >= q).all()
    none, _ = p_and_q(found, effect_test(np.ones((F, G))), 0.0, GENES)
    assert (none["tf"][1] == 1).all()


def test_a_weak_pair_is_no_rival_of_a_strong_one():
    strength = np.array([5.0, 0.5, 4.0, 3.0])
    found = evidence(pair_score=strength)
    free, asked = (p_and_q(found, effect_test(), share, GENES)[0]["pair"] for share in (0.0, 0.2))
    assert (free[1] < 1).all()
    assert 0.5 < 0.2 * strength_of_neighbours(strength, R)[1]
    assert asked[1][1] == 1
    np.testing.assert_array_equal(np.delete(asked[1], 1), np.delete(free[1], 1))
    np.testing.assert_array_equal(asked[0], free[0])


def joint(reliability=0.0):
    rng = np.random.default_rng(2)
    return JointEffects(rng.normal(size=(F, G)), np.full((F, G), 0.3), reliability)


def silenced(weight=0.0):
    rng = np.random.default_rng(5)
    return SilencingEffects(rng.normal(size=(F, G)), np.full((F, G), 0.25), weight)


def test_effects_of_silencing_are_averaged_with_all_others():
    before, other, shared = evidence(), corrected(reliability=0.5), joint(0.8)
    without = combine_effects(before, other, shared, silenced()).tf
    after = combine_effects(before, other, shared, silenced(0.3)).tf
    np.testing.assert_allclose(
        after.effect, 0.7 * without.effect + 0.3 * silenced().effect.ravel(), rtol=1e-5
    )
    np.testing.assert_allclose(
        after.effect_se, np.hypot(0.7 * without.effect_se, 0.3 * 0.25), rtol=1e-5
    )
    only = combine_effects(before, other, shared, silenced(1.0)).tf
    np.testing.assert_allclose(only.effect, silenced().effect.ravel(), rtol=1e-5)


def test_effects_are_combined_by_weight():
    before, other = evidence(), corrected(reliability=0.5)
    after = combine_effects(before, other, joint(), silenced())
    v = 0.75 / 1.75
    np.testing.assert_allclose(
        after.tf.effect, (1 - v) * before.tf.effect + v * other.effect.ravel(), rtol=1e-5
    )
    np.testing.assert_allclose(after.tf.effect_se, np.hypot((1 - v) * 0.1, v * 0.2), rtol=1e-5)
    assert after.lr is before.lr
    np.testing.assert_array_equal(
        combine_effects(before, corrected(reliability=0.0), joint(), silenced()).tf.effect,
        before.tf.effect,
    )
    barred = replace(other, se=np.full((F, G), np.inf))
    np.testing.assert_allclose(
        combine_effects(before, barred, joint(), silenced()).tf.effect_se, (1 - v) * 0.1, rtol=1e-5
    )


def test_joint_effects_come_last_and_only_if_there_are_any():
    before, other = evidence(), corrected(reliability=0.5)
    without, shared = combine_effects(before, other, joint(), silenced()).tf, joint(0.8)
    after = combine_effects(before, other, shared, silenced()).tf
    u = 0.8
    np.testing.assert_allclose(
        after.effect, (1 - u) * without.effect + u * shared.effect.ravel(), rtol=1e-5
    )
    np.testing.assert_allclose(
        after.effect_se, np.hypot((1 - u) * without.effect_se, u * 0.3), rtol=1e-5
    )
    errors = shared.se.copy()
    errors[:, 1] = np.inf
    partly = combine_effects(before, other, replace(shared, se=errors), silenced()).tf
    none = np.isinf(errors).ravel()
    np.testing.assert_array_equal(partly.effect, np.where(none, without.effect, after.effect))
    np.testing.assert_array_equal(
        partly.effect_se, np.where(none, without.effect_se, after.effect_se)
    )


def values():
    """Return p and q of every task."""
    return {
        "tf": (np.full(F * G, 0.01),) * 2,
        "lr": (np.full(P * G, 0.01), np.full(P * G, 0.02)),
        "pair": (np.full(P, 0.01), np.full(P, 0.03)),
    }


def rivals(*rows, whole=()):
    """``rows`` regulator, rival, target; ``whole`` pair, stand-in, p."""
    edges = np.array(rows, dtype=np.int64).reshape(-1, 3).T
    pair, stand_in = np.array([w[:2] for w in whole], dtype=np.int64).reshape(-1, 2).T
    return Rivals(*edges, pair, stand_in, np.array([w[2] for w in whole], dtype=float))


def test_indistinguishable_pairs_have_only_the_q_of_their_group():
    # pair 1 could be replaced by pair 3 altogether, pair 2 on one target only, TF 0 by TF 1
    found = rivals(
        (F + 1, F + 3, 0),
        (F + 2, F + 0, 1),
        (0, 1, 2),
        whole=[(F + 1, F + 3, 0.4), (F + 1, F, 0.001)],
    )
    before = values()
    alone, same, floor = apply_rival_test(evidence(), before, found, GENES)
    np.testing.assert_allclose(floor, [0, 0.4, 0, 0])
    np.testing.assert_allclose(alone["pair"][1], [0.03, 0.4, 0.03, 0.03])
    np.testing.assert_allclose(alone["lr"][1].reshape(P, G)[1], 0.4)
    np.testing.assert_array_equal(np.delete(alone["lr"][1].reshape(P, G), 1, axis=0), 0.02)
    for task in before:
        np.testing.assert_array_equal(alone[task][0], before[task][0])
    np.testing.assert_array_equal(alone["tf"][1], before["tf"][1])
    assert (before["pair"][1] == 0.03).all(), "what was given must stay"
    tables = edge_tables(GENES, evidence(), alone, before, 1000)
    names = add_groups(tables, GENES, same)
    pairs, lr, tf = (tables[k] for k in ("lr_pairs", "lr_targets", "tf_targets"))
    assert (pairs["group_q_value"] == 0.03).all()
    assert (lr["group_q_value"] == 0.02).all()
    hit = (pairs["ligand"] == 0) & (pairs["receptor"] == 1)
    np.testing.assert_allclose(pairs.loc[hit, "q_value"], 0.4)
    assert (pairs.loc[~hit, "q_value"] == 0.03).all()
    assert names[0] == ""
    assert [names[k] for k in pairs.loc[hit, "group"]] == ["la^rb | lb^rb"]
    assert (pairs.loc[~hit, "group"] == 0).all()

    def of(table, **edge):
        row = (table[list(edge)] == pd.Series(edge)).all(axis=1)
        return names[int(table.loc[row, "group"].iloc[0])]

    # who could stand in for the pair could do so on each of its edges
    assert {of(lr, ligand=0, receptor=1, target=g) for g in range(G)} == {"la^rb | lb^rb"}
    assert of(lr, ligand=1, receptor=0, target=1) == "la^ra | lb^ra"
    assert of(lr, ligand=1, receptor=0, target=0) == ""
    assert of(tf, tf=0, target=2) == "ta | tb"
    assert of(tf, tf=1, target=2) == ""


def only_pair_q(pair_q, p, edge_q=1.0):
    """Return q of pairs and of their first edges, and the pairs that a rival could replace.

    From q against decoys and the p of one rival each.
    """
    of = values()
    q = np.ones(P * G)
    q[::G] = edge_q
    of["pair"], of["lr"] = (of["pair"][0], np.array(pair_q)), (of["lr"][0], q)
    whole = [(F + k, F + (k + 1) % P, one) for k, one in enumerate(p) if one is not None]
    alone, same, _ = apply_rival_test(evidence(), of, rivals(whole=whole), GENES)
    replaceable = same.regulator[same.target == ALL_TARGETS] - F
    return alone["pair"][1], alone["lr"][1][::G], set(replaceable)


def test_advantages_over_rivals_are_judged_together():
    # Benjamini and Hochberg among four: .01, .05, .06 and .5 become .04, .08, .08 and .5
    pair, _, same = only_pair_q([0.02] * 4, [0.05, 0.01, 0.5, 0.06])
    np.testing.assert_allclose(pair, [0.08, 0.04, 0.5, 0.08])
    assert same == {2}
    # among many that fail the same p is not enough
    pair, _, same = only_pair_q([0.02] * 4, [0.06, 0.4, 0.5, 0.6])
    np.testing.assert_allclose(pair, [0.24, 0.6, 0.6, 0.6])
    assert same == {0, 1, 2, 3}


def test_pairs_with_a_larger_q_do_not_make_it_harder_for_those_with_a_smaller():
    # .06 alone; then .06 and .09; then the three; of the last nothing is asked
    pair, _, same = only_pair_q([0.02, 0.2, 0.3, 0.31], [0.06, 0.09, 0.7, 0.8])
    np.testing.assert_allclose(pair, [0.06, 0.2, 0.7, 0.31])
    # of the last .1 is asked: nothing smaller was
    assert same == {2, 3}
    pair, _, _ = only_pair_q([0.02, 0.2, 0.3, 0.31], [0.06, 0.9, 0.7, 0.8])
    np.testing.assert_allclose(pair, [0.06, 0.9, 0.9, 0.31])
    assert MAX_Q_TESTED == 0.3


def test_pairs_to_test_have_a_small_q_or_an_edge_that_has_or_is_tested():
    of = values()
    q = np.ones(P * G)
    q[1 * G + 2] = 0.25
    of["pair"], of["lr"] = (of["pair"][0], np.array([0.3, 0.9, 0.31, 0.9])), (of["lr"][0], q)
    edges = np.array([[0, 1], [F + 3, 0]])
    assert pairs_to_test(evidence(), of, GENES, edges).tolist() == [F, F + 1, F + 3]


def test_a_pair_with_a_significant_edge_is_tested_too():
    pair, edge, same = only_pair_q(
        [0.5, 0.02, 0.5, 0.5], [0.06, 0.9, None, 0.0], edge_q=np.array([0.01, 0.02, 0.3, 0.3])
    )
    np.testing.assert_allclose(pair, [0.5, 0.9, 0.5, 0.5])
    np.testing.assert_allclose(edge, [0.12, 0.9, 0.3, 0.3])
    assert same == {0, 1}


def test_pairs_without_rivals_do_not_make_it_easier_for_the_others():
    pair, _, same = only_pair_q([0.02] * 4, [None, 0.06, None, 0.5])
    np.testing.assert_allclose(pair, [0.02, 0.12, 0.02, 0.5])
    assert same == {1, 3}


def test_a_pair_without_rivals_keeps_its_q():
    pair, edge, same = only_pair_q([0.02] * 4, [None] * 4, edge_q=0.05)
    np.testing.assert_array_equal(pair, 0.02)
    np.testing.assert_array_equal(edge, 0.05)
    assert not same


def test_a_group_holds_the_pair_and_its_best_substitutes():
    receptors = np.array([f"r{k:02d}" for k in range(MAX_NAMED)])
    genes = Regulators(
        np.array(["a", "b"]), receptors, np.empty(0, dtype=str), np.array(["r03", "x"])
    )
    n = 2 * MAX_NAMED
    whole = [(n - 1, k, 0.9 - 0.01 * k) for k in range(n - 1)]
    of = {"tf": (np.empty(0),) * 2, "lr": (np.empty(0),) * 2, "pair": (np.full(n, 0.01),) * 2}
    nothing = SimpleNamespace(lr=SimpleNamespace(regulator=np.empty(0, dtype=int)))
    _, same, _ = apply_rival_test(nothing, of, rivals(whole=whole), genes)
    tables = {
        "tf_targets": pd.DataFrame({"tf": [], "target": []}),
        "lr_targets": pd.DataFrame(
            {"ligand": [1, 1], "receptor": [MAX_NAMED - 1] * 2, "target": [0, 1]}
        ),
        "lr_pairs": pd.DataFrame({"ligand": [1], "receptor": [MAX_NAMED - 1]}),
    }
    names = add_groups(tables, genes, same)
    best = [f"a^r{k:02d}" for k in range(MAX_NAMED)]
    assert names[tables["lr_pairs"]["group"][0]].split(" | ") == [
        *best[:-1],
        f"b^r{MAX_NAMED - 1:02d}",
        f"{MAX_NAMED} more",
    ]
    of_edges = [names[k].split(" | ") for k in tables["lr_targets"]["group"]]
    # no pair acts on its own receptor
    assert of_edges[0] == [*best[:3], *best[4:], f"b^r{MAX_NAMED - 1:02d}", f"{MAX_NAMED - 2} more"]
    assert of_edges[1] == [*best[:-1], f"b^r{MAX_NAMED - 1:02d}", f"{MAX_NAMED} more"]


def test_large_groups_are_cut():
    genes = replace(GENES, tfs=np.array([f"t{k:02d}" for k in range(MAX_NAMED + 3)]))
    tables = {
        "tf_targets": pd.DataFrame({"tf": [0], "target": [0]}),
        "lr_targets": pd.DataFrame({"ligand": [], "receptor": [], "target": []}),
        "lr_pairs": pd.DataFrame({"ligand": [], "receptor": []}),
    }
    names = add_groups(tables, genes, rivals(*((0, k, 0) for k in range(1, MAX_NAMED + 3))))
    parts = names[1].split(" | ")
    assert parts[:MAX_NAMED] == [f"t{k:02d}" for k in range(MAX_NAMED)]
    assert parts[MAX_NAMED:] == ["3 more"]


def test_edges_to_test_are_the_significant_and_the_strongest():
    rng = np.random.default_rng(0)
    n_g = 60
    effect = rng.normal(size=(F + P, n_g))
    effect[1] = 0
    effect[F + 3, :40] = 1e-6
    found = evidence(effect=effect)
    q = {"tf": np.ones(F * n_g), "lr": np.ones(P * n_g), "pair": np.ones(P)}
    q["tf"][n_g + 5] = 0.1
    q["lr"][3 * n_g + 7] = 0.01
    edges = edges_to_test(found, {k: (v, v) for k, v in q.items()}, GENES)
    tf = edges[edges[:, 0] < F]
    assert set(map(tuple, tf)) == {(0, g) for g in range(n_g)} | {(1, 5)}
    lr = edges[edges[:, 0] >= F]
    assert len(lr) == N_STRONGEST_TESTED + 1
    assert [F + 3, 7] in lr.tolist()
    size = np.abs(effect[F:]).ravel()
    limit = np.sort(size)[-N_STRONGEST_TESTED]
    chosen = size.reshape(P, n_g)[lr[:, 0] - F, lr[:, 1]]
    assert (chosen >= limit).sum() == N_STRONGEST_TESTED
    assert len(np.unique(edges, axis=0)) == len(edges)


def test_every_edge_of_a_significant_pair_is_tested():
    n_g = 200
    effect = np.random.default_rng(0).normal(size=(F + P, n_g))
    effect[F + 2] = 0
    effect[F + 2, [3, 9]] = 1e-6
    found = evidence(effect=effect)
    q = {"tf": np.ones(F * n_g), "lr": np.ones(P * n_g), "pair": np.array([1.0, 1.0, 0.05, 1.0])}
    edges = edges_to_test(found, {k: (v, v) for k, v in q.items()}, GENES)
    assert sorted(edges[edges[:, 0] == F + 2, 1]) == [3, 9]
    assert (edges[:, 0] >= F).sum() == N_STRONGEST_TESTED + 2
