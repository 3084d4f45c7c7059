"""How many threads torch uses: one while its operations are too small to share.

Threads of OpenMP meet after every operation and wait for each other by spinning. Where other
programs need the cores, each meeting costs more than a small operation.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch

#: Receivers × targets from which more than one thread makes an operation faster.
SHARED_SIZE = 300_000
#: Number of threads that torch was set to before it was reduced to one; None if it was not.
_BEFORE: ContextVar[int | None] = ContextVar("_BEFORE", default=None)


def usable_threads() -> int:
    """Return the number of threads that independent tasks may use together."""
    return _BEFORE.get() or torch.get_num_threads()


@contextmanager
def threads_for(n_cells: int, n_targets: int, device: torch.device) -> Iterator[None]:
    """Let torch use one thread for a small problem on the CPU, and restore the number at the end.

    :func:`usable_threads` remains what it was, for tasks that run beside each other.
    """
    before = torch.get_num_threads()
    if device.type != "cpu" or before == 1 or n_cells * n_targets >= SHARED_SIZE:
        yield
        return
    token = _BEFORE.set(before)
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        _BEFORE.reset(token)
