"""Responses and levels of groups of cells, and tests whether they differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, polygamma
from scipy.stats import chi2
from scipy.stats import t as student

#: Passes of fitting the curve of a target's response.
PASSES = 2
#: The slope of that curve is kept above this share of its median, so that no cell counts for nothing.
FLATTEST = 0.2
#: A regulator of which less than this share varies on its own in a group has no slope there.
OWN = 1e-3
#: Added to the diagonal of the covariance, so that what cannot be told apart has no slope instead of no inverse.
RIDGE = 1e-8
#: With fewer edges than this their variances are not drawn together.
FEWEST = 10
#: An effect is absent beside another if it is less than this share of it and not distinguishable from 0 at this p.
ABSENT, PRESENT_P = 1 / 3, 0.05


@dataclass(frozen=True)
class Estimates:
    """``value`` (E, G) of E edges in G groups, and ``influence`` (E, G, U) of every unit (block of space) on it: the error of any combination of values is the norm of the same combination of influences."""

    value: NDArray[np.float64]
    influence: NDArray[np.float64]

    @property
    def covariance(self) -> NDArray[np.float64]:
        """(E, G, G)"""
        product: NDArray[np.float64] = np.einsum(
            "egu,ehu->egh", self.influence, self.influence, optimize=True
        )
        return product

    @property
    def variance(self) -> NDArray[np.float64]:
        """(E, G)"""
        total: NDArray[np.float64] = (self.influence**2).sum(axis=2)
        return total

    def combined(self, weights: NDArray[np.floating]) -> Estimates:
        """Σ weights × edges, (K, E) → K edges."""
        return Estimates(
            weights @ self.value, np.einsum("ke,egu->kgu", weights, self.influence, optimize=True)
        )


def straightened(
    y: NDArray[np.float64], design: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    r"""(N,) target and slope of its response curve, such that ``target ≈ slope × (design @ coefficients)``.

    A gene near its floor or its ceiling answers less to the same regulator. One curve for all cells, a cubic :math:`G`, is fitted over the linear predictor :math:`\eta` and the target is made linear at each cell:
    :math:`y - G(\eta) + G'(\eta)\,\eta = G'(\eta)\,\eta`, with :math:`G'` scaled to mean 1.
    """
    slope, straight = np.ones(len(y)), y
    for _ in range(PASSES):
        weighted = design * slope[:, None]
        eta = design @ np.linalg.lstsq(weighted, straight, rcond=None)[0]
        spread = eta.std()
        if spread < 1e-9:
            return np.ones(len(y)), y
        e = (eta - eta.mean()) / spread
        powers = np.stack([np.ones_like(e), e, e**2, e**3], axis=1)
        c = np.linalg.lstsq(powers, y, rcond=None)[0]
        raw = (c[1] + 2 * c[2] * e + 3 * c[3] * e**2) / spread
        if np.median(raw) <= 0:
            return np.ones(len(y)), y
        slope = np.maximum(raw, FLATTEST * np.median(raw))
        straight = y - powers @ c + slope * eta
    return slope / slope.mean(), straight


def slopes(
    y: NDArray[np.float64],
    regulators: NDArray[np.float64],
    nuisance: NDArray[np.float64],
    group: NDArray[np.integer],
    unit: NDArray[np.integer],
    sizes: tuple[int, int],
) -> Estimates:
    """Slope of one target on each of its regulators, in every group by itself.

    Parameters
    ----------
    y, regulators, nuisance
        (N,), (N, E), (N, C) standardised over all cells, so that slopes of all groups are in the same units. ``nuisance`` has to span the constant and gets coefficients of its own in every group.
    group, unit
        (N,) codes. A unit may lie in several groups.
    sizes
        Number of groups and of units.

    Returns
    -------
    NaN where a group has too few cells, or the regulator does not vary there by itself.
    """
    (n_groups, n_units), k = sizes, regulators.shape[1]
    own = np.hstack([nuisance * (group == g)[:, None] for g in range(n_groups)])
    slope, straight = straightened(y, np.hstack([regulators, own]))
    value, influence = np.full((k, n_groups), np.nan), np.full((k, n_groups, n_units), np.nan)
    for g in range(n_groups):
        here = np.flatnonzero(group == g)
        varying = nuisance[here].std(axis=0) > 1e-9
        varying[
            np.flatnonzero(~varying & (np.abs(nuisance[here]).max(axis=0, initial=0) > 0))[:1]
        ] = True
        columns = np.hstack([regulators[here], nuisance[here][:, varying]])
        if len(here) < 2 * columns.shape[1]:
            continue
        weighted = columns * slope[here, None]
        inverse = np.linalg.inv(
            weighted.T @ weighted + RIDGE * len(here) * np.eye(columns.shape[1])
        )
        free = 1.0 / np.maximum(np.diag(inverse)[:k] * len(here), 1e-12)
        coefficients = inverse @ (weighted.T @ straight[here])
        each = (weighted * (straight[here] - weighted @ coefficients)[:, None]) @ inverse[:, :k]
        value[:, g] = np.where(free > OWN, coefficients[:k], np.nan)
        units = len(np.unique(unit[here]))
        influence[:, g] = _by_unit(each, unit[here], n_units, columns.shape[1], units).T
    return Estimates(value, influence)


def mean_levels(
    levels: NDArray[np.float64],
    design: NDArray[np.float64],
    n_groups: int,
    unit: NDArray[np.integer],
    n_units: int,
) -> Estimates:
    """Mean level (N, E) in the groups, the first columns of the design (N, G + strata), and the influence of units on it."""
    inverse = np.linalg.pinv(design.T @ design, rcond=1e-10, hermitian=True)
    coefficients = inverse @ (design.T @ levels)
    residual = levels - design @ coefficients
    hat = design @ inverse[:, :n_groups]
    parts = []
    for g in range(n_groups):
        units = len(np.unique(unit[design[:, g] > 0]))
        parts.append(_by_unit(residual * hat[:, [g]], unit, n_units, design.shape[1], units))
    return Estimates(coefficients[:n_groups].T.copy(), np.stack(parts).transpose(2, 0, 1))


def _by_unit(
    each: NDArray[np.float64], unit: NDArray[np.integer], n_units: int, n_columns: int, units: int
) -> NDArray[np.float64]:
    """(units, columns) sums of the cells' influences, with the correction for many columns and for a group with few units."""
    total = np.zeros((n_units, each.shape[1]))
    np.add.at(total, unit, each)
    n = len(each)
    corrected: NDArray[np.float64] = total * np.sqrt(
        units / max(units - 1, 1) * (n - 1) / max(n - n_columns, 1)
    )
    return corrected


