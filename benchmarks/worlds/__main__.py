"""Worlds that others built, all methods side by side.

python -m benchmarks.worlds [--worlds sergio_ds4 ...] [--methods ours pearson ...]
                            [--seeds 0 1 2] [--out worlds.jsonl] [--again ours ...]
                            [--report] [--by-seed] [--markdown] [--figure worlds.png]

A row per (world, seed, method) is appended to ``--out``. Runs that have a result there are not
repeated, except those of the methods after ``--again``; ``--report`` runs nothing. Then medians
over seeds are printed, or the values of every seed with ``--by-seed``. ``--figure`` draws the
AUPRC of TF edges. Set OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
import json
import logging
import traceback
import warnings
from pathlib import Path
from typing import Any, TextIO

from anndata import AnnData
from benchmarks._scores import Cost, machine
from benchmarks.recovery.report import read_rows
from benchmarks.recovery.tissue import SkipMethod
from benchmarks.worlds.figure import draw
from benchmarks.worlds.judge import score
from benchmarks.worlds.methods import METHODS, NOTES, Method, load
from benchmarks.worlds.report import report
from benchmarks.worlds.tissues import UPSTREAM_WORLDS, WORLDS
from benchmarks.worlds.tissues_shared import as_tissue

import spatrace_sc as st


def run(adata: AnnData, method: Method, seed: int) -> dict[str, Any]:
    """Return scores and cost of a method on a world, or the reason why there are none."""
    try:
        with Cost() as cost:
            tables = method(as_tissue(adata), seed)
        scores = score(adata, tables)
    except SkipMethod as reason:
        return {"status": "skipped", "error": str(reason)}
    except Exception as error:  # noqa: BLE001  every failure of a method is a result
        traceback.print_exc()
        return {"status": "failed", "error": f"{type(error).__name__}: {error}"}
    return {"status": "ok", "cpu": round(cost.cpu, 2), "scores": scores}


def run_world(world: str, seed: int, methods: list[str], log: TextIO) -> None:
    """Run methods on one world and write each row as soon as it is complete."""
    try:
        adata = (WORLDS | UPSTREAM_WORLDS)[world](seed)
    except SkipMethod as reason:
        print(f"{world} {seed}: skipped, {reason}", flush=True)
        return
    for method in methods:
        row = {"data": world, "seed": seed, "method": method} | run(adata, load(method), seed)
        log.write(json.dumps(row, ensure_ascii=False) + "\n")
        log.flush()
        cost = f"{row['cpu']:.1f} s CPU" if row["status"] == "ok" else row["error"]
        print(f"{world} {seed} {method}: {row['status']}, {cost}", flush=True)


def missing(given: argparse.Namespace) -> list[tuple[str, int, list[str]]]:
    """Return the runs that have no result yet or are to be repeated."""
    done = {
        (r["data"], r["seed"], r["method"]) for r in read_rows(given.out) if r["status"] == "ok"
    }
    todo = [
        (w, s, [m for m in given.methods if m in given.again or (w, s, m) not in done])
        for w in given.worlds
        for s in given.seeds
    ]
    return [(w, s, m) for w, s, m in todo if m]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--worlds", nargs="+", choices=list(WORLDS | UPSTREAM_WORLDS), default=list(WORLDS)
    )
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results" / "worlds.jsonl"
    )
    parser.add_argument("--again", nargs="+", choices=list(METHODS), default=[])
    parser.add_argument("--report", action="store_true", help="run nothing, only print")
    parser.add_argument("--by-seed", action="store_true", help="a line per seed, no medians")
    parser.add_argument("--markdown", action="store_true", help="tables for GitHub")
    parser.add_argument("--figure", type=Path, help="draw the AUPRC of TF edges into this file")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    st.settings.progress = False
    given.out.parent.mkdir(parents=True, exist_ok=True)
    if not given.report:
        with given.out.open("a") as log:
            for world, seed, methods in missing(given):
                run_world(world, seed, methods, log)
    rows = read_rows(given.out, given.worlds, given.seeds, given.methods)
    if not rows:
        raise SystemExit(f"no rows of these worlds, seeds and methods in {given.out}.")
    print(f"{machine()}; seeds {sorted({r['seed'] for r in rows})}\n")
    print(*(f"- {name}: {NOTES[name]}" for name in given.methods), sep="\n", end="\n\n")
    print(report(rows, by_seed=given.by_seed, markdown=given.markdown))
    if given.figure:
        draw(rows, given.figure)


if __name__ == "__main__":
    main()
