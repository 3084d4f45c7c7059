"""Leads of regulators over targets in time: which of the two changes first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

#: Random orders of the cells that the order in time is compared with.
N_RANDOM_ORDERS = 9
#: Most regulators and targets of that comparison, evenly spaced.
MAX_COMPARED = 100
#: Genes that are in memory at a time, as levels of all cells.
BATCH = 128

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Leads:
    """Leads of F regulators over G targets.

    - ``lead`` (F, G), −1 to 1: difference of the two lagged covariances relative to the sum of
      their sizes, for a regulator that activates; the opposite sign holds for one that represses.
    - ``se`` (F, G): standard errors; infinite where a regulator and a target are the same gene.
    - ``order_share``: share of the mean square of the leads, in standard errors, that no random
      order of the cells reaches; 0 to 1. Pairs of genes count by their squared covariance.
    """

    lead: Array
    se: Array
    order_share: float


@dataclass(frozen=True)
class _Reading:
    """Means over some cells without covariates: of the cells themselves, or one step away.

    ``mean`` (R, cells) for the R cells ``rows`` that have such cells, None for the cells
    themselves; ``basis`` (R, C) an orthonormal basis of a constant and the covariates there.
    """

    mean: sparse.csr_matrix | None
    rows: NDArray[np.intp]
    basis: Array

    def residual(self, values: Array) -> Array:
        """(cells, genes) residuals of the means; 0 in cells without them."""
        mean = values if self.mean is None else self.mean @ values
        result = np.zeros_like(values)
        result[self.rows] = mean - self.basis @ (self.basis.T @ mean)
        return result


@dataclass(frozen=True)
class _LaggedCells:
    """Centred levels of the cells, and of earlier minus later cells of their transitions."""

    now: Array
    step: Array
    earlier: Array
    later: Array


def leads(
    backward: sparse.csr_matrix,
    regulator: NDArray[np.floating],
    target: NDArray[np.floating],
    covariates: NDArray[np.floating],
    block: NDArray[np.integer],
    rng: np.random.Generator,
) -> Leads:
    """Return the leads of all regulators over all targets.

    With p and q the mean levels of a gene one step earlier and one step later, the covariances
    over cells of a regulator f and a target g are::

        C_fg = (mean of p_f g + mean of f q_g) / 2      f first
        C_gf = (mean of p_g f + mean of g q_f) / 2      g first
        lead = (C_fg - C_gf) / (|C_fg| + |C_gf|)

    Both products hold two different cells, so count noise adds variance but no bias, and the lead
    changes its sign when time is reversed. Standard errors are over blocks of cells. They are
    inflated until the mean square of all leads is that of their errors, because pairs of genes
    that do not regulate each other also differ in when they change; and until random orders of
    the cells show no lead.

    Parameters
    ----------
    backward
        (cells, cells) transitions to earlier cells, row = later cell.
    regulator, target
        (cells, F) and (cells, G) levels.
    covariates
        (cells, C) what is regressed out.
    block
        (cells,) code of the block of each cell.
    rng
        Draws the random orders.
    """
    lead, se, weight = _leads_and_errors(backward, (regulator, target), covariates, block)
    if not np.isfinite(se).any():
        return Leads(lead, se, 0.0)
    rows, columns = _spaced(regulator.shape[1]), _spaced(target.shape[1])
    few = regulator[:, rows], target[:, columns]
    at = np.ix_(rows, columns)
    observed = _mean_square(lead[at], se[at], weight[at])
    random = [
        _mean_square(*_leads_and_errors(_in_random_order(backward, rng), few, covariates, block))
        for _ in range(N_RANDOM_ORDERS)
    ]
    share = 1.0 - max(random) / observed if observed > 0 else 0.0
    inflation = max(1.0, _mean_square(lead, se, np.ones_like(lead)), max(random))
    return Leads(lead, se * np.sqrt(inflation), max(share, 0.0))


def _leads_and_errors(
    backward: sparse.csr_matrix,
    genes: tuple[NDArray[np.floating], ...],
    covariates: NDArray[np.floating],
    block: NDArray[np.integer],
) -> tuple[Array, Array, Array]:
    """(F, G) leads, their standard errors over blocks, and squared lagged correlations."""
    readings = _readings(backward, covariates)
    order = np.argsort(block, kind="stable")
    blocks = np.split(order, np.flatnonzero(np.diff(block[order])) + 1)
    regulator, target = genes
    results = [np.empty((regulator.shape[1], target.shape[1])) for _ in range(3)]
    for rows in _batches(regulator.shape[1]):
        f = _lagged(readings, regulator[:, rows])
        for columns in _batches(target.shape[1]):
            batch = _of_batch(f, _lagged(readings, target[:, columns]), blocks)
            for result, values in zip(results, batch, strict=True):
                result[rows, columns] = values
    return results[0], results[1], results[2]


def _of_batch(
    f: _LaggedCells, g: _LaggedCells, blocks: list[NDArray[np.intp]]
) -> tuple[Array, Array, Array]:
    """Leads of some regulators over some targets, standard errors and squared correlations."""
    total, squares = np.zeros((2, f.now.shape[1], g.now.shape[1]))
    for cells in blocks:
        part = f.step[cells].T @ g.now[cells] - f.now[cells].T @ g.step[cells]
        total += part
        squares += part**2
    n = len(blocks)
    variance = (squares - total**2 / n) * n / max(n - 1, 1)
    f_first = f.earlier.T @ g.now + f.now.T @ g.later
    g_first = f.now.T @ g.earlier + f.later.T @ g.now
    size = np.abs(f_first) + np.abs(g_first)
    # a gene against itself, a constant gene, or a single block: only rounding errors are left
    known = (variance > 1e-18 * size**2) & (size > 0)
    size = np.where(known, size, 1.0)
    lead = np.where(known, total / size, 0.0)
    se = np.where(known, np.sqrt(np.maximum(variance, 0.0)) / size, np.inf)
    spread = np.outer(f.now.std(axis=0), g.now.std(axis=0))
    return lead, se, (size / np.where(known, spread, 1.0)) ** 2


def _readings(backward: sparse.csr_matrix, covariates: NDArray[np.floating]) -> list[_Reading]:
    """Return how to read cells, earlier cells and later cells."""
    design = np.column_stack([np.ones(len(covariates)), covariates]).astype(np.float64)
    readings = [_Reading(None, np.arange(len(design)), _basis(design))]
    for matrix in (backward, backward.T):
        mass = np.asarray(matrix.sum(axis=1), dtype=np.float64).ravel()
        rows = np.flatnonzero(mass > 0)
        mean = sparse.diags(1.0 / mass[rows]) @ sparse.csr_matrix(matrix)[rows]
        readings.append(_Reading(mean, rows, _basis(design[rows])))
    return readings


def _basis(design: Array) -> Array:
    """Return an orthonormal basis of the columns."""
    left, singular, _ = np.linalg.svd(design, full_matrices=False)
    basis: Array = left[:, singular > 1e-9 * singular.max(initial=0.0)]
    return basis


def _lagged(readings: list[_Reading], values: NDArray[np.floating]) -> _LaggedCells:
    """Return the levels of cells; of earlier and later cells, divided by their number."""
    levels = values.astype(np.float64)
    now = readings[0].residual(levels)
    earlier, later = (r.residual(levels) / max(len(r.rows), 1) for r in readings[1:])
    return _LaggedCells(now, earlier - later, earlier, later)


def _batches(n: int) -> list[slice]:
    """Return slices of at most ``BATCH`` genes."""
    return [slice(start, min(start + BATCH, n)) for start in range(0, n, BATCH)]


def _in_random_order(backward: sparse.csr_matrix, rng: np.random.Generator) -> sparse.csr_matrix:
    """Return the same transitions, each directed by a random order of all cells."""
    both = (backward + backward.T).tocoo()
    position = rng.permutation(backward.shape[0])
    back = position[both.col] < position[both.row]
    entries = (both.data[back], (both.row[back], both.col[back]))
    return sparse.csr_matrix(entries, shape=backward.shape)


def _mean_square(lead: Array, se: Array, weight: Array) -> float:
    """Weighted mean square of the leads in standard errors, of those that have one."""
    known = np.isfinite(se) & (weight > 0)
    if not known.any():
        return 0.0
    return float(np.average((lead[known] / se[known]) ** 2, weights=weight[known]))


def _spaced(n: int) -> NDArray[np.intp]:
    """Return at most ``MAX_COMPARED`` evenly spaced indices below ``n``."""
    return np.unique(np.linspace(0, n - 1, min(n, MAX_COMPARED)).astype(np.intp))
