"""Counting against decoys."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def decoys_at_least(
    scores: NDArray[np.floating], null: tuple[NDArray[np.floating], NDArray[np.floating]]
) -> NDArray[np.float64]:
    """Weighted number of decoys that score at least as much, for each score.

    ``null`` holds decoy scores in ascending order and the weight of each, which may be negative; the sum is kept at 0 or more and made to fall with the score.
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
    """Target–decoy false-discovery rate: the smallest over thresholds ≤ score of ``(1 + decoys) / hits``, at most 1; 1 for a score of 0."""
    q = np.ones(len(scores))
    found = np.flatnonzero(scores > 0)
    order = found[np.argsort(-scores[found], kind="stable")]
    ranked = scores[order]
    hits = np.searchsorted(-ranked, -ranked, side="right")
    rate = np.minimum((1.0 + decoys_at_least(ranked, null)) / np.maximum(hits, 1), 1.0)
    q[order] = np.minimum.accumulate(rate[::-1])[::-1]
    return q


def median_over_draws(
    index: Sequence[NDArray[np.integer]],
    values: Sequence[NDArray[np.floating]],
    wanted: NDArray[np.integer],
) -> NDArray[np.float64]:
    """Upper median over draws of the value of each item ``wanted``, ascending; 1 in draws that do not list it.

    Draw by draw, real edges and decoys go through the same selection, so that their counts can be compared; counts of edges that any of several draws has found cannot.
    """
    n_draws = len(index)
    items, found = np.concatenate(index), np.concatenate(values)
    order = np.lexsort((found, items))
    items, found = items[order], found[order]
    start = (
        np.flatnonzero(np.r_[True, items[1:] != items[:-1]])
        if len(items)
        else np.empty(0, dtype=np.intp)
    )
    often = np.diff(np.r_[start, len(items)]) > n_draws // 2
    median = np.ones(len(wanted))
    kept = start[often]
    place = np.searchsorted(wanted, items[kept])
    listed = np.isin(items[kept], wanted)
    median[place[listed]] = found[kept[listed] + n_draws // 2]
    return median


def benjamini_hochberg(p: NDArray[np.floating]) -> NDArray[np.float64]:
    """False-discovery rate after Benjamini and Hochberg."""
    n = len(p)
    order = np.argsort(p, kind="stable")
    rate = np.minimum.accumulate((np.asarray(p)[order] * n / np.arange(1, n + 1))[::-1])[::-1]
    q = np.empty(n)
    q[order] = np.minimum(rate, 1.0)
    return q


def shuffle_within(
    values: NDArray[np.floating], strata: NDArray[np.integer], rng: np.random.Generator
) -> NDArray[np.floating]:
    """Each column shuffled on its own among the rows of one stratum."""
    order = np.argsort(strata, kind="stable")
    shuffled = np.empty_like(values)
    noise = rng.random((len(values), values.shape[1]), dtype=np.float32) + strata[order][:, None]
    for column in range(values.shape[1]):
        shuffled[order, column] = values[order[np.argsort(noise[:, column], kind="stable")], column]
    return shuffled
