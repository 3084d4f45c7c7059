"""The message about lists that decoys cannot judge because they are short."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import numpy as np
import pytest

from spatrace_sc._inference.edge_tables import log_short_lists
from spatrace_sc._model.records import Draw


def draw(n_above: int) -> Draw:
    """Edges above the only decoy, and one below it."""
    score = np.append(np.linspace(1, 2, n_above), 0.1)
    return Draw(np.arange(n_above + 1), score, np.array([0.5]), np.ones(1))


def logged(caplog, above: list[int], q: float) -> str:
    draws = {"lr": [draw(n) for n in above], "pair": [draw(0)]}
    values = {task: (np.ones(3), np.array([1.0, q, 1.0])) for task in draws}
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="spatrace_sc"):
        log_short_lists(SimpleNamespace(draws=draws), values)
    return caplog.text


def test_a_short_list_is_named_with_its_length(caplog):
    text = logged(caplog, [4, 6, 9], 1 / 6)
    assert "6 pair → target edges are stronger than every decoy" in text
    assert "too short to be judged at q ≤ 0.1" in text


@pytest.mark.parametrize(
    ("above", "q"),
    [([2, 2, 2], 0.5), ([10, 10, 10], 0.2), ([6, 6, 6], 0.09), ([0, 0, 9], 1.0)],
    ids=["by chance", "long", "significant", "in one refit"],
)
def test_other_lists_are_not_mentioned(caplog, above, q):
    assert "too short" not in logged(caplog, above, q)
