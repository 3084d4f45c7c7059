"""Cost of an inference by stage, and its growth with cells, targets, pairs and steps.

python -m benchmarks.performance [--axes cells targets pairs lags] [--out rows.jsonl] [--report]
                                 [--figure docs/_static/performance.png]

Every row is one inference of a simulated tissue with default settings, in a fresh process on one
thread. One size varies; the others stay at 4 000 cells, 60 targets, 12 × 12 pairs and 3 steps. Rows
have the CPU seconds of the inference alone, the peak memory of the process, and its memory before
the call (imports and data). The exponent is the slope of log seconds on log size over the two
largest sizes; 1 is linear. Rows are appended to ``--out`` and not measured again; ``--report`` only
prints. About 6 minutes of CPU.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from benchmarks._scores import machine

ROOT = Path(__file__).resolve().parents[2]
#: Axis → options of the simulator, and the number of steps.
AXES: dict[str, list[tuple[dict[str, int], int]]] = {
    "cells": [({"n_cells": n}, 3) for n in (2000, 4000, 8000, 16000)],
    "targets": [({"n_targets": n}, 3) for n in (30, 60, 120, 240)],
    "pairs": [({"n_ligands": n, "n_receptors": n}, 3) for n in (6, 12, 24, 48)],
    "lags": [({}, n) for n in (1, 3, 6)],
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--axes", nargs="+", choices=list(AXES), default=list(AXES))
    parser.add_argument("--out", type=Path, default=Path("performance.jsonl"))
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--figure", type=Path)
    given = parser.parse_args()
    rows = (
        [json.loads(line) for line in given.out.read_text().splitlines()]
        if given.out.exists()
        else []
    )
    known = {(row["axis"], row["options"], row["lags"]) for row in rows}
    for axis in given.axes:
        for options, lags in AXES[axis]:
            text = json.dumps(options)
            if (axis, text, lags) not in known and not given.report:
                row = {"axis": axis, "options": text} | run(text, lags)
                rows.append(row)
                with given.out.open("a") as log:
                    log.write(json.dumps(row) + "\n")
    print(machine())
    frame = pd.DataFrame([r for r in rows if r["axis"] in given.axes])
    for axis in given.axes:
        print(f"\n{axis}: {table(frame[frame['axis'] == axis], axis)}")
    if given.figure:
        draw(frame, given.figure)


def run(options: str, lags: int) -> dict[str, Any]:
    """Return the row of a fresh process."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    environment = os.environ | dict.fromkeys(names, "1") | {"OMP_WAIT_POLICY": "PASSIVE"}
    command = [sys.executable, "-m", "benchmarks.performance.one", options, str(lags)]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{options}, {lags} steps: exit {done.returncode}\n{done.stderr}")
    row: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return row


def table(rows: pd.DataFrame, axis: str) -> str:
    """Return seconds by stage and memory of every size, and the exponent at the two largest."""
    rows = rows.sort_values(axis)
    stages = pd.DataFrame(list(rows["stages"])).fillna(0.0)
    shown = pd.concat(
        [rows[[axis, "cpu", "peak", "before"]].reset_index(drop=True), stages], axis=1
    )
    last = shown.tail(2)
    growth = np.log(last["cpu"].iloc[1] / last["cpu"].iloc[0]) / np.log(
        last[axis].iloc[1] / last[axis].iloc[0]
    )
    return f"CPU seconds grow with exponent {growth:.2f}\n" + shown.round(2).to_string(index=False)


def draw(frame: pd.DataFrame, path: Path) -> None:
    """Draw seconds by stage against size on logarithmic axes, with a line of slope 1."""
    axes_of = list(dict.fromkeys(frame["axis"]))
    colours = {name: f"C{number}" for number, name in enumerate(frame["stages"].iloc[0])}
    figure, axes = plt.subplots(
        1, len(axes_of), figsize=(3.2 * len(axes_of) + 1.6, 3.4), layout="constrained"
    )
    for ax, axis in zip(np.atleast_1d(axes), axes_of, strict=True):
        rows = frame[frame["axis"] == axis].sort_values(axis)
        stages = pd.DataFrame(list(rows["stages"])).fillna(0.0)
        for name in stages.columns[stages.max() > 0.03 * rows["cpu"].max()]:
            ax.plot(
                rows[axis],
                stages[name].clip(lower=1e-2),
                marker="o",
                ms=3,
                lw=1,
                label=name,
                color=colours[name],
            )
        ax.plot(rows[axis], rows["cpu"], color="black", marker="o", ms=4, lw=2, label="all")
        start = rows["cpu"].iloc[0] / rows[axis].iloc[0]
        ax.plot(rows[axis], start * rows[axis], color="#999999", ls=":", label="linear")
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_xlabel({"lags": "steps back"}.get(axis, axis))
        ax.set_xticks(rows[axis], [f"{v:g}" for v in rows[axis]])
        ax.minorticks_off()
    np.atleast_1d(axes)[0].set_ylabel("CPU seconds")
    handles = {
        label: h
        for ax in np.atleast_1d(axes)
        for h, label in zip(*ax.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        handles.values(), handles.keys(), loc="outside right center", frameon=False, fontsize=8
    )
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
