"""Half of the receivers, and half of the molecules."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from _controls import molecules, study_of

from spatrace_sc._core.exposure import ligand_exposure
from spatrace_sc._study.subsets import half_of_molecules, half_of_receivers, take_receivers


@pytest.fixture(scope="module")
def study():
    return study_of()


def rng(seed=0):
    return np.random.default_rng(seed)


# --- receivers --------------------------------------------------------------------------------


def kept_rows(study, half):
    """Positions of the kept receivers among all receivers."""
    return np.flatnonzero(np.isin(study.receiver_rows, half.receiver_rows))


def test_every_slice_keeps_one_half(study):
    half = half_of_receivers(study, rng())
    for code in np.unique(study.receiver_sample):
        n, n_kept = ((s.receiver_sample == code).sum() for s in (study, half))
        assert n_kept == (n + 1) // 2
    assert half.receivers.sum() == len(half.time) == len(half.coords)


def test_the_halves_are_cut_by_a_line(study):
    half = half_of_receivers(study, rng())
    keep = np.zeros(len(study.time), dtype=bool)
    keep[kept_rows(study, half)] = True
    for code in np.unique(study.receiver_sample):
        rows = study.receiver_sample == code
        one, other = study.coords[rows & keep], study.coords[rows & ~keep]
        # some direction separates them
        angles = np.linspace(0, 2 * np.pi, 2000)
        directions = np.array([np.cos(angles), np.sin(angles)])
        gap = (other @ directions).min(axis=0) - (one @ directions).max(axis=0)
        assert gap.max() >= -0.2


def test_kept_receivers_keep_their_values(study):
    half = half_of_receivers(study, rng(1))
    rows = kept_rows(study, half)
    for name in ("exposure", "receptor", "tf", "target", "time", "stage"):
        np.testing.assert_array_equal(getattr(half, name), getattr(study, name)[rows])
    assert (half.weights != study.weights[rows]).nnz == 0
    assert half.sender_ligand is study.sender_ligand
    np.testing.assert_array_equal(half.senders, study.senders)
    np.testing.assert_array_equal(half.rows, study.rows)
    assert half.unit is study.unit


def test_transitions_are_those_among_the_kept_with_rows_that_sum_to_1(study):
    half = half_of_receivers(study, rng(2))
    rows = kept_rows(study, half)
    for name in ("backward", "state"):
        matrix = getattr(half, name)
        total = np.asarray(matrix.sum(axis=1)).ravel()
        present = total > 0
        np.testing.assert_allclose(total[present], 1.0, rtol=1e-5)
        assert matrix.shape == (len(rows), len(rows))
        before = getattr(study, name)[rows][:, rows].toarray()
        left = before.sum(axis=1) > 0
        scaled = before[left] / before[left].sum(axis=1, keepdims=True)
        np.testing.assert_allclose(matrix.toarray()[left], scaled, rtol=1e-4, atol=1e-6)
        assert (~present[left]).sum() == 0
    assert (np.asarray(half.state.sum(axis=1)).ravel() > 0).all()


def test_receivers_without_cells_of_their_state_are_their_own(study):
    keep = np.zeros(len(study.time), dtype=bool)
    lonely = int(np.flatnonzero(study.state.diagonal() == 0)[0])
    keep[lonely] = True
    state = take_receivers(study, keep).state
    np.testing.assert_array_equal(state.toarray(), [[1.0]])


def test_named_covariates_go_with_their_receivers(study):
    values = pd.DataFrame({"depth": np.arange(len(study.time), dtype=float)})
    half = half_of_receivers(replace(study, named_covariates=values), rng())
    np.testing.assert_array_equal(half.named_covariates["depth"], kept_rows(study, half))


def test_the_seed_decides_the_half(study):
    one, again, other = (kept_rows(study, half_of_receivers(study, rng(s))) for s in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert len(np.intersect1d(one, other)) < len(one)


# --- molecules --------------------------------------------------------------------------------


def test_half_of_the_molecules_are_lost_at_the_same_mean(study):
    half = half_of_molecules(study, rng())
    np.testing.assert_allclose(half.unit, 2 * study.unit)
    n_before, n_after = molecules(study).sum(axis=0), molecules(half).sum(axis=0)
    np.testing.assert_allclose(n_after / n_before, 0.5, atol=0.05)
    for name in ("sender_ligand", "receptor"):
        before, after = (getattr(s, name).sum() for s in (study, half))
        assert after == pytest.approx(before, rel=0.03)
    for name in ("target", "tf"):
        before, after = (np.expm1(getattr(s, name)).sum() for s in (study, half))
        assert after == pytest.approx(before, rel=0.03)


def test_counts_stay_whole_numbers_of_the_new_unit(study):
    half = half_of_molecules(study, rng())
    for values, unit in (
        (np.expm1(half.target.astype(float)), half.unit[half.receivers]),
        (np.expm1(half.tf.astype(float)), half.unit[half.receivers]),
        (half.receptor.astype(float), half.unit[half.receivers]),
        (half.sender_ligand.astype(float), half.unit[half.senders]),
    ):
        counts = values / unit[:, None]
        np.testing.assert_allclose(counts, np.rint(counts), atol=0.01)
    assert (half.sender_ligand != study.sender_ligand).any()


def test_lost_molecules_add_binomial_noise(study):
    """Of n molecules half are kept, with the variance n / 4."""
    half = half_of_molecules(study, rng())
    before = np.rint(molecules(study))
    z = (molecules(half) - before / 2)[before > 0] / np.sqrt(before[before > 0] / 4)
    assert z.mean() == pytest.approx(0.0, abs=0.06)
    assert z.var() == pytest.approx(1.0, rel=0.1)


def test_exposure_is_that_of_the_molecules_left(study):
    half = half_of_molecules(study, rng())
    expected = ligand_exposure(half.weights, np.log1p(half.sender_ligand))
    np.testing.assert_allclose(half.exposure, expected, rtol=1e-5)
    assert half.backward is study.backward
    assert half.state is study.state
    assert half.weights is study.weights


def test_count_noise_is_estimated_anew(study):
    noise = half_of_molecules(study, rng()).noise
    assert (noise.logged > study.noise.logged).mean() > 0.8
    assert noise.overdispersion == study.noise.overdispersion


def test_values_that_are_no_counts_cannot_be_halved(study):
    with pytest.raises(ValueError, match="does not hold counts"):
        half_of_molecules(replace(study, unit=None), rng())


def test_the_seed_decides_the_molecules(study):
    one, again, other = (half_of_molecules(study, rng(s)) for s in (1, 1, 2))
    np.testing.assert_array_equal(one.target, again.target)
    assert (one.target != other.target).any()
