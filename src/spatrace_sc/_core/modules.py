"""Modules: rows that share their columns in several tables at once."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

#: Iterations of one factorisation.
MAX_ITERATIONS = 500
#: Relative change of the error at which a factorisation stops: of all data, and of the halves of
#: a draw, whose modules are only compared. At 1e-4 their stability is that at 1e-5 to three
#: digits, for less time; at 1e-3 it changes by up to .01, and with it the number of modules.
TOLERANCE, DRAW_TOLERANCE = 1e-5, 1e-4
#: Random starts besides the one from the singular vectors.
RANDOM_STARTS = 4
#: Smallest excess of stability over that of shuffled data for there to be modules.
MIN_STABILITY_EXCESS = 0.1
#: A larger rank is preferred if its excess is at most this much below the best one.
STABILITY_MARGIN = 0.03


class Joint(NamedTuple):
    """Non-negative tables side by side, with equal weight for every row within a table."""

    values: NDArray[np.float64]
    """(P, columns)"""
    unit: NDArray[np.intp]
    """(columns,) index of the unit of resampling: a target, or a block of cells, with both its
    parts."""
    table: NDArray[np.intp]
    """(columns,) index of the table."""


class Factors(NamedTuple):
    """One factorisation, *values* ≈ ``weight @ pattern``."""

    weight: NDArray[np.float64]
    """(P, K) of rows, at least 0."""
    pattern: NDArray[np.float64]
    """(K, columns) at least 0, of length 1."""
    error: float
    """Squared distance over squared length of the values."""


def cell_blocks(
    positions: NDArray[np.floating], strata: NDArray[np.integer], *, size: int, at_most: int
) -> NDArray[np.intp]:
    """(cells,) index of the block of each cell: neighbouring cells of one stratum.

    A block has about ``size`` cells, more where there would be over ``at_most`` blocks. Each
    stratum is halved at the median of its widest coordinate until the blocks are small enough.
    Coordinates are used in the units given. Indices follow the strata and the coordinates, not the
    order of the cells.
    """
    size = max(size, math.ceil(len(positions) / max(at_most, 1)))
    block = np.empty(len(positions), dtype=np.intp)
    number = 0
    for stratum in np.unique(strata):
        waiting = [np.flatnonzero(strata == stratum)]
        while waiting:
            cells = waiting.pop()
            extent = np.ptp(positions[cells], axis=0)
            if len(cells) < 2 * size or not extent.any():
                block[cells] = number
                number += 1
                continue
            widest = int(extent.argmax())
            others = [positions[cells, k] for k in range(positions.shape[1]) if k != widest]
            ranked = cells[np.lexsort([*others, positions[cells, widest]])]
            waiting += [ranked[len(ranked) // 2 :], ranked[: len(ranked) // 2]]
    return block


def block_means(values: NDArray[np.floating], block: NDArray[np.integer]) -> NDArray[np.float64]:
    """(blocks, columns) means over the cells of a block.

    Columns are summed one at a time, so that no second copy of a large table is made.
    """
    n = np.bincount(block)
    sums = [
        np.bincount(block, weights=values[:, k], minlength=len(n)) for k in range(values.shape[1])
    ]
    return np.stack(sums, axis=1) / n[:, None] if sums else np.empty((len(n), 0))


def joint_table(tables: Sequence[NDArray[np.floating]], weights: Sequence[float]) -> Joint:
    """Signed tables (P, columns) as one non-negative table.

    Every column becomes a part above 0 and a part below. Every row gets length 1 in each table,
    times the square root of the table's weight; a row of zeros stays so. Thus no table dominates
    by the number or the size of its columns, and no row by its strength.
    """
    parts, units, indices = [], [], []
    offset = 0
    for index, (table, weight) in enumerate(zip(tables, weights, strict=True)):
        length = np.linalg.norm(table, axis=1, keepdims=True)
        scaled = table * (np.sqrt(weight) / np.where(length > 0, length, 1.0))
        for signed in (np.maximum(scaled, 0.0), np.maximum(-scaled, 0.0)):
            used = signed.any(axis=0)
            parts.append(signed[:, used])
            units.append(offset + np.flatnonzero(used))
            indices.append(np.full(int(used.sum()), index))
        offset += table.shape[1]
    return Joint(
        np.hstack(parts).astype(np.float64), np.concatenate(units), np.concatenate(indices)
    )


def factorise(
    values: NDArray[np.floating],
    rank: int,
    seed: int,
    starts: int = RANDOM_STARTS,
    tolerance: float = TOLERANCE,
) -> Factors:
    """Non-negative factorisation with the smallest squared error, in the precision of the values.

    The best of ``starts`` random starts and one start from the singular vectors.
    """
    from sklearn.decomposition import NMF
    from sklearn.exceptions import ConvergenceWarning

    if not values.any():
        return Factors(np.zeros((len(values), rank)), np.zeros((rank, values.shape[1])), 0.0)
    best: Factors | None = None
    plans = [("nndsvda", seed)] if rank <= min(values.shape) else []
    plans += [("random", seed + k) for k in range(starts if plans else max(starts, 1))]
    for init, state in plans:
        model = NMF(
            n_components=rank, init=init, random_state=state, max_iter=MAX_ITERATIONS, tol=tolerance
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
    """(P, K) share of a row in each module; rows sum to 1.

    A row without weight belongs to all modules equally.
    """
    total = weight.sum(axis=1, keepdims=True)
    return np.where(total > 0, weight / np.where(total > 0, total, 1.0), 1.0 / weight.shape[1])


def agreement(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """Mean cosine of the columns of two (P, K) tables, optimally paired.

    1 means the same modules, in any order.
    """
    from sklearn.metrics.pairwise import cosine_similarity

    cosine = cosine_similarity(one.T, other.T)
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
    """(2, ranks) agreement of the modules of two halves of the data; second row: of shuffled data.

    A draw splits the columns of each table at random: half of the targets and half of the blocks
    of cells against the others. Both halves are factorised separately and their memberships
    compared (:func:`agreement`). The result is the mean over draws. For the second row, every row
    of every table is shuffled first, so that rows share columns by chance alone.
    """
    rng = np.random.default_rng(seed)
    agreements = np.zeros((draws, 2, len(ranks)))
    for draw in range(draws):
        shuffled = [rng.permuted(table, axis=1) for table in tables]
        state = int(rng.integers(2**31 - 1))
        for row, data in enumerate((tables, shuffled)):
            joint = joint_table(data, weights)
            half = _half(joint, rng)
            halves = [joint.values[:, columns].astype(np.float32) for columns in (half, ~half)]
            for k, rank in enumerate(ranks):
                memberships = [
                    membership(factorise(values, rank, state, 1, DRAW_TOLERANCE).weight)
                    for values in halves
                ]
                agreements[draw, row, k] = agreement(*memberships)
                tick()
    mean: NDArray[np.float64] = agreements.mean(axis=0)
    return mean


def _half(joint: Joint, rng: np.random.Generator) -> NDArray[np.bool_]:
    """(columns,) a random half of the units of each table, with both of their parts."""
    first = np.zeros(int(joint.unit.max(initial=-1)) + 1, dtype=bool)
    for table in np.unique(joint.table):
        units = np.unique(joint.unit[joint.table == table])
        first[rng.permutation(units)[: (len(units) + rng.integers(2)) // 2]] = True
    return first[joint.unit]


def smallest_module_sizes(joint: Joint, ranks: Sequence[int], seed: int) -> NDArray[np.intp]:
    """(ranks,) number of rows whose largest weight is in the smallest module."""
    sizes = []
    for rank in ranks:
        main = membership(factorise(joint.values, rank, seed).weight).argmax(axis=1)
        sizes.append(np.bincount(main, minlength=rank).min())
    return np.array(sizes, dtype=np.intp)


def choose_rank(
    ranks: Sequence[int],
    observed: NDArray[np.floating],
    shuffled: NDArray[np.floating],
    smallest: NDArray[np.integer],
) -> int:
    """The largest rank whose stability, in excess of shuffled data, is close to the best.

    Close means at most :data:`STABILITY_MARGIN` below the largest excess. The result is 1 where no
    excess reaches :data:`MIN_STABILITY_EXCESS`. All modules of a rank must have two rows or more:
    with one module more than there are groups, the least typical or noisiest row gets a module of
    its own, in both halves of the data.
    """
    usable = np.flatnonzero(np.asarray(smallest) >= 2)
    excess = (np.asarray(observed) - np.asarray(shuffled))[usable]
    if not len(excess) or excess.max() < MIN_STABILITY_EXCESS:
        return 1
    return int(np.asarray(ranks)[usable[excess >= excess.max() - STABILITY_MARGIN]].max())
