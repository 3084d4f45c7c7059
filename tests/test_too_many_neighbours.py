"""A radius that makes neighbours quadratic is refused before anything is allocated."""

from __future__ import annotations

import numpy as np
import pytest
from _helpers import (
    NOTHING_SIGNIFICANT,
    TWO_OF_EACH,
    assert_unchanged,
    snapshot,
    tiny_config,
    tissue,
)
from _helpers import small_result as result

import spatrace_sc as st
from spatrace_sc._core.exposure import expected_pairs, neighbour_weights
from spatrace_sc._data import radius as radius_module

KEYS = {"sample_key": "sample", "stage_key": "stage"}


def scene(n, seed=0):
    rng = np.random.default_rng(seed)
    coords, sample = rng.random((n, 2)), rng.integers(3, size=n)
    return coords, sample, rng.random(n) < 0.6, rng.random(n) < 0.5


def stored_pairs(coords, sample, receivers, senders, radius):
    """Pairs counted one by one, a cell with itself among them."""
    distance = np.linalg.norm(coords[:, None] - coords[None], axis=2)
    near = (distance <= radius) & (sample[:, None] == sample[None])
    return int(near[receivers][:, senders].sum())


@pytest.mark.parametrize("radius", [0.01, 0.1, 0.5, 3.0])
def test_the_number_is_exact_where_every_receiver_is_asked(radius):
    parts = scene(300)
    assert expected_pairs(*parts, radius=radius) == pytest.approx(stored_pairs(*parts, radius))


@pytest.mark.parametrize("radius", [0.05, 0.2])
def test_a_part_of_the_receivers_gives_about_the_number(radius):
    parts = scene(6000, seed=1)
    pairs = neighbour_weights(*parts, radius=radius).nnz
    assert expected_pairs(*parts, radius=radius) == pytest.approx(pairs, rel=0.15)


def test_no_receiver_and_no_sender():
    coords, sample, some, _ = scene(50)
    none = np.zeros(50, dtype=bool)
    assert expected_pairs(coords, sample, none, some, radius=1) == 0
    assert expected_pairs(coords, sample, some, none, radius=1) == 0


@pytest.fixture
def little_memory(monkeypatch):
    """A machine with 200 kB, on which computing weights fails the test."""

    def allocate(*arguments, **named):
        raise AssertionError("weights are computed before their number is checked")

    monkeypatch.setattr(radius_module, "free_memory", lambda: 200_000)
    monkeypatch.setattr(radius_module, "neighbour_weights", allocate)


@pytest.mark.filterwarnings("ignore:.*times the median distance:spatrace_sc.SpatraceWarning")
@pytest.mark.parametrize(
    "call",
    [
        lambda a: st.tl.infer_ccc(a, **TWO_OF_EACH, **KEYS, radius=1e6, config=tiny_config()),
        lambda a: st.pp.ligand_exposure(a, sample_key="sample", radius=1e6),
    ],
    ids=["infer_ccc", "ligand_exposure"],
)
def test_too_many_pairs_are_refused_with_numbers(call, little_memory):
    adata = tissue()
    before = snapshot(adata)
    with pytest.raises(st.DataError, match=r"`radius=1e\+06` gives about .* pairs") as caught:
        call(adata)
    for text in ("senders per receiver", "0.0002 GB are free", "smaller `radius`", "`sample_key`"):
        assert text in str(caught.value)
    assert_unchanged(adata, before)


@pytest.mark.filterwarnings(NOTHING_SIGNIFICANT)
@pytest.mark.parametrize(
    "call",
    [
        lambda a: st.tl.communication(a, n_permutations=9, progress=False),
        lambda a: st.tl.ranges(a, max_q=1.0),
    ],
    ids=["communication", "ranges"],
)
def test_later_verbs_are_guarded_too(call, little_memory):
    with pytest.raises(st.DataError, match="pairs of neighbours"):
        call(result().copy())


def test_where_the_system_does_not_say_nothing_is_refused(monkeypatch):
    monkeypatch.setattr(radius_module, "free_memory", lambda: None)
    adata = tissue()
    st.pp.ligand_exposure(adata, sample_key="sample", radius=40)
    assert np.isfinite(np.asarray(adata.obsm["ligand_exposure"])).any()
