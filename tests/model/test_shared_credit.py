"""Credit shared between TFs and the ligands of a receptor that follows them."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from spatrace_sc._model.evidence.shared_credit import (
    MIN_ROUTE,
    RIDGE_RECEPTORS,
    _followed,
    _sharpened,
    _substitution,
    share_credit,
)
from spatrace_sc._model.records import Edges, Evidence, History, Problem

N, F, L, R, G = 900, 2, 2, 2, 3
#: No edge and no pair is supported.
NOTHING = np.zeros(L * R * G, dtype=bool), np.zeros(L * R, dtype=bool)


def tissue(follows: float):
    """Receptor 0 follows TF 0 for ``follows`` = 1 and nothing for 0; target 0 follows receptor 0.

    The exposure to ligand 1 correlates with receptor 0.
    """
    g = torch.Generator().manual_seed(0)
    tf = torch.randn(N, F, generator=g)
    independent = torch.randn(N, generator=g)
    log_receptor = torch.stack(
        [
            2 + 0.5 * (follows * tf[:, 0] + (1 - follows) * independent),
            2 + 0.5 * torch.randn(N, generator=g),
        ],
        1,
    )
    log_exposure = torch.stack(
        [torch.randn(N, generator=g), log_receptor[:, 0] + 0.5 * torch.randn(N, generator=g)], 1
    )
    receptor = torch.expm1(log_receptor.clamp_min(0.1))[:, None, :].repeat(1, 3, 1)
    exposure = torch.expm1(log_exposure.clamp_min(0.0))
    y = torch.randn(N, G, generator=g)
    y[:, 0] += 3 * log_receptor[:, 0]
    problem = Problem(
        history=History(
            tf[:, None].repeat(1, 2, 1),
            tf,
            receptor,
            exposure[:, None].repeat(1, 3, 1),
            torch.ones(N, 3).bool(),
        ),
        pair_ligand=torch.arange(L).repeat_interleave(R),
        pair_receptor=torch.arange(R).repeat(L),
        tf_gene=torch.arange(F).repeat(2),
        tf_count=tf,
        tf_noise=torch.zeros(F),
        tf_state=tf,
        receptor_level=torch.log1p(receptor[:, 0]),
        target_past=torch.zeros(N, G),
        covariates=torch.zeros(N, 1),
        targets=y,
        usable=torch.ones(N).bool(),
        block=torch.arange(N) // 30,
        penalty=torch.ones(2 * F + L * R + 1),
        tf_penalty=None,
        forbidden=torch.tensor([[2 * F + 2], [2]]),
        forbidden_on_tfs=torch.empty((2, 0), dtype=torch.long),
    )
    fit = SimpleNamespace(
        attended=SimpleNamespace(
            tf=torch.cat([tf, tf], 1), receptor=receptor[:, 0], exposure=exposure
        ),
        target_mean=y.mean(0),
        target_sd=y.std(0, correction=0),
    )
    return problem, fit


def evidence(false_share: float) -> Evidence:
    rng = np.random.default_rng(0)
    effect = rng.normal(size=(F + L * R, G)).astype(np.float32) * 0.1
    pair = np.ones(L * R, np.float32)

    def edges(shared):
        flat = shared.ravel().copy()
        return Edges(
            np.arange(flat.size),
            G,
            flat,
            np.full_like(flat, 0.1),
            np.ones_like(flat),
            np.ones(flat.size),
        )

    return Evidence(
        tf=edges(effect[:F]),
        lr=edges(effect[F:]),
        on_tfs=np.zeros((L * R, F), np.float32),
        pair_score=pair,
        pair_se=0.1 * pair,
        pair_stability=pair,
        pair_p_value=np.ones(L * R),
        false_share=false_share,
        draws={},
    )


def test_nothing_changes_where_receptors_have_a_course_of_their_own_or_pairs_beat_decoys():
    for follows, false_share in ((0.0, 1.0), (1.0, 0.0)):
        before = evidence(false_share)
        after = share_credit(*tissue(follows), before, *NOTHING)
        np.testing.assert_allclose(after.lr.effect, before.lr.effect, atol=1e-3)
        np.testing.assert_allclose(after.pair_score, before.pair_score, atol=1e-3)


def test_a_receptor_that_follows_a_tf_gets_the_route_through_its_own_ligand():
    problem, fit = tissue(1.0)
    before = evidence(1.0)
    after = share_credit(problem, fit, before, *NOTHING)
    lr = after.lr.effect.reshape(L, R, G)
    level = (problem.receptor_level - problem.receptor_level.mean(0)) / problem.receptor_level.std(
        0, correction=0
    )
    y = (problem.targets - fit.target_mean) / fit.target_sd
    level, y = level.double().numpy(), y.double().numpy()
    onto = np.linalg.solve(level.T @ level / N + RIDGE_RECEPTORS * np.eye(R), level.T @ y / N)
    exposure = np.log1p(fit.attended.exposure.numpy())
    along = np.maximum(
        [[np.corrcoef(exposure[:, i], level[:, r])[0, 1] for r in range(R)] for i in range(L)], 0
    )
    share = _sharpened(_followed(problem, fit) * _substitution(problem, fit)).numpy()
    assert share[0] > 0.9
    assert share[1] < 0.1, "it varies independently"
    route = along[:, :, None] * onto
    expected = (1 - share)[:, None] * before.lr.effect.reshape(L, R, G) + share[:, None] * route
    expected[1, 0, 2] -= share[0] * route[1, 0, 2]  # forbidden
    np.testing.assert_allclose(lr, expected, atol=MIN_ROUTE)
    assert lr[1, 0, 0] > 3 * abs(lr[0, 0, 0])
    assert after.tf is before.tf
    assert after.pair_score.reshape(L, R)[:, 0].argmax() == 1
    assert after.lr.stability is before.lr.stability


def test_receptors_that_predict_no_target_get_no_route():
    problem, fit = tissue(1.0)
    tf = problem.history.tf[:, 0]
    problem.targets[:, 0] = 3 * tf[:, 1] + torch.randn(
        N, generator=torch.Generator().manual_seed(4)
    )
    fit.target_mean, fit.target_sd = problem.targets.mean(0), problem.targets.std(0, correction=0)
    assert float(_followed(problem, fit)[0]) > 0.7
    assert float(_substitution(problem, fit)) < 0.1
    before = evidence(1.0)
    after = share_credit(problem, fit, before, *NOTHING)
    np.testing.assert_allclose(after.lr.effect, before.lr.effect, atol=1e-3)
    np.testing.assert_allclose(after.pair_score, before.pair_score, atol=1e-3)


def test_substitution_is_relative_to_tfs_of_earlier_cells():
    problem, fit = tissue(1.0)
    assert 0.9 < float(_substitution(problem, fit)) <= 1.0
    fit.attended.tf[:, F:] = 0.0  # levels now do not count
    assert float(_substitution(problem, fit)) > 0.9
    fit.attended.receptor = torch.rand(N, R, generator=torch.Generator().manual_seed(5))
    assert float(_substitution(problem, fit)) < 0.05
    fit.attended.tf[:] = 0.0
    assert float(_substitution(problem, fit)) <= 1.0, "nothing is predicted"


def test_forbidden_edges_get_no_route():
    problem, fit = tissue(1.0)
    before = evidence(1.0)
    problem.targets[:, 2] = problem.targets[:, 0]
    fit.target_mean, fit.target_sd = problem.targets.mean(0), problem.targets.std(0, correction=0)
    free = replace(problem, forbidden=torch.empty((2, 0), dtype=torch.long))
    assert abs(share_credit(free, fit, before, *NOTHING).lr.effect[2 * G + 2]) > 0.3
    assert abs(share_credit(problem, fit, before, *NOTHING).lr.effect[2 * G + 2]) < 0.02


@pytest.mark.parametrize("depth", [50.0, 1.0])
def test_noise_of_counting_is_not_a_course_of_its_own(depth):
    g = torch.Generator().manual_seed(3)
    problem, fit = tissue(1.0)
    tf = problem.history.tf[:, 0]
    walk = torch.randn(
        N, 1, generator=g
    )  # the other receptor's own level, which its earlier cells have too
    level = torch.exp(0.8 * torch.cat([tf[:, :1], walk], 1))[:, None].repeat(1, 3, 1)
    counted = replace(problem.history, receptor=torch.poisson(depth * level, generator=g))
    follows, independent = _followed(replace(problem, history=counted), fit)
    assert follows > 0.6, "the unexplained variance of its count is noise"
    assert independent < 0.4
    assert follows > 2 * independent


def test_what_is_supported_keeps_its_weight_and_its_rank():
    problem, fit = tissue(1.0)
    before = evidence(1.0)
    edges, pairs = (x.copy() for x in NOTHING)
    edges[2 * G + 1], pairs[3] = True, True
    before.lr.effect[2 * G + 1], before.pair_score[3] = -0.2, 0.1
    after = share_credit(problem, fit, before, edges, pairs)
    assert after.lr.effect[2 * G + 1] == before.lr.effect[2 * G + 1]
    assert after.pair_score[3] == before.pair_score[3]
    plain = share_credit(problem, fit, before, *NOTHING)
    shared = 1 - plain.lr.effect[2 * G + 2] / before.lr.effect[2 * G + 2]
    assert shared > 0.9, "nearly all of the credit of receptor 0 is shared here"
    left, full = (e.lr.effect.reshape(L * R, G)[::2] for e in (before, after))
    routes = full - (1 - shared) * left
    assert np.abs(np.delete(routes.ravel(), G + 1)).max() <= 0.2 + 1e-3
    assert abs(after.lr.effect[2 * G]) == pytest.approx(0.2, abs=0.02), (
        "the strongest route is brought down to the weakest supported edge"
    )
    assert after.pair_score[2] <= 0.1 + (1 - shared) + 1e-3


def test_routes_of_some_edges_are_those_of_all():
    problem, fit = tissue(1.0)
    before = evidence(1.0)
    after = share_credit(problem, fit, before, *NOTHING)
    chosen = np.array([0, 4, 7, 8, 11])
    chosen_of = lambda values: values[chosen]
    lr = before.lr
    columns = ("effect", "effect_se", "stability", "p_value")
    listed = replace(lr, index=chosen, **{name: chosen_of(getattr(lr, name)) for name in columns})
    actual = share_credit(
        problem, fit, replace(before, lr=listed), np.zeros(5, dtype=bool), NOTHING[1]
    )
    np.testing.assert_array_equal(actual.lr.effect, after.lr.effect[chosen])
    np.testing.assert_array_equal(actual.pair_score, after.pair_score)


@pytest.mark.parametrize("n_receptors", [1, 30])
def test_receptors_of_which_nothing_can_be_told_follow_no_one(n_receptors):
    problem, fit = tissue(0.0)
    g = torch.Generator().manual_seed(7)
    counted = torch.poisson(torch.full((N, 3, n_receptors), 0.2), generator=g)
    assert (
        float(
            _followed(
                replace(problem, history=replace(problem.history, receptor=counted)), fit
            ).max()
        )
        < 0.3
    )
