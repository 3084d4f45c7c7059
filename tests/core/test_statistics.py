from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from spatrace_sc._core.statistics import (
    decoy_q_values,
    decoys_at_least,
    median_over_draws,
    n_above_decoys,
    shuffle_within,
)

NOTHING = (np.empty(0), np.empty(0))


def naive_decoys(score, null):
    """Largest weighted count, at least 0, over all thresholds from the score upwards."""
    values, weights = null
    thresholds = [score, *(v for v in values if v >= score)]
    return max(
        0.0, *(sum(w for v, w in zip(values, weights, strict=True) if v >= t) for t in thresholds)
    )


def naive_q(scores, null):
    """Hits are candidates with a score above 0; so are the thresholds."""
    result = []
    for score in scores:
        if score <= 0:
            result.append(1.0)
            continue
        rates = []
        for threshold in scores:
            if 0 < threshold <= score:
                hits = sum(1 for s in scores if s >= threshold)
                rates.append((1.0 + naive_decoys(threshold, null)) / hits)
        result.append(min(1.0, *rates))
    return np.array(result)


def random_null(rng, n=30, negative=True):
    values = np.sort(rng.gamma(1.0, size=n))
    weights = rng.choice([0.5, 0.5, -0.5] if negative else [0.5], n)
    return values, weights


