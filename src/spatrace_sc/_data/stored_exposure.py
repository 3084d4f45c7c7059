"""What a stored ligand exposure states about its computation, and the radius taken from it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from .._check import labels
from .._core.exposure import nearest_neighbour_distance
from .._errors import warn
from .radius import DIFFERENT_SCALE

logger = logging.getLogger("spatrace_sc")

#: Weight of a sender at distance d, by which a stored exposure is recognised.
KERNEL = "exp(-3 d / radius)"


def exposure_params(
    *,
    radius: float,
    nearest: float,
    spatial_key: str,
    sample_key: str | None,
    layer: str | None,
    senders: Sequence[str] | str | None,
    receivers: Sequence[str] | str | None,
    ligands: Iterable[str],
    own: bool = False,
) -> dict[str, Any]:
    """Return the arguments of an exposure as values that h5ad and zarr take.

    ``nearest`` is the median distance to the nearest cell. An argument that is None is stored as
    ``""``, and cell types that are None as an empty array.
    """
    return {
        "radius": float(radius),
        "nearest_distance": float(nearest),
        "kernel": KERNEL,
        "spatial_key": spatial_key,
        "sample_key": sample_key or "",
        "layer": layer or "",
        "senders": _names(senders),
        "receivers": _names(receivers),
        "ligands": _names(list(ligands)),
        "own": own,
    }


def radius_or_stored(
    adata: AnnData,
    radius: float | None,
    coords: NDArray[np.floating],
    sample: NDArray[np.integer],
    *,
    spatial_key: str,
    sample_key: str | None,
) -> float | None:
    """Return the given radius; without one, that of a stored exposure; None if there is none.

    ``coords`` (cells, 2 or 3) are the coordinates in ``obsm[spatial_key]`` and ``sample``
    (cells,) the codes of the slices in ``obs[sample_key]``.
    """
    if radius is None:
        nearest = nearest_neighbour_distance(coords, sample)
        return stored_radius(adata, spatial_key=spatial_key, sample_key=sample_key, nearest=nearest)
    for key, params in _exposures(adata).items():
        stored = float(params["radius"])
        if _same_cells(params, spatial_key, sample_key) and stored != radius:
            logger.info(
                "`radius=%s` was given; the ligand exposure in adata.obsm[%r] was computed with "
                "%g.",
                *(radius, key, stored),
            )
    return radius


def stored_radius(
    adata: AnnData, *, spatial_key: str, sample_key: str | None, nearest: float = float("nan")
) -> float | None:
    """Return the radius of a stored exposure that was computed on these coordinates and slices.

    ``nearest`` is the present median distance to the nearest cell; NaN: unknown. None is returned
    without an exposure. It is also returned, with a warning, if exposures were computed on other
    coordinates or slices, in other units, or with different radii.
    """
    exposures = _exposures(adata)
    usable = {k: p for k, p in exposures.items() if _same_cells(p, spatial_key, sample_key)}
    in_units = {k: p for k, p in usable.items() if _same_units(p, nearest)}
    radii = sorted({float(params["radius"]) for params in in_units.values()})
    if len(radii) == 1:
        logger.info(
            "radius = %.4g taken from the ligand exposure in %s.", *(radii[0], _slots(in_units))
        )
        return radii[0]
    if not exposures:
        return None
    if radii:
        reason = f"has different radii ({', '.join(f'{r:g}' for r in radii)})"
    elif usable:
        reason = "was computed when the distance to the nearest cell was different"
    else:
        params = next(iter(exposures.values()))
        reason = (
            f"was computed with `spatial_key={str(params['spatial_key'])!r}` and "
            f"`sample_key={str(params['sample_key']) or None!r}`, not with {spatial_key!r} and "
            f"{sample_key!r}"
        )
    warn(
        f"the ligand exposure in {_slots(in_units or usable or exposures)} {reason}, so its radius "
        "is not used; pass `radius`, or compute the exposure again with these arguments."
    )
    return None


def _exposures(adata: AnnData) -> dict[str, Mapping[str, Any]]:
    """Return the parameters of every stored exposure, by its key in ``obsm``."""
    entries = {key: adata.uns[key] for key in adata.obsm if key in adata.uns}
    params = {
        k: e["params"] for k, e in entries.items() if isinstance(e, Mapping) and "params" in e
    }
    return {
        str(k): p for k, p in params.items() if isinstance(p, Mapping) and p.get("kernel") == KERNEL
    }


def _same_cells(params: Mapping[str, Any], spatial_key: str, sample_key: str | None) -> bool:
    """Whether an exposure was computed on these coordinates and slices."""
    return (str(params["spatial_key"]), str(params["sample_key"])) == (
        spatial_key,
        sample_key or "",
    )


def _same_units(params: Mapping[str, Any], nearest: float) -> bool:
    """Whether nearest cells are as far apart as they were, within the tolerance of units."""
    ratio = nearest / float(params.get("nearest_distance", np.nan))
    return not ratio > DIFFERENT_SCALE and not ratio < 1 / DIFFERENT_SCALE


def _slots(keys: Iterable[str]) -> str:
    """Return the slots with these keys as text."""
    return ", ".join(f"adata.obsm[{key!r}]" for key in keys)


def _names(names: object) -> NDArray[np.object_]:
    """Return names as an array that every format takes; empty for None."""
    return np.array([] if names is None else labels(names, "names"), dtype=object)
