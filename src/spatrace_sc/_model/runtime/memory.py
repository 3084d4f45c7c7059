"""Memory that an inference needs, and the number of rows that fit into one piece of work."""

from __future__ import annotations

from typing import NamedTuple

import torch

from ..._errors import DataError
from ..._free_memory import free_memory

#: Floats of one piece of work on a CPU, 1 GB. The number is fixed, so that a result does not
#: depend on what else runs.
MAX_CPU_FLOATS = 2**28
#: Share of a GPU's free memory that one piece of work may take.
MAX_GPU_SHARE = 0.25
#: Factor by which a GPU may exceed the usual number of rows.
MAX_GPU_ROW_FACTOR = 16
#: Targets that the steps of the evidence handle together.
TARGET_BATCH = 256


def free_on(device: torch.device) -> int | None:
    """Bytes that can still be allocated on a GPU; None on a CPU."""
    if device.type != "cuda":
        return None
    idle = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0]) + idle


def rows_within(n_floats: int, floats_per_row: int) -> int:
    """Number of rows that fit into a number of floats, at least 1."""
    return max(1, n_floats // max(1, floats_per_row))


def rows_at_once(floats_per_row: int, device: torch.device, usual: int) -> int:
    """Number of rows of a piece of work that needs ``floats_per_row`` single-precision numbers.

    On a CPU it is ``usual``, or less where that would exceed :data:`MAX_CPU_FLOATS`. On a GPU it
    is what a share of the free memory holds, up to :data:`MAX_GPU_ROW_FACTOR` × ``usual``.
    It serves evaluation only: the batch of a training step is what the configuration says,
    whatever the device.
    """
    return _rows(floats_per_row, free_on(device), usual)


def _rows(floats_per_row: int, free: int | None, usual: int) -> int:
    if free is None:
        return min(max(1, usual), rows_within(MAX_CPU_FLOATS, floats_per_row))
    fitting = rows_within(int(MAX_GPU_SHARE * free), 4 * max(1, floats_per_row))
    return min(max(1, MAX_GPU_ROW_FACTOR * usual), fitting)


class Sizes(NamedTuple):
    """Sizes of one inference: receivers, steps back, genes of each role, and listed edges."""

    cells: int
    lags: int
    tfs: int
    ligands: int
    receptors: int
    targets: int
    listed: int
    """Edges of pairs that are summarised one by one, ``config.max_edges`` at most."""


#: What to change, by the item that takes most memory.
ADVICE = {
    "expression of cells and their past": (
        "fewer cells or genes, a smaller config.model.n_lags, or config.evidence.n_workers=1"
    ),
    "targets": "fewer cells or targets",
    "sums over refits of listed edges": "a smaller config.max_edges or fewer targets",
}


def least_needed(sizes: Sizes, refits_at_a_time: int) -> dict[str, int]:
    """Bytes that are certainly held at once, by item.

    It is a lower bound, because working memory comes on top.
    """
    n, k, f, le, r, g, listed = sizes
    past, attended = k * f + f + (k + 1) * (le + r), 2 * f + le + r
    return {
        "expression of cells and their past": 4 * n * (past + attended) * (1 + refits_at_a_time),
        "targets": 4 * n * g * 3,
        "sums over refits of listed edges": 4 * (f * g + min(le * r * g, listed)) * 6,
    }


def check_memory(
    sizes: Sizes, refits_at_a_time: int, device: torch.device, *, available: int | None = None
) -> int:
    """Bytes needed at least; refuses an inference that cannot fit before anything is allocated.

    Parameters
    ----------
    available
        Bytes that are free. None asks the system; nothing is checked where it does not answer.

    Raises
    ------
    DataError
        If :func:`least_needed` exceeds the free memory of the device.
    """
    needed = least_needed(sizes, refits_at_a_time)
    total = sum(needed.values())
    free = available
    if free is None:
        free = free_on(device) if device.type == "cuda" else free_memory()
    if free is None or total <= free:
        return total
    largest = max(needed, key=lambda item: needed[item])
    items = ", ".join(f"{item} {size / 1e9:.1f} GB" for item, size in needed.items())
    raise DataError(
        f"{sizes.cells} receivers, {sizes.tfs} TFs, {sizes.ligands} ligands × {sizes.receptors} "
        f"receptors and {sizes.targets} targets need at least {total / 1e9:.1f} GB ({items}), "
        f"and {free / 1e9:.1f} GB are free on {device}. Use {ADVICE[largest]}."
    )
