"""The value of one molecule, the variance of counting, and a filter that takes it out."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from spatrace_sc._core.counts import (
    MAX_CELLS_SAMPLED,
    MAX_NOISE_SHARE,
    MAX_SUMMED_MEAN,
    RIDGE,
    counting_variance,
    molecule,
    wiener_filter,
)


def counted(seed=0, cells=60, genes=25, rate=2.0):
    counts = np.random.default_rng(seed).poisson(rate, size=(cells, genes))
    counts[:, 0] = np.maximum(counts[:, 0], 1)
    counts[:, 1] = 1
    return counts


def normalised(counts, total=1e4):
    """log1p of normalize_total and what one molecule became."""
    unit = total / np.maximum(counts.sum(1), 1)
    return np.log1p(counts * unit[:, None]), unit


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix, sparse.csc_matrix])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("total", [1.0, 100.0, 1e4, 1e6])
def test_the_value_of_a_molecule_is_recovered(form, dtype, total):
    values, unit = normalised(counted(), total)
    np.testing.assert_allclose(
        molecule(form(values.astype(dtype))), unit, rtol=1e-5 if dtype is np.float32 else 1e-12
    )


def test_every_cell_has_a_unit_of_its_own():
    counts = counted()
    unit = np.exp(np.random.default_rng(1).normal(size=len(counts)))
    np.testing.assert_allclose(molecule(np.log1p(counts * unit[:, None])), unit, rtol=1e-9)
    np.testing.assert_allclose(molecule(np.log1p(counts * 1.0)), 1, rtol=1e-12)


def test_a_cell_in_which_nothing_was_counted_once():
    counts = counted()
    counts[3], counts[7] = 0, 0
    counts[3, :4] = [2, 3, 5, 4]
    counts[7, :3] = [3, 4, 9]
    unit = np.linspace(0.5, 4.0, len(counts))
    np.testing.assert_allclose(molecule(np.log1p(counts * unit[:, None])), unit, rtol=1e-9)
    counts[3, :4] = [2, 4, 8, 2]  # nothing says that these are not 1, 2, 4, 1
    assert molecule(np.log1p(counts * unit[:, None]))[3] == pytest.approx(2 * unit[3])


def test_cells_of_zeros_get_the_median():
    counts = counted()
    counts[[0, 5]] = 0
    unit = np.linspace(0.5, 4.0, len(counts))
    result = molecule(np.log1p(counts * unit[:, None]))
    filled = np.delete(np.arange(len(counts)), [0, 5])
    np.testing.assert_allclose(result[filled], unit[filled], rtol=1e-9)
    np.testing.assert_allclose(result[[0, 5]], np.median(unit[filled]), rtol=1e-9)


def test_stored_zeros_are_no_molecules_and_the_matrix_stays_as_it_was():
    values, unit = normalised(counted())
    matrix = sparse.csr_matrix(values.astype(np.float32))
    place = np.flatnonzero(matrix.data > np.median(matrix.data))[::7]
    matrix.data[place] = 0
    before, stored = matrix.toarray().copy(), matrix.nnz
    np.testing.assert_allclose(molecule(matrix), unit, rtol=1e-4)
    np.testing.assert_array_equal(matrix.toarray(), before)
    assert matrix.nnz == stored


def test_a_few_cells_that_are_no_counts_are_forgiven_many_are_not():
    values, unit = normalised(counted())
    rng = np.random.default_rng(0)
    for share, answer in ((0.15, True), (0.3, False)):
        changed = values.copy()
        odd = np.arange(int(share * len(values)))
        changed[odd] = rng.uniform(0.5, 3, size=changed[odd].shape)
        result = molecule(changed)
        assert (result is not None) == answer
        if answer:
            np.testing.assert_allclose(result[len(odd) :], unit[len(odd) :], rtol=1e-9)


def test_no_molecule_in_what_was_never_counted():
    values, _ = normalised(counted(rate=6.0))
    rng = np.random.default_rng(0)
    smoothed = (
        values + values[rng.permutation(len(values))] + values[rng.permutation(len(values))]
    ) / 3
    scaled = (values - values.mean(0)) / np.maximum(values.std(0), 1e-9)
    for matrix in (
        smoothed,
        values / np.maximum(values.std(0), 0.1),
        scaled,
        -values,
        np.zeros((5, 4)),
        rng.random((40, 30)),
    ):
        assert molecule(matrix) is None
        assert molecule(sparse.csr_matrix(matrix)) is None


@pytest.mark.parametrize("mean", [0.02, 0.5, 3.0, 20.0, 39.0, 90.0])
@pytest.mark.parametrize("unit", [1.0, 5.0])
def test_counting_variance_is_that_of_many_draws(mean, unit):
    draws = np.log1p(unit * np.random.default_rng(0).poisson(mean, size=400_000))
    result = counting_variance(np.full((10, 1), mean), np.full(10, unit))
    np.testing.assert_allclose(result, draws.var(), rtol=0.05)


@pytest.mark.parametrize("unit", [0.02, 0.1])
def test_counting_variance_of_many_molecules_that_are_worth_little(unit):
    mean = 2 * MAX_SUMMED_MEAN
    draws = np.log1p(unit * np.random.default_rng(0).poisson(mean, size=400_000))
    result = counting_variance(np.full((10, 1), mean), np.full(10, unit))
    np.testing.assert_allclose(result, draws.var(), rtol=0.1)


def test_counting_variance_is_the_mean_over_usable_cells():
    mean = np.array([[0.5, 2.0], [4.0, 0.0], [1.0, 30.0]])
    unit = np.array([1.0, 2.0, 0.5])
    single = np.stack([counting_variance(mean[[k]], unit[[k]]) for k in range(3)])
    np.testing.assert_allclose(counting_variance(mean, unit), single.mean(0))
    np.testing.assert_allclose(
        counting_variance(mean, unit, np.array([True, False, True])), single[[0, 2]].mean(0)
    )
    assert single[1, 1] == 0, "what is never there is counted without error"


def test_counting_variance_looks_at_evenly_spaced_cells():
    n = 3 * MAX_CELLS_SAMPLED
    mean = np.linspace(0.1, 5.0, n)[:, None]
    every = np.stack(
        [
            counting_variance(mean[part], np.ones(MAX_CELLS_SAMPLED))
            for part in np.arange(n).reshape(3, MAX_CELLS_SAMPLED)
        ]
    )
    np.testing.assert_allclose(counting_variance(mean, np.ones(n)), every.mean(0), rtol=1e-3)


def test_without_noise_the_signals_come_back():
    rng = np.random.default_rng(0)
    readings = rng.normal(size=(2000, 4)) * [1, 2, 3, 0.5] + [5, 0, -3, 1]
    result = wiener_filter(readings, np.zeros(4), readings, np.arange(4))(readings)
    assert result.dtype == np.float32
    # the readings are nearly independent, so the ridge scales by 1 / 1.01
    z = (readings - readings.mean(0)) / readings.std(0)
    np.testing.assert_allclose(result, z, atol=4 * 2 * RIDGE)
    assert not np.allclose(result, z, atol=1e-3)


def two_copies(noise=(1.0, 0.25), n=40_000):
    rng = np.random.default_rng(0)
    latent = rng.normal(size=n)
    return latent, latent[:, None] + rng.normal(size=(n, 2)) * np.sqrt(noise)


def test_two_noisy_copies_are_weighted_as_they_deserve():
    noise = np.array([1.0, 0.25])
    latent, readings = two_copies(noise)
    result = wiener_filter(readings, noise, readings, np.arange(2))
    estimate = result(readings) * readings.std(0)
    # E[x | r] = Σ r_i / v_i / (1 + Σ 1 / v_i) for a latent of variance 1
    best = readings @ (1 / noise) / (1 + (1 / noise).sum())
    for column in estimate.T:
        assert ((column - latent) ** 2).mean() == pytest.approx(
            ((best - latent) ** 2).mean(), rel=0.03
        )
        assert ((column - latent) ** 2).mean() < 0.75 * ((readings - latent[:, None]) ** 2).mean(
            0
        ).min()
        np.testing.assert_allclose(np.polyfit(best, column, 1)[0], 1, atol=0.03)
    slope = result.gain / readings.std(0)[:, None] * readings.std(0)
    np.testing.assert_allclose(
        slope, np.outer(1 / noise, [1, 1]) / (1 + (1 / noise).sum()), atol=0.03
    )


def test_a_signal_that_is_no_reading_is_predicted_by_regression():
    noise = np.array([1.0, 0.25])
    latent, readings = two_copies(noise)
    other = 3 * latent[:, None] + np.random.default_rng(1).normal(size=(len(latent), 1))
    result = wiener_filter(readings, noise, other, np.array([-1]))(readings)[:, 0]
    plain = np.linalg.lstsq(readings, other[:, 0], rcond=None)[0]
    np.testing.assert_allclose(result, readings @ plain / other.std(), atol=0.05)


def test_noise_beyond_the_variance_is_capped():
    _, readings = two_copies()
    capped = MAX_NOISE_SHARE * readings.var(0)
    result = wiener_filter(readings, 100 * readings.var(0), readings, np.arange(2))
    np.testing.assert_allclose(
        result.gain, wiener_filter(readings, capped, readings, np.arange(2)).gain
    )
    assert np.isfinite(result(readings)).all()
    assert 0 < result(readings).std() < 1


def test_constant_columns_say_nothing():
    latent, readings = two_copies(n=5000)
    wide = np.column_stack([readings, np.full(len(readings), 7.0)])
    signals = np.column_stack([readings, np.full(len(readings), 7.0)])
    noise = np.array([1.0, 0.25, 0.3])
    result = wiener_filter(wide, noise, signals, np.array([0, 1, 2]))
    values = result(wide)
    np.testing.assert_allclose(
        values[:, :2],
        wiener_filter(readings, noise[:2], readings, np.arange(2))(readings),
        atol=1e-5,
    )
    assert (values[:, 2] == 0).all()
    assert np.isfinite(result(wide + 3)).all()
    assert (wiener_filter(wide, noise, signals, np.full(3, -1))(wide)[:, 2] == 0).all()
    assert np.corrcoef(values[:, 0], latent)[0, 1] > np.corrcoef(readings[:, 0], latent)[0, 1]


def test_the_filter_does_not_care_for_units():
    noise = np.array([1.0, 0.25])
    _, readings = two_copies(n=3000)
    scale, shift = np.array([10.0, 0.1]), np.array([3.0, -40.0])
    moved = readings * scale + shift
    np.testing.assert_allclose(
        wiener_filter(moved, noise * scale**2, moved, np.arange(2))(moved),
        wiener_filter(readings, noise, readings, np.arange(2))(readings),
        atol=1e-5,
    )
