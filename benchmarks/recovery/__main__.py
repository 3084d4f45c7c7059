"""Recovery of true edges: every method on the same tissues.

python -m benchmarks.recovery [--data A C-medium ...] [--methods ours pearson ...]
                              [--seeds 300 301 ...] [--out results.jsonl] [--jobs 2]
                              [--report] [--markdown] [--figure file.png]

Each (data, seed, method) runs in a fresh process on one thread, so that CPU seconds and peak memory
are its own; data sets are prepared once, in a separate process. Rows are appended to ``--out``.
Runs that have a result there are not repeated, so a benchmark can be stopped, resumed, or repeated
for some methods (delete their rows). Failed or skipped runs are rows with a reason, and are tried
again. ``--report`` runs nothing. Then a table of medians and ranges over seeds is printed
(``--markdown``: tables for GitHub) and a figure is drawn.

Five seeds take about 60 minutes of CPU for the competitors and 35 for infer_ccc with and without
its history, two thirds of it on C-large. COMMOT takes 10 more; it is skipped unless it is installed
(``pip install commot``). A, B65, B84 and D need the benchmark data (``benchmarks/_data.py``). On A
the seed changes the method only, so its ranges are not over data.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks._scores import machine
from benchmarks.recovery.datasets import DATASETS, NOTES
from benchmarks.recovery.methods import METHODS
from benchmarks.recovery.report import draw, markdown, plain, read_rows

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
THREADS = dict.fromkeys(NAMES, "1")
#: Seconds after which a method counts as failed.
TIMEOUT = 3600


def worker(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the worker in a fresh process on one thread."""
    command = [sys.executable, "-m", "benchmarks.recovery.worker", *arguments]
    environment = os.environ | THREADS | {"OMP_WAIT_POLICY": "PASSIVE"}
    return subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


def last_line(text: str) -> str:
    """Return the last line that is not empty."""
    return (text.strip().splitlines() or ["no output"])[-1]


def run_one(data: str, seed: int, method: str, file: Path) -> dict[str, Any]:
    """Return the row of one method, also if its process fails."""
    row: dict[str, Any] = {"data": data, "seed": seed, "method": method, "status": "failed"}
    try:
        done = worker("run", data, str(seed), method, str(file))
    except subprocess.TimeoutExpired:
        return row | {"error": f"longer than {TIMEOUT} s"}
    if done.returncode:
        return row | {"error": f"exit {done.returncode}: {last_line(done.stderr)}"}
    result: dict[str, Any] = json.loads(last_line(done.stdout))
    if result["status"] == "failed":
        print(done.stderr, file=sys.stderr)
    return result


def run_all(wanted: list[tuple[str, int, list[str]]], out: Path, jobs: int) -> None:
    """Run everything data set by data set and write each row as soon as it is complete."""
    with (
        tempfile.TemporaryDirectory() as folder,
        ThreadPoolExecutor(jobs) as pool,
        out.open("a") as log,
    ):
        for data, seed, methods in wanted:
            file = Path(folder) / f"{data}_{seed}.pickle"
            made = worker("prepare", data, str(seed), str(file))
            if made.returncode:
                error = f"the data set could not be prepared: {last_line(made.stderr)}"
                rows: Iterable[dict[str, Any]] = [
                    {"data": data, "seed": seed, "method": m, "status": "failed", "error": error}
                    for m in methods
                ]
            else:
                rows = pool.map(lambda m, d=data, s=seed, f=file: run_one(d, s, m, f), methods)
            for row in rows:
                log.write(json.dumps(row, ensure_ascii=False) + "\n")
                log.flush()
                cost = (
                    f"{row['cpu']:.1f} s CPU, {row['peak']:.2f} GB"
                    if row["status"] == "ok"
                    else row["error"]
                )
                print(f"{data} {seed} {row['method']}: {row['status']}, {cost}", flush=True)
            file.unlink(missing_ok=True)


def missing(given: argparse.Namespace) -> list[tuple[str, int, list[str]]]:
    """Return the runs that have no result yet."""
    rows = read_rows(given.out)
    done = {(r["data"], r["seed"], r["method"]) for r in rows if r["status"] == "ok"}
    todo = [
        (d, s, [m for m in given.methods if (d, s, m) not in done])
        for d in given.data
        for s in given.seeds
    ]
    return [(d, s, m) for d, s, m in todo if m]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", nargs="+", choices=list(DATASETS), default=list(DATASETS))
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[300, 301, 302, 303, 304])
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results" / "results.jsonl"
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes at a time, one thread each")
    parser.add_argument("--report", action="store_true", help="run nothing, only print and draw")
    parser.add_argument("--markdown", action="store_true", help="tables for GitHub")
    parser.add_argument("--figure", type=Path, help="default: next to --out, .png")
    given = parser.parse_args()
    given.out.parent.mkdir(parents=True, exist_ok=True)
    if not given.report:
        run_all(missing(given), given.out, given.jobs)
    rows = read_rows(given.out, given.data, given.seeds, given.methods)
    if not rows:
        raise SystemExit(f"no rows of these data sets, seeds and methods in {given.out}.")
    print(
        f"{machine().rsplit(';', 1)[0]}; 1 thread per run; "
        f"seeds {sorted({r['seed'] for r in rows})}; medians (ranges) over seeds"
    )
    print("; ".join(f"{name}: {NOTES[name]}" for name in given.data))
    print(markdown(rows) if given.markdown else plain(rows))
    print("figure:", draw(rows, given.figure or given.out.with_suffix(".png")))


if __name__ == "__main__":
    main()
