"""The radius within which a signal reaches a cell."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .._check import positive
from .._core.exposure import (
    expected_pairs,
    median_share_within,
    nearest_neighbour_distance,
    nearest_neighbour_distances,
    neighbour_weights,
)
from .._errors import DataError, warn
from .._free_memory import free_memory

logger = logging.getLogger("spatrace_sc")

#: Default radius in multiples of the median distance between nearest cells.
RADIUS_FACTOR = 5.0
#: A radius outside this range, in the same multiples, draws a warning.
SENSIBLE_FACTORS = (1.0, 40.0)
#: So does a neighbourhood larger than this share of the slice.
LARGE_SHARE = 0.5
#: In slices of fewer cells any neighbourhood is a large share.
SMALL_SLICE = 50
#: Ratio of distances between nearest cells from which on units seem to differ.
DIFFERENT_SCALE = 1.8

#: Bytes that a pair of neighbours certainly takes while their weights are computed. Measured: 38
#: to 73, for 10 to 39 million pairs.
BYTES_PER_PAIR = 36


def weights_within(
    coords: NDArray[np.floating],
    sample: NDArray[np.integer],
    receivers: NDArray[np.bool_],
    senders: NDArray[np.bool_],
    radius: float,
    *,
    own: bool = False,
) -> sparse.csr_matrix:
    """:func:`neighbour_weights`, refused before it is allocated if it cannot fit into memory.

    Raises
    ------
    DataError
        If the expected number of pairs takes more memory than is free.
    """
    free = free_memory()
    if free is not None:
        pairs = expected_pairs(coords, sample, receivers, senders, radius=radius)
        if pairs * BYTES_PER_PAIR > free:
            n_receivers = int(receivers.sum())
            raise DataError(
                f"`radius={radius:g}` gives about {pairs:.2g} pairs of neighbours, "
                f"{pairs / n_receivers:.0f} senders per receiver: they need at least "
                f"{pairs * BYTES_PER_PAIR / 1e9:.3g} GB, and {free / 1e9:.3g} GB are free. Pass a "
                "smaller `radius`, in the units of the coordinates (pixels or µm?), and name the "
                "slices with `sample_key`."
            )
    return neighbour_weights(coords, sample, receivers, senders, radius=radius, own=own)


def resolve_radius(
    radius: float | None, coords: NDArray[np.floating], sample: NDArray[np.integer]
) -> float:
    """Return the given radius, checked against the distance between cells, or the default."""
    if radius is not None:
        positive(radius, "radius", " in the units of the coordinates")
    _check_same_units(coords, sample)
    nearest = nearest_neighbour_distance(coords, sample)
    if radius is None:
        return _default_radius(nearest, coords, sample)
    radius = float(radius)
    share = median_share_within(coords, sample, radius)
    factor = radius / nearest
    is_large = share > LARGE_SHARE and not _are_small(sample)
    if np.isfinite(nearest) and (
        is_large or not SENSIBLE_FACTORS[0] <= factor <= SENSIBLE_FACTORS[1]
    ):
        effect = (
            "most cells have no neighbour within it"
            if radius < nearest
            else f"a cell's neighbourhood would be {100 * share:.0f} % of its slice (median)"
        )
        warn(
            f"`radius={radius:g}` is {factor:.2g} times the median distance to the nearest cell "
            f"({nearest:.4g}): {effect}. Is it in the units of the coordinates (pixels or µm)?"
        )
    return radius


def _default_radius(
    nearest: float, coords: NDArray[np.floating], sample: NDArray[np.integer]
) -> float:
    """Return a multiple of the median distance to the nearest cell, and log it."""
    if not np.isfinite(nearest):
        raise DataError(
            "all cells of every sample share one position, so no radius can be derived; check the "
            "coordinates and `sample_key`."
        )
    radius = RADIUS_FACTOR * nearest
    logger.info(
        "radius = %.4g: %g × the median distance to the nearest cell (%.4g), in the units of the "
        "coordinates.",
        *(radius, RADIUS_FACTOR, nearest),
    )
    share = median_share_within(coords, sample, radius)
    if share > LARGE_SHARE and not _are_small(sample):
        warn(
            f"with the default `radius`, {radius:.4g}, the neighbourhood of a cell would cover "
            f"{100 * share:.0f} % of its slice (median); pass one in the units of the coordinates."
        )
    return radius


def _check_same_units(coords: NDArray[np.floating], sample: NDArray[np.integer]) -> None:
    """Warn if the distance between nearest cells differs so much that units may differ."""
    medians = [float(np.median(d)) for d in nearest_neighbour_distances(coords, sample)]
    if medians and max(medians) > DIFFERENT_SCALE * min(medians):
        warn(
            "the median distance to the nearest cell differs between samples from "
            f"{min(medians):.4g} to {max(medians):.4g}: are their coordinates in different units, "
            "such as pixels of images of different size? The radius applies to all samples; "
            "convert them to one unit first, for spots by `st.pp.scale_positions(adata, distance "
            "between spots, sample_key=...)`."
        )


def _are_small(sample: NDArray[np.integer]) -> bool:
    """Whether the median slice has few cells."""
    return bool(np.median(np.unique(sample, return_counts=True)[1]) < SMALL_SLICE)
