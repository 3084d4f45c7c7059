"""The direction column: which way a TF edge runs, as far as the order in time shows."""

from __future__ import annotations

import numpy as np
import pandas as pd

from .. import _keys

#: Standard errors on one side that leave out a tenth of a normal distribution.
ONE_SIDED = 1.2816


def add_direction(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table of TF edges with ``lead``, ``lead_se`` and ``direction``.

    A standard error of 0 means that there is none: the edge has no effect, the order of the cells
    explains too little, or the result was stored without leads.
    """
    lead, error = (
        table[column].to_numpy(dtype=np.float64) if column in table else np.zeros(len(table))
        for column in ("lead", "lead_se")
    )
    ordered = error > 0
    forward = ordered & (lead > ONE_SIDED * error)
    backward = ordered & (lead < -ONE_SIDED * error)
    value = np.select([forward, backward], _keys.DIRECTIONS[:2], _keys.DIRECTIONS[2])
    direction = pd.Categorical(value, categories=_keys.DIRECTIONS)
    shown = {"lead": np.where(ordered, lead, np.nan), "lead_se": np.where(ordered, error, np.nan)}
    return table.assign(**shown, direction=direction)
