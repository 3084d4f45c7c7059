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
    wanted = np.sort(restored.rows) if rows is None else rows
    order = torch.as_tensor(pd.Index(restored.rows).get_indexer(pd.Index(wanted)))
    # all that does not change with the exposure, in the order of the receivers that is wanted
    gate = 1.0 + fit.network.gate(fit.attention.context, problem.n_tfs + chosen)
    factor = (gate * torch.as_tensor(scale))[order].T.contiguous()
    present_share = fit.attention.exposure[order, -1:].T
    past = (
        fit.attended.exposure[order] - present_share.T * torch.as_tensor(study.exposure)[order]
    ).T
    network = fit.network
    ligand, receptor = network.pair_ligand[chosen], network.pair_receptor[chosen]
    level = (fit.attended.receptor[order][:, receptor] / network.half_dose[chosen]).T.contiguous()
    exponent = network.config.hill_exponent

    @torch.no_grad()
    def activity(exposure: NDArray[np.float32]) -> NDArray[np.float32]:
        moved = (past + present_share * torch.as_tensor(exposure).T).clamp_min(0.0)
        dose = moved[ligand].mul_(level)
        if exponent != 1.0:
            dose.pow_(exponent)
        values: NDArray[np.float32] = dose.div_(1.0 + dose).mul_(factor).numpy()
        return values.T

    return activity
