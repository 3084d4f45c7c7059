"""Profiles of the pairs that are grouped into modules: effects, and activity by cell and block."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .._core.modules import block_means, cell_blocks
from .._data.cells import categories, coordinates, time_column
from .._study.source import Source

#: Receiving cells in a block, and the most blocks. Activity is averaged over blocks before it is
#: factorised.
CELLS_PER_BLOCK, MAX_BLOCKS = 10, 500


class PairProfiles(NamedTuple):
    """Effects and activity of the pairs that are grouped, pairs and targets by name.

    ``pairs`` table ligand, receptor, score; ``effect`` (pairs, targets) signed, direct and through
    TFs; ``activity`` (receivers, pairs); ``receivers`` (cells,) mask.
    """

    pairs: pd.DataFrame
    targets: list[str]
    effect: NDArray[np.float64]
    activity: NDArray[np.floating]
    receivers: NDArray[np.bool_]


def block_activity(adata: AnnData, source: Source, profiles: PairProfiles) -> NDArray[np.float64]:
    """(pairs, blocks) mean activity in blocks of neighbouring cells, centred over blocks."""
    if profiles.pairs.empty:
        return np.empty((0, 0))
    rows = profiles.receivers
    coords = coordinates(adata, source.spatial_key)[rows]
    time = np.nan_to_num(time_column(adata, source.time_key)[rows])
    labels = [source.types(adata)[rows]]
    if source.sample_key is not None:
        labels.insert(0, categories(adata, source.sample_key, "sample_key")[rows].astype(str))
    strata = pd.factorize(pd.MultiIndex.from_arrays(labels), sort=True)[0]
    extent = max(np.ptp(coords[strata == s], axis=0).max() for s in np.unique(strata))
    position = np.column_stack([coords / (extent or 1.0), time / (np.ptp(time) or 1.0)])
    block = cell_blocks(position, strata, size=CELLS_PER_BLOCK, at_most=MAX_BLOCKS)
    means = block_means(profiles.activity, block).T
    centred: NDArray[np.float64] = means - means.mean(axis=1, keepdims=True)
    return centred
