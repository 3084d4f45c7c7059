"""Calibration of p and q on simulated tissues, with a naive permutation test for comparison.

python -m benchmarks.calibration [--data null easy medium hard lineages hidden]
                                 [--seeds 500 501 ...] [--out results.jsonl] [--jobs 2] [--report]
python -m benchmarks.calibration --data many "many, shallow" "many, shared" --seeds 665 666 667 668
python -m benchmarks.calibration --nuisances medium --seeds 600 601 ... --out nuisances.jsonl

The last command plants nuisances of real tissue (``benchmarks.calibration.nuisances``), each with
and without acting ligands. A run takes about 15 seconds of CPU, on 50 TFs a minute.

Each (data, seed) runs in a process of its own on one thread. Rows are appended to ``--out`` and not
run again; ``--report`` runs nothing. The script then prints a table and draws a figure. 20 seeds of
the six default data sets take about 60 minutes of CPU, one run of a "many" data set about 4.
None of the default seeds was used in development.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks._scores import machine
from benchmarks.calibration.nuisance_report import draw_nuisances, nuisance_table
from benchmarks.calibration.report import draw, printed, read_rows
from benchmarks.calibration.tissues import MEDIUM, NOTES, SUITE, TISSUES, USUAL

ROOT = Path(__file__).resolve().parents[2]
THREADS = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
)
#: Program of one run; its last line is the row.
ONE_RUN = """
import json, logging, sys, warnings
warnings.simplefilter("ignore")
logging.disable(logging.WARNING)
from benchmarks.calibration.measure import run
print()
print(json.dumps(run(sys.argv[1], int(sys.argv[2]))))
"""


def one(data: str, seed: int) -> str:
    """Return the row of one run as text."""
    environment = os.environ | THREADS | {"OMP_WAIT_POLICY": "PASSIVE"}
    done = subprocess.run(
        [sys.executable, "-c", ONE_RUN, data, str(seed)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{data} {seed} failed:\n{done.stderr}")
    return done.stdout.strip().splitlines()[-1]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", nargs="+", choices=list(TISSUES), default=USUAL)
    parser.add_argument(
        "--nuisances",
        choices=("medium", "all"),
        help="run the nuisance suite instead, at medium or at every strength",
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=list(range(500, 520)))
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results" / "results.jsonl"
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes at a time, one thread each")
    parser.add_argument("--report", action="store_true", help="run nothing, only print and draw")
    parser.add_argument("--figure", type=Path, help="default: next to --out, .png")
    given = parser.parse_args()
    if given.nuisances:
        suite = MEDIUM if given.nuisances == "medium" else SUITE
        given.data = [name for base in suite for name in (base, f"{base}, null")]
    given.out.parent.mkdir(parents=True, exist_ok=True)
    if not given.report:
        done = {(r["data"], r["seed"]) for r in read_rows(given.out)}
        todo = [(d, s) for s in given.seeds for d in given.data if (d, s) not in done]
        with ThreadPoolExecutor(given.jobs) as pool, given.out.open("a") as log:
            for (data, seed), row in zip(todo, pool.map(lambda w: one(*w), todo), strict=True):
                log.write(row + "\n")
                log.flush()
                print(f"{data} {seed}: {json.loads(row)['cpu']} s CPU", flush=True)
    rows = [r for r in read_rows(given.out) if r["data"] in given.data and r["seed"] in given.seeds]
    if not rows:
        raise SystemExit(f"no rows of these data sets and seeds in {given.out}.")
    print(
        f"{machine().rsplit(';', 1)[0]}; 1 thread per run; "
        f"seeds {sorted({r['seed'] for r in rows})}"
    )
    figure = given.figure or given.out.with_suffix(".png")
    if given.nuisances:
        print(nuisance_table(rows, suite))
        print("figure:", draw_nuisances(rows, suite, figure))
        return
    print("; ".join(f"{name}: {NOTES[name]}" for name in given.data if name in NOTES))
    print(printed(rows))
    print("figure:", draw(rows, figure))


if __name__ == "__main__":
    main()
