"""Ablations of what is read: covariates, size factors, shallow cells and the filter of TFs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
from benchmarks.recovery.tissue import Tissue
from benchmarks.road.normalisation import as_given

from spatrace_sc._study import histories, problem, read
from spatrace_sc._study.former_levels import mixed_tf_filter
from spatrace_sc._study.problem import Covariates, build_covariates
from spatrace_sc._study.records import Study


@contextmanager
def without_covariates() -> Iterator[None]:
    """Leave out all covariates."""

    def none(study: Study) -> Covariates:
        return Covariates(np.empty((len(study.time), 0), dtype=np.float32), 0, 0)

    with patch.object(problem, "build_covariates", none):
        yield


@contextmanager
def without_neighbourhoods() -> Iterator[None]:
    """Leave the state of the neighbourhood out of the covariates."""
    with patch.object(problem, "neighbourhood_state", lambda study: np.empty((len(study.time), 0))):
        yield


@contextmanager
def time_as_a_cubic() -> Iterator[None]:
    """Let time enter as a polynomial of the third degree."""
    with patch.object(problem, "time_course", problem.time_powers):
        yield


@contextmanager
def former_covariates() -> Iterator[None]:
    """Cell type, slice and time to its cube alone."""
    with without_neighbourhoods(), time_as_a_cubic():
        yield


@contextmanager
def counts_as_given() -> Iterator[None]:
    """Read counts on the scale of the data, and keep shallow cells."""
    with patch.object(read, "load_rescaled", as_given), shallow_cells_kept():
        yield


@contextmanager
def shallow_cells_kept() -> Iterator[None]:
    """Keep cells with few molecules for their type."""

    def none(molecules: Any, sample: Any, types: Any, empty: np.ndarray) -> np.ndarray:
        return np.zeros(len(empty), dtype=bool)

    with patch.object(read, "shallow_cells", none):
        yield


@contextmanager
def tfs_filtered_together() -> Iterator[None]:
    """Let the filter of the cell's own TFs read all of them, their states and covariates."""

    def together(study: Study) -> histories.CurrentTF:
        return mixed_tf_filter(study, build_covariates(study).values)

    with patch.object(histories, "current_tf_filter", together):
        yield


def with_depth(tissue: Tissue) -> Tissue:
    """Return the tissue with the logarithm of a cell's molecules as a covariate."""
    adata = tissue.adata
    adata.obs["log_depth"] = np.log1p(np.asarray(adata.layers["counts"].sum(axis=1)).ravel())
    covariates = [*tissue.arguments.get("covariates", []), "log_depth"]
    return Tissue(adata, tissue.arguments | {"covariates": covariates}, tissue.truth)


#: Parts that change what the method is given → function of the tissue.
GIVEN = {"depth as a covariate": with_depth}
