"""Controls of each table, and titles that say what they show."""

from __future__ import annotations

import numpy as np
import pandas as pd

#: Controls that are drawn as one bar: label, colour, row below the calls on the tissue.
CONTROLS = {
    ("sham TFs", "sham genes"): ("expected false, by sham genes", "#D55E00", 0),
    ("misplaced senders", "senders of another slice"): (
        "expected false, by misplaced senders",
        "#0072B2",
        1,
    ),
    ("sham genes alone",): ("at most false, by sham genes alone", "#CC79A7", 0),
}
#: Short names of the tables.
NAMES = {"tf_targets": "TF → target", "lr_targets": "pair → target", "lr_pairs": "pairs"}


def controls_of(rows: pd.DataFrame) -> list[pd.DataFrame]:
    """Return the rows of every bar of a table; the upper bound only without other sham genes."""
    sham, misplaced, alone = (rows[rows["control"].isin(names)] for names in CONTROLS)
    return [sham, misplaced, alone if sham.empty else alone.iloc[:0]]


def false_title(table: pd.DataFrame, calls: dict[str, int]) -> str:
    """Return the largest expected false share of each table, or what the controls call.

    ``calls`` are the significant edges of the tissue, by table.
    """
    shares, chance = [], []
    for name, n in calls.items():
        sham, misplaced, alone = controls_of(table[table["table"] == name])
        judged = pd.concat([sham, misplaced])
        rows = alone if judged.empty else judged
        share = rows["false_share"].astype(float).max()
        if n and np.isfinite(share):
            shares.append(f"{'at most ' * judged.empty}{share:.0%} of {NAMES[name]}")
        elif (rows["control_calls"] > 0).any():
            chance.append((NAMES[name], _calls(rows.sort_values("expected_false").iloc[-1])))
    if shares:
        others = "".join(f"; {name}: controls have {found}" for name, found in chance)
        return f"Expected false: {', '.join(shares)}{others}"
    first = "Unknown false shares" if any(calls.values()) else "Nothing is significant"
    if not chance:
        return first
    of_each = ", ".join(found + f" ({name})" * (len(calls) > 1) for name, found in chance)
    return f"{first}, but the controls have {of_each}"


def _calls(row: pd.Series) -> str:
    """Return ``"2 calls in 1 draw"``."""
    calls, draws = int(row["control_calls"]), int(row["n_draws"])
    return f"{calls} call{'s' * (calls != 1)} in {draws} draw{'s' * (draws != 1)}"


def power_title(limits: pd.DataFrame, power: pd.DataFrame) -> str:
    """Return the effects that are found with probability 0.8."""
    effect = {row["table"]: float(row["effect"]) for row in limits.to_dict("records")}
    parts = [
        f"{NAMES[name]} {effect[name]:.2f} SD"
        for name in NAMES
        if np.isfinite(effect.get(name, np.nan))
    ]
    if not parts:
        largest = 100 * power["size"].astype(float).max()
        return f"No size up to {largest:.2g} % of the variance is found with probability 0.8"
    return f"Found with probability 0.8: {', '.join(parts)}"
