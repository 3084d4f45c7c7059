"""Scores of a table against the truth, and the cost of computing it."""

from __future__ import annotations

import platform
import resource
import sys
import time
from importlib.metadata import version
from types import TracebackType

import numpy as np
import pandas as pd

from spatrace_sc._core.networks import ranking_scores

KEYS = {
    "tf_targets": ["tf", "target"],
    "lr_targets": ["ligand", "receptor", "target"],
    "lr_pairs": ["ligand", "receptor"],
}
MEASURES = {"auroc": "AUROC", "auprc": "AUPRC", "auprc_ratio": "x base", "early_precision": "early"}
#: Signs are judged among this many of the strongest edges.
TOP_SIGNS = 100


def label(table: pd.DataFrame, truth: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Return the table with columns ``true`` and ``true_sign`` (NaN where no sign is known)."""
    unique = truth[keys].astype(str).drop_duplicates().assign(true=True)
    if "sign" in truth:
        unique["true_sign"] = truth.loc[unique.index, "sign"]
    merged = table.astype(dict.fromkeys(keys, str)).merge(
        unique, on=keys, how="left", validate="one_to_one"
    )
    if "true_sign" not in merged:
        merged["true_sign"] = np.nan
    merged["true"] = merged["true"].notna()
    if int(merged["true"].sum()) != len(unique):
        raise ValueError(
            f"{len(unique) - int(merged['true'].sum())} true edges are not among the candidates."
        )
    return merged


def rank_scores(table: pd.DataFrame, truth: pd.DataFrame, keys: list[str]) -> dict[str, float]:
    """Return AUROC, AUPRC, its ratio to the base rate, early precision and sign accuracy."""
    labelled = label(table, truth, keys)
    scores = ranking_scores(labelled["true"].to_numpy(), labelled["score"].to_numpy(dtype=float))
    return {title: scores[name] for name, title in MEASURES.items()} | {
        "signs": sign_accuracy(labelled)
    }


def sign_accuracy(labelled: pd.DataFrame) -> float:
    """Return the share of correct signs among the true edges within the 100 strongest.

    NaN where the table has no signs or none of the 100 is true.
    """
    if "effect" not in labelled:
        return float("nan")
    top = labelled.sort_values("score", ascending=False, kind="stable").head(TOP_SIGNS)
    top = top[top["true_sign"].notna()]
    return float((np.sign(top["effect"]) == top["true_sign"]).mean()) if len(top) else float("nan")


def discoveries(
    table: pd.DataFrame, truth: pd.DataFrame, keys: list[str], q: float = 0.1
) -> tuple[int, float]:
    """Return the number of edges at ``q_value <= q`` and their false share, NaN if none."""
    labelled = label(table, truth, keys)
    called = labelled["true"][labelled["q_value"] <= q]
    return len(called), float(1 - called.mean()) if len(called) else float("nan")


class Cost:
    """Wall and CPU seconds of a ``with`` block, and the peak memory of the process in GB."""

    def __enter__(self) -> Cost:
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.wall, self.cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self.peak = peak / 1e9 if sys.platform == "darwin" else peak * 1024 / 1e9

    def __str__(self) -> str:
        return f"{self.wall:.1f} s wall, {self.cpu:.1f} s CPU, peak {self.peak:.2f} GB"


def machine() -> str:
    """Return the versions and the number of threads, for the head of a report."""
    import torch

    names = ("spatrace-sc", "torch", "numpy", "scanpy", "anndata")
    return (
        f"Python {platform.python_version()}, "
        + ", ".join(f"{n} {version(n)}" for n in names)
        + f"; {torch.get_num_threads()} threads"
    )
