"""A radius in µm, from a number or from the name of a platform, in units of the coordinates."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys
from .._check import one_of, positive
from .._core.exposure import most_equidistant_neighbours, nearest_neighbour_distance
from .._errors import DataError, InvalidArgumentError, warn

logger = logging.getLogger("spatrace_sc")

#: Distance between neighbouring spots of Visium, in µm.
VISIUM_SPACING = 100.0
#: Range in which the median distance between nearest cells or bins is expected, in µm.
CELLS = (2.0, 60.0)
#: A spot of Visium has six nearest neighbours; on a square grid it has four.
SQUARE_GRID = 4
#: A recorded distance between spots is used if the measured one is within this multiple of it.
#: Filtered spots are further apart.
AS_RECORDED = (0.8, 3.0)


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


class Radius(NamedTuple):
    """A radius in ``units`` of the coordinates, and µm per unit; None where not known."""

    units: float | None
    scale: float | None


def read_radius(
    radius: float | str | None,
    scale: float | None,
    coords: NDArray[np.floating],
    sample: NDArray[np.integer],
    recorded: float | None = None,
) -> Radius:
    """Return a radius in the units of the coordinates, and the size of a unit if it is known.

    With ``scale``, in µm per unit of the coordinates, the radius is in µm. The name of a platform
    stands for a radius in µm, and for a scale unless there is one. ``recorded`` is the distance
    between spots to which the coordinates were scaled, see :func:`recorded_spacing`.

    Raises
    ------
    InvalidArgumentError
        If the platform is unknown, no scale is known for it, its spots are not as far apart as
        recorded, or a number is not positive.
    """
    if scale is not None:
        positive(scale, "scale", ", in µm per unit of the coordinates")
    if isinstance(radius, str):
        one_of(radius, "radius", PLATFORMS, " or a positive number in the units of the coordinates")
        return _of_platform(radius, scale, coords, sample, recorded)
    if scale is None:
        return Radius(radius, None)
    if radius is None:
        raise InvalidArgumentError(
            f"`scale={scale:g}` converts a radius in µm, and no `radius` was given; the default "
            "radius needs no scale. Leave it out, or pass `radius` in µm."
        )
    positive(radius, "radius", " in µm")
    units = float(radius) / float(scale)
    logger.info("radius = %.4g µm, %.4g units of the coordinates.", float(radius), units)
    return Radius(units, float(scale))


def recorded_spacing(adata: AnnData, spatial_key: str) -> float | None:
    """Return the distance between spots to which ``scale_positions`` scaled a slot, or None."""
    stored = adata.uns.get(spatial_key + _keys.SCALE)
    if not isinstance(stored, pd.DataFrame) or list(stored.columns) != _keys.SCALE_COLUMNS:
        return None
    spacing = float(stored.prod(axis=1, numeric_only=True).median())
    return spacing if np.isfinite(spacing) and spacing > 0 else None


def _of_platform(
    name: str,
    scale: float | None,
    coords: NDArray[np.floating],
    sample: NDArray[np.integer],
    recorded: float | None,
) -> Radius:
    """Return the radius of a platform in units of the coordinates, and log what is assumed."""
    platform = PLATFORMS[name]
    nearest = nearest_neighbour_distance(coords, sample)
    is_given = scale is not None
    low, high = platform.spacing
    if scale is not None:
        assumption = f"1 unit of the coordinates is {scale:.4g} µm, as given"
    elif recorded is not None and AS_RECORDED[0] <= nearest / recorded <= AS_RECORDED[1]:
        _require_spacing(name, recorded)
        scale, nearest = 1.0, recorded
        assumption = "the coordinates are in µm, as `st.pp.scale_positions` scaled them"
    elif name == "visium":
        scale = _scale_from_spots(nearest, coords, sample)
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
    if np.isfinite(nearest) and not low <= nearest * scale <= high:
        remedy = (
            "Correct `scale`, or pass `radius` as a number in µm if this is another platform."
            if is_given
            else "Pass `scale`, in µm per unit of the coordinates: 1 if they are in µm."
        )
        warn(
            f"`radius={name!r}`: the median distance to the nearest position would be "
            f"{nearest * scale:.3g} µm, but {low:g} to {high:g} µm are usual ({assumption}). "
            f"{remedy}"
        )
    return Radius(units, float(scale))


def _require_spacing(name: str, recorded: float) -> None:
    """Require that spots are as far apart as on the platform, in coordinates scaled to µm."""
    low, high = PLATFORMS[name].spacing
    if not low <= recorded <= high:
        raise InvalidArgumentError(
            f"`radius={name!r}`: `st.pp.scale_positions` placed the nearest spots {recorded:g} µm "
            f"apart, but {low:g} to {high:g} µm are usual for this platform. Pass `radius` as a "
            f"number: `radius={2 * recorded:g}` is two distances between spots. If the "
            "coordinates are not in µm, pass `scale`, in µm per unit."
        )


def _scale_from_spots(
    nearest: float, coords: NDArray[np.floating], sample: NDArray[np.integer]
) -> float:
    """Return µm per unit if the spots are those of Visium; warn if their grid is another one."""
    if not np.isfinite(nearest):
        raise DataError(
            "all spots of every sample share one position, so the distance between spots "
            "is not known; check the coordinates and `sample_key`."
        )
    if most_equidistant_neighbours(coords, sample) <= SQUARE_GRID:
        warn(
            "`radius='visium'` assumes that the nearest spots are "
            f"{VISIUM_SPACING:g} µm apart, but these positions are not on the hexagonal grid of "
            "Visium. Spots of first-generation Spatial Transcriptomics are 200 µm apart: the "
            "radius would be twice as large as stated. Pass `radius` and `scale`, in µm per unit "
            "of the coordinates."
        )
    return VISIUM_SPACING / nearest
