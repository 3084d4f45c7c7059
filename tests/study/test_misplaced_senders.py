"""Misplaced senders: the neighbourhoods of other receivers, too far away to signal."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from _controls import LARGE_RADIUS, SMALL_RADIUS, study_of
from scipy.spatial import KDTree

from spatrace_sc._core.exposure import ligand_exposure
from spatrace_sc._errors import DataError
from spatrace_sc._study.misplaced_senders import (
    MIN_RADII,
    MIN_SHARE,
    has_replicates,
    misplace_senders,
    senders_of_another_slice,
)
from spatrace_sc._study.subsets import take_receivers


@pytest.fixture(scope="module")
def study():
    return study_of()


def misplaced(study, seed=0):
    return misplace_senders(study, np.random.default_rng(seed))[0]


def method_of(study, seed=0):
    return misplace_senders(study, np.random.default_rng(seed))[1]


def rows_of(weights):
    """Bytes of every row, by which a row is recognised; None for rows without an entry."""
    ends = zip(weights.indptr[:-1], weights.indptr[1:], strict=True)
    return [
        (weights.indices[a:b].tobytes(), weights.data[a:b].tobytes()) if b > a else None
        for a, b in ends
    ]


def sources(study, after):
    """Return receivers with senders after the change, and whose senders they now have."""
    owner = {row: k for k, row in enumerate(rows_of(study.weights)) if row is not None}
    pairs = [(k, owner[row]) for k, row in enumerate(rows_of(after.weights)) if row is not None]
    return np.array(pairs).T


@pytest.mark.parametrize("seed", range(4))
def test_senders_come_from_far_away_in_the_same_slice(study, seed):
    receivers, owners = sources(study, misplaced(study, seed))
    assert len(receivers) > 0.7 * len(study.time)
    distance = np.linalg.norm(study.coords[receivers] - study.coords[owners], axis=1)
    # the share holds for all receivers; those without senders are not recognised
    assert (distance > MIN_RADII * SMALL_RADIUS).mean() > MIN_SHARE - 0.03
    np.testing.assert_array_equal(study.receiver_sample[receivers], study.receiver_sample[owners])


def test_few_cells_of_a_neighbourhood_are_neighbours(study):
    after = misplaced(study)
    senders = study.cells.coords[study.senders]
    receiver, sender = after.weights.nonzero()
    distance = np.linalg.norm(study.coords[receiver] - senders[sender], axis=1)
    assert (distance > SMALL_RADIUS).mean() > 0.95
    receiver, sender = study.weights.nonzero()
    distance = np.linalg.norm(study.coords[receiver] - senders[sender], axis=1)
    assert distance.max() <= SMALL_RADIUS


def test_exposure_is_that_of_the_new_weights(study):
    after = misplaced(study)
    expected = ligand_exposure(after.weights, np.log1p(study.sender_ligand))
    np.testing.assert_allclose(after.exposure, expected, rtol=1e-4, atol=1e-4)
    assert (np.abs(after.exposure - study.exposure) > 1e-3).any(axis=1).mean() > 0.9


def test_the_distribution_of_exposure_stays(study):
    draws = [misplaced(study, seed).exposure for seed in range(4)]
    mean, sd = study.exposure.mean(axis=0), study.exposure.std(axis=0)
    np.testing.assert_allclose(np.mean([d.mean(axis=0) for d in draws], axis=0), mean, rtol=0.2)
    np.testing.assert_allclose(np.mean([d.std(axis=0) for d in draws], axis=0), sd, rtol=0.25)


def test_neighbours_still_have_similar_exposure(study):
    """A permutation of the receivers would lose the spatial autocorrelation of the exposure."""

    def autocorrelation(exposure):
        total = np.log1p(exposure.sum(axis=1))
        shares = []
        for code in np.unique(study.receiver_sample):
            rows = np.flatnonzero(study.receiver_sample == code)
            nearest = KDTree(study.coords[rows]).query(study.coords[rows], k=2)[1][:, 1]
            shares.append(np.corrcoef(total[rows], total[rows][nearest])[0, 1])
        return np.mean(shares)

    before, after = autocorrelation(study.exposure), autocorrelation(misplaced(study).exposure)
    rng = np.random.default_rng(0)
    shuffled = autocorrelation(study.exposure[rng.permutation(len(study.time))])
    assert after > 0.5 * before > 2 * abs(shuffled)


def test_everything_else_stays(study):
    before = study.weights.copy(), study.exposure.copy()
    after = misplaced(study)
    for field in fields(study):
        if field.name not in {"weights", "exposure"}:
            assert getattr(after, field.name) is getattr(study, field.name)
    assert (study.weights != before[0]).nnz == 0
    np.testing.assert_array_equal(study.exposure, before[1])


def test_the_seed_decides_the_motion(study):
    one, again, other = misplaced(study, 1), misplaced(study, 1), misplaced(study, 2)
    np.testing.assert_array_equal(one.exposure, again.exposure)
    assert (one.exposure != other.exposure).any()


def test_a_slice_that_is_too_small_takes_another_of_its_stage():
    study = study_of(LARGE_RADIUS, n_slices=2)
    for seed in range(3):
        receivers, owners = sources(study, misplaced(study, seed))
        sample = study.receiver_sample
        assert len(receivers) > 0.9 * len(study.time)
        assert (sample[receivers] != sample[owners]).all()
        np.testing.assert_array_equal(study.stage[receivers], study.stage[owners])


def test_without_another_slice_of_its_stage_any_slice_serves():
    study = study_of(LARGE_RADIUS)
    receivers, owners = sources(study, misplaced(study))
    assert (study.receiver_sample[receivers] != study.receiver_sample[owners]).all()
    # places correspond, relative to the centres of the slices
    centre = {c: study.coords[study.receiver_sample == c].mean(0) for c in (0, 1, 2)}
    relative = study.coords - np.array([centre[c] for c in study.receiver_sample])
    distance = np.linalg.norm(relative[receivers] - relative[owners], axis=1)
    assert np.median(distance) < LARGE_RADIUS / 3


def test_the_method_says_where_senders_come_from(study):
    assert method_of(study) == "another location of the slice"
    small = study_of(LARGE_RADIUS)
    assert method_of(small) == "another slice"
    # the first slice twice as wide in radii as the others
    coords = small.cells.coords.copy()
    wide = small.cells.sample == small.cells.sample[0]
    coords[wide] *= 20.0
    mixed = replace(small, cells=small.cells._replace(coords=coords))
    assert method_of(mixed) == ("another location of the slice; in 2 of 3 slices, another slice")


def test_replicates_are_slices_of_one_stage(study):
    assert not has_replicates(study)  # one slice per stage
    twice = study_of(SMALL_RADIUS, n_slices=2)
    assert has_replicates(twice)
    left_out = twice.receiver_sample == twice.receiver_sample[0]
    assert not has_replicates(take_receivers(twice, ~left_out))
    with pytest.raises(DataError, match="no replicate"):
        senders_of_another_slice(study, np.random.default_rng(0))


def test_senders_of_a_replicate_are_at_the_same_location():
    study = study_of(SMALL_RADIUS, n_slices=2)
    after, method = senders_of_another_slice(study, np.random.default_rng(0))
    assert method == "another slice of the stage"
    receivers, owners = sources(study, after)
    sample = study.receiver_sample
    assert len(receivers) > 0.7 * len(study.time)
    assert (sample[receivers] != sample[owners]).all()
    np.testing.assert_array_equal(study.stage[receivers], study.stage[owners])
    centre = {code: study.coords[sample == code].mean(axis=0) for code in np.unique(sample)}
    relative = study.coords - np.array([centre[code] for code in sample])
    distance = np.linalg.norm(relative[receivers] - relative[owners], axis=1)
    assert np.median(distance) < SMALL_RADIUS
    expected = ligand_exposure(after.weights, np.log1p(study.sender_ligand))
    np.testing.assert_allclose(after.exposure, expected, rtol=1e-4, atol=1e-4)


def test_one_small_slice_is_an_error():
    study = study_of(LARGE_RADIUS)
    alone = take_receivers(study, study.receiver_sample == study.receiver_sample[0])
    message = (
        r"the only slice extends over 2\.\d radii: no motion displaces 95% of its receivers by "
        r"more than 3 radii, .* Set `n_misplaced=0`, or infer with a smaller `radius`"
    )
    with pytest.raises(DataError, match=message):
        misplaced(alone)


def test_three_dimensions(study):
    coords = np.column_stack([study.cells.coords, np.arange(len(study.cells.coords)) % 7])
    flat = replace(study, cells=study.cells._replace(coords=coords.astype(float)))
    after = misplaced(flat)
    expected = ligand_exposure(after.weights, np.log1p(study.sender_ligand))
    np.testing.assert_allclose(after.exposure, expected, rtol=1e-4, atol=1e-4)
