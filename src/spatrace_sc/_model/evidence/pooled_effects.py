"""Effects of pairs that are pooled over the targets of a TF."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ..records import Evidence, Problem
from ..runtime.memory import rows_within
from .shared_credit import combine_routes

logger = logging.getLogger("spatrace_sc")

#: Ridge penalty of the effects of a pair on the profiles of TFs, which have length 1.
RIDGE_PROFILES = 0.1
#: Without a weight of its own, an edge with a smaller pooled effect, in standard deviations of the
#: target, has none.
MIN_POOLED = 0.003
#: Smallest weight of pooled effects; below it nothing is pooled.
MIN_SHARE = 0.01
#: Largest number of pooled effects that are computed at a time.
MAX_POOLED = 8_000_000


class Profiles(NamedTuple):
    """Profiles of TFs over the targets, and the linear map onto them.

    The pooled effects of a pair are ``effects @ onto @ profiles``.
    """

    onto: NDArray[np.float64]
    """(G, TFs) coefficients of a ridge regression on the profiles."""
    profiles: NDArray[np.float64]
    """(TFs, G) effects of each TF, scaled to length 1."""


def pool_effects(
    problem: Problem,
    evidence: Evidence,
    edges: NDArray[np.bool_],
    pairs: NDArray[np.bool_],
) -> Evidence:
    """Evidence in which effects of pairs are pooled over the targets of the TFs.

    A receptor often changes the activity of a TF and not its transcription. Its pair then acts on
    the TF's targets, in proportion to the TF's effects on them, and no measured level shows it.
    With the effects W (P, G) of pairs and the profiles T (TFs, G) of TFs, of length 1:

    - effect = (1 - κ) W + κ W H, with H = Tᵀ (T Tᵀ + 0.1 I)⁻¹ T;
    - κ = max(0, 1 - odds(m) / odds(s)), with odds(x) = x / (1 - x).

    s is the share of the squared effects that lies along the profiles, less one standard error
    over pairs. m is its expectation if the targets of every pair were permuted. So κ is 0 where
    the effects of pairs have nothing to do with TFs.

    Significant edges, ``edges`` (E,) among the listed ones and ``pairs`` (P,), keep their effects
    and scores; no pooled effect is stronger than the weakest of these edges. The score of a pair
    changes as the norm of its effects does. p, q and stability do not change.
    """
    n_targets, lr = evidence.lr.n_targets, evidence.lr
    profiles = tf_profiles(evidence.tf.effect.reshape(-1, n_targets))
    effects = _as_matrix(problem, evidence)
    share = pooled_share(effects, profiles)
    if share < MIN_SHARE:
        return evidence
    logger.info(
        "The targets of pairs are those of single TFs more often than by chance: effects of pairs "
        "are pooled over the targets of a TF with weight %.2f.",
        share,
    )
    pooled, ratio = _pooled(problem, effects, profiles, share, lr.index)
    unpooled = np.full(len(lr.index), 1.0 - share, dtype=np.float32)
    effect = combine_routes(lr.effect, unpooled, pooled, edges)
    score = np.where(pairs, evidence.pair_score, evidence.pair_score * ratio)
    return replace(
        evidence,
        lr=replace(lr, effect=effect),
        pair_score=score.astype(evidence.pair_score.dtype),
    )


def tf_profiles(effect: NDArray[np.floating]) -> Profiles:
    """Profiles of the TFs that have any effect, from their effects (TF genes, G)."""
    size = np.linalg.norm(effect, axis=1)
    profiles = effect[size > 0].astype(np.float64) / size[size > 0, None]
    gram = profiles @ profiles.T + RIDGE_PROFILES * np.eye(len(profiles))
    return Profiles(np.linalg.solve(gram, profiles).T, profiles)


def pooled_share(effects: sparse.csr_matrix, profiles: Profiles) -> float:
    """κ: how much more of the effects (P, G) lies along the profiles than by chance, 0 to 1."""
    n_targets = effects.shape[1]
    along = (np.asarray(effects @ profiles.onto) * (effects @ profiles.profiles.T)).sum(axis=1)
    square = np.asarray(effects.multiply(effects).sum(axis=1)).ravel()
    total = square.sum()
    if total == 0.0 or n_targets < 2:
        return 0.0
    # expectation over permutations of the targets of each pair
    trace = float((profiles.onto.T * profiles.profiles).sum())
    others = float(profiles.onto.sum(axis=0) @ profiles.profiles.sum(axis=1)) - trace
    products = np.asarray(effects.sum(axis=1)).ravel() ** 2 - square
    chance = trace / n_targets * square + others / (n_targets * (n_targets - 1)) * products
    error = float(np.linalg.norm(along - chance))
    s, m = (float(along.sum()) - error) / total, float(chance.sum()) / total
    if s <= m or m <= 0.0:
        return 0.0
    return float(1.0 - (m / (1.0 - m)) / (s / (1.0 - s)))


def _as_matrix(problem: Problem, evidence: Evidence) -> sparse.csr_matrix:
    """(P, G) effects of the listed edges of pairs."""
    lr = evidence.lr
    nonzero = lr.effect != 0
    position = lr.regulator[nonzero], lr.target[nonzero]
    shape = (problem.n_pairs, lr.n_targets)
    return sparse.csr_matrix((lr.effect[nonzero].astype(np.float64), position), shape=shape)


def _pooled(
    problem: Problem,
    effects: sparse.csr_matrix,
    profiles: Profiles,
    share: float,
    listed: NDArray[np.int64],
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """(E,) pooled parts of the listed edges, times ``share``, and (P,) ratios of norms.

    A ratio is the norm of all effects of a pair after pooling relative to that before. Forbidden
    edges, and edges with a small pooled effect and no weight, get no pooled part.
    """
    n_pairs, n_targets = effects.shape
    of_listed, ratio = np.zeros(len(listed), dtype=np.float32), np.ones(n_pairs)
    forbidden = problem.forbidden.cpu().numpy()
    pair = forbidden[0] - problem.n_tfs
    for first in range(0, n_pairs, rows_within(MAX_POOLED, n_targets)):
        last = min(first + rows_within(MAX_POOLED, n_targets), n_pairs)
        before = effects[first:last]
        dense = before.toarray()
        pooled = share * (before @ profiles.onto) @ profiles.profiles
        pooled[(np.abs(pooled) < MIN_POOLED) & (dense == 0.0)] = 0.0
        barred = (pair >= first) & (pair < last)
        pooled[pair[barred] - first, forbidden[1, barred]] = 0.0
        low, high = np.searchsorted(listed, [first * n_targets, last * n_targets])
        of_listed[low:high] = pooled.ravel()[listed[low:high] - first * n_targets]
        size = np.linalg.norm(dense, axis=1)
        after = np.linalg.norm((1.0 - share) * dense + pooled, axis=1)
        ratio[first:last] = np.divide(after, size, out=np.ones_like(size), where=size > 0)
    return of_listed, ratio
