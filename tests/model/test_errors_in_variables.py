"""Effects of TFs corrected for count noise, and the test of their size."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.stats import t as student

from spatrace_sc._core.counts import counting_variance
from spatrace_sc._model.evidence.errors_in_variables import (
    RIDGE,
    CorrectedEffects,
    _inverse,
    _inverse_of,
    corrected_effects,
    noise_share,
)
from spatrace_sc._model.evidence.minimum_effect import EffectTest
from spatrace_sc._model.records import History, Problem, Weights

SHARE = 0.2


def problem_of(count, targets, *, noise=None, block=None, forbidden=()):
    """TFs and targets, with one pair without a weight and one covariate of noise."""
    n, f = count.shape
    edges = torch.tensor(list(forbidden), dtype=torch.long).reshape(-1, 2).T
    g = torch.Generator().manual_seed(0)
    return Problem(
        history=History(
            torch.zeros(n, 1, f),
            torch.zeros(n, f),
            torch.ones(n, 2, 1),
            torch.ones(n, 2, 1),
            torch.ones(n, 2).bool(),
        ),
        pair_ligand=torch.zeros(1, dtype=torch.long),
        pair_receptor=torch.zeros(1, dtype=torch.long),
        tf_gene=torch.arange(f).repeat(2),
        tf_count=torch.as_tensor(count, dtype=torch.float32),
        tf_noise=torch.as_tensor(np.zeros(f) if noise is None else noise, dtype=torch.float32),
        tf_state=torch.as_tensor(count, dtype=torch.float32),
        receptor_level=torch.zeros(n, 1),
        target_past=torch.zeros(n, targets.shape[1]),
        covariates=torch.randn(n, 1, generator=g),
        targets=torch.as_tensor(targets, dtype=torch.float32),
        usable=torch.ones(n).bool(),
        block=torch.arange(n) * 40 // n if block is None else torch.as_tensor(block),
        penalty=torch.ones(2 * f + 2),
        tf_penalty=None,
        forbidden=edges,
        forbidden_on_tfs=edges[:, :0],
    )


def corrected(problem, share=SHARE, selected=None):
    fit = SimpleNamespace(
        target_mean=problem.targets.mean(0),
        target_sd=problem.targets.std(0, correction=0),
        weights=Weights(
            torch.empty(0, dtype=torch.long), torch.empty(0, problem.targets.shape[1]), 0.1
        ),
        attended=SimpleNamespace(exposure=torch.ones(len(problem.usable), 1), receptor=None),
        network=SimpleNamespace(signal=lambda exposure, receptor, chosen: exposure[:, chosen]),
    )
    return corrected_effects(problem, fit, share, selected)


def followed(seed=0, n=3000, along=0.7, extra=2):
    """TF 0 drives target 0, TF 1 follows TF 0 and does nothing, the others are independent.

    Levels are read as counts.
    """
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, 2 + extra))
    z[:, 1] = along * z[:, 0] + np.sqrt(1 - along**2) * z[:, 1]
    mean = np.exp(1.3 + 0.6 * z)
    level = np.log1p(mean)
    y = np.column_stack([level[:, 0] / level[:, 0].std() + rng.normal(size=n), rng.normal(size=n)])
    count = np.log1p(rng.poisson(mean))
    return problem_of(count, y, noise=counting_variance(mean, np.ones(n))), level, y


def slopes(x, y):
    x, y = ((v - v.mean(0)) / v.std(0) for v in (x, y))
    return np.linalg.solve(x.T @ x, x.T @ y)


def test_a_tf_that_follows_the_true_one_is_cleared():
    problem, level, y = followed()
    plain = slopes(problem.tf_count.numpy(), y)
    assert plain[1, 0] > 0.1, "least squares must go wrong, otherwise this test shows nothing"
    actual, true = corrected(problem), slopes(level, y)
    assert abs(actual.effect[1, 0]) < 0.06
    assert actual.effect[0, 0] == pytest.approx(true[0, 0], rel=0.12), "the ridge costs a tenth"
    assert abs(actual.effect[0, 0] - true[0, 0]) < 0.5 * abs(plain[0, 0] - true[0, 0])
    assert actual.test.p_value[1, 0] > 0.5
    assert actual.test.p_value[0, 0] < 1e-6
    uncorrected = corrected(replace(problem, tf_noise=torch.zeros(4)))
    assert uncorrected.effect[1, 0] == pytest.approx(plain[1, 0], abs=0.03)
    assert uncorrected.test.p_value[1, 0] < 0.05


def test_a_target_of_nothing_has_no_tf():
    actual = np.stack(
        [corrected(followed(seed, n=800)[0], 0.0).test.p_value[:, 1] for seed in range(40)]
    )
    assert 0.005 < (actual < 0.05).mean() < 0.12


def test_noise_share_is_that_of_the_variance_and_capped():
    problem, _, _ = followed(n=500)
    variance = problem.tf_count.numpy().var(0)
    np.testing.assert_allclose(noise_share(problem), problem.tf_noise.numpy() / variance, rtol=1e-5)
    assert (noise_share(replace(problem, tf_noise=torch.full((4,), 99.0))) == 0.95).all()


def test_without_noise_it_is_ridge_regression_with_errors_by_block():
    rng = np.random.default_rng(0)
    n, blocks = 600, rng.integers(15, size=600)
    x = rng.normal(size=(n, 3))
    y = x @ rng.normal(size=(3, 2)) + rng.normal(size=(n, 2))
    problem = problem_of(x, y, block=blocks)
    actual = corrected(problem, 0.0)
    z = np.column_stack([x, problem.covariates.numpy()])
    z, t = (z - z.mean(0)) / z.std(0), (y - y.mean(0)) / y.std(0)
    inverse = np.linalg.inv(z.T @ z / n + RIDGE * np.eye(4))
    b = inverse @ z.T @ t / n
    np.testing.assert_allclose(actual.effect, b[:3], atol=1e-5)
    for g in range(2):
        residual = t[:, g] - z @ b[:, g]
        scores = [(z[blocks == k] * residual[blocks == k, None]).sum(0) for k in range(15)]
        cover = inverse @ sum(np.outer(s, s) for s in scores) @ inverse / n**2
        se = np.sqrt(np.diag(cover)[:3] * n / (n - 4))
        np.testing.assert_allclose(actual.se[:, g], se, rtol=1e-4)
        np.testing.assert_allclose(
            actual.test.p_value[:, g], 2 * student.sf(np.abs(b[:3, g]) / se, 14), rtol=1e-2
        )


def test_an_error_with_noise_by_hand():
    problem, _, _ = followed(n=400)
    actual = corrected(problem)
    share = noise_share(problem).numpy().astype(float)
    z = np.column_stack([problem.tf_count.numpy(), problem.covariates.numpy()]).astype(float)
    z = (z - z.mean(0)) / z.std(0)
    y = problem.targets.numpy().astype(float)
    y = (y - y.mean(0)) / y.std(0)
    d = np.diag([*share, 0.0])
    values, vectors = np.linalg.eigh(z.T @ z / 400 - d)
    inverse = np.linalg.inv((vectors * np.maximum(values, 0)) @ vectors.T + RIDGE * np.eye(5))
    b = inverse @ z.T @ y[:, 0] / 400
    cover = np.zeros((5, 5))
    for k in np.unique(problem.block):
        cells = problem.block.numpy() == k
        score = sum(z[i] * (y[i, 0] - z[i] @ b) + d @ b for i in np.flatnonzero(cells))
        cover += np.outer(score, score) / 400**2
    se = np.sqrt(np.diag(inverse @ cover @ inverse)[:4] * 400 / 395)
    # per standard deviation of the noise-free level
    np.testing.assert_allclose(actual.effect[:, 0], b[:4] * np.sqrt(1 - share), atol=1e-4)
    np.testing.assert_allclose(actual.se[:, 0], se * np.sqrt(1 - share), rtol=1e-3)


def test_standard_errors_are_the_spread_over_repetitions():
    actual = [corrected(followed(seed, n=400)[0]) for seed in range(80)]
    spread = np.std([f.effect for f in actual], axis=0, ddof=1)
    se = np.mean([f.se for f in actual], axis=0)
    np.testing.assert_allclose(se / spread, 1, atol=0.3)


def test_what_is_significant_but_small_is_not_named():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(6000, 3))
    y = x @ np.array([[1.0], [0.1], [0.5]]) + 0.3 * rng.normal(size=(6000, 1))
    actual = corrected(problem_of(x, y))
    assert abs(actual.effect[1, 0]) > 10 * actual.se[1, 0]
    assert actual.test.p_value[1, 0] > 0.99
    assert (actual.test.p_value[[0, 2], 0] < 1e-6).all()
    total = np.sqrt(np.maximum(actual.effect[:, 0] ** 2 - actual.se[:, 0] ** 2, 0).sum())
    assert actual.test.minimum[0] == pytest.approx(SHARE * total)
    size, free = np.abs(actual.effect[1, 0]), 39
    tails = [
        student.sf((size + side * actual.test.minimum[0]) / actual.se[1, 0], free)
        for side in (-1, 1)
    ]
    assert actual.test.p_value[1, 0] == pytest.approx(sum(tails))
    anything = corrected(problem_of(x, y), 0.0)
    assert anything.test.p_value[1, 0] < 1e-6
    assert (anything.test.minimum == 0).all()


def test_a_gene_is_left_out_of_the_regression_of_itself():
    problem, _, y = followed(n=900)
    count_itself = problem.tf_count.numpy()[:, 0]
    problem = replace(
        problem,
        targets=torch.as_tensor(np.column_stack([y, count_itself]), dtype=torch.float32),
        forbidden=torch.tensor([[0, 4], [2, 2]]),
    )
    actual = corrected(problem)
    assert actual.effect[0, 2] == 0
    assert actual.test.p_value[0, 2] == 1
    assert np.isinf(actual.se[0, 2])
    share = noise_share(problem).numpy().astype(float)
    z = np.column_stack([problem.tf_count.numpy(), problem.covariates.numpy()]).astype(float)
    z = (z - z.mean(0)) / z.std(0)
    values, vectors = np.linalg.eigh(z.T @ z / 900 - np.diag([*share, 0.0]))
    full = (vectors * np.maximum(values, 0)) @ vectors.T + RIDGE * np.eye(5)
    target = (count_itself - count_itself.mean()) / count_itself.std()
    by_hand = np.linalg.inv(full[1:, 1:]) @ z[:, 1:].T @ target / 900
    np.testing.assert_allclose(
        actual.effect[1:, 2], by_hand[:3] * np.sqrt(1 - share[1:]), atol=1e-4
    )
    free = corrected(replace(problem, forbidden=torch.empty((2, 0), dtype=torch.long)))
    np.testing.assert_allclose(actual.effect[:, :2], free.effect[:, :2], atol=1e-6)
    assert free.effect[0, 2] > 0.5


def test_removed_columns_against_an_explicit_inverse():
    g = torch.Generator().manual_seed(0)
    x = torch.randn(40, 6, generator=g).double()
    matrix = x.T @ x / 40
    inverse = _inverse(matrix)
    torch.testing.assert_close(inverse, torch.linalg.inv(matrix + RIDGE * torch.eye(6)))
    for columns in ([2], [0, 5], [1, 2, 3]):
        left = [k for k in range(6) if k not in columns]
        expected = torch.zeros(6, 6).double()
        block = torch.linalg.inv((matrix + RIDGE * torch.eye(6))[left][:, left])
        expected[np.ix_(left, left)] = block
        chosen = torch.ones(6, dtype=torch.bool)
        chosen[columns] = False
        torch.testing.assert_close(_inverse_of(matrix, chosen), expected)


def test_tfs_that_are_not_selected_leave_the_regression():
    problem, _, _ = followed(n=900)
    selected = torch.tensor([[1, 1], [0, 1], [1, 0], [0, 0]], dtype=torch.bool)
    actual, every = corrected(problem, selected=selected), corrected(problem)
    assert (actual.effect[~selected] == 0).all()
    assert (actual.test.p_value[~selected] == 1).all()
    assert np.isinf(actual.se[~selected]).all()
    assert np.isnan(actual.robustness[~selected]).all()
    for g in range(2):
        used = np.flatnonzero(selected[:, g])
        alone = replace(
            problem,
            tf_count=problem.tf_count[:, used],
            tf_noise=problem.tf_noise[used],
            tf_gene=torch.arange(len(used)).repeat(2),
            history=replace(
                problem.history,
                tf=problem.history.tf[:, :, used],
                tf_now=problem.history.tf_now[:, used],
            ),
            targets=problem.targets[:, [g]],
        )
        expected = corrected(alone)
        for name in ("effect", "se", "robustness", "benchmark"):
            np.testing.assert_allclose(
                getattr(actual, name)[used, g], getattr(expected, name)[:, 0], rtol=1e-5, atol=1e-9
            )
        p = actual.test.p_value[used, g], expected.test.p_value[:, 0]
        np.testing.assert_allclose(*p, rtol=1e-5, atol=1e-9)
    assert not np.allclose(actual.se[0, 0], every.se[0, 0], rtol=1e-3)


def test_a_target_for_which_no_tf_is_selected_has_nothing():
    problem, _, _ = followed(n=900)
    selected = torch.ones((4, 2), dtype=torch.bool)
    selected[:, 1] = False
    for _ in range(3):  # memory that was used before must not show
        torch.full((2, 4, 2), 7.0).double()
        actual = corrected(problem, selected=selected)
        assert np.isnan(actual.robustness[:, 1]).all()
        assert np.isnan(actual.benchmark[:, 1]).all()
        assert np.isinf(actual.se[:, 1]).all()
        assert (actual.effect[:, 1] == 0).all()
        assert not actual.test.tested[:, 1].any()


def test_too_many_tfs_for_the_cells(caplog):
    rng = np.random.default_rng(0)
    actual = corrected(problem_of(rng.normal(size=(40, 25)), rng.normal(size=(40, 2))))
    assert (actual.test.p_value == 1).all()
    assert (actual.effect == 0).all()
    assert actual.weight == 0
    assert "25 TFs are too many for 40 receivers" in caplog.text
    caplog.clear()
    corrected(problem_of(rng.normal(size=(60, 25)), rng.normal(size=(60, 2))))
    assert not caplog.records


def test_units_and_order_do_not_matter():
    problem, _, _ = followed(n=500)
    actual = corrected(problem)
    order = torch.tensor([2, 0, 3, 1])
    other = replace(
        problem,
        tf_count=10 * problem.tf_count[:, order] + 3,
        tf_noise=100 * problem.tf_noise[order],
        targets=5 * problem.targets - 1,
        block=problem.block.max() - problem.block,
    )
    reordered = corrected(other)
    pairs = [(getattr(reordered, k), getattr(actual, k)) for k in ("effect", "se")]
    for after, before in [*pairs, (reordered.test.p_value, actual.test.p_value)]:
        np.testing.assert_allclose(after, before[order.numpy()], rtol=1e-2, atol=1e-4)


def test_the_weight_of_corrected_effects_by_hand():
    empty = np.zeros((0, 0))
    no_test = EffectTest(empty, np.zeros(0), empty > 0)
    for reliability, weight in ((0.0, 0.0), (1.0, 3 / 4), (0.5, 0.75 / 1.75)):
        assert CorrectedEffects(
            empty, empty, no_test, reliability, empty, empty
        ).weight == pytest.approx(weight)
    assert corrected(followed()[0]).reliability > 0.9
    rng = np.random.default_rng(0)
    assert (
        corrected(problem_of(rng.normal(size=(300, 5)), rng.normal(size=(300, 20)))).reliability
        < 0.4
    )


def test_more_cells_than_the_model_is_right_for_make_no_test_surer(monkeypatch):
    problem, _, _ = followed()
    usual = corrected(problem)
    monkeypatch.setattr("spatrace_sc._model.evidence.minimum_effect.MAX_EFFECTIVE_CELLS", 750)
    actual = corrected(problem)
    np.testing.assert_array_equal(actual.effect, usual.effect)
    np.testing.assert_array_equal(actual.se, usual.se)
    size, error = np.abs(actual.effect), 2 * actual.se  # the square root of 3000 cells over 750
    slow = student.sf((size - actual.test.minimum) / error, 39) + student.sf(
        (size + actual.test.minimum) / error, 39
    )
    np.testing.assert_allclose(actual.test.p_value, slow, rtol=1e-9)
    assert actual.test.p_value[0, 0] > usual.test.p_value[0, 0]
