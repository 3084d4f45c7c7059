"""The state of the neighbourhood as a covariate, and the course of time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from _helpers import NO_ROLES, TWO_OF_EACH, infer_quietly, source, tiny_config, tissue
from scipy.spatial.distance import cdist

import spatrace_sc as st
from spatrace_sc._inference.restore import restore
from spatrace_sc._study import neighbourhood
from spatrace_sc._study.neighbourhood import nearest_receivers, neighbourhood_state
from spatrace_sc._study.problem import (
    MIN_TIMES_PER_KNOT,
    N_KNOTS,
    build_covariates,
    time_course,
    time_powers,
)
from spatrace_sc._study.read import read_study


@pytest.fixture(scope="module")
def study():
    return read_study(tissue(), NO_ROLES, source())


def plain_means(coords, sample, values, k):
    """Mean over the k nearest other cells of the slice, cell by cell."""
    result = np.zeros_like(values)
    for cell in range(len(coords)):
        others = np.flatnonzero((sample == sample[cell]) & (np.arange(len(coords)) != cell))
        distance = cdist(coords[[cell]], coords[others])[0]
        result[cell] = values[others[np.argsort(distance, kind="stable")[:k]]].mean(axis=0)
    return result


@pytest.mark.parametrize("sizes", [(5,), (3, 12), (15, 1000)])
def test_means_are_those_of_a_plain_loop(study, sizes, monkeypatch):
    monkeypatch.setattr(neighbourhood, "N_NEIGHBOURS", sizes)
    rng = np.random.default_rng(0)
    values = rng.normal(size=(len(study.time), 4))
    for sample in np.unique(study.receiver_sample):
        rows = study.receiver_sample == sample
        found = neighbourhood._mean_of_nearest(study.coords[rows], values[rows])
        expected = [
            plain_means(study.coords[rows], np.zeros(rows.sum()), values[rows], k) for k in sizes
        ]
        np.testing.assert_allclose(found, np.hstack(expected), atol=1e-12)


def test_a_cell_is_no_part_of_its_neighbourhood(study):
    """Its own expression changes the axes of the components a little, and nothing else."""
    same = np.zeros_like(study.coords)  # all cells in one place
    values = np.eye(len(same))[:, :3]
    found = neighbourhood._mean_of_nearest(same, values)
    assert found[0, 0] == found[1, 1] == found[2, 2] == 0.0
    assert (found[3:, :3] > 0).any()


def test_cells_of_one_place_leave_themselves_out():
    rng = np.random.default_rng(1)
    coords = np.repeat(rng.normal(size=(30, 2)), 3, axis=0)
    values = rng.normal(size=(90, 2))
    neighbours = neighbourhood._mean_of_nearest(coords, values)
    changed = values.copy()
    changed[7] += 100.0
    assert np.array_equal(neighbourhood._mean_of_nearest(coords, changed)[7], neighbours[7])


def test_a_slice_of_one_receiver_has_no_neighbours(study):
    sample = study.cells.sample.copy()
    sample[np.flatnonzero(study.receivers)[0]] = sample.max() + 1
    alone = replace(study, cells=study.cells._replace(sample=sample))
    assert not neighbourhood_state(alone)[0].any()


def test_a_hidden_field_is_read_from_the_neighbours(study):
    """Half of the genes follow a field that is in no list; the neighbourhood shows it."""
    rng = np.random.default_rng(2)
    xy = study.coords / np.ptp(study.coords, axis=0)
    field = np.sin(2 * np.pi * xy[:, 0]) + np.cos(2 * np.pi * xy[:, 1])
    noise = rng.normal(size=study.target.shape)
    target = (noise + field[:, None] * rng.normal(size=study.target.shape[1])).astype(np.float32)
    disturbed = replace(study, target=target)
    state = neighbourhood_state(disturbed)
    slope = np.linalg.lstsq(state - state.mean(axis=0), field - field.mean(), rcond=None)[0]
    left = (field - field.mean()) - (state - state.mean(axis=0)) @ slope
    assert left.var() < 0.5 * field.var()


def test_covariates_say_which_hold_the_neighbourhood(study):
    covariates = build_covariates(study)
    former = build_covariates(replace(study, former_covariates=True))
    assert former.n_neighbourhood == 0
    without = build_covariates(study, neighbourhood=False)
    assert without.n_neighbourhood == without.sizes[3] == 0
    kept = [k for k in range(covariates.values.shape[1]) if k < sum(covariates.sizes[:3])]
    np.testing.assert_array_equal(without.values, covariates.values[:, kept])
    assert covariates.n_neighbourhood > 0
    n_groups = covariates.values.shape[1] - covariates.n_neighbourhood
    names = np.unique(study.receiver_types), np.unique(study.receiver_sample)
    n_course = time_course((study.time - study.time.mean()) / study.time.std()).shape[1]
    assert n_groups == sum(len(n) for n in names if len(n) > 1) + n_course
    np.testing.assert_allclose(covariates.values.std(axis=0), 1.0, atol=1e-3)


def test_few_times_are_a_polynomial():
    few = np.repeat(np.linspace(-1, 1, 5), 20)
    np.testing.assert_array_equal(time_course(few), time_powers(few))
    assert time_powers(few).shape[1] == 3


def test_a_spline_follows_what_a_cubic_cannot():
    time = np.linspace(-1.7, 1.7, MIN_TIMES_PER_KNOT * N_KNOTS * 3)
    wave = np.sin(6 * time)

    def unexplained(columns):
        x = np.column_stack([np.ones_like(time), columns])
        return np.var(wave - x @ np.linalg.lstsq(x, wave, rcond=None)[0]) / wave.var()

    assert unexplained(time_powers(time)) > 0.4
    assert unexplained(time_course(time)) < 0.02


def test_nearest_receivers_are_those_of_a_plain_search(study):
    usable = np.arange(len(study.time)) % 7 != 0
    found = nearest_receivers(study, usable)
    coords, sample = study.coords[usable], study.receiver_sample[usable]
    for cell, others in enumerate(found):
        candidates = np.flatnonzero((sample == sample[cell]) & (np.arange(len(coords)) != cell))
        distance = cdist(coords[[cell]], coords[candidates])[0]
        k = min(neighbourhood.N_COMPARED, len(candidates))
        assert set(others[others >= 0]) <= set(candidates)
        assert (others >= 0).sum() == k
        assert len(set(others[:k])) == k
        np.testing.assert_allclose(
            np.sort(cdist(coords[[cell]], coords[others[:k]])[0]), np.sort(distance)[:k]
        )


def test_a_receiver_that_is_alone_has_no_nearest_one(study):
    usable = np.zeros(len(study.time), dtype=bool)
    usable[0] = True
    assert (nearest_receivers(study, usable) == -1).all()


def test_an_inference_without_neighbourhood_covariates_is_restored_without_them():
    adata = tissue()
    keys = {"sample_key": "sample", "stage_key": "stage", "device": "cpu"}
    config = tiny_config(model=st.ModelConfig(neighbourhood_covariates=False))
    infer_quietly(adata, **TWO_OF_EACH, **keys, config=config)
    restored = restore(adata, "spatrace")
    assert restored.config.model.neighbourhood_covariates is False
    problem = restored.problem
    assert problem.n_neighbourhood_covariates == problem.covariate_sizes[3] == 0
    assert problem.group_covariates.shape == problem.covariates.shape
    edges = st.get.tf_targets(adata)
    assert np.isfinite(edges["robustness"]).any()
    st.tl.knockout(adata, tf=str(edges["tf"].iloc[0]))
