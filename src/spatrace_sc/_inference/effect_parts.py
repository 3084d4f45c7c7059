"""Columns of TF edges for the effects within and between groups of cells."""

from __future__ import annotations

import pandas as pd

from .._model.evidence.within_between import WithinBetween


def add_effect_parts(table: pd.DataFrame, parts: WithinBetween) -> pd.DataFrame:
    """Return the compact table of TF edges with the columns :data:`_keys.EFFECT_PARTS`.

    ``rests_on`` holds the index of a level of :data:`_keys.RESTS_ON`.
    """
    tf, target, effect = (table[name].to_numpy() for name in ("tf", "target", "effect"))
    edge = (tf, target)
    return table.assign(
        effect_within=parts.within[edge],
        effect_within_se=parts.within_se[edge],
        effect_between=parts.between[edge],
        effect_between_se=parts.between_se[edge],
        rests_on=parts.rests_on(effect, edge).astype("int32"),
    )
