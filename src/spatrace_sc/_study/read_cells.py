"""Read the cells of a data set, and who is near whom."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from .._data.cell_types import read_proportions
from .._data.cells import (
    categories,
    cell_mask,
    coordinates,
    receivers_with_time,
    samples,
    time_column,
)
from .._data.radius import weights_within
from .._errors import DataError, warn
from .records import Cells
from .source import Source

logger = logging.getLogger("spatrace_sc")


def read_cells(adata: AnnData, source: Source) -> Cells:
    """Read and check coordinates, types, samples, stages and time of every cell."""
    coords = coordinates(adata, source.spatial_key, sample_key=source.sample_key)
    mixture = None if source.proportions is None else read_proportions(adata, source.proportions)
    types = source.types(adata) if mixture is None else mixture.labels
    stage_key, time_key = source.stage_key, source.time_key
    slices = samples(adata, source.sample_key, stage_key=stage_key, time_key=time_key).astype(str)
    time = time_column(adata, source.time_key, cell_type_key=source.cell_type_key)
    senders = cell_mask(types, source.senders, "senders", adata.n_obs)
    receivers = receivers_with_time(
        *(time, types, source.receivers, source.time_key), mixed=mixture is not None
    )
    stage = slices
    if source.stage_key is not None:
        stage = categories(adata, source.stage_key, "stage_key").astype(str)
    if source.sample_key is None and len(set(stage)) > 1:
        warn(
            f"`stage_key={source.stage_key!r}` has several stages but `sample_key` is None: all "
            "cells count as one slice, and cells of different stages as neighbours. "
            "Name the slices with `sample_key`."
        )
    code = pd.factorize(slices, sort=True)[0]
    return Cells(coords, types, code, stage, time, senders, receivers, mixture)


def kernel_weights(
    cells: Cells, radius: float, own: bool
) -> tuple[sparse.csr_matrix, sparse.csr_matrix | None]:
    """(receivers, senders) kernel over distance, and the part at which a cell is its own sender.

    The second is None without ``own``. The number of neighbours is logged.
    """
    everyone = weights_within(
        *(cells.coords, cells.sample, cells.receivers, cells.senders), radius, own=own
    )
    weights = everyone[cells.receivers][:, cells.senders]
    own_weights = None
    if own:
        itself = sparse.diags(everyone.diagonal(), format="csr", dtype=weights.dtype)
        own_weights = itself[cells.receivers][:, cells.senders]
        own_weights.eliminate_zeros()
    n_own = 0 if own_weights is None else np.diff(own_weights.indptr)
    n_senders = np.diff(weights.indptr) - n_own
    if not n_senders.any():
        raise DataError(
            f"no receiver has a sender within `radius={radius:g}`; check the units of the "
            "coordinates, `senders`, `receivers` and `sample_key`."
        )
    logger.info(
        "Neighbours within the radius: median %d senders per receiver; "
        "%.0f %% of receivers have none.",
        int(np.median(n_senders)),
        100 * float((n_senders == 0).mean()),
    )
    return weights, own_weights
