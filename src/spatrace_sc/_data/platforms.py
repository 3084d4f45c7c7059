"""A radius in µm, from a number or from the name of a platform, in units of the coordinates."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .._check import one_of, positive
from .._core.exposure import nearest_neighbour_distance
from .._errors import DataError, InvalidArgumentError, warn

logger = logging.getLogger("spatrace_sc")

#: Distance between neighbouring spots of Visium, in µm.
VISIUM_SPACING = 100.0
#: Range in which the median distance between nearest cells or bins is expected, in µm.
CELLS = (2.0, 60.0)


@dataclass(frozen=True)
class Platform:
    """What is assumed about a platform.

    ``radius`` in µm, and its ``reason``; ``scale``: µm per unit of the coordinates in the
    platform's own files, None if it differs between experiments, and its ``unit``; ``spacing``:
    expected range of the median distance between nearest positions, in µm.
    """

    radius: float
    reason: str
    scale: float | None
    unit: str
    spacing: tuple[float, float] = CELLS


#: Five times the distance between neighbouring cells, the default for single cells.
_CELLS = (50.0, "five distances of 10 µm between cells")
PLATFORMS = {
    "visium": Platform(200.0, "two distances between spots", None, "pixels", (80.0, 120.0)),
    "visium_hd": Platform(*_CELLS, None, "pixels"),
    "xenium": Platform(*_CELLS, 1.0, "µm"),
    "merfish": Platform(*_CELLS, 1.0, "µm"),
    "cosmx": Platform(*_CELLS, 0.12028, "pixels of 0.12028 µm"),
    "slideseq": Platform(*_CELLS, 0.647, "units of 0.647 µm"),
    "stereoseq": Platform(*_CELLS, 0.5, "units of 0.5 µm, the distance between DNA nanoballs"),
}


def radius_in_units(
    radius: float | str | None,
    scale: float | None,
    coords: NDArray[np.floating],
    sample: NDArray[np.integer],
) -> float | None:
    """Return a radius in the units of the coordinates; None where none was given.

    With ``scale``, in µm per unit of the coordinates, the radius is in µm. The name of a platform
    stands for a radius in µm, and for a scale unless there is one.

    Raises
    ------
    InvalidArgumentError
        If the platform is unknown, no scale is known for it, or a number is not positive.
    """
    if scale is not None:
        positive(scale, "scale", ", in µm per unit of the coordinates")
    if isinstance(radius, str):
        one_of(radius, "radius", PLATFORMS, " or a positive number in the units of the coordinates")
        return _of_platform(radius, scale, coords, sample)
    if scale is None:
        return radius
    if radius is None:
        raise InvalidArgumentError(
            f"`scale={scale:g}` converts a radius in µm, and no `radius` was given; the default "
            "radius needs no scale. Leave it out, or pass `radius` in µm."
        )
    positive(radius, "radius", " in µm")
    units = float(radius) / float(scale)
    logger.info("radius = %.4g µm, %.4g units of the coordinates.", float(radius), units)
    return units


def _of_platform(
    name: str,
    scale: float | None,
    coords: NDArray[np.floating],
    sample: NDArray[np.integer],
) -> float:
    """Return the radius of a platform in units of the coordinates, and log what is assumed."""
    platform = PLATFORMS[name]
    nearest = nearest_neighbour_distance(coords, sample)
    if scale is not None:
        assumption = f"1 unit of the coordinates is {scale:.4g} µm, as given"
    elif name == "visium":
        if not np.isfinite(nearest):
            raise DataError(
                "all spots of every sample share one position, so the distance between spots "
                "is not known; check the coordinates and `sample_key`."
            )
        scale = VISIUM_SPACING / nearest
        assumption = (
            f"1 unit of the coordinates is {scale:.4g} µm, so that neighbouring spots are "
            f"{VISIUM_SPACING:g} µm apart"
        )
    elif platform.scale is None:
        raise InvalidArgumentError(
            f"`radius={name!r}` needs `scale`, in µm per unit of the coordinates. Space Ranger "
            "writes it as `microns_per_pixel` to scalefactors_json.json; for coordinates in µm, "
            "pass `scale=1`."
        )
    else:
        scale = platform.scale
        assumption = f"the coordinates are in {platform.unit}, as in the files of the platform"
    units = platform.radius / scale
    logger.info(
        "radius=%r: %g µm (%s), %.4g units of the coordinates. Assumed: %s; pass `scale`, in µm "
        "per unit, to change it.",
        *(name, platform.radius, platform.reason, units, assumption),
    )
    low, high = platform.spacing
    if np.isfinite(nearest) and not low <= nearest * scale <= high:
        warn(
            f"`radius={name!r}`: the median distance to the nearest position would be "
            f"{nearest * scale:.3g} µm, but {low:g} to {high:g} µm are usual ({assumption}). Pass "
            "`scale`, in µm per unit of the coordinates: 1 if they are in µm."
        )
    return units
