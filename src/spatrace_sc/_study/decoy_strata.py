"""Groups of cells among which the levels of decoy genes are permuted."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .records import Study

#: Receivers in a bin of time within which decoys are permuted, and the most bins.
RECEIVERS_PER_BIN, MAX_BINS = 50, 10
#: Fewest spots in a group of similar proportions.
MIN_SIMILAR = 20


def sender_strata(study: Study) -> NDArray[np.intp]:
    """(senders,) code of the group: one type and sample, and similar proportions."""
    strata = _combined(study.sender_types, study.sender_sample)
    if study.cells.mixture is None:
        return strata
    return of_similar_proportions(strata, study.cells.mixture.values[study.senders])


def receiver_strata(study: Study) -> NDArray[np.intp]:
    """(receivers,) code of the group: one type, sample and bin of time, similar proportions."""
    n_bins = int(np.clip(len(study.time) // RECEIVERS_PER_BIN, 1, MAX_BINS))
    limits = np.quantile(study.time, np.linspace(0, 1, n_bins + 1)[1:-1])
    time_bin = np.searchsorted(limits, study.time)
    strata = _combined(study.receiver_types, study.receiver_sample, time_bin)
    if study.cells.mixture is None:
        return strata
    return of_similar_proportions(strata, study.cells.mixture.values[study.receivers])


def of_similar_proportions(
    strata: NDArray[np.intp], proportions: NDArray[np.floating]
) -> NDArray[np.intp]:
    """(N,) codes of groups within the strata whose proportions are similar.

    A group is halved at the median of the type whose proportion varies most in it, as long as both
    halves have at least :data:`MIN_SIMILAR` spots. Equal proportions are never parted.
    """
    codes = np.empty(len(strata), dtype=np.intp)
    order = np.argsort(strata, kind="stable")
    ends = np.flatnonzero(np.diff(strata[order])) + 1
    waiting = np.split(order, ends)
    n_done = 0
    while waiting:
        rows = waiting.pop()
        values = proportions[rows]
        column = values[:, int(values.var(axis=0).argmax())]
        upper = column > np.median(column)
        if min(upper.sum(), (~upper).sum()) >= MIN_SIMILAR:
            waiting += [rows[upper], rows[~upper]]
        else:
            codes[rows], n_done = n_done, n_done + 1
    return np.asarray(pd.factorize(codes)[0], dtype=np.intp)


def _combined(*labels: NDArray[np.generic]) -> NDArray[np.intp]:
    """(N,) code of each combination of labels, in order of appearance."""
    codes: NDArray[np.intp] = pd.factorize(pd.MultiIndex.from_arrays(labels))[0]
    return codes
