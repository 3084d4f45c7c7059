"""Long names in figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from .fitted_text import WIDTH

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Longest name of a label, and of a cell type where several share the room.
LONGEST, LONGEST_OF_TWO = 32, 24
#: Characters of a name per point of the width of a figure, and the fewest.
PER_POINT, FEWEST = 0.07, 8
#: Size of the names of up to these numbers of types, in points, and of more.
SIZES, SMALLEST = ((16, 8.0), (30, 7.0)), 6.0
#: Longest name that a circle of the usual size has room for on both sides.
SHORT = 12
#: Largest number of types that are few.
FEW = SIZES[0][0]


def name_size(n: int) -> float:
    """Return the size of the names of n cell types, in points."""
    return next((size for most, size in SIZES if n <= most), SMALLEST)


def name_length(ax: Axes, longest: int = LONGEST) -> int:
    """Return the largest number of characters of a name, which is smaller in narrow figures."""
    width = 72 * ax.figure.figure.get_figwidth()
    return int(min(longest, max(FEWEST, PER_POINT * width)))


def added_width(types: Sequence[str]) -> float:
    """Return the inches by which long names of few types widen a circle with names around it."""
    longest = min(max(map(len, types), default=0), LONGEST_OF_TWO)
    letters = 2 * max(longest - SHORT, 0) if len(types) <= FEW else 0
    return letters * WIDTH * name_size(len(types)) / 72


def shortened(names: Iterable[object], longest: int = LONGEST) -> list[str]:
    """Return the names with an ellipsis in the middle of long ones; different ones stay so.

    If two names became equal, all are longer, as far as needed.
    """
    full = [str(name) for name in names]
    for length in range(longest, max(map(len, full), default=0)):
        short = [_short(name, length) for name in full]
        if len(set(short)) == len(set(full)):
            return short
    return full


def _short(name: str, length: int) -> str:
    """Return one name with at most this many characters."""
    if len(name) <= length:
        return name
    end = (length - 1) // 2
    return f"{name[: length - 1 - end]}…{name[len(name) - end :]}"
