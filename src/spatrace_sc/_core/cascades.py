"""Paths of two steps: pair → TF → target."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray


class Steps(NamedTuple):
    """Edges of one step: index of the regulator, index of the regulated gene, signed effect."""

    source: NDArray[np.integer]
    target: NDArray[np.integer]
    effect: NDArray[np.floating]


class Paths(NamedTuple):
    """Paths of two steps: index of the first and of the second edge, product of their effects."""

    first: NDArray[np.intp]
    second: NDArray[np.intp]
    effect: NDArray[np.float64]


def join(first: Steps, second: Steps) -> Paths:
    """Every pair of a first and a second edge that meet in one node.

    The first edge ends where the second one starts. Paths are in the order of the first edges,
    then of the second.
    """
    ends = pd.DataFrame({"node": first.target, "first": np.arange(len(first.target))})
    starts = pd.DataFrame({"node": second.source, "second": np.arange(len(second.source))})
    paths = ends.merge(starts, on="node")
    one, two = (paths[step].to_numpy(dtype=np.intp) for step in ("first", "second"))
    effect = np.asarray(first.effect, dtype=float)[one] * np.asarray(second.effect)[two]
    return Paths(one, two, effect)
