"""Controls in sentences, for the log and for a paper."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ..._edges import LR_PAIRS, TESTED_KINDS, EdgeKind
from ..._keys import MAX_SIGNIFICANT_Q
from .draws import SHAM_ALONE
from .false_discoveries import summary
from .power import POWER

#: What sham genes should share with real genes, and the largest difference without a warning, in
#: standard deviations of the real genes.
FEATURE_WORDS = {
    "type_share": "cell-type specificity",
    "morans_i": "spatial autocorrelation",
    "time_share": "course in time",
}
MAX_DIFFERENCE = 1.0
#: Implants of one size below which a sentence says that they are few.
MIN_IMPLANTS = 10
NOUNS = {"tf_targets": "TF → target edges", "lr_targets": "pair → target edges"}


def sentences(
    false: pd.DataFrame,
    limits: pd.DataFrame,
    more: pd.DataFrame,
    balance: pd.DataFrame,
    n_called: dict[str, int],
    power: pd.DataFrame,
) -> list[str]:
    """Return what the controls say of each table, in one paragraph per table.

    Tables are those of :mod:`.false_discoveries` and :mod:`.power`; ``n_called`` are the numbers
    of significant edges of the result.
    """
    power = power[power["tissue"] == "whole"]
    worst = {row["table"]: row for row in summary(false, MAX_SIGNIFICANT_Q).to_dict("records")}
    limit = {row["table"]: row for row in limits.to_dict("records") if row["tissue"] == "whole"}
    result = []
    for kind in TESTED_KINDS:
        parts = []
        if kind.name in worst:
            parts.append(_on_false(kind, worst[kind.name], n_called[kind.name]))
            parts += _on_bound(false, kind, str(worst[kind.name]["control"]))
        if kind.name in limit:
            parts.append(_on_power(kind, limit[kind.name], power[power["table"] == kind.name]))
            parts += _on_more(more[more["table"] == kind.name], limit[kind.name])
        if parts:
            result.append(" ".join(parts))
    return [*result, *_on_balance(balance)]


def _noun(kind: EdgeKind) -> str:
    return NOUNS.get(kind.name, "ligand–receptor pairs")


def _on_false(kind: EdgeKind, row: dict[Any, Any], n_called: int) -> str:
    """Return the sentence on the expected share of false discoveries."""
    control = str(row["control"])
    if not n_called or not np.isfinite(row["false_share"]):
        calls, draws = int(row["control_calls"]), int(row["n_draws"])
        chance = f"{calls} call{'s' * (calls != 1)} in {draws} draw{'s' * (draws != 1)}"
        significant = (
            f"{n_called} {_noun(kind)} have q ≤ {MAX_SIGNIFICANT_Q:g}, but none in the inferences "
            "with controls, so their false share is unknown"
            if n_called
            else f"No {_noun(kind)} are significant at q ≤ {MAX_SIGNIFICANT_Q:g}"
        )
        return f"{significant}; the controls ({control}) have {chance}."
    return (
        f"On this tissue {row['false_share']:.0%} [{row['low']:.0%}–{row['high']:.0%}] of the "
        f"{_noun(kind)} with q ≤ {MAX_SIGNIFICANT_Q:g} ({n_called} in the result) are expected to "
        f"be false, by {control}."
    )


def _on_bound(false: pd.DataFrame, kind: EdgeKind, control: str) -> list[str]:
    """Return the sentence on sham genes alone where another control gives the estimate."""
    at = false[(false["table"] == kind.name) & (false["control"] == SHAM_ALONE)]
    at = at[np.isclose(at["threshold"], MAX_SIGNIFICANT_Q)]
    if control == SHAM_ALONE or not len(at):
        return []
    expected = float(at["expected_false"].iloc[0])
    return [
        f"Where sham genes replace all real ones, {expected:.1f} {_noun(kind)} are called, scaled "
        "to the number of real genes: an upper bound of the false ones."
    ]


def _on_power(kind: EdgeKind, row: dict[Any, Any], power: pd.DataFrame) -> str:
    """Return the sentence on the detection limit, from power by size in ascending order."""
    what = "on each of their targets " if kind is LR_PAIRS else ""
    n, n_implants = (int(power["n"].iloc[-1]) if len(power) else 0), int(power["n"].sum())
    few = f" {n_implants} implants are few: more draws would say more." * (n < MIN_IMPLANTS)
    if not np.isfinite(row["effect"]):
        largest = ""
        if n:
            last = power.iloc[-1]
            largest = (
                f" (of the largest, {100 * last['size']:.2g} % of a target's variance, "
                f"{last['power'] * n:.0f} of {n}; 95 % interval of the power "
                f"{last['low']:.2f}–{last['high']:.2f})"
            )
        return (
            f"No implanted size of effect {what}is found with probability {POWER:g}{largest}: "
            f"what is missing from this table may well act.{few}"
        )
    high = f"{row['effect_high']:.2f}" if np.isfinite(row["effect_high"]) else "beyond all sizes"
    return (
        f"Effects of {row['effect']:.2f} [{row['effect_low']:.2f}–{high}] standard deviations "
        f"{what}are found with probability {POWER:g}; smaller ones are often missed.{few}"
    )


def _on_more(more: pd.DataFrame, limit: dict[Any, Any]) -> list[str]:
    """Return the sentences on twice the receivers and twice the molecules."""
    result = []
    for row in more.to_dict("records"):
        if not np.isfinite(row["effect_with_twice"]):
            continue
        n = (
            f"{limit['n_receivers']} more receivers"
            if row["twice_the"] == "receivers"
            else ("Twice the molecules per cell")
        )
        result.append(f"{n} would bring this to {row['effect_with_twice']:.2f}.")
    return result


def _on_balance(balance: pd.DataFrame) -> list[str]:
    """Return a warning where sham genes are less structured than the real genes they stand for."""
    if not len(balance):
        return []
    columns = ["role", "feature", "standardised_difference"]
    mean = balance[columns].groupby(columns[:2], sort=False).mean().reset_index()
    lower = [
        f"{row['role']}s in {FEATURE_WORDS[row['feature']]} "
        f"({-row['standardised_difference']:.1f} standard deviations)"
        for row in mean.to_dict("records")
        if row["feature"] in FEATURE_WORDS and row["standardised_difference"] < -MAX_DIFFERENCE
    ]
    if not lower:
        return []
    return [
        f"Sham genes are less structured than the real genes they stand for: {', '.join(lower)}. "
        "They are called less often than real genes without effect, so the expected false shares "
        "may be too low."
    ]
