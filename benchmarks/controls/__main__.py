"""Are controls right? Their estimates beside the truth, on simulated tissues.

python -m benchmarks.controls [--data undisturbed fields leakage "wrong types" agents]
                              [--seeds 680] [--out controls.jsonl] [--report]

"agents" is the world of that name (``benchmarks.worlds``), another simulator.
Every tissue is inferred once and then given to ``st.tl.controls``, with two draws of sham genes of
either kind and without halves. For each table at q ≤ .1, the false share by sham genes and by
misplaced senders stands beside the true one, and the power that implants predict for edges of the
size of the true ones beside the power that they are found with; these sizes are not known on
"agents". Indirect edges count as true. A (data, seed) that has a row in ``--out`` is not run
again. A tissue takes 2 to 3 minutes of CPU. Development looked at seeds 1 to 3.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from benchmarks._scores import machine
from benchmarks.controls.tissues import controlled_tissue, true_edges

import spatrace_sc as st

DATA = ("undisturbed", "fields", "leakage", "wrong types", "agents")
#: Draws: without halves, which are not compared with the truth.
DRAWS: dict[str, Any] = {"n_sham": 2, "sham": "both", "n_halves": 0}
MAX_Q = 0.1
KEYS = {
    "tf_targets": ["tf", "target"],
    "lr_targets": ["ligand", "receptor", "target"],
    "lr_pairs": ["ligand", "receptor"],
}
TITLES = {"tf_targets": "TF→TG", "lr_targets": "LR→TG", "lr_pairs": "L–R"}
Row = dict[str, Any]


def run(name: str, seed: int) -> Row:
    """Return estimates and truth of one tissue."""
    controlled = controlled_tissue(name, seed)
    tissue = controlled.tissue
    adata = tissue.adata
    started = time.process_time()
    st.tl.infer_ccc(adata, rng=seed, **tissue.arguments)
    middle = time.process_time()
    st.tl.controls(adata, rng=seed, **DRAWS)
    ended = time.process_time()
    implants = st.get.controls(adata, "implants")
    tables = {table: _of_table(adata, tissue, table, controlled.sizes, implants) for table in KEYS}
    return {
        "data": name,
        "seed": seed,
        "cpu_infer": round(middle - started, 1),
        "cpu_controls": round(ended - middle, 1),
        "tables": tables,
    }


def _of_table(
    adata: Any, tissue: Any, table: str, sizes: pd.DataFrame, implants: pd.DataFrame
) -> Row:
    """Return estimates and truth of one table."""
    columns = KEYS[table]
    edges = getattr(st.get, table)(adata)
    called = edges[edges["q_value"] <= MAX_Q]
    direct, true = (set(map(tuple, t[columns].to_numpy())) for t in true_edges(tissue, table))
    names = list(map(tuple, called[columns].to_numpy()))
    row: Row = {
        "calls": len(names),
        "false": sum(name not in true for name in names),
        "n_direct": len(direct),
        "power": float(np.mean([edge in set(names) for edge in direct])) if direct else None,
    }
    at = st.get.controls(adata)
    at = at[(at["table"] == table) & np.isclose(at["threshold"], MAX_Q)].set_index("control")
    for control in ("sham TFs", "sham genes", "sham genes alone", "misplaced senders"):
        if control in at.index:
            columns_of = ("calls", "expected_false", "false_share", "low", "high")
            row[control] = {c: float(at.loc[control, c]) for c in columns_of}
    of_table = implants[implants["table"] == table]
    row["implants"] = [
        [round(float(r), 4), bool(f)] for r, f in of_table[["reached", "found"]].to_numpy()
    ]
    if table in set(sizes["table"]):
        of_table = sizes[sizes["table"] == table]
        row["predicted_power"] = predicted_power(implants[implants["table"] == table], of_table)
        by_name = {
            (*str(r).split("^"), str(t)): s
            for r, t, s in of_table[["regulator", "target", "share"]].to_numpy()
        }
        row["sizes"] = [[round(s, 4), bool(e in set(names))] for e, s in by_name.items()]
    return row


def predicted_power(implants: pd.DataFrame, sizes: pd.DataFrame) -> float | None:
    """Return the mean probability, by a logistic regression on implants, of sizes of edges."""
    from scipy.special import expit

    from spatrace_sc._inference.controls.power import logistic

    implants = implants[(implants["tissue"] == "whole") & (implants["reached"] > 0)]
    if not len(implants):
        return None
    x = np.log(implants["reached"].to_numpy(dtype=float))
    intercept, slope = logistic(x, implants["found"].to_numpy(dtype=float))
    size = np.log(np.maximum(sizes["share"].to_numpy(dtype=float), 1e-4))
    return float(expit(intercept + slope * size).mean())


def report(rows: list[Row]) -> str:
    """Return the table of means over seeds."""
    lines = [
        "| tissue | table | seeds | calls | truly false | by sham genes | by sham genes alone "
        "| by misplaced senders | power | power by implants |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(row["data"] for row in rows):
        of_data = [row["tables"] for row in rows if row["data"] == name]
        for table, title in TITLES.items():
            parts = [tables[table] for tables in of_data]
            calls, false = (sum(p[k] for p in parts) for k in ("calls", "false"))
            cells = [
                *(name, title, str(len(parts)), str(calls), _share(false, calls)),
                _estimate(parts, ("sham TFs", "sham genes")),
                _estimate(parts, ("sham genes alone",)),
                _estimate(parts, ("misplaced senders",)),
                _mean([p["power"] for p in parts]),
                _mean([p.get("predicted_power") for p in parts]),
            ]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _estimate(parts: list[Row], controls: tuple[str, ...]) -> str:
    """Return the expected share of false calls over all seeds."""
    found = [part[c] for part in parts for c in controls if c in part]
    return (
        _share(sum(f["expected_false"] for f in found), sum(f["calls"] for f in found))
        if found
        else "–"
    )


def _share(part: float, whole: float) -> str:
    return f"{min(part / whole, 1.0):.2f}" if whole else "–"


def _mean(values: list[float | None]) -> str:
    known = [v for v in values if v is not None]
    return f"{np.mean(known):.2f}" if known else "–"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", nargs="+", default=list(DATA))
    parser.add_argument("--seeds", nargs="+", type=int, default=[680])
    parser.add_argument("--out", type=Path, default=Path("controls.jsonl"))
    parser.add_argument("--report", action="store_true", help="run nothing, only print")
    given = parser.parse_args()
    st.settings.progress = False
    logging.getLogger("spatrace_sc").setLevel(logging.WARNING)
    warnings.simplefilter("ignore")
    rows = (
        [json.loads(line) for line in given.out.read_text().splitlines()]
        if given.out.exists()
        else []
    )
    done = {(row["data"], row["seed"]) for row in rows}
    for seed in given.seeds:
        for name in given.data:
            if given.report or (name, seed) in done:
                continue
            rows.append(run(name, seed))
            with given.out.open("a") as log:
                log.write(json.dumps(rows[-1]) + "\n")
            print(f"{name} {seed}: {rows[-1]['cpu_controls']} s CPU", flush=True)
    chosen = [r for r in rows if r["data"] in given.data and r["seed"] in given.seeds]
    print(f"{machine().rsplit(';', 1)[0]}; seeds {given.seeds}")
    print(report(chosen))


if __name__ == "__main__":
    main()
