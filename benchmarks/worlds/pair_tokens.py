"""How well silencing pairs in the transformer of TFs and pairs ranks true pair → target edges.

python -m benchmarks.worlds.pair_tokens [--data agents C-medium ...] [--seeds 2 3 4]

``--data`` names worlds, or data sets of ``benchmarks.recovery``. The package runs with its
defaults. The table has medians over seeds: the number of pairs that are tokens; AUPRC among their
edges, and among all candidates, where other pairs have no silencing effect; the share of true
edges with an effect whose sign is right; and what the tokens add to the CPU time of the rest.
"""

from __future__ import annotations

import argparse
import logging
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
from benchmarks._scores import KEYS, Cost, label, machine
from benchmarks.recovery.datasets import DATASETS
from benchmarks.recovery.methods.own import ours
from benchmarks.recovery.tissue import Tissue
from benchmarks.worlds.rests_on import tissue_of
from benchmarks.worlds.tissues import WORLDS

import spatrace_sc as st
from spatrace_sc._core.networks import ranking_scores
from spatrace_sc._inference import run

DATA = ["agents", "agents_deep", "reference_log1p", "C-medium", "C-hard", "E"]
PAIR = KEYS["lr_pairs"]
EDGE = KEYS["lr_targets"]
#: Steps of an inference that the tokens of pairs add.
STEPS = ("pair_tokens", "attention_of_pairs")
#: Column of the table → format.
COLUMNS = {
    **{"tokens": ".0f", "true": ".0f", "all true": ".0f", "base": ".3f", "score": ".3f"},
    **{"silencing": ".3f", "all: score": ".3f", "all: silencing": ".3f"},
    **{"all: ¾ score + ¼": ".3f", "all: ½ score + ½": ".3f", "signs": ".2f", "CPU": ".2f"},
}


@contextmanager
def timed(names: tuple[str, ...]) -> Iterator[list[float]]:
    """Yield a list to which the CPU seconds of some steps of an inference are appended."""
    spent: list[float] = []

    def watched(step: Any) -> Any:
        def call(*args: Any, **options: Any) -> Any:
            start = time.process_time()
            result = step(*args, **options)
            spent.append(time.process_time() - start)
            return result

        return call

    with patch.multiple(run, **{name: watched(getattr(run, name)) for name in names}):
        yield spent


def measure(tissue: Tissue, seed: int) -> dict[str, float]:
    """Return the row of one data set and seed."""
    with timed(STEPS) as spent, Cost() as cost:
        table = ours(tissue, seed)["lr_targets"]
    tokens = st.get.attention(tissue.adata, kind="lr_targets").astype(dict.fromkeys(EDGE, str))
    truth = tissue.truth["lr_targets"]
    truth = truth[truth["kind"] == "direct"] if "kind" in truth else truth
    row = scores(label(table, truth, EDGE), tokens)
    return row | {"CPU": sum(spent) / (cost.cpu - sum(spent))}


def scores(edges: pd.DataFrame, tokens: pd.DataFrame) -> dict[str, float]:
    """Return AUPRC and signs from labelled edges and the table of attention."""
    edges = edges.merge(tokens, on=EDGE, how="left")
    among = edges["silencing_effect"].notna().to_numpy()
    true = edges["true"].to_numpy(dtype=bool)
    score = edges["score"].to_numpy(dtype=float)
    effect = edges["silencing_effect"].fillna(0.0).to_numpy()
    size, signed = np.abs(effect), true & (effect != 0)
    right = np.sign(effect[signed]) == edges["true_sign"].to_numpy()[signed]

    def auprc(values: np.ndarray, rows: np.ndarray) -> float:
        return float(ranking_scores(true[rows], values[rows])["auprc"])

    every = np.ones(len(edges), dtype=bool)
    return {
        "tokens": len(tokens[PAIR].drop_duplicates()),
        "true": int(true[among].sum()),
        "all true": int(true.sum()),
        "base": float(true[among].mean()),
        "score": auprc(score, among),
        "silencing": auprc(size, among),
        "all: score": auprc(score, every),
        "all: silencing": auprc(size, every),
        "all: ¾ score + ¼": auprc(0.75 * score + 0.25 * size, every),
        "all: ½ score + ½": auprc(0.5 * score + 0.5 * size, every),
        "signs": float(right.mean()) if len(right) else float("nan"),
    }


def report(name: str, rows: list[dict[str, float]]) -> str:
    """Return a row of the table: medians over seeds."""
    median = pd.DataFrame(rows).median()
    return f"| {name} | {' | '.join(f'{median[c]:{f}}' for c, f in COLUMNS.items())} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", nargs="+", choices=[*WORLDS, *DATASETS], default=DATA)
    parser.add_argument("--seeds", nargs="+", type=int, default=[2, 3, 4])
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    st.settings.progress = False
    print(f"{machine()}; seeds {given.seeds}; medians")
    print(f"| data | {' | '.join(COLUMNS)} |")
    print(f"| --- {'| --- ' * len(COLUMNS)}|")
    for name in given.data:
        rows = [measure(tissue_of(name, seed), seed) for seed in given.seeds]
        print(report(name, rows), flush=True)


if __name__ == "__main__":
    main()
