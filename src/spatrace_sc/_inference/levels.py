"""Levels of TFs and signals of pairs in the receivers, as the fitted model sees them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from .._model.fit import Fit
from .._model.records import Problem


@torch.no_grad()
def regulator_levels(
    problem: Problem, fit: Fit, columns: NDArray[np.integer]
) -> NDArray[np.float32]:
    """(receivers, A) attended level of columns of the model, times the gate of the cell.

    TFs have a log expression, pairs a saturating signal.
    """
    index = torch.as_tensor(columns, device=problem.targets.device)
    is_tf = index < problem.n_tfs
    signal = fit.network.signal(
        fit.attended.exposure, fit.attended.receptor, index[~is_tf] - problem.n_tfs
    )
    level = torch.cat([fit.attended.tf[:, index[is_tf]], signal], dim=1)
    return (level * (1.0 + fit.network.gate(fit.attention.context, index))).cpu().numpy()


def per_standard_deviation(
    levels: NDArray[np.floating], strength: NDArray[np.floating]
) -> NDArray[np.floating]:
    """(A,) factor that turns levels into standard deviations times ``strength`` (A,).

    0 where a level does not vary.
    """
    spread = levels.std(axis=0)
    factor: NDArray[np.floating] = np.divide(
        strength, spread, out=np.zeros_like(strength), where=spread > 0
    )
    return factor
