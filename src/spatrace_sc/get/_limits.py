"""The limited_by column: why an edge is not significant."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .. import _keys


def add_limited_by(
    table: pd.DataFrame, same_gene: NDArray[np.bool_] | bool = False
) -> pd.DataFrame:
    """Return a table of the whole data set with names in ``limited_by``.

    An edge without a score has no effect, or was not tested if ``same_gene``. Of a result that was
    stored without reasons, edges with an effect that are not significant are "not recorded".
    """
    codes = {reason: code for code, reason in enumerate(_keys.LIMITS)}
    has_effect = table["score"].to_numpy() > 0
    stored = table.get("limited_by", codes["not recorded"])
    unscored = np.where(same_gene, codes["not tested (same gene)"], codes["no effect"])
    code = np.where(has_effect, stored, unscored).astype(np.intp)
    significant = has_effect & (table["q_value"].to_numpy() <= _keys.MAX_SIGNIFICANT_Q)
    code[significant] = codes[""]
    return table.assign(
        limited_by=pd.Categorical.from_codes(code, categories=pd.Index(_keys.LIMITS))
    )
