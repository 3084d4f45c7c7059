"""A study whose receivers see the senders of another place: a negative control for signals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from .._errors import DataError
from .records import Study

#: Smallest displacement in radii, share of the receivers that must be displaced by as much, and
#: number of motions that are tried in a slice.
MIN_RADII, MIN_SHARE, N_MOTIONS = 3.0, 0.95, 30


def misplace_senders(study: Study, rng: np.random.Generator) -> Study:
    """Return the study in which every receiver has the senders of another receiver.

    In every slice a random motion (a rotation or a reflection about the centre, and a shift that
    wraps around the bounding box) sends each receiver to a position. The receiver gets the
    neighbourhood of senders of the receiver that is nearest to that position. So the density and
    the spatial autocorrelation of every ligand stay, and no signal can act through the exposure. Of
    :data:`N_MOTIONS` motions, the one whose positions are nearest to receivers is taken. At least
    95 % of the receivers must be displaced by more than three radii. A slice that is too small for
    that takes the senders of another slice, of the same stage if there is one.

    Raises
    ------
    DataError
        If no slice is large enough, and there is no other slice.
    """
    source = np.arange(len(study.time))
    sample = study.receiver_sample
    for code in np.unique(sample):
        rows = np.flatnonzero(sample == code)
        moved = _within(study.coords[rows], MIN_RADII * study.radius, rng)
        source[rows] = _from_other_slice(study, code, rng) if moved is None else rows[moved]
    own = study.own_weights
    return replace(
        study,
        weights=study.weights[source].tocsr(),
        exposure=study.exposure[source],
        own_weights=None if own is None else own[source].tocsr(),
    )


def _within(
    coords: NDArray[np.float64], distance: float, rng: np.random.Generator
) -> NDArray[np.int64] | None:
    """Return the receiver whose senders each receiver gets, None if the slice is too small."""
    low, side = coords.min(axis=0), np.maximum(np.ptp(coords, axis=0), 1e-12)
    tree, centre = KDTree(coords), coords.mean(axis=0)
    best, smallest = None, np.inf
    for _ in range(N_MOTIONS):
        turned = (coords - centre) @ _orthogonal(rng, coords.shape[1]).T + centre
        wrapped = low + np.mod(turned + rng.uniform(0, side) - low, side)
        gap, nearest = tree.query(wrapped)
        displaced = np.linalg.norm(coords[nearest] - coords, axis=1) > distance
        if displaced.mean() >= MIN_SHARE and gap.mean() < smallest:
            best, smallest = np.asarray(nearest, dtype=np.int64), float(gap.mean())
    return best


def _orthogonal(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """(n, n) random rotation in the plane, with a reflection in half of the draws."""
    angle, flip = rng.uniform(0, 2 * np.pi), rng.choice([-1.0, 1.0])
    matrix = np.eye(n)
    if n > 1:
        cos, sin = np.cos(angle), np.sin(angle)
        matrix[:2, :2] = [[cos, -sin * flip], [sin, cos * flip]]
    return matrix


def _from_other_slice(study: Study, code: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return a receiver of another slice for every receiver of a slice, at the same location.

    Locations are relative to the centres of both slices.
    """
    sample = study.receiver_sample
    rows = np.flatnonzero(sample == code)
    others = np.unique(sample[sample != code])
    if not len(others):
        extent = float(np.ptp(study.coords[rows], axis=0).max())
        raise DataError(
            f"the only slice extends over {extent / study.radius:.1f} radii: no motion displaces "
            f"{MIN_SHARE:.0%} of its receivers by more than {MIN_RADII:g} radii, so senders cannot "
            "be misplaced. Set `n_misplaced=0`, or infer with a smaller `radius`."
        )
    stage = study.stage[rows[0]]
    same_stage = [s for s in others if (study.stage[sample == s] == stage).all()]
    chosen = np.flatnonzero(sample == rng.choice(same_stage or others))
    centred = study.coords[chosen] - study.coords[chosen].mean(axis=0)
    nearest = KDTree(centred).query(study.coords[rows] - study.coords[rows].mean(axis=0))[1]
    return np.asarray(chosen[nearest], dtype=np.int64)
