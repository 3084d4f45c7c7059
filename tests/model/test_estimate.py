"""Seconds that the log names before the refits begin."""

from __future__ import annotations

import logging
import re

import pytest
from _planted import planted

from spatrace_sc._model.evidence import resample
from spatrace_sc._model.runtime import estimate

#: Columns, cells, outputs and seconds of a refit on one core at 88 · 10⁹ operations a second.
MEASURED = [
    (624, 671, 72, 0.21),
    (624, 1816, 132, 0.33),
    (4948, 1304, 72, 0.45),
    (624, 13_471, 52, 0.61),
    (736, 1816, 440, 1.06),
    (6646, 9022, 250, 7.5),
]


@pytest.mark.parametrize(("columns", "cells", "outputs", "seconds"), MEASURED)
def test_estimates_are_right_within_a_factor_of_two(columns, cells, outputs, seconds):
    estimated = estimate.refit_seconds(columns, cells, outputs, 88.0)
    assert seconds / 2 < estimated < 2 * seconds
    assert estimate.refit_seconds(columns, cells, outputs, 44.0) == pytest.approx(2 * estimated)


def test_the_speed_of_this_machine_is_plausible():
    assert 0.1 < estimate.product_speed() < 100_000


@pytest.mark.parametrize(("n_at_a_time", "seconds"), [(1, 100), (2, 50), (3, 40)])
def test_the_log_names_the_seconds_of_all_refits(caplog, monkeypatch, n_at_a_time, seconds):
    problem, sizes = planted(), []
    monkeypatch.setattr(resample, "refit_seconds", lambda *size: sizes.append(size) or 10.0)
    with caplog.at_level(logging.INFO, logger="spatrace_sc"):
        resample._log_estimate(problem, 0.5, 10, n_at_a_time)
    assert [int(n) for n in re.findall(r"about (\d+) s", caplog.text)] == [seconds]
    columns, cells, outputs, _ = sizes[0]
    assert columns == 2 * problem.n_tfs + 4 * problem.n_pairs
    assert cells == int(problem.usable.sum()) // 2
    assert outputs == problem.targets.shape[1] + problem.n_tf_genes


def test_short_waits_are_not_announced(caplog):
    with caplog.at_level(logging.INFO, logger="spatrace_sc"):
        resample._log_estimate(planted(), 0.75, 10, 1)
    assert not caplog.text
