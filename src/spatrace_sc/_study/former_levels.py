"""Present levels of TFs as results up to form 2 read them, to restore those results."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._core.counts import wiener_filter
from .histories import CurrentTF
from .records import Study


def mixed_tf_filter(study: Study, covariates: NDArray[np.float32]) -> CurrentTF:
    """Return the filter of all TF counts, of their means over earlier cells, and of covariates.

    Counts of TFs that are also targets are left out. Present results read each TF from itself
    alone (:func:`spatrace_sc._study.histories.current_tf_filter`).
    """
    readable = np.flatnonzero(~np.isin(study.genes.tfs, study.genes.targets))

    def readings(tf: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.hstack([tf[:, readable], study.state @ tf, covariates]).astype(np.float64)

    n_noise_free = study.tf.shape[1] + covariates.shape[1]
    noise = np.concatenate([study.noise.logged[readable], np.zeros(n_noise_free)])
    own = np.full(study.tf.shape[1], -1)
    own[readable] = np.arange(len(readable))
    fitted = wiener_filter(readings(study.tf), noise, study.tf.astype(np.float64), own)
    return lambda tf: fitted(readings(tf))
