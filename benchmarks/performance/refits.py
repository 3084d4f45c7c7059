"""What more refits buy: recovery, calls and CPU seconds by their number.

python -m benchmarks.performance.refits [--data C-hard C-medium E] [--seeds 340 341 342]
                                        [--refits 5 10 20 40] [--out refits.jsonl] [--report]

Every row is one inference in this process on one thread, with defaults but for
``EvidenceConfig.n_resamples``. The data sets are those of ``benchmarks.recovery``. Printed are
medians over seeds: CPU seconds, and by task the AUPRC, the number of calls at q ≤ .1 that are true,
and the share of the calls that are false. Twelve rows take about six minutes.
"""

from __future__ import annotations

import argparse
import json
import logging
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from benchmarks._scores import KEYS, Cost, machine
from benchmarks.recovery.datasets import DATASETS
from benchmarks.recovery.judge import TITLES, judge

import spatrace_sc as st

TASKS = ("tf_targets", "lr_targets", "lr_pairs")


def main(arguments: list[str] | None = None) -> None:
    given = parsed(arguments)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    st.settings.progress = False
    if not given.report:
        for seed in given.seeds:
            for data in given.data:
                for n in given.refits:
                    with given.out.open("a") as log:
                        log.write(json.dumps(measure(data, seed, n)) + "\n")
    rows = [json.loads(line) for line in given.out.read_text().splitlines()]
    print(machine())
    print(table(rows).to_markdown())


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", nargs="+", choices=list(DATASETS), default=["C-hard", "E"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[340, 341, 342])
    parser.add_argument("--refits", nargs="+", type=int, default=[5, 10, 20, 40])
    parser.add_argument("--out", type=Path, default=Path("refits.jsonl"))
    parser.add_argument("--report", action="store_true")
    return parser.parse_args(arguments)


def measure(data: str, seed: int, n_refits: int) -> dict[str, Any]:
    """Return a row: CPU seconds, and AUPRC, calls and false share by task."""
    tissue = DATASETS[data](seed)
    config = st.Config(evidence=st.EvidenceConfig(n_resamples=n_refits))
    with Cost() as cost:
        st.tl.infer_ccc(tissue.adata, **tissue.arguments, config=config, rng=seed, device="cpu")
    scores = judge(tissue, {task: getattr(st.get, task)(tissue.adata) for task in KEYS})
    row: dict[str, Any] = {"data": data, "seed": seed, "refits": n_refits, "cpu": cost.cpu}
    for task in TASKS:
        of_task = scores.get(task, {})
        calls, false = of_task.get("hits") or 0.0, of_task.get("false") or 0.0
        row[task] = {
            "AUPRC": of_task.get("AUPRC"),
            "true calls": calls * (1.0 - false),
            "false": false if calls else None,
        }
    return row


def table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Medians over seeds by data set and number of refits."""
    flat = [
        {"data": row["data"], "refits": row["refits"], "CPU s": row["cpu"]}
        | {f"{TITLES[task]} {name}": value for task in TASKS for name, value in row[task].items()}
        for row in rows
    ]
    return pd.DataFrame(flat).groupby(["data", "refits"]).median().round(2)


if __name__ == "__main__":
    main()
