"""Held-out likelihood of competing predictors, and which of them it prefers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

#: Ridge penalty, as a share of a predictor's variance.
RIDGE = 1e-3
#: A reliability below this is taken for this, and no true R² is taken to be larger than this.
MIN_RELIABILITY, MAX_R2 = 0.05, 0.95

Array = NDArray[np.float64]


def without(values: Array, nuisances: Array) -> Array:
    """(n, k) values less what nuisances (n, c) predict in them by least squares."""
    centred = values - values.mean(axis=0)
    basis = nuisances - nuisances.mean(axis=0)
    scale = basis.std(axis=0)
    basis = basis[:, scale > 1e-9] / scale[scale > 1e-9]
    gram = basis.T @ basis / len(basis) + RIDGE * np.eye(basis.shape[1])
    return np.asarray(centred - basis @ np.linalg.solve(gram, basis.T @ centred / len(basis)))


def held_out_errors(
    predictors: Sequence[Array],
    targets: Array,
    acts: NDArray[np.bool_],
    block: NDArray[np.integer],
    n_folds: int,
) -> tuple[Array, Array]:
    """Squared errors of every candidate in blocks that it was not fitted on.

    Parameters
    ----------
    predictors
        R candidates, each with columns (n, P).
    targets
        (n, G).
    acts
        (P, G) which columns predict which target.
    block
        (n,) codes 0, 1, ...; whole blocks are left out, in ``n_folds`` folds.

    Returns
    -------
    (R, G, blocks) sums of squared errors, and (G, blocks) those without a predictor.
    """
    n_blocks = int(block.max()) + 1
    fold = block % n_folds
    errors = np.zeros((len(predictors), targets.shape[1], n_blocks))
    base = _by_block((targets - targets.mean(axis=0)) ** 2, block, n_blocks)
    for candidate, x in enumerate(predictors):
        predicted = np.zeros_like(targets)
        for k in range(n_folds):
            train, test = fold != k, fold == k
            for gene in range(targets.shape[1]):
                used = x[:, acts[:, gene]]
                predicted[test, gene] = _fit(used[train], targets[train, gene]) @ used[test].T
        errors[candidate] = _by_block((targets - predicted) ** 2, block, n_blocks)
    return errors, base


def _fit(x: Array, y: Array) -> Array:
    """(P,) ridge coefficients."""
    gram = x.T @ x / len(x)
    scale = max(float(np.trace(gram)) / max(x.shape[1], 1), 1e-12)
    return np.asarray(np.linalg.solve(gram + RIDGE * scale * np.eye(len(gram)), x.T @ y / len(x)))


def _by_block(values: Array, block: NDArray[np.integer], n_blocks: int) -> Array:
    """(G, blocks) sums of (n, G) values."""
    total = np.zeros((n_blocks, values.shape[1]))
    np.add.at(total, block, values)
    return total.T


def log_likelihoods(errors: Array, base: Array, reliability: Array, n: int) -> Array:
    """(R,) Gaussian log-likelihood relative to no predictor, over all targets.

    A predictor that is measured with noise explains less than the true one by its reliability, so
    the held-out R² of each target is divided by it. Without this, candidates with less noise would
    be preferred over the right one.

    Parameters
    ----------
    errors
        (R, G, blocks) sums of squared errors.
    base
        (G, blocks) those without a predictor.
    reliability
        (R, G) share of the variance of the predictors that is not noise.
    n
        Number of cells.
    """
    r2 = 1.0 - errors.sum(axis=-1) / np.maximum(base.sum(axis=-1), 1e-12)
    true = np.where(r2 > 0, r2 / np.clip(reliability, MIN_RELIABILITY, 1.0), r2)
    return np.asarray(-n / 2.0 * np.log1p(-np.minimum(true, MAX_R2)).sum(axis=-1))


def preferred(
    errors: Array,
    base: Array,
    reliability: Array,
    n: int,
    rng: np.random.Generator,
    n_draws: int = 400,
) -> Array:
    """(R,) share of the bootstrap draws of blocks in which each candidate is most likely."""
    n_blocks = errors.shape[-1]
    share = np.zeros(len(errors))
    for _ in range(n_draws):
        times = np.bincount(rng.integers(n_blocks, size=n_blocks), minlength=n_blocks)
        drawn = log_likelihoods(errors * times, base * times, reliability, n)
        share[int(np.argmax(drawn))] += 1.0 / n_draws
    return share


def reliability_of_halves(one: Array, other: Array) -> Array:
    """(P,) reliability of predictors, from two halves (n, P) with independent noise.

    The correlation of the halves, by the formula of Spearman and Brown.
    """
    first, second = (x - x.mean(axis=0) for x in (one, other))
    size = np.sqrt((first**2).sum(axis=0) * (second**2).sum(axis=0))
    r = np.clip((first * second).sum(axis=0) / np.maximum(size, 1e-12), 0.0, 1.0)
    return np.asarray(2.0 * r / (1.0 + r))
