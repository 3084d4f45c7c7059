"""Group means with replicates as the unit, and variances moderated over many edges."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import root_scalar
from scipy.special import digamma, polygamma
from scipy.stats import chi2

#: Smallest number of edges whose variances are moderated together.
MIN_EDGES_MODERATED = 10


def group_design(
    group: NDArray[np.integer], stratum: NDArray[np.integer] | None
) -> NDArray[np.float64]:
    """(N, G + S - 1) indicators of groups and, centred, of strata.

    The strata are left out where they are confounded with the groups.
    """
    groups: NDArray[np.float64] = np.eye(int(group.max()) + 1)[group]
    if stratum is None:
        return groups
    strata = np.eye(int(stratum.max()) + 1)[stratum][:, 1:]
    both = np.hstack([groups, strata - strata.mean(axis=0)])
    return both if np.linalg.matrix_rank(both) == both.shape[1] else groups


def moderated_means(
    values: NDArray[np.float64],
    variance: NDArray[np.float64],
    design: NDArray[np.float64],
    n_groups: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Means of groups (E, G), their covariance (E, G, G), and degrees of freedom (E,).

    Least squares with weights 1 / variance gives the residual variance s² of an edge on d degrees
    of freedom, in units of ``variance``. The variances of all edges are moderated (Smyth 2004)::

        s_moderated² = (d0 * s0² + d * s²) / (d0 + d), on d0 + d degrees of freedom

    With fewer than ten edges d0 = 0: for two groups and equal variances, Student's t test.

    Parameters
    ----------
    values
        (E, R) values of the replicates.
    variance
        (E, R) expected variance of each value; 1 if all are alike.
    design
        (R, G + strata), the groups in its first columns.
    n_groups
        Number of groups.
    """
    known = np.isfinite(values).all(axis=1) & (variance > 0).all(axis=1)
    if not known.all():
        shape = (len(values), n_groups)
        mean, covariance = np.full(shape, np.nan), np.full((*shape, n_groups), np.nan)
        freedom = np.ones(len(values))
        if known.any():
            mean[known], covariance[known], freedom[known] = moderated_means(
                values[known], variance[known], design, n_groups
            )
        return mean, covariance, freedom
    weight = 1.0 / variance
    gram = np.einsum("rp,er,rq->epq", design, weight, design)
    inverse = np.linalg.pinv(gram, rcond=1e-10, hermitian=True)
    coefficients = np.einsum("epq,rq,er->ep", inverse, design, weight * values)
    d = values.shape[1] - np.linalg.matrix_rank(design)
    s2 = (weight * (values - coefficients @ design.T) ** 2).sum(axis=1) / max(d, 1)
    d0, s02 = _variance_prior(s2, d)
    if np.isinf(d0):
        s2, freedom = np.full_like(s2, s02), np.full(len(s2), 1e6)
    else:
        s2, freedom = (d0 * s02 + d * s2) / (d0 + d), np.full(len(s2), d0 + d)
    covariance = inverse[:, :n_groups, :n_groups] * s2[:, None, None]
    return coefficients[:, :n_groups], covariance, freedom


def add_replicate_spread(
    values: NDArray[np.float64], variance: NDArray[np.float64], design: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(E, R) expected variance of each value: its own error and the spread between replicates.

    Replicates differ by more than the error within each, so a weight 1 / v would trust a large
    replicate as if it represented all. The variance of value r of edge e becomes::

        v[e, r] + k * mean(v[e]), k >= 0

    1 + k is the median over edges of the unweighted residual variance, as a multiple of the mean
    error, divided by the median of chi² / d on d degrees of freedom.
    """
    known = np.isfinite(values).all(axis=1) & (variance > 0).all(axis=1)
    d = values.shape[1] - np.linalg.matrix_rank(design)
    if not known.any() or d < 1:
        return variance
    mean = variance.mean(axis=1, keepdims=True)
    residual = values[known] - values[known] @ np.linalg.pinv(design).T @ design.T
    ratio = (residual**2).sum(axis=1) / d / mean[known, 0]
    excess = max(0.0, float(np.median(ratio)) / (float(chi2.median(d)) / d) - 1.0)
    return np.asarray(variance + excess * mean)


def _variance_prior(s2: NDArray[np.float64], d: int) -> tuple[float, float]:
    """Degrees of freedom d0 and mean s0² that the variances of many edges share (Smyth 2004).

    Both come from the moments of the logarithms of the variances.
    """
    known = s2[np.isfinite(s2) & (s2 > 0)]
    if len(known) < MIN_EDGES_MODERATED:
        return 0.0, 0.0
    e = np.log(known) - digamma(d / 2) + np.log(d / 2)
    excess = e.var(ddof=1) - polygamma(1, d / 2)
    if excess <= 0:
        return np.inf, float(np.exp(e.mean()))
    half = _trigamma_inverse(float(excess))
    return 2 * half, float(np.exp(e.mean() + digamma(half) - np.log(half)))


def _trigamma_inverse(x: float) -> float:
    """Solve trigamma(y) = x by Newton's method on 1 / trigamma, convex and almost linear."""
    solution = root_scalar(
        lambda y: 1.0 / polygamma(1, y) - 1.0 / x,
        fprime=lambda y: -polygamma(2, y) / polygamma(1, y) ** 2,
        x0=0.5 + 1.0 / x,
        method="newton",
        rtol=1e-8,
    )
    return float(solution.root)
