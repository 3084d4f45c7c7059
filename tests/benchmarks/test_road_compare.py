"""The neighbourhood in comparisons of the road benchmark."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from _helpers import NOTHING_SIGNIFICANT, small_result

sys.path.append(str(Path(__file__).parents[2]))

from benchmarks.road import compare

from spatrace_sc._inference import group_slopes
from spatrace_sc._inference.restore import restore
from spatrace_sc._study.neighbourhood import neighbourhood_state

pytestmark = pytest.mark.filterwarnings(NOTHING_SIGNIFICANT)


def test_the_neighbourhood_competes_only_while_it_is_asked_for():
    restored = restore(small_result().copy(), "spatrace")
    rows = np.arange(len(restored.study.time))[::2]
    before = group_slopes._nuisance(restored, rows)
    with compare.neighbourhoods_compete():
        during = group_slopes._nuisance(restored, rows)
    added = during[:, before.shape[1] :]
    np.testing.assert_array_equal(during[:, : before.shape[1]], before)
    state = neighbourhood_state(restored.study)[rows]
    assert added.shape == state.shape
    np.testing.assert_allclose(added.std(axis=0), 1.0)
    np.testing.assert_allclose(added * state.std(axis=0) + state.mean(axis=0), state, atol=1e-9)
    np.testing.assert_array_equal(group_slopes._nuisance(restored, rows), before)
