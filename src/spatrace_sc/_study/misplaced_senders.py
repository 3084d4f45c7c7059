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


def misplace_senders(study: Study, rng: np.random.Generator) -> tuple[Study, str]:
    """Return the study in which every receiver has the senders of another one, and how.

    In every slice a random motion (a rotation or a reflection about the centre, and a shift that
    wraps around the bounding box) sends each receiver to a position. The receiver gets the
    neighbourhood of senders of the receiver that is nearest to that position. So the density and
    the spatial autocorrelation of every ligand stay, and no signal can act through the exposure. Of
    :data:`N_MOTIONS` motions, the one whose positions are nearest to receivers is taken. At least
    95 % of the receivers must be displaced by more than three radii. A slice that is too small for
    that takes the senders of another slice, of the same stage if there is one. The text says how
    many slices did.

    Raises
    ------
    DataError
        If no slice is large enough, and there is no other slice.
    """
    source = np.arange(len(study.time))
    sample = study.receiver_sample
    codes, n_within = np.unique(sample), 0
    for code in codes:
        rows = np.flatnonzero(sample == code)
        moved = _within(study.coords[rows], MIN_RADII * study.radius, rng)
        source[rows] = _from_other_slice(study, code, rng) if moved is None else rows[moved]
        n_within += moved is not None
    if n_within == len(codes):
        method = "another location of the slice"
    elif n_within:
        n = len(codes) - n_within
        method = f"another location of the slice; in {n} of {len(codes)} slices, another slice"
    else:
        method = "another slice"
    return _with_senders_of(study, source), method


def has_replicates(study: Study) -> bool:
    """Return whether every slice has another one with receivers of the same stage."""
    codes = np.unique(study.receiver_sample)
    return all(len(_slices_of_same_stage(study, int(code))) > 0 for code in codes)


def senders_of_another_slice(study: Study, rng: np.random.Generator) -> tuple[Study, str]:
    """Return the study in which every slice has the senders of a replicate, and how.

    Every receiver gets the neighbourhood of senders of the receiver at the same location of another
    slice of its stage, drawn at random. Locations are relative to the centres of both slices. No
    signal can act. Geography that replicates have in common stays, if they lie alike.

    Raises
    ------
    DataError
        If a slice has no other one of its stage (:func:`has_replicates`).
    """
    source = np.arange(len(study.time))
    for code in np.unique(study.receiver_sample):
        if not len(_slices_of_same_stage(study, int(code))):
            raise DataError("a slice has no other slice of its stage, so it has no replicate.")
        rows = np.flatnonzero(study.receiver_sample == code)
        source[rows] = _from_other_slice(study, code, rng)
    return _with_senders_of(study, source), "another slice of the stage"


def _with_senders_of(study: Study, source: NDArray[np.int64]) -> Study:
    """Return the study in which every receiver has the senders of the receiver ``source``."""
    own = study.own_weights
    return replace(
        study,
        weights=study.weights[source].tocsr(),
        exposure=study.exposure[source],
        own_weights=None if own is None else own[source].tocsr(),
    )


def _slices_of_same_stage(study: Study, code: int) -> NDArray[np.int64]:
    """Return the other slices whose receivers are all of the stage of those of a slice."""
    sample, stage = study.receiver_sample, study.stage
    own = np.unique(stage[sample == code])
    others = np.unique(sample[sample != code])
    same = [s for s in others if len(own) == 1 and (stage[sample == s] == own[0]).all()]
    return np.array(same, dtype=np.int64)


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
    same_stage = _slices_of_same_stage(study, code)
    chosen = np.flatnonzero(sample == rng.choice(same_stage if len(same_stage) else others))
    centred = study.coords[chosen] - study.coords[chosen].mean(axis=0)
    nearest = KDTree(centred).query(study.coords[rows] - study.coords[rows].mean(axis=0))[1]
    return np.asarray(chosen[nearest], dtype=np.int64)
