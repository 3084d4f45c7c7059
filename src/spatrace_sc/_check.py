"""Checks of single arguments. Each raises a typed error that names the argument and the finding."""

from __future__ import annotations

import difflib
import logging
import numbers
from collections.abc import Iterable

import numpy as np

from ._errors import InvalidArgumentError

logger = logging.getLogger("spatrace_sc")


def shorten(names: Iterable[object], limit: int = 8) -> str:
    """A readable list, never a wall of names."""
    items = [repr(str(n)) for n in names]
    return (
        ", ".join(items[:limit]) + (f" and {len(items) - limit} more" if len(items) > limit else "")
        if items
        else "none"
    )


def closest(name: str, available: Iterable[object]) -> str:
    """``" Did you mean 'x'?"`` or nothing. Upper and lower case count as the same, so that Wnt3 finds WNT3."""
    names = [str(a) for a in available]
    folded = {n.casefold(): n for n in reversed(names)}
    match = difflib.get_close_matches(name, names, n=1) or [
        folded[found] for found in difflib.get_close_matches(name.casefold(), folded, n=1)
    ]
    return f" Did you mean {match[0]!r}?" if match else ""


def positive(value: object, argument: str, unit: str = "") -> None:
    """A number above 0, or None."""
    if value is None:
        return
    if (
        isinstance(value, bool)
        or not isinstance(value, numbers.Real)
        or not np.isfinite(float(value))
        or float(value) <= 0
    ):
        raise InvalidArgumentError(
            f"`{argument}` must be a positive number{unit}, found {value!r}."
        )


def whole(value: object, argument: str, low: int = 1) -> None:
    """A whole number of at least ``low``."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < low:
        raise InvalidArgumentError(
            f"`{argument}` must be a whole number of at least {low}, found {value!r}."
        )


def share_of_one(value: object, argument: str) -> None:
    """A number above 0 and at most 1."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 < float(value) <= 1:
        raise InvalidArgumentError(
            f"`{argument}` must be a number above 0 and at most 1, found {value!r}."
        )
