"""CPU seconds and peak memory of the reference, of GRNBoost2 and of one inference on the same data.

python -m benchmarks.performance.reference --checkout PATH [--python PATH] [--out reference.jsonl]
                                           [--rows ...] [--epochs 1 4] [--report]

``--checkout`` is a checkout of github VariaanZhou/SpaTRACE, which has no licence and is not part of
this project; without it the reference is skipped. ``--python`` is the interpreter of an environment
with its requirements.txt (TensorFlow among them), by default this one. Its three scripts run one
after the other with the options of its README for the simulation; the third runs again with its
step per cell (see ``percell.py``). GRNBoost2 is the reimplementation in ``benchmarks.recovery``,
and arboreto itself where ``--python`` has it, on TFs and all pair signals.

Each run is a fresh process on one thread. Seconds and memory are those of whole processes as the
operating system counts them, imports included. Rows are appended to ``--out``; successful ones are
not measured again, and ``--report`` only prints. Training the reference takes nearly all of the
time, 15 to 30 minutes of CPU. ``--epochs 1 4`` trains for these epochs only, and prints a linear
extrapolation to the 50 epochs of the README under a name of its own.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from benchmarks._data import data_file
from benchmarks._scores import machine
from benchmarks.performance.process import measured

HERE = Path(__file__).resolve().parent
BUNDLE, PROJECT = "reference_simulation", "simulation"
FILES = [f"{PROJECT}_{name}.h5ad" for name in ("sc_adata", "st_adata")] + [
    f"{PROJECT}_{name}.txt" for name in ("ligand", "receptor", "tf", "sender", "receiver")
]
#: Steps of a path, heads and epochs in the README of the reference for the simulation.
STEPS, HEADS, EPOCHS = "3", "3", 50
#: Columns of a summary: seconds, GB, and cores that other processes kept busy.
SUMMED = ("cpu", "wall", "peak", "others")
OURS, REEXPRESSED, ARBORETO = "infer_ccc", "GRNBoost2", "GRNBoost2, arboreto"
SCRIPTS = ["run_preprocess.py", "run_experiment.py", "run_inference.py"]
#: The third script with its step per cell, and the sum of the three scripts.
PER_CELL, ALL = "run_inference.py, per cell", "SpaTRACE, three scripts"
#: The second script where its 50 epochs are extrapolated from fewer.
EXTRAPOLATED = f"{SCRIPTS[1]}, {EPOCHS} epochs extrapolated"
GROUPS = {
    "ours": [OURS],
    "grnboost2": [REEXPRESSED],
    "arboreto": [ARBORETO],
    "reference": [*SCRIPTS, PER_CELL],
}


def main() -> None:
    given = arguments(sys.argv[1:])
    rows = read(given.out)
    if not given.report:
        for row in wanted(given, rows):
            rows.append(row)
            print(f"{row['row']}: {row['status']}", flush=True)
            with given.out.open("a") as log:
                log.write(json.dumps(row) + "\n")
    print(machine())
    print(report(rows))


def arguments(given: list[str]) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkout", type=Path)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument(
        "--epochs",
        type=int,
        nargs="+",
        default=[EPOCHS],
        help="of the reference, one training each",
    )
    parser.add_argument("--seeds", type=int, default=3, help="runs of infer_ccc")
    parser.add_argument("--rows", nargs="+", choices=list(GROUPS), default=list(GROUPS))
    parser.add_argument("--out", type=Path, default=Path("reference.jsonl"))
    parser.add_argument("--report", action="store_true")
    return parser.parse_args(given)


def read(file: Path) -> list[dict[str, Any]]:
    """Return the rows of earlier runs."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def wanted(given: argparse.Namespace, rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Measure the requested rows that are missing, one after the other."""
    known = [(row["row"], row.get("seed", 0)) for row in rows if row["status"] == "ok"]
    if "ours" in given.rows:
        for seed in range(given.seeds):
            if (OURS, seed) not in known:
                yield ours(seed)
    if "grnboost2" in given.rows and (REEXPRESSED, 0) not in known:
        yield {"row": REEXPRESSED} | measured(
            [sys.executable, "-m", "benchmarks.performance.job", "grnboost2"]
        )[0]
    if "arboreto" in given.rows and (ARBORETO, 0) not in known:
        yield {"row": ARBORETO} | arboreto(given.python)
    trained = {
        row.get("epochs") for row in rows if row["row"] == SCRIPTS[1] and row["status"] == "ok"
    }
    others = set(GROUPS["reference"]) <= {name for name, _ in known}
    if "reference" in given.rows and not (others and set(given.epochs) <= trained):
        yield from reference(given.checkout, given.python, given.epochs)


