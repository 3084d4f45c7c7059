"""Paths of two steps: pair → TF → target."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Steps(NamedTuple):
    """Edges of one step: numbers of what acts and of what is acted on, and the signed effect."""

    source: NDArray[np.integer]
    target: NDArray[np.integer]
    effect: NDArray[np.floating]


class Paths(NamedTuple):
    """Paths of two steps: the number of the first step and of the second, and the product of their effects."""

    first: NDArray[np.intp]
    second: NDArray[np.intp]
    effect: NDArray[np.float64]


def join(first: Steps, second: Steps) -> Paths:
    """Every path that begins with one of the first steps and goes on with a second that starts where it ends; in the order of the first, then of the second."""
    order = np.argsort(second.source, kind="stable")
    begin = np.searchsorted(second.source[order], first.target, side="left")
    end = np.searchsorted(second.source[order], first.target, side="right")
    n = end - begin
    which = np.repeat(np.arange(len(first.target)), n)
    place = np.arange(n.sum()) - np.repeat(np.cumsum(n) - n, n)
    onward = order[np.repeat(begin, n) + place]
    return Paths(
        which,
        onward,
        np.asarray(first.effect, dtype=float)[which] * np.asarray(second.effect)[onward],
    )
