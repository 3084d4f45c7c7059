"""Checks of single arguments. Each raises a typed error that names the argument and its value."""

from __future__ import annotations

import difflib
import numbers
import re
from collections.abc import Hashable, Iterable, Set
from typing import TypeGuard

import numpy as np
import pandas as pd

from ._errors import InvalidArgumentError, warn

#: A seed, or a source of random numbers from which one is drawn.
RandomSource = int | np.random.Generator | np.random.BitGenerator | np.random.SeedSequence
#: Seed without ``rng``, and one above the largest that is drawn.
DEFAULT_SEED, MAX_SEED = 0, 2**31
#: Length up to which a value is quoted.
MAX_QUOTED = 80


def shorten(names: Iterable[object], limit: int = 8) -> str:
    """Return the first names as readable text, and the number of the others."""
    items = [repr(str(n)) for n in names]
    if not items:
        return "none"
    return ", ".join(items[:limit]) + (
        f" and {len(items) - limit} more" if len(items) > limit else ""
    )


def closest(name: object, available: Iterable[object]) -> str:
    """Return ``" Did you mean 'x'?"`` for the most similar name, ignoring case, or ``""``."""
    name, names = str(name), [str(a) for a in available]
    folded = {n.casefold(): n for n in reversed(names)}
    match = difflib.get_close_matches(name, names, n=1) or [
        folded[n] for n in difflib.get_close_matches(name.casefold(), folded, n=1)
    ]
    return f" Did you mean {match[0]!r}?" if match else ""


def name_of_column(value: object, argument: str) -> None:
    """Require something that can name a column or slot: text, or a number."""
    if not isinstance(value, Hashable):
        raise InvalidArgumentError(
            f"`{argument}` must be the name of one column or slot, found "
            f"{repr(value)[:MAX_QUOTED]}."
        )


def labels(value: object, argument: str) -> list[str]:
    """Return one label or several as text; each once, those of a set in alphabetical order.

    Labels compare as text in all verbs, so a number, a truth value or a numpy scalar is one label.
    """
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        value = [value]
    listed = list(value)
    unusable = [v for v in listed if not pd.api.types.is_scalar(v) or pd.isna(v)]
    if unusable or isinstance(value, pd.DataFrame):
        finding = f"a {type(value).__name__}" if isinstance(value, pd.DataFrame) else None
        raise InvalidArgumentError(
            f"`{argument}` must be a name or a list of names, found "
            f"{finding or repr(unusable[0])[:MAX_QUOTED]}."
        )
    names = [v.decode() if isinstance(v, bytes) else str(v) for v in listed]
    return list(dict.fromkeys(sorted(names) if isinstance(value, Set) else names))


def find_labels(wanted: Iterable[str], available: Iterable[object]) -> tuple[list[str], list[str]]:
    """Return the available labels that are wanted, in that order, and those not available.

    A column of floats is written as "10.0", so "10" finds it as well, and the reverse.
    """
    names = [str(a) for a in available]
    by_number: dict[str, set[str]] = {}
    for name in names:
        by_number.setdefault(_without_decimals(name), set()).add(name)
    present: list[str] = []
    missing: list[str] = []
    for label in wanted:
        equal = {label} if label in names else by_number.get(_without_decimals(label), set())
        present.extend(equal if len(equal) == 1 else [])
        missing.extend([] if len(equal) == 1 else [label])
    return list(dict.fromkeys(present)), missing


def _without_decimals(label: str) -> str:
    """Return "10" for "10.0", any other label as it is."""
    return re.sub(r"^(-?\d+)\.0+$", r"\1", label)


def one_of(value: object, argument: str, allowed: Iterable[object], note: str = "") -> None:
    """Require one of the allowed words."""
    words = [str(a) for a in allowed]
    if not isinstance(value, str) or value not in words:
        raise InvalidArgumentError(
            f"`{argument}` must be one of {shorten(words)}{note}, found {value!r}."
            f"{closest(str(value), words)}"
        )


def flag(value: object, argument: str) -> None:
    """Require True or False."""
    if not isinstance(value, bool | np.bool_):
        raise InvalidArgumentError(f"`{argument}` must be True or False, found {value!r}.")


def whole(value: object, argument: str, low: int = 1, note: str = "") -> None:
    """Require a whole number of at least ``low``."""
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < low:
        raise InvalidArgumentError(
            f"`{argument}` must be a whole number of at least {low}{note}, found {value!r}."
        )


def count(value: object, argument: str) -> None:
    """Require a whole number of at least 1, or None for all."""
    if value is not None:
        whole(value, argument, 1, ", or None for all")


def positive(value: object, argument: str, unit: str = "") -> None:
    """Require a finite number above 0."""
    if not _is_number(value) or not value > 0:
        raise InvalidArgumentError(
            f"`{argument}` must be a positive number{unit}, found {value!r}."
        )


def at_least_zero(value: object, argument: str) -> None:
    """Require a finite number of at least 0."""
    if not _is_number(value) or not value >= 0:
        raise InvalidArgumentError(f"`{argument}` must be a number of at least 0, found {value!r}.")


def share_of_one(value: object, argument: str) -> None:
    """Require a number above 0 and at most 1."""
    if not _is_number(value) or not 0 < value <= 1:
        raise InvalidArgumentError(
            f"`{argument}` must be a number above 0 and at most 1, found {value!r}."
        )


def share_below_one(value: object, argument: str) -> None:
    """Require a number of at least 0 and below 1."""
    if not _is_number(value) or not 0 <= value < 1:
        raise InvalidArgumentError(f"`{argument}` must be at least 0 and below 1, found {value!r}.")


def number_in(value: object, argument: str, low: float, high: float, note: str = "") -> None:
    """Require a number from ``low`` to ``high``, both included."""
    if not _is_number(value) or not low <= value <= high:
        raise InvalidArgumentError(
            f"`{argument}` must be a number from {low:g} to {high:g}{note}, found {value!r}."
        )


def _is_number(value: object) -> TypeGuard[float]:
    """Whether a value is a finite real number; True and False are not."""
    return (
        isinstance(value, numbers.Real)
        and not isinstance(value, bool)
        and bool(np.isfinite(float(value)))
    )


def seed_of(rng: RandomSource | None, seed: int | None = None) -> int:
    """Return the seed that ``rng`` is or draws, or ``seed``, its former name, with a warning.

    None is :data:`DEFAULT_SEED`. A generator is advanced by one draw.
    """
    if seed is not None:
        if rng is not None:
            raise InvalidArgumentError(
                f"`rng={rng!r}` and `seed={seed!r}` are the same argument; give `rng` only."
            )
        whole(seed, "seed", low=0)
        warn("`seed` is now named `rng`; the former name still works.", FutureWarning)
        return int(seed)
    if rng is None:
        return DEFAULT_SEED
    if isinstance(rng, np.random.Generator | np.random.BitGenerator | np.random.SeedSequence):
        return int(np.random.default_rng(rng).integers(MAX_SEED))
    if isinstance(rng, bool | np.bool_) or not isinstance(rng, numbers.Integral) or rng < 0:
        raise InvalidArgumentError(
            f"`rng` must be a whole number of at least 0 or a numpy.random.Generator, found "
            f"{rng!r}."
        )
    return int(rng)