def ours(seed: int) -> dict[str, Any]:
    """Measure one inference, with its seconds by stage."""
    row, text = measured(
        [sys.executable, "-m", "benchmarks.performance.job", "infer_ccc", str(seed)]
    )
    inside = json.loads(text.strip().splitlines()[-1]) if row["status"] == "ok" else {}
    return {"row": OURS, "seed": seed} | row | {"inside": inside}


def arboreto(python: str) -> dict[str, Any]:
    """Measure GRNBoost2 of arboreto, or return why it was skipped."""
    reason = lacking(python, "arboreto.core")
    if reason:
        return {"status": "skipped", "error": reason}
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "inputs.npz")
        row, _ = measured([sys.executable, "-m", "benchmarks.performance.job", "inputs", file])
        if row["status"] == "ok":
            row, _ = measured([python, "-W", "ignore", str(HERE / "boosting.py"), file])
    return row


def reference(checkout: Path | None, python: str, epochs: list[int]) -> Iterator[dict[str, Any]]:
    """Measure the three scripts on a copy of the data, or yield why they were skipped.

    The third follows the longest training.
    """
    reason = unusable(checkout, python)
    if checkout is None or reason:
        yield {"row": ALL, "status": "skipped", "error": reason}
        return
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for name in FILES:
            shutil.copyfile(data_file(BUNDLE, name), work / name)
        for name, n_epochs, command in scripts(checkout.resolve(), python, work, epochs):
            row, _ = measured(command, cwd=work)
            yield {"row": name} | ({"epochs": n_epochs} if n_epochs else {}) | row
            if row["status"] != "ok" and name in SCRIPTS:
                return


def scripts(
    checkout: Path, python: str, work: Path, epochs: list[int]
) -> list[tuple[str, int, list[str]]]:
    """Return name, epochs (0: none) and command of every run, in order."""
    results, weights = work / "results", work / "results" / "weights" / "weights.weights.h5"
    pre = [
        "--data_dir",
        str(work),
        "--project_name",
        PROJECT,
        "--batch_key",
        "batch",
        "--pt_key",
        "dpt_pseudotime",
    ]
    pre += [
        "--annotation_key",
        "Cell Types",
        "--sp_key",
        "spatial",
        "--n_neighbors",
        "10",
        "--path_len",
        STEPS,
    ]
    pre += [
        "--num_repeats",
        "10",
        "--k_primary",
        "5",
        "--skip_de",
        "--radius",
        "5",
        "--n_jobs",
        "1",
    ]
    train = [
        "--data_dir",
        str(work),
        "--project_name",
        PROJECT,
        "--out_dir",
        str(results),
        "--d_model",
        "128",
    ]
    train += [
        "--dff",
        "128",
        "--num_heads",
        HEADS,
        "--tlength",
        STEPS,
        "--batch_size",
        "16",
        "--save_visuals",
    ]
    last = ["--data_dir", str(work), "--input_dir", str(results), "--project_name", PROJECT]
    processed = str(work / PROJECT / f"{PROJECT}_adata_processed.h5ad")
    cells = ["--extract_percell_attn", "--sc_adata_path", processed, "--model_path", str(weights)]
    first, second, third = ([python, str(checkout / name)] for name in SCRIPTS)
    launcher = [python, str(HERE / "percell.py"), str(checkout), STEPS, HEADS]
    return [
        (SCRIPTS[0], 0, [*first, *pre, "--simulation_data"]),
        *((SCRIPTS[1], n, [*second, *train, "--epochs", str(n)]) for n in sorted(epochs)),
        (SCRIPTS[2], 0, [*third, *last, "--out_dir", str(work / "global"), "--skip_percell"]),
        (PER_CELL, 0, [*launcher, *last, "--out_dir", str(work / "cells"), *cells]),
    ]