@pytest.mark.parametrize("negative", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_decoys_equal_the_naive_loop(seed, negative):
    rng = np.random.default_rng(seed)
    null = random_null(rng, negative=negative)
    scores = np.concatenate([rng.gamma(1.0, size=40), null[0][:5], [0.0, 1e9]])
    np.testing.assert_allclose(
        decoys_at_least(scores, null), [naive_decoys(s, null) for s in scores]
    )


def test_decoys_by_hand():
    null = (np.array([1.0, 2.0, 2.0, 4.0]), np.array([1.0, 1.0, 1.0, 1.0]))
    np.testing.assert_array_equal(
        decoys_at_least(np.array([0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0]), null), [4, 4, 3, 3, 1, 1, 0]
    )


def test_negative_decoys_lower_the_count_but_never_below_zero():
    null = (np.array([1.0, 2.0, 3.0]), np.array([1.0, -1.0, 1.0]))
    np.testing.assert_array_equal(decoys_at_least(np.array([1.0, 2.0, 3.0]), null), [1, 1, 1])
    null = (np.array([1.0, 2.0]), np.array([1.0, -3.0]))
    np.testing.assert_array_equal(decoys_at_least(np.array([1.0, 2.0]), null), [0, 0])


def test_order_of_equal_decoys_does_not_matter():
    one = decoys_at_least(np.array([1.0]), (np.array([1.0, 1.0]), np.array([-1.0, 1.0])))
    other = decoys_at_least(np.array([1.0]), (np.array([1.0, 1.0]), np.array([1.0, -1.0])))
    np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(one, 0.0)


def test_no_decoys():
    np.testing.assert_array_equal(decoys_at_least(np.array([0.0, 3.0]), NOTHING), 0.0)


@pytest.mark.parametrize("seed", range(5))
def test_q_equals_the_naive_loop_where_every_candidate_scores(seed):
    rng = np.random.default_rng(seed)
    null = random_null(rng)
    scores = rng.permutation(np.concatenate([rng.gamma(1.0, size=30), rng.gamma(8.0, size=10)]))
    scores[:4] = scores[4]
    np.testing.assert_allclose(decoy_q_values(scores, null), naive_q(scores, null))


@pytest.mark.parametrize("seed", range(3))
def test_q_equals_the_naive_loop_with_candidates_that_do_not_score(seed):
    rng = np.random.default_rng(seed)
    null = random_null(rng, negative=False)
    scores = rng.permutation(np.concatenate([rng.gamma(1.0, size=30), np.zeros(200)]))
    np.testing.assert_allclose(decoy_q_values(scores, null), naive_q(scores, null))


def test_candidates_that_do_not_score_do_not_lower_q():
    scores, null = np.arange(1.0, 11.0), (np.arange(1.0, 11.0) + 0.5, np.ones(10))
    alone = decoy_q_values(scores, null)
    np.testing.assert_array_equal(alone, 1.0)
    np.testing.assert_allclose(
        decoy_q_values(np.concatenate([scores, np.zeros(990)]), null)[:10], alone
    )


def test_q_by_hand():
    null = (np.array([1.5, 3.5]), np.ones(2))
    scores = np.array([2.0, 5.0, 1.0, 4.0, 3.0])
    # thresholds 5, 4, 3, 2, 1: (1 + 0)/1, (1 + 0)/2, (1 + 1)/3, (1 + 1)/4, (1 + 2)/5
    np.testing.assert_allclose(decoy_q_values(scores, null), [0.5, 0.5, 0.6, 0.5, 0.5])


def test_q_falls_with_the_score_and_lies_in_range():
    rng = np.random.default_rng(9)
    scores = np.sort(rng.gamma(1.0, size=200))
    q = decoy_q_values(scores, random_null(rng))
    assert (np.diff(q) <= 0).all()
    assert (q > 0).all()
    assert (q <= 1).all()
    np.testing.assert_array_equal(decoy_q_values(np.zeros(3), NOTHING), 1.0)


def naive_median(index, values, n_items):
    result = []
    for item in range(n_items):
        listed = [
            dict(zip(i.tolist(), v.tolist(), strict=True)).get(item, 1.0)
            for i, v in zip(index, values, strict=True)
        ]
        result.append(sorted(listed)[len(listed) // 2])
    return np.array(result)


@pytest.mark.parametrize("n_draws", [1, 2, 3, 4, 7])
def test_median_over_draws_equals_the_naive_loop(n_draws):
    rng = np.random.default_rng(n_draws)
    index = [rng.permutation(30)[: rng.integers(0, 30)] for _ in range(n_draws)]
    values = [rng.random(len(i)) for i in index]
    result = median_over_draws(index, values, np.arange(30))
    np.testing.assert_array_equal(result, naive_median(index, values, 30))


def test_median_over_draws_by_hand():
    index = [np.array([0, 1, 2]), np.array([1, 0]), np.array([1])]
    values = [np.array([0.5, 0.1, 0.2]), np.array([0.3, 0.4]), np.array([0.2])]
    np.testing.assert_array_equal(
        median_over_draws(index, values, np.arange(4)), [0.5, 0.2, 1.0, 1.0]
    )
    nothing = [np.empty(0, dtype=int)] * 3
    np.testing.assert_array_equal(
        median_over_draws(nothing, [np.empty(0)] * 3, np.arange(2)), [1.0, 1.0]
    )


def strata_counts(values, strata, column):
    return {s: Counter(values[strata == s, column].tolist()) for s in np.unique(strata).tolist()}


@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.int16])
def test_shuffle_keeps_every_column_within_its_strata(dtype):
    rng = np.random.default_rng(0)
    strata = rng.choice([0, 1, 2, 100], 300).astype(dtype)
    values = rng.normal(size=(300, 8)).astype(np.float32) + 10 * strata[:, None].astype(np.float32)
    before = values.copy()
    shuffled = shuffle_within(values, strata, np.random.default_rng(1))
    np.testing.assert_array_equal(values, before)
    for column in range(8):
        assert strata_counts(shuffled, strata, column) == strata_counts(values, strata, column)


def test_shuffle_differs_between_columns_and_between_seeds():
    rng = np.random.default_rng(0)
    values = np.repeat(np.arange(200.0)[:, None], 5, axis=1)
    strata = rng.integers(0, 3, 200)
    shuffled = shuffle_within(values, strata, np.random.default_rng(1))
    for left in range(5):
        assert (shuffled[:, left] != values[:, left]).mean() > 0.9
        for right in range(left):
            assert (shuffled[:, left] != shuffled[:, right]).mean() > 0.9
    np.testing.assert_array_equal(
        shuffled, shuffle_within(values, strata, np.random.default_rng(1))
    )
    assert (shuffled != shuffle_within(values, strata, np.random.default_rng(2))).any()


def test_a_stratum_of_one_stays():
    values = np.arange(4.0)[:, None]
    np.testing.assert_array_equal(
        shuffle_within(values, np.arange(4), np.random.default_rng(0)), values
    )


def test_every_order_is_equally_likely():
    columns = 6000
    values = np.repeat(np.arange(3.0)[:, None], columns, axis=1)
    shuffled = shuffle_within(values, np.zeros(3, dtype=int), np.random.default_rng(0))
    counts = Counter(map(tuple, shuffled.T.tolist()))
    assert len(counts) == 6
    assert max(abs(c - columns / 6) for c in counts.values()) < 5 * np.sqrt(columns / 6)


def test_hits_above_all_decoys_by_hand():
    scores = np.array([0.9, 0.0, 0.5, 0.8, 0.4])
    assert n_above_decoys(scores, (np.array([0.2, 0.5]), np.array([1.0, 1.0]))) == 2
    assert n_above_decoys(scores, (np.array([0.95]), np.array([1.0]))) == 0
    assert n_above_decoys(scores, (np.empty(0), np.empty(0))) == 4
    assert n_above_decoys(np.zeros(3), (np.empty(0), np.empty(0))) == 0
    # the double decoy at 0.85 takes back the one at 0.7
    assert n_above_decoys(scores, (np.array([0.7, 0.85]), np.array([1.0, -1.0]))) == 4


@pytest.mark.parametrize("n", [1, 4, 12])
def test_a_list_above_all_decoys_has_the_inverse_of_its_length_as_q(n):
    scores = np.linspace(1, 2, n)
    null = np.linspace(0.1, 0.9, 9), np.ones(9)
    assert n_above_decoys(scores, null) == n
    np.testing.assert_allclose(decoy_q_values(scores, null), 1 / n)
