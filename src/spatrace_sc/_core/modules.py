"""Modules: rows that share their columns in several tables at once."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

#: Iterations of one factorisation.
MAX_ITERATIONS = 500
#: Random starts beside the one from the singular vectors.
STARTS = 4
#: By how much stability must exceed that of shuffled data for there to be modules, and how much less than the best it may exceed it for a larger rank to be taken.
LEAST, MARGIN = 0.1, 0.03


class Joint(NamedTuple):
    """Tables side by side, none of them negative, with equal weight for every row within a table."""

    values: NDArray[np.float64]
    """(P, columns)"""
    unit: NDArray[np.intp]
    """(columns,) number of what is drawn together when columns are resampled: a target with its two parts, a block of cells with its two parts."""
    table: NDArray[np.intp]
    """(columns,) number of the table."""


class Factors(NamedTuple):
    """One factorisation, *values* ≈ ``weight @ pattern``."""

    weight: NDArray[np.float64]
    """(P, K) of rows, at least 0."""
    pattern: NDArray[np.float64]
    """(K, columns) at least 0, of length 1."""
    error: float
    """Squared distance over squared length of the values."""


def cell_blocks(
    place: NDArray[np.floating], strata: NDArray[np.integer], *, size: int, at_most: int
) -> NDArray[np.intp]:
    """(cells,) number of the block of each cell: cells of one stratum that are near each other, about ``size`` of them, more where there would be over ``at_most`` blocks.

    Each stratum is halved at the median of the coordinate in which it is widest until the parts are small enough; coordinates are used in the units given. Numbers follow the strata and the coordinates, not the order of the cells.
    """
    size = max(size, -(-len(place) // max(at_most, 1)))
    block = np.empty(len(place), dtype=np.intp)
    number = 0
    for stratum in np.unique(strata):
        waiting = [np.flatnonzero(strata == stratum)]
        while waiting:
            here = waiting.pop()
            if len(here) < 2 * size or not np.ptp(place[here], axis=0).any():
                block[here] = number
                number += 1
                continue
            axis = int(np.ptp(place[here], axis=0).argmax())
            other = [place[here, k] for k in range(place.shape[1]) if k != axis]
            order = here[np.lexsort([*other, place[here, axis]])]
            waiting += [order[len(order) // 2 :], order[: len(order) // 2]]
    return block


def block_means(values: NDArray[np.floating], block: NDArray[np.integer]) -> NDArray[np.float64]:
    """(blocks, columns) means over the cells of a block; columns one at a time, so that no second copy of a large table is made."""
    n = np.bincount(block)
    sums = [
        np.bincount(block, weights=values[:, k], minlength=len(n)) for k in range(values.shape[1])
    ]
    return np.stack(sums, axis=1) / n[:, None] if sums else np.empty((len(n), 0))


def joint_table(tables: Sequence[NDArray[np.floating]], weights: Sequence[float]) -> Joint:
    """Tables (P, columns) with signs, made one table without: every column becomes a part above 0 and a part below, and every row gets length 1 in each table, times the root of the table's weight.

    A row that is 0 stays 0. So no table dominates because it has more columns or larger values, and no row because it is strong.
    """
    parts, units, of = [], [], []
    offset = 0
    for number, (table, weight) in enumerate(zip(tables, weights, strict=True)):
        length = np.linalg.norm(table, axis=1, keepdims=True)
        scaled = table * (np.sqrt(weight) / np.where(length > 0, length, 1.0))
        for part in (np.maximum(scaled, 0.0), np.maximum(-scaled, 0.0)):
            used = part.any(axis=0)
            parts.append(part[:, used])
            units.append(offset + np.flatnonzero(used))
            of.append(np.full(int(used.sum()), number))
        offset += table.shape[1]
    return Joint(np.hstack(parts).astype(np.float64), np.concatenate(units), np.concatenate(of))


def factorise(values: NDArray[np.floating], rank: int, seed: int, starts: int = STARTS) -> Factors:
    """Non-negative factorisation with the smallest squared error, the best of ``starts`` random starts and one from the singular vectors."""
    from sklearn.decomposition import NMF
    from sklearn.exceptions import ConvergenceWarning

    if not values.any():
        return Factors(np.zeros((len(values), rank)), np.zeros((rank, values.shape[1])), 0.0)
    best: Factors | None = None
    plans = [("nndsvda", seed)] if rank <= min(values.shape) else []
    plans += [("random", seed + k) for k in range(starts if plans else max(starts, 1))]
    for init, state in plans:
        model = NMF(
            n_components=rank, init=init, random_state=state, max_iter=MAX_ITERATIONS, tol=1e-5
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            weight = np.asarray(model.fit_transform(values))
        pattern = np.asarray(model.components_)
        length = np.linalg.norm(pattern, axis=1)
        error = float(((values - weight @ pattern) ** 2).sum() / max((values**2).sum(), 1e-300))
        if best is None or error < best.error - 1e-9:
            best = Factors(
                weight * length, pattern / np.where(length > 0, length, 1.0)[:, None], error
            )
    if best is None:
        raise ValueError("no factorisation was tried")
    return best


def membership(weight: NDArray[np.floating]) -> NDArray[np.float64]:
    """(P, K) share of a row that belongs to each module; rows add up to 1. A row without weight belongs to all alike."""
    total = weight.sum(axis=1, keepdims=True)
    return np.where(total > 0, weight / np.where(total > 0, total, 1.0), 1.0 / weight.shape[1])


def agreement(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """Mean cosine of the columns of two (P, K) tables, paired in the best way; 1: the same modules, whatever their order."""
    left, right = (x / np.where((n := np.linalg.norm(x, axis=0)) > 0, n, 1.0) for x in (one, other))
    cosine = left.T @ right
    return float(cosine[linear_sum_assignment(cosine, maximize=True)].mean())


def stability(
    tables: Sequence[NDArray[np.floating]],
    weights: Sequence[float],
    ranks: Sequence[int],
    *,
    draws: int,
    seed: int,
    tick: Callable[[], object] = lambda: None,
) -> NDArray[np.float64]:
    """(2, ranks) how alike the modules of the two halves of the data are, and the same where there is nothing to share.

    A draw splits the columns of each table at random: half of the targets and half of the blocks of cells against the rest. Both halves are factorised on their own and the memberships compared
    (:func:`agreement`); the mean over draws. Second row: every row of every table shuffled on its own first, so that rows share columns by chance alone.
    """
    rng = np.random.default_rng(seed)
    found = np.zeros((draws, 2, len(ranks)))
    for draw in range(draws):
        shuffled = [rng.permuted(table, axis=1) for table in tables]
        state = int(rng.integers(2**31 - 1))
        for kind, given in enumerate((tables, shuffled)):
            joint = joint_table(given, weights)
            half = _half(joint, rng)
            for k, rank in enumerate(ranks):
                parts = [
                    membership(factorise(joint.values[:, h], rank, state, 1).weight)
                    for h in (half, ~half)
                ]
                found[draw, kind, k] = agreement(*parts)
                tick()
    mean: NDArray[np.float64] = found.mean(axis=0)
    return mean


def _half(joint: Joint, rng: np.random.Generator) -> NDArray[np.bool_]:
    """(columns,) a random half of the units of each table, with both of their parts."""
    first = np.zeros(int(joint.unit.max(initial=-1)) + 1, dtype=bool)
    for table in np.unique(joint.table):
        units = np.unique(joint.unit[joint.table == table])
        first[rng.permutation(units)[: (len(units) + rng.integers(2)) // 2]] = True
    return first[joint.unit]


def smallest_module(joint: Joint, ranks: Sequence[int], seed: int) -> NDArray[np.intp]:
    """(ranks,) how many rows have most of their weight in the module that has the fewest of them."""
    found = []
    for rank in ranks:
        main = membership(factorise(joint.values, rank, seed).weight).argmax(axis=1)
        found.append(np.bincount(main, minlength=rank).min())
    return np.array(found, dtype=np.intp)


def choose_rank(
    ranks: Sequence[int],
    observed: NDArray[np.floating],
    shuffled: NDArray[np.floating],
    smallest: NDArray[np.integer],
) -> int:
    """The largest rank whose stability exceeds that of shuffled data by at most ``MARGIN`` less than the best one does; 1 where none does by ``LEAST``.

    Only ranks all of whose modules hold two rows or more: with one more module than there are groups, the row that is least like its group, or has most noise, gets one of its own, in both halves of the data.
    """
    usable = np.flatnonzero(np.asarray(smallest) >= 2)
    excess = (np.asarray(observed) - np.asarray(shuffled))[usable]
    if not len(excess) or excess.max() < LEAST:
        return 1
    return int(np.asarray(ranks)[usable[excess >= excess.max() - MARGIN]].max())
