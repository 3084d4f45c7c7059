"""Images of SpatialData under the cells of a map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..._check import closest, shorten
from ..._errors import InvalidArgumentError
from .axes import points

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Pixels per point of the panel, and the smallest and largest number of pixels of its width.
PIXELS_PER_POINT, FEWEST, MOST = 2.0, 100, 1200
#: Quantile of the brightness of an image that is black and white.
CONTRAST = (0.01, 0.995)
#: Area of cells over an image, as a share of that at which they touch.
SHARE_OVER_IMAGE = 0.3


def image_of_slices(image: Any, names: Sequence[str]) -> dict[str, Any]:
    """Return the image of each slice: one for all, or those that a mapping names."""
    if not isinstance(image, Mapping) or _is_element(image):
        _require_element(image, "image")
        return dict.fromkeys(names, image)
    unknown = [str(name) for name in image if str(name) not in names]
    if unknown:
        raise InvalidArgumentError(
            f"`image` names the slice {unknown[0]!r}, which is not drawn; drawn are "
            f"{shorten(names)}.{closest(unknown[0], names)}"
        )
    for name, element in image.items():
        _require_element(element, f"image[{name!r}]")
    return {str(name): element for name, element in image.items()}


def draw_image(ax: Axes, element: Any, coordinate_system: str, centre: NDArray[np.float64]) -> None:
    """Draw the part of an image inside the limits of a panel, whose origin is ``centre``.

    SpatialData transforms the image to the coordinate system, so that turned and mirrored images
    lie under their cells.
    """
    from spatialdata import rasterize

    _require_system(element, coordinate_system)
    (left, right), (low, high) = (sorted(limits) for limits in (ax.get_xlim(), ax.get_ylim()))
    corner, opposite = np.array([left, low]) + centre, np.array([right, high]) + centre
    width = int(np.clip(PIXELS_PER_POINT * points(ax)[0], FEWEST, MOST))
    part = rasterize(
        element,
        axes=("x", "y"),
        min_coordinate=corner,
        max_coordinate=opposite,
        target_coordinate_system=coordinate_system,
        target_width=width,
    )
    limits = ax.get_xlim(), ax.get_ylim()
    pixels = _colours(np.asarray(part.transpose("y", "x", "c").data))
    ax.imshow(pixels, extent=(left, right, high, low), cmap="gray", zorder=0, aspect="equal")
    ax.set(xlim=limits[0], ylim=limits[1])


def _colours(pixels: NDArray[Any]) -> NDArray[np.float64]:
    """Return (rows, columns, 3) colours of three channels, or (rows, columns) greys of others."""
    if pixels.shape[-1] in (3, 4) and pixels.dtype == np.uint8:
        return np.asarray(pixels[..., :3] / 255.0)
    channels = pixels.astype(np.float64)
    low, high = (np.quantile(channels, q, axis=(0, 1)) for q in CONTRAST)
    scaled = np.clip((channels - low) / np.maximum(high - low, 1e-12), 0.0, 1.0)
    return scaled if pixels.shape[-1] == 3 else np.asarray(scaled.mean(axis=-1))


def _is_element(image: Any) -> bool:
    """Return whether this is an image of SpatialData, of one or of several resolutions."""
    from xarray import DataArray, DataTree

    return isinstance(image, DataArray | DataTree)


def _require_element(image: Any, name: str) -> None:
    """Refuse anything that is not an image of SpatialData."""
    if not _is_element(image):
        raise InvalidArgumentError(
            f"`{name}` must be an image of a SpatialData, such as `sdata['name']`, or a dictionary "
            f"from slices to images; found {type(image).__name__}."
        )


def _require_system(element: Any, coordinate_system: str) -> None:
    """Refuse a coordinate system that the image has no transformation to."""
    from spatialdata.transformations import get_transformation

    systems = sorted(get_transformation(element, get_all=True))
    if coordinate_system not in systems:
        raise InvalidArgumentError(
            f"`coordinate_system={coordinate_system!r}` is not a coordinate system of the image, "
            f"which has {shorten(systems)}.{closest(coordinate_system, systems)}"
        )
