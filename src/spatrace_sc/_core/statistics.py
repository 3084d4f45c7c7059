"""False discovery rates against decoys, medians over draws, and shuffles within strata."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def decoys_at_least(
    scores: NDArray[np.floating], null: tuple[NDArray[np.floating], NDArray[np.floating]]
) -> NDArray[np.float64]:
    """Weighted number of decoys that score at least as much, for each score.

    ``null`` holds decoy scores in ascending order and the weight of each, which may be negative.
    The sum is kept at 0 or more and decreases with the score.
    """
    values, weights = null
    distinct, first = np.unique(values, return_index=True)
    summed = np.add.reduceat(weights, first) if len(values) else np.empty(0)
    tail = np.concatenate([np.cumsum(summed[::-1], dtype=np.float64)[::-1], [0.0]])
    tail = np.maximum.accumulate(np.maximum(tail, 0.0)[::-1])[::-1]
    return tail[np.searchsorted(distinct, scores, side="left")]


def decoy_q_values(
    scores: NDArray[np.floating], null: tuple[NDArray[np.floating], NDArray[np.floating]]
) -> NDArray[np.float64]:
    """Target–decoy false discovery rate of each score, at most 1; 1 for a score of 0.

    It is the minimum of ``(1 + decoys) / hits`` over all thresholds up to the score.
    """
    q = np.ones(len(scores))
    positive = np.flatnonzero(scores > 0)
    order = positive[np.argsort(-scores[positive], kind="stable")]
    ranked = scores[order]
    hits = np.searchsorted(-ranked, -ranked, side="right")
    rate = np.minimum((1.0 + decoys_at_least(ranked, null)) / np.maximum(hits, 1), 1.0)
    q[order] = np.minimum.accumulate(rate[::-1])[::-1]
    return q


def n_above_decoys(
    scores: NDArray[np.floating], null: tuple[NDArray[np.floating], NDArray[np.floating]]
) -> int:
    """Number of positive scores that no decoy reaches; q of such a list alone is the inverse."""
    return int((decoys_at_least(scores[scores > 0], null) == 0).sum())


def median_over_draws(
    index: Sequence[NDArray[np.integer]],
    values: Sequence[NDArray[np.floating]],
    wanted: NDArray[np.integer],
) -> NDArray[np.float64]:
    """Upper median over draws of the value of each item of ``wanted``, which is ascending.

    The value is 1 in draws that do not list the item. Within a draw, real edges and decoys pass
    the same selection, so their counts are comparable. Counts of edges that any of several draws
    has selected are not.
    """
    n_draws = len(index)
    items, listed_values = np.concatenate(index), np.concatenate(values)
    order = np.lexsort((listed_values, items))
    items, listed_values = items[order], listed_values[order]
    unique, start, count = np.unique(items, return_index=True, return_counts=True)
    # items listed in fewer draws have the upper median 1
    frequent = (count > n_draws // 2) & np.isin(unique, wanted)
    median = np.ones(len(wanted))
    median[np.searchsorted(wanted, unique[frequent])] = listed_values[
        start[frequent] + n_draws // 2
    ]
    return median


def shuffle_within(
    values: NDArray[np.floating], strata: NDArray[np.integer], rng: np.random.Generator
) -> NDArray[np.floating]:
    """Each column shuffled independently among the rows of one stratum."""
    order = np.argsort(strata, kind="stable")
    shuffled = np.empty_like(values)
    noise = rng.random((len(values), values.shape[1]), dtype=np.float32) + strata[order][:, None]
    for column in range(values.shape[1]):
        shuffled[order, column] = values[order[np.argsort(noise[:, column], kind="stable")], column]
    return shuffled
