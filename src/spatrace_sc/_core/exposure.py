"""Ligand exposure: how much of each ligand reaches each cell."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.spatial import cKDTree

#: Upper limit of log expression before it returns to linear units: raw counts must not overflow.
MAX_LOG = 20.0
#: Receivers whose neighbours are searched at a time.
CHUNK = 20_000

Kernel = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def exponential_kernel(radius: float) -> Kernel:
    """Weight ``exp(-3 d / radius)``: 1 at distance 0, 0.05 at the radius."""
    return lambda distance: np.exp(-3.0 * distance / radius)


def nearest_neighbour_distances(
    coords: NDArray[np.floating], sample: NDArray[np.integer]
) -> list[NDArray[np.float64]]:
    """Distance from each position to the nearest other one, per sample, in units of ``coords``.

    Cells that share a position are counted once, so that duplicated spots do not give 0. Samples
    of a single position are left out.
    """
    nearest = []
    for code in np.unique(sample):
        unique = np.unique(np.asarray(coords[sample == code], dtype=np.float64), axis=0)
        if len(unique) > 1:
            distance, _ = cKDTree(unique).query(unique, k=2)
            nearest.append(np.asarray(distance)[:, 1])
    return nearest


def nearest_neighbour_distance(coords: NDArray[np.floating], sample: NDArray[np.integer]) -> float:
    """Median of :func:`nearest_neighbour_distances` over all samples.

    NaN if every sample is a single position.
    """
    nearest = nearest_neighbour_distances(coords, sample)
    return float(np.median(np.concatenate(nearest))) if nearest else float("nan")


def most_equidistant_neighbours(
    coords: NDArray[np.floating], sample: NDArray[np.integer], tolerance: float = 1.25
) -> float:
    """95th percentile of the number of neighbours about as near as the nearest: six on hexagons.

    These are positions within ``tolerance`` times the median distance between nearest ones of the
    sample. Samples of a single position are left out; inside a square grid there are four.
    """
    counts = []
    for code in np.unique(sample):
        unique = np.unique(np.asarray(coords[sample == code], dtype=np.float64), axis=0)
        if len(unique) > 1:
            distance, _ = cKDTree(unique).query(unique, k=min(8, len(unique)))
            within = distance[:, 1:] <= tolerance * np.median(distance[:, 1])
            counts.append(within.sum(axis=1))
    return float(np.percentile(np.concatenate(counts), 95)) if counts else float("nan")


def median_share_within(
    coords: NDArray[np.floating], sample: NDArray[np.integer], radius: float, n_probes: int = 200
) -> float:
    """Median share, 0 to 1, of the other cells of a sample that lie within ``radius`` of a cell.

    The median is over about ``n_probes`` evenly spaced cells of each sample. Samples of a single
    cell are left out.
    """
    shares = []
    for code in np.unique(sample):
        positions = np.asarray(coords[sample == code], dtype=np.float64)
        if len(positions) > 1:
            probes = positions[:: max(1, len(positions) // n_probes)]
            within = cKDTree(positions).query_ball_point(probes, radius, return_length=True)
            shares.append((np.asarray(within) - 1) / (len(positions) - 1))
    return float(np.median(np.concatenate(shares))) if shares else float("nan")


def expected_pairs(
    coords: NDArray[np.floating],
    sample: NDArray[np.integer],
    receivers: NDArray[np.bool_],
    senders: NDArray[np.bool_],
    *,
    radius: float,
    n_probes: int = 200,
) -> float:
    """Number of pairs that :func:`neighbour_weights` would store, and a cell with itself.

    Senders are counted around about ``n_probes`` evenly spaced receivers of each sample, without
    a list of them. With at most ``n_probes`` receivers a sample, the number is exact.
    """
    total = 0.0
    for code in np.unique(sample):
        target = np.flatnonzero((sample == code) & receivers)
        source = np.flatnonzero((sample == code) & senders)
        if len(target) and len(source):
            at = np.linspace(0, len(target) - 1, min(n_probes, len(target))).astype(np.intp)
            tree = cKDTree(coords[source])
            within = tree.query_ball_point(coords[target[at]], radius, return_length=True)
            total += float(np.mean(within)) * len(target)
    return total


def neighbour_weights(
    coords: NDArray[np.floating],
    sample: NDArray[np.integer],
    receivers: NDArray[np.bool_],
    senders: NDArray[np.bool_],
    *,
    radius: float,
    kernel: Kernel | None = None,
    own: bool = False,
) -> sparse.csr_matrix:
    """Kernel weight of every sender within ``radius`` of every receiver of the same sample.

    Parameters
    ----------
    coords
        (cells, 2 or 3) positions.
    sample
        (cells,) integer code of the slice; pairs never cross it.
    receivers, senders
        (cells,) masks.
    radius
        In the units of ``coords``.
    kernel
        Distance → weight; default :func:`exponential_kernel`.
    own
        Whether a cell that sends and receives is a sender of its own, at distance 0.

    Returns
    -------
    (cells, cells) CSR, row = receiver, column = sender, no diagonal without ``own``. Only pairs
    within the radius are stored.
    """
    kernel = kernel or exponential_kernel(radius)
    n = len(coords)
    rows: list[NDArray[np.int32]] = []
    cols: list[NDArray[np.int32]] = []
    weights: list[NDArray[np.float32]] = []
    for code in np.unique(sample):
        target = np.flatnonzero((sample == code) & receivers)
        source = np.flatnonzero((sample == code) & senders)
        if not len(target) or not len(source):
            continue
        tree = cKDTree(coords[source])
        for start in range(0, len(target), CHUNK):
            queried = target[start : start + CHUNK]
            pairs = cKDTree(coords[queried]).sparse_distance_matrix(
                tree, radius, output_type="ndarray"
            )
            i, j = queried[pairs["i"]], source[pairs["j"]]
            off = (i != j) | own
            rows.append(i[off].astype(np.int32))
            cols.append(j[off].astype(np.int32))
            weights.append(kernel(pairs["v"][off]).astype(np.float32))
    if not rows:
        return sparse.csr_matrix((n, n), dtype=np.float32)
    row, col, data = np.concatenate(rows), np.concatenate(cols), np.concatenate(weights)
    for chunks in (rows, cols, weights):
        chunks.clear()
    return sparse.csr_matrix((data, (row, col)), shape=(n, n))


def linear(logged: NDArray[np.floating]) -> NDArray[np.float32]:
    """``e^x - 1`` without overflow: linear units of log-normalised expression."""
    return np.expm1(np.minimum(np.asarray(logged, dtype=np.float32), MAX_LOG))


def ligand_exposure(
    weights: sparse.csr_matrix, expression: NDArray[np.floating]
) -> NDArray[np.float32]:
    """Exposure ``E[i, l] = sum over j of weights[i, j] * expm1(expression[j, l])``.

    Parameters
    ----------
    weights
        (cells, cells), receiver × sender, from :func:`neighbour_weights`.
    expression
        (cells, ligands), log-normalised. ``expm1`` (of at most :data:`MAX_LOG`) returns it to
        linear units, because molecules add and their logarithms do not.

    Returns
    -------
    (cells, ligands) float32.
    """
    return np.asarray(weights @ linear(expression), dtype=np.float32)
