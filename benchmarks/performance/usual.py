"""The usual job by stage, beside an earlier version in the same run.

python -m benchmarks.performance.usual [--before CHECKOUT] [--size usual] [--repeats 3]
                                       [--max-ratio 1.2] [--out usual.jsonl] [--report]

``usual`` is a simulated tissue of 20 000 cells, 40 × 40 pairs, 200 targets and 50 TFs; ``small``
has 4 000 cells, 12 × 12 pairs, 60 targets and 12 TFs. Every row is one inference with default
settings in a fresh process on one thread, followed by two verbs that read the result. With
``--before`` the sources of another checkout, such as the last release, take turns with these, so
that both meet the same load. Printed are medians of CPU seconds by stage, and their ratios. With
``--max-ratio`` the command fails if these sources need more CPU seconds than that many times those
of the other checkout. The ceiling is that of products of matrices on this machine.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from benchmarks._scores import machine
from benchmarks.performance.process import ROOT, environment

SIZES: dict[str, dict[str, int]] = {
    "usual": {
        "n_cells": 20_000,
        "n_ligands": 40,
        "n_receptors": 40,
        "n_targets": 200,
        "n_tfs": 50,
    },
    "small": {"n_cells": 4000},
}
SEED = 100
#: Versions in the order of a repeat.
BEFORE, NOW = "before", "now"


def main(arguments: list[str] | None = None) -> None:
    given = parsed(arguments)
    rows = read(given.out)
    if not given.report:
        for _ in range(given.repeats):
            for version, checkout in ((BEFORE, given.before), (NOW, ROOT)):
                if checkout is None:
                    continue
                rows.append({"version": version, "size": given.size} | run(checkout, given.size))
                with given.out.open("a") as log:
                    log.write(json.dumps(rows[-1]) + "\n")
    rows = [row for row in rows if row["size"] == given.size]
    print(machine())
    print(f"Products of matrices: {ceiling():.0f} · 10⁹ floating-point operations a second.")
    print(markdown(table(rows)))
    limit = given.max_ratio
    if limit is not None and not ratio(rows) <= limit:
        raise SystemExit(f"CPU seconds are {ratio(rows):.2f} times those before, limit {limit:g}")


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--before", type=Path)
    parser.add_argument("--size", choices=list(SIZES), default="usual")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--max-ratio", type=float)
    parser.add_argument("--out", type=Path, default=Path("usual.jsonl"))
    parser.add_argument("--report", action="store_true")
    return parser.parse_args(arguments)


def read(file: Path) -> list[dict[str, Any]]:
    """Return the rows that were measured before."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def run(checkout: Path, size: str) -> dict[str, Any]:
    """Return the row of a fresh process with the sources of a checkout."""
    paths = [str(checkout.resolve() / "src"), str(ROOT)]
    command = [sys.executable, "-m", "benchmarks.performance.one"]
    command += [json.dumps({"seed": SEED, **SIZES[size]}), "3", "1", "verbs"]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment(1) | {"PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{checkout}: exit {done.returncode}\n{done.stderr}")
    row: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return row


def ratio(rows: list[dict[str, Any]]) -> float:
    """Return the median CPU seconds of an inference now over those before; NaN without either."""
    frame = pd.DataFrame(rows)
    medians = frame.groupby("version")["cpu"].median().reindex([NOW, BEFORE])
    return float(medians[NOW] / medians[BEFORE])


def table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Return medians of CPU seconds by stage and version, of wall seconds and memory."""
    columns = {}
    for version in (BEFORE, NOW):
        own = [row for row in rows if row["version"] == version]
        if not own:
            continue
        parts = [
            row["stages"]
            | {"inference": row["cpu"]}
            | row["verbs"]
            | {"wall seconds of the inference": row["wall"], "peak memory, GB": row["peak"]}
            for row in own
        ]
        columns[version] = pd.DataFrame(parts).median()
    shown = pd.DataFrame(columns)
    if {BEFORE, NOW} <= set(shown):
        shown["before / now"] = shown[BEFORE] / shown[NOW]
    return shown.rename_axis("CPU seconds")


def markdown(shown: pd.DataFrame) -> str:
    """Return the table as Markdown."""
    lines = [[shown.index.name, *shown.columns], ["---"] * (1 + shown.shape[1])]
    lines += [[name, *(f"{v:.1f}" for v in values)] for name, *values in shown.itertuples()]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def ceiling(n: int = 1500) -> float:
    """Return the floating-point operations of products of matrices on one core, 10⁹ a second."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    x = torch.rand(n, n)
    best = float("inf")
    for _ in range(3):
        started = time.process_time()
        x @ x
        best = min(best, time.process_time() - started)
    torch.set_num_threads(threads)
    return 2 * n**3 / best / 1e9


if __name__ == "__main__":
    main()
