"""Scores of the tables of a method."""

from __future__ import annotations

import math

from benchmarks._scores import KEYS, discoveries, rank_scores
from benchmarks.recovery.tables import Tables
from benchmarks.recovery.tissue import Tissue

#: Task → table that is scored.
TASKS = {
    "tf_targets": "tf_targets",
    "lr_targets": "lr_targets",
    "+ indirect": "lr_targets",
    "lr_pairs": "lr_pairs",
}
TITLES = {
    "tf_targets": "TF→TG",
    "lr_targets": "LR→TG",
    "+ indirect": "LR→TG with indirect",
    "lr_pairs": "L–R",
}
Scores = dict[str, dict[str, float | None]]


def judge(tissue: Tissue, scored: Tables) -> Scores:
    """Return task → scores, with None in place of NaN.

    Where there is no true edge only discoveries are counted, which are all false.
    """
    scores: Scores = {}
    for task, name in TASKS.items():
        truth = tissue.truth[name]
        if "kind" in truth and task == "lr_targets":
            truth = truth[truth["kind"] == "direct"]
        elif "kind" not in truth and task == "+ indirect":
            continue
        if name not in scored:
            continue
        row = rank_scores(scored[name], truth, KEYS[name]) if len(truth) else {}
        if "q_value" in scored[name]:
            n, false = discoveries(scored[name], truth, KEYS[name])
            row |= {"hits": n, "false": false}
        if row:
            scores[task] = {
                k: None if math.isnan(v) else round(float(v), 5) for k, v in row.items()
            }
    return scores
