"""Test that an effect of a TF exceeds a minimum."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from scipy.stats import t as student

#: Cells beyond which more make the effects more precise but the test no more powerful: errors of
#: the linear model do not shrink with the number of cells.
MAX_EFFECTIVE_CELLS = 5000


class EffectTest(NamedTuple):
    """Test of the size of the effects of TFs."""

    p_value: NDArray[np.float64]
    """(TF genes, G) p that the effect does not exceed the minimum; 1 where it was not tested."""
    minimum: NDArray[np.float64]
    """(G,) minimum meaningful effect."""
    tested: NDArray[np.bool_]
    """(TF genes, G)"""


def minimum_effect_test(
    effect: NDArray[np.float64],
    se: NDArray[np.float64],
    share: float,
    n_cells: int,
    freedom: int | None = None,
) -> EffectTest:
    """Test that effects b (TF genes, G) exceed a share c of the joint effect of TFs on the target.

    With thousands of cells, a linear model of a nonlinear process finds every tiny effect
    significant otherwise. With δ_g = c × square root of the sum over TFs of max(0, b² - se²)::

        p = P(t > (|b| - δ) / (κ se)) + P(t > (|b| + δ) / (κ se)), κ = √max(1, n / 5000)

    t has ``freedom`` degrees of freedom; None: it is normal. κ makes the test no more powerful than
    with 5 000 cells that have a past. With more cells, sampling errors become smaller than the
    errors of the linear model, which do not shrink, and edges just above δ would be called for that
    reason alone. Effects whose ``se`` is 0 or infinite are not tested.
    """
    tested = np.isfinite(se) & (se > 0)
    error = np.where(tested, se, 0.0)
    minimum = share * np.sqrt(np.maximum(effect**2 - error**2, 0.0).sum(axis=0))
    scale = np.where(tested, se, 1.0) * np.sqrt(max(1.0, n_cells / MAX_EFFECTIVE_CELLS))
    distances = (np.abs(effect) - minimum) / scale, (np.abs(effect) + minimum) / scale
    above, below = (norm.sf(d) if freedom is None else student.sf(d, freedom) for d in distances)
    p = np.where(tested, np.clip(above + below, np.finfo(float).tiny, 1.0), 1.0)
    return EffectTest(p, minimum, tested)