def group_design(
    group: NDArray[np.integer], stratum: NDArray[np.integer] | None
) -> NDArray[np.float64]:
    """(N, G + S - 1) indicators of groups and, about their mean, of strata; of groups alone where strata and groups cannot be told apart."""
    alone: NDArray[np.float64] = np.eye(int(group.max()) + 1)[group]
    if stratum is None:
        return alone
    strata = np.eye(int(stratum.max()) + 1)[stratum][:, 1:]
    both = np.hstack([alone, strata - strata.mean(axis=0)])
    return both if np.linalg.matrix_rank(both) == both.shape[1] else alone


def moderated(
    values: NDArray[np.float64],
    variance: NDArray[np.float64],
    design: NDArray[np.float64],
    n_groups: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    r"""Means of groups with replicates as the unit: (E, G), their covariance (E, G, G), and degrees of freedom (E,).

    ``values`` (E, R) of the replicates, ``variance`` (E, R) what each is expected to vary by (1: all alike), ``design`` (R, G + strata). Least squares with weights 1 / variance gives the residual variance
    :math:`s_e^2` on *d* degrees of freedom, in units of ``variance``. The variances of all edges are drawn together (Smyth 2004): :math:`\tilde s_e^2 = (d_0 s_0^2 + d s_e^2) / (d_0 + d)` on
    :math:`d_0 + d` degrees of freedom. With fewer than ten edges :math:`d_0 = 0`: for two groups and equal variances Student's test.
    """
    known = np.isfinite(values).all(axis=1) & (variance > 0).all(axis=1)
    if not known.all():
        shape = (len(values), n_groups)
        mean, inner, free = (
            np.full(shape, np.nan),
            np.full((*shape, n_groups), np.nan),
            np.ones(len(values)),
        )
        if known.any():
            mean[known], inner[known], free[known] = moderated(
                values[known], variance[known], design, n_groups
            )
        return mean, inner, free
    weight = 1.0 / variance
    gram = np.einsum("rp,er,rq->epq", design, weight, design)
    inverse = np.linalg.pinv(gram, rcond=1e-10, hermitian=True)
    coefficients = np.einsum("epq,rq,er->ep", inverse, design, weight * values)
    d = values.shape[1] - np.linalg.matrix_rank(design)
    s2 = (weight * (values - coefficients @ design.T) ** 2).sum(axis=1) / max(d, 1)
    d0, s02 = _prior(s2, d)
    if np.isinf(d0):
        s2, free = np.full_like(s2, s02), np.full(len(s2), 1e6)
    else:
        s2, free = (d0 * s02 + d * s2) / (d0 + d), np.full(len(s2), d0 + d)
    inner = inverse[:, :n_groups, :n_groups] * s2[:, None, None]
    return coefficients[:, :n_groups], inner, free


def with_spread(
    values: NDArray[np.float64], variance: NDArray[np.float64], design: NDArray[np.float64]
) -> NDArray[np.float64]:
    r"""(E, R) what each value is expected to vary by, its own error and the spread of replicates about it.

    :math:`v_{er} + \lambda \bar v_e`: replicates differ by more than the error within each, and a weight 1 / v would trust a large replicate as if it stood for all. :math:`1 + \lambda` is the median over
    edges of the residual variance of the values, unweighted, as a multiple of the mean error, divided by the median of :math:`\chi^2_d / d`; :math:`\lambda \ge 0`.
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


def _prior(s2: NDArray[np.float64], d: int) -> tuple[float, float]:
    """Degrees of freedom and mean of the variances that many edges have in common (Smyth 2004), by moments of their logarithms."""
    known = s2[np.isfinite(s2) & (s2 > 0)]
    if len(known) < FEWEST:
        return 0.0, 0.0
    e = np.log(known) - digamma(d / 2) + np.log(d / 2)
    excess = e.var(ddof=1) - polygamma(1, d / 2)
    if excess <= 0:
        return np.inf, float(np.exp(e.mean()))
    half = _trigamma_inverse(float(excess))
    return 2 * half, float(np.exp(e.mean() + digamma(half) - np.log(half)))


def _trigamma_inverse(x: float) -> float:
    """Newton's method on 1 / trigamma, which is convex and almost linear."""
    y = 0.5 + 1.0 / x
    for _ in range(50):
        tri = float(polygamma(1, y))
        step = tri * (1.0 - tri / x) / float(polygamma(2, y))
        y += step
        if -step / y < 1e-8:
            break
    return y


def p_beyond(
    difference: NDArray[np.float64],
    se: NDArray[np.float64],
    margin: NDArray[np.float64],
    free: NDArray[np.floating],
) -> NDArray[np.float64]:
    """P of a difference this large if the true one is ``margin`` in size; 1 where it is not known. ``P(t > (|d| - m) / se) + P(t > (|d| + m) / se)``."""
    known = np.isfinite(difference) & np.isfinite(se) & (se > 0)
    safe, size = np.where(known, se, 1.0), np.abs(np.where(known, difference, 0.0))
    away = np.where(known, margin, 0.0)
    p = student.sf((size - away) / safe, free) + student.sf((size + away) / safe, free)
    return np.where(known, np.clip(p, np.finfo(float).tiny, 1.0), 1.0)


def response_changes(
    effect: NDArray[np.float64],
    reference: NDArray[np.float64],
    present: NDArray[np.bool_],
    present_reference: NDArray[np.bool_],
    different: NDArray[np.bool_],
) -> NDArray[np.object_]:
    """One of "gained", "lost", "changed", "kept" and "" for every edge."""
    with np.errstate(invalid="ignore"):
        small = ~present & (np.abs(effect) < ABSENT * np.abs(reference))
        small_reference = ~present_reference & (np.abs(reference) < ABSENT * np.abs(effect))
    both = present & present_reference & (np.sign(effect) == np.sign(reference))
    conditions = [
        different & present & small_reference,
        different & present_reference & small,
        different,
        both,
    ]
    return np.select(conditions, np.array(["gained", "lost", "changed", "kept"], dtype=object), "")


def level_changes(
    level: NDArray[np.float64],
    reference: NDArray[np.float64],
    different: NDArray[np.bool_],
    *,
    from_zero: bool,
) -> NDArray[np.object_]:
    """One of "appears", "disappears", "strengthens", "weakens", "steady". Levels about a mean, not ``from_zero``, neither appear nor disappear."""
    conditions = [
        different & from_zero & (reference < ABSENT * level),
        different & from_zero & (level < ABSENT * reference),
        different & (level > reference),
        different,
    ]
    return np.select(
        conditions,
        np.array(["appears", "disappears", "strengthens", "weakens"], dtype=object),
        "steady",
    )
