"""The list of published files that can be fetched."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True)
class Entry:
    """One file of the registry.

    ``sha256`` is the checksum that the publisher states, None without one. ``layout`` maps
    ``sample``, ``stage`` and ``cell_type`` to columns of ``obs``.
    """

    name: str
    title: str
    file: str
    url: str
    citation: str
    doi: str
    layout: dict[str, str]
    sha256: str | None = None
    cells: int | None = None
    genes: int | None = None


def registry() -> dict[str, Entry]:
    """All files that can be fetched, by name."""
    text = (files(__package__) / "registry.toml").read_text(encoding="utf-8")
    return {name: Entry(name=name, **values) for name, values in tomllib.loads(text).items()}
