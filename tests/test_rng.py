"""``rng`` of every public function that draws, and ``seed``, its former name."""

from __future__ import annotations

import inspect
import warnings

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import spatrace_sc as st
from spatrace_sc._check import seed_of

LAYERS = (st.datasets, st.pp, st.tl, st.get, st.pl)
PUBLIC = {
    f"{layer.__name__.split('.')[-1]}.{name}": getattr(layer, name)
    for layer in LAYERS
    for name in layer.__all__
    if inspect.isfunction(getattr(layer, name))
}
DRAWING = [
    name for name, function in PUBLIC.items() if "rng" in inspect.signature(function).parameters
]


def test_both_names_stand_together_and_neither_is_lost():
    assert {"datasets.simulated", "tl.infer_ccc", "tl.communication", "tl.controls"} <= {*DRAWING}
    for name, function in PUBLIC.items():
        names = inspect.signature(function).parameters
        assert ("rng" in names) == ("seed" in names), name
        assert "random_state" not in names, name
    for name in DRAWING:
        parameters = inspect.signature(PUBLIC[name]).parameters
        assert parameters["seed"].kind is inspect.Parameter.KEYWORD_ONLY
        assert parameters["rng"].default is parameters["seed"].default is None


def test_a_seed_is_itself_and_none_is_zero():
    assert seed_of(None) == 0
    assert [seed_of(k) for k in (0, 7, np.int64(9))] == [0, 7, 9]


@pytest.mark.parametrize(
    "new",
    [np.random.default_rng, np.random.PCG64, np.random.SeedSequence],
    ids=lambda f: f.__name__,
)
def test_a_generator_draws_a_seed(new):
    assert seed_of(new(5)) == seed_of(new(5)) == int(np.random.default_rng(5).integers(2**31))
    assert seed_of(new(5)) != seed_of(new(6))


def test_a_generator_is_advanced():
    rng = np.random.default_rng(1)
    assert seed_of(rng) != seed_of(rng)


def test_the_former_name_warns_and_works():
    with pytest.warns(FutureWarning, match="now named `rng`"):
        assert seed_of(None, 4) == 4
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        seed_of(4)


def test_both_names_at_once_are_refused():
    with pytest.raises(st.InvalidArgumentError, match=r"`rng=1` and `seed=2`"):
        seed_of(1, 2)


@pytest.mark.parametrize("value", [-1, 1.0, "1", True, np.random.RandomState(0), [1]])
def test_other_values_are_refused(value):
    with pytest.raises(st.InvalidArgumentError, match="`rng` must be a whole number"):
        seed_of(value)


def small(**arguments) -> AnnData:
    return st.datasets.simulated(n_cells=120, n_targets=4, n_background=4, **arguments)


def values(**arguments) -> np.ndarray:
    return small(**arguments).X.toarray()


def test_simulated_by_all_three_forms():
    drawn = int(np.random.default_rng(3).integers(2**31))
    same = values(rng=drawn)
    np.testing.assert_array_equal(values(rng=np.random.default_rng(3)), same)
    with pytest.warns(FutureWarning, match="`seed`"):
        np.testing.assert_array_equal(values(seed=drawn), same)
    np.testing.assert_array_equal(values(), values(rng=0))
    assert not np.array_equal(values(rng=1), same)


def test_a_network_is_compared_with_random_ones_by_any_form(small_truth):
    scores, truth = small_truth
    drawn = int(np.random.default_rng(8).integers(2**31))
    one, other = (
        st.tl.evaluate(scores, truth, n_random=5, rng=rng)
        for rng in (np.random.default_rng(8), drawn)
    )
    pd.testing.assert_frame_equal(one, other)


@pytest.fixture
def small_truth() -> tuple[pd.DataFrame, pd.DataFrame]:
    """A ranked table of TF edges, and the true ones."""
    names = [(f"T{i}", f"G{j}") for i in range(6) for j in range(7)]
    table = pd.DataFrame(names, columns=["tf", "target"])
    table["score"] = np.random.default_rng(0).random(len(table))
    return table, table.iloc[::5][["tf", "target"]]
