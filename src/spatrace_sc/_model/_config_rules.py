"""Fields of a configuration that carry the rule for their values."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Rule:
    """What a value must be: ``text`` completes the sentence "must be ..."."""

    text: str
    holds: Callable[[object], bool]


def integer(default: int, *, least: int) -> int:
    """Field for a whole number of at least ``least``."""

    def holds(value: object) -> bool:
        return (
            isinstance(value, numbers.Integral)
            and not isinstance(value, bool)
            and int(value) >= least
        )

    return _with_rule(default, Rule(f"a whole number of at least {least}", holds))


def positive(default: float) -> float:
    """Field for a number above 0."""
    return _number(default, "a positive number", lambda x: x > 0)


def non_negative(default: float) -> float:
    """Field for a number of at least 0."""
    return _number(default, "a number of at least 0", lambda x: x >= 0)


def share(default: float) -> float:
    """Field for a share that is neither 0 nor 1."""
    return _number(default, "above 0 and below 1", lambda x: 0 < x < 1)


def share_or_zero(default: float) -> float:
    """Field for a share that may be 0."""
    return _number(default, "at least 0 and below 1", lambda x: 0 <= x < 1)


def share_or_one(default: float) -> float:
    """Field for a share that may be 1."""
    return _number(default, "above 0 and at most 1", lambda x: 0 < x <= 1)


def switch(default: bool) -> bool:
    """Field for True or False."""
    return _with_rule(default, Rule("True or False", lambda value: isinstance(value, bool)))


def choice(default: str, *others: str) -> str:
    """Field for one of several words."""
    words = (default, *others)

    def holds(value: object) -> bool:
        return isinstance(value, str) and value in words

    return _with_rule(default, Rule(" or ".join(map(repr, words)), holds))


def broken_rules(record: Any) -> Iterator[tuple[str, Rule, object]]:
    """Name, rule and value of every field of a record that breaks its rule."""
    for item in fields(record):
        value, rule = getattr(record, item.name), item.metadata.get("rule")
        if rule is not None and not rule.holds(value):
            yield item.name, rule, value


def _number(default: float, text: str, accepts: Callable[[float], bool]) -> float:
    def holds(value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            return False
        number = float(value)
        return math.isfinite(number) and accepts(number)

    return _with_rule(default, Rule(text, holds))


def _with_rule(default: T, rule: Rule) -> T:
    return field(default=default, metadata={"rule": rule})
