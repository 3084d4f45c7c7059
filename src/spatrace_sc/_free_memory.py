"""Main memory that is free, so that what cannot fit is refused before it is allocated."""

from __future__ import annotations

from pathlib import Path

#: Folder in which Linux keeps the limits of a container.
CGROUP = Path("/sys/fs/cgroup")


def free_memory() -> int | None:
    """Bytes of main memory that can be used without swapping; None if the system does not say.

    The limit of a container counts.
    """
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    table = dict(line.split(":") for line in lines if ":" in line)
    if "MemAvailable" not in table:
        return None
    free = 1024 * int(table["MemAvailable"].split()[0])
    limit, used = (_read_integer(CGROUP / name) for name in ("memory.max", "memory.current"))
    return free if limit is None or used is None else min(free, max(0, limit - used))


def _read_integer(path: Path) -> int | None:
    """The integer in a file; None if it holds something else, such as ``max``."""
    try:
        text = path.read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None
