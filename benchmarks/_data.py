"""Paths of the benchmark data, which are never part of the repository."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "SPATRACE_DATA"


def data_file(*parts: str) -> Path:
    """Return the path of a benchmark file, or exit with the folder that was searched.

    The folder is the one that the environment variable ``SPATRACE_DATA`` names, by default
    ``shared/data`` next to the checkout.
    """
    given = os.environ.get(VARIABLE)
    folder = Path(given) if given else Path(__file__).resolve().parents[2] / "shared" / "data"
    path = folder.joinpath(*parts)
    if not path.exists():
        raise SystemExit(
            f"{'/'.join(parts)} is not in {folder}. Set {VARIABLE} to the folder with the "
            "benchmark data, or put it at shared/data next to the checkout; benchmarks/README.md "
            "lists its files."
        )
    return path


def gene_list(*parts: str) -> list[str]:
    """Return the names in a text file with one name per line."""
    return data_file(*parts).read_text().split()
