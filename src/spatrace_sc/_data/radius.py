"""The reach of a signal."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from .._check import positive
from .._core.exposure import (
    median_share_within,
    nearest_neighbour_distance,
    nearest_neighbour_distances,
)
from .._errors import DataError, warn

logger = logging.getLogger("spatrace_sc")

#: Default radius in multiples of the median distance between nearest cells.
RADIUS_FACTOR = 5.0


#: Outside this many multiples of that distance a radius draws a warning, and beyond this share of the cells of a slice.
SENSIBLE, LARGE_PART = (1.0, 40.0), 0.5


#: In slices of fewer cells any neighbourhood is a large part.
SMALL_SLICE = 50


#: Samples whose cells lie this many times closer than those of another draw a warning.
DIFFERENT_SCALE = 1.8


def resolve_radius(
    radius: float | None, coords: NDArray[np.floating], sample: NDArray[np.integer]
) -> float:
    """The radius given, checked against the distance between cells; or the default, logged."""
    positive(radius, "radius", " in the units of the coordinates")
    by_sample = [float(np.median(d)) for d in nearest_neighbour_distances(coords, sample)]
    nearest = nearest_neighbour_distance(coords, sample)
    small = np.median(np.unique(sample, return_counts=True)[1]) < SMALL_SLICE
    if by_sample and max(by_sample) > DIFFERENT_SCALE * min(by_sample):
        warn(
            f"the median distance to the nearest cell differs between samples from {min(by_sample):.4g} to {max(by_sample):.4g}: are their coordinates in different units, such as pixels of images of "
            "different size? One radius holds for all; bring the samples to one unit first, for spots by `st.pp.scale_positions(adata, distance between spots, sample_key=...)`."
        )
    if radius is None:
        if not np.isfinite(nearest):
            raise DataError(
                "all cells of every sample share one position, so no radius can be derived; check the coordinates and `sample_key`."
            )
        radius = RADIUS_FACTOR * nearest
        logger.info(
            "radius = %.4g: %g × the median distance to the nearest cell (%.4g), in the units of the coordinates.",
            radius,
            RADIUS_FACTOR,
            nearest,
        )
        if not small and (share := median_share_within(coords, sample, radius)) > LARGE_PART:
            warn(
                f"the default `radius`, {radius:.4g}, would make {100 * share:.0f} % of its slice (median) a cell's neighbourhood; state one in the units of the coordinates."
            )
        return radius
    radius = float(radius)
    share = median_share_within(coords, sample, radius)
    if np.isfinite(nearest) and (
        (share > LARGE_PART and not small) or not SENSIBLE[0] <= radius / nearest <= SENSIBLE[1]
    ):
        effect = (
            "most cells have no neighbour within it"
            if radius < nearest
            else f"a cell's neighbourhood would be {100 * share:.0f} % of its slice (median)"
        )
        warn(
            f"`radius={radius:g}` is {radius / nearest:.2g} times the median distance to the nearest cell ({nearest:.4g}): {effect}. Is it in the units of the coordinates (pixels or µm)?"
        )
    return radius
