"""How much memory is needed, and how many cells at a time there is room for."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch

from ..._errors import DataError

#: Floats of one piece of work on a CPU, 1 GB; a fixed number, so that a result does not depend on what else runs.
PIECE = 2**28
#: Share of a GPU's free memory that one piece of work may take.
FREE_SHARE = 0.25
#: A GPU may take so many times the usual number of rows.
MOST_TIMES = 16
#: Where Linux keeps the limits of a container.
CGROUP = Path("/sys/fs/cgroup")


def free_on(device: torch.device) -> int | None:
    """Bytes that can still be allocated on a GPU; None on a CPU."""
    if device.type != "cuda":
        return None
    idle = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0]) + idle


def rows_at_once(floats_per_row: int, device: torch.device, usual: int) -> int:
    """Rows of a piece of work that needs so many single-precision numbers a row.

    On a CPU ``usual``, fewer where that would exceed :data:`PIECE`; on a GPU what a share of its free memory holds, up to :data:`MOST_TIMES` × ``usual``.
    Blocks of evaluation only: the batch of a training step is what the configuration says, whatever the device.
    """
    return _rows(floats_per_row, free_on(device), usual)


def _rows(floats_per_row: int, free: int | None, usual: int) -> int:
    floats_per_row = max(1, floats_per_row)
    if free is None:
        return max(1, min(usual, PIECE // floats_per_row))
    return max(1, min(MOST_TIMES * usual, int(FREE_SHARE * free) // (4 * floats_per_row)))


class Sizes(NamedTuple):
    """What one inference works on: receivers, steps back, genes of each role, and edges that are listed."""

    cells: int
    lags: int
    tfs: int
    ligands: int
    receptors: int
    targets: int
    listed: int
    """Edges of pairs that are told one by one, ``config.max_edges`` at most."""


#: What to change where a part takes most.
ADVICE = {
    "what cells and their past express": "fewer cells or genes, a smaller config.model.n_lags, or config.evidence.n_workers=1",
    "targets": "fewer cells or targets",
    "sums over refits of listed edges": "a smaller config.max_edges or fewer targets",
}


def least_needed(sizes: Sizes, refits_at_a_time: int) -> dict[str, int]:
    """Bytes that are held at once for certain, by what they hold. Working memory comes on top, so this is a lower bound."""
    n, k, f, le, r, g, most = sizes
    past, seen = k * f + f + (k + 1) * (le + r), 2 * f + le + r
    return {
        "what cells and their past express": 4 * n * (past + seen) * (1 + refits_at_a_time),
        "targets": 4 * n * g * 3,
        "sums over refits of listed edges": 4 * (f * g + min(le * r * g, most)) * 6,
    }


def check_memory(
    sizes: Sizes, refits_at_a_time: int, device: torch.device, *, available: int | None = None
) -> int:
    """Refuse before anything is allocated what cannot fit. Returns the bytes needed at least.

    Raises
    ------
    DataError
        If :func:`least_needed` exceeds what is free on the device (``available``; None: asked of the system, and no check where it does not say).
    """
    parts = least_needed(sizes, refits_at_a_time)
    total = sum(parts.values())
    free = (
        available
        if available is not None
        else free_on(device)
        if device.type == "cuda"
        else free_memory()
    )
    if free is None or total <= free:
        return total
    largest = max(parts, key=lambda part: parts[part])
    held = ", ".join(f"{part} {size / 1e9:.1f} GB" for part, size in parts.items())
    raise DataError(
        f"{sizes.cells} receivers, {sizes.tfs} TFs, {sizes.ligands} ligands × {sizes.receptors} receptors and {sizes.targets} targets need at least {total / 1e9:.1f} GB "
        f"({held}), and {free / 1e9:.1f} GB are free on {device}. Use {ADVICE[largest]}."
    )


def free_memory() -> int | None:
    """Bytes of main memory that can still be used without swapping; None where the system does not say. A container's own limit counts."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    table = dict(line.split(":") for line in lines if ":" in line)
    if "MemAvailable" not in table:
        return None
    free = 1024 * int(table["MemAvailable"].split()[0])
    limit, used = (_number(CGROUP / name) for name in ("memory.max", "memory.current"))
    return free if limit is None or used is None else min(free, max(0, limit - used))


def _number(path: Path) -> int | None:
    """A number in a file; None if there is none, such as ``max``."""
    try:
        text = path.read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None
