"""Refits against decoys: their number, their summary, and independence of workers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from _planted import CONFIG, C, F, G, L, R, draw_decoys, planted

from spatrace_sc._model.evidence.decoy_counts import MAX_STRENGTH, Tally
from spatrace_sc._model.evidence.refit import refit
from spatrace_sc._model.evidence.resample import _random_blocks, resample
from spatrace_sc._model.fit import fit

SIGNS = (1.0, 1.0, -1.0)


def config_with(**changes):
    return replace(CONFIG, evidence=replace(CONFIG.evidence, **changes))


@pytest.fixture(scope="module")
def fitted():
    problem = planted()
    return problem, fit(problem, CONFIG, seed=3)


@pytest.fixture(scope="module")
def refits(fitted):
    """Every refit by itself, from the same streams."""
    problem, result = fitted
    draw, actual = draw_decoys(problem), []
    for stream in np.random.default_rng(7).spawn(4):
        rows = _random_blocks(problem.block, problem.usable, 0.75, stream)
        actual.append(refit(problem, result, draw(stream), rows, torch.arange(L * R * G), CONFIG))
    return actual


@pytest.fixture(scope="module")
def evidence(fitted):
    problem, result = fitted
    return resample(problem, result, draw_decoys(problem), CONFIG, seed=7)


@pytest.mark.parametrize("n", [2, 5])
def test_there_are_as_many_refits_as_asked_for(fitted, n):
    problem, result = fitted
    calls, draw = [], draw_decoys(problem)

    def counted(rng):
        calls.append(1)
        return draw(rng)

    actual = resample(problem, result, counted, config_with(n_resamples=n), seed=0)
    assert len(calls) == n
    assert set(actual.draws) == {"tf", "lr", "lr_tf", "pair"}
    assert [len(draws) for draws in actual.draws.values()] == [n] * 4
    for share in (actual.tf.stability, actual.lr.stability, actual.pair_stability):
        np.testing.assert_allclose(share * n, np.round(share * n), atol=1e-5)


def test_workers_change_nothing(fitted):
    problem, result = fitted
    single, three = (
        resample(problem, result, draw_decoys(problem), config_with(n_workers=k), seed=7)
        for k in (1, 3)
    )
    for of_one, of_three in ((single, three), (single.tf, three.tf), (single.lr, three.lr)):
        for name, value in vars(of_one).items():
            if isinstance(value, np.ndarray):
                np.testing.assert_array_equal(value, getattr(of_three, name), err_msg=name)
    assert single.false_share == three.false_share
    for task, draws in single.draws.items():
        for a, b in zip(draws, three.draws[task], strict=True):
            for x, y in zip(a, b, strict=True):
                np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_threads_of_torch_are_given_back(fitted, threads):
    problem, result = fitted
    before = torch.get_num_threads()

    def fails(rng):
        raise RuntimeError("no decoys")

    try:
        torch.set_num_threads(threads)
        resample(problem, result, draw_decoys(problem), config_with(n_resamples=2), seed=0)
        assert torch.get_num_threads() == threads
        with pytest.raises(RuntimeError, match="no decoys"):
            resample(problem, result, fails, CONFIG, seed=0)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


def of_refits(refits, kind):
    """(refits, edges) weights and logarithms of p of one kind of edges."""
    return (
        torch.stack([getattr(r, name).flatten() for r in refits]).double().numpy()
        for name in (kind, f"{kind}_log_p")
    )


@pytest.mark.parametrize("kind", ["tf", "lr"])
def test_evidence_adds_up_its_refits(refits, evidence, kind):
    weights, log_p = of_refits(refits, kind)
    edges, mean = getattr(evidence, kind), weights.mean(0)
    np.testing.assert_array_equal(edges.index, np.arange(len(mean)))
    np.testing.assert_allclose(edges.effect, mean, atol=1e-6)
    sign = np.where(mean >= 0, 1, -1)
    np.testing.assert_allclose(
        edges.stability, ((weights * sign > 0).mean(0)) * (mean != 0), atol=1e-6
    )
    np.testing.assert_allclose(edges.p_value, np.exp(log_p.mean(0)), rtol=1e-4)


def test_evidence_of_pairs_adds_up_its_refits(refits, evidence):
    weights = next(of_refits(refits, "lr")).reshape(len(refits), L * R, G)
    np.testing.assert_allclose(
        evidence.pair_stability, np.mean([r.norms.numpy() > 0 for r in refits], axis=0)
    )
    np.testing.assert_allclose(
        evidence.pair_score, np.linalg.norm(weights, axis=2).mean(0), atol=1e-6
    )
    np.testing.assert_allclose(
        evidence.on_tfs, np.mean([r.on_tfs.numpy() for r in refits], axis=0), atol=1e-6
    )
    squares = np.sum([r.squares.numpy() for r in refits], axis=0)
    assert evidence.false_share == pytest.approx(
        np.clip((squares[1] + squares[2] - squares[3]) / squares[0], 0, 1), abs=1e-5
    )


@pytest.mark.parametrize("kind", ["tf", "lr"])
def test_standard_errors_are_those_of_the_jackknife(refits, evidence, kind):
    weights, _ = of_refits(refits, kind)
    share = 0.75
    by_hand = np.sqrt(share / (1 - share) * ((weights - weights.mean(0)) ** 2).mean(0))
    np.testing.assert_allclose(getattr(evidence, kind).effect_se, by_hand, atol=2e-4)
    assert by_hand.max() > 0.003
    if kind == "lr":
        norms = np.linalg.norm(weights.reshape(len(refits), L * R, G), axis=2)
        by_hand = np.sqrt(share / (1 - share) * ((norms - norms.mean(0)) ** 2).mean(0))
        np.testing.assert_allclose(evidence.pair_se, by_hand, atol=1e-5)


def test_refits_hold_every_weight(refits):
    width = G + F
    for single in refits:
        full = np.zeros((F + L * R, width))
        full.ravel()[single.weights.edge] = single.weights.weight
        np.testing.assert_array_equal(full[:F, :G], single.tf)
        np.testing.assert_array_equal(full[F:, :G], single.lr.reshape(L * R, G))
        np.testing.assert_array_equal(full[F:, G:], single.on_tfs)
        assert (np.diff(single.weights.edge) > 0).all()
        assert (single.weights.weight != 0).all()


def test_refits_know_where_they_were_made(fitted, refits):
    problem, _ = fitted
    for single, stream in zip(refits, np.random.default_rng(7).spawn(len(refits)), strict=True):
        rows = _random_blocks(problem.block, problem.usable, 0.75, stream)
        np.testing.assert_array_equal(single.weights.blocks, problem.block[rows].unique())


def test_edges_that_are_not_listed_compete_all_the_same(fitted, refits):
    problem, result = fitted
    listed = torch.tensor([0, G + 1, 2 * R * G + 1, L * R * G - 1])
    stream = np.random.default_rng(7).spawn(1)[0]
    rows = _random_blocks(problem.block, problem.usable, 0.75, stream)
    partial, every = (
        refit(problem, result, draw_decoys(problem)(stream), rows, listed, CONFIG),
        refits[0],
    )
    torch.testing.assert_close(partial.lr, every.lr[listed], atol=0, rtol=0)
    torch.testing.assert_close(partial.lr_log_p, every.lr_log_p[listed], atol=0, rtol=0)
    for name in ("tf", "pairs", "on_tfs", "norms", "pair_log_p", "squares"):
        torch.testing.assert_close(getattr(partial, name), getattr(every, name), atol=0, rtol=0)
    for task, draw in partial.draws.items():
        for x, y in zip(draw, every.draws[task], strict=True):
            np.testing.assert_array_equal(x, y)


def test_without_left_out_blocks_there_is_no_standard_error(fitted):
    problem, result = fitted
    actual = resample(
        problem, result, draw_decoys(problem), config_with(sample_share=1.0, n_resamples=2), seed=0
    )
    for edges in (actual.tf, actual.lr):
        assert np.isnan(edges.effect_se).all()
        assert np.isfinite(edges.effect).all()
    assert np.isnan(actual.pair_se).all()


def test_blocks_are_drawn_whole_and_only_where_they_can_be_used(fitted):
    problem, _ = fitted
    rows = _random_blocks(problem.block, problem.usable, 0.75, np.random.default_rng(0))
    chosen = problem.block[rows].unique()
    assert len(chosen) == round(0.75 * len(problem.block[problem.usable].unique()))
    assert torch.equal(rows, torch.isin(problem.block, chosen) & problem.usable)


def test_p_of_edges_orders_planted_before_noise(evidence):
    tf, lr = evidence.tf.p_value.reshape(F, G), evidence.lr.p_value.reshape(L * R, G)
    assert np.unravel_index(tf.argmin(), tf.shape) == (1, 0)
    assert np.unravel_index(lr.argmin(), lr.shape) == (2 * R, 1)
    # no decoy in any refit: 1 / (1 + candidates)
    np.testing.assert_allclose(
        [tf.min(), lr.min()], [1 / (1 + tf.size), 1 / (1 + lr.size)], rtol=1e-4
    )
    for p in (tf, lr):
        assert (p > 0).all()
        assert (p <= 1).all()
    assert evidence.pair_p_value.argmin() == 2 * R
    noise = lr[:, 2:].ravel()
    assert 0.3 < noise.mean() < 0.75


def slow_log_p(real, decoys, signs):
    """Every strength against every decoy; no edge is more significant than a stronger one."""
    values = np.unique(np.concatenate([real, *decoys]))
    tail = {
        v: max(0.0, sum(s * (d >= v).sum() for d, s in zip(decoys, signs, strict=True)))
        for v in values
    }
    worst = [max(tail[u] for u in values if u >= v) for v in real]
    return np.log(np.minimum((1 + np.array(worst)) / (1 + len(real)), 1))


def log_p(real, decoys, signs):
    tally = Tally()
    for decoy, sign in zip(decoys, signs, strict=True):
        tally.add(torch.as_tensor(decoy), sign)
    return tally.log_p(torch.as_tensor(real), torch.as_tensor(real).numel())


@pytest.mark.parametrize("signs", [(1.0,), SIGNS])
@pytest.mark.parametrize("seed", range(5))
def test_log_p_against_a_slow_count(signs, seed):
    rng = np.random.default_rng(seed)
    grid = np.linspace(0, 0.9 * MAX_STRENGTH, 40).astype(np.float32)
    real = rng.choice(grid, size=(6, 5))
    decoys = [rng.choice(grid, size=(6, 5)) for _ in signs]
    actual = log_p(real, decoys, signs)
    assert actual.shape == real.shape
    expected = slow_log_p(real.ravel(), [d.ravel() for d in decoys], signs)
    np.testing.assert_allclose(actual.ravel(), expected, rtol=1e-5, atol=1e-6)


def test_log_p_by_hand():
    real = torch.tensor([[0.4, 0.2, 0.1, 0.0]])
    actual = log_p(real, [torch.tensor([[0.3, 0.2, 0.0, 0.0]])], (1.0,)).exp()
    torch.testing.assert_close(actual, torch.tensor([[1 / 5, 3 / 5, 3 / 5, 1.0]]))
    alone = log_p(real, [torch.zeros(1, 4)], (1.0,)).exp()
    torch.testing.assert_close(alone, torch.tensor([[1 / 5, 1 / 5, 1 / 5, 1.0]]))
    # a double decoy takes back a false hit, but no p falls as edges get weaker
    twice = log_p(
        real,
        [torch.tensor([[0.3, 0, 0, 0]]), torch.zeros(1, 4), torch.tensor([[0.2, 0, 0, 0]])],
        SIGNS,
    )
    torch.testing.assert_close(twice.exp(), torch.tensor([[1 / 5, 2 / 5, 2 / 5, 1.0]]))


@pytest.mark.parametrize(
    ("real", "decoy"),
    [(0.0, 0.0), (0.0, 5.0), (5.0, 0.0), (1e-30, 1e30), (1e30, 1e-30), (7.0, 7.0)],
)
def test_log_p_is_finite_and_never_above_zero(real, decoy):
    for signs in ((1.0,), SIGNS):
        actual = log_p(torch.full((3, 4), real), [torch.full((3, 4), decoy)] * len(signs), signs)
        assert torch.isfinite(actual).all()
        assert (actual <= 0).all()
        assert (actual.exp() >= 1 / 13.001).all()


def test_a_forbidden_edge_has_neither_weight_nor_p(fitted):
    problem, result = fitted
    edges = [(1, 0), (F + 1, 0), (C + 2 * R, 1)]
    barred = replace(problem, forbidden=torch.tensor(edges).T)
    actual = resample(barred, result, draw_decoys(problem), config_with(n_resamples=2), seed=0)
    for barred_edges, number in ((actual.tf, G), (actual.lr, 2 * R * G + 1)):
        assert barred_edges.effect[number] == 0
        assert barred_edges.p_value[number] > 0.9
    assert (len(actual.tf), len(actual.lr)) == (F * G, L * R * G)
