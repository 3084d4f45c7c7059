"""Count noise of TFs, and levels in which it has mean 0."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .._core.counts import counting_variance_of_measured
from .._core.exposure import linear
from .._core.overdispersion import common_overdispersion
from .records import CountNoise

logger = logging.getLogger("spatrace_sc")

#: Levels of TFs are nearly linear up to this many molecules.
LINEAR_MOLECULES = 4.0


def count_noise(
    logged: NDArray[np.float32],
    unit: NDArray[np.float64] | None,
    state: sparse.csr_matrix,
    missing: NDArray[np.bool_] | None = None,
    *,
    targets: NDArray[np.float32] | None = None,
    overdispersion: float | None = None,
) -> CountNoise:
    """Return how much of the variance of each TF is count noise.

    Means come from earlier cells of the same state. Without counts (``unit`` is None) the noise is
    unknown and taken as 0. Imputed levels, ``missing`` (cells, F), have none. The
    ``overdispersion`` of the counts, if None, is estimated from TFs and ``targets``.
    """
    if unit is None:
        logger.warning(
            "The matrix is not log1p of normalised counts, so the count noise is unknown. TFs "
            "that only follow a true one cannot be excluded: TF → target edges are ranked, but "
            "all get q = 1. Use log1p of normalised counts (sc.pp.normalize_total, sc.pp.log1p), "
            "in X or `layer`."
        )
        return CountNoise(np.zeros(logged.shape[1]), np.zeros(logged.shape[1]), 1.0, 0.0)
    scale = LINEAR_MOLECULES * float(np.median(unit))
    if overdispersion is None:
        genes = logged if targets is None else np.hstack([logged, targets])
        overdispersion = common_overdispersion(linear(genes), unit, state)
        logger.info(
            "Counts vary more than Poisson counts: overdispersion %.2f (variance = mean + "
            "%.2f mean²), which is taken for noise.",
            *(overdispersion, overdispersion),
        )
    mean = (state @ linear(logged)) / unit[:, None]
    logged_noise, level_noise = (
        counting_variance_of_measured(mean, u, missing, overdispersion=overdispersion)
        for u in (unit, unit / scale)
    )
    return CountNoise(logged_noise, level_noise, scale, overdispersion)


def tf_levels(logged: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
    """Return ``log1p(x / scale)`` of linear values *x*.

    Nearly linear below the scale, so that the noise of a few molecules has mean 0, and logarithmic
    above. A scale of 1 changes nothing.
    """
    return logged if scale == 1.0 else np.log1p(linear(logged) / np.float32(scale))
