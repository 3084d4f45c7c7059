"""Out-of-sample comparison of a regulator with its rivals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from spatrace_sc._model.evidence.rival_test import Blocks, Contest, advantage, p_of_no_advantage

N, K, T, R, B = 240, 3, 4, 5, 8


def data(seed=0):
    """Signals (n, 1 + K), residual (n, T), weights, sizes in refits, blocks, refits, barred."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(N, 1 + K)) + rng.normal(size=(N, 1))
    residual = rng.normal(size=(N, T)) + 0.2 * x[:, :1]
    weight = rng.normal(size=(1 + K, T)) * (rng.random((1 + K, T)) < 0.7)
    size = rng.random((R, 1 + K, T)) * (rng.random((R, 1 + K, T)) < 0.7)
    block = rng.integers(B, size=N)
    fitted = np.stack([rng.permutation(B) < B * 3 // 4 for _ in range(R)])
    barred = rng.random((K, T)) < 0.2
    return x, residual, weight, size, block, fitted, barred


def contest(x, residual, weight, size, block, fitted, barred):
    blocks = Blocks(torch.from_numpy(block))
    signals, residual = (blocks.in_order(torch.from_numpy(v)) for v in (x, residual))
    return Contest(
        blocks.products(signals, residual),
        blocks.products(signals.square(), torch.ones_like(signals[:, :1]))[..., 0],
        blocks.products(signals, signals[:, :1])[..., 0],
        *(torch.from_numpy(v) for v in (weight, size, fitted, barred)),
    )


def slow(x, residual, weight, size, block, fitted, barred):
    """Cell by cell, following the docstring of ``advantage``."""
    actual, explained = np.full((2, B, K), np.nan)
    for k in range(K):
        gains, explained_by_itself = [[[] for _ in range(B)] for _ in range(2)]
        for refit in range(R):
            inside = np.isin(block, np.flatnonzero(fitted[refit]))
            for b in np.flatnonzero(~fitted[refit]):
                total = gain = 0.0
                for g in range(T):
                    if barred[k, g] or size[refit, 0, g] <= size[refit, 1 + k, g]:
                        continue
                    partial = (
                        residual[:, g] + x[:, 0] * weight[0, g] + x[:, 1 + k] * weight[1 + k, g]
                    )
                    errors = []
                    for column in (x[:, 0], x[:, 1 + k]):
                        slope = (column[inside] @ partial[inside]) / (
                            column[inside] @ column[inside]
                        )
                        errors.append(((partial - slope * column)[block == b] ** 2).sum())
                    total += size[refit, 0, g] * (errors[1] - errors[0])
                    gain += size[refit, 0, g] * ((partial**2)[block == b].sum() - errors[0])
                gains[b].append(total)
                explained_by_itself[b].append(gain)
        actual[:, k], explained[:, k] = (
            [np.mean(g) if g else np.nan for g in of] for of in (gains, explained_by_itself)
        )
    return actual, explained


def test_products_are_sums_by_block():
    rng = np.random.default_rng(1)
    x, y, code = rng.normal(size=(50, 3)), rng.normal(size=(50, 2)), rng.choice([2, 5, 11], 50)
    blocks = Blocks(torch.from_numpy(code))
    assert blocks.codes.tolist() == [2, 5, 11]
    assert len(blocks) == 3
    actual = blocks.products(*(blocks.in_order(torch.from_numpy(v)) for v in (x, y)))
    for number, one in enumerate([2, 5, 11]):
        np.testing.assert_allclose(actual[number], x[code == one].T @ y[code == one])


@pytest.mark.parametrize("seed", range(4))
def test_advantage_is_what_a_loop_over_cells_finds(seed):
    given = data(seed)
    for actual, expected in zip(advantage(contest(*given)), slow(*given), strict=True):
        np.testing.assert_allclose(actual, expected, atol=1e-9)
        assert np.isfinite(expected).sum() > 10


def test_a_block_that_no_refit_left_out_tells_nothing():
    given = list(data())
    given[5] = given[5].copy()
    given[5][:, 2] = True
    actual, explained = advantage(contest(*given))
    assert actual[2].isnan().all()
    known = torch.isfinite(actual).all(1)
    assert known.sum() > 3
    p = p_of_no_advantage(actual, explained)
    assert p.isfinite().all()
    np.testing.assert_allclose(p, p_of_no_advantage(actual[known], explained[known]))


def test_units_of_the_signals_do_not_matter():
    x, residual, weight, *rest = data()
    scale = np.array([3.0, 0.5, 10.0, 2.0])
    scaled = advantage(contest(x * scale, residual, weight / scale[:, None], *rest))
    for one, other in zip(scaled, advantage(contest(x, residual, weight, *rest)), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-9)


@pytest.mark.parametrize(
    "why", ["no weight in a refit", "more of the rival's", "the rival may not act"]
)
def test_targets_that_do_not_count(why):
    x, residual, weight, size, *rest, barred = data()
    size, barred = size.copy(), np.zeros_like(barred)
    if why == "no weight in a refit":
        size[:, 0, 0] = 0.0
    elif why == "more of the rival's":
        size[:, 1:, 0] = size[:, :1, 0] + 0.1
    else:
        barred[:, 0] = True
    changed = residual.copy()
    changed[:, 0] += 5 * x[:, 1]
    one, other = (
        advantage(contest(x, y, weight, size, *rest, barred))[0] for y in (changed, residual)
    )
    np.testing.assert_allclose(one, other, atol=1e-9)
    assert other.nan_to_num().abs().max() > 0.01


@pytest.mark.parametrize("scale", [1.0, 3.7])
def test_an_exact_copy_is_not_told_apart_whatever_rounding_says(scale):
    x, residual, weight, size, *rest, barred = data()
    residual = residual + x[:, :1]
    x[:, 1] = scale * x[:, 0]
    size = size.copy()
    size[:, 1] = 0.0
    single = [v.astype(np.float32) for v in (x, residual)]
    actual, explained = advantage(contest(*single, weight, size, *rest, np.zeros_like(barred)))
    assert explained[:, 0].nanmean() > 1
    np.testing.assert_allclose(actual[:, 0].nan_to_num(), 0.0, atol=1e-3)
    assert float(p_of_no_advantage(actual, explained)[0]) == 1.0


def p_of(actual):
    return p_of_no_advantage(actual, torch.ones_like(actual))


def test_p_is_that_of_a_one_sided_t_test():
    actual = torch.from_numpy(np.random.default_rng(3).normal(0.4, 1, size=(12, 2)))
    expected = stats.ttest_1samp(actual.numpy(), 0.0, alternative="greater").pvalue
    np.testing.assert_allclose(p_of(actual), expected)
    np.testing.assert_allclose(p_of(torch.cat([actual, torch.full((1, 2), torch.nan)])), expected)
    np.testing.assert_allclose(p_of(-actual), 1 - expected)


def test_p_without_spread_and_with_too_few_blocks():
    assert p_of(torch.tensor([[1.0, -1.0, 0.0], [1.0, -1.0, 0.0]])).tolist() == [0.0, 1.0, 1.0]
    assert p_of(torch.tensor([[7.0, 8.0]])).tolist() == [1.0, 1.0]
    assert p_of(torch.full((4, 2), torch.nan)).tolist() == [1.0, 1.0]


def fitted_together(x, y, rows, threshold=0.1):
    """Weights in a joint regression; small ones are 0."""
    weight = np.linalg.lstsq(x[rows], y[rows], rcond=None)[0]
    return np.sign(weight) * np.maximum(np.abs(weight) - threshold, 0.0)


def p_beside(x, y, n_blocks, seed=0):
    """p that a column (rows) has no advantage over each other one, and the weights."""
    rng, n = np.random.default_rng(seed), len(x)
    block = np.arange(n) * n_blocks // n
    x = (x - x.mean(0)) / x.std(0)
    y = y - y.mean(0)
    fitted = np.stack([rng.permutation(n_blocks) < 3 * n_blocks // 4 for _ in range(10)])
    weight = fitted_together(x, y, slice(None))
    size = np.stack(
        [np.abs(fitted_together(x, y, np.isin(block, np.flatnonzero(f)))) for f in fitted]
    )
    p = np.full((x.shape[1], x.shape[1]), np.nan)
    for k in range(x.shape[1]):
        order = np.r_[k, np.delete(np.arange(x.shape[1]), k)]
        barred = np.zeros((len(order) - 1, y.shape[1]), dtype=bool)
        known = contest(
            x[:, order], y - x @ weight, weight[order], size[:, order], block, fitted, barred
        )
        p[k, order[1:]] = p_of_no_advantage(*advantage(known))
    return p, weight


@pytest.mark.parametrize("seed", range(3))
def test_a_copy_that_tells_what_the_noise_of_the_true_one_hides_has_no_advantage(seed):
    rng = np.random.default_rng(seed)
    true = rng.normal(size=1500)
    alike = 0.8 * true + 0.6 * rng.normal(size=1500)
    x = np.column_stack([true, alike]) + 0.6 * rng.normal(size=(1500, 2))
    y = 0.5 * true[:, None] * (np.arange(80) < 40) + rng.normal(size=(1500, 80))
    p, weight = p_beside(x, y, 30, seed)
    # beside the true one it has weights where the true one acts, and hardly any elsewhere
    assert (np.abs(weight[1, :40]) > 0).mean() > 0.4 > 0.02 > (np.abs(weight[1, 40:]) > 0).mean()
    assert p[0, 1] < 0.001
    assert p[1, 0] > 0.3


@pytest.mark.parametrize("seed", range(3))
def test_a_weak_one_beside_a_strong_one_that_is_alike_is_told_apart_by_its_own_targets(seed):
    rng = np.random.default_rng(seed)
    common = rng.normal(size=1500)
    true = 0.85 * common[:, None] + 0.5 * rng.normal(size=(1500, 2))
    x = true + 0.4 * rng.normal(size=(1500, 2))
    effect = np.zeros((2, 120))
    effect[0, :80], effect[1, 80:100] = 0.5, 0.3
    p, weight = p_beside(x, true @ effect + rng.normal(size=(1500, 120)), 30, seed)
    assert np.corrcoef(x.T)[0, 1] > 0.5
    assert np.linalg.norm(weight[1]) < 0.5 * np.linalg.norm(weight[0])
    assert p[0, 1] < 0.001
    assert p[1, 0] < 0.01


def test_equally_good_ones_are_told_apart_as_often_as_the_level_says():
    known, of_larger = [], []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        true = rng.normal(size=900)
        x = true[:, None] + 0.6 * rng.normal(size=(900, 2))
        p, weight = p_beside(x, 0.3 * true[:, None] + rng.normal(size=(900, 20)), 18, seed)
        larger = int(np.linalg.norm(weight, axis=1).argmax())
        known.append(p[0, 1] <= 0.1)
        of_larger.append(p[larger, 1 - larger] <= 0.1)
    assert 0.03 <= np.mean(known) <= 0.17
    # who asks only for the one that looks better errs about twice as often
    assert np.mean(known) <= np.mean(of_larger) <= 0.3
