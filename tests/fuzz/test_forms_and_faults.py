"""Generated cases: the right answer, or a typed error or warning; the inputs stay as they were.

The default tests run a few fixed cases of each kind; `-m slow` runs hundreds, and
`--hypothesis-profile more` a thousand of each.
"""

from __future__ import annotations

import _harmful
import _harmless
import pytest
from _run import (
    assert_helpful,
    assert_inputs_stay,
    assert_same_tables,
    infer,
    inputs,
    tissue,
)
from _scenes import Scene
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as some

import spatrace_sc as st

FEW = settings(max_examples=3, derandomize=True, database=None)
FULL = settings(max_examples=max(100, settings().max_examples), database=None, print_blob=True)
pytestmark = [
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


def lenient(options):
    phases = [Phase.explicit, Phase.reuse, Phase.generate]  # a case takes too long to shrink it
    return settings(options, deadline=None, suppress_health_check=list(HealthCheck), phases=phases)


def check_forms(data):
    """Up to four changes of form at once leave the tables as they are."""
    names = data.draw(
        some.lists(some.sampled_from(sorted(_harmless.CHANGES)), min_size=1, max_size=4)
    )
    scene = Scene(tissue())
    for name in names:
        _harmless.CHANGES[name](scene, data.draw)
    before = inputs(scene.adata)
    said = infer(scene)
    assert_inputs_stay(scene.adata, before)
    assert not said, said
    assert_same_tables(scene)


def check_faults(data):
    """A fault, perhaps in another form, is refused or named; a refusal writes nothing."""
    scene = Scene(tissue())
    fault = data.draw(some.sampled_from(sorted(_harmful.CHANGES)))
    _harmful.CHANGES[fault](scene, data.draw)
    before, kept = inputs(scene.adata), set(scene.adata.uns)
    try:
        said = infer(scene)
    except st.SpatraceError as error:
        assert_helpful(error)
        assert set(scene.adata.uns) == kept
        assert not [k for k in scene.adata.obsm if k.startswith("spatrace")]
    else:
        assert said, f"{fault}: neither an error nor a warning"
    assert_inputs_stay(scene.adata, before)


@lenient(FEW)
@given(some.data())
def test_forms(data):
    check_forms(data)


@lenient(settings(FEW, max_examples=12))
@given(some.data())
def test_faults(data):
    check_faults(data)


@pytest.mark.slow
@lenient(FULL)
@given(some.data())
def test_many_forms(data):
    check_forms(data)


@pytest.mark.slow
@lenient(FULL)
@given(some.data())
def test_many_faults(data):
    check_faults(data)
