"""Text that fits the room it has: wrapped, in smaller type, or with its middle left out."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

#: Sizes of labels, of titles, and of the smallest title, in points.
LABEL, TITLE, SMALLEST_TITLE = 8.0, 10.0, 7.0
#: Mean width of a character as a share of its size; names of genes are in capital letters.
WIDTH = 0.62
#: Width of a title as a multiple of that of its axes, which have labels on their left.
OVERHANG = 1.25
#: Signs that stay on the line of the words around them.
UNBROKEN = ("=", "≤", "→")


def wrapped(lines: Iterable[str], room: float, size: float) -> str:
    """Return the lines, broken at blanks where they are longer than the room in points.

    The parts of a broken line are about equally long, so that no word is left alone.
    """
    width = max(12, int(room / (WIDTH * size)))
    parts = [part for line in lines for part in line.split("\n")]
    for sign in UNBROKEN:
        parts = [
            part.replace(f" {sign} ", f"\N{NO-BREAK SPACE}{sign}\N{NO-BREAK SPACE}")
            for part in parts
        ]
    text = "\n".join("\n".join(_balanced(part, width)) for part in parts)
    return text.replace("\N{NO-BREAK SPACE}", " ")


def _balanced(line: str, width: int) -> list[str]:
    """Return a line in the fewest parts of at most this width, and these as equal as possible."""
    parts = textwrap.wrap(line, width)
    longest_word = max(map(len, line.split()), default=1)
    for narrower in range(width - 1, longest_word - 1, -1):
        narrow = textwrap.wrap(line, narrower)
        if len(narrow) > len(parts):
            break
        parts = narrow
    return parts


def shortened(text: str, room: float) -> tuple[str, dict[str, float]]:
    """Return a title that fits the room in points, and its size."""
    size = min(TITLE, max(SMALLEST_TITLE, room / (WIDTH * max(len(text), 1))))
    return ellipsis(text, int(room / (WIDTH * size))), {"size": size}


def ellipsis(text: str, length: int) -> str:
    """Return the text with its middle left out where it has more characters than ``length``."""
    length = max(length, 5)
    if len(text) <= length:
        return text
    end = (length - 1) // 2
    return f"{text[: length - 1 - end]}…{text[-end:]}"
