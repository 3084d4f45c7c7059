"""Columns of TF edges for the strength of a confounder that would explain them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from .._model.evidence.errors_in_variables import CorrectedEffects


def add_robustness(table: pd.DataFrame, corrected: CorrectedEffects) -> pd.DataFrame:
    """Return the compact table of TF edges with the columns :data:`_keys.ROBUSTNESS`.

    ``effect`` is an average over several models. Where the corrected regression has the opposite
    sign, no confounder is needed to remove the effect, and its robustness is 0.
    """
    edge = table["tf"].to_numpy(), table["target"].to_numpy()
    opposite = table["effect"].to_numpy() * corrected.effect[edge] < 0
    robustness = np.where(opposite, 0.0, corrected.robustness[edge])
    return table.assign(robustness=robustness, benchmark=corrected.benchmark[edge])
