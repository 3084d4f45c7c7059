"""Tests whether groups differ, and names for how they differ."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

#: An effect counts as absent if it is smaller than this share of the effect in the other group ...
ABSENT_SHARE = 1 / 3
#: ... and its p-value is above this one.
PRESENT_P = 0.05


def p_beyond(
    difference: NDArray[np.float64],
    se: NDArray[np.float64],
    margin: NDArray[np.float64],
    freedom: NDArray[np.floating],
) -> NDArray[np.float64]:
    """P-value of a difference if the true one is ``margin`` in size; 1 where it is unknown.

    ``P(t > (abs(d) - m) / se) + P(t > (abs(d) + m) / se)``, t on ``freedom`` degrees of freedom.
    """
    known = np.isfinite(difference) & np.isfinite(se) & (se > 0)
    safe, size = np.where(known, se, 1.0), np.abs(np.where(known, difference, 0.0))
    away = np.where(known, margin, 0.0)
    p = student.sf((size - away) / safe, freedom) + student.sf((size + away) / safe, freedom)
    return np.where(known, np.clip(p, np.finfo(float).tiny, 1.0), 1.0)


def response_changes(
    effect: NDArray[np.float64],
    reference: NDArray[np.float64],
    present: NDArray[np.bool_],
    present_reference: NDArray[np.bool_],
    different: NDArray[np.bool_],
) -> NDArray[np.object_]:
    """Name the change of every edge: "gained", "lost", "changed", "kept" or ""."""
    with np.errstate(invalid="ignore"):
        small = ~present & (np.abs(effect) < ABSENT_SHARE * np.abs(reference))
        small_reference = ~present_reference & (np.abs(reference) < ABSENT_SHARE * np.abs(effect))
    conditions = {
        "gained": different & present & small_reference,
        "lost": different & present_reference & small,
        "changed": different,
        "kept": present & present_reference & (np.sign(effect) == np.sign(reference)),
    }
    return np.select(list(conditions.values()), np.array(list(conditions), dtype=object), "")


def level_changes(
    level: NDArray[np.float64],
    reference: NDArray[np.float64],
    different: NDArray[np.bool_],
    *,
    from_zero: bool,
) -> NDArray[np.object_]:
    """Name the change of every level.

    One of "appears", "disappears", "strengthens", "weakens" and "steady". Levels about a mean, not
    ``from_zero``, neither appear nor disappear.
    """
    conditions = {
        "appears": different & from_zero & (reference < ABSENT_SHARE * level),
        "disappears": different & from_zero & (level < ABSENT_SHARE * reference),
        "strengthens": different & (level > reference),
        "weakens": different,
    }
    names = np.array(list(conditions), dtype=object)
    return np.select(list(conditions.values()), names, "steady")
