"""A naive permutation test: signals are shuffled among cells of the same type and similar time."""

from __future__ import annotations

import numpy as np
import pandas as pd
from benchmarks._scores import KEYS
from benchmarks.recovery.signals import doses, read_signals, saturating, standardised
from benchmarks.recovery.tissue import Tissue
from scipy.stats import false_discovery_control

PERMUTATIONS, BINS = 199, 10


def naive_permutation(tissue: Tissue, seed: int) -> pd.DataFrame:
    """Return LR edges with p and q (Benjamini–Hochberg).

    The statistic is the absolute correlation of a pair's saturating signal with the target, both
    regressed on cell type, time and the history of all TFs. In its null distribution, signals are
    shuffled among cells of the same type and decile of time.
    """
    signals = read_signals(tissue)
    rng = np.random.default_rng(seed)
    receptor = signals.past(signals.receptor, now=True)
    x = saturating(doses(signals.exposure, receptor))
    known = np.column_stack([signals.covariates, signals.past(signals.tf, now=False)])
    x, y = (standardised(residual(values, known)) for values in (x, signals.target))
    time = signals.covariates[:, -3]
    kind = signals.covariates[:, 1:-3] @ np.arange(1, signals.covariates.shape[1] - 3)
    time_bin = np.searchsorted(np.quantile(time, np.linspace(0, 1, BINS + 1)[1:-1]), time)
    stratum = np.unique(np.column_stack([kind, time_bin]), axis=0, return_inverse=True)[1].ravel()
    observed = np.abs(x.T @ y)
    as_strong = np.zeros_like(observed)
    for _ in range(PERMUTATIONS):
        as_strong += np.abs(x[shuffled(stratum, rng)].T @ y) >= observed
    p = (1.0 + as_strong) / (1.0 + PERMUTATIONS)
    grid = [signals.names[role] for role in ("ligand", "receptor", "target")]
    table = pd.MultiIndex.from_product(grid, names=KEYS["lr_targets"]).to_frame(index=False)
    return table.assign(p_value=p.ravel(), q_value=false_discovery_control(p.ravel()))


def residual(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return the residuals of a least-squares fit on the known columns."""
    return values - known @ np.linalg.lstsq(known, values, rcond=None)[0]


def shuffled(stratum: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a permutation of the cells within their strata."""
    order = np.argsort(stratum, kind="stable")
    permutation = np.empty_like(order)
    permutation[order] = order[np.lexsort((rng.random(len(order)), stratum[order]))]
    return permutation
