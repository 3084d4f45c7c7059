"""Targets for a CPU: 10 000 cells in 60 s on two cores, and four times the cells in 4.2 × the time.

python -m benchmarks.performance.targets [--out targets.jsonl] [--rows two growth] [--report]

Default settings on simulated tissues with 60 targets and 12 × 12 pairs, each inference in a fresh
process. ``two``: 10 000 cells on two threads, wall seconds. ``growth``: 10 000 and 40 000 cells on
one thread, CPU seconds. Seconds are those of the inference alone; ``process`` has those of the
whole process, with imports and the simulation. Wall seconds depend on the load of the machine:
``others`` is the number of cores that other processes kept busy. Rows are appended to ``--out`` and
not measured again. About 4 minutes.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd
from benchmarks._scores import machine
from benchmarks.performance.process import measured

MAX_SECONDS, MAX_GROWTH = 60.0, 4.2
#: Runs of each row: cells and threads.
ROWS = {"two": [(10_000, 2)], "growth": [(10_000, 1), (40_000, 1)]}
STEPS = "3"
SHOWN = ["cells", "receivers", "threads", "cpu", "wall", "peak", "process", "others"]


def main() -> None:
    given = arguments(sys.argv[1:])
    rows = (
        [json.loads(line) for line in given.out.read_text().splitlines()]
        if given.out.exists()
        else []
    )
    known = {(row["cells"], row["threads"]) for row in rows}
    for cells, threads in [size for name in given.rows for size in ROWS[name]]:
        if (cells, threads) not in known and not given.report:
            rows.append(run(cells, threads))
            with given.out.open("a") as log:
                log.write(json.dumps(rows[-1]) + "\n")
    print(machine())
    print(report(rows))


def arguments(given: list[str]) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--out", type=Path, default=Path("targets.jsonl"))
    parser.add_argument("--report", action="store_true")
    return parser.parse_args(given)


def run(cells: int, threads: int) -> dict[str, Any]:
    """Measure one inference in a fresh process."""
    options = json.dumps({"n_cells": cells})
    command = [sys.executable, "-m", "benchmarks.performance.one", options, STEPS, str(threads)]
    row, text = measured(command, threads=threads)
    if row["status"] != "ok":
        raise SystemExit(f"{cells} cells: {row['error']}")
    inside: dict[str, Any] = json.loads(text.strip().splitlines()[-1])
    return row | inside | {"process": row["cpu"]}


def report(rows: list[dict[str, Any]]) -> str:
    """Return the rows, and each target with its measurement."""
    frame = pd.DataFrame(rows, columns=SHOWN)
    lines = [frame.round(2).to_string(index=False)]
    for _, row in frame[(frame["cells"] == ROWS["two"][0][0]) & (frame["threads"] == 2)].iterrows():
        lines.append(
            f"10 000 cells on two threads: {row['wall']:.1f} s wall "
            f"{verdict(row['wall'], MAX_SECONDS)}"
        )
    alone = frame[frame["threads"] == 1].set_index("cells")["cpu"]
    few, many = (cells for cells, _ in ROWS["growth"])
    if few in alone.index and many in alone.index:
        growth = float(alone[many] / alone[few])
        lines.append(
            f"4 times the cells: {growth:.2f} times the CPU seconds {verdict(growth, MAX_GROWTH)}"
        )
    return "\n".join(lines)


def verdict(value: float, limit: float) -> str:
    """Return whether a target is met."""
    return f"(target: at most {limit:g}; {'met' if value <= limit else 'missed'})"


if __name__ == "__main__":
    main()
