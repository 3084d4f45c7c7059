"""How long the refits will take, as the log says after the first of them."""

from __future__ import annotations

import logging
import re
import time

import pytest

from spatrace_sc._model.evidence import resample


def announced(caplog, monkeypatch, seconds, n, n_at_a_time):
    """Seconds in the log, and seconds that the refits after the first took by the same clock."""
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def refits():
        for number in range(n):
            if number % n_at_a_time == 0:
                now[0] += seconds * (1.0 + 0.2 * (number % 3))
            yield number

    with caplog.at_level(logging.INFO, logger="spatrace_sc"):
        ends = [now[0] for _ in resample._with_estimate(refits(), n, n_at_a_time)]
    return re.findall(r"about (\d+) s", caplog.text), ends[-1] - ends[0]


@pytest.mark.parametrize(("seconds", "n", "n_at_a_time"), [(4.0, 10, 1), (60.0, 10, 2)])
def test_the_log_is_right_within_a_factor_of_two(caplog, monkeypatch, seconds, n, n_at_a_time):
    (said,), took = announced(caplog, monkeypatch, seconds, n, n_at_a_time)
    assert took / 2 < float(said) < 2 * took


def test_short_waits_are_not_announced(caplog, monkeypatch):
    assert announced(caplog, monkeypatch, 0.5, 10, 1)[0] == []
