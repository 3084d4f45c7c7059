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
    lead, se, _ = _leads_and_errors(backward, (regulator, target), covariates, block)
    if not np.isfinite(se).any():
        return Leads(lead, se, 0.0)
    few = tuple(values[:, _spaced(values.shape[1])] for values in (regulator, target))
    observed = _mean_square(*_leads_and_errors(backward, few, covariates, block))
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
    f, g = _lagged(backward, genes, covariates)
    order = np.argsort(block, kind="stable")
    rows = np.split(order, np.flatnonzero(np.diff(block[order])) + 1)
    total, squares = np.zeros((2, f.now.shape[1], g.now.shape[1]))
    for cells in rows:
        part = f.step[cells].T @ g.now[cells] - f.now[cells].T @ g.step[cells]
        total += part
        squares += part**2
    n = len(rows)
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


def _lagged(
    backward: sparse.csr_matrix,
    genes: tuple[NDArray[np.floating], ...],
    covariates: NDArray[np.floating],
) -> list[_LaggedCells]:
    """Return the levels of regulators and of targets in cells, earlier cells and later cells."""
    values = np.hstack(genes).astype(np.float64)
    now = _without(covariates, values, np.ones(len(values), dtype=bool))
    earlier = _step_mean(backward, values, covariates)
    later = _step_mean(sparse.csr_matrix(backward.T), values, covariates)
    ends = [genes[0].shape[1]]
    parts = (np.split(levels, ends, axis=1) for levels in (now, earlier - later, earlier, later))
    return [_LaggedCells(*levels) for levels in zip(*parts, strict=True)]


def _step_mean(
    transitions: sparse.csr_matrix, values: Array, covariates: NDArray[np.floating]
) -> Array:
    """(cells, genes) mean over one step, divided by the number of cells that have one; else 0."""
    mass = np.asarray(transitions.sum(axis=1), dtype=np.float64).ravel()
    exists = mass > 0
    mean = (transitions @ values) / np.where(exists, mass, 1.0)[:, None]
    return _without(covariates, mean, exists) / max(int(exists.sum()), 1)


def _without(covariates: NDArray[np.floating], values: Array, rows: NDArray[np.bool_]) -> Array:
    """Residuals of a regression on the covariates and a constant in some rows; 0 in others."""
    design = np.column_stack([np.ones(len(values)), covariates])[rows].astype(np.float64)
    left, singular, _ = np.linalg.svd(design, full_matrices=False)
    basis = left[:, singular > 1e-9 * singular.max(initial=0.0)]
    residual = np.zeros_like(values)
    residual[rows] = values[rows] - basis @ (basis.T @ values[rows])
    return residual


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
