"""Where the measuring data lie. They are never part of the repository."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "SPATRACE_DATA"


def data_file(*parts: str) -> Path:
    """A file of the measuring data, or an exit that says where it was looked for.

    Looked for in the folder that the environment variable ``SPATRACE_DATA`` names; if it is not set, in ``shared/data`` beside the checkout.
    """
    given = os.environ.get(VARIABLE)
    folder = Path(given) if given else Path(__file__).resolve().parents[2] / "shared" / "data"
    path = folder.joinpath(*parts)
    if not path.exists():
        raise SystemExit(
            f"{'/'.join(parts)} is not in {folder}. Set {VARIABLE} to the folder that holds the measuring data, "
            "or put it at shared/data beside the checkout; benchmarks/README.md says what it holds."
        )
    return path


def gene_list(*parts: str) -> list[str]:
    """Names in a text file, one a line."""
    return data_file(*parts).read_text().split()
