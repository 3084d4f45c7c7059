"""Levels of TFs and pairs in every stage, relative to all receivers.

This module imports torch: import it when it is called.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from .._core.uncertainty import shrink, stage_factors
from .._model.fit import Fit
from .._model.records import Problem
from .._study.records import Study
from .levels import regulator_levels

#: Regulators whose stage factors are computed at a time.
REGULATORS_AT_A_TIME = 500


def stage_factors_of(
    study: Study, problem: Problem, fitted: Fit, pairs: pd.DataFrame
) -> dict[str, Any]:
    """Return factors of TFs and of the listed pairs by stage, with their standard errors.

    The factors of one kind are shrunk towards 1 together.
    """
    genes = study.genes
    columns = {
        "tf": genes.columns_of_past_tfs,
        "pair": genes.column_of_pair(genes.pair_of_rows(pairs)),
    }
    block = problem.block.cpu().numpy()
    factors: dict[str, Any] = {}
    for kind, regulators in columns.items():
        batches = np.array_split(regulators, max(1, len(regulators) // REGULATORS_AT_A_TIME))
        estimates = [
            stage_factors(
                regulator_levels(problem, fitted, batch), study.stage, block, len(study.stages)
            )
            for batch in batches
        ]
        raw, raw_se = (np.hstack([estimate[k] for estimate in estimates]) for k in range(2))
        factor, se = shrink(raw, raw_se, 1.0, axis=1)
        factors[kind] = factor.astype(np.float32)
        factors[f"{kind}_se"] = se.astype(np.float32)
    return factors
