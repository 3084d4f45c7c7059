"""How covariates follow from the cells of one data set, so that they can be read in others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.interpolate import BSpline

from .neighbourhood import N_COMPONENTS, StateScales, neighbourhood_state, state_scales
from .problem import (
    MIN_COVARIATE_SD,
    Covariates,
    named_groups,
    time_knots,
    time_powers,
)
from .records import Study

#: Degree of the splines of time.
DEGREE = 3


@dataclass(frozen=True)
class CovariateScales:
    """Names and scales of the covariates of one data set.

    ``types`` of its receivers; ``n_slices`` of them; ``time`` its mean and standard deviation;
    ``knots`` of the splines of standardised time, empty where powers up to ``n_powers`` stand for
    it; ``state`` of neighbourhoods; ``named`` columns. ``mean`` and ``sd`` (columns,) are those of
    the values before they are standardised; columns that hardly vary are left out.
    """

    types: NDArray[np.str_]
    n_slices: int
    time: NDArray[np.float64]
    knots: NDArray[np.float64]
    n_powers: int
    state: StateScales
    named: NDArray[np.str_]
    mean: NDArray[np.float64]
    sd: NDArray[np.float64]


def covariate_scales(study: Study, *, neighbourhood: bool = True) -> CovariateScales:
    """Return the names and scales of the covariates of a study.

    Without ``neighbourhood`` its state is left out.
    """
    time = np.array([study.time.mean(), study.time.std()])
    standardised = (study.time - time[0]) / time[1]
    knots = time_knots(standardised)
    scales = CovariateScales(
        types=study.receiver_mixture.names,
        n_slices=len(np.unique(study.receiver_sample)),
        time=time,
        knots=knots,
        n_powers=0 if len(knots) else time_powers(standardised).shape[1],
        state=state_scales(study, N_COMPONENTS if neighbourhood else 0),
        named=np.array([str(name) for name in study.named_covariates.columns], dtype=str),
        mean=np.empty(0),
        sd=np.empty(0),
    )
    slices = pd.get_dummies(study.receiver_sample).to_numpy(dtype=float)
    values = np.hstack(_groups(study, scales, slices))
    mean, sd = values.mean(axis=0), values.std(axis=0)
    return CovariateScales(**{**vars(scales), "mean": mean, "sd": sd})


def scaled_covariates(study: Study, scales: CovariateScales) -> Covariates:
    """Return the covariates of other cells, in the columns and on the scales of ``scales``.

    Slices have the mean of those of ``scales``: the effects of other slices are unknown. So has a
    cell type that ``scales`` does not have. Time beyond its range has the value at its end.
    """
    n = len(study.time)
    of_slices = slice(len(scales.types), len(scales.types) + scales.n_slices)
    groups = _groups(study, scales, np.tile(scales.mean[of_slices], (n, 1)))
    unknown = 1.0 - groups[0].sum(axis=1, keepdims=True)
    groups[0] += unknown * scales.mean[: len(scales.types)]
    ends = np.cumsum([group.shape[1] for group in groups])[:-1]
    parts = [
        ((group - mean)[:, sd > MIN_COVARIATE_SD] / sd[sd > MIN_COVARIATE_SD]).astype(np.float32)
        for group, mean, sd in zip(
            groups, np.split(scales.mean, ends), np.split(scales.sd, ends), strict=True
        )
    ]
    sizes = tuple(part.shape[1] for part in parts)
    return Covariates(np.hstack(parts), sizes[3], sum(sizes[4:]), sizes)


def _groups(
    study: Study, scales: CovariateScales, slices: NDArray[np.float64]
) -> list[NDArray[np.float64]]:
    """Return types, slices, time, neighbourhood and named covariates before they are scaled."""
    mixture = study.receiver_mixture
    types = mixture.values @ (mixture.names[:, None] == scales.types).astype(float)
    time = (study.time - scales.time[0]) / scales.time[1]
    if len(scales.knots):
        inside = np.clip(time, scales.knots[DEGREE], scales.knots[-DEGREE - 1])
        course = BSpline.design_matrix(inside, scales.knots, DEGREE).toarray()[:, :-1]
    else:
        course = np.stack([time**k for k in range(1, scales.n_powers + 1)], axis=1)
    named = named_groups(study.named_covariates, len(time))
    return [types, slices, course, neighbourhood_state(study, scales.state), *named]
