"""Activity of pairs after senders have moved, from the restored model.

This module imports torch: import it when it is called.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from numpy.typing import NDArray

from .communication import ActivityAtExposure
from .levels import per_standard_deviation, regulator_levels
from .restore import restore


@torch.no_grad()
def activity_at_exposure(
    adata: AnnData, key: str, rows: NDArray[np.intp] | None = None
) -> ActivityAtExposure:
    """Return a function from present exposure (receivers, L) to activity (receivers, P).

    Exposures at earlier steps and receptors stay as they are. ``rows`` (receivers,) are the
    positions of the receivers in the data, in the order of both arrays. None: ascending.
    """
    restored = restore(adata, key)
    study, problem, fit = restored.study, restored.problem, restored.fit
    listed = restored.result.activity_pairs
    pairs = restored.genes.pair_of_names(listed)
    levels = regulator_levels(problem, fit, restored.genes.column_of_pair(pairs))
    scale = per_standard_deviation(levels, listed["score"].to_numpy(dtype=np.float32))
    chosen = torch.as_tensor(pairs)
    present_share = fit.attention.exposure[:, -1:]
    gate = 1.0 + fit.network.gate(fit.attention.context, problem.n_tfs + chosen)
    wanted = np.sort(restored.rows) if rows is None else rows
    to_wanted_order = pd.Index(restored.rows).get_indexer(pd.Index(wanted))
    to_inference_order = pd.Index(wanted).get_indexer(pd.Index(restored.rows))

    @torch.no_grad()
    def activity(exposure: NDArray[np.float32]) -> NDArray[np.float32]:
        change = torch.as_tensor(exposure[to_inference_order]) - torch.as_tensor(study.exposure)
        moved = (fit.attended.exposure + present_share * change).clamp_min(0.0)
        signal = fit.network.signal(moved, fit.attended.receptor, chosen)
        values: NDArray[np.float32] = (signal * gate).numpy() * scale
        return values[to_wanted_order]

    return activity
