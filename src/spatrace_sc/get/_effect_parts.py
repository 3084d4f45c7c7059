"""Columns that say whether a TF acts within groups of cells, between them, or both."""

from __future__ import annotations

import numpy as np
import pandas as pd

from .. import _keys


def present_effect_parts(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table of TF edges with names in ``rests_on``.

    These columns and those of the robustness are missing values for edges without a score, which
    are not stored, and for all edges of a result of an earlier version, which has no such columns.
    """
    *numeric, rests_on = *_keys.ROBUSTNESS, *_keys.EFFECT_PARTS
    stored = (table["score"] > 0).to_numpy()
    code = np.where(stored, table.get(rests_on, -1), -1).astype(np.intp)
    level = np.array([*_keys.RESTS_ON, None], dtype=object)[code]
    names = pd.Categorical(level, categories=_keys.RESTS_ON)
    values = {name: np.where(stored, table.get(name, np.nan), np.nan) for name in numeric}
    return table.assign(**values).assign(**{rests_on: names})
