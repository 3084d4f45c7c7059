"""Responses and levels in groups of cells, with their errors by spatial unit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.polynomial import polynomial
from numpy.typing import NDArray

#: Number of passes that fit the response curve of a target.
CURVE_PASSES = 2
#: Lower limit of the slope of that curve, as a share of its median, so that every cell counts.
MIN_SLOPE_SHARE = 0.2
#: Smallest share of a regulator's variance that must be its own in a group to have a slope there.
MIN_OWN_VARIANCE = 1e-3
#: Added to the diagonal of the covariance: collinear regulators get no slope, not no inverse.
RIDGE = 1e-8


@dataclass(frozen=True)
class Estimates:
    """Values of E edges in G groups, and the influence of each of U units on them.

    ``value`` is (E, G) and ``influence`` (E, G, U). A unit is a block of space. The standard error
    of any combination of values is the norm of the same combination of influences.
    """

    value: NDArray[np.float64]
    influence: NDArray[np.float64]

    @property
    def covariance(self) -> NDArray[np.float64]:
        """(E, G, G) covariance of the values of an edge."""
        product: NDArray[np.float64] = np.einsum(
            "egu,ehu->egh", self.influence, self.influence, optimize=True
        )
        return product

    @property
    def variance(self) -> NDArray[np.float64]:
        """(E, G) squared standard errors."""
        total: NDArray[np.float64] = (self.influence**2).sum(axis=2)
        return total

    def combined(self, weights: NDArray[np.floating]) -> Estimates:
        """Estimates of K weighted sums of edges; ``weights`` is (K, E)."""
        return Estimates(
            weights @ self.value, np.einsum("ke,egu->kgu", weights, self.influence, optimize=True)
        )


def linearise_response(
    y: NDArray[np.float64], design: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Target and slope (N,) such that ``target ≈ slope * (design @ coefficients)``.

    A gene near its floor or its ceiling responds less to the same regulator. One cubic curve G
    over the linear predictor eta is fitted to all cells, and the target is linearised at each
    cell::

        y - G(eta) + G'(eta) * eta = G'(eta) * eta

    with G' scaled to mean 1. Slope and target are returned in the order (slope, target).
    """
    slope, straight = np.ones(len(y)), y
    for _ in range(CURVE_PASSES):
        weighted = design * slope[:, None]
        eta = design @ np.linalg.lstsq(weighted, straight, rcond=None)[0]
        spread = eta.std()
        if spread < 1e-9:
            return np.ones(len(y)), y
        standard = (eta - eta.mean()) / spread
        powers = polynomial.polyvander(standard, 3)
        curve = np.linalg.lstsq(powers, y, rcond=None)[0]
        derivative = polynomial.polyval(standard, polynomial.polyder(curve)) / spread
        if np.median(derivative) <= 0:
            return np.ones(len(y)), y
        slope = np.maximum(derivative, MIN_SLOPE_SHARE * np.median(derivative))
        straight = y - powers @ curve + slope * eta
    return slope / slope.mean(), straight


def slopes(
    y: NDArray[np.float64],
    regulators: NDArray[np.float64],
    nuisance: NDArray[np.float64],
    group: NDArray[np.integer],
    unit: NDArray[np.integer],
    sizes: tuple[int, int],
) -> Estimates:
    """Slope of one target on each of its regulators, estimated separately in every group.

    Parameters
    ----------
    y, regulators, nuisance
        (N,), (N, E) and (N, C), standardised over all cells, so that the slopes of all groups are
        in the same units. ``nuisance`` has to span the constant. It gets coefficients of its own
        in every group.
    group, unit
        (N,) codes. A unit may lie in several groups.
    sizes
        Number of groups and of units.

    Returns
    -------
    Estimates, NaN where a group has too few cells or the regulator has no variance of its own.
    """
    (n_groups, n_units), k = sizes, regulators.shape[1]
    by_group = np.hstack([nuisance * (group == g)[:, None] for g in range(n_groups)])
    slope, straight = linearise_response(y, np.hstack([regulators, by_group]))
    value, influence = np.full((k, n_groups), np.nan), np.full((k, n_groups, n_units), np.nan)
    for g in range(n_groups):
        cells = np.flatnonzero(group == g)
        columns = np.hstack([regulators[cells], _without_constants(nuisance[cells])])
        if len(cells) < 2 * columns.shape[1]:
            continue
        weighted = columns * slope[cells, None]
        ridge = RIDGE * len(cells) * np.eye(columns.shape[1])
        inverse = np.linalg.inv(weighted.T @ weighted + ridge)
        # variance of each regulator that the other columns do not explain
        own = 1.0 / np.maximum(np.diag(inverse)[:k] * len(cells), 1e-12)
        coefficients = inverse @ (weighted.T @ straight[cells])
        residual = straight[cells] - weighted @ coefficients
        by_cell = (weighted * residual[:, None]) @ inverse[:, :k]
        value[:, g] = np.where(own > MIN_OWN_VARIANCE, coefficients[:k], np.nan)
        summed = _sum_by_unit(by_cell, unit[cells], n_units)
        influence[:, g] = (summed * _correction(unit[cells], len(cells), columns.shape[1])).T
    return Estimates(value, influence)


def _without_constants(nuisance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Columns that vary among these cells, and the first constant one that is not 0."""
    chosen = nuisance.std(axis=0) > 1e-9
    constant = np.flatnonzero(~chosen & (np.abs(nuisance).max(axis=0, initial=0) > 0))
    chosen[constant[:1]] = True
    return nuisance[:, chosen]


def mean_levels(
    levels: NDArray[np.float64],
    design: NDArray[np.float64],
    n_groups: int,
    unit: NDArray[np.integer],
    n_units: int,
) -> Estimates:
    """Mean level of every column in every group, with the influence of every unit.

    ``levels`` is (N, E). ``design`` (N, G + strata) has the groups in its first columns.
    """
    inverse = np.linalg.pinv(design.T @ design, rcond=1e-10, hermitian=True)
    coefficients = inverse @ (design.T @ levels)
    residual = levels - design @ coefficients
    hat = design @ inverse[:, :n_groups]
    influence = []
    for g in range(n_groups):
        factor = _correction(unit[design[:, g] > 0], len(levels), design.shape[1])
        influence.append(_sum_by_unit(residual * hat[:, [g]], unit, n_units) * factor)
    return Estimates(coefficients[:n_groups].T.copy(), np.stack(influence).transpose(2, 0, 1))


def _sum_by_unit(
    by_cell: NDArray[np.float64], unit: NDArray[np.integer], n_units: int
) -> NDArray[np.float64]:
    """(units, columns) sums of the cells' influences."""
    total = np.zeros((n_units, by_cell.shape[1]))
    np.add.at(total, unit, by_cell)
    return total


def _correction(unit: NDArray[np.integer], n_cells: int, n_columns: int) -> float:
    """Small-sample factor of a clustered standard error: few units, many columns."""
    n_units = len(np.unique(unit))
    squared = n_units / max(n_units - 1, 1) * (n_cells - 1) / max(n_cells - n_columns, 1)
    return float(np.sqrt(squared))