def unusable(checkout: Path | None, python: str) -> str:
    """Return why the reference cannot be run, "" if it can."""
    if checkout is None:
        return "no --checkout given: clone github VariaanZhou/SpaTRACE"
    missing = [name for name in SCRIPTS if not (checkout / name).is_file()]
    if missing:
        return f"{', '.join(missing)} not in {checkout}"
    return lacking(python, "tensorflow") or lacking(python, "squidpy")


def lacking(python: str, module: str) -> str:
    """Return why a module cannot be imported by that interpreter, "" if it can."""
    try:
        done = subprocess.run(
            [python, "-W", "ignore", "-c", f"import {module}"], capture_output=True, text=True
        )
    except OSError as error:
        return f"{python}: {error.strerror}"
    if not done.returncode:
        return ""
    reason = (done.stderr.strip().splitlines() or ["?"])[-1]
    return f"{module.split('.')[0]} is not usable in {python}: {reason}"


def summary(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Return a line per name: the median of its runs, and its ratio to infer_ccc.

    The scripts of the reference are summed too: the first two, and the third with its step per
    cell, or without it where that failed. The memory of the sum is the largest of the three. If
    only fewer epochs were trained, the name of the sum states them; it is then a lower bound.
    """
    good = [row | {"row": titled(row)} for row in rows if row["status"] == "ok"]
    runs = pd.DataFrame(good, columns=["row", *SUMMED]).groupby("row", sort=False)[list(SUMMED)]
    table = runs.median().assign(runs=runs.size())
    line = extrapolated(rows)
    if SCRIPTS[1] not in table.index and line:
        table.loc[EXTRAPOLATED] = line
    short = [name for name in table.index if name.startswith(f"{SCRIPTS[1]}, ")]
    second = (
        SCRIPTS[1]
        if SCRIPTS[1] in table.index
        else (EXTRAPOLATED if line else short[-1] if short else SCRIPTS[1])
    )
    parts = [SCRIPTS[0], second, PER_CELL if PER_CELL in table.index else SCRIPTS[2]]
    if set(parts) <= set(table.index):
        three = table.loc[parts]
        most = three[["peak", "others"]].max().to_dict()
        name = ALL + second.removeprefix(SCRIPTS[1])
        table.loc[name] = three.sum().to_dict() | most | {"runs": three["runs"].min()}
    if OURS in table.index:
        table["CPU ×"] = table["cpu"] / table.loc[OURS, "cpu"]
        table["memory ×"] = table["peak"] / table.loc[OURS, "peak"]
    return table.astype({"runs": int})


def titled(row: dict[str, Any]) -> str:
    """Return the name of a row, with its epochs where they are not those of the README."""
    epochs = row.get("epochs", EPOCHS)
    return (
        str(row["row"]) if epochs == EPOCHS else f"{row['row']}, {epochs} epoch{'s' * (epochs > 1)}"
    )


def extrapolated(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return seconds of 50 epochs, extrapolated from the shortest and the longest training.

    Empty without two trainings.
    """
    good = {
        row["epochs"]: row for row in rows if row["row"] == SCRIPTS[1] and row["status"] == "ok"
    }
    if len(good) < 2:
        return {}
    few, many = min(good), max(good)
    line = {"peak": good[many]["peak"], "others": good[many].get("others", float("nan")), "runs": 0}
    for name in ("cpu", "wall"):
        slope = (good[many][name] - good[few][name]) / (many - few)
        line[name] = good[few][name] + (EPOCHS - few) * slope
    return line


def report(rows: list[dict[str, Any]]) -> str:
    """Return the table, the seconds of infer_ccc by stage, and the reasons of missing rows."""
    lines = [summary(rows).round(2).to_string(na_rep="")]
    inside = [row["inside"] for row in rows if row["row"] == OURS and row["status"] == "ok"]
    if inside:
        stages = pd.DataFrame(
            [r["stages"] | {"before the call": r["before the call"]} for r in inside]
        ).median()
        lines.append("\ninfer_ccc, CPU seconds by stage (median):\n" + stages.round(2).to_string())
    done = {row["row"] for row in rows if row["status"] == "ok"}
    if set(SCRIPTS) <= done:
        done.add(ALL)
    for name, row in {row["row"]: row for row in rows if row["row"] not in done}.items():
        lines.append(f"{name} {row['status']}: {row['error']}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
