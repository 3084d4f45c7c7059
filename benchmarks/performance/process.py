"""CPU and wall seconds and peak memory of a command, and the load of the machine meanwhile.

The operating system counts them for a fresh process on a given number of threads.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
#: Environment variables by which libraries, TensorFlow among them, set their threads.
THREADS = (
    *(
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "NUMEXPR_NUM_THREADS",
        "NUMBA_NUM_THREADS",
    ),
    *("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"),
)
#: Last lines of the output of a failed command that are reported.
TAIL = 15


def environment(threads: int = 1) -> dict[str, str]:
    """Return the environment with this many threads, which sleep while waiting, and no display."""
    return (
        os.environ
        | dict.fromkeys(THREADS, str(threads))
        | {"OMP_WAIT_POLICY": "PASSIVE", "MPLBACKEND": "Agg"}
    )


def measured(
    command: Sequence[str], cwd: Path = ROOT, threads: int = 1
) -> tuple[dict[str, Any], str]:
    """Return a row, and the output of the command.

    ``cpu`` (user and system), ``wall`` and ``peak`` (GB, of the largest process) cover the command
    and the processes that it waited for, imports included. ``load`` is the load average at the
    start, ``others`` the number of cores that other processes kept busy (only with ``/proc/stat``).
    ``status`` is ``ok``, or ``failed`` with an ``error``.
    """
    with tempfile.TemporaryFile("w+", errors="replace") as printed:
        busy, load, started = _busy(), os.getloadavg()[0], time.perf_counter()
        with subprocess.Popen(
            command, cwd=cwd, env=environment(threads), stdout=printed, stderr=printed
        ) as process:
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.perf_counter() - started
        printed.seek(0)
        text = printed.read()
    cpu = usage.ru_utime + usage.ru_stime
    peak = usage.ru_maxrss / 1e9 if sys.platform == "darwin" else usage.ru_maxrss * 1024 / 1e9
    row = {"status": "ok", "cpu": cpu, "wall": wall, "peak": peak, "load": load, "threads": threads}
    after = _busy()
    if busy is not None and after is not None:
        row["others"] = max(0.0, (after - busy - cpu) / wall)
    if process.returncode:
        last = "\n".join(text.strip().splitlines()[-TAIL:])
        row |= {"status": "failed", "error": f"exit {process.returncode}: {last}"}
    return row, text


def _busy() -> float | None:
    """Return the CPU seconds of all processes since the machine started."""
    file = Path("/proc/stat")
    if not file.exists():
        return None
    ticks = [int(v) for v in file.read_text().split("\n", 1)[0].split()[1:8]]
    idle = ticks[3] + ticks[4]
    return (sum(ticks) - idle) / os.sysconf("SC_CLK_TCK")
